/*
 * Asymmetric keys over OpenSSL's EVP_PKEY: see pkey.h. PKCS#8 (RFC 5958), SubjectPublicKeyInfo
 * (RFC 5280, 8410), raw curve keys (RFC 7748, 8032). The public encoding and what kind of key it
 * is are worked out once, at birth, so that the accessors neither fail nor allocate. Any process;
 * a key may be used by several threads at once. Signatures: pkey_sign.c.
 */
#include "crypto/pkey.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/openssl_internal.h"
#include "crypto/spki_internal.h"

enum { RAW_KEY_SIZE = 32, RSA_BITS_DEFAULT = 2048 };

struct pkey {
    atomic_uint refs;
    pkey_kind_t kind;
    unsigned bits;
    bool has_private;
    EVP_PKEY *evp;
    uint8_t *spki; /* DER */
    size_t spki_n;
    uint8_t spki_sha256[32];
};

DEFINE_CLEANUP(BIO, BIO_free_all)
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free)

static bool raw_kind(pkey_kind_t kind) { return kind == PKEY_ED25519 || kind == PKEY_X25519; }

/* The EC kinds count only with a named curve: explicit parameters are a known trap. */
static pkey_kind_t kind_of_ec(EVP_PKEY *evp) {
    int explicit_parameters = 0;
    if (EVP_PKEY_get_int_param(evp, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                               &explicit_parameters) == 1 &&
        explicit_parameters != 0)
        return PKEY_OTHER;
    char name[32];
    if (EVP_PKEY_get_utf8_string_param(evp, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof name, NULL) !=
        1)
        return PKEY_OTHER;
    if (strcmp(name, "prime256v1") == 0) return PKEY_P256;
    if (strcmp(name, "secp384r1") == 0) return PKEY_P384;
    return PKEY_OTHER;
}

static pkey_kind_t kind_of(EVP_PKEY *evp) {
    if (EVP_PKEY_is_a(evp, "RSA") == 1) return PKEY_RSA;
    if (EVP_PKEY_is_a(evp, "EC") == 1) return kind_of_ec(evp);
    if (EVP_PKEY_is_a(evp, "ED25519") == 1) return PKEY_ED25519;
    if (EVP_PKEY_is_a(evp, "X25519") == 1) return PKEY_X25519;
    return PKEY_OTHER;
}

static unsigned bits_of(EVP_PKEY *evp, pkey_kind_t kind) {
    if (raw_kind(kind)) return 255;
    int bits = EVP_PKEY_get_bits(evp);
    return bits > 0 ? (unsigned)bits : 0;
}

static bool has_bn(EVP_PKEY *evp, const char *name) {
    BIGNUM *value = NULL;
    bool found = EVP_PKEY_get_bn_param(evp, name, &value) == 1;
    BN_clear_free(value);
    return found;
}

static bool probe_private(EVP_PKEY *evp, pkey_kind_t kind) {
    bool found = false;
    if (raw_kind(kind)) {
        uint8_t raw[RAW_KEY_SIZE];
        size_t n = sizeof raw;
        found = EVP_PKEY_get_raw_private_key(evp, raw, &n) == 1 && n == sizeof raw;
        mem_wipe(raw, sizeof raw);
    } else {
        found = has_bn(evp, kind == PKEY_RSA ? OSSL_PKEY_PARAM_RSA_D : OSSL_PKEY_PARAM_PRIV_KEY);
    }
    ERR_clear_error();
    return found;
}

/*
 * An Ed25519 key of small order verifies one signature over any message (RFC 8032 leaves the
 * check open), so such a point never becomes a key here.
 */
static err_t *check_point(EVP_PKEY *evp) {
    uint8_t raw[RAW_KEY_SIZE];
    size_t n = sizeof raw;
    if (EVP_PKEY_get_raw_public_key(evp, raw, &n) != 1 || n != sizeof raw)
        return err_openssl(ERR_INVALID, "no raw public key");
    if (crypto_core_ed25519_is_valid_point(raw) != 1)
        return err_new(ERR_INVALID, "Ed25519 public key is not a point of the prime-order group");
    return NULL;
}

static err_t *check_key(EVP_PKEY *evp, pkey_kind_t kind, unsigned bits) {
    if (kind == PKEY_RSA && bits > LIMIT_RSA_BITS_MAX)
        return err_new(ERR_LIMIT, "RSA modulus of %u bits, at most %d allowed", bits,
                       LIMIT_RSA_BITS_MAX);
    if (kind == PKEY_ED25519) return check_point(evp);
    return NULL;
}

