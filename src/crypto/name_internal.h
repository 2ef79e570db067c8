/*
 * For the files of src/crypto only: names and extensions of name.h as OpenSSL's objects, for
 * writing. What the builders return is the caller's to free with OpenSSL's function for it.
 * Reading: name_der_internal.h.
 */
#ifndef COFFER_CRYPTO_NAME_INTERNAL_H
#define COFFER_CRYPTO_NAME_INTERNAL_H

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/name.h"
#include "crypto/pkey.h"

/* Helpers so that CLEANUP works on OpenSSL's objects. */
static inline void X509_free_p(X509 **p) { X509_free(*p); }
static inline void X509_NAME_free_p(X509_NAME **p) { X509_NAME_free(*p); }
static inline void X509_EXTENSION_free_p(X509_EXTENSION **p) { X509_EXTENSION_free(*p); }
static inline void GENERAL_NAMES_free_p(GENERAL_NAMES **p) { GENERAL_NAMES_free(*p); }
static inline void GENERAL_NAME_free_p(GENERAL_NAME **p) { GENERAL_NAME_free(*p); }
static inline void ASN1_OBJECT_free_p(ASN1_OBJECT **p) { ASN1_OBJECT_free(*p); }
static inline void ASN1_BIT_STRING_free_p(ASN1_BIT_STRING **p) { ASN1_BIT_STRING_free(*p); }
static inline void ASN1_INTEGER_free_p(ASN1_INTEGER **p) { ASN1_INTEGER_free(*p); }
static inline void ASN1_TIME_free_p(ASN1_TIME **p) { ASN1_TIME_free(*p); }
static inline void ASN1_OCTET_STRING_free_p(ASN1_OCTET_STRING **p) { ASN1_OCTET_STRING_free(*p); }
static inline void EXTENDED_KEY_USAGE_free_p(EXTENDED_KEY_USAGE **p) {
    EXTENDED_KEY_USAGE_free(*p);
}
static inline void BIO_free_p(BIO **p) { BIO_free_all(*p); }

/* Short name of a known object, else its dotted OID. */
err_t *name_of_object(const ASN1_OBJECT *object, arena_t *arena, const char **ret_text) WARN_UNUSED;
err_t *name_dotted(const ASN1_OBJECT *object, arena_t *arena, const char **ret_text) WARN_UNUSED;

const char *name_find(const name_entry_t *entries, size_t n, const char *type);
err_t *name_build(const name_entry_t *entries, size_t n, X509_NAME **ret_name) WARN_UNUSED;

err_t *san_build(const san_entry_t *sans, size_t n, GENERAL_NAMES **ret_names) WARN_UNUSED;

err_t *key_usage_build(unsigned usage, ASN1_BIT_STRING **ret_bits) WARN_UNUSED;
err_t *eku_build(const char *const *oids, size_t n, EXTENDED_KEY_USAGE **ret_ekus) WARN_UNUSED;

/* The digest this key signs certificates with: NULL inside means Ed25519's own. */
err_t *sign_digest(const pkey_t *key, const EVP_MD **ret_md) WARN_UNUSED;
err_t *asn1_seconds(const ASN1_TIME *time, int64_t *ret_seconds) WARN_UNUSED;
/* A non-negative integer of 1..20 bytes; ERR_USAGE otherwise. */
err_t *serial_build(bytes_t serial, ASN1_INTEGER **ret_serial) WARN_UNUSED;

#endif
