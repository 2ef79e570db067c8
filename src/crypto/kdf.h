/*
 * Key derivation: HKDF-SHA256 (RFC 5869) from good keys, PBKDF2-HMAC-SHA256 (RFC 8018 section
 * 5.2) where a format prescribes it. Passwords of ours go through password.h. Thread-safe.
 */
#ifndef COFFER_CRYPTO_KDF_H
#define COFFER_CRYPTO_KDF_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"

enum { KDF_PRK_SIZE = 32, KDF_OUTPUT_MAX = 255 * 32 };

/* HKDF-Extract; no salt means 32 zero bytes. */
err_t *kdf_hkdf_extract(bytes_t salt, bytes_t ikm, uint8_t ret_prk[KDF_PRK_SIZE]) WARN_UNUSED;
/* The same where ikm is several pieces, as if joined. */
err_t *kdf_hkdf_extract_parts(bytes_t salt, const bytes_t *parts, size_t parts_n,
                              uint8_t ret_prk[KDF_PRK_SIZE]) WARN_UNUSED;
/* HKDF-Expand into n bytes, 1..KDF_OUTPUT_MAX, else ERR_USAGE. */
err_t *kdf_hkdf_expand(bytes_t prk, bytes_t info, size_t n, uint8_t *out) WARN_UNUSED;
err_t *kdf_hkdf_expand_parts(bytes_t prk, const bytes_t *parts, size_t parts_n, size_t n,
                             uint8_t *out) WARN_UNUSED;
/*
 * Both, into a new secret (the caller frees it). Give each purpose its own `info`, e.g.
 * "coffer/v1/storage" and what it is bound to.
 */
err_t *kdf_hkdf(bytes_t salt, bytes_t ikm, bytes_t info, size_t n, secret_t **ret_key) WARN_UNUSED;

/* `iterations` 1..LIMIT_PBKDF2_ITERATIONS, else ERR_LIMIT: a foreign file may name any number. */
err_t *kdf_pbkdf2_sha256(bytes_t password, bytes_t salt, unsigned iterations, size_t n,
                         secret_t **ret_key) WARN_UNUSED;

#endif
