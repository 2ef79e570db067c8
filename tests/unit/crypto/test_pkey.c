/*
 * Keys: encodings both ways, signatures by and for another implementation, and what is refused.
 * The foreign keys and signatures come from Python's "cryptography".
 */
#include "hex.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/pkey.h"

#define DOMAIN "coffer/v1/test"

/* RFC 8032 section 7.1, test 1. */
#define ED25519_PRIVATE "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define ED25519_PUBLIC  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
/* Over DOMAIN 0x00 "message". */
#define ED25519_SIGNATURE                                                                          \
    "1a1510f478a7bded93c051f4ea3301dbc6d1840428fd58020ca470b49125832e"                             \
    "07a692eb87357e7b97614485d4ddba46ae3bdaf1acbebabfa8cbcb819aa98a06"
#define P256_SPKI                                                                                  \
    "3059301306072a8648ce3d020106082a8648ce3d030107034200044b2b3881f4c97eaf5d7953278c07ccd210dcad" \
    "a24e9d8403a26032b97b69e3dbc9bf43e9536e830825819e69238dab83a96ee1b13b205d871932228efdd3bbe2"
#define P256_SIGNATURE                                                                             \
    "30440220263fd45283d75df5ff635eef4335774d3687dbf211ea30c531abe62b2fde0db6022015b4a10de5a88d03" \
    "b076e65aad11a3591f00acadf0948e93f5806edd31b9c96b"
#define RSA_SPKI                                                                                   \
    "30820122300d06092a864886f70d01010105000382010f003082010a0282010100a231a52de26fe2d3229cf3e2b4" \
    "9c94060c259b97ac5f447a727cf2548618ddd945787054aa36f5bdfcccc1e97a38e663c17b9c8b6b9b155d921eeb" \
    "4b46f30dd4232e46ff1374ec1accf3dfe46e95d7242c1914e6afd32824f951c62cbcc54253415f894db972bd561a" \
    "3883c04ad95d6cea06c56cbbf73de25e384ac8c59beb64cbde4f0d1d71d35094b28cbfecdd24398a6ad10aa7fa7a" \
    "d66164af8d232094bae76b06bcbed3c75b7b786a4fde7d6128bbd893465aa0e1bccfd2690ec2edab78b334fac0c3" \
    "02fb224193605f04a73afbf06757271f6b853d645f10fdbf431481395f84923620688b31902db570ad6478214572" \
    "e7b9582b1e7339ea3f151969d50203010001"
#define RSA_SIGNATURE                                                                              \
    "1fb982ea95445f44c9c40a50f74094e5a2e9c8646dc3c1d9ad1b05fa135d0100207ed425ca65f6272dbac3411083" \
    "dfb08380686740376458c665f57d65a04d632c8a44df2af4fd8493a96d1545e20409cf8f67bad0273bd1d5daa76c" \
    "9da75c1e6f2171bead45922d11ae989f84e62c813f173184319df6b5f1d3b970e65ed764ab007b8c6a82f0a84c2a" \
    "af05bc767693f2ff456a592044368033aa2ffc2c4229cdcbc3dde923e3fd40c1d60f779beb324dea7b95cc846149" \
    "4552ecf4630ae498df7f593164faca5d57be7bfd9dfd184917548444e6c4521f20d64275a6d74996f6a373f85676" \
    "a3fccb11d1ec38a66ad62863ae4478897f70191fb20507c86a48"
#define RSA1024_SPKI                                                                               \
    "30819f300d06092a864886f70d010101050003818d0030818902818100f1f9c39e6d7483e6de98da562390c64901" \
    "c88b3c69b2f356eb6ee03618971bd27758da53bdc9eacbfc0884b837520909ae3f19e2520a70fcd14ffaedcb5291" \
    "f21dac949098a8a9e856bd03a43f628dbe146399be95bc51c2430069941e51ea38ef7004768f50052da073179aa7" \
    "654ce230f170a94b554fbd6008ae125349d9a70203010001"
