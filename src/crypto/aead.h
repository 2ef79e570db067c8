/*
 * Authenticated encryption: AES-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439), always
 * with 12-byte nonces and 16-byte tags. Whatever is wrong with a ciphertext (too short, changed,
 * other key, other associated data), opening it gives the same ERR_VERIFY. AES-GCM does not commit
 * to its key: who must know that no second key opens a message adds a commitment. Thread-safe.
 */
#ifndef COFFER_CRYPTO_AEAD_H
#define COFFER_CRYPTO_AEAD_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rnd.h"
#include "crypto/secret.h"

enum { AEAD_KEY_SIZE = 32, AEAD_NONCE_SIZE = 12, AEAD_TAG_SIZE = 16 };
/* What aead_seal adds to the plaintext's length, in bytes. */
enum { AEAD_OVERHEAD = AEAD_NONCE_SIZE + AEAD_TAG_SIZE };

/*
 * AES-256-GCM under a random nonce: appends nonce || ciphertext || tag. `key` has AEAD_KEY_SIZE
 * bytes, else ERR_USAGE. One key may seal 2^32 messages (SP 800-38D section 8.3), so give each
 * purpose its own. On failure `out` is as it was.
 */
err_t *aead_seal(const secret_t *key, const rnd_t *rnd, bytes_t aad, bytes_t plaintext,
                 buf_t *out) WARN_UNUSED;
/* Appends the plaintext; give a buf_init_secret buffer if it is a secret. ERR_VERIFY. */
err_t *aead_open(const secret_t *key, bytes_t aad, bytes_t sealed, buf_t *out) WARN_UNUSED;
/* The same into locked memory; an empty plaintext is ERR_VERIFY too. */
err_t *aead_open_secret(const secret_t *key, bytes_t aad, bytes_t sealed,
                        secret_t **ret_secret) WARN_UNUSED;

typedef enum { AEAD_AES128_GCM, AEAD_AES256_GCM, AEAD_CHACHA20_POLY1305 } aead_kind_t;

size_t aead_key_size(aead_kind_t kind); /* bytes */
/*
 * With the caller's nonce, which must never come twice under one key (counters: HPKE, streams).
 * Appends ciphertext || tag. ERR_USAGE for a key or nonce of the wrong length.
 */
err_t *aead_seal_nonce(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, bytes_t plaintext,
                       buf_t *out) WARN_UNUSED;
err_t *aead_open_nonce(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, bytes_t sealed,
                       buf_t *out) WARN_UNUSED;
/* The same where the n bytes of plaintext lie; the tag goes behind them, into room for it. */
err_t *aead_seal_place(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, uint8_t *p,
                       size_t n) WARN_UNUSED;
/* Where the n bytes of ciphertext and tag lie: the plaintext takes the first n - AEAD_TAG_SIZE. On
 * ERR_VERIFY they are wiped. */
err_t *aead_open_place(aead_kind_t kind, bytes_t key, bytes_t nonce, bytes_t aad, uint8_t *p,
                       size_t n) WARN_UNUSED;

#endif
