/* What happened for leases: once each, the oldest make room, released once. */
#include "store_fixture.h"

#include "store/lease_events.h"

enum { ARENA = 1 << 16, NOW = 1000, KEEP = 3 };

static void add(db_conn_t *conn, const char *account, const char *event, int64_t ms) {
    const db_lease_event_t row = {"d1", account, event, ms, 0};
    assert_ok(db_lease_events_add(conn, &row, KEEP));
}

static size_t count_of(db_conn_t *conn, arena_t *arena, const char *device) {
    db_lease_event_t *rows = NULL;
    size_t count = 99;
    assert_ok(db_lease_events_list(conn, arena, device, 100, &rows, &count));
    return count;
}

static err_t *check(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_lease_event_t row;
    db_lease_event_t *rows = NULL;
    size_t count = 0;
    bool found = false;
    add(conn, "mail", "one", NOW);
    add(conn, "mail", "one", NOW + 9); /* stays as it was */
    assert_ok(db_lease_events_find(conn, arena, "d1", "mail", "one", &row, &found));
    assert_true(found);
    assert_int_equal(row.created_ms, NOW);
    assert_int_equal(row.released_ms, 0);
    assert_ok(db_lease_events_release(conn, &row, NOW + 5));
    assert_ok(db_lease_events_release(conn, &row, NOW + 7));
    assert_ok(db_lease_events_find(conn, arena, "d1", "mail", "one", &row, &found));
    assert_int_equal(row.released_ms, NOW + 5);
    assert_int_equal(count_of(conn, arena, "d1"), 0);
    assert_ok(db_lease_events_find(conn, arena, "d1", "calendar", "one", &row, &found));
    assert_false(found);
    for (int64_t i = 0; i < 5; i++) add(conn, "mail", &"abcde"[i], NOW + 10 + i);
    add(conn, "calendar", "x", NOW);
    assert_ok(db_lease_events_list(conn, arena, "d1", 100, &rows, &count));
    assert_int_equal(count, KEEP + 1);
    assert_string_equal(rows[0].event, "x");
    assert_string_equal(rows[1].event, "cde"); /* oldest of the last three */
    assert_ok(db_lease_events_purge(conn, NOW + 13));
    assert_int_equal(count_of(conn, arena, "d1"), 2);
    assert_ok(db_lease_events_forget(conn, "d1", "calendar"));
    assert_int_equal(count_of(conn, arena, "d1"), 2);
    assert_ok(db_lease_events_forget(conn, "d1", ""));
    assert_int_equal(count_of(conn, arena, "d1"), 0);
    return NULL;
}

static void test_lease_events__come_and_go(void **state) {
    (void)state;
    fixture_t f;
    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(ARENA, &arena));
    fixture_migrated(&f);
    assert_ok(db_write(f.db, check, arena));
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_events__come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
