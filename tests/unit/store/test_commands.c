/* What a device's later command makes of earlier ones: src/store/commands.h; see test_rows.c. */
#include "store/commands.h"
#include "store_fixture.h"

static const char devices[] =
    "INSERT INTO device (id, enrolment_key, udid, serial_number, product, os_version, build, name,"
    " person_id, state, identity, topic, push_token, push_magic, push_state, token_ms, info,"
    " enrolled_ms, last_seen_ms, created_ms) VALUES"
    " ('d1', 'k1', '', '', '', '', '', '', '', 'enrolled', x'01', '', x'', '', '', 0, '', 0, 0, 0),"
    " ('d2', 'k2', '', '', '', '', '', '', '', 'enrolled', x'02', '', x'', '', '', 0, '', 0, 0, "
    "0);";

static err_t *add(db_conn_t *conn, const char *uuid, const char *device, const char *kind) {
    const db_command_t row = {.uuid = uuid,
                              .device_id = device,
                              .request_type = "Settings",
                              .state = "queued",
                              .payload = BYTES_LIT("<plist/>"),
                              .secret_kind = kind,
                              .created_by = "admin",
                              .created_ms = 1};
    return db_commands_add(conn, &row);
}

static err_t *body(db_conn_t *conn, void *arg) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    db_queue_t queue;
    db_command_t got;
    bool found = false;
    int64_t count = 9;
    (void)arg;
    TRY(arena_new(1 << 20, &arena));
    TRY(add(conn, "c1", "d1", "app-token"));
    TRY(add(conn, "c2", "d1", "app-token"));
    TRY(add(conn, "c3", "d1", ""));
    TRY(add(conn, "c4", "d2", "app-token"));
    TRY(db_commands_look(conn, arena, "d1", "", &queue));
    TRY(db_commands_mark_sent(conn, queue.next.seq, 10)); /* sent ones, too */
    TRY(db_commands_cancel_kind(conn, "d1", "app-end", 11, &count));
    assert_int_equal(count, 0);
    TRY(db_commands_cancel_kind(conn, "d1", "app-token", 11, &count));
    assert_int_equal(count, 2);
    TRY(db_commands_look(conn, arena, "d1", "c1", &queue));
    assert_true(queue.found && !queue.answered);
    assert_string_equal(queue.next.uuid, "c3");
    TRY(db_commands_get(conn, arena, "c1", &got, &found));
    assert_true(found && got.done_ms == 11);
    assert_string_equal(got.state, "cancelled");
    TRY(db_commands_count_open(conn, "d2", &count));
    assert_int_equal(count, 1);
    return NULL;
}

static void test_commands__of_one_kind_are_cancelled(void **state) {
    (void)state;
    fixture_t f;
    fixture_migrated(&f);
    assert_ok(fixture_script(f.db, devices));
    assert_ok(db_write(f.db, body, NULL));
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands__of_one_kind_are_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
