/*
 * For the files of src/crypto only: signatures over encoded structures (certificates, requests,
 * CMS attributes), without the cost of OpenSSL's ASN.1 around them. Thread-safe.
 */
#ifndef COFFER_CRYPTO_SIGNATURE_INTERNAL_H
#define COFFER_CRYPTO_SIGNATURE_INTERNAL_H

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/pkey.h"

/*
 * Whether `signature` over `data` holds under key, by the AlgorithmIdentifier (given whole) that
 * stands beside it: RSA PKCS#1 v1.5 and ECDSA with SHA-1 and SHA-2, Ed25519, in their one
 * canonical encoding (RFC 4055, 5758, 8410). *ret_known false, and nothing said, for any other
 * algorithm or a key of another kind: ask OpenSSL then. ERR_VERIFY.
 */
err_t *signature_check(bytes_t algorithm, const pkey_t *key, bytes_t data, bytes_t signature,
                       bool *ret_known) WARN_UNUSED;
/* The same where algorithm and digest are known already: RSA PKCS#1 v1.5 or ECDSA. */
err_t *signature_check_with(const EVP_MD *md, const pkey_t *key, bytes_t data,
                            bytes_t signature) WARN_UNUSED;
/* The digest that an algorithm known to signature_check uses with this key. */
const EVP_MD *signature_digest(bytes_t algorithm, const pkey_t *key, bool *ret_known);
/* The AlgorithmIdentifier a key signs certificates with (sign_digest says the digest), whole. */
err_t *signature_algorithm(const pkey_t *key, bytes_t *ret_whole) WARN_UNUSED;
/* ECDSA with this digest. */
err_t *signature_ec_algorithm(const EVP_MD *md, bytes_t *ret_whole) WARN_UNUSED;
/* Appends the signature; `md` NULL for Ed25519. */
err_t *signature_make(EVP_PKEY *key, const EVP_MD *md, bytes_t data, buf_t *out) WARN_UNUSED;

#endif
