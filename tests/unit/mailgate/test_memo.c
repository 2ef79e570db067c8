/*
 * Kept answers: only for the stamp that they were made under, shared and dropped as often.
 */
#include "../unit.h"

#include "base/fault.h"
#include "program/common/memo.h"

static int references;

static void share(void *value) {
    (void)value;
    references++;
}

static void drop(void *value) {
    (void)value;
    references--;
}

static memo_t *make(size_t slots) {
    memo_t *memo = NULL;
    references = 0;
    assert_ok(memo_new(
        &(memo_options_t){.slots = slots, .size = sizeof(int), .share = share, .drop = drop},
        &memo));
    return memo;
}

static void test_memo__gives_what_was_put_under_the_same_stamp(void **state) {
    (void)state;
    CLEANUP(memo_free) memo_t *memo = make(16);
    const memo_stamp_t one = {1, 0}, two = {2, 0}, aside = {1, 7};
    int value = 5, found = 0;
    assert_false(memo_get(memo, BYTES_LIT("a"), one, &found));
    memo_put(memo, BYTES_LIT("a"), one, &value);
    value = 6;
    assert_true(memo_get(memo, BYTES_LIT("a"), one, &found));
    assert_int_equal(found, 5);
    assert_false(memo_get(memo, BYTES_LIT("a"), two, &found));
    assert_false(memo_get(memo, BYTES_LIT("a"), aside, &found));
    assert_false(memo_get(memo, BYTES_LIT("b"), one, &found));
    memo_put(memo, BYTES_LIT("a"), two, &value);
    assert_false(memo_get(memo, BYTES_LIT("a"), one, &found));
    assert_true(memo_get(memo, BYTES_LIT("a"), two, &found));
    assert_int_equal(found, 6);
}

static void test_memo__counts_every_copy(void **state) {
    (void)state;
    memo_t *memo = make(1);
    const memo_stamp_t stamp = {1, 0};
    int value = 1, found = 0;
    memo_put(memo, BYTES_LIT("a"), stamp, &value);
    assert_int_equal(references, 1);
    assert_true(memo_get(memo, BYTES_LIT("a"), stamp, &found));
    assert_int_equal(references, 2);
    memo_put(memo, BYTES_LIT("b"), stamp, &value); /* the same place: it goes */
    assert_int_equal(references, 2);
    assert_false(memo_get(memo, BYTES_LIT("a"), stamp, &found));
    memo_free(memo);
    assert_int_equal(references, 1); /* ours */
}

static void test_memo__keeps_no_endless_names_and_needs_no_memory(void **state) {
    (void)state;
    static const uint8_t name[MEMO_KEY_MAX + 1] = {1};
    CLEANUP(memo_free) memo_t *memo = make(4);
    const memo_stamp_t stamp = {1, 0};
    int value = 1, found = 0;
    memo_put(memo, bytes_make(name, sizeof name), stamp, &value);
    assert_false(memo_get(memo, bytes_make(name, sizeof name), stamp, &found));
    for (unsigned long nth = 1; nth <= 2; nth++) {
        fault_arm_memory(nth);
        memo_put(memo, BYTES_LIT("a"), stamp, &value);
        fault_arm_memory(0);
        assert_false(memo_get(memo, BYTES_LIT("a"), stamp, &found));
        assert_int_equal(references, 0);
    }
    assert_err(ERR_USAGE, memo_new(&(memo_options_t){.slots = 3, .size = 1}, &memo));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memo__gives_what_was_put_under_the_same_stamp),
        cmocka_unit_test(test_memo__counts_every_copy),
        cmocka_unit_test(test_memo__keeps_no_endless_names_and_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
