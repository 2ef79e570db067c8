/*
 * PKCS#12 (RFC 7292): one private key with its certificate and chain under a password. Written
 * with PBES2, AES-256-CBC and HMAC-SHA-256 (RFC 8018 section 6.2), or for old systems with 3DES
 * and SHA-1. Thread-safe.
 */
#ifndef COFFER_CRYPTO_P12_H
#define COFFER_CRYPTO_P12_H

#include "base/buf.h"
#include "crypto/cert.h"
#include "crypto/pkey.h"

enum {
    P12_BYTES_MAX = 256 * 1024, /* bytes of a file read or written */
    P12_CERTIFICATES_MAX = 32,  /* in one file */
    P12_PASSWORD_MAX = 256,     /* bytes, UTF-8 */
};

typedef enum {
    P12_AES256, /* PBES2 with AES-256-CBC, MAC HMAC-SHA-256 */
    P12_DES3,   /* pbeWithSHAAnd3-KeyTripleDES-CBC, MAC HMAC-SHA-1: for old systems alone */
} p12_cipher_t;

typedef struct {
    const pkey_t *key;        /* borrowed, as all of these */
    const cert_t *cert;       /* of the key, else ERR_USAGE */
    const cert_list_t *chain; /* further certificates; may be NULL */
    const char *name;         /* friendlyName; may be NULL */
    p12_cipher_t cipher;
    unsigned iterations; /* 0: P12_ITERATIONS */
} p12_spec_t;

enum { P12_ITERATIONS = 2048, P12_ITERATIONS_MAX = 1000 * 1000 };

/* Appends DER. `password` is UTF-8, 1..P12_PASSWORD_MAX bytes without NUL. */
err_t *p12_write(const p12_spec_t *spec, bytes_t password, buf_t *out) WARN_UNUSED;

/*
 * Reads a foreign file: exactly one private key and its certificate; others go to ret_chain (may
 * be NULL; appended). ERR_VERIFY for a wrong password or a changed file, without saying which;
 * ERR_INVALID if it is none or holds no or several keys, or a key that isn't the certificate's;
 * ERR_LIMIT.
 */
err_t *p12_read(bytes_t der, bytes_t password, pkey_t **ret_key, cert_t **ret_cert,
                cert_list_t *ret_chain) WARN_UNUSED;

#endif
