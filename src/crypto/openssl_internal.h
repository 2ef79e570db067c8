/*
 * For the files of src/crypto only: the OpenSSL objects behind the façade's types, and the one
 * way to turn OpenSSL's error queue into an err_t.
 */
#ifndef COFFER_CRYPTO_OPENSSL_INTERNAL_H
#define COFFER_CRYPTO_OPENSSL_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "crypto/pkey.h"

/* Drains OpenSSL's error queue into the message (first and last reason). */
#define err_openssl(code, ...) err_openssl_at(__FILE__, __LINE__, (code), __VA_ARGS__)
err_t *err_openssl_at(const char *file, int line, err_code_t code, const char *format,
                      ...) WARN_UNUSED PRINTF_LIKE(4, 5);

/* The EVP_PKEY inside; borrowed. */
EVP_PKEY *pkey_evp(const pkey_t *key);
/*
 * Wraps an EVP_PKEY; takes over the caller's reference on success. ERR_LIMIT for RSA past
 * LIMIT_RSA_BITS_MAX, ERR_INVALID for an Ed25519 point of small order.
 */
err_t *pkey_from_evp(EVP_PKEY *evp, pkey_t **ret_key) WARN_UNUSED;

DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free)
DEFINE_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

#endif
