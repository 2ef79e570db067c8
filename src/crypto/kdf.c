/*
 * HKDF and PBKDF2 with HMAC-SHA256: see kdf.h. HKDF runs on libsodium's HMAC, which neither
 * allocates nor fails: derivations are short and many. Any process, any thread.
 */
#include "crypto/kdf.h"

#include <limits.h>
#include <sodium.h>

#include "base/limits.h"
#include "crypto/openssl_internal.h"

_Static_assert(KDF_PRK_SIZE == crypto_auth_hmacsha256_BYTES, "HKDF-SHA256");

static void mac_add(crypto_auth_hmacsha256_state *mac, bytes_t data) {
    if (data.n != 0) (void)crypto_auth_hmacsha256_update(mac, data.p, data.n);
}

static void mac_start(crypto_auth_hmacsha256_state *mac, bytes_t key) {
    static const uint8_t empty[1] = {0};
    (void)crypto_auth_hmacsha256_init(mac, key.n ? key.p : empty, key.n);
}

err_t *kdf_hkdf_extract_parts(bytes_t salt, const bytes_t *parts, size_t parts_n,
                              uint8_t ret_prk[KDF_PRK_SIZE]) {
    crypto_auth_hmacsha256_state mac;
    mac_start(&mac, salt); /* an empty HMAC key is the same as one of zeros */
    for (size_t i = 0; i < parts_n; i++) mac_add(&mac, parts[i]);
    (void)crypto_auth_hmacsha256_final(&mac, ret_prk);
    sodium_memzero(&mac, sizeof mac);
    return NULL;
}

err_t *kdf_hkdf_extract(bytes_t salt, bytes_t ikm, uint8_t ret_prk[KDF_PRK_SIZE]) {
    return kdf_hkdf_extract_parts(salt, &ikm, 1, ret_prk);
}

err_t *kdf_hkdf_expand_parts(bytes_t prk, const bytes_t *parts, size_t parts_n, size_t n,
                             uint8_t *out) {
    if (n == 0 || n > KDF_OUTPUT_MAX)
        return err_new(ERR_USAGE, "HKDF gives 1 to %d bytes, not %zu", KDF_OUTPUT_MAX, n);
    crypto_auth_hmacsha256_state mac;
    uint8_t block[KDF_PRK_SIZE];
    uint8_t counter = 0;
    for (size_t done = 0; done < n;) {
        mac_start(&mac, prk);
        if (counter != 0) mac_add(&mac, BYTES_ARRAY(block));
        for (size_t i = 0; i < parts_n; i++) mac_add(&mac, parts[i]);
        counter++;
        mac_add(&mac, bytes_make(&counter, 1));
        (void)crypto_auth_hmacsha256_final(&mac, block);
        size_t take = n - done < sizeof block ? n - done : sizeof block;
        memcpy(out + done, block, take);
        done += take;
    }
    sodium_memzero(&mac, sizeof mac);
    sodium_memzero(block, sizeof block);
    return NULL;
}

err_t *kdf_hkdf_expand(bytes_t prk, bytes_t info, size_t n, uint8_t *out) {
    return kdf_hkdf_expand_parts(prk, &info, 1, n, out);
}

err_t *kdf_hkdf(bytes_t salt, bytes_t ikm, bytes_t info, size_t n, secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(secret_new(n, &key));
    uint8_t prk[KDF_PRK_SIZE];
    TRY(kdf_hkdf_extract(salt, ikm, prk));
    err_t *e = kdf_hkdf_expand(BYTES_ARRAY(prk), info, n, secret_data(key));
    sodium_memzero(prk, sizeof prk);
    if (e) return e;
    *ret_key = STEAL(key);
    return NULL;
}

err_t *kdf_pbkdf2_sha256(bytes_t password, bytes_t salt, unsigned iterations, size_t n,
                         secret_t **ret_key) {
    if (iterations == 0 || iterations > LIMIT_PBKDF2_ITERATIONS)
        return err_new(ERR_LIMIT, "PBKDF2 with 1 to %d iterations, not %u", LIMIT_PBKDF2_ITERATIONS,
                       iterations);
    if (password.n > LIMIT_SECRET_BYTES || salt.n > LIMIT_SECRET_BYTES)
        return err_new(ERR_LIMIT, "password or salt past %d bytes", LIMIT_SECRET_BYTES);
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(secret_new(n, &key));
    const char *text = password.n ? (const char *)password.p : "";
    const uint8_t *salt_p = salt.n ? salt.p : (const uint8_t *)"";
    if (PKCS5_PBKDF2_HMAC(text, (int)password.n, salt_p, (int)salt.n, (int)iterations, EVP_sha256(),
                          (int)n, secret_data(key)) != 1)
        return err_openssl(ERR_INTERNAL, "PBKDF2");
    *ret_key = STEAL(key);
    return NULL;
}
