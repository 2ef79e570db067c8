/* Keybags: classes, tries with delays, lock timer, change of passcode, roll-back, destruction. */
#include "keybag_fixture.h"

#include <sys/stat.h>

#include "base/fault.h"

static bool can_open(const keybag_t *bag, keybag_class_t cls, bytes_t sealed) {
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, 256);
    err_t *e = keybag_unseal(bag, cls, "test", sealed, &out);
    bool good = !e && bytes_eq_str(buf_bytes(&out), "secret");
    if (e) assert_int_equal(err_code(e), ERR_DENIED);
    err_free(e);
    return good;
}

static void assert_classes(const keybag_t *bag, buf_t sealed[4], const char *wanted) {
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(can_open(bag, (keybag_class_t)i, buf_bytes(&sealed[i])), wanted[i] == '1');
}

static void test_keybag__gives_classes_as_the_states_say(void **state) {
    (void)state;
    world_t w;
    buf_t sealed[4];
    world_init(&w);
    keybag_t *bag = world_create(&w);
    for (unsigned i = 0; i < 4; i++) {
        buf_init(&sealed[i], 256);
        assert_ok(keybag_seal(bag, (keybag_class_t)i, "test", BYTES_LIT("secret"), &sealed[i]));
    }
    assert_classes(bag, sealed, "1111");
    keybag_free(bag);
    bag = world_open(&w);
    assert_classes(bag, sealed, "0001"); /* since the start: the device alone */
    assert_ok(keybag_unlock(bag, RIGHT));
    assert_classes(bag, sealed, "1111");
    keybag_lock(bag, 0);
    assert_classes(bag, sealed, "0011");
    buf_clear(&sealed[1]); /* appending is possible, reading back is not */
    assert_ok(keybag_seal(bag, KEYBAG_B, "test", BYTES_LIT("secret"), &sealed[1]));
    assert_err(ERR_DENIED, keybag_seal(bag, KEYBAG_A, "test", BYTES_LIT("x"), &sealed[0]));
    assert_classes(bag, sealed, "0011");
    assert_ok(keybag_unlock(bag, RIGHT));
    assert_classes(bag, sealed, "1111");
    for (unsigned i = 0; i < 4; i++) buf_done(&sealed[i]);
    keybag_free(bag);
    world_done(&w);
}

static void test_keybag__binds_items_to_class_context_and_bag(void **state) {
    (void)state;
    world_t w, other;
    CLEANUP(buf_done) buf_t sealed, b, out;
    buf_init(&sealed, 256);
    buf_init(&b, 256);
    buf_init(&out, 256);
    world_init(&w);
    world_init(&other);
    keybag_t *bag = world_create(&w), *foreign = world_create(&other);
    assert_ok(keybag_seal(bag, KEYBAG_A, "one", BYTES_LIT("secret"), &sealed));
    assert_ok(keybag_seal(bag, KEYBAG_B, "one", BYTES_LIT("secret"), &b));
    assert_err(ERR_VERIFY, keybag_unseal(bag, KEYBAG_A, "two", buf_bytes(&sealed), &out));
    assert_err(ERR_VERIFY, keybag_unseal(bag, KEYBAG_C, "one", buf_bytes(&sealed), &out));
    assert_err(ERR_VERIFY, keybag_unseal(bag, KEYBAG_B, "two", buf_bytes(&b), &out));
    assert_err(ERR_VERIFY, keybag_unseal(foreign, KEYBAG_A, "one", buf_bytes(&sealed), &out));
    assert_err(ERR_VERIFY, keybag_unseal(foreign, KEYBAG_B, "one", buf_bytes(&b), &out));
    keybag_free(bag);
    keybag_free(foreign);
    world_done(&w);
    world_done(&other);
}

static void test_keybag__lock_timer_wipes_after_ten_seconds(void **state) {
    (void)state;
    world_t w;
    keybag_state_t s;
    world_init(&w);
    keybag_t *bag = world_create(&w);
    assert_int_equal(keybag_due(bag), -1);
    keybag_lock(bag, KEYBAG_LOCK_MS);
    assert_int_equal(keybag_due(bag), 10000);
    clk_fake_advance(&w.clk, 9999);
    assert_false(keybag_tick(bag));
    keybag_lock(bag, KEYBAG_LOCK_MS); /* locking again does not put it off */
    assert_int_equal(keybag_due(bag), 1);
    assert_ok(keybag_state(bag, &s));
    assert_true(s.unlocked && s.locking);
    clk_fake_advance(&w.clk, 1);
    assert_true(keybag_tick(bag));
    assert_false(keybag_tick(bag));
    assert_ok(keybag_state(bag, &s));
    assert_true(!s.unlocked && !s.locking && s.first);
    assert_ok(keybag_unlock(bag, RIGHT));
    keybag_lock(bag, KEYBAG_LOCK_MS);
    assert_ok(keybag_unlock(bag, RIGHT)); /* calls it off */
    clk_fake_advance(&w.clk, 20000);
    assert_false(keybag_tick(bag));
    keybag_free(bag);
    world_done(&w);
}

