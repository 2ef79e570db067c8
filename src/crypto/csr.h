/*
 * csr_t: a PKCS#10 certification request (RFC 2986), parsed once into plain values. What it asks
 * for is a wish from a stranger: the profile decides. Immutable after parsing and safe to read
 * from several threads; everything returned is borrowed from it.
 */
#ifndef COFFER_CRYPTO_CSR_H
#define COFFER_CRYPTO_CSR_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/name.h"
#include "crypto/pkey.h"

typedef struct csr csr_t;

/*
 * Exactly one request in strict DER. ERR_INVALID if malformed or an attribute or extension comes
 * twice; ERR_LIMIT past LIMIT_CSR_BYTES, LIMIT_SAN_ENTRIES, LIMIT_SUBJECT_ENTRIES,
 * LIMIT_RSA_BITS_MAX or LIMIT_SCEP_CHALLENGE. Says nothing about possession: call csr_verify.
 */
err_t *csr_parse_der(bytes_t der, csr_t **ret_csr) WARN_UNUSED;
/* The same, with a key that is likely the request's; see pkey_parse_public_known. */
err_t *csr_parse_der_known(bytes_t der, const pkey_t *known, csr_t **ret_csr) WARN_UNUSED;
void csr_free(csr_t *csr); /* wipes the challenge; takes NULL */

/* Proof of possession: signed by the key it names (RFC 2986 section 4.2). ERR_VERIFY if not. */
err_t *csr_verify(const csr_t *csr) WARN_UNUSED;

bytes_t csr_der(const csr_t *csr);
const char *csr_subject(const csr_t *csr); /* RFC 2253, one line; "" if empty */
bytes_t csr_subject_der(const csr_t *csr); /* the Name */
const name_entry_t *csr_subject_entries(const csr_t *csr, size_t *ret_n);
/* First entry of this type (short name or dotted OID); NULL if none. */
const char *csr_subject_get(const csr_t *csr, const char *type);
const san_entry_t *csr_sans(const csr_t *csr, size_t *ret_n);
unsigned csr_key_usage(const csr_t *csr);                     /* KEY_USAGE_*; 0 if not asked for */
const char *const *csr_ekus(const csr_t *csr, size_t *ret_n); /* dotted OIDs */
bool csr_wants_ca(const csr_t *csr); /* asks for basicConstraints with cA */
/* Requested extensions other than SAN, key usage, EKU, basicConstraints, SKI; dotted OIDs. */
const char *const *csr_unknown_extensions(const csr_t *csr, size_t *ret_n);
/* challengePassword (RFC 2985 section 5.4.1) as UTF-8, a secret; none if absent. */
bytes_t csr_challenge(const csr_t *csr);
bytes_t csr_spki_der(const csr_t *csr); /* SubjectPublicKeyInfo as it stands there */
pkey_t *csr_key(const csr_t *csr);      /* pkey_share to keep it */

/* For the client side (simulator, tests, `coffer`). All pointers are borrowed. */
typedef struct {
    const name_entry_t *subject;
    size_t subject_n;
    const san_entry_t *sans;
    size_t sans_n;
    unsigned key_usage;
    const char *const *ekus;
    size_t ekus_n;
    bytes_t challenge; /* none: no challengePassword */
} csr_spec_t;

/* Appends the DER of a request signed by key. ERR_USAGE if a name can't be encoded. */
err_t *csr_build(const csr_spec_t *spec, const pkey_t *key, buf_t *out) WARN_UNUSED;

DEFINE_CLEANUP(csr_t, csr_free)

#endif
