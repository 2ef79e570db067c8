/*
 * Renewing identities over time: expiry, grace, clocks that jump, revocation, approval that comes
 * late; and devices that go on with what they renewed to (RFC 8894 section 2.3).
 */
#include <stdio.h>

#include "base/mem.h"
#include "device_fixture.h"
#include "pki/pending.h"
#include "pki/scep.h"
#include "store/scep.h"

#define DAY_MS  ((int64_t)86400 * 1000)
#define SCEP(n) "2.16.840.1.113733.1.9." n

static int setup(void **state) {
    fx_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    fx_make(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fx_done(*state);
    mem_free(*state);
    return 0;
}

/*
 * The same instance with other settings. Messages carry the real time as their signingTime, so
 * clients' clocks may be as far off as a test moves the server's.
 */
static pki_t *pki_with(fx_t *f, const pki_options_t *changes) {
    pki_t *pki = NULL;
    pki_options_t o = *changes;
    o.db = f->db;
    o.clock_skew_s = 10000 * (int64_t)86400;
    o.keeper = f->keeper.keeper;
    o.audit = &f->audit;
    o.clk = &f->keeper.clk.clk;
    o.rnd = rnd_real();
    assert_ok(pki_new(&o, &pki));
    return pki;
}

/* A message of this type around `content`, signed by d's identity or another. */
static void make_message(fx_t *f, const cms_signer_t *signer, const char *type,
                         const char *transaction, bytes_t content, buf_t *out) {
    static const uint8_t nonce[16] = {9};
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, LIMIT_CMS_BYTES);
    assert_ok(cms_encrypt_to(content, pki_device_ca(f->pki), NULL, &envelope));
    cms_attribute_t a[] = {{SCEP("2"), CMS_PRINTABLE_STRING, bytes_str(type)},
                           {SCEP("7"), CMS_PRINTABLE_STRING, bytes_str(transaction)},
                           {SCEP("5"), CMS_OCTET_STRING, BYTES_ARRAY(nonce)}};
    cms_sign_options_t o = {.attributes = a, .attributes_n = 3};
    assert_ok(cms_sign(signer, buf_bytes(&envelope), &o, out));
}

/* "pending", "refused N" with the failInfo, or "ok" and the certificate (NULL: not wanted). */
static const char *judge(fx_t *f, const cert_t *recipient, const pkey_t *key, bytes_t body,
                         cert_t **ret_cert) {
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    CLEANUP(buf_done) buf_t plain;
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    const cms_verify_options_t verify = {.allow_no_content = true};
    bytes_t status, info;
    buf_init(&plain, LIMIT_CMS_BYTES);
    assert_ok(cms_verify(body, NULL, &verify, &s));
    assert_ok(cms_signed_require(s, SCEP("3"), CMS_PRINTABLE_STRING, &status));
    if (bytes_eq_str(status, "3")) return "pending";
    if (bytes_eq_str(status, "2")) {
        assert_ok(cms_signed_require(s, SCEP("4"), CMS_PRINTABLE_STRING, &info));
        (void)snprintf(f->outcome, sizeof f->outcome, "refused %c", info.p[0]);
        return f->outcome;
    }
    assert_ok(cms_decrypt(cms_signed_content(s), recipient, key, NULL, &plain, NULL));
    assert_ok(cms_parse_certs(buf_bytes(&plain), &certs));
    if (ret_cert) *ret_cert = cert_share(certs.certs[0]);
    return "ok";
}

/* RenewalReq for d's identity with its key; the new one into *ret_cert. */
static const char *renew(fx_t *f, pki_t *pki, const fx_device_t *d, const char *transaction,
                         cert_t **ret_cert) {
    CLEANUP(buf_done) buf_t csr, message;
    CLEANUP(scep_answer_done) scep_answer_t answer;
    csr_spec_t spec = {0};
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&message, LIMIT_CMS_BYTES);
    scep_answer_init(&answer);
    spec.subject = cert_subject_entries(d->cert, &spec.subject_n);
    assert_ok(csr_build(&spec, d->key, &csr));
    make_message(f, d->signer, "17", transaction, buf_bytes(&csr), &message);
    assert_ok(
        scep_handle(pki, BYTES_LIT("PKIOperation"), buf_bytes(&message), "192.0.2.1", &answer));
    return judge(f, d->cert, d->key, buf_bytes(&answer.body), ret_cert);
}

