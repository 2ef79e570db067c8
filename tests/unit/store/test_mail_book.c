/* Rows of the mail book: what is seen again, what is forgotten, whose word is the newest. */
#include "store_fixture.h"

#include "store/certs.h"
#include "store/mail_book.h"
#include "store/people.h"

enum { ARENA = 1 << 20 };

static db_mail_cert_t row_of(const char *address, const char *name, bool trusted, int64_t time) {
    return (db_mail_cert_t){.address = address,
                            .fingerprint = bytes_str(name),
                            .der = bytes_str("der"),
                            .chain = BYTES_NONE,
                            .trusted = trusted,
                            .not_after = 99,
                            .message_s = time,
                            .first_seen_ms = time,
                            .last_seen_ms = time};
}

static bool put(db_conn_t *conn, const char *address, const char *name, bool trusted,
                int64_t time) {
    db_mail_cert_t row = row_of(address, name, trusted, time);
    bool is_new = false;
    assert_ok(db_mail_certs_put(conn, &row, &is_new));
    return is_new;
}

static size_t count_of(db_conn_t *conn, arena_t *arena, const char *address) {
    db_mail_cert_t *rows = NULL;
    size_t n = 0;
    assert_ok(db_mail_certs_of(conn, arena, address, 100, &rows, &n));
    return n;
}

static err_t *check_certs(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_mail_cert_t *rows = NULL, again = row_of("a@b", "2", true, 5);
    size_t n = 0;
    bool flag = true;
    assert_true(put(conn, "a@b", "1", true, 10));
    assert_true(put(conn, "a@b", "2", false, 20));
    assert_true(put(conn, "c@d", "1", true, 1)); /* one certificate, two names */
    again.chain = bytes_str("chain");
    assert_ok(db_mail_certs_put(conn, &again, &flag)); /* an older message, trusted now */
    assert_false(flag);
    assert_ok(db_mail_certs_of(conn, arena, "a@b", 9, &rows, &n));
    assert_int_equal(n, 2);
    assert_true(bytes_eq_str(rows[0].fingerprint, "2"));
    assert_int_equal(rows[0].message_s, 20);
    assert_int_equal(rows[0].first_seen_ms, 20);
    assert_int_equal(rows[0].last_seen_ms, 5);
    assert_true(rows[0].trusted && bytes_eq_str(rows[0].chain, "chain"));
    assert_false(put(conn, "a@b", "2", true, 6)); /* without a chain it keeps the one it has */
    assert_ok(db_mail_certs_of(conn, arena, "a@b", 1, &rows, &n));
    assert_true(n == 1 && bytes_eq_str(rows[0].chain, "chain"));
    assert_ok(db_mail_certs_list(conn, arena, "a@b", bytes_str("1"), 9, &rows, &n));
    assert_int_equal(n, 2);
    assert_string_equal(rows[1].address, "c@d");
    assert_ok(db_mail_certs_remove(conn, bytes_str("1"), &flag));
    assert_true(flag);
    assert_int_equal(count_of(conn, arena, "c@d"), 0);
    assert_ok(db_mail_certs_remove(conn, bytes_str("1"), &flag));
    assert_false(flag);
    return NULL;
}

static err_t *check_trim(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    char name[8];
    assert_true(put(conn, "a@b", "old", true, 1)); /* trusted: stays whatever comes */
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_true(put(conn, "a@b", name, false, 10 + i));
    }
    assert_ok(db_mail_certs_trim(conn, "a@b", 100, 4));
    assert_int_equal(count_of(conn, arena, "a@b"), 5);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_true(put(conn, name, name, false, 100 + i));
    }
    assert_ok(db_mail_certs_trim(conn, "m5", 6, 4)); /* those of a@b were seen longest ago */
    assert_int_equal(count_of(conn, arena, "a@b"), 1);
    assert_int_equal(count_of(conn, arena, "m0"), 1);
    return NULL;
}

static void peer_is(db_conn_t *conn, arena_t *arena, const char *expected) {
    bytes_t value;
    bool found = false;
    assert_ok(db_mail_peers_get(conn, arena, "a@b", &value, &found));
    assert_true(found && bytes_eq_str(value, expected));
}

static err_t *check_peers(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    bytes_t value;
    bool found = true;
    assert_ok(db_mail_peers_get(conn, arena, "a@b", &value, &found));
    assert_false(found);
    assert_ok(db_mail_peers_put(conn, "a@b", bytes_str("new"), 20, 1));
    assert_ok(db_mail_peers_put(conn, "a@b", bytes_str("old"), 19, 2)); /* an old message again */
    peer_is(conn, arena, "new");
    assert_ok(db_mail_peers_put(conn, "a@b", bytes_str("newer"), 20, 3));
    peer_is(conn, arena, "newer");
    return NULL;
}

