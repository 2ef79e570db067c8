/*
 * The token bucket (sync/client/rate.h).
 */
#include "../unit.h"

#include "base/clk.h"
#include "sync/client/rate.h"

static void test_rate__no_limit_never_waits(void **state) {
    (void)state;
    sync_rate_t rate = {0};
    for (unsigned i = 0; i < 100; i++) assert_int_equal(sync_rate_take(&rate, 5, UINT64_MAX), 0);
}

/* Whoever waits as long as he is told lets no more through than the rate, and hardly less. */
static void test_rate__what_passes_is_the_rate(void **state) {
    (void)state;
    clk_fake_t clk;
    sync_rate_t rate = {.per_s = 1000 * 1000};
    uint64_t passed = 0;
    clk_fake_init(&clk, 1700000000000);
    int64_t began = clk_mono_ms(&clk.clk);
    for (unsigned i = 1; i <= 1000; i++) {
        uint64_t bytes = i * 7919 % 200000;
        clk_fake_advance(&clk, sync_rate_take(&rate, clk_mono_ms(&clk.clk), bytes));
        int64_t ms = clk_mono_ms(&clk.clk) - began;
        /* What was let through before has been paid for. */
        assert_true(passed <= 1000 * (uint64_t)(ms + SYNC_RATE_BURST_MS) + 1000);
        passed += bytes;
    }
    int64_t ms = clk_mono_ms(&clk.clk) - began;
    assert_true(passed >= 1000 * (uint64_t)ms);
}

static void test_rate__what_was_not_used_is_not_saved_up(void **state) {
    (void)state;
    sync_rate_t rate = {.per_s = 1000 * 1000};
    assert_int_equal(sync_rate_take(&rate, 1000, 1000 * 1000), 0);
    assert_int_equal(sync_rate_take(&rate, 1000, 1), 1000 - SYNC_RATE_BURST_MS);
    assert_int_equal(sync_rate_take(&rate, 3600 * 1000, 1000 * 1000), 0);
    assert_int_equal(sync_rate_take(&rate, 3600 * 1000, 1), 1000 - SYNC_RATE_BURST_MS);
}

static void test_rate__is_read_as_people_write_it(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t rate;
    } good[] = {{"0", 0},           {"500k", 500000},
                {"2M", 2000000},    {"50K", 50000},
                {"1g", 1000000000}, {"10G", SYNC_RATE_MAX},
                {"65536", 65536},   {"10000000000", SYNC_RATE_MAX}};
    static const char *const bad[] = {"",    "k",    "1",   "49k", "-1",
                                      "2MB", "1.5M", "11G", "2 M", "99999999999G"};
    uint64_t rate = 7;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_ok(sync_rate_parse(bytes_str(good[i].text), &rate));
        assert_int_equal(rate, good[i].rate);
    }
    rate = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_USAGE, sync_rate_parse(bytes_str(bad[i]), &rate));
    assert_int_equal(rate, 7);
}

static void test_rate__tells_how_long_bytes_take(void **state) {
    (void)state;
    const sync_rate_t slow = {.per_s = 10000}, none = {0};
    assert_int_equal(sync_rate_ms(&slow, 8000), 800);
    assert_int_equal(sync_rate_ms(&none, 8000), 0);
    assert_true(sync_rate_ms(&slow, UINT64_MAX) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate__no_limit_never_waits),
        cmocka_unit_test(test_rate__what_passes_is_the_rate),
        cmocka_unit_test(test_rate__what_was_not_used_is_not_saved_up),
        cmocka_unit_test(test_rate__is_read_as_people_write_it),
        cmocka_unit_test(test_rate__tells_how_long_bytes_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
