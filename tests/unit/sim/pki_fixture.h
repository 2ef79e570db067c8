/*
 * A small PKI for the simulator's tests: a trusted root, a device CA and a profile signer under
 * it, and a root that nobody trusts with the same under it.
 */
#ifndef COFFER_TESTS_SIM_PKI_FIXTURE_H
#define COFFER_TESTS_SIM_PKI_FIXTURE_H

/* clang-format off */
#include "../unit.h"
/* clang-format on */

#include "base/mem.h"
#include "crypto/cms.h"
#include "crypto/secret.h"
#include "program/sim/factory.h"

#define FIXTURE_NOW INT64_C(1795000000)

typedef struct {
    credential_t root, device_ca, signer, tls, foreign_root, foreign_ca, foreign_signer;
    cert_list_t roots;
} pki_fixture_t;

static inline void fixture_make(const char *name, bool is_ca, unsigned usage, const char *eku,
                                pkey_kind_t kind, const credential_t *issuer, credential_t *ret) {
    const name_entry_t subject[] = {{"O", "Example"}, {"CN", name}};
    const credential_spec_t spec = {.subject = subject,
                                    .subject_n = 2,
                                    .is_ca = is_ca,
                                    .key_usage = usage,
                                    .eku = eku,
                                    .days = 365};
    assert_ok(credential_make(&spec, kind, issuer, FIXTURE_NOW, rnd_real(), ret));
}

static inline int fixture_setup(void **state) {
    const unsigned ca = KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN;
    const unsigned scep_ca = ca | KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT;
    assert_ok(crypto_init());
    pki_fixture_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    fixture_make("Root", true, ca, NULL, PKEY_P256, NULL, &f->root);
    fixture_make("Device CA", true, scep_ca, NULL, PKEY_RSA, &f->root, &f->device_ca);
    fixture_make("Signer", false, KEY_USAGE_DIGITAL_SIGNATURE, OID_EKU_CODE_SIGNING, PKEY_P256,
                 &f->root, &f->signer);
    fixture_make("Server", false, KEY_USAGE_DIGITAL_SIGNATURE, OID_EKU_SERVER_AUTH, PKEY_P256,
                 &f->root, &f->tls);
    fixture_make("Root", true, ca, NULL, PKEY_P256, NULL, &f->foreign_root);
    fixture_make("Device CA", true, scep_ca, NULL, PKEY_RSA, &f->foreign_root, &f->foreign_ca);
    fixture_make("Signer", false, KEY_USAGE_DIGITAL_SIGNATURE, OID_EKU_CODE_SIGNING, PKEY_P256,
                 &f->foreign_root, &f->foreign_signer);
    assert_ok(cert_list_add(&f->roots, f->root.cert));
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state) {
    pki_fixture_t *f = *state;
    credential_done(&f->root);
    credential_done(&f->device_ca);
    credential_done(&f->signer);
    credential_done(&f->tls);
    credential_done(&f->foreign_root);
    credential_done(&f->foreign_ca);
    credential_done(&f->foreign_signer);
    cert_list_done(&f->roots);
    mem_free(f);
    return 0;
}

static inline void fixture_sign(const credential_t *who, bytes_t content,
                                const cms_sign_options_t *options, buf_t *out) {
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    assert_ok(cms_signer_new(who->cert, who->key, NULL, &signer));
    buf_init(out, 1 << 20);
    assert_ok(cms_sign(signer, content, options, out));
}

#endif
