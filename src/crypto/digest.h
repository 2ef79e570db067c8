/*
 * Digests (FIPS 180-4) and HMAC-SHA256 (RFC 2104, FIPS 198-1). One-shot functions are
 * thread-safe; a digest_t belongs to one thread at a time.
 */
#ifndef COFFER_CRYPTO_DIGEST_H
#define COFFER_CRYPTO_DIGEST_H

#include "base/bytes.h"
#include "base/err.h"

enum { DIGEST_SHA1_SIZE = 20, DIGEST_SHA256_SIZE = 32, DIGEST_SHA512_SIZE = 64 };

/* ERR_INTERNAL only if OpenSSL itself is broken. */
err_t *digest_sha256(bytes_t data, uint8_t out[DIGEST_SHA256_SIZE]) WARN_UNUSED;
err_t *digest_sha512(bytes_t data, uint8_t out[DIGEST_SHA512_SIZE]) WARN_UNUSED;
/*
 * SHA-1 is broken against collisions. Only for names that old protocols prescribe: key
 * identifiers (RFC 5280 section 4.2.1.2), OCSP CertIDs, fingerprints in old SCEP clients.
 */
err_t *digest_sha1_legacy(bytes_t data, uint8_t out[DIGEST_SHA1_SIZE]) WARN_UNUSED;

/* HMAC-SHA256; compare the result with bytes_eq_ct. ERR_LIMIT for a key past 64 KiB. */
err_t *digest_hmac_sha256(bytes_t key, bytes_t data, uint8_t out[DIGEST_SHA256_SIZE]) WARN_UNUSED;

/* SHA-256 of what comes in pieces. */
typedef struct digest digest_t;

err_t *digest_new(digest_t **ret_digest) WARN_UNUSED;
void digest_free(digest_t *digest); /* takes NULL */
err_t *digest_update(digest_t *digest, bytes_t data) WARN_UNUSED;
/* Once; afterwards the digest starts over, empty. */
err_t *digest_final(digest_t *digest, uint8_t out[DIGEST_SHA256_SIZE]) WARN_UNUSED;

DEFINE_CLEANUP(digest_t, digest_free)

#endif