/* The curve of another world, and P-256 spelled out instead of named. */
#define SECP256K1_SPKI                                                                             \
    "3056301006072a8648ce3d020106052b8104000a03420004d2c75f2ac886c753df7563ef428ab61c0029b1cdfdc6" \
    "33db98e21bbde6cc53d11eb47f9e561cd37e9454921e992193c31322f0ff7ee83c9fe3e26b1ffa2bf2c9"
#define EXPLICIT_SPKI                                                                              \
    "3082014b3082010306072a8648ce3d02013081f7020101302c06072a8648ce3d0101022100ffffffff0000000100" \
    "0000000000000000000000ffffffffffffffffffffffff305b0420ffffffff000000010000000000000000000000" \
    "00fffffffffffffffffffffffc04205ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d260" \
    "4b031500c49d360886e704936a6678e1139d26b7819f7e900441046b17d1f2e12c4247f8bce6e563a440f277037d" \
    "812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f502" \
    "2100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551020101034200048643cb6357" \
    "e6bfb41731d19ec2f62c6eefb7d9dc0eeb24f22e5bba3b41b1cb6fdc33e8841614daf1a4a313fb462ca42aa6d0b0" \
    "ee4b5e9786d1a2b987d43b79ae"
#define ENCRYPTED_PEM                                                                              \
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"                                                      \
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgxJ5XTbJjpvwICCAAw\n"                           \
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEIhRiHfXx3hrgcT2D0zQKrwEQM1y\n"                           \
    "-----END ENCRYPTED PRIVATE KEY-----\n"

static const pkey_kind_t kinds[] = {PKEY_RSA, PKEY_P256, PKEY_P384, PKEY_ED25519, PKEY_X25519};
enum { KINDS = sizeof kinds / sizeof *kinds };

static pkey_t *generated[KINDS]; /* one of each kind: RSA takes long */

static pkey_t *public_of(const char *spki) {
    CLEANUP(buf_done) buf_t der = hex(spki);
    pkey_t *key = NULL;
    assert_ok(pkey_parse_public_der(buf_bytes(&der), &key));
    return key;
}

static void test_pkey__knows_what_it_generated(void **state) {
    (void)state;
    static const unsigned bits[] = {2048, 256, 384, 255, 255};
    for (size_t i = 0; i < KINDS; i++) {
        assert_int_equal(pkey_kind(generated[i]), kinds[i]);
        assert_int_equal(pkey_bits(generated[i]), bits[i]);
        assert_true(pkey_has_private(generated[i]));
    }
    pkey_t *key = NULL;
    assert_err(ERR_LIMIT, pkey_generate(PKEY_RSA, 1024, &key));
    assert_err(ERR_LIMIT, pkey_generate(PKEY_RSA, LIMIT_RSA_BITS_MAX + 1, &key));
    assert_err(ERR_USAGE, pkey_generate(PKEY_OTHER, 0, &key));
    assert_null(key);
    pkey_free(NULL);
}

static void test_pkey__survives_every_encoding(void **state) {
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        CLEANUP(secret_free) secret_t *der = NULL;
        assert_ok(pkey_private_der(generated[i], &der));
        CLEANUP(pkey_free) pkey_t *private = NULL;
        assert_ok(pkey_parse_private_der(secret_bytes(der), &private));
        assert_true(pkey_has_private(private));
        assert_int_equal(pkey_kind(private), kinds[i]);
        assert_true(pkey_same_public(private, generated[i]));
        CLEANUP(buf_done) buf_t pem;
        buf_init_secret(&pem, 64 * 1024);
        assert_ok(pkey_private_pem(private, &pem));
        assert_true(bytes_starts(buf_bytes(&pem), BYTES_LIT("-----BEGIN PRIVATE KEY-----\n")));
        CLEANUP(pkey_free) pkey_t *from_pem = NULL;
        assert_ok(pkey_parse_private_pem(buf_bytes(&pem), &from_pem));
        assert_true(pkey_same_public(from_pem, generated[i]));
        CLEANUP(buf_done) buf_t spki;
        buf_init(&spki, 64 * 1024);
        assert_ok(pkey_public_der(from_pem, &spki));
        CLEANUP(pkey_free) pkey_t *public = NULL;
        assert_ok(pkey_parse_public_der(buf_bytes(&spki), &public));
        assert_false(pkey_has_private(public));
        assert_true(pkey_same_public(public, generated[i]));
        uint8_t a[32];
        uint8_t b[32];
        assert_ok(pkey_spki_sha256(public, a));
        assert_ok(pkey_spki_sha256(generated[i], b));
        assert_memory_equal(a, b, sizeof a);
        secret_t *none = NULL;
        assert_err(ERR_USAGE, pkey_private_der(public, &none));
        assert_err(ERR_USAGE, pkey_private_pem(public, &pem));
        for (size_t j = 0; j < KINDS; j++)
            assert_int_equal(pkey_same_public(generated[i], generated[j]), i == j);
    }
}

