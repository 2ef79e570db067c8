/*
 * GCM with late attributes: see cms_gcm.h. With A the attributes, padded to whole blocks, and C the
 * ciphertext, the sum of the GHASH inputs
 *     (nothing, C), (A and as many zero blocks as C has, nothing), (n zero bytes, nothing)
 * is that of (A, C), if n makes the length blocks add up too: the first two are 0|C and A0|0,
 * wanted is A|C. So the tags add up, the counter block's encryption three times being once. Any
 * thread.
 */
#include "crypto/cms_gcm.h"

enum { BLOCK = 16, ZEROS = 16 * 1024 };

static err_t *add_zeros(EVP_CIPHER_CTX *ctx, uint64_t n) {
    static const uint8_t zeros[ZEROS];
    while (n) {
        int part = n < ZEROS ? (int)n : ZEROS, out = 0;
        if (EVP_EncryptUpdate(ctx, NULL, &out, zeros, part) != 1)
            return err_openssl(ERR_INTERNAL, "GCM");
        n -= (uint64_t)part;
    }
    return NULL;
}

/* Adds to sum the tag over aad and zeros, without content. */
static err_t *add_tag(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, const uint8_t *key,
                      const uint8_t *nonce, bytes_t aad, uint64_t zeros, uint8_t *sum) {
    uint8_t tag[CMS_GCM_TAG], none[BLOCK];
    int out = 0;
    if (EVP_EncryptInit_ex(ctx, cipher, NULL, key, nonce) != 1)
        return err_openssl(ERR_INTERNAL, "GCM");
    if (aad.n && EVP_EncryptUpdate(ctx, NULL, &out, aad.p, (int)aad.n) != 1)
        return err_openssl(ERR_INTERNAL, "GCM");
    TRY(add_zeros(ctx, zeros));
    if (EVP_EncryptFinal_ex(ctx, none, &out) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CMS_GCM_TAG, tag) != 1)
        return err_openssl(ERR_INTERNAL, "GCM tag");
    for (size_t i = 0; i < CMS_GCM_TAG; i++) sum[i] ^= tag[i];
    return NULL;
}

static uint64_t whole_blocks(uint64_t n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

err_t *cms_gcm_without_aad(const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *nonce,
                           bytes_t aad, uint64_t content, uint8_t *tag, size_t tag_n) {
    uint8_t sum[CMS_GCM_TAG] = {0};
    uint64_t padded = whole_blocks(aad.n) + whole_blocks(content);
    EVP_CIPHER_CTX *ctx CLEANUP(EVP_CIPHER_CTX_free) = EVP_CIPHER_CTX_new();
    if (!ctx) return err_nomem();
    TRY(add_tag(ctx, cipher, key, nonce, aad, padded - aad.n, sum));
    TRY(add_tag(ctx, cipher, key, nonce, BYTES_NONE, padded ^ aad.n, sum));
    for (size_t i = 0; i < tag_n; i++) tag[i] ^= sum[i];
    return NULL;
}
