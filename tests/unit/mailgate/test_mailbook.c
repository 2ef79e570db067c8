/*
 * The mail book's memory: a lock is found again without asking the store, and never after anything
 * was written to it, another second of its life, or a revocation list that came in.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "../store/store_fixture.h"

#include "crypto/secret.h"
#include "program/common/mailbook_internal.h"
#include "store/mail_book.h"

enum { NOW = 1800000000, YEAR = 365 * 86400 };
#define PETER "peter@example.com"

typedef struct {
    fixture_t f;
    settings_t settings;
    char lists[128];
    pkey_t *key;
    cert_t *root, *peter;
    mailbook_t *book;
} world_t;

static cert_t *issue(const world_t *w, const char *name, bool ca) {
    static uint8_t serial[] = {1, 0};
    static const char *const ekus[] = {OID_EKU_EMAIL_PROTECTION};
    const name_entry_t subject[] = {{"CN", name}};
    const san_entry_t sans[] = {{SAN_EMAIL, name}};
    cert_t *cert = NULL;
    serial[1]++;
    assert_ok(
        cert_issue(&(cert_spec_t){.subject = subject,
                                  .subject_n = 1,
                                  .sans = sans,
                                  .sans_n = ca ? 0 : 1,
                                  .serial = BYTES_ARRAY(serial),
                                  .not_before = NOW - YEAR,
                                  .not_after = NOW + 30,
                                  .is_ca = ca,
                                  .key_usage = ca ? KEY_USAGE_CERT_SIGN : KEY_USAGE_KEY_AGREEMENT,
                                  .ekus = ekus,
                                  .ekus_n = ca ? 0 : 1,
                                  .key = w->key},
                   ca ? NULL : w->root, w->key, &cert));
    return cert;
}

static err_t *put_peter(db_conn_t *conn, void *arg) {
    const world_t *w = arg;
    bool fresh = false;
    return db_mail_certs_put(
        conn,
        &(db_mail_cert_t){.address = PETER,
                          .fingerprint = bytes_make(cert_sha256(w->peter), CERT_SHA256_SIZE),
                          .der = cert_der(w->peter),
                          .chain = BYTES_NONE,
                          .trusted = true,
                          .not_after = cert_not_after(w->peter),
                          .message_s = NOW,
                          .first_seen_ms = 1,
                          .last_seen_ms = 1},
        &fresh);
}

static err_t *remove_peter(db_conn_t *conn, void *arg) {
    const world_t *w = arg;
    bool found = false;
    return db_mail_certs_remove(conn, bytes_make(cert_sha256(w->peter), CERT_SHA256_SIZE), &found);
}

static err_t *write_nothing_of_it(db_conn_t *conn, void *arg) {
    (void)arg;
    return db_exec(conn, "INSERT INTO meta (name, value) VALUES ('x' || random(), 'y')");
}

static void world_init(world_t *w) {
    *w = (world_t){0};
    assert_ok(crypto_init());
    fixture_migrated(&w->f);
    clk_fake_init(&w->f.clk, (int64_t)NOW * 1000);
    (void)snprintf(w->lists, sizeof w->lists, "%s/lists", w->f.dir);
    assert_int_equal(mkdir(w->lists, 0700), 0);
    w->settings.dir = w->f.dir;
    w->settings.mail.revocation_lists = w->lists;
    assert_ok(pkey_generate(PKEY_P256, 0, &w->key));
    w->root = issue(w, "root", true);
    w->peter = issue(w, PETER, false);
    assert_ok(mailbook_new(&w->settings, &w->f.clk.clk, &w->book));
    assert_ok(mailbook_open(
        w->book, &(mailbook_sources_t){.db = w->f.db, .root = w->root, .mail_ca = w->root}));
    assert_ok(db_write(w->f.db, put_peter, w));
}

static void world_done(world_t *w) {
    mailbook_free(w->book);
    cert_free(w->root);
    cert_free(w->peter);
    pkey_free(w->key);
    (void)rmdir(w->lists);
    fixture_done(&w->f);
}

static mail_lock_t find(world_t *w, int64_t at) {
    const bytes_t address = BYTES_LIT("Peter@example.com");
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    assert_ok(mail_recipients_find(mailbook_book(w->book), &address, 1, BYTES_NONE, at, &list));
    assert_int_equal(list.n, 1);
    if (list.all) assert_true(cert_same(list.at[0].cert, w->peter));
    return list.at[0].lock;
}

static bool is_recalled(world_t *w, int64_t at) {
    mail_moment_t moment;
    mail_recipient_t r = {0};
    bool recalled = mailbook_recall(w->book, BYTES_LIT(PETER), at, &moment, &r);
    if (recalled) {
        assert_int_equal(r.lock, MAIL_LOCK_READY);
        assert_int_equal(r.source, MAIL_SOURCE_HARVESTED);
        assert_true(cert_same(r.cert, w->peter) && r.reason[0]);
    }
    cert_free(r.cert);
    return recalled;
}

static void test_mailbook__remembers_a_lock_until_something_is_written(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    assert_false(is_recalled(&w, NOW));
    assert_int_equal(find(&w, NOW), MAIL_LOCK_READY);
    assert_true(is_recalled(&w, NOW));
    assert_int_equal(find(&w, NOW), MAIL_LOCK_READY);
    assert_ok(db_write(w.f.db, write_nothing_of_it, NULL));
    assert_false(is_recalled(&w, NOW));
    assert_int_equal(find(&w, NOW), MAIL_LOCK_READY);
    assert_true(is_recalled(&w, NOW));
    assert_ok(db_write(w.f.db, remove_peter, &w));
    assert_int_equal(find(&w, NOW), MAIL_LOCK_NO_CERTIFICATE);
    assert_false(is_recalled(&w, NOW)); /* what is missing is asked for each time */
    world_done(&w);
}

