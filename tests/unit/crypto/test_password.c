/* Argon2id texts, hostile costs, and generated passwords. */
#include "hex.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/password.h"

/* From the test suite of the Argon2 reference implementation: version 0x13, "somesalt". */
#define REFERENCE                                                                                  \
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

static const password_cost_t dearer = {.passes = 2, .memory = 16384};

static void test_password__opens_the_reference_hash(void **state) {
    (void)state;
    bool ok = false;
    bool rehash = false;
    bytes_t hash = BYTES_LIT(REFERENCE);
    assert_ok(password_verify(BYTES_LIT("password"), hash, &PASSWORD_COST, &ok, &rehash));
    assert_true(ok);
    assert_true(rehash);
    assert_ok(password_verify(BYTES_LIT("passwore"), hash, &PASSWORD_COST, &ok, &rehash));
    assert_false(ok);
    assert_false(rehash);
}

static void test_password__hashes_and_verifies(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t hash;
    CLEANUP(buf_done) buf_t again;
    buf_init(&hash, PASSWORD_HASH_MAX);
    buf_init(&again, PASSWORD_HASH_MAX);
    bytes_t password = BYTES_LIT("correct horse \0 battery");
    assert_ok(password_hash(password, &PASSWORD_COST_TEST, &hash));
    assert_ok(password_hash(password, &PASSWORD_COST_TEST, &again));
    assert_true(bytes_starts(buf_bytes(&hash), BYTES_LIT("$argon2id$v=19$m=8,t=1,p=1$")));
    assert_false(bytes_eq(buf_bytes(&hash), buf_bytes(&again)));
    bool ok = false;
    bool rehash = true;
    assert_ok(password_verify(password, buf_bytes(&hash), &PASSWORD_COST_TEST, &ok, &rehash));
    assert_true(ok);
    assert_false(rehash);
    assert_ok(password_verify(password, buf_bytes(&hash), &dearer, &ok, &rehash));
    assert_true(ok);
    assert_true(rehash);
    assert_ok(password_verify(BYTES_LIT("correct horse "), buf_bytes(&hash), &PASSWORD_COST_TEST,
                              &ok, NULL));
    assert_false(ok);
    assert_ok(password_verify(BYTES_NONE, buf_bytes(&hash), &PASSWORD_COST_TEST, &ok, NULL));
    assert_false(ok);
}

static void test_password__the_named_cost_is_64_mib_and_3_passes(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t hash;
    buf_init(&hash, PASSWORD_HASH_MAX);
    assert_ok(password_hash(BYTES_LIT("x"), &PASSWORD_COST, &hash));
    assert_true(bytes_starts(buf_bytes(&hash), BYTES_LIT("$argon2id$v=19$m=65536,t=3,p=1$")));
}

static void test_password__refuses_hashes_that_cost_too_much_or_are_none(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "$argon2id$v=19$",
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=8,t=4000000,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=8,t=1,p=200$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=8,t=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=0,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=8,t=1,p=1$",
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$6$rounds=5000$salt$hash",
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(ERR_INVALID, password_verify(BYTES_LIT("password"), bytes_str(bad[i]),
                                                &PASSWORD_COST_TEST, &ok, NULL));
    assert_true(ok); /* untouched */
}

static void test_password__bounds_the_length(void **state) {
    (void)state;
    static const char pad[LIMIT_PASSWORD_MAX + 1] = {0};
    CLEANUP(buf_done) buf_t hash;
    buf_init(&hash, PASSWORD_HASH_MAX);
    assert_err(ERR_LIMIT, password_hash(BYTES_ARRAY(pad), &PASSWORD_COST_TEST, &hash));
    assert_ok(password_hash(bytes_make(pad, LIMIT_PASSWORD_MAX), &PASSWORD_COST_TEST, &hash));
    bool ok = false;
    assert_err(ERR_LIMIT,
               password_verify(BYTES_ARRAY(pad), buf_bytes(&hash), &PASSWORD_COST_TEST, &ok, NULL));
}

static void test_password__derives_the_same_key_from_the_same_salt(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *a = NULL;
    CLEANUP(secret_free) secret_t *b = NULL;
    CLEANUP(secret_free) secret_t *c = NULL;
    bytes_t salt = BYTES_LIT("0123456789abcdef");
    assert_ok(password_derive(BYTES_LIT("1234"), salt, &PASSWORD_COST_TEST, 32, &a));
    assert_ok(password_derive(BYTES_LIT("1234"), salt, &PASSWORD_COST_TEST, 32, &b));
    assert_ok(password_derive(BYTES_LIT("1235"), salt, &PASSWORD_COST_TEST, 32, &c));
    assert_true(secret_eq(a, secret_bytes(b)));
    assert_false(secret_eq(a, secret_bytes(c)));
    /* by Python's "cryptography" */
    assert_hex(secret_bytes(a), "9b5643cc223d76a9f0689797e2e252dcbd3876024549fc439c3892360eaa5a4b");
    secret_t *none = NULL;
    assert_err(ERR_USAGE, password_derive(BYTES_LIT("1234"), BYTES_LIT("short"),
                                          &PASSWORD_COST_TEST, 32, &none));
    assert_null(none);
}

static void test_password__generates_readable_unlike_passwords(void **state) {
    (void)state;
    bool seen[256] = {false};
    char last[24] = "";
    for (int round = 0; round < 200; round++) {
        CLEANUP(buf_done) buf_t out;
        buf_init_secret(&out, 100);
        assert_ok(password_generate(rnd_real(), &out));
        assert_int_equal(out.n, 23);
        assert_memory_not_equal(out.p, last, 23);
        memcpy(last, out.p, 23);
        for (size_t i = 0; i < out.n; i++) {
            if (i % 6 == 5) assert_int_equal(out.p[i], '-');
            else assert_non_null(strchr("abcdefghjkmnpqrstuvwxyz23456789", out.p[i]));
            seen[out.p[i]] = true;
        }
    }
    int letters = 0;
    for (size_t i = 0; i < 256; i++) letters += seen[i] ? 1 : 0;
    assert_int_equal(letters, 32); /* every letter of the alphabet and the dash */
}

static void test_password__reports_failures_of_memory_and_randomness(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 200);
    fault_arm_memory(1);
    err_t *e = password_hash(BYTES_LIT("x"), &PASSWORD_COST_TEST, &out);
    fault_arm_memory(0);
    assert_err(ERR_NOMEM, e);
    fault_arm_io(3);
    e = password_generate(rnd_real(), &out);
    fault_arm_io(0);
    assert_err(ERR_IO, e);
    assert_int_equal(out.n, 0);
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password__opens_the_reference_hash),
        cmocka_unit_test(test_password__hashes_and_verifies),
        cmocka_unit_test(test_password__the_named_cost_is_64_mib_and_3_passes),
        cmocka_unit_test(test_password__refuses_hashes_that_cost_too_much_or_are_none),
        cmocka_unit_test(test_password__bounds_the_length),
        cmocka_unit_test(test_password__derives_the_same_key_from_the_same_salt),
        cmocka_unit_test(test_password__generates_readable_unlike_passwords),
        cmocka_unit_test(test_password__reports_failures_of_memory_and_randomness),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
