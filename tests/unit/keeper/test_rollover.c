/*
 * The device CA's rollover and RA mode, as the keeper sees them: what each generation may do
 * before, during and after.
 */
#include "base/fault.h"
#include "crypto/crl.h"
#include "ipc/wire.h"
#include "keeper/client_ca.h"
#include "keeper/client_revocation.h"
#include "keeper/rollover.h"
#include "keeper_fixture.h"

enum { DAY = 86400 };

static const uint8_t nonce[16] = {16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
static const device_ca_spec_t rsa = {PKEY_RSA, 2048, false};

static int setup(void **state) {
    static keeper_fixture_t fixture;
    keeper_fixture_make(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    keeper_fixture_done(*state);
    return 0;
}

/* As `coffer-keeper --rollover` does: on a vault that no keeper serves from. */
static err_t *roll(keeper_fixture_t *f, const device_ca_spec_t *spec, char name[DEVICE_CA_NAME]) {
    CLEANUP(secret_free) secret_t *master = NULL;
    CLEANUP(vault_free) vault_t *vault = NULL;
    TRY(master_provider("file")->load(f->vault_dir, &master));
    vault_options_t options = {f->vault_dir, master, &f->clk.clk, rnd_real()};
    TRY(vault_open(&options, false, &vault));
    rollover_t r = {vault, f->dir, &f->clk.clk, rnd_real()};
    return spec ? rollover_prepare(&r, spec, name) : rollover_activate(&r, name);
}

static void roll_ok(keeper_fixture_t *f, const device_ca_spec_t *spec, const char *name) {
    char made[DEVICE_CA_NAME] = "";
    keeper_fixture_stop(f);
    assert_ok(roll(f, spec, made));
    assert_string_equal(made, name);
    keeper_fixture_start(f);
}

static keeper_scep_reply_t reply_for(const keeper_fixture_t *f, uint8_t generation) {
    return (keeper_scep_reply_t){.transaction_id = BYTES_LIT("transaction-1"),
                                 .sender_nonce = BYTES_ARRAY(nonce),
                                 .signer = cert_der(f->device_self),
                                 .generation = generation};
}

static void issue(keeper_fixture_t *f, uint8_t generation, cert_t **ret_cert, cert_t **ret_signer) {
    CLEANUP(buf_done) buf_t csr, certificate, certrep;
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    keeper_fixture_csr(f, "phone", NULL, &csr);
    keeper_request_t request = {"device-identity", buf_bytes(&csr), "", "enrolment-1"};
    keeper_scep_reply_t reply = reply_for(f, generation);
    assert_ok(keeper_scep_issue(f->keeper, &request, &reply, &certificate, &certrep));
    assert_ok(cert_parse_der(buf_bytes(&certificate), ret_cert));
    assert_ok(cms_verify(buf_bytes(&certrep), NULL, NULL, &s));
    *ret_signer = cert_share(cms_signed_cert(s));
}

/* The whole chain as a strict relying party builds it, through this generation. */
static void assert_chain(const keeper_fixture_t *f, const cert_t *cert, size_t generation) {
    cert_t *ca = f->keys->device_cas[generation - 1].cert;
    cert_list_t roots = {&f->keys->root, 1}, between = {&ca, 1};
    cert_chain_t chain = {.roots = &roots, .intermediates = &between, .at = clk_unix(&f->clk.clk)};
    assert_ok(cert_verify_chain(cert, &chain));
}

static err_t *open_for(keeper_fixture_t *f, const cert_t *recipient) {
    CLEANUP(buf_done) buf_t csr, envelope, opened;
    cms_cipher_t cipher;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&envelope, LIMIT_HTTP_BODY_SCEP);
    buf_init_secret(&opened, LIMIT_CSR_BYTES);
    keeper_fixture_csr(f, "phone", NULL, &csr);
    assert_ok(cms_encrypt_to(buf_bytes(&csr), recipient, NULL, &envelope));
    TRY(keeper_scep_open(f->keeper, buf_bytes(&envelope), &opened, &cipher));
    assert_true(bytes_eq(buf_bytes(&opened), buf_bytes(&csr)));
    return NULL;
}

static err_t *repeat(keeper_fixture_t *f, const cert_t *cert, uint8_t generation, cert_t **signer) {
    CLEANUP(buf_done) buf_t certrep;
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    keeper_scep_reply_t reply = reply_for(f, generation);
    TRY(keeper_scep_repeat(f->keeper, bytes_make(cert_sha256(cert), CERT_SHA256_SIZE), &reply,
                           &certrep));
    assert_ok(cms_verify(buf_bytes(&certrep), NULL, NULL, &s));
    *signer = cert_share(cms_signed_cert(s));
    return NULL;
}

static err_t *take_nothing(void *arg, size_t index, bytes_t signature) {
    (void)arg, (void)index, (void)signature;
    return NULL;
}

static err_t *ocsp(keeper_fixture_t *f, const char *issuer, cert_t **ret_responder) {
    const uint8_t serial[] = {0x41, 1};
    int64_t now = clk_unix(&f->clk.clk);
    ocsp_single_t single = {.serial = BYTES_ARRAY(serial)};
    keeper_ocsp_t ask = {.issuer = issuer,
                         .this_update = now,
                         .next_update = now + DAY,
                         .joint = true,
                         .list = &single,
                         .n = 1};
    return keeper_ocsp_sign(f->keeper, &ask, take_nothing, NULL, ret_responder);
}

static err_t *list(keeper_fixture_t *f, const char *issuer) {
    CLEANUP(buf_done) buf_t head, tail, signature;
    int64_t now = clk_unix(&f->clk.clk);
    buf_init(&head, 65536);
    buf_init(&tail, 65536);
    buf_init(&signature, 4096);
    keeper_crl_t crl = {
        .issuer = issuer, .profile = "", .number = 1, .this_update = now, .next_update = now + DAY};
    return keeper_crl_sign(f->keeper, &crl, BYTES_NONE, &head, &tail, &signature);
}

static void assert_revocation(keeper_fixture_t *f, const char *issuer, size_t generation) {
    CLEANUP(cert_free) cert_t *responder = NULL;
    assert_ok(list(f, issuer));
    assert_ok(ocsp(f, issuer, &responder));
    const cert_t *ca = f->keys->device_cas[generation - 1].cert;
    assert_ok(cert_verify_signed_by_key(responder, cert_key(ca)));
}

static void test_rollover__next_then_current(void **state) {
    keeper_fixture_t *f = *state;
    cert_t *old = NULL, *during = NULL, *after = NULL, *signer = NULL;
    CLEANUP(keeper_cas_done) keeper_cas_t cas = {0};
    CLEANUP(buf_done) buf_t next;
    buf_init(&next, LIMIT_FRAME_BYTES);
    issue(f, 0, &old, &signer);
    cert_free(signer);
    assert_err(ERR_NOT_FOUND, keeper_next_ca(f->keeper, &next));
    cert_t *first = cert_share(f->keys->device_ca->cert);

    roll_ok(f, &rsa, "device-ca-2");
    assert_ok(keeper_device_cas(f->keeper, &cas));
    assert_int_equal(cas.n, 2);
    assert_int_equal(cas.list[0].state, KEEPER_CA_CURRENT);
    assert_int_equal(cas.list[1].state, KEEPER_CA_NEXT);
    assert_true(cert_same(cas.list[1].cert, cas.list[1].recipient));
    assert_string_equal(cert_subject_get(cas.list[1].cert, "CN"), "Example Device CA 2");
    issue(f, 0, &during, &signer);
    assert_chain(f, during, 1);
    assert_true(cert_same(signer, first));
    cert_free(signer);
    signer = NULL;
    assert_err(ERR_VERIFY, open_for(f, cas.list[1].cert)); /* not yet */
    assert_err(ERR_DENIED, repeat(f, old, 2, &signer));
    assert_err(ERR_INVALID, repeat(f, old, 3, &signer));

    roll_ok(f, NULL, "device-ca-2");
    issue(f, 0, &after, &signer);
    assert_chain(f, after, 2);
    assert_chain(f, old, 1);
    assert_true(cert_same(signer, cas.list[1].cert));
    cert_free(signer);
    assert_ok(repeat(f, old, 1, &signer)); /* the former's, answered as it asked */
    assert_true(cert_same(signer, first));
    cert_free(signer);
    assert_ok(repeat(f, old, 0, &signer));
    assert_true(cert_same(signer, cas.list[1].cert));
    cert_free(signer);
    assert_ok(open_for(f, first));
    assert_ok(open_for(f, cas.list[1].cert));
    assert_revocation(f, "device-ca", 1);
    assert_revocation(f, "device-ca-2", 2);
    assert_err(ERR_NOT_FOUND, list(f, "device-ca-3"));
    assert_err(ERR_NOT_FOUND, keeper_next_ca(f->keeper, &next));
    uint64_t entries = 0;
    assert_ok(vault_log_verify(f->vault, &entries));
    cert_free(first);
    cert_free(old);
    cert_free(during);
    cert_free(after);
}

/* RFC 8894 section 4.7.1 */
static void test_rollover__the_next_is_signed_by_the_current(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t next;
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    buf_init(&next, LIMIT_FRAME_BYTES);
    roll_ok(f, &(device_ca_spec_t){PKEY_P256, 0, true}, "device-ca-3");
    assert_ok(keeper_next_ca(f->keeper, &next));
    assert_ok(cms_verify(buf_bytes(&next), NULL, NULL, &s));
    assert_true(cert_same(cms_signed_cert(s), f->keys->device_ca->cert));
    assert_ok(cms_parse_certs(cms_signed_content(s), &certs));
    assert_int_equal(certs.n, 4); /* two of the RA, the CA, the root */
    f->role = ROLE_COURIER;
    assert_err(ERR_DENIED, keeper_next_ca(f->keeper, &next));
    f->role = ROLE_WEB;
}

static void test_rollover__ra_mode_has_keys_of_its_own(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(keeper_cas_done) keeper_cas_t cas = {0};
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(cert_free) cert_t *signer = NULL;
    roll_ok(f, NULL, "device-ca-3");
    assert_ok(keeper_device_cas(f->keeper, &cas));
    const keeper_ca_t *ra = &cas.list[2];
    assert_int_equal(pkey_kind(cert_key(ra->cert)), PKEY_P256);
    assert_int_equal(cert_key_usage(ra->cert),
                     KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN);
    assert_int_equal(cert_key_usage(ra->signer), KEY_USAGE_DIGITAL_SIGNATURE);
    assert_int_equal(cert_key_usage(ra->recipient), KEY_USAGE_KEY_ENCIPHERMENT);
    assert_chain(f, ra->signer, 3);
    assert_chain(f, ra->recipient, 3);
    issue(f, 0, &cert, &signer);
    assert_chain(f, cert, 3);
    assert_true(cert_same(signer, ra->signer));
    assert_ok(open_for(f, ra->recipient));
    assert_err(ERR_VERIFY, open_for(f, ra->signer)); /* it opens nothing */
    assert_ok(open_for(f, cas.list[0].cert));
    assert_revocation(f, "device-ca-3", 3);
}

static void test_rollover__steps_come_in_order(void **state) {
    keeper_fixture_t *f = *state;
    char name[DEVICE_CA_NAME] = "unchanged";
    keeper_fixture_stop(f);
    assert_err(ERR_NOT_FOUND, roll(f, NULL, name));
    assert_ok(roll(f, &rsa, name));
    assert_err(ERR_EXISTS, roll(f, &rsa, name));
    assert_string_equal(name, "device-ca-4");
    for (unsigned i = 5; i <= LIMIT_DEVICE_CAS; i++) {
        assert_ok(roll(f, NULL, name));
        assert_ok(roll(f, &rsa, name));
    }
    assert_ok(roll(f, NULL, name));
    assert_err(ERR_LIMIT, roll(f, &rsa, name));
    keeper_fixture_start(f);
    assert_int_equal(f->keys->device_cas_n, LIMIT_DEVICE_CAS);
}

/* When the former's certificate ends, so does opening for it; lists may still be had. */
static void test_rollover__a_former_ends(void **state) {
    keeper_fixture_t *f = *state;
    const cert_t *former = f->keys->device_cas[0].cert;
    assert_ok(open_for(f, former));
    int64_t now = clk_unix(&f->clk.clk);
    clk_fake_advance(&f->clk, (cert_not_after(former) - now + 60) * 1000);
    assert_err(ERR_VERIFY, open_for(f, former));
    assert_ok(open_for(f, f->keys->device_ca->recipient));
}

static void test_rollover__failing_allocations_change_nothing_or_all(void **state) {
    keeper_fixture_t *f = *state;
    keeper_fixture_done(f);
    keeper_fixture_make(f);
    keeper_fixture_stop(f);
    bool done = false, made = false;
    for (unsigned long n = 1; !done && n < 4000; n += 13) {
        char name[DEVICE_CA_NAME] = "";
        fault_arm_memory(n);
        err_t *e = roll(f, &(device_ca_spec_t){PKEY_P256, 0, true}, name);
        done = !fault_memory_fired();
        fault_arm_memory(0);
        /* The deed may be done and only telling of it have failed. */
        made |= e && err_code(e) == ERR_EXISTS;
        err_free(e);
        keeper_fixture_start(f);
        assert_in_range(f->keys->device_cas_n, 1, 2);
        assert_int_equal(f->keys->device_ca->generation, 1);
        made |= f->keys->device_cas_n == 2;
        keeper_fixture_stop(f);
        done |= made;
    }
    assert_true(made);
    keeper_fixture_start(f);
}

static void test_rollover__what_was_changed_is_noticed(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(keyring_free) keyring_t *keys = NULL;
    secret_t *master = NULL;
    CLEANUP(vault_free) vault_t *vault = NULL;
    keeper_fixture_stop(f);
    keeper_fixture_sql(f, "UPDATE key SET wrapped = (SELECT wrapped FROM key WHERE name = "
                          "'storage') WHERE name = 'device-ca-state'");
    assert_ok(master_provider("file")->load(f->vault_dir, &master));
    vault_options_t options = {f->vault_dir, master, &f->clk.clk, rnd_real()};
    assert_ok(vault_open(&options, false, &vault));
    secret_free(master);
    assert_err(ERR_VERIFY, keyring_load(vault, &keys));
}

static err_t *scep_crl(keeper_fixture_t *f, uint8_t generation, bytes_t crl) {
    CLEANUP(buf_done) buf_t certrep, plain;
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    buf_init(&plain, LIMIT_CMS_BYTES);
    keeper_scep_reply_t reply = reply_for(f, 0);
    TRY(keeper_scep_crl(f->keeper, generation, crl, &reply, &certrep));
    assert_ok(cms_verify(buf_bytes(&certrep), NULL, NULL, &s));
    assert_ok(
        cms_decrypt(cms_signed_content(s), f->device_self, f->device_key, NULL, &plain, NULL));
    CLEANUP(buf_done) buf_t expected;
    buf_init(&expected, LIMIT_CMS_BYTES);
    assert_ok(cms_crl_only(crl, &expected));
    assert_true(bytes_eq(buf_bytes(&plain), buf_bytes(&expected)));
    return NULL;
}

/* RFC 8894 section 4.5; what is signed is nothing but a good list of the CA that is named. */
static void test_scep_crl__only_lists_of_ours(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t good, late, foreign;
    buf_init(&good, 65536);
    buf_init(&late, 65536);
    buf_init(&foreign, 65536);
    const device_ca_t *ca = &f->keys->device_cas[0];
    int64_t now = clk_unix(&f->clk.clk);
    crl_spec_t spec = {.number = 1, .this_update = now - 60, .next_update = now + 60};
    assert_ok(crl_build(&spec, ca->cert, ca->key, &good));
    assert_ok(crl_build(&spec, f->keys->root, f->keys->root_key, &foreign));
    spec.next_update = now - 1;
    assert_ok(crl_build(&spec, ca->cert, ca->key, &late));
    assert_ok(scep_crl(f, 1, buf_bytes(&good)));
    assert_err(ERR_VERIFY, scep_crl(f, 1, buf_bytes(&foreign)));
    assert_err(ERR_VERIFY, scep_crl(f, 1, buf_bytes(&late)));
    assert_err(ERR_INVALID, scep_crl(f, 1, BYTES_LIT("some bytes to sign")));
    assert_err(ERR_INVALID, scep_crl(f, 0, buf_bytes(&good)));
    assert_err(ERR_INVALID, scep_crl(f, LIMIT_DEVICE_CAS + 1, buf_bytes(&good)));
    assert_err(ERR_VERIFY, scep_crl(f, 2, buf_bytes(&good)));
    good.p[good.n - 1] ^= 1;
    assert_err(ERR_VERIFY, scep_crl(f, 1, buf_bytes(&good)));
}

static void test_device_ca_spec__what_goes_together(void **state) {
    (void)state;
    device_ca_spec_t spec;
    assert_ok(device_ca_spec_parse(NULL, NULL, &spec));
    assert_true(spec.kind == PKEY_RSA && spec.bits == 2048 && !spec.ra);
    assert_ok(device_ca_spec_parse("p256", NULL, &spec));
    assert_true(spec.kind == PKEY_P256 && spec.ra);
    assert_ok(device_ca_spec_parse("rsa4096", "ra", &spec));
    assert_true(spec.kind == PKEY_RSA && spec.bits == 4096 && spec.ra);
    assert_err(ERR_USAGE, device_ca_spec_parse("p384", "ca", &spec));
    assert_err(ERR_USAGE, device_ca_spec_parse("rsa1024", NULL, &spec));
    assert_err(ERR_USAGE, device_ca_spec_parse("rsa2048", "both", &spec));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollover__next_then_current),
        cmocka_unit_test(test_rollover__the_next_is_signed_by_the_current),
        cmocka_unit_test(test_rollover__ra_mode_has_keys_of_its_own),
        cmocka_unit_test(test_scep_crl__only_lists_of_ours),
        cmocka_unit_test(test_rollover__steps_come_in_order),
        cmocka_unit_test(test_rollover__a_former_ends),
        cmocka_unit_test(test_device_ca_spec__what_goes_together),
        cmocka_unit_test(test_rollover__failing_allocations_change_nothing_or_all),
        cmocka_unit_test(test_rollover__what_was_changed_is_noticed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
