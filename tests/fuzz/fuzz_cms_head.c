/* The BER walk that stands before OpenSSL, and what is looked up by it. */
#include <stdlib.h>

#include "crypto/cms_head.h"
#include "crypto/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static cert_t *cert;

/* The corpus has messages to CN=Fuzz with serial number 7. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    static const name_entry_t subject = {"CN", "Fuzz"};
    static const uint8_t serial[] = {7};
    pkey_t *key = NULL;
    cert_spec_t spec = {.subject = &subject,
                        .subject_n = 1,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = 1600000000,
                        .not_after = 1900000000,
                        .key_usage = KEY_USAGE_KEY_ENCIPHERMENT};
    err_t *e = crypto_init();
    if (!e) e = pkey_generate(PKEY_P256, 0, &key);
    if (!e) e = cert_issue(&spec, NULL, key, &cert);
    if (e) abort();
    pkey_free(key);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t message = bytes_make(data, size), oid;
    cms_type_t type;
    err_t *e = cms_head_check(message, &type);
    if (!e) {
        err_free(cms_head_cipher_oid(message, &oid));
        (void)cms_head_names(message, cert);
    }
    err_free(e);
    return 0;
}