static err_t *check_trust_and_groups(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_mail_trust_t one = {.fingerprint = bytes_str("1"),
                           .kind = "ca",
                           .domain = "a.example",
                           .der = bytes_str("d"),
                           .why = "",
                           .created_by = "x",
                           .created_ms = 1};
    db_mail_trust_t *rows = NULL;
    db_mail_member_t *members = NULL;
    size_t n = 0;
    bool found = false;
    assert_ok(db_mail_trust_put(conn, &one));
    one.domain = "";
    assert_ok(db_mail_trust_put(conn, &one));
    assert_ok(db_mail_trust_list(conn, arena, 9, &rows, &n));
    assert_true(n == 1 && rows[0].domain[0] == 0);
    assert_ok(db_mail_trust_remove(conn, bytes_str("1"), &found));
    assert_true(found);
    for (int i = 0; i < 2; i++)
        assert_ok(db_mail_groups_add(conn, &(db_mail_member_t){"g", "m", "x", 1}));
    assert_ok(db_mail_groups_add(conn, &(db_mail_member_t){"g", "k", "x", 1}));
    assert_ok(db_mail_groups_add(conn, &(db_mail_member_t){"h", "a", "x", 1}));
    assert_ok(db_mail_groups_of(conn, arena, "g", 9, &members, &n));
    assert_int_equal(n, 2);
    assert_string_equal(members[0].member, "k");
    assert_ok(db_mail_groups_list(conn, arena, "g", "k", 9, &members, &n));
    assert_int_equal(n, 2);
    assert_string_equal(members[1].address, "h");
    assert_ok(db_mail_groups_remove(conn, "g", &found));
    assert_true(found);
    assert_ok(db_mail_groups_remove(conn, "g", &found));
    assert_false(found);
    return NULL;
}

static err_t *check_own(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_mail_own_t *rows = NULL;
    size_t n = 0;
    db_person_t person = {.id = "p1",
                          .email = "a@b",
                          .name = "",
                          .role = "member",
                          .password_hash = "",
                          .source = "",
                          .external_id = ""};
    assert_ok(db_people_add(conn, &person));
    for (int i = 0; i < 2; i++)
        assert_ok(
            db_certificates_add(conn, &(db_certificate_t){.fingerprint = bytes_str(i ? "f1" : "f0"),
                                                          .issuer = "mail-ca",
                                                          .serial = i ? "1" : "0",
                                                          .profile = "mail-encrypt",
                                                          .subject = "",
                                                          .enrolment_id = "",
                                                          .person_id = "p1",
                                                          .spki_sha256 = bytes_str("s"),
                                                          .der = bytes_str(i ? "newer" : "older"),
                                                          .created_ms = i}));
    assert_ok(db_mail_own_of(conn, arena, "a@b", 9, &rows, &n));
    assert_int_equal(n, 2);
    assert_true(bytes_eq_str(rows[0].der, "newer") && !rows[0].archived);
    assert_ok(db_mail_own_of(conn, arena, "c@d", 9, &rows, &n));
    assert_int_equal(n, 0);
    return NULL;
}

static void run(db_fn fn) {
    fixture_t f;
    arena_t *arena CLEANUP(arena_free) = NULL;
    fixture_migrated(&f);
    assert_ok(arena_new(ARENA, &arena));
    assert_ok(db_write(f.db, fn, arena));
    fixture_done(&f);
}

static void test_mail_book__notes_what_is_seen_again(void **state) {
    (void)state;
    run(check_certs);
}
static void test_mail_book__forgets_untrusted_ones_beyond_limits(void **state) {
    (void)state;
    run(check_trim);
}
static void test_mail_book__believes_the_newest_message(void **state) {
    (void)state;
    run(check_peers);
}
static void test_mail_book__keeps_trust_and_groups(void **state) {
    (void)state;
    run(check_trust_and_groups);
}
static void test_mail_book__finds_our_own(void **state) {
    (void)state;
    run(check_own);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_book__notes_what_is_seen_again),
        cmocka_unit_test(test_mail_book__forgets_untrusted_ones_beyond_limits),
        cmocka_unit_test(test_mail_book__believes_the_newest_message),
        cmocka_unit_test(test_mail_book__keeps_trust_and_groups),
        cmocka_unit_test(test_mail_book__finds_our_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
