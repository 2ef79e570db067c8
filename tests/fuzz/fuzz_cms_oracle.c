/* SignedData: the path by hand says yes, or no at once, only where OpenSSL's path does. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/crypto/oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(bytes_t message, const bytes_t *detached) {
    cms_verify_options_t options = {
        .allow_sha1 = true, .allow_weak_key = true, .allow_no_content = true};
    const char *difference = oracle_signed(message, detached, &options);
    if (!difference) return;
    (void)fprintf(stderr, "%s\n", difference);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const bytes_t hello = {(const uint8_t *)"hello\nCMS\r\n", 11};
    compare(bytes_make(data, size), NULL);
    compare(bytes_make(data, size), &hello);
    return 0;
}