static err_t *encode_spki_slowly(pkey_t *key) {
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(key->evp, &der);
    if (n <= 0) return err_openssl(ERR_INVALID, "public key has no encoding");
    key->spki = mem_alloc((size_t)n);
    key->spki_n = (size_t)n;
    if (key->spki) memcpy(key->spki, der, (size_t)n);
    OPENSSL_free(der);
    return key->spki ? NULL : err_nomem();
}

/* Fills spki and its hash. */
static err_t *encode_spki(pkey_t *key) {
    TRY(spki_encode(key->evp, key->kind, &key->spki, &key->spki_n));
    if (!key->spki) TRY(encode_spki_slowly(key));
    if (EVP_Digest(key->spki, key->spki_n, key->spki_sha256, NULL, EVP_sha256(), NULL) != 1)
        return err_openssl(ERR_INTERNAL, "SHA-256");
    return NULL;
}

err_t *pkey_from_evp(EVP_PKEY *evp, pkey_t **ret_key) {
    pkey_kind_t kind = kind_of(evp);
    unsigned bits = bits_of(evp, kind);
    TRY(check_key(evp, kind, bits));
    pkey_t *key = mem_zalloc(sizeof *key);
    if (!key) return err_nomem();
    atomic_init(&key->refs, 1);
    key->kind = kind;
    key->bits = bits;
    key->has_private = probe_private(evp, kind);
    key->evp = evp;
    err_t *e = encode_spki(key);
    if (e) {
        mem_free(key->spki);
        mem_free(key);
        return e;
    }
    *ret_key = key;
    return NULL;
}

/* Wraps what spki_decode found, which need not be asked about itself; takes over evp on success. */
static err_t *from_spki(EVP_PKEY *evp, pkey_kind_t kind, unsigned bits, bytes_t spki,
                        pkey_t **ret_key) {
    TRY(check_key(evp, kind, bits));
    pkey_t *key = mem_zalloc(sizeof *key);
    uint8_t *copy = key ? mem_alloc(spki.n) : NULL;
    if (!copy) {
        mem_free(key);
        return err_nomem();
    }
    bytes_put(copy, spki);
    if (EVP_Digest(spki.p, spki.n, key->spki_sha256, NULL, EVP_sha256(), NULL) != 1) {
        mem_free(copy);
        mem_free(key);
        return err_openssl(ERR_INTERNAL, "SHA-256");
    }
    atomic_init(&key->refs, 1);
    key->kind = kind;
    key->bits = bits;
    key->evp = evp;
    key->spki = copy;
    key->spki_n = spki.n;
    *ret_key = key;
    return NULL;
}

EVP_PKEY *pkey_evp(const pkey_t *key) { return key->evp; }

void pkey_free(pkey_t *key) {
    if (!key || atomic_fetch_sub(&key->refs, 1) != 1) return;
    EVP_PKEY_free(key->evp); /* OpenSSL clears private numbers as it frees them */
    mem_free(key->spki);
    mem_free(key);
}

pkey_t *pkey_share(pkey_t *key) {
    (void)atomic_fetch_add(&key->refs, 1);
    return key;
}

err_t *pkey_generate(pkey_kind_t kind, unsigned rsa_bits, pkey_t **ret_key) {
    CLEANUP(EVP_PKEY_free) EVP_PKEY *evp = NULL;
    switch (kind) {
    case PKEY_RSA:
        if (rsa_bits < LIMIT_RSA_BITS_MIN || rsa_bits > LIMIT_RSA_BITS_MAX)
            return err_new(ERR_LIMIT, "RSA keys have %d to %d bits, not %u", LIMIT_RSA_BITS_MIN,
                           LIMIT_RSA_BITS_MAX, rsa_bits);
        evp = EVP_RSA_gen(rsa_bits);
        break;
    case PKEY_P256: evp = EVP_EC_gen("P-256"); break;
    case PKEY_P384: evp = EVP_EC_gen("P-384"); break;
    case PKEY_ED25519: evp = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); break;
    case PKEY_X25519: evp = EVP_PKEY_Q_keygen(NULL, NULL, "X25519"); break;
    case PKEY_OTHER: return err_new(ERR_USAGE, "no such kind of key to generate");
    }
    if (!evp) return err_openssl(ERR_INTERNAL, "generating a %s key", pkey_kind_name(kind));
    TRY(pkey_from_evp(evp, ret_key));
    evp = NULL;
    return NULL;
}

