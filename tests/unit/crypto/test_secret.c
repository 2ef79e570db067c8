/* Guarded memory: sizes, contents, comparison, and failing without a leak. */
#include "../unit.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/secret.h"

static err_t *fixed_fill(const rnd_t *rnd, void *p, size_t n) {
    (void)rnd;
    memset(p, 0x5a, n);
    return NULL;
}

static err_t *broken_fill(const rnd_t *rnd, void *p, size_t n) {
    (void)rnd;
    (void)p;
    (void)n;
    return err_new(ERR_IO, "no randomness");
}

static void test_secret__is_born_zero_and_holds_what_it_is_given(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *zero = NULL;
    assert_ok(secret_new(33, &zero));
    for (size_t i = 0; i < 33; i++) assert_int_equal(secret_data(zero)[i], 0);
    CLEANUP(secret_free) secret_t *copy = NULL;
    assert_ok(secret_copy(BYTES_LIT("key material"), &copy));
    assert_int_equal(secret_size(copy), 12);
    assert_true(bytes_eq_str(secret_bytes(copy), "key material"));
    assert_true(secret_eq(copy, BYTES_LIT("key material")));
    assert_false(secret_eq(copy, BYTES_LIT("key materiaL")));
    assert_false(secret_eq(copy, BYTES_LIT("key materia")));
    secret_free(NULL);
}

static void test_secret__refuses_sizes_out_of_range(void **state) {
    (void)state;
    secret_t *secret = NULL;
    assert_err(ERR_LIMIT, secret_new(0, &secret));
    assert_err(ERR_LIMIT, secret_new(LIMIT_SECRET_BYTES + 1, &secret));
    assert_err(ERR_LIMIT, secret_copy(BYTES_NONE, &secret));
    assert_null(secret);
    assert_ok(secret_new(LIMIT_SECRET_BYTES, &secret));
    secret_data(secret)[LIMIT_SECRET_BYTES - 1] = 1;
    secret_free(secret);
}

static void test_secret__takes_randomness_from_its_source(void **state) {
    (void)state;
    const rnd_t fixed = {fixed_fill};
    const rnd_t broken = {broken_fill};
    CLEANUP(secret_free) secret_t *a = NULL;
    assert_ok(secret_random(&fixed, 16, &a));
    assert_true(secret_eq(a, BYTES_LIT("ZZZZZZZZZZZZZZZZ")));
    CLEANUP(secret_free) secret_t *b = NULL;
    assert_err(ERR_IO, secret_random(&broken, 16, &b));
    assert_null(b);
    CLEANUP(secret_free) secret_t *c = NULL;
    CLEANUP(secret_free) secret_t *d = NULL;
    assert_ok(secret_random(rnd_real(), 32, &c));
    assert_ok(secret_random(rnd_real(), 32, &d));
    assert_false(secret_eq(c, secret_bytes(d)));
}

static void test_secret__survives_every_failed_allocation(void **state) {
    (void)state;
    for (unsigned long nth = 1;; nth++) {
        assert_true(nth < 100);
        secret_t *secret = NULL;
        fault_arm_memory(nth);
        err_t *e = secret_copy(BYTES_LIT("abc"), &secret);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            secret_free(secret);
            break;
        }
        assert_null(secret);
        assert_err(ERR_NOMEM, e);
    }
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret__is_born_zero_and_holds_what_it_is_given),
        cmocka_unit_test(test_secret__refuses_sizes_out_of_range),
        cmocka_unit_test(test_secret__takes_randomness_from_its_source),
        cmocka_unit_test(test_secret__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