static void test_pkey__raw_keys_match_rfc_8032_and_7748(void **state) {
    (void)state;
    uint8_t out[32];
    CLEANUP(buf_done) buf_t ed = hex(ED25519_PRIVATE);
    CLEANUP(pkey_free) pkey_t *signing = NULL;
    assert_ok(pkey_from_raw_private(PKEY_ED25519, buf_bytes(&ed), &signing));
    assert_true(pkey_has_private(signing));
    assert_ok(pkey_raw_public(signing, out));
    assert_hex(BYTES_ARRAY(out), ED25519_PUBLIC);
    /* RFC 9180 appendix A.1.1, skRm and pkRm. */
    CLEANUP(buf_done)
    buf_t x = hex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8");
    CLEANUP(pkey_free) pkey_t *sealing = NULL;
    assert_ok(pkey_from_raw_private(PKEY_X25519, buf_bytes(&x), &sealing));
    assert_ok(pkey_raw_public(sealing, out));
    assert_hex(BYTES_ARRAY(out),
               "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
    CLEANUP(pkey_free) pkey_t *public = NULL;
    assert_ok(pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(out), &public));
    assert_false(pkey_has_private(public));
    assert_true(pkey_same_public(public, sealing));
    pkey_t *none = NULL;
    assert_err(ERR_INVALID,
               pkey_from_raw_public(PKEY_X25519, bytes_slice(BYTES_ARRAY(out), 0, 31), &none));
    assert_err(ERR_USAGE, pkey_from_raw_public(PKEY_RSA, BYTES_ARRAY(out), &none));
    assert_err(ERR_USAGE, pkey_raw_public(generated[0], out));
    assert_null(none);
}

static void test_pkey__refuses_points_of_small_order(void **state) {
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        CLEANUP(buf_done) buf_t raw = hex(points[i]);
        pkey_t *key = NULL;
        assert_err(ERR_INVALID, pkey_from_raw_public(PKEY_ED25519, buf_bytes(&raw), &key));
        assert_null(key);
    }
}

static void test_pkey__parses_kinds(void **state) {
    (void)state;
    pkey_kind_t kind = PKEY_OTHER;
    unsigned bits = 1;
    assert_ok(pkey_parse_kind(BYTES_LIT("rsa"), &kind, &bits));
    assert_int_equal(kind, PKEY_RSA);
    assert_int_equal(bits, 2048);
    assert_ok(pkey_parse_kind(BYTES_LIT("rsa:3072"), &kind, &bits));
    assert_int_equal(bits, 3072);
    assert_ok(pkey_parse_kind(BYTES_LIT("ed25519"), &kind, &bits));
    assert_int_equal(kind, PKEY_ED25519);
    assert_err(ERR_LIMIT, pkey_parse_kind(BYTES_LIT("rsa:1024"), &kind, &bits));
    assert_err(ERR_INVALID, pkey_parse_kind(BYTES_LIT("rsa4096"), &kind, &bits));
    assert_err(ERR_INVALID, pkey_parse_kind(BYTES_LIT("other"), &kind, &bits));
    assert_err(ERR_INVALID, pkey_parse_kind(BYTES_NONE, &kind, &bits));
    assert_int_equal(kind, PKEY_ED25519);
}

