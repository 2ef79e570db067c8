/* The cache of signed statuses: finds, forgets what is dropped, refuses what was read too early. */
#include "../unit.h"

#include <string.h>

#include "pki/ocsp_cache.h"

enum { MANY = 50000 };

static ocsp_key_t key_of(unsigned number) {
    ocsp_key_t key = {.n = 4};
    for (unsigned i = 0; i < 4; i++) key.serial[i] = (uint8_t)(number >> 8 * i);
    return key;
}

static ocsp_cached_t value_of(unsigned number) {
    return (ocsp_cached_t){.status = {.revoked_at = number, .signature_n = 70}};
}

static void test_ocsp_cache__finds_many(void **state) {
    (void)state;
    CLEANUP(ocsp_cache_free) ocsp_cache_t *cache = NULL;
    ocsp_cached_t got;
    assert_ok(ocsp_cache_new(&cache));
    uint64_t stamp = ocsp_cache_stamp(cache);
    for (unsigned i = 0; i < MANY; i++) {
        ocsp_key_t key = key_of(i);
        ocsp_cached_t value = value_of(i);
        assert_false(ocsp_cache_get(cache, &key, &got));
        ocsp_cache_put(cache, &key, &value, stamp);
    }
    for (unsigned i = 0; i < MANY; i++) {
        ocsp_key_t key = key_of(i);
        assert_true(ocsp_cache_get(cache, &key, &got));
        assert_int_equal(got.status.revoked_at, i);
        key.hash = 1;
        assert_false(ocsp_cache_get(cache, &key, &got));
    }
    ocsp_cache_drop_all(cache);
    ocsp_key_t key = key_of(1);
    assert_false(ocsp_cache_get(cache, &key, &got));
}

static void test_ocsp_cache__keeps_nothing_older_than_a_drop(void **state) {
    (void)state;
    CLEANUP(ocsp_cache_free) ocsp_cache_t *cache = NULL;
    ocsp_key_t key = key_of(7);
    ocsp_cached_t value = value_of(7), got;
    assert_ok(ocsp_cache_new(&cache));
    uint64_t before = ocsp_cache_stamp(cache);
    ocsp_cache_put(cache, &key, &value, before);
    ocsp_cache_drop(cache, &key); /* it was revoked just now ... */
    assert_false(ocsp_cache_get(cache, &key, &got));
    ocsp_cache_put(cache, &key, &value, before); /* ... and who read before that comes late */
    assert_false(ocsp_cache_get(cache, &key, &got));
    value.status.revoked_at = 8;
    ocsp_cache_put(cache, &key, &value, ocsp_cache_stamp(cache));
    assert_true(ocsp_cache_get(cache, &key, &got));
    assert_int_equal(got.status.revoked_at, 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ocsp_cache__finds_many),
        cmocka_unit_test(test_ocsp_cache__keeps_nothing_older_than_a_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
