/* Requests: what is asked for reads back; possession is proved; hostile requests are refused. */
#include "fixture.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/csr.h"

static const name_entry_t subject[] = {{"CN", "device-1"}, {"O", "Exämple"}};
static const san_entry_t sans[] = {{SAN_EMAIL, "person@example.org"}, {SAN_UPN, "p@example.org"}};
static const char *const ekus[] = {OID_EKU_CLIENT_AUTH};

static csr_spec_t full_spec(void) {
    return (csr_spec_t){.subject = subject,
                        .subject_n = 2,
                        .sans = sans,
                        .sans_n = 2,
                        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT,
                        .ekus = ekus,
                        .ekus_n = 1,
                        .challenge = BYTES_LIT("secret-challenge")};
}

static void test_csr__reads_what_was_built(void **state) {
    fixture_t *f = *state;
    const pkey_t *keys[] = {f->rsa_key, f->ec_key, f->ca_key};
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(buf_done) buf_t der;
        buf_init(&der, LIMIT_CSR_BYTES);
        csr_spec_t spec = full_spec();
        assert_ok(csr_build(&spec, keys[i], &der));
        CLEANUP(csr_free) csr_t *csr = NULL;
        assert_ok(csr_parse_der(buf_bytes(&der), &csr));
        assert_ok(csr_verify(csr));
        size_t n = 0;
        assert_string_equal(csr_subject(csr), "O=Exämple,CN=device-1");
        assert_string_equal(csr_subject_entries(csr, &n)[1].value, "Exämple");
        assert_int_equal(n, 2);
        assert_string_equal(csr_sans(csr, &n)[1].value, "p@example.org");
        assert_int_equal(n, 2);
        assert_int_equal(csr_sans(csr, &n)[1].kind, SAN_UPN);
        assert_int_equal(csr_key_usage(csr), spec.key_usage);
        assert_string_equal(csr_ekus(csr, &n)[0], OID_EKU_CLIENT_AUTH);
        assert_true(bytes_eq_str(csr_challenge(csr), "secret-challenge"));
        assert_true(pkey_same_public(csr_key(csr), keys[i]));
        assert_false(csr_wants_ca(csr));
        (void)csr_unknown_extensions(csr, &n);
        assert_int_equal(n, 0);
        assert_true(bytes_eq(csr_der(csr), buf_bytes(&der)));
    }
}

static void test_csr__empty_request_has_nothing(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CSR_BYTES);
    csr_spec_t spec = {0};
    assert_ok(csr_build(&spec, f->ec_key, &der));
    CLEANUP(csr_free) csr_t *csr = NULL;
    assert_ok(csr_parse_der(buf_bytes(&der), &csr));
    size_t n = 1;
    assert_string_equal(csr_subject(csr), "");
    (void)csr_subject_entries(csr, &n);
    assert_int_equal(n, 0);
    (void)csr_sans(csr, &n);
    assert_int_equal(n, 0);
    assert_int_equal(csr_challenge(csr).n, 0);
}

static void test_csr__possession_fails_on_any_change(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CSR_BYTES);
    csr_spec_t spec = full_spec();
    assert_ok(csr_build(&spec, f->ec_key, &der));
    size_t accepted = 0;
    for (size_t i = 0; i < der.n; i++) {
        der.p[i] ^= 0x01;
        csr_t *csr = NULL;
        err_t *e = csr_parse_der(buf_bytes(&der), &csr);
        if (!e) e = csr_verify(csr);
        if (!e) accepted++;
        err_free(e);
        csr_free(csr);
        der.p[i] ^= 0x01;
    }
    assert_int_equal(accepted, 0);
}

static void test_csr__refuses_cut_off_and_trailing(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 2 * LIMIT_CSR_BYTES);
    csr_spec_t spec = full_spec();
    assert_ok(csr_build(&spec, f->ec_key, &der));
    csr_t *csr = NULL;
    for (size_t n = 0; n < der.n; n++)
        assert_err(ERR_INVALID, csr_parse_der(bytes_make(der.p, n), &csr));
    assert_ok(buf_add_byte(&der, 0));
    assert_err(ERR_INVALID, csr_parse_der(buf_bytes(&der), &csr));
    while (der.n <= LIMIT_CSR_BYTES) assert_ok(buf_add_byte(&der, 0));
    assert_err(ERR_LIMIT, csr_parse_der(buf_bytes(&der), &csr));
}

static void test_csr__bounds_the_challenge(void **state) {
    fixture_t *f = *state;
    uint8_t challenge[LIMIT_SCEP_CHALLENGE + 1];
    memset(challenge, 'x', sizeof challenge);
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CSR_BYTES);
    csr_spec_t spec = full_spec();
    spec.challenge = BYTES_ARRAY(challenge);
    assert_ok(csr_build(&spec, f->ec_key, &der));
    csr_t *csr = NULL;
    assert_err(ERR_LIMIT, csr_parse_der(buf_bytes(&der), &csr));
    buf_clear(&der);
    spec.challenge.n--;
    assert_ok(csr_build(&spec, f->ec_key, &der));
    assert_ok(csr_parse_der(buf_bytes(&der), &csr));
    csr_free(csr);
}

static void test_csr__survives_every_failed_allocation(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CSR_BYTES);
    csr_spec_t spec = full_spec();
    assert_ok(csr_build(&spec, f->ec_key, &der));
    for (unsigned long n = 1;; n++) {
        assert_true(n < 10000);
        csr_t *csr = NULL;
        fault_arm_memory(n);
        err_t *e = csr_parse_der(buf_bytes(&der), &csr);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        assert_true((e == NULL) == (csr != NULL));
        err_free(e);
        csr_free(csr);
        if (!fired) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csr__reads_what_was_built),
        cmocka_unit_test(test_csr__empty_request_has_nothing),
        cmocka_unit_test(test_csr__possession_fails_on_any_change),
        cmocka_unit_test(test_csr__refuses_cut_off_and_trailing),
        cmocka_unit_test(test_csr__bounds_the_challenge),
        cmocka_unit_test(test_csr__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