pkey_kind_t pkey_kind(const pkey_t *key) { return key->kind; }

unsigned pkey_bits(const pkey_t *key) { return key->bits; }

const char *pkey_kind_name(pkey_kind_t kind) {
    switch (kind) {
    case PKEY_RSA: return "rsa";
    case PKEY_P256: return "p256";
    case PKEY_P384: return "p384";
    case PKEY_ED25519: return "ed25519";
    case PKEY_X25519: return "x25519";
    case PKEY_OTHER: break;
    }
    return "other";
}

err_t *pkey_parse_kind(bytes_t text, pkey_kind_t *ret_kind, unsigned *ret_rsa_bits) {
    static const pkey_kind_t plain[] = {PKEY_P256, PKEY_P384, PKEY_ED25519, PKEY_X25519};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (!bytes_eq_str(text, pkey_kind_name(plain[i]))) continue;
        *ret_kind = plain[i];
        *ret_rsa_bits = 0;
        return NULL;
    }
    uint64_t bits = RSA_BITS_DEFAULT;
    if (bytes_starts(text, BYTES_LIT("rsa:")))
        TRY_WRAP(text_u64(bytes_from(text, 4), LIMIT_RSA_BITS_MAX, &bits), "RSA key size");
    else if (!bytes_eq_str(text, "rsa"))
        return err_new(ERR_INVALID, "kind of key must be rsa, rsa:BITS, p256, p384, ed25519 or "
                                    "x25519");
    if (bits < LIMIT_RSA_BITS_MIN)
        return err_new(ERR_LIMIT, "RSA keys have at least %d bits", LIMIT_RSA_BITS_MIN);
    *ret_kind = PKEY_RSA;
    *ret_rsa_bits = (unsigned)bits;
    return NULL;
}

bytes_t pkey_spki(const pkey_t *key) { return bytes_make(key->spki, key->spki_n); }

bool pkey_has_private(const pkey_t *key) { return key->has_private; }

bool pkey_same_public(const pkey_t *a, const pkey_t *b) {
    return bytes_eq(bytes_make(a->spki, a->spki_n), bytes_make(b->spki, b->spki_n));
}

static err_t *need_private(const pkey_t *key) {
    if (!key->has_private) return err_new(ERR_USAGE, "the key has no private part");
    return NULL;
}

/* Refuses what is absent or too long before a decoder sees it. */
static err_t *check_length(bytes_t encoded) {
    if (encoded.n == 0) return err_new(ERR_INVALID, "the key is empty");
    if (encoded.n > LIMIT_KEY_BYTES)
        return err_new(ERR_LIMIT, "a key of %zu bytes, at most %d allowed", encoded.n,
                       LIMIT_KEY_BYTES);
    return NULL;
}

/* Wraps, consuming evp in any case. */
static err_t *adopt(EVP_PKEY *evp, pkey_t **ret_key) {
    err_t *e = pkey_from_evp(evp, ret_key);
    if (e) EVP_PKEY_free(evp);
    return e;
}

err_t *pkey_private_der(const pkey_t *key, secret_t **ret_der) {
    TRY(need_private(key));
    CLEANUP(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->evp);
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    if (n <= 0) return err_openssl(ERR_INTERNAL, "encoding a private key");
    CLEANUP(secret_free) secret_t *der = NULL;
    TRY(secret_new((size_t)n, &der));
    uint8_t *at = secret_data(der);
    if (i2d_PKCS8_PRIV_KEY_INFO(info, &at) != n)
        return err_openssl(ERR_INTERNAL, "encoding a private key");
    *ret_der = STEAL(der);
    return NULL;
}

err_t *pkey_parse_private_der(bytes_t der, pkey_t **ret_key) {
    TRY(check_length(der));
    const uint8_t *at = der.p;
    CLEANUP(PKCS8_PRIV_KEY_INFO_free)
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.n);
    if (!info) return err_openssl(ERR_INVALID, "not a PKCS#8 private key");
    if (at != der.p + der.n) return err_new(ERR_INVALID, "bytes behind the private key");
    EVP_PKEY *evp = EVP_PKCS82PKEY(info);
    if (!evp) return err_openssl(ERR_INVALID, "not a private key of a known kind");
    ERR_clear_error(); /* decoders leave what they tried first */
    return adopt(evp, ret_key);
}

