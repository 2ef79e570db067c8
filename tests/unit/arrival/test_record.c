/* From what sources say to what devices are told: src/arrival/record.h, src/store/mailboxes.h. */
#include "../store/store_fixture.h"
#include "arrival/record.h"
#include "base/fault.h"
#include "base/limits.h"

#define BOX "alice@example.org"

/* Two phones of Alice, one that is barred, one of somebody else. */
static const char people[] =
    "INSERT INTO person (id, email, name, role, password_hash, disabled, failures, retry_after_ms,"
    " created_ms) VALUES ('alice', 'alice@example.org', '', 'member', '', 0, 0, 0, 0);"
    "INSERT INTO device (id, enrolment_key, udid, serial_number, product, os_version, build, name,"
    " person_id, state, identity, topic, push_token, push_magic, push_state, token_ms, info,"
    " enrolled_ms, last_seen_ms, created_ms) VALUES"
    " ('one', 'k1', '', '', '', '', '', '', 'alice', 'enrolled', x'01', '', x'', '', '', 0, '', 0, "
    "0, 0),"
    " ('two', 'k2', '', '', '', '', '', '', 'alice', 'enrolled', x'02', '', x'', '', '', 0, '', 0, "
    "0, 0),"
    " ('lost', 'k3', '', '', '', '', '', '', 'alice', 'enrolled', x'03', '', x'', '', '', 0, '', "
    "0, 0, 0),"
    " ('gone', 'k4', '', '', '', '', '', '', 'alice', 'removed', x'04', '', x'', '', '', 0, '', 0, "
    "0, 0),"
    " ('other', 'k5', '', '', '', '', '', '', 'bob', 'enrolled', x'05', '', x'', '', '', 0, '', 0, "
    "0, 0);"
    "INSERT INTO lease_bar (device_id, reason, since_ms) VALUES ('lost', 'lost', 0);"
    "INSERT INTO mailbox (account, person_id, source, login, server, sealed, state, problem,"
    " event_ms, heard_ms, created_by, created_ms) VALUES"
    " ('alice@example.org', 'alice', 'hook:imap1', 'alice', '', x'', 'waiting', '', 0, 0, '', 0);";

typedef struct {
    fixture_t f;
    int64_t now;
    arrival_t arrival;
    arrival_end_t end;
    size_t flushed;
} test_t;

static void start(test_t *t) {
    fixture_migrated(&t->f);
    assert_ok(fixture_script(t->f.db, people));
    t->now = 1700000000000;
}

static err_t *record(db_conn_t *conn, void *arg) {
    test_t *t = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    db_mailbox_t box;
    bool found = false;
    TRY(arena_new(1 << 20, &arena));
    TRY(db_mailboxes_by_login(conn, arena, "hook:imap1", "alice", &box, &found));
    assert_true(found);
    return arrival_record(conn, arena, &box, &t->arrival, t->now, &t->end);
}

static arrival_end_t say_in(test_t *t, const char *folder, int64_t validity, int64_t uid) {
    t->arrival = (arrival_t){folder, validity, uid, 0};
    assert_ok(db_write(t->f.db, record, t));
    return t->end;
}

static arrival_end_t say(test_t *t, int64_t uid) { return say_in(t, "INBOX", 7, uid); }

static err_t *flush(db_conn_t *conn, void *arg) {
    test_t *t = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(1 << 20, &arena));
    return arrival_flush(conn, arena, t->now, 100, &t->flushed);
}

static size_t flush_now(test_t *t) {
    assert_ok(db_write(t->f.db, flush, t));
    return t->flushed;
}

static int64_t number(test_t *t, const char *sql) { return fixture_number(t->f.db, sql); }
#define EVENTS(t) number((t), "SELECT COUNT(*) FROM mail_event")

static void test_record__the_persons_enrolled_devices_are_told(void **state) {
    (void)state;
    test_t t;
    start(&t);
    assert_int_equal(say(&t, 1), ARRIVAL_TOLD);
    assert_int_equal(EVENTS(&t), 2);
    assert_int_equal(number(&t, "SELECT COUNT(*) FROM mail_event WHERE device_id IN ('one', 'two')"
                                " AND account = '" BOX "' AND folder = 'INBOX'"
                                " AND uidvalidity = 7 AND uid = 1 AND created_ms = 1700000000000"),
                     2);
    /* and may ask for the key of their leases, for this and nothing else */
    assert_int_equal(number(&t, "SELECT COUNT(*) FROM lease_event l JOIN mail_event m ON"
                                " m.device_id = l.device_id AND m.event = l.event"
                                " AND l.account = m.account"),
                     2);
    assert_int_equal(number(&t, "SELECT COUNT(*) FROM lease_event"), 2);
    fixture_done(&t.f);
}