/* Each wait to its last millisecond, over restarts of the agent. */
static void test_keybag__ten_tries_with_growing_delay_then_destroyed(void **state) {
    (void)state;
    static const int64_t waits[] = {0, 0, 0, 0, 60, 300, 900, 900, 3600};
    world_t w;
    keybag_state_t s;
    world_init(&w);
    keybag_free(world_create(&w));
    for (unsigned i = 0; i < 9; i++) {
        keybag_t *bag = world_open(&w);
        assert_err(ERR_AUTH, keybag_unlock(bag, WRONG));
        assert_ok(keybag_state(bag, &s));
        assert_int_equal(s.tries_left, 9 - i);
        assert_int_equal(s.wait_ms, waits[i] * 1000);
        if (waits[i]) {
            clk_fake_advance(&w.clk, waits[i] * 1000 - 1);
            keybag_free(bag);
            bag = world_open(&w);
            assert_err(ERR_BUSY, keybag_unlock(bag, RIGHT)); /* not even judged, not counted */
            clk_fake_advance(&w.clk, 1);
        }
        keybag_free(bag);
    }
    keybag_t *bag = world_open(&w);
    assert_err(ERR_DENIED, keybag_unlock(bag, WRONG));
    assert_err(ERR_DENIED, keybag_unlock(bag, RIGHT));
    assert_false(file_exists(w.bag));
    assert_false(file_exists(w.device));
    keybag_free(bag);
    world_done(&w);
}

static void test_keybag__right_passcode_starts_the_count_anew(void **state) {
    (void)state;
    world_t w;
    keybag_state_t s;
    world_init(&w);
    keybag_t *bag = world_create(&w);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 4; i++) assert_err(ERR_AUTH, keybag_unlock(bag, WRONG));
        assert_ok(keybag_unlock(bag, RIGHT));
        assert_ok(keybag_state(bag, &s));
        assert_int_equal(s.tries_left, 10);
    }
    keybag_free(bag);
    world_done(&w);
}

/* The wall clock does not matter; a restart of the system makes the wait begin anew. */
static void test_keybag__restart_does_not_shorten_the_delay(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    keybag_t *bag = world_create(&w);
    for (unsigned i = 0; i < 5; i++) assert_err(ERR_AUTH, keybag_unlock(bag, WRONG));
    keybag_free(bag);
    w.env.boot[0] = 2;
    clk_fake_init(&w.clk, 59999); /* since the start */
    bag = world_open(&w);
    assert_err(ERR_BUSY, keybag_unlock(bag, RIGHT));
    clk_fake_advance(&w.clk, 1);
    assert_ok(keybag_unlock(bag, RIGHT));
    for (unsigned i = 0; i < 5; i++) assert_err(ERR_AUTH, keybag_unlock(bag, WRONG));
    char tries[128];
    (void)snprintf(tries, sizeof tries, "%s.tries", w.bag);
    assert_int_equal(unlink(tries), 0); /* the same if the record is gone */
    clk_fake_init(&w.clk, 59999);
    assert_err(ERR_BUSY, keybag_unlock(bag, RIGHT));
    keybag_free(bag);
    world_done(&w);
}

/* A TPM counts on when the disk takes nothing: ten times the right passcode must not destroy. */
static void test_keybag__disk_that_takes_nothing_costs_no_try(void **state) {
    (void)state;
    world_t w;
    keybag_state_t s;
    char tries[128];
    world_init(&w);
    keybag_t *bag = world_create(&w);
    (void)snprintf(tries, sizeof tries, "%s.tries", w.bag);
    assert_int_equal(mkdir(tries, 0700), 0);
    for (unsigned i = 0; i < 2 * KEYBAG_TRIES; i++) assert_err(ERR_IO, keybag_unlock(bag, RIGHT));
    assert_ok(keybag_state(bag, &s));
    assert_int_equal(s.tries_left, KEYBAG_TRIES);
    assert_int_equal(rmdir(tries), 0);
    assert_ok(keybag_unlock(bag, RIGHT));
    keybag_free(bag);
    world_done(&w);
}