static void test_mailbook__remembers_for_its_time_alone(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    assert_int_equal(find(&w, NOW), MAIL_LOCK_READY);
    assert_true(is_recalled(&w, NOW + 30));
    assert_false(is_recalled(&w, NOW + 31)); /* expired */
    assert_false(is_recalled(&w, NOW - 1));
    assert_int_equal(find(&w, NOW + 31), MAIL_LOCK_EXPIRED);
    assert_int_equal(find(&w, NOW - 100), MAIL_LOCK_READY);
    assert_true(is_recalled(&w, NOW - 41));
    assert_false(is_recalled(&w, NOW - 40)); /* a minute */
    world_done(&w);
}

static void test_mailbook__asks_again_when_lists_came_in(void **state) {
    (void)state;
    const struct timespec old[2] = {{.tv_sec = NOW - 100}, {.tv_sec = NOW - 100}};
    const struct timespec now[2] = {{.tv_sec = NOW}, {.tv_sec = NOW}};
    world_t w;
    world_init(&w);
    assert_int_equal(utimensat(AT_FDCWD, w.lists, old, 0), 0);
    assert_int_equal(find(&w, NOW), MAIL_LOCK_READY);
    assert_true(is_recalled(&w, NOW));
    assert_int_equal(utimensat(AT_FDCWD, w.lists, now, 0), 0); /* something was moved in */
    assert_false(is_recalled(&w, NOW));
    assert_int_equal(find(&w, NOW), MAIL_LOCK_READY);
    assert_false(is_recalled(&w, NOW)); /* more may come within the same tick */
    clk_fake_advance(&w.f.clk, 3000);
    assert_int_equal(find(&w, NOW), MAIL_LOCK_READY);
    assert_true(is_recalled(&w, NOW));
    world_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mailbook__remembers_a_lock_until_something_is_written),
        cmocka_unit_test(test_mailbook__remembers_for_its_time_alone),
        cmocka_unit_test(test_mailbook__asks_again_when_lists_came_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