static void test_record__what_was_heard_before_is_dropped(void **state) {
    (void)state;
    test_t t;
    start(&t);
    assert_int_equal(say(&t, 10), ARRIVAL_TOLD);
    t.now += 60000;
    assert_int_equal(say(&t, 10), ARRIVAL_OLD); /* doubled */
    assert_int_equal(say(&t, 9), ARRIVAL_OLD);  /* late */
    t.now += 86400000;
    assert_int_equal(say(&t, 1), ARRIVAL_OLD); /* by a day, or replayed */
    assert_int_equal(EVENTS(&t), 2);
    assert_int_equal(say_in(&t, "Archive", 7, 9), ARRIVAL_TOLD); /* another folder */
    t.now += 60000;
    assert_int_equal(say_in(&t, "INBOX", 8, 1), ARRIVAL_TOLD); /* made anew */
    t.now += 60000;
    assert_int_equal(say(&t, 11), ARRIVAL_TOLD); /* and back: hints only */
    fixture_done(&t.f);
}

/* What a source without UIDs says (graph.h): told once, also after it was gathered, and as nothing
 * but the mailbox. */
static void test_record__opaque_numbers_stay_here(void **state) {
    (void)state;
    test_t t;
    const int64_t one = ((int64_t)1 << 62) + 64, two = one + 1, three = two + 1;
    start(&t);
    assert_int_equal(say_in(&t, "graph 0", one, 1), ARRIVAL_TOLD);
    assert_int_equal(say_in(&t, "graph 1", two, 1), ARRIVAL_WAITS);
    assert_int_equal(say_in(&t, "graph 2", three, 1), ARRIVAL_WAITS);
    t.now += ARRIVAL_GATHER_MS;
    assert_int_equal(flush_now(&t), 1);
    assert_int_equal(EVENTS(&t), 4);
    assert_int_equal(number(&t, "SELECT COUNT(*) FROM mail_event WHERE folder = ''"
                                " AND uidvalidity = 0 AND uid = 0 AND modseq = 0"),
                     4);
    assert_int_equal(number(&t, "SELECT COUNT(DISTINCT event) FROM mail_event"), 2);
    t.now += 60000;
    assert_int_equal(say_in(&t, "graph 0", one, 1), ARRIVAL_OLD);
    assert_int_equal(say_in(&t, "graph 2", three, 1), ARRIVAL_OLD);
    assert_int_equal(say_in(&t, "graph 0", one + 64, 1), ARRIVAL_TOLD);
    fixture_done(&t.f);
}

static void test_record__a_lie_does_not_make_deaf(void **state) {
    (void)state;
    test_t t;
    start(&t);
    assert_int_equal(say(&t, 4294967295), ARRIVAL_TOLD);
    t.now += 60000;
    assert_int_equal(say(&t, 12), ARRIVAL_TOLD);
    t.now += 60000;
    assert_int_equal(say(&t, 12), ARRIVAL_OLD);
    assert_int_equal(say(&t, 13), ARRIVAL_TOLD);
    fixture_done(&t.f);
}

static void test_record__quick_successions_are_one(void **state) {
    (void)state;
    test_t t;
    start(&t);
    assert_int_equal(say(&t, 1), ARRIVAL_TOLD);
    for (int64_t uid = 2; uid < 500; uid++) {
        t.now += 3;
        assert_int_equal(say(&t, uid), ARRIVAL_WAITS);
    }
    assert_int_equal(flush_now(&t), 0);
    assert_int_equal(EVENTS(&t), 2);
    t.now += ARRIVAL_GATHER_MS;
    assert_int_equal(flush_now(&t), 1);
    assert_int_equal(flush_now(&t), 0);
    assert_int_equal(EVENTS(&t), 4);
    assert_int_equal(number(&t, "SELECT MAX(uid) FROM mail_event"), 499);
    t.now += 10;
    assert_int_equal(say(&t, 500), ARRIVAL_WAITS); /* since one went out just now */
    fixture_done(&t.f);
}