static void go_on_with(fx_device_t *d, cert_t *cert) {
    cms_signer_free(d->signer);
    cert_free(d->cert);
    d->signer = NULL;
    d->cert = cert;
    assert_ok(cms_signer_new(d->cert, d->key, NULL, &d->signer));
}

static const char *idle(fx_t *f, fx_device_t *d) {
    return fx_send(f, d, NULL, false,
                   BYTES_LIT("<plist version=\"1.0\"><dict><key>Status</key><string>Idle</string>"
                             "<key>UDID</key><string>UDID-A</string></dict></plist>"));
}

static void sql(fx_t *f, const char *text);

static err_t *script(db_conn_t *conn, void *arg) { return db_script(conn, arg); }

static void sql(fx_t *f, const char *text) {
    char copy[256];
    (void)snprintf(copy, sizeof copy, "%s", text);
    assert_ok(db_write(f->db, script, copy));
}

static void test_renewal__ends_with_the_certificate_and_its_grace(void **state) {
    fx_t *f = *state;
    CLEANUP(pki_free)
    pki_t *graceful = pki_with(f, &(pki_options_t){.renewal_grace_s = 10 * 86400});
    CLEANUP(pki_free) pki_t *strict = pki_with(f, &(pki_options_t){0});
    cert_t *cert = NULL;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    fx_advance(f, 364 * DAY_MS);
    assert_string_equal(renew(f, strict, d, "R1", &cert), "ok");
    cert_free(cert);
    fx_advance(f, 5 * DAY_MS);
    assert_string_equal(renew(f, strict, d, "R2", NULL), "refused 3");
    assert_string_equal(renew(f, graceful, d, "R3", &cert), "ok");
    cert_free(cert);
    fx_advance(f, 10 * DAY_MS);
    assert_string_equal(renew(f, graceful, d, "R4", NULL), "refused 3");
}

static void test_renewal__has_a_window(void **state) {
    fx_t *f = *state;
    CLEANUP(pki_free) pki_t *pki = pki_with(f, &(pki_options_t){.renewal_window_s = 30 * 86400});
    cert_t *cert = NULL;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_string_equal(renew(f, pki, d, "R1", NULL), "refused 2");
    fx_advance(f, 334 * DAY_MS);
    assert_string_equal(renew(f, pki, d, "R1", NULL), "refused 2");
    fx_advance(f, 2 * DAY_MS);
    assert_string_equal(renew(f, pki, d, "R1", &cert), "ok");
    cert_free(cert);
}

/* The server's clock jumps back before the certificate was made, and forth again. */
static void test_renewal__survives_clock_jumps(void **state) {
    fx_t *f = *state;
    cert_t *cert = NULL;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    fx_advance(f, -20 * DAY_MS);
    assert_string_equal(renew(f, f->pki, d, "R1", NULL), "refused 3");
    fx_advance(f, 20 * DAY_MS);
    assert_string_equal(renew(f, f->pki, d, "R1", &cert), "ok");
    go_on_with(d, cert);
    assert_string_equal(idle(f, d), "empty");
}

/* It renews three times before it calls again; by then the pinned identity has long expired. */
static void test_renewal__pin_follows_a_chain(void **state) {
    fx_t *f = *state;
    CLEANUP(pki_free) pki_t *pki = pki_with(f, &(pki_options_t){0});
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    for (int i = 0; i < 3; i++) {
        cert_t *cert = NULL;
        char transaction[8];
        (void)snprintf(transaction, sizeof transaction, "R%d", i);
        fx_advance(f, 300 * DAY_MS);
        assert_string_equal(renew(f, pki, d, transaction, &cert), "ok");
        go_on_with(d, cert);
    }
    assert_string_equal(idle(f, d), "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM certificate_renewal"), 3);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM device d JOIN certificate_renewal r"
                                  " ON d.identity = r.fingerprint"),
                     1);
    /* a chain with a hole belongs to nobody */
    sql(f, "UPDATE device SET identity = zeroblob(32)");
    assert_string_equal(idle(f, d), "403");
}

