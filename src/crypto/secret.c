/*
 * Secrets in libsodium's guarded memory: see secret.h. Locking against swap is best effort (the
 * kernel's RLIMIT_MEMLOCK may refuse it); guard pages and wiping hold always. Any process; a
 * secret belongs to one thread at a time.
 */
#include "crypto/secret.h"

#include <openssl/crypto.h>
#include <sodium.h>

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"

struct secret {
    size_t n;
    uint8_t *p;
};

err_t *crypto_init(void) {
    if (sodium_init() < 0) return err_new(ERR_INTERNAL, "libsodium could not start");
    /* No configuration file: what the algorithms are is decided here, and a sandbox hides it. */
    uint64_t options = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                       OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS;
    if (OPENSSL_init_crypto(options, NULL) != 1)
        return err_new(ERR_INTERNAL, "OpenSSL could not start");
    return NULL;
}

err_t *secret_new(size_t n, secret_t **ret_secret) {
    if (n == 0 || n > LIMIT_SECRET_BYTES)
        return err_new(ERR_LIMIT, "a secret has 1 to %d bytes, not %zu", LIMIT_SECRET_BYTES, n);
    secret_t *secret = mem_alloc(sizeof *secret);
    if (!secret) return err_nomem();
    uint8_t *p = fault_memory() ? NULL : sodium_malloc(n);
    if (!p) {
        mem_free(secret);
        return err_nomem();
    }
    sodium_memzero(p, n);
    *secret = (secret_t){.n = n, .p = p};
    *ret_secret = secret;
    return NULL;
}

err_t *secret_copy(bytes_t data, secret_t **ret_secret) {
    secret_t *secret = NULL;
    TRY(secret_new(data.n, &secret));
    bytes_put(secret->p, data);
    *ret_secret = secret;
    return NULL;
}

err_t *secret_random(const rnd_t *rnd, size_t n, secret_t **ret_secret) {
    CLEANUP(secret_free) secret_t *secret = NULL;
    TRY(secret_new(n, &secret));
    TRY(rnd_fill(rnd, secret->p, n));
    *ret_secret = STEAL(secret);
    return NULL;
}

void secret_free(secret_t *secret) {
    if (!secret) return;
    sodium_free(secret->p); /* wipes */
    mem_free(secret);
}

bytes_t secret_bytes(const secret_t *secret) { return bytes_make(secret->p, secret->n); }

uint8_t *secret_data(secret_t *secret) { return secret->p; }

size_t secret_size(const secret_t *secret) { return secret->n; }

bool secret_eq(const secret_t *a, bytes_t b) { return bytes_eq_ct(secret_bytes(a), b); }
