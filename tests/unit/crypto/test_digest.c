/* SHA-1, SHA-256, SHA-512 (FIPS 180-4 examples) and HMAC-SHA256 (RFC 4231). */
#include "hex.h"

#include "base/fault.h"
#include "crypto/digest.h"
#include "crypto/secret.h"

static void test_digest__matches_fips_180_4(void **state) {
    (void)state;
    uint8_t sha1[DIGEST_SHA1_SIZE];
    uint8_t sha256[DIGEST_SHA256_SIZE];
    uint8_t sha512[DIGEST_SHA512_SIZE];
    assert_ok(digest_sha1_legacy(BYTES_LIT("abc"), sha1));
    assert_hex(BYTES_ARRAY(sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_ok(digest_sha256(BYTES_LIT("abc"), sha256));
    assert_hex(BYTES_ARRAY(sha256),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(digest_sha256(BYTES_NONE, sha256));
    assert_hex(BYTES_ARRAY(sha256),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ok(digest_sha512(BYTES_LIT("abc"), sha512));
    assert_hex(BYTES_ARRAY(sha512),
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void test_digest__takes_pieces_and_starts_over(void **state) {
    (void)state;
    char thousand[1000];
    memset(thousand, 'a', sizeof thousand);
    CLEANUP(digest_free) digest_t *digest = NULL;
    assert_ok(digest_new(&digest));
    for (int i = 0; i < 1000; i++) assert_ok(digest_update(digest, BYTES_ARRAY(thousand)));
    uint8_t out[DIGEST_SHA256_SIZE];
    assert_ok(digest_final(digest, out));
    assert_hex(BYTES_ARRAY(out),
               "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_ok(digest_update(digest, BYTES_LIT("ab")));
    assert_ok(digest_update(digest, BYTES_NONE));
    assert_ok(digest_update(digest, BYTES_LIT("c")));
    assert_ok(digest_final(digest, out));
    assert_hex(BYTES_ARRAY(out),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void check_hmac(uint8_t byte, size_t n, const char *text, const char *expected) {
    uint8_t key[131];
    memset(key, byte, sizeof key);
    uint8_t out[DIGEST_SHA256_SIZE];
    assert_ok(digest_hmac_sha256(bytes_make(key, n), bytes_str(text), out));
    assert_hex(BYTES_ARRAY(out), expected);
}

static void test_digest__hmac_matches_rfc_4231(void **state) {
    (void)state;
    check_hmac(0x0b, 20, "Hi There",
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check_hmac(0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    uint8_t out[DIGEST_SHA256_SIZE];
    assert_ok(
        digest_hmac_sha256(BYTES_LIT("Jefe"), BYTES_LIT("what do ya want for nothing?"), out));
    assert_hex(BYTES_ARRAY(out),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_ok(digest_hmac_sha256(BYTES_NONE, BYTES_NONE, out));
    assert_hex(BYTES_ARRAY(out),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_digest__reports_a_failed_allocation(void **state) {
    (void)state;
    digest_t *digest = NULL;
    fault_arm_memory(1);
    err_t *e = digest_new(&digest);
    fault_arm_memory(0);
    assert_err(ERR_NOMEM, e);
    assert_null(digest);
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest__matches_fips_180_4),
        cmocka_unit_test(test_digest__takes_pieces_and_starts_over),
        cmocka_unit_test(test_digest__hmac_matches_rfc_4231),
        cmocka_unit_test(test_digest__reports_a_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
