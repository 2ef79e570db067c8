/*
 * What a program on a person's machine keeps (store/local_state.h).
 */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/local_state.h"

typedef struct {
    char folder[64], path[96];
    db_local_t *one, *other; /* two programs of one person */
} world_t;

static int setup(void **state) {
    static world_t w;
    (void)snprintf(w.folder, sizeof w.folder, "/tmp/coffer-state-XXXXXX");
    assert_non_null(mkdtemp(w.folder));
    (void)snprintf(w.path, sizeof w.path, "%s/state.db", w.folder);
    assert_ok(db_local_open(w.path, clk_real(), &w.one));
    assert_ok(db_local_open(w.path, clk_real(), &w.other));
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    world_t *w = *state;
    char command[128];
    db_local_close(w->one);
    db_local_close(w->other);
    (void)snprintf(command, sizeof command, "rm -rf %s", w->folder);
    return system(command);
}

typedef err_t *(*change_t)(buf_t *changes, unsigned table, bytes_t key, bytes_t value);

static void make(db_local_t *local, change_t change, const char *value) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, 1024);
    assert_ok(change(&changes, 7, BYTES_LIT("key"), bytes_str(value)));
    assert_ok(db_local_apply(local, buf_bytes(&changes)));
}

static void expect(db_local_t *local, const char *value) {
    CLEANUP(buf_done) buf_t out;
    bool found = false;
    buf_init(&out, 1024);
    assert_ok(db_local_get(local, 7, BYTES_LIT("key"), &found, &out));
    assert_int_equal(found, value != NULL);
    if (value) assert_true(bytes_eq_str(buf_bytes(&out), value));
}

static void test_local_state__what_is_added_stays_the_firsts(void **state) {
    const world_t *w = *state;
    expect(w->one, NULL);
    make(w->one, db_local_add, "first");
    make(w->other, db_local_add, "second");
    expect(w->one, "first");
    expect(w->other, "first");
    make(w->other, db_local_put, "third");
    expect(w->one, "third");
}

static void test_local_state__what_is_dropped_can_be_added_anew(void **state) {
    const world_t *w = *state;
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, 1024);
    make(w->one, db_local_put, "first");
    assert_ok(db_local_drop(&changes, 7, BYTES_LIT("key")));
    assert_ok(db_local_add(&changes, 7, BYTES_LIT("key"), BYTES_LIT("again")));
    assert_ok(db_local_apply(w->one, buf_bytes(&changes)));
    expect(w->other, "again");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_local_state__what_is_added_stays_the_firsts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_local_state__what_is_dropped_can_be_added_anew, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
