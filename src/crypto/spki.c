/*
 * SubjectPublicKeyInfo by hand: see spki_internal.h. Any process, any thread; pure.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/spki_internal.h"

enum {
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_SEQUENCE = 0x30,
    NUMBER_MAX = LIMIT_RSA_BITS_MAX / 8,
    SPKI_MAX = 2 * NUMBER_MAX + 64,
    POINT_MAX = 97, /* 0x04 and two P-384 coordinates */
};

static err_t *der_head(buf_t *out, uint8_t tag, size_t length) {
    TRY(buf_add_byte(out, tag));
    if (length < 0x80) return buf_add_byte(out, (uint8_t)length);
    if (length > 0xff) {
        TRY(buf_add_byte(out, 0x82));
        TRY(buf_add_byte(out, (uint8_t)(length >> 8)));
    } else {
        TRY(buf_add_byte(out, 0x81));
    }
    return buf_add_byte(out, (uint8_t)length);
}

static err_t *der_put(buf_t *out, uint8_t tag, bytes_t content) {
    TRY(der_head(out, tag, content.n));
    return buf_add(out, content);
}

/* SEQUENCE { algorithm, BIT STRING key } */
static err_t *spki_wrap(bytes_t algorithm, bytes_t key, buf_t *out) {
    buf_t bits CLEANUP(buf_done);
    buf_init(&bits, SPKI_MAX);
    TRY(der_head(&bits, DER_BIT_STRING, key.n + 1));
    TRY(buf_add_byte(&bits, 0)); /* no unused bits */
    TRY(buf_add(&bits, key));
    TRY(der_head(out, DER_SEQUENCE, algorithm.n + bits.n));
    TRY(buf_add(out, algorithm));
    return buf_add(out, buf_bytes(&bits));
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
    /* SEQUENCE { rsaEncryption, NULL } */
    static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
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
    return spki_wrap(BYTES_ARRAY(algorithm), buf_bytes(&key), out);
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
    /* SEQUENCE { id-ecPublicKey, the named curve } */
    static const uint8_t p256[] = {0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                                   0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    static const uint8_t p384[] = {0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                   0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
    buf_t out CLEANUP(buf_done);
    buf_init(&out, SPKI_MAX);
    *ret_p = NULL;
    *ret_n = 0;
    if (kind == PKEY_RSA) TRY(spki_rsa(evp, &out));
    if (kind == PKEY_P256) TRY(spki_ec(evp, BYTES_ARRAY(p256), 65, &out));
    if (kind == PKEY_P384) TRY(spki_ec(evp, BYTES_ARRAY(p384), 97, &out));
    ERR_clear_error();
    return out.n ? buf_steal(&out, ret_p, ret_n) : NULL;
}
