/*
 * SubjectPublicKeyInfo by hand: see spki_internal.h. Any process, any thread; pure.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/der_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/spki_internal.h"

enum {
    NUMBER_MAX = LIMIT_RSA_BITS_MAX / 8,
    SPKI_MAX = 2 * NUMBER_MAX + 64,
    POINT_MAX = 97, /* 0x04 and two P-384 coordinates */
    RAW_SIZE = 32,
    RAW_BITS = 255,
};

/* SEQUENCE { rsaEncryption, NULL } */
static const uint8_t rsa_algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
/* SEQUENCE { id-ecPublicKey, the named curve } */
static const uint8_t p256_algorithm[] = {0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                         0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
                                         0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t p384_algorithm[] = {0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                         0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
static const uint8_t ed25519_algorithm[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};
static const uint8_t x25519_algorithm[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e};

/* SEQUENCE { algorithm, BIT STRING key } */
static err_t *spki_wrap(bytes_t algorithm, bytes_t key, buf_t *out) {
    TRY(buf_add(out, algorithm));
    TRY(der_put_octets(out, key));
    return der_enclose(out, 0, DER_SEQUENCE);
}

/* Appends the number as INTEGER; *ret_fits false if there is none or it is too large. */
static err_t *put_number(EVP_PKEY *evp, const char *name, buf_t *out, bool *ret_fits) {
    uint8_t raw[NUMBER_MAX + 1] = {0}; /* the first byte stays 0: the sign */
    BIGNUM *number = NULL;
    int n = EVP_PKEY_get_bn_param(evp, name, &number) == 1 ? BN_num_bytes(number) : 0;
    bool fits = n > 0 && n <= NUMBER_MAX && BN_bn2bin(number, raw + 1) == n;
    BN_free(number);
    *ret_fits = fits;
    if (!fits) return NULL;
    size_t from = raw[1] & 0x80 ? 0 : 1;
    return der_put(out, DER_INTEGER, bytes_make(raw + from, (size_t)n + 1 - from));
}

static err_t *spki_rsa(EVP_PKEY *evp, buf_t *out) {
    if (!EVP_PKEY_is_a(evp, "RSA")) return NULL; /* RSASSA-PSS has parameters */
    buf_t numbers CLEANUP(buf_done);
    buf_t key CLEANUP(buf_done);
    buf_init(&numbers, SPKI_MAX);
    buf_init(&key, SPKI_MAX);
    bool fits;
    TRY(put_number(evp, OSSL_PKEY_PARAM_RSA_N, &numbers, &fits));
    if (fits) TRY(put_number(evp, OSSL_PKEY_PARAM_RSA_E, &numbers, &fits));
    if (!fits) return NULL;
    TRY(der_put(&key, DER_SEQUENCE, buf_bytes(&numbers)));
    return spki_wrap(BYTES_ARRAY(rsa_algorithm), buf_bytes(&key), out);
}

static err_t *spki_ec(EVP_PKEY *evp, bytes_t algorithm, size_t point_size, buf_t *out) {
    uint8_t point[POINT_MAX];
    size_t n = 0;
    if (EVP_PKEY_get_octet_string_param(evp, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) !=
            1 ||
        n != point_size || point[0] != 4)
        return NULL;
    return spki_wrap(algorithm, bytes_make(point, n), out);
}

err_t *spki_encode(EVP_PKEY *evp, pkey_kind_t kind, uint8_t **ret_p, size_t *ret_n) {
    buf_t out CLEANUP(buf_done);
    buf_init(&out, SPKI_MAX);
    *ret_p = NULL;
    *ret_n = 0;
    if (kind == PKEY_RSA) TRY(spki_rsa(evp, &out));
    if (kind == PKEY_P256) TRY(spki_ec(evp, BYTES_ARRAY(p256_algorithm), 65, &out));
    if (kind == PKEY_P384) TRY(spki_ec(evp, BYTES_ARRAY(p384_algorithm), 97, &out));
    ERR_clear_error();
    return out.n ? buf_steal(&out, ret_p, ret_n) : NULL;
}

static err_t *from_data(const char *type, OSSL_PARAM *params, EVP_PKEY **ret_evp) {
    EVP_PKEY *evp = NULL;
    EVP_PKEY_CTX *context CLEANUP(EVP_PKEY_CTX_free) = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &evp, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return err_openssl(ERR_INVALID, "not a public key of type %s", type);
    *ret_evp = evp;
    return NULL;
}

/* A big-endian number in the machine's order, as OSSL_PARAM wants it. */
static OSSL_PARAM number_param(const char *name, bytes_t number, uint8_t raw[NUMBER_MAX]) {
    for (size_t i = 0; i < number.n; i++)
        raw[i] = number.p[__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? number.n - 1 - i : i];
    return OSSL_PARAM_construct_BN(name, raw, number.n);
}

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 A.1.1) */
static err_t *decode_rsa(bytes_t key, EVP_PKEY **ret_evp, unsigned *ret_bits) {
    bytes_t numbers, n, e;
    if (!der_check(key) || !der_take(&key, DER_SEQUENCE, &numbers) ||
        !der_take_unsigned(&numbers, &n) || !der_take_unsigned(&numbers, &e) || numbers.n ||
        n.p[0] == 0 || e.p[0] == 0 || e.n > n.n)
        return NULL;
    size_t bits = 8 * n.n;
    for (unsigned top = n.p[0]; !(top & 0x80); top <<= 1) bits--;
    if (bits > LIMIT_RSA_BITS_MAX)
        return err_new(ERR_LIMIT, "RSA modulus of %zu bits, at most %d allowed", bits,
                       LIMIT_RSA_BITS_MAX);
    uint8_t raw_n[NUMBER_MAX], raw_e[NUMBER_MAX];
    OSSL_PARAM params[] = {number_param(OSSL_PKEY_PARAM_RSA_N, n, raw_n),
                           number_param(OSSL_PKEY_PARAM_RSA_E, e, raw_e),
                           OSSL_PARAM_construct_end()};
    TRY(from_data("RSA", params, ret_evp));
    *ret_bits = (unsigned)bits;
    return NULL;
}

static err_t *decode_ec(const char *curve, bytes_t point, EVP_PKEY **ret_evp) {
    uint8_t raw[POINT_MAX];
    char name[16];
    bytes_put(raw, point); /* OSSL_PARAM points to what may be written */
    memcpy(name, curve, strlen(curve) + 1);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
                           OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, raw, point.n),
                           OSSL_PARAM_construct_end()};
    return from_data("EC", params, ret_evp);
}