err_t *pkey_private_pem(const pkey_t *key, buf_t *out) {
    TRY(need_private(key));
    CLEANUP(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());
    if (!bio) return err_openssl(ERR_INTERNAL, "memory BIO");
    if (PEM_write_bio_PKCS8PrivateKey(bio, key->evp, NULL, NULL, 0, NULL, NULL) != 1)
        return err_openssl(ERR_INTERNAL, "encoding a private key");
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    if (n <= 0) return err_openssl(ERR_INTERNAL, "encoding a private key");
    err_t *e = buf_add(out, bytes_make(text, (size_t)n));
    mem_wipe(text, (size_t)n);
    return e;
}

/* An encrypted file must fail, not ask at the terminal. */
static int no_password(char *out, int size, int writing, void *context) {
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

err_t *pkey_parse_private_pem(bytes_t pem, pkey_t **ret_key) {
    TRY(check_length(pem));
    CLEANUP(BIO_free_all) BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    if (!bio) return err_openssl(ERR_INTERNAL, "memory BIO");
    EVP_PKEY *evp = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    if (!evp) return err_openssl(ERR_INVALID, "no unencrypted private key in this PEM text");
    ERR_clear_error();
    return adopt(evp, ret_key);
}

err_t *pkey_public_der(const pkey_t *key, buf_t *out) {
    return buf_add(out, bytes_make(key->spki, key->spki_n));
}

err_t *pkey_parse_public_der(bytes_t der, pkey_t **ret_key) {
    TRY(check_length(der));
    EVP_PKEY *evp = NULL;
    pkey_kind_t kind = PKEY_OTHER;
    unsigned bits = 0;
    TRY(spki_decode(der, &evp, &kind, &bits));
    if (evp) {
        err_t *e = from_spki(evp, kind, bits, der, ret_key);
        if (e) EVP_PKEY_free(evp);
        return e;
    }
    const uint8_t *at = der.p;
    evp = d2i_PUBKEY(NULL, &at, (long)der.n);
    if (!evp) return err_openssl(ERR_INVALID, "not a SubjectPublicKeyInfo of a known kind");
    ERR_clear_error();
    if (at != der.p + der.n) {
        EVP_PKEY_free(evp);
        return err_new(ERR_INVALID, "bytes behind the public key");
    }
    return adopt(evp, ret_key);
}

err_t *pkey_parse_public_known(bytes_t der, const pkey_t *known, pkey_t **ret_key) {
    /* A private key must not hide behind what everybody takes for a public one. */
    if (!known || known->has_private || !bytes_eq(der, pkey_spki(known)))
        return pkey_parse_public_der(der, ret_key);
    *ret_key = pkey_share((pkey_t *)(uintptr_t)known); /* only the count changes */
    return NULL;
}

err_t *pkey_raw_public(const pkey_t *key, uint8_t out[32]) {
    if (!raw_kind(key->kind))
        return err_new(ERR_USAGE, "a %s key has no raw form", pkey_kind_name(key->kind));
    uint8_t raw[RAW_KEY_SIZE];
    size_t n = sizeof raw;
    if (EVP_PKEY_get_raw_public_key(key->evp, raw, &n) != 1 || n != sizeof raw)
        return err_openssl(ERR_INTERNAL, "raw public key");
    memcpy(out, raw, sizeof raw);
    return NULL;
}

static err_t *from_raw(pkey_kind_t kind, bytes_t raw, bool private, pkey_t **ret_key) {
    if (!raw_kind(kind))
        return err_new(ERR_USAGE, "a %s key has no raw form", pkey_kind_name(kind));
    if (raw.n != RAW_KEY_SIZE)
        return err_new(ERR_INVALID, "a raw key has 32 bytes, not %zu", raw.n);
    const char *name = kind == PKEY_ED25519 ? "ED25519" : "X25519";
    EVP_PKEY *evp = private ? EVP_PKEY_new_raw_private_key_ex(NULL, name, NULL, raw.p, raw.n)
                            : EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, raw.p, raw.n);
    if (!evp) return err_openssl(ERR_INVALID, "not a raw %s key", name);
    return adopt(evp, ret_key);
}

err_t *pkey_from_raw_public(pkey_kind_t kind, bytes_t raw, pkey_t **ret_key) {
    return from_raw(kind, raw, false, ret_key);
}

err_t *pkey_from_raw_private(pkey_kind_t kind, bytes_t raw, pkey_t **ret_key) {
    return from_raw(kind, raw, true, ret_key);
}

err_t *pkey_spki_sha256(const pkey_t *key, uint8_t out[32]) {
    memcpy(out, key->spki_sha256, sizeof key->spki_sha256);
    return NULL;
}
