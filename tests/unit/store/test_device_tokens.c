/* Tokens of devices: what was offered is good beside what is there, until the device answers. */
#include "store_fixture.h"

#include "base/limits.h"
#include "store/device_tokens.h"

enum { ARENA = 1 << 16, NOW = 1000 };

static void add_device(db_conn_t *conn, arena_t *arena) {
    const char *id = NULL;
    const db_device_t device = {.id = "d",
                                .enrolment_key = "udid",
                                .udid = "udid",
                                .state = "authenticated",
                                .identity = BYTES_LIT("identity"),
                                .info = "{}"};
    assert_ok(db_devices_authenticate(conn, arena, &device, &id));
    assert_string_equal(id, "d");
    assert_ok(db_devices_set_state(conn, id, "enrolled"));
}

static bytes_t hash_of(const char *token) { return bytes_str(token); }

static bool opens(db_conn_t *conn, arena_t *arena, const char *token) {
    db_device_t device;
    bool found = false, holds = false;
    assert_ok(db_device_tokens_find(conn, arena, hash_of(token), &device, &found));
    assert_ok(db_device_reach_holds(conn, "d", hash_of(token), false, &holds));
    assert_int_equal(found, holds);
    if (found) assert_string_equal(device.id, "d");
    return found;
}

static void offer(db_conn_t *conn, const char *command, const char *token) {
    assert_ok(db_device_tokens_offer(conn, "d", command, hash_of(token), NOW));
}

static err_t *check_taken(db_conn_t *conn, void *arena) {
    add_device(conn, arena);
    assert_ok(db_device_tokens_set(conn, "d", hash_of("first"), NOW));
    offer(conn, "c1", "lost");
    offer(conn, "c1", "came");
    assert_true(opens(conn, arena, "first") && opens(conn, arena, "lost"));
    assert_true(opens(conn, arena, "came"));
    assert_ok(db_device_tokens_taken(conn, "d", "c0")); /* another command says nothing of it */
    assert_true(opens(conn, arena, "first"));
    assert_ok(db_device_tokens_taken(conn, "d", "c1"));
    assert_true(opens(conn, arena, "came"));
    assert_false(opens(conn, arena, "first") || opens(conn, arena, "lost"));
    return NULL;
}

static err_t *check_refused(db_conn_t *conn, void *arena) {
    add_device(conn, arena);
    assert_ok(db_device_tokens_set(conn, "d", hash_of("first"), NOW));
    offer(conn, "c1", "maybe");
    offer(conn, "c1", "not now");
    assert_ok(db_device_tokens_refused(conn, "d", "c1"));
    assert_true(opens(conn, arena, "first") && opens(conn, arena, "maybe"));
    assert_false(opens(conn, arena, "not now"));
    assert_ok(db_device_tokens_refused(conn, "d", "c1"));
    assert_ok(db_device_tokens_refused(conn, "d", "c1")); /* nothing is left to refuse */
    assert_true(opens(conn, arena, "first"));
    return NULL;
}

static err_t *check_bounded(db_conn_t *conn, void *arena) {
    char token[] = "offer A";
    add_device(conn, arena);
    assert_ok(db_device_tokens_set(conn, "d", hash_of("first"), NOW));
    for (int i = 0; i <= LIMIT_TOKEN_OFFERS; i++, token[6]++) offer(conn, "c1", token);
    assert_false(opens(conn, arena, "offer A"));
    assert_true(opens(conn, arena, "offer B") && opens(conn, arena, "first"));
    return NULL;
}

static err_t *check_ends(db_conn_t *conn, void *arena) {
    add_device(conn, arena);
    offer(conn, "c1", "offered");
    assert_ok(db_device_tokens_set(conn, "d", hash_of("an admin's"), NOW));
    assert_false(opens(conn, arena, "offered"));
    offer(conn, "c2", "offered");
    assert_ok(db_device_tokens_remove(conn, "d"));
    assert_false(opens(conn, arena, "offered") || opens(conn, arena, "an admin's"));
    return NULL;
}

static void run(err_t *(*check)(db_conn_t *conn, void *arena)) {
    fixture_t f;
    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(ARENA, &arena));
    fixture_migrated(&f);
    assert_ok(db_write(f.db, check, arena));
    fixture_done(&f);
}

static void test_device_tokens__what_was_taken_last_is_the_one(void **state) {
    (void)state;
    run(check_taken);
}

static void test_device_tokens__a_refused_one_costs_no_other(void **state) {
    (void)state;
    run(check_refused);
}

static void test_device_tokens__offers_are_bounded(void **state) {
    (void)state;
    run(check_bounded);
}

static void test_device_tokens__all_end_together(void **state) {
    (void)state;
    run(check_ends);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_tokens__what_was_taken_last_is_the_one),
        cmocka_unit_test(test_device_tokens__a_refused_one_costs_no_other),
        cmocka_unit_test(test_device_tokens__offers_are_bounded),
        cmocka_unit_test(test_device_tokens__all_end_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