static err_t *decode_raw(const char *type, bytes_t key, EVP_PKEY **ret_evp) {
    *ret_evp = EVP_PKEY_new_raw_public_key_ex(NULL, type, NULL, key.p, key.n);
    return *ret_evp ? NULL : err_openssl(ERR_INVALID, "not a raw %s key", type);
}

static const struct {
    pkey_kind_t kind;
    const char *name; /* OpenSSL's, of the curve or the type */
    bytes_t algorithm;
    size_t size; /* bytes of the key; 0: see inside */
    unsigned bits;
} encodings[] = {
    {PKEY_RSA, "RSA", {rsa_algorithm, sizeof rsa_algorithm}, 0, 0},
    {PKEY_P256, "prime256v1", {p256_algorithm, sizeof p256_algorithm}, 65, 256},
    {PKEY_P384, "secp384r1", {p384_algorithm, sizeof p384_algorithm}, 97, 384},
    {PKEY_ED25519, "ED25519", {ed25519_algorithm, sizeof ed25519_algorithm}, RAW_SIZE, RAW_BITS},
    {PKEY_X25519, "X25519", {x25519_algorithm, sizeof x25519_algorithm}, RAW_SIZE, RAW_BITS},
};

err_t *spki_decode(bytes_t spki, EVP_PKEY **ret_evp, pkey_kind_t *ret_kind, unsigned *ret_bits) {
    bytes_t fields, algorithm, key;
    *ret_evp = NULL;
    if (!der_check(spki) || !der_take(&spki, DER_SEQUENCE, &fields) ||
        !der_take_whole(&fields, DER_SEQUENCE, &algorithm) || !der_take_octets(&fields, &key) ||
        fields.n)
        return NULL;
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
        if (!bytes_eq(algorithm, encodings[i].algorithm)) continue;
        if (encodings[i].size && key.n != encodings[i].size) return NULL;
        *ret_kind = encodings[i].kind;
        *ret_bits = encodings[i].bits;
        if (encodings[i].kind == PKEY_RSA) return decode_rsa(key, ret_evp, ret_bits);
        if (encodings[i].size == RAW_SIZE) return decode_raw(encodings[i].name, key, ret_evp);
        if (key.p[0] != 4) return NULL; /* a compressed point */
        return decode_ec(encodings[i].name, key, ret_evp);
    }
    return NULL;
}
