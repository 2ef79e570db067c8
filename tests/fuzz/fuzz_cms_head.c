/* The BER walk that stands before OpenSSL. */
#include "crypto/cms_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cms_type_t type;
    err_ignore(cms_head_check(bytes_make(data, size), &type));
    return 0;
}
