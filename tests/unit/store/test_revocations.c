/* What is revoked, what lists show of it, and statuses signed ahead. */
#include "store_fixture.h"

#include "store/certs.h"
#include "store/ocsp_rows.h"
#include "store/revocations.h"

enum { NOW_MS = 1700000000, FAR_S = 2000000000, LAPSED_S = 1600000000 };

static const uint8_t serials[3][2] = {{0x41, 1}, {0x41, 2}, {0x41, 3}};
static const char *const hex[3] = {"4101", "4102", "4103"};

static err_t *add_three(db_conn_t *conn, void *arg) {
    (void)arg;
    for (unsigned i = 0; i < 3; i++)
        TRY(db_certificates_add(conn, &(db_certificate_t){.fingerprint = BYTES_ARRAY(serials[i]),
                                                          .issuer = "device-ca",
                                                          .serial = hex[i],
                                                          .profile = i ? "b" : "a",
                                                          .not_after = i == 2 ? LAPSED_S : FAR_S}));
    return NULL;
}

static err_t *revoke_it(db_conn_t *conn, unsigned i, int64_t reason, int64_t ms) {
    return db_revocations_put(conn, &(db_revocation_t){.fingerprint = BYTES_ARRAY(serials[i]),
                                                       .issuer = "device-ca",
                                                       .serial = BYTES_ARRAY(serials[i]),
                                                       .profile = i ? "b" : "a",
                                                       .reason = reason,
                                                       .revoked_ms = ms,
                                                       .changed_ms = ms,
                                                       .not_after = i == 2 ? LAPSED_S : FAR_S,
                                                       .actor = "x",
                                                       .why = "y"});
}

static err_t *count(void *arg, const db_revoked_t *entry) {
    ++*(int *)arg;
    assert_int_equal(entry->serial.n, 2);
    return NULL;
}

static void expect(db_conn_t *conn, const char *profile, int full, int changed, int64_t since) {
    int a = 0, b = 0;
    size_t n = 0;
    assert_ok(db_revocations_each(conn, "device-ca", profile, LAPSED_S + 1, 0, 10, count, &a, &n));
    assert_ok(db_revocations_changed(conn, "device-ca", profile, since, count, &b));
    assert_int_equal(a, full);
    assert_int_equal(n, full);
    assert_int_equal(b, changed);
}

static err_t *check_lists(db_conn_t *conn, void *arg) {
    (void)arg;
    TRY(add_three(conn, NULL));
    expect(conn, "", 0, 0, 0);
    TRY(revoke_it(conn, 0, 6, 1000));
    TRY(revoke_it(conn, 1, 1, 2000));
    TRY(revoke_it(conn, 2, 1, 3000)); /* expired: on no full list */
    expect(conn, "", 2, 3, 0);
    expect(conn, "a", 1, 1, 0);
    expect(conn, "b", 1, 1, 2500);
    TRY(revoke_it(conn, 0, 8, 4000)); /* the hold ended: deltas say so */
    expect(conn, "", 1, 2, 3000);
    db_ocsp_known_t known;
    TRY(db_ocsp_get(conn, "device-ca", "4101", &known));
    assert_true(known.found && known.revoked_ms == 0);
    TRY(db_ocsp_get(conn, "device-ca", "4102", &known));
    assert_true(known.revoked_ms == 2000 && known.reason == 1);
    TRY(db_ocsp_get(conn, "device-ca", "41ff", &known));
    assert_false(known.found);
    return NULL;
}

static err_t *check_statuses(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_ocsp_due_t due[4];
    size_t n = 0;
    const char *last = NULL;
    db_ocsp_known_t known;
    db_ocsp_status_t status = {.next_update = 500, .signature_n = 3};
    TRY(add_three(conn, NULL));
    TRY(db_ocsp_due(conn, arena, "device-ca", "", LAPSED_S + 1, 100, 2, due, &n, &last));
    assert_int_equal(n, 2);
    assert_string_equal(last, "4102"); /* a full page: go on from there */
    TRY(db_ocsp_due(conn, arena, "device-ca", last, LAPSED_S + 1, 100, 2, due, &n, &last));
    assert_int_equal(n, 0); /* expired */
    assert_string_equal(last, "");
    TRY(db_ocsp_put(conn, "device-ca", "4101", &status));
    TRY(db_ocsp_get(conn, "device-ca", "4101", &known));
    assert_int_equal(known.signed_status.signature_n, 3);
    TRY(db_ocsp_due(conn, arena, "device-ca", "", LAPSED_S + 1, 100, 4, due, &n, &last));
    assert_int_equal(n, 1);
    TRY(db_ocsp_due(conn, arena, "device-ca", "", LAPSED_S + 1, 501, 4, due, &n, &last));
    assert_int_equal(n, 2);
    TRY(revoke_it(conn, 0, 1, 7000));
    TRY(db_ocsp_drop(conn, "device-ca", "4101"));
    TRY(db_ocsp_put(conn, "device-ca", "4101", &status)); /* signed "good" before: comes too late */
    TRY(db_ocsp_get(conn, "device-ca", "4101", &known));
    assert_int_equal(known.signed_status.signature_n, 0);
    return NULL;
}

static void test_revocations__lists_show_what_they_should(void **state) {
    (void)state;
    fixture_t f;
    fixture_migrated(&f);
    assert_ok(db_write(f.db, check_lists, NULL));
    fixture_done(&f);
}

static void test_revocations__statuses_are_signed_once_and_never_stale(void **state) {
    (void)state;
    fixture_t f;
    arena_t *arena = NULL;
    fixture_migrated(&f);
    assert_ok(arena_new(65536, &arena));
    assert_ok(db_write(f.db, check_statuses, arena));
    arena_free(arena);
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revocations__lists_show_what_they_should),
        cmocka_unit_test(test_revocations__statuses_are_signed_once_and_never_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