static void test_record__a_clock_that_goes_back(void **state) {
    (void)state;
    test_t t;
    start(&t);
    assert_int_equal(say(&t, 1), ARRIVAL_TOLD);
    assert_int_equal(say(&t, 2), ARRIVAL_WAITS);
    t.now -= 86400000;
    assert_int_equal(flush_now(&t), 1); /* not tomorrow */
    t.now -= 86400000;
    assert_int_equal(say(&t, 3), ARRIVAL_TOLD);
    assert_int_equal(EVENTS(&t), 6);
    fixture_done(&t.f);
}

static void test_record__folders_are_bounded(void **state) {
    (void)state;
    test_t t;
    char name[32];
    start(&t);
    for (int i = 0; i < LIMIT_ARRIVAL_FOLDERS + 20; i++) {
        (void)snprintf(name, sizeof name, "folder %d", i);
        (void)say_in(&t, name, 1, 1);
    }
    assert_int_equal(number(&t, "SELECT COUNT(*) FROM mailbox_folder"), LIMIT_ARRIVAL_FOLDERS);
    assert_int_equal(number(&t, "SELECT COUNT(*) FROM mailbox_wait"), 1);
    fixture_done(&t.f);
}

static void test_record__names_of_events(void **state) {
    (void)state;
    char a[ARRIVAL_EVENT_SIZE], b[ARRIVAL_EVENT_SIZE];
    const bytes_t key = BYTES_LIT("the key of one instance"), other = BYTES_LIT("of another");
    arrival_t arrival = {"INBOX", 1, 2, 0};
    assert_ok(arrival_event_name(key, BOX, &arrival, a));
    assert_ok(arrival_event_name(key, BOX, &arrival, b));
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), 37);
    assert_int_equal(strncmp(a, "mail-", 5), 0);
    assert_ok(arrival_event_name(other, BOX, &arrival, b));
    assert_string_not_equal(a, b);
    arrival.uid = 3;
    assert_ok(arrival_event_name(key, BOX, &arrival, b));
    assert_string_not_equal(a, b);
    /* what stands before a border can't move behind it */
    arrival = (arrival_t){"b", 1, 2, 0};
    assert_ok(arrival_event_name(key, "a", &arrival, a));
    arrival.folder = "";
    assert_ok(arrival_event_name(key, "ab", &arrival, b));
    assert_string_not_equal(a, b);
}

static err_t *take_key(db_conn_t *conn, void *arg) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(1 << 20, &arena));
    return arrival_event_key(conn, arena, arg);
}

/* Whoever sees a name and guesses what it stands for must not be able to try it. */
static void test_record__names_of_events_need_the_instance_s_key(void **state) {
    (void)state;
    test_t one, two;
    uint8_t key[ARRIVAL_KEY_SIZE], again[ARRIVAL_KEY_SIZE], other[ARRIVAL_KEY_SIZE];
    const uint8_t zero[ARRIVAL_KEY_SIZE] = {0};
    char name[ARRIVAL_EVENT_SIZE], sql[160];
    start(&one);
    start(&two);
    assert_int_equal(say_in(&one, "INBOX", 7, 1), ARRIVAL_TOLD);
    assert_ok(db_write(one.f.db, take_key, key));
    assert_ok(db_write(one.f.db, take_key, again));
    assert_ok(db_write(two.f.db, take_key, other));
    assert_memory_equal(key, again, sizeof key);
    assert_memory_not_equal(key, other, sizeof key);
    assert_memory_not_equal(key, zero, sizeof key);
    assert_ok(arrival_event_name(BYTES_ARRAY(key), BOX, &one.arrival, name));
    (void)snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM mail_event WHERE event = '%s'", name);
    assert_int_equal(number(&one, sql), 2);
    fixture_done(&one.f);
    fixture_done(&two.f);
}

static void test_record__a_spoilt_key_is_told(void **state) {
    (void)state;
    test_t t;
    start(&t);
    t.arrival = (arrival_t){"INBOX", 7, 1, 0};
    assert_ok(fixture_script(
        t.f.db, "INSERT INTO meta (name, value) VALUES ('arrival.event_key', 'abcd');"));
    assert_err(ERR_INTERNAL, db_write(t.f.db, record, &t));
    assert_int_equal(EVENTS(&t), 0);
    fixture_done(&t.f);
}

