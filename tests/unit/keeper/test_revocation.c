/* Lists and statuses are signed from values, within times, by responders that are renewed. */
#include "ipc/frame.h"
#include "keeper/client_revocation.h"
#include "keeper_fixture.h"

enum { DAY = 86400, COUNT = 20000 };

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

static keeper_crl_t crl_now(const keeper_fixture_t *f) {
    int64_t now = clk_unix(&f->clk.clk);
    return (keeper_crl_t){.issuer = "device-ca",
                          .profile = "",
                          .number = 1,
                          .this_update = now,
                          .next_update = now + DAY};
}

static void make_entries(const keeper_fixture_t *f, unsigned count, buf_t *out) {
    uint8_t serial[] = {0x41, 0, 0, 0};
    for (unsigned i = 0; i < count; i++) {
        serial[2] = (uint8_t)(i >> 8);
        serial[3] = (uint8_t)i;
        crl_entry_t entry = {BYTES_ARRAY(serial), clk_unix(&f->clk.clk), CRL_SUPERSEDED};
        assert_ok(crl_entry_put(&entry, out));
    }
}

/* More entries than a frame holds, put together and checked as a client would. */
static void test_revocation__signs_long_lists(void **state) {
    keeper_fixture_t *f = *state;
    keeper_crl_t crl = crl_now(f);
    CLEANUP(buf_done) buf_t entries, head, tail, signature, whole;
    buf_init(&entries, 8 << 20);
    buf_init(&head, 65536);
    buf_init(&tail, 65536);
    buf_init(&signature, 4096);
    buf_init(&whole, 8 << 20);
    make_entries(f, COUNT, &entries);
    assert_true(entries.n > FRAME_BODY_MAX);
    assert_ok(keeper_crl_sign(f->keeper, &crl, buf_bytes(&entries), &head, &tail, &signature));
    CLEANUP(buf_done) buf_t end;
    buf_init(&end, 4096);
    const cert_t *ca = f->keys->device_ca->cert;
    assert_ok(crl_put_signature(ca, buf_bytes(&signature), &end));
    assert_ok(crl_put_outer(head.n + entries.n + tail.n + end.n, &whole));
    assert_ok(buf_add(&whole, buf_bytes(&head)));
    assert_ok(buf_add(&whole, buf_bytes(&entries)));
    assert_ok(buf_add(&whole, buf_bytes(&tail)));
    assert_ok(buf_add(&whole, buf_bytes(&end)));
    static const uint8_t serial[] = {0x41, 0, 0x4e, 0x1f};
    bool revoked = false;
    crl_reason_t reason = CRL_UNSPECIFIED;
    assert_ok(crl_check(buf_bytes(&whole), ca, clk_unix(&f->clk.clk), BYTES_ARRAY(serial), &revoked,
                        &reason));
    assert_true(revoked);
    assert_int_equal(reason, CRL_SUPERSEDED);
}

/* A process that ends waits for no list. */
static void test_revocation__stops_when_asked(void **state) {
    keeper_fixture_t *f = *state;
    keeper_crl_t crl = crl_now(f);
    static _Atomic bool stop;
    CLEANUP(buf_done) buf_t entries, head, tail, signature;
    buf_init(&entries, 8 << 20);
    buf_init(&head, 65536);
    buf_init(&tail, 65536);
    buf_init(&signature, 4096);
    make_entries(f, 10, &entries);
    crl.stop = &stop;
    assert_ok(keeper_crl_sign(f->keeper, &crl, buf_bytes(&entries), &head, &tail, &signature));
    stop = true;
    assert_err(ERR_UNAVAILABLE,
               keeper_crl_sign(f->keeper, &crl, buf_bytes(&entries), &head, &tail, &signature));
}

static err_t *sign_list(keeper_fixture_t *f, const keeper_crl_t *crl, bytes_t entries) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1 << 20);
    return keeper_crl_sign(f->keeper, crl, entries, &out, &out, &out);
}

