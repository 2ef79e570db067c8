/*
 * PKCS#12 files from users, under the password of the corpus.
 */
#include "crypto/p12.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pkey_t *key = NULL;
    cert_t *cert = NULL;
    cert_list_t chain = {0};
    err_free(p12_read(bytes_make(data, size), BYTES_LIT("coffer"), &key, &cert, &chain));
    pkey_free(key);
    cert_free(cert);
    cert_list_done(&chain);
    return 0;
}
