/* SMIMECapabilities of a stranger's signature: read twice, the same both times. */
#include <stdlib.h>
#include <string.h>

#include "crypto/cms_capable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cms_capable_t a = {0}, b = {0};
    err_t *first = cms_capable_read(bytes_make(data, size), &a);
    err_t *second = cms_capable_read(bytes_make(data, size), &b);
    if (!first != !second || memcmp(&a, &b, sizeof a) != 0) abort();
    if (first && a.known) abort(); /* untouched on failure */
    err_free(first);
    err_free(second);
    return 0;
}
