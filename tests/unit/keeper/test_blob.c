/*
 * The keys that blobs lie under.
 */
#include "base/mem.h"
#include "keeper/client_blob.h"
#include "keeper/client_escrow.h"
#include "keeper_fixture.h"

typedef struct {
    keeper_fixture_t f;
    secret_t *keys[LIMIT_STORAGE_KEYS + 1];
    uint32_t current;
} blob_t;

static int setup(void **state) {
    blob_t *t = mem_zalloc(sizeof *t);
    assert_non_null(t);
    keeper_fixture_make(&t->f);
    *state = t;
    return 0;
}

static void drop(blob_t *t) {
    for (size_t i = 0; i <= LIMIT_STORAGE_KEYS; i++) secret_free(STEAL(t->keys[i]));
}

static int teardown(void **state) {
    blob_t *t = *state;
    drop(t);
    keeper_fixture_done(&t->f);
    mem_free(t);
    return 0;
}

static void test_blob__keys_are_the_same_after_a_restart(void **state) {
    blob_t *t = *state;
    assert_ok(keeper_blob_keys(t->f.keeper, t->keys, &t->current));
    assert_int_equal(t->current, 1);
    assert_int_equal(secret_size(t->keys[1]), 32);
    assert_null(t->keys[2]);
    CLEANUP(secret_free) secret_t *before = STEAL(t->keys[1]);
    keeper_fixture_restart(&t->f);
    assert_ok(keeper_blob_keys(t->f.keeper, t->keys, &t->current));
    assert_true(secret_eq(before, secret_bytes(t->keys[1])));
}

static void test_blob__a_new_storage_key_brings_a_new_one_beside_the_old(void **state) {
    blob_t *t = *state;
    uint32_t number = 0;
    assert_ok(keeper_blob_keys(t->f.keeper, t->keys, &t->current));
    CLEANUP(secret_free) secret_t *before = STEAL(t->keys[1]);
    assert_ok(keeper_storage_key_new(t->f.keeper, &number));
    assert_ok(keeper_blob_keys(t->f.keeper, t->keys, &t->current));
    assert_int_equal(t->current, 2);
    assert_true(secret_eq(before, secret_bytes(t->keys[1])));
    assert_false(secret_eq(before, secret_bytes(t->keys[2])));
}

static void test_blob__keys_are_not_the_storage_keys(void **state) {
    blob_t *t = *state;
    const secret_t *storage = NULL;
    assert_ok(keeper_blob_keys(t->f.keeper, t->keys, &t->current));
    assert_ok(storage_key(t->f.keys->storage, 1, &storage));
    assert_false(secret_eq(storage, secret_bytes(t->keys[1])));
}

static void test_blob__nobody_but_coffer_web_gets_them(void **state) {
    blob_t *t = *state;
    static const role_t others[] = {ROLE_COURIER, ROLE_MAILGATE};
    for (size_t i = 0; i < 2; i++) {
        t->f.role = others[i];
        assert_err(ERR_DENIED, keeper_blob_keys(t->f.keeper, t->keys, &t->current));
    }
    assert_null(t->keys[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_blob__##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(keys_are_the_same_after_a_restart),
        TEST(a_new_storage_key_brings_a_new_one_beside_the_old),
        TEST(keys_are_not_the_storage_keys),
        TEST(nobody_but_coffer_web_gets_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
