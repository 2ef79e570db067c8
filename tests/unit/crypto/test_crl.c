/* Revocation lists: entries are found, others are not, foreign and stale lists are refused. */
#include "fixture.h"

#include "crypto/crl.h"

static void build(const fixture_t *f, buf_t *out) {
    static const uint8_t big[] = {0x7f, 1, 2, 3};
    crl_entry_t entries[] = {
        {cert_serial(f->rsa), FIXTURE_NOW, CRL_KEY_COMPROMISE},
        {BYTES_ARRAY(big), FIXTURE_NOW, CRL_UNSPECIFIED},
    };
    crl_spec_t spec = {.entries = entries,
                       .entries_n = 2,
                       .number = 7,
                       .this_update = FIXTURE_NOW,
                       .next_update = FIXTURE_NOW + 86400};
    assert_ok(crl_build(&spec, f->ca, f->ca_key, out));
}

static void test_crl__finds_the_revoked(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 65536);
    build(f, &der);
    bool revoked = false;
    crl_reason_t reason = CRL_UNSPECIFIED;
    assert_ok(
        crl_check(buf_bytes(&der), f->ca, FIXTURE_NOW, cert_serial(f->rsa), &revoked, &reason));
    assert_true(revoked);
    assert_int_equal(reason, CRL_KEY_COMPROMISE);
    assert_ok(
        crl_check(buf_bytes(&der), f->ca, FIXTURE_NOW, cert_serial(f->ec), &revoked, &reason));
    assert_false(revoked);
}

static void test_crl__refuses_stale_foreign_and_changed(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 65536);
    build(f, &der);
    bytes_t serial = cert_serial(f->rsa);
    bool revoked = false;
    crl_reason_t reason = CRL_UNSPECIFIED;
    int64_t late = FIXTURE_NOW + 86401;
    assert_err(ERR_VERIFY, crl_check(buf_bytes(&der), f->ca, late, serial, &revoked, &reason));
    assert_err(ERR_VERIFY,
               crl_check(buf_bytes(&der), f->ca, FIXTURE_NOW - 1, serial, &revoked, &reason));
    assert_err(ERR_VERIFY,
               crl_check(buf_bytes(&der), f->ec, FIXTURE_NOW, serial, &revoked, &reason));
    assert_err(ERR_INVALID,
               crl_check(BYTES_LIT("nonsense"), f->ca, FIXTURE_NOW, serial, &revoked, &reason));
    der.p[der.n - 1] ^= 1;
    err_t *e = crl_check(buf_bytes(&der), f->ca, FIXTURE_NOW, serial, &revoked, &reason);
    assert_non_null(e);
    err_free(e);
}

static void test_crl__refuses_a_foreign_key(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 65536);
    crl_spec_t spec = {.this_update = FIXTURE_NOW, .next_update = FIXTURE_NOW + 1};
    assert_err(ERR_USAGE, crl_build(&spec, f->ca, f->ec_key, &der));
    spec.next_update = FIXTURE_NOW;
    assert_err(ERR_USAGE, crl_build(&spec, f->ca, f->ca_key, &der));
    assert_int_equal(der.n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crl__finds_the_revoked),
        cmocka_unit_test(test_crl__refuses_stale_foreign_and_changed),
        cmocka_unit_test(test_crl__refuses_a_foreign_key),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
