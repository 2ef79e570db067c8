/*
 * AES-GCM and ChaCha20-Poly1305 over OpenSSL: see aead.h. Any process, any thread.
 */
#include "crypto/aead.h"

#include <limits.h>
#include <openssl/err.h>

#include "base/mem.h"
#include "crypto/openssl_internal.h"

static const EVP_CIPHER *cipher_of(aead_kind_t kind) {
    switch (kind) {
    case AEAD_AES128_GCM: return EVP_aes_128_gcm();
    case AEAD_AES256_GCM: return EVP_aes_256_gcm();
    case AEAD_CHACHA20_POLY1305: return EVP_chacha20_poly1305();
    }
    return NULL;
}

size_t aead_key_size(aead_kind_t kind) { return kind == AEAD_AES128_GCM ? 16 : AEAD_KEY_SIZE; }

/* What both directions ask of their inputs; OpenSSL counts in int. */
static err_t *check(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, bytes_t text) {
    if (key.n != aead_key_size(kind))
        return err_new(ERR_USAGE, "AEAD key of %zu bytes, not %zu", key.n, aead_key_size(kind));
    if (nonce.n != AEAD_NONCE_SIZE)
        return err_new(ERR_USAGE, "AEAD nonce of %zu bytes, not %d", nonce.n, AEAD_NONCE_SIZE);
    if (aad.n > INT_MAX || text.n > INT_MAX - AEAD_TAG_SIZE)
        return err_new(ERR_LIMIT, "more than 2 GiB in one AEAD message");
    return NULL;
}

/* A failure here is OpenSSL's or memory's, never the message's. */
static bool encrypt(EVP_CIPHER_CTX *ctx, bytes_t aad, bytes_t plaintext, uint8_t *out) {
    int n = 0;
    uint8_t none[EVP_MAX_BLOCK_LENGTH];
    if (aad.n != 0 && EVP_EncryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1) return false;
    if (plaintext.n != 0 && EVP_EncryptUpdate(ctx, out, &n, plaintext.p, (int)plaintext.n) != 1)
        return false;
    if (EVP_EncryptFinal_ex(ctx, none, &n) != 1 || n != 0) return false;
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + plaintext.n) == 1;
}

static err_t *seal_into(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad,
                        bytes_t plaintext, uint8_t *out) {
    CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_EncryptInit_ex(ctx, cipher_of(kind), NULL, key.p, nonce.p) != 1 ||
        !encrypt(ctx, aad, plaintext, out))
        return err_openssl(ERR_INTERNAL, "sealing");
    return NULL;
}

err_t *aead_seal_nonce(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, bytes_t plaintext,
                       buf_t *out) {
    TRY(check(kind, key, nonce, aad, plaintext));
    TRY(buf_reserve(out, plaintext.n + AEAD_TAG_SIZE));
    TRY(seal_into(kind, key, nonce, aad, plaintext, out->p + out->n));
    out->n += plaintext.n + AEAD_TAG_SIZE;
    return NULL;
}

err_t *aead_seal_place(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, uint8_t *p,
                       size_t n) {
    TRY(check(kind, key, nonce, aad, bytes_make(p, n)));
    return seal_into(kind, key, nonce, aad, bytes_make(p, n), p);
}

static bool decrypt(EVP_CIPHER_CTX *ctx, bytes_t aad, bytes_t ciphertext, const uint8_t *tag,
                    uint8_t *out) {
    int n = 0;
    uint8_t none[EVP_MAX_BLOCK_LENGTH];
    uint8_t expected[AEAD_TAG_SIZE];
    memcpy(expected, tag, sizeof expected);
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, expected) != 1) return false;
    if (aad.n != 0 && EVP_DecryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1) return false;
    if (ciphertext.n != 0 && EVP_DecryptUpdate(ctx, out, &n, ciphertext.p, (int)ciphertext.n) != 1)
        return false;
    return EVP_DecryptFinal_ex(ctx, none, &n) == 1;
}

static err_t *refuse(void) { return err_new(ERR_VERIFY, "the sealed data does not open"); }

/* Into sealed.n - AEAD_TAG_SIZE bytes at out, which hold nothing of the plaintext on failure. */
static err_t *open_into(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, bytes_t sealed,
                        uint8_t *out) {
    bytes_t ciphertext = bytes_slice(sealed, 0, sealed.n - AEAD_TAG_SIZE);
    CLEANUP(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_DecryptInit_ex(ctx, cipher_of(kind), NULL, key.p, nonce.p) != 1)
        return err_openssl(ERR_INTERNAL, "opening");
    if (decrypt(ctx, aad, ciphertext, sealed.p + ciphertext.n, out)) return NULL;
    mem_wipe(out, ciphertext.n);
    ERR_clear_error();
    return refuse();
}

err_t *aead_open_nonce(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, bytes_t sealed,
                       buf_t *out) {
    TRY(check(kind, key, nonce, aad, sealed));
    if (sealed.n < AEAD_TAG_SIZE) return refuse();
    size_t n = sealed.n - AEAD_TAG_SIZE;
    TRY(buf_reserve(out, n));
    TRY(open_into(kind, key, nonce, aad, sealed, out->p + out->n));
    out->n += n;
    return NULL;
}

err_t *aead_open_place(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, uint8_t *p,
                       size_t n) {
    TRY(check(kind, key, nonce, aad, bytes_make(p, n)));
    if (n < AEAD_TAG_SIZE) return refuse();
    return open_into(kind, key, nonce, aad, bytes_make(p, n), p);
}

err_t *aead_seal(const secret_t *key, const rnd_t *rnd, bytes_t aad, bytes_t plaintext,
                 buf_t *out) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    TRY(rnd_fill(rnd, nonce, sizeof nonce));
    size_t before = out->n;
    TRY(buf_add(out, BYTES_ARRAY(nonce)));
    err_t *e = aead_seal_nonce(AEAD_AES256_GCM, secret_bytes(key), BYTES_ARRAY(nonce), aad,
                               plaintext, out);
    if (e) out->n = before;
    return e;
}

err_t *aead_open(const secret_t *key, bytes_t aad, bytes_t sealed, buf_t *out) {
    if (sealed.n < AEAD_OVERHEAD) return refuse();
    return aead_open_nonce(AEAD_AES256_GCM, secret_bytes(key),
                           bytes_slice(sealed, 0, AEAD_NONCE_SIZE), aad,
                           bytes_from(sealed, AEAD_NONCE_SIZE), out);
}

err_t *aead_open_secret(const secret_t *key, bytes_t aad, bytes_t sealed, secret_t **ret_secret) {
    if (sealed.n <= AEAD_OVERHEAD) return refuse();
    bytes_t nonce = bytes_slice(sealed, 0, AEAD_NONCE_SIZE);
    bytes_t rest = bytes_from(sealed, AEAD_NONCE_SIZE);
    TRY(check(AEAD_AES256_GCM, secret_bytes(key), nonce, aad, rest));
    CLEANUP(secret_free) secret_t *secret = NULL;
    TRY(secret_new(sealed.n - AEAD_OVERHEAD, &secret));
    TRY(open_into(AEAD_AES256_GCM, secret_bytes(key), nonce, aad, rest, secret_data(secret)));
    *ret_secret = STEAL(secret);
    return NULL;
}
