/*
 * secret_t: key material in locked, guarded memory (libsodium), wiped when freed, never printed,
 * compared in constant time. One owner; the owner frees it.
 */
#ifndef COFFER_CRYPTO_SECRET_H
#define COFFER_CRYPTO_SECRET_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/rnd.h"

typedef struct secret secret_t;

/* Once per process before anything else of src/crypto; idempotent and thread-safe. */
err_t *crypto_init(void) WARN_UNUSED;

/* n zero bytes of locked memory, 1..64 KiB; ERR_LIMIT beyond. */
err_t *secret_new(size_t n, secret_t **ret_secret) WARN_UNUSED;
err_t *secret_copy(bytes_t data, secret_t **ret_secret) WARN_UNUSED;
err_t *secret_random(const rnd_t *rnd, size_t n, secret_t **ret_secret) WARN_UNUSED;
void secret_free(secret_t *secret); /* wipes; takes NULL */

bytes_t secret_bytes(const secret_t *secret); /* borrowed */
uint8_t *secret_data(secret_t *secret);       /* writable, borrowed */
size_t secret_size(const secret_t *secret);
bool secret_eq(const secret_t *a, bytes_t b); /* constant time */

DEFINE_CLEANUP(secret_t, secret_free)

#endif
