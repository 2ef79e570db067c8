/*
 * What a TLS endpoint shows and trusts: see tls_internal.h. Several programs, at their start.
 */
#include "crypto/name_internal.h"
#include "crypto/pkey.h"
#include "crypto/tls_internal.h"

/* An X509 of its own for each use: cert_t may have none inside. */
err_t *tls_x509_of(const cert_t *cert, X509 **ret_x509) {
    bytes_t der = cert_der(cert);
    const unsigned char *p = der.p;
    X509 *x509 = d2i_X509(NULL, &p, (long)der.n);
    if (!x509) return err_openssl(ERR_INVALID, "certificate");
    *ret_x509 = x509;
    return NULL;
}

err_t *tls_use_identity(SSL_CTX *ctx, bytes_t cert_pem, bytes_t key_pem) {
    CLEANUP(cert_list_done) cert_list_t chain = {0};
    CLEANUP(pkey_free) pkey_t *key = NULL;
    TRY_WRAP(cert_parse_pem_list(cert_pem, &chain), "TLS certificate");
    TRY_WRAP(pkey_parse_private_pem(key_pem, &key), "TLS key");
    for (size_t i = 0; i < chain.n; i++) {
        CLEANUP(X509_free) X509 *x509 = NULL;
        TRY(tls_x509_of(chain.certs[i], &x509));
        long used =
            i == 0 ? SSL_CTX_use_certificate(ctx, x509) : SSL_CTX_add1_chain_cert(ctx, x509);
        if (used != 1) return err_openssl(ERR_USAGE, "TLS certificate");
    }
    if (SSL_CTX_use_PrivateKey(ctx, pkey_evp(key)) != 1)
        return err_openssl(ERR_USAGE, "TLS certificate and key don't fit");
    return NULL;
}

err_t *tls_trust(SSL_CTX *ctx, bytes_t pem) {
    CLEANUP(cert_list_done) cert_list_t cas = {0};
    TRY_WRAP(cert_parse_pem_list(pem, &cas), "trusted CA");
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (size_t i = 0; i < cas.n; i++) {
        CLEANUP(X509_free) X509 *x509 = NULL;
        TRY(tls_x509_of(cas.certs[i], &x509));
        if (X509_STORE_add_cert(store, x509) != 1) return err_openssl(ERR_INTERNAL, "trusted CA");
    }
    return NULL;
}
