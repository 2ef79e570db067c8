/*
 * For the files of src/crypto only: SubjectPublicKeyInfo without OpenSSL's encoder and decoder,
 * which cost as much as half an RSA-2048 signature each in 3.0.
 */
#ifndef COFFER_CRYPTO_SPKI_INTERNAL_H
#define COFFER_CRYPTO_SPKI_INTERNAL_H

#include <openssl/evp.h>

#include "crypto/pkey.h"

/*
 * The DER of an RSA, P-256 or P-384 public key (RFC 3279 section 2.3.1, RFC 5480 section 2) in a
 * new block (mem_free). *ret_p NULL if the key is of another kind or shape: ask OpenSSL then.
 */
err_t *spki_encode(EVP_PKEY *evp, pkey_kind_t kind, uint8_t **ret_p, size_t *ret_n) WARN_UNUSED;

/*
 * The other way, for the one canonical encoding of RSA, P-256 and P-384 (uncompressed points),
 * Ed25519 and X25519. *ret_evp NULL for anything else: ask OpenSSL then. ERR_INVALID for a point
 * that isn't on its curve, ERR_LIMIT for RSA past LIMIT_RSA_BITS_MAX.
 */
err_t *spki_decode(bytes_t spki, EVP_PKEY **ret_evp, pkey_kind_t *ret_kind,
                   unsigned *ret_bits) WARN_UNUSED;

#endif
