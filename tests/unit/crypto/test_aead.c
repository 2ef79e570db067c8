/* AEAD: published vectors, every changed bit refused alike, failures that leave nothing behind. */
#include "hex.h"

#include "base/fault.h"
#include "crypto/aead.h"

typedef struct {
    aead_kind_t kind;
    const char *key, *nonce, *aad, *plaintext, *sealed;
} vector_t;

/* McGrew and Viega, "The Galois/Counter Mode of Operation", cases 4, 13, 16; RFC 8439 2.8.2. */
static const vector_t vectors[] = {
    {AEAD_AES128_GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
     "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {AEAD_AES256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {AEAD_AES256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
     "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
     "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
     "637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"},
};

static void test_aead__matches_published_vectors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const vector_t *v = &vectors[i];
        CLEANUP(buf_done) buf_t key = hex(v->key);
        CLEANUP(buf_done) buf_t nonce = hex(v->nonce);
        CLEANUP(buf_done) buf_t aad = hex(v->aad);
        CLEANUP(buf_done) buf_t plaintext = hex(v->plaintext);
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 1000);
        assert_ok(aead_seal_nonce(v->kind, buf_bytes(&key), buf_bytes(&nonce), buf_bytes(&aad),
                                  buf_bytes(&plaintext), &out));
        assert_hex(buf_bytes(&out), v->sealed);
        CLEANUP(buf_done) buf_t back;
        buf_init_secret(&back, 1000);
        assert_ok(aead_open_nonce(v->kind, buf_bytes(&key), buf_bytes(&nonce), buf_bytes(&aad),
                                  buf_bytes(&out), &back));
        assert_hex(buf_bytes(&back), v->plaintext);
    }
}

static secret_t *some_key(void) {
    secret_t *key = NULL;
    assert_ok(secret_random(rnd_real(), AEAD_KEY_SIZE, &key));
    return key;
}

static void test_aead__refuses_every_changed_bit_alike(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *key = some_key();
    bytes_t aad = BYTES_LIT("unlock-token\0device\0"
                            "7");
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, 200);
    assert_ok(aead_seal(key, rnd_real(), aad, BYTES_LIT("the plaintext"), &sealed));
    assert_int_equal(sealed.n, 13 + AEAD_OVERHEAD);
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, 200);
    assert_ok(buf_add_str(&out, "before"));
    for (size_t bit = 0; bit < sealed.n * 8; bit++) {
        sealed.p[bit / 8] ^= (uint8_t)(1U << bit % 8);
        err_t *e = aead_open(key, aad, buf_bytes(&sealed), &out);
        sealed.p[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_non_null(e);
        assert_string_equal(err_message(e), "the sealed data does not open");
        assert_err(ERR_VERIFY, e);
        assert_true(bytes_eq_str(buf_bytes(&out), "before"));
    }
    for (size_t n = 0; n < sealed.n; n++)
        assert_err(ERR_VERIFY, aead_open(key, aad, bytes_slice(buf_bytes(&sealed), 0, n), &out));
    CLEANUP(secret_free) secret_t *other = some_key();
    assert_err(ERR_VERIFY, aead_open(other, aad, buf_bytes(&sealed), &out));
    assert_err(ERR_VERIFY, aead_open(key, BYTES_NONE, buf_bytes(&sealed), &out));
    assert_ok(aead_open(key, aad, buf_bytes(&sealed), &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "beforethe plaintext"));
}

static void test_aead__leaves_no_plaintext_behind_a_refusal(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *key = some_key();
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, 200);
    assert_ok(aead_seal(key, rnd_real(), BYTES_NONE, BYTES_LIT("the plaintext"), &sealed));
    sealed.p[sealed.n - 1] ^= 1;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 200);
    assert_ok(buf_reserve(&out, 100));
    memset(out.p, 0, 100);
    assert_err(ERR_VERIFY, aead_open(key, BYTES_NONE, buf_bytes(&sealed), &out));
    for (size_t i = 0; i < 100; i++) assert_int_equal(out.p[i], 0);
}

static void test_aead__opens_into_locked_memory(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *key = some_key();
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, 200);
    assert_ok(aead_seal(key, rnd_real(), BYTES_LIT("a"), BYTES_LIT("secret"), &sealed));
    secret_t *out = NULL;
    assert_err(ERR_VERIFY, aead_open_secret(key, BYTES_LIT("b"), buf_bytes(&sealed), &out));
    assert_null(out);
    assert_ok(aead_open_secret(key, BYTES_LIT("a"), buf_bytes(&sealed), &out));
    assert_true(secret_eq(out, BYTES_LIT("secret")));
    secret_free(out);
    buf_clear(&sealed);
    assert_ok(aead_seal(key, rnd_real(), BYTES_LIT("a"), BYTES_NONE, &sealed));
    assert_err(ERR_VERIFY, aead_open_secret(key, BYTES_LIT("a"), buf_bytes(&sealed), &out));
}

static void test_aead__never_repeats_a_nonce_and_checks_lengths(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *key = some_key();
    CLEANUP(buf_done) buf_t a;
    CLEANUP(buf_done) buf_t b;
    buf_init(&a, 200);
    buf_init(&b, 200);
    assert_ok(aead_seal(key, rnd_real(), BYTES_NONE, BYTES_LIT("x"), &a));
    assert_ok(aead_seal(key, rnd_real(), BYTES_NONE, BYTES_LIT("x"), &b));
    assert_memory_not_equal(a.p, b.p, AEAD_NONCE_SIZE);
    CLEANUP(secret_free) secret_t *brief = NULL;
    assert_ok(secret_new(16, &brief));
    size_t before = a.n;
    assert_err(ERR_USAGE, aead_seal(brief, rnd_real(), BYTES_NONE, BYTES_LIT("x"), &a));
    assert_int_equal(a.n, before);
    assert_err(ERR_USAGE, aead_seal_nonce(AEAD_AES256_GCM, secret_bytes(key), BYTES_LIT("short"),
                                          BYTES_NONE, BYTES_NONE, &a));
    CLEANUP(buf_done) buf_t small;
    buf_init(&small, AEAD_OVERHEAD);
    assert_err(ERR_LIMIT, aead_seal(key, rnd_real(), BYTES_NONE, BYTES_LIT("x"), &small));
    assert_int_equal(small.n, 0);
}

static err_t *round_trip(const secret_t *key) {
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, 500);
    CLEANUP(secret_free) secret_t *out = NULL;
    TRY(aead_seal(key, rnd_real(), BYTES_NONE, BYTES_LIT("plaintext"), &sealed));
    TRY(aead_open_secret(key, BYTES_NONE, buf_bytes(&sealed), &out));
    return NULL;
}

static void test_aead__survives_every_failed_allocation(void **state) {
    (void)state;
    CLEANUP(secret_free) secret_t *key = some_key();
    for (unsigned long nth = 1;; nth++) {
        assert_true(nth < 100);
        fault_arm_memory(nth);
        err_t *e = round_trip(key);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_err(ERR_NOMEM, e);
    }
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aead__matches_published_vectors),
        cmocka_unit_test(test_aead__refuses_every_changed_bit_alike),
        cmocka_unit_test(test_aead__leaves_no_plaintext_behind_a_refusal),
        cmocka_unit_test(test_aead__opens_into_locked_memory),
        cmocka_unit_test(test_aead__never_repeats_a_nonce_and_checks_lengths),
        cmocka_unit_test(test_aead__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