static void test_revocation__refuses_what_is_no_list(void **state) {
    keeper_fixture_t *f = *state;
    keeper_crl_t crl = crl_now(f);
    crl.this_update -= 2 * DAY;
    assert_err(ERR_DENIED, sign_list(f, &crl, BYTES_NONE));
    crl = crl_now(f);
    crl.next_update = crl.this_update + LIMIT_KEEPER_CRL_LIFETIME_S + 1;
    assert_err(ERR_DENIED, sign_list(f, &crl, BYTES_NONE));
    crl = crl_now(f);
    crl.number = 0;
    assert_err(ERR_INVALID, sign_list(f, &crl, BYTES_NONE));
    crl = crl_now(f);
    crl.issuer = "nobody";
    assert_err(ERR_NOT_FOUND, sign_list(f, &crl, BYTES_NONE));
    crl = crl_now(f);
    f->role = ROLE_COURIER;
    assert_err(ERR_DENIED, sign_list(f, &crl, BYTES_NONE));
    f->role = ROLE_WEB;
    /* Bytes that are no entries, a to-be-signed certificate say, are not signed. */
    assert_err(ERR_INVALID, sign_list(f, &crl, BYTES_LIT("\x30\x03\x02\x01\x05")));
    for (int i = 0; i < 2 * LIMIT_KEEPER_CRL_BUILDS; i++) /* a failed one keeps no place */
        assert_err(ERR_INVALID, sign_list(f, &crl, BYTES_LIT("\x30\x00")));
    crl.profile = "device-identity";
    crl.delta = true;
    assert_ok(sign_list(f, &crl, BYTES_NONE));
}

typedef struct {
    const ocsp_data_t *data;
    size_t count;
} taken_t;

static err_t *take(void *arg, size_t index, bytes_t signature) {
    taken_t *taken = arg;
    assert_int_equal(index, taken->count++);
    assert_true(signature.n > 60);
    return NULL;
}

static void test_revocation__signs_statuses_in_batches(void **state) {
    keeper_fixture_t *f = *state;
    static ocsp_single_t list[LIMIT_KEEPER_OCSP_BATCH];
    static const uint8_t serial[] = {0x41, 7};
    int64_t now = clk_unix(&f->clk.clk);
    for (size_t i = 0; i < LIMIT_KEEPER_OCSP_BATCH; i++) list[i].serial = BYTES_ARRAY(serial);
    keeper_ocsp_t ask = {.issuer = "device-ca",
                         .this_update = now,
                         .next_update = now + DAY,
                         .list = list,
                         .n = LIMIT_KEEPER_OCSP_BATCH};
    taken_t taken = {0};
    CLEANUP(cert_free) cert_t *first = NULL;
    CLEANUP(cert_free) cert_t *again = NULL;
    CLEANUP(cert_free) cert_t *later = NULL;
    assert_ok(keeper_ocsp_sign(f->keeper, &ask, take, &taken, &first));
    assert_int_equal(taken.count, LIMIT_KEEPER_OCSP_BATCH);
    assert_true(cert_has_eku(first, OID_EKU_OCSP_SIGNING));
    assert_ok(cert_verify_signed_by_key(first, cert_key(f->keys->device_ca->cert)));
    ask.n = 3;
    ask.joint = true;
    ask.nonce = BYTES_LIT("0123456789");
    taken.count = 0;
    assert_ok(keeper_ocsp_sign(f->keeper, &ask, take, &taken, &again));
    assert_int_equal(taken.count, 1);
    assert_true(cert_same(first, again));
    ask.joint = false;
    cert_t *none = NULL;
    assert_err(ERR_INVALID, keeper_ocsp_sign(f->keeper, &ask, take, &taken, &none));
    ask.nonce = BYTES_NONE;
    ask.next_update = now + LIMIT_KEEPER_OCSP_LIFETIME_S + 1;
    assert_err(ERR_DENIED, keeper_ocsp_sign(f->keeper, &ask, take, &taken, &none));
    /* A new responder before the old one ends, and long enough for all it signs. */
    clk_fake_advance(&f->clk, (int64_t)(LIMIT_KEEPER_OCSP_LIFETIME_S + DAY) * 1000);
    ask.this_update = clk_unix(&f->clk.clk);
    ask.next_update = ask.this_update + LIMIT_KEEPER_OCSP_LIFETIME_S;
    taken.count = 0;
    assert_ok(keeper_ocsp_sign(f->keeper, &ask, take, &taken, &later));
    assert_false(cert_same(first, later));
    assert_true(cert_not_after(later) >= ask.next_update);
}

static void test_revocation__certificates_say_where(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t csr, der;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    keeper_fixture_csr(f, "phone", NULL, &csr);
    keeper_request_t request = {"device-identity", buf_bytes(&csr), "", "enrolment-1"};
    assert_ok(keeper_fixture_issue(f, &request, &der));
    static const char *const urls[] = {
        "http://coffer.example.org/ca/crl/device-ca/device-identity.crl",
        "http://coffer.example.org/ocsp", "http://coffer.example.org/ca/device-ca.der"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        assert_non_null(memmem(der.p, der.n, urls[i], strlen(urls[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revocation__signs_long_lists),
        cmocka_unit_test(test_revocation__stops_when_asked),
        cmocka_unit_test(test_revocation__refuses_what_is_no_list),
        cmocka_unit_test(test_revocation__certificates_say_where),
        cmocka_unit_test(test_revocation__signs_statuses_in_batches),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