static void test_record__no_memory_leaves_all_as_it_was(void **state) {
    (void)state;
    test_t t;
    start(&t);
    t.arrival = (arrival_t){"INBOX", 7, 1, 0};
    err_t *e = NULL;
    for (unsigned long nth = 1;; nth++) {
        fault_arm_memory(nth);
        e = db_write(t.f.db, record, &t);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) break;
        assert_err(ERR_NOMEM, e);
        assert_int_equal(EVENTS(&t), 0);
    }
    assert_ok(e);
    assert_int_equal(EVENTS(&t), 2);
    fixture_done(&t.f);
}

/* ---- rows ---- */

static err_t *rows(db_conn_t *conn, void *arg) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    db_mail_hook_t hook = {"imap1", BYTES_LIT("hash"), "admin", 5, 0}, *hooks = NULL;
    db_mail_event_t *events = NULL;
    size_t count = 0;
    int64_t first = -1, last = -1;
    bool found = true;
    (void)arg;
    TRY(arena_new(1 << 20, &arena));
    TRY(db_mail_hooks_put(conn, &hook));
    assert_err(ERR_EXISTS, db_mail_hooks_remove(conn, "imap1", &found));
    TRY(db_mail_hooks_by_name(conn, arena, "imap2", &hook, &found));
    assert_false(found);
    TRY(db_mail_hooks_by_name(conn, arena, "imap1", &hook, &found));
    assert_true(found);
    TRY(db_mail_hooks_find(conn, arena, BYTES_LIT("other"), &hook, &found));
    assert_false(found);
    TRY(db_mail_hooks_find(conn, arena, BYTES_LIT("hash"), &hook, &found));
    assert_true(found);
    TRY(db_mail_hooks_list(conn, arena, 10, &hooks, &count));
    assert_int_equal(count, 1);
    TRY(db_mail_events_span(conn, &first, &last));
    assert_int_equal(first, 0);
    assert_int_equal(last, 0);
    for (int i = 0; i < 5; i++) {
        const db_mail_event_t row = {.device_id = i % 2 ? "one" : "two",
                                     .account = BOX,
                                     .event = "e",
                                     .folder = "INBOX",
                                     .created_ms = i};
        TRY(db_mail_events_add(conn, &row));
    }
    TRY(db_mail_events_after(conn, arena, 2, 2, &events, &count));
    assert_int_equal(count, 2);
    assert_int_equal(events[0].seq, 3);
    TRY(db_mail_events_of(conn, arena, "two", 1, 5, 10, &events, &count));
    assert_int_equal(count, 2);
    assert_int_equal(events[1].seq, 5);
    TRY(db_mail_events_purge(conn, 100)); /* the last number stays known */
    TRY(db_mail_events_span(conn, &first, &last));
    assert_int_equal(first, 5);
    assert_int_equal(last, 5);
    TRY(db_mailboxes_remove(conn, BOX, &found));
    assert_true(found);
    TRY(db_mailboxes_remove(conn, BOX, &found));
    assert_false(found);
    return db_mail_hooks_remove(conn, "imap1", &found);
}

static void test_record__rows_of_the_store(void **state) {
    (void)state;
    test_t t;
    start(&t);
    assert_ok(db_write(t.f.db, rows, &t));
    fixture_done(&t.f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record__the_persons_enrolled_devices_are_told),
        cmocka_unit_test(test_record__what_was_heard_before_is_dropped),
        cmocka_unit_test(test_record__opaque_numbers_stay_here),
        cmocka_unit_test(test_record__a_lie_does_not_make_deaf),
        cmocka_unit_test(test_record__quick_successions_are_one),
        cmocka_unit_test(test_record__a_clock_that_goes_back),
        cmocka_unit_test(test_record__folders_are_bounded),
        cmocka_unit_test(test_record__names_of_events),
        cmocka_unit_test(test_record__names_of_events_need_the_instance_s_key),
        cmocka_unit_test(test_record__a_spoilt_key_is_told),
        cmocka_unit_test(test_record__no_memory_leaves_all_as_it_was),
        cmocka_unit_test(test_record__rows_of_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
