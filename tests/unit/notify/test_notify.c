/*
 * Notices as jobs: who gets one, and that the same one is one.
 */
#include "../store/store_fixture.h"

#include "base/limits.h"
#include "notify/notify.h"
#include "store/jobs.h"
#include "store/people.h"

static const notice_t notice = {
    .event = "test", .key = "key1", .subject = "Subject", .text = "Text\n", .data = NULL};

typedef struct {
    const notify_t *notify;
    const notice_t *notice;
} put_t;

static err_t *put_fn(db_conn_t *conn, void *arg) {
    const put_t *p = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(1 << 20, &arena));
    return notify_admins(p->notify, conn, arena, p->notice);
}

static err_t *people_fn(db_conn_t *conn, void *arg) {
    static const char *const rows[][3] = {
        {"p1", "admin@example.org", "admin"}, {"p2", "second@example.org", "admin"},
        {"p3", "gone@example.org", "admin"},  {"p4", "member@example.org", "member"},
        {"p5", "no address", "admin"},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        db_person_t row = {.id = rows[i][0],
                           .email = rows[i][1],
                           .name = "N",
                           .role = rows[i][2],
                           .password_hash = "",
                           .disabled = strcmp(rows[i][0], "p3") == 0};
        TRY(db_people_add(conn, &row));
    }
    return NULL;
}

static void test_notify__reaches_admins_and_webhooks_once(void **state) {
    (void)state;
    static const char *const hooks[] = {"chat", "ticket"};
    const notify_t notify = {
        .instance = "https://c", .mail = true, .webhooks = hooks, .webhooks_n = 2};
    put_t put = {&notify, &notice};
    fixture_t f;
    fixture_migrated(&f);
    assert_ok(db_write(f.db, people_fn, NULL));
    assert_ok(db_write(f.db, put_fn, &put));
    assert_ok(db_write(f.db, put_fn, &put));
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM job WHERE kind = 'mail'"), 2);
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM job WHERE kind = 'webhook'"), 2);
    assert_int_equal(
        fixture_number(f.db, "SELECT COUNT(*) FROM job WHERE name = 'key1:second@example.org'"), 1);
    fixture_done(&f);
}

static void test_notify__named_admins_replace_the_role(void **state) {
    (void)state;
    static const char *const admins[] = {"it@example.org"};
    const notify_t notify = {
        .instance = "https://c", .mail = true, .admins = admins, .admins_n = 1};
    put_t put = {&notify, &notice};
    fixture_t f;
    fixture_migrated(&f);
    assert_ok(db_write(f.db, people_fn, NULL));
    assert_ok(db_write(f.db, put_fn, &put));
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM job"), 1);
    assert_int_equal(
        fixture_number(f.db, "SELECT COUNT(*) FROM job WHERE name = 'key1:it@example.org'"), 1);
    fixture_done(&f);
}

static void test_notify__without_a_mail_server_there_is_no_mail(void **state) {
    (void)state;
    static const char *const admins[] = {"it@example.org"};
    const notify_t notify = {.instance = "https://c", .admins = admins, .admins_n = 1};
    put_t put = {&notify, &notice};
    fixture_t f;
    fixture_migrated(&f);
    assert_ok(db_write(f.db, put_fn, &put));
    assert_int_equal(fixture_number(f.db, "SELECT COUNT(*) FROM job"), 0);
    fixture_done(&f);
}

static void test_notify__a_text_past_the_limit_is_refused(void **state) {
    (void)state;
    const notify_t notify = {.instance = "https://c", .mail = true};
    char *text = mem_alloc(LIMIT_NOTICE_TEXT + 2);
    assert_non_null(text);
    memset(text, 'x', LIMIT_NOTICE_TEXT + 1);
    text[LIMIT_NOTICE_TEXT + 1] = '\0';
    notice_t large = notice;
    large.text = text;
    put_t put = {&notify, &large};
    fixture_t f;
    fixture_migrated(&f);
    assert_err(ERR_LIMIT, db_write(f.db, put_fn, &put));
    mem_free(text);
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notify__reaches_admins_and_webhooks_once),
        cmocka_unit_test(test_notify__named_admins_replace_the_role),
        cmocka_unit_test(test_notify__without_a_mail_server_there_is_no_mail),
        cmocka_unit_test(test_notify__a_text_past_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
