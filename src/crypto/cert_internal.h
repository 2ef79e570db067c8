/*
 * For the files of src/crypto only: the OpenSSL object behind a cert_t.
 */
#ifndef COFFER_CRYPTO_CERT_INTERNAL_H
#define COFFER_CRYPTO_CERT_INTERNAL_H

#include <openssl/x509.h>

#include "crypto/cert.h"

X509 *cert_x509(const cert_t *cert); /* borrowed */
/* Reads an X509 into a cert_t; takes another reference to it, whatever happens. */
err_t *cert_from_x509(X509 *x509, cert_t **ret_cert) WARN_UNUSED;
/* Appends every certificate of the stack (may be NULL). */
err_t *cert_list_add_stack(cert_list_t *list, const STACK_OF(X509) * stack) WARN_UNUSED;
/* The certificates as a stack of borrowed pointers (sk_X509_free it); NULL list is empty. */
err_t *cert_list_stack(const cert_list_t *list, STACK_OF(X509) * *ret_stack) WARN_UNUSED;

static inline void sk_X509_free_p(STACK_OF(X509) * *p) { sk_X509_free(*p); }

#endif