static void test_renewal__refuses_what_was_revoked(void **state) {
    fx_t *f = *state;
    cert_t *cert = NULL;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_string_equal(renew(f, f->pki, d, "R1", &cert), "ok");
    sql(f, "UPDATE certificate SET revoked_ms = 1");
    assert_string_equal(renew(f, f->pki, d, "R1", NULL), "refused 2"); /* nor is it repeated */
    assert_string_equal(renew(f, f->pki, d, "R2", NULL), "refused 2");
    sql(f, "UPDATE certificate SET revoked_ms = 0");
    go_on_with(d, cert);
    sql(f, "DELETE FROM scep_transaction");
    sql(f, "DELETE FROM certificate WHERE fingerprint IN"
           " (SELECT fingerprint FROM certificate_renewal)");
    assert_string_equal(renew(f, f->pki, d, "R3", NULL), "refused 4"); /* not in the records */
}

typedef struct {
    arena_t *arena;
    db_scep_pending_t *rows;
    size_t n;
} list_t;

static err_t *read_list(db_conn_t *conn, void *arg) {
    list_t *l = arg;
    return db_scep_pending_list(conn, l->arena, "", "", 10, &l->rows, &l->n);
}

static const char *only_pending(fx_t *f) {
    list_t l = {.arena = f->arena};
    assert_ok(db_read(f->db, read_list, &l));
    assert_int_equal(l.n, 1);
    return l.rows[0].id;
}

static void test_renewal__approval_may_come_late_but_not_too_late(void **state) {
    fx_t *f = *state;
    CLEANUP(pki_free)
    pki_t *pki = pki_with(f, &(pki_options_t){.manual_profiles = "other\ndevice-identity\n",
                                              .pending_ttl_s = 30 * 86400});
    cert_t *cert = NULL;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_true(pki_needs_approval(pki, "other") && !pki_needs_approval(pki, "device"));
    assert_string_equal(renew(f, pki, d, "R1", NULL), "pending");
    fx_advance(f, 20 * DAY_MS);
    assert_string_equal(renew(f, pki, d, "R1", NULL), "pending");
    const char *id = only_pending(f);
    fx_advance(f, 11 * DAY_MS);
    assert_string_equal(renew(f, pki, d, "R1", NULL), "refused 2");
    assert_err(ERR_BUSY, pki_pending_approve(pki, id, "person:admin@example.org"));
    assert_err(ERR_NOT_FOUND, pki_pending_deny(pki, "x", "", "person:admin@example.org"));
    assert_err(ERR_INVALID, pki_pending_deny(pki, id, "two\nlines", "person:admin@example.org"));
    sql(f, "DELETE FROM scep_pending");
    assert_string_equal(renew(f, pki, d, "R1", NULL), "pending");
    id = only_pending(f);
    assert_ok(pki_pending_approve(pki, id, "person:admin@example.org"));
    assert_err(ERR_BUSY, pki_pending_deny(pki, id, "", "person:admin@example.org"));
    assert_string_equal(renew(f, pki, d, "R1", &cert), "ok");
    cert_free(cert);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM scep_pending WHERE state = 'issued'"), 1);
}

/* What was approved is looked at again: the old certificate may have been revoked meanwhile. */
static void test_renewal__approval_does_not_outlive_the_certificate(void **state) {
    fx_t *f = *state;
    CLEANUP(pki_free)
    pki_t *pki = pki_with(f, &(pki_options_t){.manual_profiles = "device-identity\n"});
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_string_equal(renew(f, pki, d, "R1", NULL), "pending");
    assert_ok(pki_pending_approve(pki, only_pending(f), "person:admin@example.org"));
    sql(f, "UPDATE certificate SET revoked_ms = 1");
    assert_string_equal(renew(f, pki, d, "R1", NULL), "refused 2");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM certificate_renewal"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_renewal__ends_with_the_certificate_and_its_grace,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewal__has_a_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewal__survives_clock_jumps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewal__pin_follows_a_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewal__refuses_what_was_revoked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewal__approval_may_come_late_but_not_too_late,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_renewal__approval_does_not_outlive_the_certificate,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
