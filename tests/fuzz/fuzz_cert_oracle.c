/* Certificates: whatever is accepted, OpenSSL must accept with the same values. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/crypto/oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cert_t *cert = NULL;
    err_ignore(cert_parse_der(bytes_make(data, size), &cert));
    const char *difference = cert ? oracle_cert(cert) : NULL;
    if (difference) {
        (void)fprintf(stderr, "%s\n", difference);
        abort();
    }
    cert_free(cert);
    return 0;
}
