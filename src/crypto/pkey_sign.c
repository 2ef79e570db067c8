/*
 * Domain-separated signatures: see pkey.h. What is signed is `domain` 0x00 `message`, so a
 * signature made for one purpose never counts for another. Ed25519 (RFC 8032), RSASSA-PSS with
 * SHA-256 and a salt of 32 bytes (RFC 8017 section 8.1), ECDSA with SHA-256 (FIPS 186-5). Any
 * process, any thread.
 */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/openssl_internal.h"

/* Up to this many bytes Ed25519's input is put together on the stack. */
enum { SIGN_STACK = 1024 };

static bool can_sign(const pkey_t *key) {
    switch (pkey_kind(key)) {
    case PKEY_RSA: return pkey_bits(key) >= LIMIT_RSA_BITS_MIN;
    case PKEY_P256:
    case PKEY_P384:
    case PKEY_ED25519: return true;
    case PKEY_X25519:
    case PKEY_OTHER: break;
    }
    return false;
}

/* PSS for RSA; nothing to choose for the others. */
static bool set_padding(EVP_PKEY_CTX *ctx, const pkey_t *key) {
    if (pkey_kind(key) != PKEY_RSA) return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static const EVP_MD *digest_of(const pkey_t *key) {
    return pkey_kind(key) == PKEY_ED25519 ? NULL : EVP_sha256();
}

/* `domain` 0x00 `message` in one piece: on the stack if it fits, else *ret_heap (mem_free). */
static err_t *join(const char *domain, bytes_t message, uint8_t stack[SIGN_STACK],
                   uint8_t **ret_heap, bytes_t *ret_input) {
    size_t head = strlen(domain) + 1;
    if (message.n > SIZE_MAX - head) return err_new(ERR_LIMIT, "message too long to sign");
    size_t n = head + message.n;
    uint8_t *p = stack;
    if (n > SIGN_STACK) {
        p = mem_alloc(n);
        if (!p) return err_nomem();
        *ret_heap = p;
    }
    memcpy(p, domain, head);
    bytes_put(p + head, message);
    *ret_input = bytes_make(p, n);
    return NULL;
}

static bool sign_ed25519(EVP_MD_CTX *ctx, bytes_t input, uint8_t *out, size_t *n) {
    return EVP_DigestSign(ctx, out, n, input.p, input.n) == 1;
}

static bool sign_digest(EVP_MD_CTX *ctx, const char *domain, bytes_t message, uint8_t *out,
                        size_t *n) {
    return EVP_DigestSignUpdate(ctx, domain, strlen(domain) + 1) == 1 &&
           (message.n == 0 || EVP_DigestSignUpdate(ctx, message.p, message.n) == 1) &&
           EVP_DigestSignFinal(ctx, out, n) == 1;
}

err_t *pkey_sign(const pkey_t *key, const char *domain, bytes_t message, buf_t *ret_signature) {
    if (!can_sign(key) || !pkey_has_private(key))
        return err_new(ERR_USAGE, "this %s key can't sign", pkey_kind_name(pkey_kind(key)));
    int size = EVP_PKEY_get_size(pkey_evp(key));
    if (size <= 0) return err_openssl(ERR_INTERNAL, "size of a signature");
    TRY(buf_reserve(ret_signature, (size_t)size));
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters = NULL; /* belongs to ctx */
    if (!ctx || EVP_DigestSignInit(ctx, &parameters, digest_of(key), NULL, pkey_evp(key)) != 1 ||
        !set_padding(parameters, key))
        return err_openssl(ERR_INTERNAL, "preparing a signature");
    uint8_t *out = ret_signature->p + ret_signature->n;
    size_t n = (size_t)size;
    bool done = false;
    if (pkey_kind(key) == PKEY_ED25519) {
        uint8_t stack[SIGN_STACK];
        CLEANUP(mem_free) uint8_t *heap = NULL;
        bytes_t input = BYTES_NONE;
        TRY(join(domain, message, stack, &heap, &input));
        done = sign_ed25519(ctx, input, out, &n);
    } else {
        done = sign_digest(ctx, domain, message, out, &n);
    }
    if (!done) return err_openssl(ERR_INTERNAL, "signing");
    ret_signature->n += n;
    return NULL;
}

static bool verify_digest(EVP_MD_CTX *ctx, const char *domain, bytes_t message, bytes_t signature) {
    return EVP_DigestVerifyUpdate(ctx, domain, strlen(domain) + 1) == 1 &&
           (message.n == 0 || EVP_DigestVerifyUpdate(ctx, message.p, message.n) == 1) &&
           EVP_DigestVerifyFinal(ctx, signature.p, signature.n) == 1;
}

err_t *pkey_verify(const pkey_t *key, const char *domain, bytes_t message, bytes_t signature) {
    if (!can_sign(key))
        return err_new(ERR_VERIFY, "this %s key can't verify", pkey_kind_name(pkey_kind(key)));
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters = NULL; /* belongs to ctx */
    if (!ctx || EVP_DigestVerifyInit(ctx, &parameters, digest_of(key), NULL, pkey_evp(key)) != 1 ||
        !set_padding(parameters, key))
        return err_openssl(ERR_INTERNAL, "preparing to verify a signature");
    bool holds = false;
    if (pkey_kind(key) == PKEY_ED25519) {
        uint8_t stack[SIGN_STACK];
        CLEANUP(mem_free) uint8_t *heap = NULL;
        bytes_t input = BYTES_NONE;
        TRY(join(domain, message, stack, &heap, &input));
        holds = EVP_DigestVerify(ctx, signature.p, signature.n, input.p, input.n) == 1;
    } else {
        holds = verify_digest(ctx, domain, message, signature);
    }
    ERR_clear_error(); /* why it doesn't hold is nobody's business */
    return holds ? NULL : err_new(ERR_VERIFY, "the signature does not hold");
}
