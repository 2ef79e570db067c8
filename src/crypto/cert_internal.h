/*
 * For the files of src/crypto only: the OpenSSL object behind a cert_t.
 */
#ifndef COFFER_CRYPTO_CERT_INTERNAL_H
#define COFFER_CRYPTO_CERT_INTERNAL_H

#include <openssl/x509.h>

#include "crypto/cert.h"

/* OpenSSL's view, made when first asked for (about 200 us) and kept; borrowed. Thread-safe. */
err_t *cert_x509_get(const cert_t *cert, X509 **ret_x509) WARN_UNUSED;
/* The same for callers that cope with NULL, which is what they get without memory. */
X509 *cert_x509(const cert_t *cert);
/* What is signed, how, and the signature. Borrowed. */
typedef struct {
    bytes_t tbs;       /* whole */
    bytes_t algorithm; /* whole: the AlgorithmIdentifier outside tbs */
    bytes_t signature;
} cert_signed_t;
cert_signed_t cert_signed_parts(const cert_t *cert);
/* The serial number's content octets as they stand there, with any sign. Borrowed. */
bytes_t cert_serial_content(const cert_t *cert);
/* Reads an X509 into a cert_t. */
err_t *cert_from_x509(X509 *x509, cert_t **ret_cert) WARN_UNUSED;
/* Appends every certificate of the stack (may be NULL). */
err_t *cert_list_add_stack(cert_list_t *list, const STACK_OF(X509) * stack) WARN_UNUSED;
/* The certificates as a stack of borrowed pointers (sk_X509_free it); NULL list is empty. */
err_t *cert_list_stack(const cert_list_t *list, STACK_OF(X509) * *ret_stack) WARN_UNUSED;

static inline void sk_X509_free_p(STACK_OF(X509) * *p) { sk_X509_free(*p); }

#endif
