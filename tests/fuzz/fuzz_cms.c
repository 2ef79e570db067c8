/* Foreign CMS: verifying, certificates only, and decrypting with a key that the corpus names. */
#include <stdlib.h>

#include "../unit/crypto/factory.h"
#include "crypto/cms.h"
#include "crypto/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(err_t *e) {
    if (e) abort();
}

static void decrypt(bytes_t input) {
    static cert_t *device; /* of this test program alone */
    static pkey_t *key;
    if (!key) {
        must(crypto_init());
        must(cert_parse_pem(BYTES_LIT(factory_device_pem), &device));
        must(pkey_parse_private_pem(BYTES_LIT(factory_device_key_pem), &key));
    }
    cms_decrypt_options_t options = {.allow_des3 = true};
    buf_t out;
    buf_init_secret(&out, 1 << 20);
    err_t *e = cms_decrypt(input, device, key, &options, &out, NULL);
    if (e && out.n) abort(); /* nothing may come out of a failure */
    err_free(e);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    (void)factory_ca_pem;
    bytes_t input = bytes_make(data, size);
    cms_verify_options_t options = {
        .allow_sha1 = true, .allow_weak_key = true, .allow_no_content = true};
    cms_signed_t *s = NULL;
    err_ignore(cms_verify(input, NULL, &options, &s));
    if (s) {
        bytes_t value;
        err_ignore(cms_signed_require(s, "2.16.840.1.113733.1.9.2", CMS_PRINTABLE_STRING, &value));
        cms_signed_free(s);
    }
    cert_list_t list = {0};
    err_ignore(cms_parse_certs(input, &list));
    cert_list_done(&list);
    decrypt(input);
    return 0;
}
