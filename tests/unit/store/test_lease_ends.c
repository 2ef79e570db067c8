/* Devices whose leases the keeper is to forget: the last reason, and nothing that is lost. */
#include "store_fixture.h"

#include "store/lease_ends.h"

enum { ARENA = 1 << 16, NOW = 1000 };

static err_t *check(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_lease_end_t *rows = NULL, *again = NULL;
    size_t count = 0;
    bool changed = true;
    assert_ok(db_lease_ends_add(conn, "b", "lost", NOW + 1));
    assert_ok(db_lease_ends_add(conn, "a", "left management", NOW));
    assert_ok(db_lease_ends_add(conn, "a", "erased", NOW - 1));
    assert_ok(db_lease_ends_list(conn, arena, 10, &rows, &count));
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].device_id, "a");
    assert_string_equal(rows[0].reason, "erased");
    assert_string_equal(rows[1].reason, "lost");
    /* Another event while the keeper was asked: it is asked again, whatever the clock says. */
    assert_ok(db_lease_ends_add(conn, "a", "lost", NOW - 500));
    assert_ok(db_lease_ends_remove(conn, &rows[0], &changed));
    assert_false(changed);
    assert_ok(db_lease_ends_remove(conn, &rows[1], &changed));
    assert_true(changed);
    assert_ok(db_lease_ends_list(conn, arena, 10, &again, &count));
    assert_int_equal(count, 1);
    assert_string_equal(again[0].device_id, "a");
    assert_ok(db_lease_ends_remove(conn, &again[0], &changed));
    assert_true(changed);
    return NULL;
}

static void test_lease_ends__an_event_meanwhile_is_not_lost(void **state) {
    (void)state;
    fixture_t f;
    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(ARENA, &arena));
    fixture_migrated(&f);
    assert_ok(db_write(f.db, check, arena));
    fixture_done(&f);
}

static err_t *check_bar(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    const char *reason = "set";
    bool ending = true;
    assert_ok(db_lease_ends_bar(conn, arena, "a", &reason, &ending));
    assert_null(reason);
    assert_false(ending);
    assert_ok(db_lease_ends_add(conn, "a", "lost", NOW));
    assert_ok(db_lease_ends_bar(conn, arena, "a", &reason, &ending));
    assert_string_equal(reason, "lost");
    assert_true(ending);
    db_lease_end_t *rows = NULL;
    size_t count = 0;
    bool changed = false;
    assert_ok(db_lease_ends_list(conn, arena, 10, &rows, &count));
    assert_ok(db_lease_ends_remove(conn, &rows[0], &changed));
    assert_ok(db_lease_ends_bar(conn, arena, "a", &reason, &ending));
    assert_string_equal(reason, "lost"); /* until it enrols anew */
    assert_false(ending);
    assert_ok(db_lease_ends_anew(conn, "a", NOW + 1));
    assert_ok(db_lease_ends_bar(conn, arena, "a", &reason, &ending));
    assert_null(reason);
    assert_true(ending);
    return NULL;
}

static void test_lease_ends__bar_until_enrolled_anew(void **state) {
    (void)state;
    fixture_t f;
    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(ARENA, &arena));
    fixture_migrated(&f);
    assert_ok(db_write(f.db, check_bar, arena));
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_ends__an_event_meanwhile_is_not_lost),
        cmocka_unit_test(test_lease_ends__bar_until_enrolled_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
