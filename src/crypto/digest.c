/*
 * Digests and HMAC over OpenSSL: see digest.h. Any process, any thread.
 */
#include "crypto/digest.h"

#include <openssl/hmac.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/openssl_internal.h"

struct digest {
    EVP_MD_CTX *ctx;
};

static err_t *one_shot(const EVP_MD *md, bytes_t data, uint8_t *out) {
    if (EVP_Digest(data.p, data.n, out, NULL, md, NULL) != 1)
        return err_openssl(ERR_INTERNAL, "digest");
    return NULL;
}

err_t *digest_sha256(bytes_t data, uint8_t out[DIGEST_SHA256_SIZE]) {
    return one_shot(EVP_sha256(), data, out);
}

err_t *digest_sha512(bytes_t data, uint8_t out[DIGEST_SHA512_SIZE]) {
    return one_shot(EVP_sha512(), data, out);
}

err_t *digest_sha1_legacy(bytes_t data, uint8_t out[DIGEST_SHA1_SIZE]) {
    return one_shot(EVP_sha1(), data, out);
}

err_t *digest_hmac_sha256(bytes_t key, bytes_t data, uint8_t out[DIGEST_SHA256_SIZE]) {
    if (key.n > LIMIT_SECRET_BYTES)
        return err_new(ERR_LIMIT, "HMAC key of %zu bytes, at most %d allowed", key.n,
                       LIMIT_SECRET_BYTES);
    unsigned n = 0;
    uint8_t mac[EVP_MAX_MD_SIZE];
    const uint8_t *p = key.n ? key.p : (const uint8_t *)""; /* NULL would mean "no key set" */
    if (!HMAC(EVP_sha256(), p, (int)key.n, data.p, data.n, mac, &n) || n != DIGEST_SHA256_SIZE)
        return err_openssl(ERR_INTERNAL, "HMAC-SHA256");
    memcpy(out, mac, DIGEST_SHA256_SIZE);
    mem_wipe(mac, sizeof mac); /* it may serve as a key */
    return NULL;
}

err_t *digest_new(digest_t **ret_digest) {
    CLEANUP(digest_free) digest_t *digest = mem_zalloc(sizeof *digest);
    if (!digest) return err_nomem();
    digest->ctx = EVP_MD_CTX_new();
    if (!digest->ctx || EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL) != 1)
        return err_openssl(ERR_INTERNAL, "SHA-256");
    *ret_digest = STEAL(digest);
    return NULL;
}

void digest_free(digest_t *digest) {
    if (!digest) return;
    EVP_MD_CTX_free(digest->ctx);
    mem_free(digest);
}

err_t *digest_update(digest_t *digest, bytes_t data) {
    if (data.n != 0 && EVP_DigestUpdate(digest->ctx, data.p, data.n) != 1)
        return err_openssl(ERR_INTERNAL, "SHA-256");
    return NULL;
}

err_t *digest_final(digest_t *digest, uint8_t out[DIGEST_SHA256_SIZE]) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex(digest->ctx, hash, NULL) != 1 ||
        EVP_DigestInit_ex(digest->ctx, EVP_sha256(), NULL) != 1)
        return err_openssl(ERR_INTERNAL, "SHA-256");
    memcpy(out, hash, DIGEST_SHA256_SIZE);
    return NULL;
}
