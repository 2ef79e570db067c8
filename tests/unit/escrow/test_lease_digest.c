/* What people are told of their leases: all of them once, page by page, and nobody twice a day. */
#include "../store/store_fixture.h"

#include "audit/audit.h"
#include "escrow/lease_digest.h"
#include "store/lease_digests.h"

enum { PEOPLE = 450, DAY_S = 86400, TEXT_MAX = 512, ARENA = 1 << 20 };

typedef struct {
    fixture_t f;
    audit_t audit;
    notify_t notify;
    escrow_t *escrow;
} digest_t;

static int setup(void **state) {
    digest_t *t = mem_zalloc(sizeof *t);
    assert_non_null(t);
    fixture_migrated(&t->f);
    t->audit = (audit_t){.node = "test", .clk = &t->f.clk.clk};
    t->notify = (notify_t){.instance = "https://x", .mail = true};
    assert_ok(escrow_new(
        &(escrow_options_t){
            .db = t->f.db, .audit = &t->audit, .clk = &t->f.clk.clk, .notify = &t->notify},
        &t->escrow));
    assert_ok(lease_digest_run(t->escrow)); /* today's */
    *state = t;
    return 0;
}

static int teardown(void **state) {
    digest_t *t = *state;
    escrow_free(t->escrow);
    fixture_done(&t->f);
    mem_free(t);
    return 0;
}

static void run_sql(digest_t *t, const char *sql) { assert_ok(fixture_script(t->f.db, sql)); }

static void add_person(digest_t *t, int number) {
    char sql[TEXT_MAX * 2];
    (void)snprintf(
        sql, sizeof sql,
        "INSERT INTO person (id, email, name, role, password_hash, disabled, failures,"
        " retry_after_ms, created_ms) VALUES ('p%d', 'p%d@example.org', 'P', 'member', '', 0, 0,"
        " 0, 0);"
        "INSERT INTO device (id, enrolment_key, udid, serial_number, product, os_version, build,"
        " name, person_id, state, identity, topic, push_token, push_magic, push_state, token_ms,"
        " info, enrolled_ms, last_seen_ms, created_ms) VALUES ('d%d', 'd%d', 'd%d', '', '', '', '',"
        " 'phone', 'p%d', 'enrolled', x'%08x', '', x'', '', '', 0, '{}', 0, 0, 0);",
        number, number, number, number, number, number, (unsigned)number);
    run_sql(t, sql);
}

typedef struct {
    const char *device, *account;
    int64_t now_ms;
} count_t;

static err_t *count_one(db_conn_t *conn, void *arg) {
    const count_t *c = arg;
    return db_lease_digests_count(conn, c->device, c->account, c->now_ms);
}

static void released(digest_t *t, int number, const char *account, int times) {
    char device[16];
    (void)snprintf(device, sizeof device, "d%d", number);
    count_t c = {device, account, clk_unix_ms(&t->f.clk.clk)};
    while (times-- > 0) assert_ok(db_write(t->f.db, count_one, &c));
}

static void next_day(digest_t *t) {
    clk_fake_advance(&t->f.clk, DAY_S * INT64_C(1000));
    assert_ok(lease_digest_run(t->escrow));
}

typedef struct {
    const char *sql;
    int64_t value;
} number_t;

static err_t *read_number(db_conn_t *conn, void *arg) {
    number_t *n = arg;
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, n->sql, &stmt, &found, DB_I64(0)));
    n->value = found ? db_col_i64(stmt, 0) : -1;
    return NULL;
}

/* $1 is 0. */
static int64_t number(digest_t *t, const char *sql) {
    number_t n = {.sql = sql};
    assert_ok(db_read(t->f.db, read_number, &n));
    return n.value;
}

static int64_t mails(digest_t *t) {
    return number(t, "SELECT COUNT(*) FROM job WHERE kind = 'mail' AND seq > $1");
}

static int64_t told(digest_t *t) {
    return number(t, "SELECT COUNT(*) FROM audit_entry WHERE action = 'lease.digest' AND seq > $1");
}

static void test_lease_digest__everybody_is_told_once(void **state) {
    digest_t *t = *state;
    for (int i = 0; i < PEOPLE; i++) {
        add_person(t, i);
        released(t, i, "mail", 2);
        if (i % 3 == 0) released(t, i, "other", 1);
    }
    assert_ok(lease_digest_run(t->escrow)); /* the day is not over */
    assert_int_equal(mails(t), 0);
    next_day(t);
    assert_int_equal(mails(t), PEOPLE);
    assert_int_equal(told(t), PEOPLE);
    assert_int_equal(number(t, "SELECT COUNT(*) FROM lease_digest WHERE count > $1"), 0);
    assert_ok(lease_digest_run(t->escrow));
    next_day(t);
    assert_int_equal(told(t), PEOPLE);
}

static void test_lease_digest__a_single_one_waits_for_others(void **state) {
    digest_t *t = *state;
    add_person(t, 1);
    add_person(t, 2);
    released(t, 1, "mail", 1);
    released(t, 2, "mail", 1);
    next_day(t);
    assert_int_equal(told(t), 0);
    released(t, 1, "mail", 1);
    next_day(t);
    assert_int_equal(told(t), 1);
    for (int day = 0; day < 3; day++) next_day(t);
    assert_int_equal(told(t), 1);
    next_day(t); /* the sixth */
    assert_int_equal(told(t), 2);
}

static void test_lease_digest__without_a_mail_server_the_audit_has_it(void **state) {
    digest_t *t = *state;
    t->notify.mail = false;
    add_person(t, 1);
    released(t, 1, "mail", 3);
    next_day(t);
    assert_int_equal(mails(t), 0);
    assert_int_equal(told(t), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_lease_digest__everybody_is_told_once),
        TEST(test_lease_digest__a_single_one_waits_for_others),
        TEST(test_lease_digest__without_a_mail_server_the_audit_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
