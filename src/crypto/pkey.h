/*
 * pkey_t: an asymmetric key, private or public only. RSA, EC (P-256, P-384), Ed25519, X25519.
 * Immutable after creation and then safe to use from several threads at once.
 */
#ifndef COFFER_CRYPTO_PKEY_H
#define COFFER_CRYPTO_PKEY_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/secret.h"

typedef struct pkey pkey_t;

typedef enum {
    PKEY_RSA,
    PKEY_P256,
    PKEY_P384,
    PKEY_ED25519,
    PKEY_X25519,
    PKEY_OTHER, /* parsed from outside (another curve, DSA): nothing signs or verifies with it */
} pkey_kind_t;

/* `rsa_bits` only for PKEY_RSA: LIMIT_RSA_BITS_MIN..LIMIT_RSA_BITS_MAX, else ERR_LIMIT. */
err_t *pkey_generate(pkey_kind_t kind, unsigned rsa_bits, pkey_t **ret_key) WARN_UNUSED;
void pkey_free(pkey_t *key); /* wipes private parts; takes NULL */
/* Another reference to the same immutable key. */
pkey_t *pkey_share(pkey_t *key);

pkey_kind_t pkey_kind(const pkey_t *key);
unsigned pkey_bits(const pkey_t *key); /* RSA modulus or field size */
const char *pkey_kind_name(pkey_kind_t kind);
/* "rsa" (2048 unless ":3072" follows), "p256", "p384", "ed25519", "x25519". */
err_t *pkey_parse_kind(bytes_t text, pkey_kind_t *ret_kind, unsigned *ret_rsa_bits) WARN_UNUSED;
bool pkey_has_private(const pkey_t *key);
/* Whether both hold the same public key. */
bool pkey_same_public(const pkey_t *a, const pkey_t *b);

/* PKCS#8 DER, unencrypted, in locked memory. */
err_t *pkey_private_der(const pkey_t *key, secret_t **ret_der) WARN_UNUSED;
err_t *pkey_parse_private_der(bytes_t der, pkey_t **ret_key) WARN_UNUSED;
/* PEM with PKCS#8, for files of programs other than the keeper (TLS key, simulator). */
err_t *pkey_private_pem(const pkey_t *key, buf_t *out) WARN_UNUSED;
err_t *pkey_parse_private_pem(bytes_t pem, pkey_t **ret_key) WARN_UNUSED;
/* SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
err_t *pkey_public_der(const pkey_t *key, buf_t *out) WARN_UNUSED;
err_t *pkey_parse_public_der(bytes_t der, pkey_t **ret_key) WARN_UNUSED;
/*
 * The same, but if `known` (may be NULL) is a public key of this very encoding it is shared: one
 * device's key comes in a request and in each certificate of it, and reading it and its first use
 * cost as much as verifying a signature.
 */
err_t *pkey_parse_public_known(bytes_t der, const pkey_t *known, pkey_t **ret_key) WARN_UNUSED;
/* 32-byte raw keys of Ed25519 and X25519 (RFC 7748, RFC 8032). */
err_t *pkey_raw_public(const pkey_t *key, uint8_t out[32]) WARN_UNUSED;
err_t *pkey_from_raw_public(pkey_kind_t kind, bytes_t raw, pkey_t **ret_key) WARN_UNUSED;
err_t *pkey_from_raw_private(pkey_kind_t kind, bytes_t raw, pkey_t **ret_key) WARN_UNUSED;
bytes_t pkey_spki(const pkey_t *key); /* the SubjectPublicKeyInfo, borrowed */
/* SHA-256 over the SubjectPublicKeyInfo. */
err_t *pkey_spki_sha256(const pkey_t *key, uint8_t out[32]) WARN_UNUSED;

/*
 * Signs `domain` 0x00 `message` (domain-separated: domain is a C string such as
 * "coffer/v1/audit-head"). Ed25519 as is; RSA PSS-SHA256 and ECDSA-SHA256 otherwise.
 */
err_t *pkey_sign(const pkey_t *key, const char *domain, bytes_t message,
                 buf_t *ret_signature) WARN_UNUSED;
/* ERR_VERIFY when it does not hold. */
err_t *pkey_verify(const pkey_t *key, const char *domain, bytes_t message,
                   bytes_t signature) WARN_UNUSED;

DEFINE_CLEANUP(pkey_t, pkey_free)

#endif