static void check_foreign(const char *spki, const char *signature) {
    CLEANUP(pkey_free) pkey_t *key = public_of(spki);
    CLEANUP(buf_done) buf_t good = hex(signature);
    assert_ok(pkey_verify(key, DOMAIN, BYTES_LIT("message"), buf_bytes(&good)));
    assert_err(ERR_VERIFY, pkey_verify(key, DOMAIN, BYTES_LIT("massage"), buf_bytes(&good)));
    assert_err(ERR_VERIFY,
               pkey_verify(key, "coffer/v1/tes", BYTES_LIT("message"), buf_bytes(&good)));
}

static void test_pkey__verifies_what_others_sign(void **state) {
    (void)state;
    check_foreign("302a300506032b6570032100" ED25519_PUBLIC, ED25519_SIGNATURE);
    check_foreign(P256_SPKI, P256_SIGNATURE);
    check_foreign(RSA_SPKI, RSA_SIGNATURE);
    CLEANUP(buf_done) buf_t raw = hex(ED25519_PRIVATE);
    CLEANUP(pkey_free) pkey_t *key = NULL;
    assert_ok(pkey_from_raw_private(PKEY_ED25519, buf_bytes(&raw), &key));
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, 64);
    assert_ok(pkey_sign(key, DOMAIN, BYTES_LIT("message"), &signature));
    assert_hex(buf_bytes(&signature), ED25519_SIGNATURE);
}

static void check_signatures(const pkey_t *key, const pkey_t *other, bytes_t message) {
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, 2000);
    assert_ok(pkey_sign(key, DOMAIN, message, &signature));
    bytes_t s = buf_bytes(&signature);
    assert_ok(pkey_verify(key, DOMAIN, message, s));
    assert_err(ERR_VERIFY, pkey_verify(other, DOMAIN, message, s));
    assert_err(ERR_VERIFY, pkey_verify(key, "coffer/v1/other", message, s));
    assert_err(ERR_VERIFY, pkey_verify(key, DOMAIN, message, BYTES_NONE));
    assert_err(ERR_VERIFY, pkey_verify(key, DOMAIN, message, bytes_slice(s, 0, s.n - 1)));
    for (size_t i = 0; i < signature.n; i += 7) {
        signature.p[i] ^= 0x10;
        assert_err(ERR_VERIFY, pkey_verify(key, DOMAIN, message, s));
        signature.p[i] ^= 0x10;
    }
}

static void test_pkey__signs_for_one_key_domain_and_message(void **state) {
    (void)state;
    static const uint8_t large[5000] = {1, 2, 3}; /* past what Ed25519 joins on the stack */
    for (size_t i = 0; i < KINDS - 1; i++) {
        const pkey_t *other = generated[(i + 1) % (KINDS - 1)];
        check_signatures(generated[i], other, BYTES_LIT("message"));
        check_signatures(generated[i], other, BYTES_ARRAY(large));
        check_signatures(generated[i], other, BYTES_NONE);
    }
}

static void test_pkey__weak_and_foreign_keys_sign_nothing(void **state) {
    (void)state;
    static const char *const keys[] = {RSA1024_SPKI, SECP256K1_SPKI, EXPLICIT_SPKI};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        CLEANUP(pkey_free) pkey_t *key = public_of(keys[i]);
        assert_int_equal(pkey_kind(key), i == 0 ? PKEY_RSA : PKEY_OTHER);
        CLEANUP(buf_done) buf_t signature = hex(P256_SIGNATURE);
        assert_err(ERR_VERIFY,
                   pkey_verify(key, DOMAIN, BYTES_LIT("message"), buf_bytes(&signature)));
        assert_err(ERR_USAGE, pkey_sign(key, DOMAIN, BYTES_LIT("message"), &signature));
    }
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, 1000);
    assert_err(ERR_USAGE, pkey_sign(generated[4], DOMAIN, BYTES_LIT("x"), &signature));
    CLEANUP(pkey_free) pkey_t *public = public_of(P256_SPKI);
    assert_err(ERR_USAGE, pkey_sign(public, DOMAIN, BYTES_LIT("x"), &signature));
    assert_int_equal(signature.n, 0);
}

