/* Foreign certification requests: parsing and proof of possession. */
#include <stdlib.h>
#include <string.h>

#include "crypto/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    csr_t *csr = NULL;
    err_ignore(csr_parse_der(bytes_make(data, size), &csr));
    if (!csr) return 0;
    err_ignore(csr_verify(csr));
    size_t n = 0, length = strlen(csr_subject(csr));
    const name_entry_t *entries = csr_subject_entries(csr, &n);
    for (size_t i = 0; i < n; i++) length += strlen(entries[i].type) + strlen(entries[i].value);
    const san_entry_t *sans = csr_sans(csr, &n);
    for (size_t i = 0; i < n; i++) length += strlen(sans[i].value);
    const char *const *oids = csr_unknown_extensions(csr, &n);
    for (size_t i = 0; i < n; i++) length += strlen(oids[i]);
    if (length > 64 * size + 1024) abort();
    csr_free(csr);
    return 0;
}
