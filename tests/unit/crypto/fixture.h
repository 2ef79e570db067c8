/*
 * A small PKI for tests of src/crypto: a root, a leaf with RSA and one with P-256, made once per
 * test program, valid from 2020 to 2040.
 */
#ifndef COFFER_TESTS_CRYPTO_FIXTURE_H
#define COFFER_TESTS_CRYPTO_FIXTURE_H

#include "../unit.h"

#include "base/mem.h"
#include "crypto/cert.h"
#include "crypto/pkey.h"
#include "crypto/secret.h"

enum {
    FIXTURE_BEFORE = 1577836800, /* 2020-01-01 */
    FIXTURE_NOW = 1767225600,    /* 2026-01-01 */
};
#define FIXTURE_AFTER ((int64_t)2208988800) /* 2040-01-01 */

typedef struct {
    pkey_t *ca_key, *rsa_key, *ec_key;
    cert_t *ca, *rsa, *ec;
} fixture_t;

/* A spec with the fixture's dates and a serial number of one byte. */
static inline cert_spec_t fixture_spec(const name_entry_t *subject, const uint8_t *serial,
                                       const pkey_t *key) {
    return (cert_spec_t){.subject = subject,
                         .subject_n = 1,
                         .serial = bytes_make(serial, 1),
                         .not_before = FIXTURE_BEFORE,
                         .not_after = FIXTURE_AFTER,
                         .key = key};
}

static inline cert_t *fixture_leaf(const fixture_t *f, const char *name, uint8_t serial,
                                   const pkey_t *key) {
    name_entry_t subject = {"CN", name};
    san_entry_t san = {SAN_EMAIL, "person@example.org"};
    cert_spec_t spec = fixture_spec(&subject, &serial, key);
    spec.sans = &san;
    spec.sans_n = 1;
    spec.key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_AGREEMENT;
    if (pkey_kind(key) == PKEY_RSA)
        spec.key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT;
    cert_t *cert = NULL;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    return cert;
}

static inline int fixture_setup(void **state) {
    fixture_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    assert_ok(crypto_init());
    assert_ok(pkey_generate(PKEY_P384, 0, &f->ca_key));
    assert_ok(pkey_generate(PKEY_RSA, 2048, &f->rsa_key));
    assert_ok(pkey_generate(PKEY_P256, 0, &f->ec_key));
    static const name_entry_t subject = {"CN", "Example Root"};
    static const uint8_t serial[] = {1};
    cert_spec_t spec = fixture_spec(&subject, serial, f->ca_key);
    spec.is_ca = true;
    spec.key_usage = KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN;
    assert_ok(cert_issue(&spec, NULL, f->ca_key, &f->ca));
    f->rsa = fixture_leaf(f, "RSA leaf", 2, f->rsa_key);
    f->ec = fixture_leaf(f, "EC leaf", 3, f->ec_key);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state) {
    fixture_t *f = *state;
    cert_free(f->ca);
    cert_free(f->rsa);
    cert_free(f->ec);
    pkey_free(f->ca_key);
    pkey_free(f->rsa_key);
    pkey_free(f->ec_key);
    mem_free(f);
    return 0;
}

#endif
