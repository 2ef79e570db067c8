/*
 * Other programs run as they should: secrets by pipe, output read, failures told apart.
 */
#include "../unit.h"

#include "crypto/secret.h"

#include "program/coffer/luks.h"
#include "program/coffer/tool.h"

static err_t *run(const char *const *argv, bytes_t secret, int *status, buf_t *out, buf_t *errors) {
    tool_t tool = {.argv = argv, .secrets = {secret}, .secrets_n = secret.n ? 1 : 0};
    return tool_run(&tool, status, out, errors);
}

static void test_tool__secrets_come_by_pipe(void **state) {
    (void)state;
    static const char *const argv[] = {"/bin/cat", "/dev/fd/10", NULL};
    CLEANUP(buf_done) buf_t out, errors;
    int status = -1;
    buf_init(&out, 100);
    buf_init(&errors, 100);
    assert_ok(run(argv, BYTES_LIT("hush"), &status, &out, &errors));
    assert_int_equal(status, 0);
    assert_true(bytes_eq_str(buf_bytes(&out), "hush"));
    assert_int_equal(errors.n, 0);
}

static void test_tool__environment_is_empty_and_input_closed(void **state) {
    (void)state;
    static const char *const env[] = {"/usr/bin/env", NULL};
    static const char *const cat[] = {"/bin/cat", NULL};
    CLEANUP(buf_done) buf_t out, errors;
    int status = -1;
    buf_init(&out, 1000);
    buf_init(&errors, 100);
    assert_ok(run(env, BYTES_NONE, &status, &out, &errors));
    assert_true(bytes_eq_str(buf_bytes(&out), "LC_ALL=C\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"));
    buf_clear(&out);
    assert_ok(run(cat, BYTES_NONE, &status, &out, &errors));
    assert_int_equal(out.n, 0);
}

static void test_tool__failures_are_told(void **state) {
    (void)state;
    static const char *const missing[] = {"/nowhere/at/all", NULL};
    static const char *const bad[] = {"/bin/cat", "/nowhere/at/all", NULL};
    static const char *const much[] = {"/usr/bin/head", "-c", "100000", "/dev/zero", NULL};
    CLEANUP(buf_done) buf_t out, errors;
    int status = -1;
    buf_init(&out, 100);
    buf_init(&errors, 16);
    assert_err(ERR_NOT_FOUND, run(missing, BYTES_NONE, &status, &out, &errors));
    assert_ok(run(bad, BYTES_NONE, &status, &out, &errors));
    assert_int_equal(status, 1);
    assert_int_equal(errors.n, 16); /* cut */
    assert_err(ERR_LIMIT, run(much, BYTES_NONE, &status, &out, &errors));
}

static void test_luks__recovery_keys_are_random_and_typable(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t one, two;
    buf_init_secret(&one, LUKS_KEY_TEXT);
    buf_init_secret(&two, LUKS_KEY_TEXT);
    assert_ok(luks_key_make(rnd_real(), &one));
    assert_ok(luks_key_make(rnd_real(), &two));
    assert_int_equal(one.n, LUKS_KEY_TEXT);
    assert_memory_not_equal(one.p, two.p, LUKS_KEY_TEXT);
    for (size_t i = 0; i < one.n; i++)
        assert_true(i % 9 == 8 ? one.p[i] == '-' : strchr("cbdefghijklnrtuv", one.p[i]) != NULL);
}

static void test_luks__a_free_slot(void **state) {
    (void)state;
    luks_t luks = {0};
    unsigned slot = 99;
    luks.slots[0] = luks.slots[1] = true;
    assert_ok(luks_free_slot(&luks, &slot));
    assert_int_equal(slot, 2);
    memset(luks.slots, 1, sizeof luks.slots);
    assert_err(ERR_LIMIT, luks_free_slot(&luks, &slot));
}

static void test_luks__headers(void **state) {
    (void)state;
    luks_t luks = {0};
    assert_ok(luks_parse(
        BYTES_LIT("{\"keyslots\":{\"0\":{},\"2\":{}},\"tokens\":{\"4\":{\"type\":\"coffer\","
                  "\"keyslots\":[\"2\"],\"object\":\"00112233445566778899AABBCCDDEEFF\","
                  "\"version\":7},\"5\":{\"type\":\"other\"}}}"),
        &luks));
    assert_true(luks.slots[0] && !luks.slots[1] && luks.slots[2]);
    assert_int_equal(luks.tokens_n, 1);
    assert_int_equal(luks.tokens[0].token, 4);
    assert_int_equal(luks.tokens[0].slot, 2);
    assert_int_equal(luks.tokens[0].version, 7);
    assert_err(ERR_INVALID,
               luks_parse(BYTES_LIT("{\"keyslots\":{\"32\":{}},\"tokens\":{}}"), &luks));
    assert_err(ERR_INVALID, luks_parse(BYTES_LIT("{\"keyslots\":{}}"), &luks));
    assert_err(ERR_INVALID, luks_parse(BYTES_LIT("[]"), &luks));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tool__secrets_come_by_pipe),
        cmocka_unit_test(test_tool__environment_is_empty_and_input_closed),
        cmocka_unit_test(test_tool__failures_are_told),
        cmocka_unit_test(test_luks__recovery_keys_are_random_and_typable),
        cmocka_unit_test(test_luks__a_free_slot),
        cmocka_unit_test(test_luks__headers),
    };
    err_t *e = crypto_init();
    err_free(e);
    return e ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