static void test_pkey__refuses_malformed_encodings(void **state) {
    (void)state;
    pkey_t *key = NULL;
    CLEANUP(buf_done) buf_t spki = hex(P256_SPKI);
    CLEANUP(secret_free) secret_t *der = NULL;
    assert_ok(pkey_private_der(generated[1], &der));
    for (size_t n = 0; n < spki.n; n++)
        assert_err(ERR_INVALID, pkey_parse_public_der(bytes_slice(buf_bytes(&spki), 0, n), &key));
    for (size_t n = 0; n < secret_size(der); n++)
        assert_err(ERR_INVALID, pkey_parse_private_der(bytes_slice(secret_bytes(der), 0, n), &key));
    CLEANUP(buf_done) buf_t longer;
    buf_init_secret(&longer, 1000);
    assert_ok(buf_add(&longer, secret_bytes(der)));
    assert_ok(buf_add_byte(&longer, 0));
    assert_err(ERR_INVALID, pkey_parse_private_der(buf_bytes(&longer), &key));
    assert_ok(buf_add_byte(&spki, 0));
    assert_err(ERR_INVALID, pkey_parse_public_der(buf_bytes(&spki), &key));
    spki.p[spki.n - 2] ^= 1; /* no longer on the curve */
    assert_err(ERR_INVALID,
               pkey_parse_public_der(bytes_slice(buf_bytes(&spki), 0, spki.n - 1), &key));
    static const uint8_t huge[LIMIT_KEY_BYTES + 1] = {0x30};
    assert_err(ERR_LIMIT, pkey_parse_public_der(BYTES_ARRAY(huge), &key));
    assert_err(ERR_LIMIT, pkey_parse_private_der(BYTES_ARRAY(huge), &key));
    assert_err(ERR_LIMIT, pkey_parse_private_pem(BYTES_ARRAY(huge), &key));
    assert_err(ERR_INVALID, pkey_parse_private_pem(BYTES_LIT("no key"), &key));
    assert_err(ERR_INVALID, pkey_parse_private_pem(BYTES_LIT(ENCRYPTED_PEM), &key));
    assert_null(key);
}

static void test_pkey__refuses_a_modulus_past_the_limit(void **state) {
    (void)state;
    /* SubjectPublicKeyInfo of an RSA key with 8200 bits: nobody asks whether it is a product. */
    static uint8_t modulus[1026];
    memset(modulus, 0xff, sizeof modulus);
    modulus[0] = 0;
    modulus[1] = 0x80;
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 2000);
    uint8_t inner[4 + 1026 + 5];
    static const uint8_t integer[] = {0x02, 0x82, 0x04, 0x02};
    static const uint8_t exponent[] = {0x02, 0x03, 0x01, 0x00, 0x01};
    memcpy(inner, integer, 4);
    memcpy(inner + 4, modulus, 1026);
    memcpy(inner + 1030, exponent, 5);
    static const uint8_t prefix[] = {0x30, 0x82, 0x04, 0x23, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86,
                                     0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x03,
                                     0x82, 0x04, 0x10, 0x00, 0x30, 0x82, 0x04, 0x0b};
    assert_ok(buf_add(&der, BYTES_ARRAY(prefix)));
    assert_ok(buf_add(&der, BYTES_ARRAY(inner)));
    pkey_t *key = NULL;
    assert_err(ERR_LIMIT, pkey_parse_public_der(buf_bytes(&der), &key));
    assert_null(key);
}

