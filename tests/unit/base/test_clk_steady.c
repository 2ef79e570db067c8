/* The clock for ages: a clock of day that is set wrong makes nothing old. */
#include "../unit.h"

#include "base/clk_steady.h"
#include "base/fault.h"

#define MINUTE ((int64_t)60 * 1000)
#define DAY    (24 * 60 * MINUTE)
#define YEAR   (365 * DAY)
#define NOW    (1700000000 * (int64_t)1000)

/* A clock of day that can be set, which the other one can't. */
typedef struct {
    clk_t clk;
    int64_t day_ms, mono_ms;
} watch_t;

static int64_t watch_unix(const clk_t *clk) { return ((const watch_t *)clk)->day_ms; }
static int64_t watch_mono(const clk_t *clk) { return ((const watch_t *)clk)->mono_ms; }

static void pass(watch_t *watch, int64_t ms) {
    watch->day_ms += ms;
    watch->mono_ms += ms;
}

static watch_t watch_new(void) { return (watch_t){{watch_unix, watch_mono}, NOW, 5 * MINUTE}; }

static int64_t ask(const clk_steady_t *steady) { return clk_unix_ms(clk_steady_clk(steady)); }

static void test_steady__goes_with_a_clock_that_is_right(void **state) {
    (void)state;
    CLEANUP(clk_steady_free) clk_steady_t *steady = NULL;
    watch_t watch = watch_new();
    assert_ok(clk_steady_new(&watch.clk, 0, &steady));
    for (int64_t ms = 1; ms < 100 * DAY; ms *= 3) {
        assert_true(ask(steady) == watch.day_ms);
        pass(&watch, ms);
    }
    assert_true(clk_mono_ms(clk_steady_clk(steady)) == watch.mono_ms);
    assert_true(clk_steady_off(steady) == 0);
}

static void test_steady__is_not_moved_by_a_clock_set_ahead(void **state) {
    (void)state;
    CLEANUP(clk_steady_free) clk_steady_t *steady = NULL;
    watch_t watch = watch_new();
    assert_ok(clk_steady_new(&watch.clk, 0, &steady));
    watch.day_ms += YEAR;
    assert_true(ask(steady) == NOW);
    pass(&watch, DAY);
    assert_true(ask(steady) == NOW + DAY);
    assert_true(clk_steady_off(steady) == YEAR);
    watch.day_ms -= YEAR; /* right again */
    assert_true(ask(steady) == watch.day_ms);
    assert_true(clk_steady_off(steady) == 0);
}

static void test_steady__goes_on_while_the_day_is_behind(void **state) {
    (void)state;
    CLEANUP(clk_steady_free) clk_steady_t *steady = NULL;
    watch_t watch = watch_new();
    assert_ok(clk_steady_new(&watch.clk, 0, &steady));
    watch.day_ms -= YEAR;
    assert_true(ask(steady) == NOW);
    pass(&watch, DAY);
    assert_true(ask(steady) == NOW + DAY);
    assert_true(clk_steady_off(steady) == -YEAR);
}

/* Ten days off, then ninety: what got its stamp at the start is ninety days old, not more. */
static void test_steady__makes_nothing_older_than_it_is(void **state) {
    (void)state;
    CLEANUP(clk_steady_free) clk_steady_t *steady = NULL;
    watch_t watch = watch_new();
    assert_ok(clk_steady_new(&watch.clk, NOW - 10 * DAY, &steady));
    int64_t stamp = ask(steady);
    assert_true(stamp == NOW - 10 * DAY);
    for (int64_t days = 1; days <= 90; days++) {
        pass(&watch, DAY);
        assert_true(ask(steady) - stamp == days * DAY);
    }
    assert_true(clk_steady_off(steady) == 10 * DAY);
}

static void test_steady__survives_each_failing_allocation(void **state) {
    (void)state;
    watch_t watch = watch_new();
    for (uint64_t n = 1; n <= 1; n++) {
        clk_steady_t *steady = NULL;
        fault_arm_memory(n);
        assert_err(ERR_NOMEM, clk_steady_new(&watch.clk, 0, &steady));
        fault_arm_memory(0);
        assert_null(steady);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady__goes_with_a_clock_that_is_right),
        cmocka_unit_test(test_steady__is_not_moved_by_a_clock_set_ahead),
        cmocka_unit_test(test_steady__goes_on_while_the_day_is_behind),
        cmocka_unit_test(test_steady__makes_nothing_older_than_it_is),
        cmocka_unit_test(test_steady__survives_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
