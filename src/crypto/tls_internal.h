/*
 * Private to crypto: what the TLS façades share.
 */
#ifndef COFFER_CRYPTO_TLS_INTERNAL_H
#define COFFER_CRYPTO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "crypto/cert.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/tls_server.h"

enum { TLS_CHUNK_MAX = 1 << 20 };

/* An X509 of its own for each use; the caller frees it. */
err_t *tls_x509_of(const cert_t *cert, X509 **ret_x509) WARN_UNUSED;
/* What we show: the chain, leaf first, and its key. */
err_t *tls_use_identity(SSL_CTX *ctx, bytes_t cert_pem, bytes_t key_pem) WARN_UNUSED;
/* Certificates that are trusted. */
err_t *tls_trust(SSL_CTX *ctx, bytes_t pem) WARN_UNUSED;

#endif