/* An older keybag beside the device's present part: more tries seem spent, never fewer. */
static void test_keybag__rolled_back_file_gains_no_tries(void **state) {
    (void)state;
    world_t w;
    keybag_state_t s;
    char old[128];
    world_init(&w);
    (void)snprintf(old, sizeof old, "%s/old-bag", w.dir);
    keybag_t *bag = world_create(&w);
    copy_file(w.bag, old);
    for (unsigned i = 0; i < 4; i++) assert_ok(keybag_unlock(bag, RIGHT));
    for (unsigned i = 0; i < 3; i++) assert_err(ERR_AUTH, keybag_unlock(bag, WRONG));
    keybag_free(bag);
    copy_file(old, w.bag);
    bag = world_open(&w);
    assert_ok(keybag_state(bag, &s));
    assert_int_equal(s.tries_left, 3);
    keybag_free(bag);
    world_done(&w);
}

static void test_keybag__change_ends_the_old_passcode_in_old_copies_too(void **state) {
    (void)state;
    world_t w;
    char old[128];
    keybag_state_t s;
    CLEANUP(buf_done) buf_t sealed, out;
    buf_init(&sealed, 256);
    buf_init_secret(&out, 256);
    world_init(&w);
    (void)snprintf(old, sizeof old, "%s/old-bag", w.dir);
    keybag_t *bag = world_create(&w);
    assert_ok(keybag_seal(bag, KEYBAG_A, "x", BYTES_LIT("secret"), &sealed));
    copy_file(w.bag, old);
    assert_err(ERR_AUTH, keybag_change(bag, WRONG, OTHER));
    assert_err(ERR_USAGE, keybag_change(bag, RIGHT, BYTES_LIT("short")));
    assert_ok(keybag_change(bag, RIGHT, OTHER));
    assert_ok(keybag_state(bag, &s));
    assert_int_equal(s.generation, 2);
    assert_err(ERR_AUTH, keybag_unlock(bag, RIGHT));
    assert_ok(keybag_unlock(bag, OTHER));
    assert_ok(keybag_unseal(bag, KEYBAG_A, "x", buf_bytes(&sealed), &out));
    keybag_free(bag);
    copy_file(old, w.bag); /* put back: the device has dropped what it needs */
    bag = world_open(&w);
    clk_fake_advance(&w.clk, 3600 * 1000); /* all since then count as wrong ones */
    assert_err(ERR_NOT_FOUND, keybag_unlock(bag, RIGHT));
    keybag_free(bag);
    world_done(&w);
}

/* A home directory that is restored has an older file; the right one, put back, still opens. */
static void test_keybag__an_older_file_does_no_harm_to_the_present_one(void **state) {
    (void)state;
    world_t w;
    char old[128], now[128];
    world_init(&w);
    (void)snprintf(old, sizeof old, "%s/old-bag", w.dir);
    (void)snprintf(now, sizeof now, "%s/old-device", w.dir);
    keybag_t *bag = world_create(&w);
    copy_file(w.bag, old);
    assert_ok(keybag_change(bag, RIGHT, OTHER));
    keybag_free(bag);
    copy_file(w.bag, now);
    copy_file(old, w.bag);
    bag = world_open(&w);
    assert_err(ERR_NOT_FOUND, keybag_unlock(bag, RIGHT));
    keybag_free(bag);
    copy_file(now, w.bag);
    bag = world_open(&w);
    assert_ok(keybag_unlock(bag, OTHER));
    keybag_free(bag);
    world_done(&w);
}

/* By another name of the same file, which shows what became of its bytes. */
static void test_keybag__destroying_overwrites_the_devices_key(void **state) {
    (void)state;
    world_t w;
    char other[128];
    CLEANUP(buf_done) buf_t left;
    buf_init(&left, 4096);
    world_init(&w);
    (void)snprintf(other, sizeof other, "%s/old-device", w.dir);
    keybag_t *bag = world_create(&w);
    assert_int_equal(link(w.device, other), 0);
    assert_ok(keybag_destroy(bag));
    assert_false(file_exists(w.device));
    assert_ok(file_read(other, &left));
    assert_true(left.n > KEYBAG_KEY);
    for (size_t i = 0; i < left.n; i++) assert_int_equal(left.p[i], 0);
    assert_ok(keybag_destroy(bag)); /* once more is fine */
    keybag_free(bag);
    world_done(&w);
}