static void test_pkey__is_shared_by_reference(void **state) {
    (void)state;
    pkey_t *key = public_of(P256_SPKI);
    pkey_t *again = pkey_share(key);
    assert_ptr_equal(key, again);
    pkey_free(key);
    assert_int_equal(pkey_kind(again), PKEY_P256);
    pkey_free(again);
}

static void test_pkey__a_known_key_is_shared_only_if_it_is_the_same_and_public(void **state) {
    (void)state;
    CLEANUP(pkey_free) pkey_t *public = NULL, *again = NULL, *apart = NULL, *other = NULL;
    bytes_t der = pkey_spki(generated[0]), foreign = pkey_spki(generated[1]);
    assert_ok(pkey_parse_public_known(der, NULL, &public));
    assert_ok(pkey_parse_public_known(der, public, &again));
    assert_ptr_equal(again, public);
    assert_ok(pkey_parse_public_known(der, generated[0], &apart)); /* that one is private */
    assert_ptr_not_equal(apart, generated[0]);
    assert_false(pkey_has_private(apart));
    assert_ok(pkey_parse_public_known(foreign, public, &other));
    assert_ptr_not_equal(other, public);
    assert_true(pkey_same_public(other, generated[1]));
}

static err_t *whole_life(pkey_kind_t kind) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(pkey_free) pkey_t *parsed = NULL;
    CLEANUP(pkey_free) pkey_t *public = NULL;
    CLEANUP(secret_free) secret_t *der = NULL;
    CLEANUP(buf_done) buf_t out;
    buf_init_secret(&out, 10000);
    static const uint8_t message[3000] = {0};
    TRY(pkey_generate(kind, 0, &key));
    TRY(pkey_private_der(key, &der));
    TRY(pkey_parse_private_der(secret_bytes(der), &parsed));
    TRY(pkey_public_der(parsed, &out));
    TRY(pkey_parse_public_der(buf_bytes(&out), &public));
    buf_clear(&out);
    TRY(pkey_private_pem(key, &out));
    buf_clear(&out);
    TRY(pkey_sign(parsed, DOMAIN, BYTES_ARRAY(message), &out));
    return pkey_verify(public, DOMAIN, BYTES_ARRAY(message), buf_bytes(&out));
}

static void test_pkey__survives_every_failed_allocation(void **state) {
    (void)state;
    static const pkey_kind_t cheap[] = {PKEY_P256, PKEY_ED25519};
    for (size_t i = 0; i < 2; i++) {
        for (unsigned long nth = 1;; nth++) {
            assert_true(nth < 200);
            fault_arm_memory(nth);
            err_t *e = whole_life(cheap[i]);
            bool fired = fault_memory_fired();
            fault_arm_memory(0);
            if (!fired) {
                assert_ok(e);
                break;
            }
            assert_err(ERR_NOMEM, e);
        }
    }
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    for (size_t i = 0; i < KINDS; i++)
        assert_ok(pkey_generate(kinds[i], kinds[i] == PKEY_RSA ? 2048 : 0, &generated[i]));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (size_t i = 0; i < KINDS; i++) pkey_free(generated[i]);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pkey__knows_what_it_generated),
        cmocka_unit_test(test_pkey__survives_every_encoding),
        cmocka_unit_test(test_pkey__raw_keys_match_rfc_8032_and_7748),
        cmocka_unit_test(test_pkey__refuses_points_of_small_order),
        cmocka_unit_test(test_pkey__parses_kinds),
        cmocka_unit_test(test_pkey__verifies_what_others_sign),
        cmocka_unit_test(test_pkey__signs_for_one_key_domain_and_message),
        cmocka_unit_test(test_pkey__weak_and_foreign_keys_sign_nothing),
        cmocka_unit_test(test_pkey__refuses_malformed_encodings),
        cmocka_unit_test(test_pkey__refuses_a_modulus_past_the_limit),
        cmocka_unit_test(test_pkey__is_shared_by_reference),
        cmocka_unit_test(test_pkey__a_known_key_is_shared_only_if_it_is_the_same_and_public),
        cmocka_unit_test(test_pkey__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
