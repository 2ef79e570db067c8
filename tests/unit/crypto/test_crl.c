/* Revocation lists: entries are found, others are not, foreign and stale lists are refused. */
#include "fixture.h"

#include "base/text.h"
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

/* The same list as crl_build's, but for an ECDSA signature's randomness: up to tbsCertList's end.
 */
static void test_crl__pieces_make_the_same_list(void **state) {
    fixture_t *f = *state;
    crl_spec_t spec = {.number = 300,
                       .this_update = FIXTURE_NOW,
                       .next_update = FIXTURE_NOW + 86400,
                       .delta_url = "http://crl.example.org/d.crl"};
    enum { COUNT = 1000 };
    CLEANUP(buf_done) buf_t entries, list, signature, whole;
    buf_init(&entries, 1 << 20);
    buf_init(&list, 1 << 20);
    buf_init(&signature, 1024);
    buf_init(&whole, 1 << 20);
    uint8_t serial[] = {0x7f, 0, 0};
    for (unsigned i = 0; i < COUNT; i++) {
        serial[1] = (uint8_t)(i >> 8);
        serial[2] = (uint8_t)i;
        crl_entry_t entry = {BYTES_ARRAY(serial), FIXTURE_NOW - i, i % 2 ? CRL_HOLD : 0};
        assert_ok(crl_entry_put(&entry, &entries));
    }
    CLEANUP(crl_builder_free) crl_builder_t *builder = NULL;
    assert_ok(crl_builder_new(&spec, f->ca, f->ca_key, entries.n, &builder));
    bytes_t rest = buf_bytes(&entries);
    size_t count = 0;
    for (crl_entry_t entry; rest.n; count++) {
        if (count == 1) assert_err(ERR_INVALID, crl_builder_sign(builder, &signature));
        assert_ok(crl_entry_take(&rest, &entry));
        assert_ok(crl_builder_add(builder, &entry));
    }
    assert_int_equal(count, COUNT);
    crl_entry_t more = {BYTES_ARRAY(serial), FIXTURE_NOW, CRL_UNSPECIFIED};
    assert_err(ERR_LIMIT, crl_builder_add(builder, &more));
    assert_ok(crl_builder_sign(builder, &signature));
    assert_ok(crl_put_head(&spec, f->ca, entries.n, &list));
    assert_ok(buf_add(&list, buf_bytes(&entries)));
    assert_ok(crl_put_tail(&spec, f->ca, &list));
    assert_ok(crl_put_signature(f->ca, buf_bytes(&signature), &list));
    assert_ok(crl_put_outer(list.n, &whole));
    assert_ok(buf_add(&whole, buf_bytes(&list)));
    bool revoked = false;
    crl_reason_t reason = CRL_UNSPECIFIED;
    assert_ok(
        crl_check(buf_bytes(&whole), f->ca, FIXTURE_NOW, BYTES_ARRAY(serial), &revoked, &reason));
    assert_true(revoked);
    assert_int_equal(reason, CRL_HOLD);
}

static void test_crl__entries_have_one_form(void **state) {
    (void)state;
    static const uint8_t serial[] = {0x80, 1};
    crl_entry_t entry = {BYTES_ARRAY(serial), 1767225600, CRL_SUPERSEDED}, back;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 256);
    assert_ok(crl_entry_put(&entry, &der));
    bytes_t rest = buf_bytes(&der);
    assert_ok(crl_entry_take(&rest, &back));
    assert_int_equal(rest.n, 0);
    assert_true(bytes_eq(back.serial, entry.serial));
    assert_int_equal(back.time, entry.time);
    assert_int_equal(back.reason, CRL_SUPERSEDED);
    for (size_t n = 0; n < der.n; n++) {
        rest = bytes_make(der.p, n);
        assert_err(ERR_INVALID, crl_entry_take(&rest, &back));
    }
    for (unsigned reason = 0; reason < 256; reason++) { /* only reasons that exist */
        der.p[der.n - 1] = (uint8_t)reason;
        rest = buf_bytes(&der);
        bool good = reason > 0 && reason < 10 && reason != 7;
        err_t *e = crl_entry_take(&rest, &back);
        assert_int_equal(e == NULL, good);
        err_free(e);
    }
    assert_ok(crl_reason_parse(BYTES_LIT("KEYCOMPROMISE"), &back.reason));
    assert_int_equal(back.reason, CRL_KEY_COMPROMISE);
    assert_err(ERR_INVALID, crl_reason_parse(BYTES_LIT("because"), &back.reason));
}

/* A list that is asked often, as others make it available: DER or PEM. */
static void test_crl__is_asked_again_and_again(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der, pem;
    buf_init(&der, 65536);
    buf_init(&pem, 65536);
    build(f, &der);
    assert_ok(buf_add_str(&pem, "-----BEGIN X509 CRL-----\n"));
    assert_ok(text_base64(buf_bytes(&der), &pem));
    assert_ok(buf_add_str(&pem, "\n-----END X509 CRL-----\n"));
    for (int i = 0; i < 2; i++) {
        CLEANUP(crl_free) crl_t *crl = NULL;
        bool revoked = false;
        crl_reason_t reason = CRL_UNSPECIFIED;
        int64_t time = 0;
        assert_ok(crl_parse(buf_bytes(i ? &pem : &der), &crl));
        assert_true(bytes_eq(crl_issuer_der(crl), cert_subject_der(f->ca)));
        assert_ok(crl_verify(crl, f->ca));
        assert_err(ERR_VERIFY, crl_verify(crl, f->ec));
        assert_true(crl_is_current(crl, FIXTURE_NOW));
        assert_false(crl_is_current(crl, FIXTURE_NOW - 1));
        assert_false(crl_is_current(crl, FIXTURE_NOW + 86401));
        assert_ok(crl_ask(crl, cert_serial(f->ec), &revoked, &reason, &time));
        assert_false(revoked);
        assert_ok(crl_ask(crl, cert_serial(f->rsa), &revoked, &reason, &time));
        assert_true(revoked);
        assert_int_equal(reason, CRL_KEY_COMPROMISE);
        assert_int_equal(time, FIXTURE_NOW);
    }
    crl_t *none = NULL;
    assert_err(ERR_INVALID, crl_parse(BYTES_LIT("-----BEGIN X509 CRL-----\nAAAA\n"), &none));
    assert_err(ERR_INVALID, crl_parse(BYTES_NONE, &none));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crl__finds_the_revoked),
        cmocka_unit_test(test_crl__refuses_stale_foreign_and_changed),
        cmocka_unit_test(test_crl__refuses_a_foreign_key),
        cmocka_unit_test(test_crl__pieces_make_the_same_list),
        cmocka_unit_test(test_crl__entries_have_one_form),
        cmocka_unit_test(test_crl__is_asked_again_and_again),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
