/*
 * Token buckets by address: src/http/rate.c.
 */
#include "http/rate.h"

#include <stdio.h>

#include "../unit.h"
#include "base/fault.h"
#include "base/limits.h"

static void take_n(http_rate_t *rate, const char *peer, int n) {
    for (int i = 0; i < n; i++) assert_ok(http_rate_take(rate, peer));
}

static void test_rate__burst_then_so_many_a_second(void **state) {
    (void)state;
    clk_fake_t clk;
    CLEANUP(http_rate_free) http_rate_t *rate = NULL;
    clk_fake_init(&clk, 1000000);
    assert_ok(http_rate_new(&clk.clk, rnd_real(), 5, 10, &rate));
    take_n(rate, "192.0.2.1", 10);
    assert_err(ERR_BUSY, http_rate_take(rate, "192.0.2.1"));
    take_n(rate, "192.0.2.2", 1); /* another's bucket */
    clk_fake_advance(&clk, 199);
    assert_err(ERR_BUSY, http_rate_take(rate, "192.0.2.1"));
    clk_fake_advance(&clk, 1);
    take_n(rate, "192.0.2.1", 1);
    assert_err(ERR_BUSY, http_rate_take(rate, "192.0.2.1"));
    clk_fake_advance(&clk, 1000);
    take_n(rate, "192.0.2.1", 5);
    assert_err(ERR_BUSY, http_rate_take(rate, "192.0.2.1"));
    clk_fake_advance(&clk, (int64_t)365 * 86400 * 1000); /* never more than the burst */
    take_n(rate, "192.0.2.1", 10);
    assert_err(ERR_BUSY, http_rate_take(rate, "192.0.2.1"));
}

static void test_rate__counts_names_apart(void **state) {
    (void)state;
    clk_fake_t clk;
    CLEANUP(http_rate_free) http_rate_t *rate = NULL;
    clk_fake_init(&clk, 1000000);
    assert_ok(http_rate_new(&clk.clk, rnd_real(), 1, 2, &rate));
    for (int i = 0; i < 2; i++) assert_ok(http_rate_take_name(rate, "device-1"));
    assert_err(ERR_BUSY, http_rate_take_name(rate, "device-1"));
    assert_ok(http_rate_take_name(rate, "device-2"));
    clk_fake_advance(&clk, 1000);
    assert_ok(http_rate_take_name(rate, "device-1"));
    assert_err(ERR_BUSY, http_rate_take_name(rate, "device-1"));
}

static void test_rate__counts_a_64_of_ipv6_as_one(void **state) {
    (void)state;
    clk_fake_t clk;
    CLEANUP(http_rate_free) http_rate_t *rate = NULL;
    clk_fake_init(&clk, 1000000);
    assert_ok(http_rate_new(&clk.clk, rnd_real(), 1, 2, &rate));
    take_n(rate, "2001:db8:1:2::1", 1);
    take_n(rate, "2001:db8:1:2:ffff::9", 1);
    assert_err(ERR_BUSY, http_rate_take(rate, "2001:db8:1:2::3"));
    take_n(rate, "2001:db8:1:3::3", 2);
}

static void test_rate__zero_is_no_limit(void **state) {
    (void)state;
    clk_fake_t clk;
    CLEANUP(http_rate_free) http_rate_t *rate = NULL;
    clk_fake_init(&clk, 1000000);
    assert_ok(http_rate_new(&clk.clk, rnd_real(), 0, 1, &rate));
    take_n(rate, "192.0.2.1", 10000);
}

static void test_rate__many_addresses_make_room_and_keep_whoever_is_busy(void **state) {
    (void)state;
    clk_fake_t clk;
    CLEANUP(http_rate_free) http_rate_t *rate = NULL;
    clk_fake_init(&clk, 1000000);
    assert_ok(http_rate_new(&clk.clk, rnd_real(), 1, 3, &rate));
    for (unsigned i = 0; i < LIMIT_HTTP_RATE_ADDRESSES * 2; i++) {
        char peer[32];
        clk_fake_advance(&clk, 1);
        (void)snprintf(peer, sizeof peer, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        take_n(rate, peer, 1);
        if (i % 2000 == 0) take_n(rate, "192.0.2.1", 1); /* two seconds: it has tokens again */
    }
    take_n(rate, "192.0.2.1", 2);
    assert_err(ERR_BUSY, http_rate_take(rate, "192.0.2.1"));
}

static void test_rate__fails_without_memory(void **state) {
    (void)state;
    http_rate_t *rate = NULL;
    for (unsigned long n = 1; n <= 2; n++) {
        fault_arm_memory(n);
        assert_err(ERR_NOMEM, http_rate_new(clk_real(), rnd_real(), 1, 1, &rate));
        fault_arm_memory(0);
        assert_null(rate);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate__burst_then_so_many_a_second),
        cmocka_unit_test(test_rate__counts_names_apart),
        cmocka_unit_test(test_rate__counts_a_64_of_ipv6_as_one),
        cmocka_unit_test(test_rate__zero_is_no_limit),
        cmocka_unit_test(test_rate__many_addresses_make_room_and_keep_whoever_is_busy),
        cmocka_unit_test(test_rate__fails_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
