/*
 * Signatures over DER: see signature_internal.h. RFC 8017 section 8.2, FIPS 186-5, RFC 8032; the
 * arithmetic is OpenSSL's. Any process, any thread.
 */
#include "crypto/signature_internal.h"

#include <openssl/err.h>

#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

/* BYTES_LIT as an initialiser of static data. */
#define LIT(literal)                                                                               \
    { (const uint8_t *)(literal), sizeof(literal) - 1 }

typedef enum { FAMILY_RSA, FAMILY_EC, FAMILY_ED25519 } family_t;

static const struct {
    family_t family;
    const EVP_MD *(*md)(void); /* NULL: the algorithm's own */
    bytes_t whole;
} algorithms[] = {
    {FAMILY_RSA, EVP_sha256, LIT("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00")},
    {FAMILY_RSA, EVP_sha384, LIT("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00")},
    {FAMILY_RSA, EVP_sha512, LIT("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00")},
    {FAMILY_RSA, EVP_sha1, LIT("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00")},
    {FAMILY_EC, EVP_sha256, LIT("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")},
    {FAMILY_EC, EVP_sha384, LIT("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03")},
    {FAMILY_EC, EVP_sha512, LIT("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04")},
    {FAMILY_EC, EVP_sha1, LIT("\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01")},
    {FAMILY_ED25519, NULL, LIT("\x30\x05\x06\x03\x2b\x65\x70")},
};
enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

static bool family_of(const pkey_t *key, family_t *ret_family) {
    switch (pkey_kind(key)) {
    case PKEY_RSA: *ret_family = FAMILY_RSA; return true;
    case PKEY_P256:
    case PKEY_P384: *ret_family = FAMILY_EC; return true;
    case PKEY_ED25519: *ret_family = FAMILY_ED25519; return true;
    case PKEY_X25519:
    case PKEY_OTHER: break;
    }
    return false;
}

err_t *signature_check_with(const EVP_MD *md, const pkey_t *key, bytes_t data, bytes_t signature) {
    EVP_MD_CTX *context CLEANUP(EVP_MD_CTX_free) = EVP_MD_CTX_new();
    if (!context) return err_nomem();
    if (EVP_DigestVerifyInit(context, NULL, md, NULL, pkey_evp(key)) != 1)
        return err_openssl(ERR_VERIFY, "the key can't verify");
    if (EVP_DigestVerify(context, signature.p, signature.n, data.p, data.n) != 1)
        return err_openssl(ERR_VERIFY, "the signature does not hold");
    return NULL;
}

const EVP_MD *signature_digest(bytes_t algorithm, const pkey_t *key, bool *ret_known) {
    family_t family;
    *ret_known = false;
    if (!family_of(key, &family)) return NULL;
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (algorithms[i].family != family || !bytes_eq(algorithms[i].whole, algorithm)) continue;
        *ret_known = true;
        return algorithms[i].md ? algorithms[i].md() : NULL;
    }
    return NULL;
}

err_t *signature_check(bytes_t algorithm, const pkey_t *key, bytes_t data, bytes_t signature,
                       bool *ret_known) {
    const EVP_MD *md = signature_digest(algorithm, key, ret_known);
    return *ret_known ? signature_check_with(md, key, data, signature) : NULL;
}

err_t *signature_algorithm(const pkey_t *key, bytes_t *ret_whole) {
    const EVP_MD *md;
    family_t family;
    TRY(sign_digest(key, &md));
    for (size_t i = 0; family_of(key, &family) && i < ALGORITHMS; i++) {
        if (algorithms[i].family != family || (md && algorithms[i].md() != md)) continue;
        *ret_whole = algorithms[i].whole;
        return NULL;
    }
    return err_new(ERR_USAGE, "a key of kind %s can't sign", pkey_kind_name(pkey_kind(key)));
}

err_t *signature_ec_algorithm(const EVP_MD *md, bytes_t *ret_whole) {
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (algorithms[i].family != FAMILY_EC || algorithms[i].md() != md) continue;
        *ret_whole = algorithms[i].whole;
        return NULL;
    }
    return err_new(ERR_USAGE, "no ECDSA with that digest");
}

err_t *signature_make(EVP_PKEY *key, const EVP_MD *md, bytes_t data, buf_t *out) {
    int size = EVP_PKEY_get_size(key);
    EVP_MD_CTX *context CLEANUP(EVP_MD_CTX_free) = EVP_MD_CTX_new();
    if (!context) return err_nomem();
    size_t n = size > 0 ? (size_t)size : 0;
    TRY(buf_reserve(out, n));
    if (EVP_DigestSignInit(context, NULL, md, NULL, key) != 1 ||
        EVP_DigestSign(context, out->p + out->n, &n, data.p, data.n) != 1)
        return err_openssl(ERR_INTERNAL, "signing");
    out->n += n;
    return NULL;
}
