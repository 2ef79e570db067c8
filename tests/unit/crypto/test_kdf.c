/* HKDF (RFC 5869 appendix A) and PBKDF2 (RFC 7914 section 11). */
#include "hex.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/kdf.h"

typedef struct {
    const char *ikm, *salt, *info, *prk, *okm;
} vector_t;

static const vector_t vectors[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
     "f0f1f2f3f4f5f6f7f8f9", "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
     "404142434445464748494a4b4c4d4e4f",
     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
     "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
     "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
     "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
     "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
     "cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
     "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

static void test_kdf__hkdf_matches_rfc_5869(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const vector_t *v = &vectors[i];
        CLEANUP(buf_done) buf_t ikm = hex(v->ikm);
        CLEANUP(buf_done) buf_t salt = hex(v->salt);
        CLEANUP(buf_done) buf_t info = hex(v->info);
        size_t n = strlen(v->okm) / 2;
        uint8_t prk[KDF_PRK_SIZE];
        uint8_t okm[128];
        assert_ok(kdf_hkdf_extract(buf_bytes(&salt), buf_bytes(&ikm), prk));
        assert_hex(BYTES_ARRAY(prk), v->prk);
        assert_ok(kdf_hkdf_expand(BYTES_ARRAY(prk), buf_bytes(&info), n, okm));
        assert_hex(bytes_make(okm, n), v->okm);
        CLEANUP(secret_free) secret_t *key = NULL;
        assert_ok(kdf_hkdf(buf_bytes(&salt), buf_bytes(&ikm), buf_bytes(&info), n, &key));
        assert_hex(secret_bytes(key), v->okm);
    }
}

static void test_kdf__pieces_count_as_joined(void **state) {
    (void)state;
    const bytes_t parts[] = {BYTES_LIT("ab"), BYTES_NONE, BYTES_LIT("cde")};
    uint8_t whole[KDF_PRK_SIZE];
    uint8_t pieces[KDF_PRK_SIZE];
    assert_ok(kdf_hkdf_extract(BYTES_LIT("salt"), BYTES_LIT("abcde"), whole));
    assert_ok(kdf_hkdf_extract_parts(BYTES_LIT("salt"), parts, 3, pieces));
    assert_memory_equal(whole, pieces, KDF_PRK_SIZE);
    uint8_t a[70];
    uint8_t b[70];
    assert_ok(kdf_hkdf_expand(BYTES_ARRAY(whole), BYTES_LIT("abcde"), sizeof a, a));
    assert_ok(kdf_hkdf_expand_parts(BYTES_ARRAY(whole), parts, 3, sizeof b, b));
    assert_memory_equal(a, b, sizeof a);
}

static void test_kdf__hkdf_refuses_lengths_out_of_range(void **state) {
    (void)state;
    static uint8_t out[KDF_OUTPUT_MAX + 1];
    assert_err(ERR_USAGE, kdf_hkdf_expand(BYTES_LIT("k"), BYTES_NONE, 0, out));
    assert_err(ERR_USAGE, kdf_hkdf_expand(BYTES_LIT("k"), BYTES_NONE, sizeof out, out));
    assert_ok(kdf_hkdf_expand(BYTES_LIT("k"), BYTES_NONE, KDF_OUTPUT_MAX, out));
    secret_t *key = NULL;
    assert_err(ERR_USAGE, kdf_hkdf(BYTES_NONE, BYTES_LIT("k"), BYTES_NONE, sizeof out, &key));
    assert_null(key);
}

static void test_kdf__pbkdf2_matches_rfc_7914(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *a = NULL;
    assert_ok(kdf_pbkdf2_sha256(BYTES_LIT("passwd"), BYTES_LIT("salt"), 1, 64, &a));
    assert_hex(secret_bytes(a), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
                                "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
    CLEANUP(secret_free) secret_t *b = NULL;
    assert_ok(kdf_pbkdf2_sha256(BYTES_LIT("Password"), BYTES_LIT("NaCl"), 80000, 64, &b));
    assert_hex(secret_bytes(b), "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
                                "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d");
}

static void test_kdf__pbkdf2_bounds_a_strangers_iterations(void **state) {
    (void)state;
    secret_t *key = NULL;
    assert_err(ERR_LIMIT, kdf_pbkdf2_sha256(BYTES_LIT("p"), BYTES_LIT("s"), 0, 32, &key));
    assert_err(ERR_LIMIT, kdf_pbkdf2_sha256(BYTES_LIT("p"), BYTES_LIT("s"),
                                            LIMIT_PBKDF2_ITERATIONS + 1, 32, &key));
    assert_null(key);
    assert_ok(kdf_pbkdf2_sha256(BYTES_NONE, BYTES_NONE, 1, 32, &key));
    secret_free(key);
}

static void test_kdf__survives_every_failed_allocation(void **state) {
    (void)state;
    for (unsigned long nth = 1; nth <= 2; nth++) {
        secret_t *key = NULL;
        fault_arm_memory(nth);
        err_t *e = kdf_hkdf(BYTES_NONE, BYTES_LIT("k"), BYTES_NONE, 32, &key);
        fault_arm_memory(0);
        assert_err(ERR_NOMEM, e);
        fault_arm_memory(nth);
        e = kdf_pbkdf2_sha256(BYTES_LIT("p"), BYTES_LIT("s"), 1, 32, &key);
        fault_arm_memory(0);
        assert_err(ERR_NOMEM, e);
        assert_null(key);
    }
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kdf__hkdf_matches_rfc_5869),
        cmocka_unit_test(test_kdf__pieces_count_as_joined),
        cmocka_unit_test(test_kdf__hkdf_refuses_lengths_out_of_range),
        cmocka_unit_test(test_kdf__pbkdf2_matches_rfc_7914),
        cmocka_unit_test(test_kdf__pbkdf2_bounds_a_strangers_iterations),
        cmocka_unit_test(test_kdf__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
