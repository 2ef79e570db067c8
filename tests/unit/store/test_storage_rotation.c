/* Rotations of the storage key: progress that never goes back, and the next one that takes over. */
#include "store_fixture.h"

#include "store/escrow.h"
#include "store/storage_rotation.h"

enum { ARENA = 1 << 20, NOW = 1000 };

static void latest(db_conn_t *conn, arena_t *arena, db_storage_rotation_t *row) {
    bool found = false;
    assert_ok(db_storage_rotation_latest(conn, arena, row, &found));
    assert_true(found);
}

static err_t *check_next(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_storage_rotation_t row = {0};
    bool found = true, changed = true;
    assert_ok(db_storage_rotation_latest(conn, arena, &row, &found));
    assert_false(found);
    assert_ok(db_storage_rotation_add(conn, 2, "anna", NOW));
    assert_ok(db_storage_rotation_move(conn, 2, 10, 9, 1, NOW + 1));
    assert_ok(db_storage_rotation_move(conn, 2, 5, 5, 0, NOW + 2)); /* late: nothing */
    latest(conn, arena, &row);
    assert_int_equal(row.number, 2);
    assert_string_equal(row.actor, "anna");
    assert_int_equal(row.last_seq, 10);
    assert_int_equal(row.done, 9);
    assert_int_equal(row.refused, 1);
    assert_int_equal(row.updated_ms, NOW + 1);
    assert_int_equal(row.finished_ms, 0);
    assert_ok(db_storage_rotation_add(conn, 3, "ben", NOW + 3));
    assert_ok(db_storage_rotation_finish(conn, 2, NOW + 4, &changed));
    assert_false(changed); /* the third did it */
    latest(conn, arena, &row);
    assert_int_equal(row.number, 3);
    assert_int_equal(row.last_seq, 0);
    assert_ok(db_storage_rotation_finish(conn, 3, NOW + 4, &changed));
    assert_true(changed);
    assert_ok(db_storage_rotation_move(conn, 3, 10, 9, 1, NOW + 5)); /* it is over */
    latest(conn, arena, &row);
    assert_int_equal(row.last_seq, 0);
    assert_int_equal(row.finished_ms, NOW + 4);
    return NULL;
}

static void add_object(db_conn_t *conn, const char *id, bytes_t wrap) {
    int64_t seq = 0;
    assert_ok(db_escrow_add(conn,
                            &(db_escrow_t){.id = id,
                                           .kind = "file",
                                           .owner = "",
                                           .device_id = "",
                                           .version = 1,
                                           .label = "",
                                           .created_by = "test",
                                           .blob = BYTES_LIT("blob"),
                                           .wrap = wrap},
                            &seq));
}

static err_t *check_wrapped(db_conn_t *conn, void *arg) {
    arena_t *arena = arg;
    db_escrow_t *rows = NULL;
    size_t count = 0;
    add_object(conn, "a", BYTES_LIT("wrap"));
    add_object(conn, "b", BYTES_NONE); /* officers alone: nothing to wrap */
    add_object(conn, "c", BYTES_LIT("wrap"));
    assert_ok(db_escrow_wrapped(conn, arena, 0, 10, &rows, &count));
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].id, "a");
    assert_ok(db_escrow_wrapped(conn, arena, rows[0].seq, 10, &rows, &count));
    assert_int_equal(count, 1);
    assert_string_equal(rows[0].id, "c");
    assert_true(bytes_eq_str(rows[0].wrap, "wrap"));
    return NULL;
}

static void run(db_fn check) {
    fixture_t f;
    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(ARENA, &arena));
    fixture_migrated(&f);
    assert_ok(db_write(f.db, check, arena));
    fixture_done(&f);
}

static void test_storage_rotation__progress_never_goes_back(void **state) {
    (void)state;
    run(check_next);
}

static void test_storage_rotation__wrapped_objects_come_in_order(void **state) {
    (void)state;
    run(check_wrapped);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage_rotation__progress_never_goes_back),
        cmocka_unit_test(test_storage_rotation__wrapped_objects_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