static void test_keybag__creating_that_fails_leaves_nothing(void **state) {
    (void)state;
    world_t w;
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    world_init(&w);
    assert_ok(anchor_file_create(w.device, w.env.rnd, &anchor));
    assert_err(ERR_USAGE, keybag_create(&w.env, w.bag, anchor, 0, BYTES_LIT("short"),
                                        &PASSWORD_COST_TEST, &bag));
    assert_false(file_exists(w.device));
    assert_false(file_exists(w.bag));
    keybag_free(world_create(&w));
    world_done(&w);
}

static void test_keybag__notices_every_changed_byte(void **state) {
    (void)state;
    world_t w;
    CLEANUP(buf_done) buf_t data;
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    buf_init(&data, KEYBAG_FILE);
    world_init(&w);
    keybag_free(world_create(&w));
    assert_ok(file_read(w.bag, &data));
    assert_int_equal(data.n, KEYBAG_FILE);
    for (size_t i = 0; i < data.n; i++) {
        data.p[i] ^= 1;
        assert_ok(file_write(w.bag, buf_bytes(&data), 0600));
        assert_ok(anchor_file_open(w.device, &anchor));
        err_t *e = keybag_open(&w.env, w.bag, anchor, &bag);
        assert_non_null(e);
        assert_true(err_code(e) == ERR_VERIFY || err_code(e) == ERR_INVALID);
        err_free(e);
        data.p[i] ^= 1;
    }
    world_done(&w);
}

static void test_keybag__another_device_opens_nothing(void **state) {
    (void)state;
    world_t w, other;
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    world_init(&w);
    world_init(&other);
    keybag_free(world_create(&w));
    keybag_free(world_create(&other));
    assert_ok(anchor_file_open(other.device, &anchor));
    assert_err(ERR_VERIFY, keybag_open(&w.env, w.bag, anchor, &bag));
    world_done(&w);
    world_done(&other);
}

static void test_keybag__destroyed_bag_is_gone_for_copies_too(void **state) {
    (void)state;
    world_t w;
    char old[128];
    anchor_t *anchor = NULL;
    world_init(&w);
    (void)snprintf(old, sizeof old, "%s/old-bag", w.dir);
    keybag_t *bag = world_create(&w);
    copy_file(w.bag, old);
    assert_ok(keybag_destroy(bag));
    assert_err(ERR_DENIED, keybag_unlock(bag, RIGHT));
    keybag_free(bag);
    assert_false(file_exists(w.bag));
    copy_file(old, w.bag);
    assert_err(ERR_NOT_FOUND, anchor_file_open(w.device, &anchor));
    world_done(&w);
}

static void test_keybag__survives_failed_allocations(void **state) {
    (void)state;
    world_t w;
    world_init(&w);
    keybag_t *bag = world_create(&w);
    unsigned long n = 1;
    for (;; n++) {
        fault_arm_memory(n);
        err_t *e = keybag_unlock(bag, RIGHT);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        assert_true(fired || !e);
        err_free(e);
        if (!fired) break;
        if (n % 3 == 0) assert_ok(keybag_unlock(bag, RIGHT)); /* a failure counts as a try */
    }
    assert_true(n > 5);
    keybag_free(bag);
    world_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keybag__gives_classes_as_the_states_say),
        cmocka_unit_test(test_keybag__binds_items_to_class_context_and_bag),
        cmocka_unit_test(test_keybag__lock_timer_wipes_after_ten_seconds),
        cmocka_unit_test(test_keybag__ten_tries_with_growing_delay_then_destroyed),
        cmocka_unit_test(test_keybag__right_passcode_starts_the_count_anew),
        cmocka_unit_test(test_keybag__restart_does_not_shorten_the_delay),
        cmocka_unit_test(test_keybag__disk_that_takes_nothing_costs_no_try),
        cmocka_unit_test(test_keybag__rolled_back_file_gains_no_tries),
        cmocka_unit_test(test_keybag__change_ends_the_old_passcode_in_old_copies_too),
        cmocka_unit_test(test_keybag__an_older_file_does_no_harm_to_the_present_one),
        cmocka_unit_test(test_keybag__destroying_overwrites_the_devices_key),
        cmocka_unit_test(test_keybag__creating_that_fails_leaves_nothing),
        cmocka_unit_test(test_keybag__notices_every_changed_byte),
        cmocka_unit_test(test_keybag__another_device_opens_nothing),
        cmocka_unit_test(test_keybag__destroyed_bag_is_gone_for_copies_too),
        cmocka_unit_test(test_keybag__survives_failed_allocations),
    };
    return cmocka_run_group_tests_name("keybag", tests, NULL, NULL);
}
