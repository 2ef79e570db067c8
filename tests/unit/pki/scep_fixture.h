/*
 * SCEP requests as a client makes them, and as an attacker would.
 */
#ifndef COFFER_TESTS_SCEP_FIXTURE_H
#define COFFER_TESTS_SCEP_FIXTURE_H

#include "../unit.h"

#include "base/rnd.h"
#include "crypto/cms.h"
#include "crypto/secret.h"

typedef struct {
    pkey_t *key;
    cert_t *cert;
    cms_signer_t *signer;
} scep_client_t;

static inline void scep_client_init(scep_client_t *c) {
    name_entry_t subject = {"CN", "client"};
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(crypto_init());
    assert_ok(pkey_generate(PKEY_RSA, 2048, &c->key));
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_spec_t spec = {.subject = &subject,
                        .subject_n = 1,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = 1700000000,
                        .not_after = 1900000000,
                        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE};
    assert_ok(cert_issue(&spec, NULL, c->key, &c->cert));
    assert_ok(cms_signer_new(c->cert, c->key, NULL, &c->signer));
}

static inline void scep_client_done(scep_client_t *c) {
    cms_signer_free(c->signer);
    cert_free(c->cert);
    pkey_free(c->key);
}

#define SCEP_ARC "2.16.840.1.113733.1.9."

/* A request with these attributes; NULL leaves one out. */
static inline void scep_request_make(const scep_client_t *c, const char *type,
                                     const char *transaction, bytes_t nonce, bytes_t content,
                                     bool sha1, buf_t *out) {
    cms_attribute_t attributes[3];
    size_t n = 0;
    if (type)
        attributes[n++] = (cms_attribute_t){SCEP_ARC "2", CMS_PRINTABLE_STRING, bytes_str(type)};
    if (transaction)
        attributes[n++] =
            (cms_attribute_t){SCEP_ARC "7", CMS_PRINTABLE_STRING, bytes_str(transaction)};
    if (nonce.p) attributes[n++] = (cms_attribute_t){SCEP_ARC "5", CMS_OCTET_STRING, nonce};
    cms_sign_options_t options = {.attributes = attributes,
                                  .attributes_n = n,
                                  .digest = sha1 ? CMS_DIGEST_SHA1 : CMS_DIGEST_SHA256};
    assert_ok(cms_sign(c->signer, content, &options, out));
}

#endif
