/* Certification requests: whatever is accepted, OpenSSL must accept with the same values. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/crypto/oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    csr_t *csr = NULL;
    err_ignore(csr_parse_der(bytes_make(data, size), &csr));
    const char *difference = csr ? oracle_csr(csr) : NULL;
    if (difference) {
        (void)fprintf(stderr, "%s\n", difference);
        abort();
    }
    csr_free(csr);
    return 0;
}
