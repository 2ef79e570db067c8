/*
 * What is remembered of partial deliveries: src/program/mailgate/ledger.c.
 */
#include "../unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "program/mailgate/ledger.h"

typedef struct {
    char dir[64], path[96];
    clk_fake_t clk;
} world_t;

static int setup(void **state) {
    world_t *w = calloc(1, sizeof *w);
    if (!w) return -1;
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/coffer-ledger-XXXXXX");
    if (!mkdtemp(w->dir)) return -1;
    (void)snprintf(w->path, sizeof w->path, "%s/ledger", w->dir);
    clk_fake_init(&w->clk, 1800000000000);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    world_t *w = *state;
    (void)unlink(w->path);
    (void)rmdir(w->dir);
    free(w);
    return 0;
}

static ledger_key_t key_of(unsigned n) {
    ledger_key_t key = {{0}};
    for (size_t i = 0; i < 4; i++) key.bytes[i] = (uint8_t)(n * 2654435761U >> 8 * i);
    key.bytes[31] = (uint8_t)n;
    key.bytes[30] = (uint8_t)(n >> 8);
    return key;
}

static ledger_t *open_ledger(world_t *w) {
    ledger_t *l = NULL;
    assert_ok(ledger_open(w->path, &w->clk.clk, &l));
    return l;
}

static void test_ledger__remembers_and_forgets_over_restarts(void **state) {
    world_t *w = *state;
    enum { MANY = 2000 };
    ledger_t *l = open_ledger(w);
    for (unsigned i = 0; i < MANY; i++) {
        ledger_key_t key = key_of(i);
        assert_false(ledger_has(l, &key));
        assert_ok(ledger_add(l, &key, 1));
        if (i % 3 == 0) assert_ok(ledger_forget(l, &key, 1));
    }
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            ledger_key_t key = key_of(i);
            assert_int_equal(ledger_has(l, &key), i % 3 != 0);
        }
        assert_int_equal(ledger_count(l), MANY - (MANY + 2) / 3);
        ledger_close(l);
        l = open_ledger(w);
    }
    ledger_close(l);
}

static void test_ledger__entries_end(void **state) {
    world_t *w = *state;
    ledger_t *l = open_ledger(w);
    ledger_key_t key = key_of(1);
    assert_ok(ledger_add(l, &key, 1));
    clk_fake_advance(&w->clk, (LEDGER_LIFE_S - 1) * (int64_t)1000);
    assert_true(ledger_has(l, &key));
    clk_fake_advance(&w->clk, 1000);
    assert_false(ledger_has(l, &key));
    ledger_close(l);
    l = open_ledger(w);
    assert_int_equal(ledger_count(l), 0);
    ledger_close(l);
}

/* A crash in the middle of a record, or a flipped bit: what is before it counts. */
static void test_ledger__damaged_end_is_cut(void **state) {
    world_t *w = *state;
    for (off_t cut = 1; cut < 48; cut += 5) {
        (void)unlink(w->path);
        ledger_t *l = open_ledger(w);
        ledger_key_t a = key_of(1), b = key_of(2);
        assert_ok(ledger_add(l, &a, 1));
        assert_ok(ledger_add(l, &b, 1));
        ledger_close(l);
        if (cut % 2) {
            assert_int_equal(truncate(w->path, 96 - cut), 0);
        } else {
            int fd = open(w->path, O_RDWR);
            uint8_t byte = 0;
            assert_int_equal(pread(fd, &byte, 1, 96 - cut), 1);
            byte ^= 0x10;
            assert_int_equal(pwrite(fd, &byte, 1, 96 - cut), 1);
            (void)close(fd);
        }
        l = open_ledger(w);
        assert_true(ledger_has(l, &a));
        assert_false(ledger_has(l, &b));
        assert_ok(ledger_add(l, &b, 1)); /* and it goes on behind what counts */
        ledger_close(l);
        l = open_ledger(w);
        assert_true(ledger_has(l, &a) && ledger_has(l, &b));
        ledger_close(l);
    }
}

static void test_ledger__reserved_room_is_there(void **state) {
    world_t *w = *state;
    struct stat st;
    ledger_t *l = open_ledger(w);
    assert_ok(ledger_reserve(l, 10));
    assert_int_equal(stat(w->path, &st), 0);
    assert_true(st.st_size >= 10 * 48);
    ledger_key_t key = key_of(7);
    assert_ok(ledger_add(l, &key, 1));
    ledger_close(l);
    l = open_ledger(w);
    assert_true(ledger_has(l, &key));
    assert_int_equal(ledger_count(l), 1);
    ledger_close(l);
}

static void test_ledger__failures_leave_it_right(void **state) {
    world_t *w = *state;
    for (int memory = 0; memory < 2; memory++) {
        for (unsigned long n = 1; n < 50; n++) {
            (void)unlink(w->path);
            ledger_t *l = open_ledger(w);
            ledger_key_t keys[] = {key_of(1), key_of(2)};
            assert_ok(ledger_add(l, &keys[0], 1));
            if (memory) fault_arm_memory(n);
            else fault_arm_io(n);
            err_t *e = ledger_reserve(l, 1);
            if (!e) e = ledger_add(l, &keys[1], 1);
            bool fired = memory ? fault_memory_fired() : fault_io_fired();
            fault_arm_memory(0);
            fault_arm_io(0);
            assert_int_equal(e != NULL, fired);
            err_free(e);
            ledger_close(l);
            l = open_ledger(w);
            assert_true(ledger_has(l, &keys[0]));
            if (!fired) assert_true(ledger_has(l, &keys[1]));
            ledger_close(l);
            if (!fired) break;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ledger__remembers_and_forgets_over_restarts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_ledger__entries_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ledger__damaged_end_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ledger__reserved_room_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ledger__failures_leave_it_right, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
