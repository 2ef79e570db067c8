/*
 * OCSP (RFC 6960, in the profile of RFC 5019): requests read strictly, responses written by hand
 * from plain values, so that the same values always give the same bytes: what the keeper signs
 * and what a server assembles around the signature need never travel together.
 * Pure functions; thread-safe.
 */
#ifndef COFFER_CRYPTO_OCSP_H
#define COFFER_CRYPTO_OCSP_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "crypto/cert.h"
#include "crypto/crl.h"
#include "crypto/digest.h"
#include "crypto/pkey.h"

/* Digest of a CertID; RFC 5019 section 2.1.1 knows SHA-1 alone, RFC 9654 prefers SHA-256. */
typedef enum { OCSP_SHA1 = 0, OCSP_SHA256 = 1, OCSP_OTHER = 2 } ocsp_hash_t;

/* CertID, RFC 6960 section 4.1.1. Borrowed. */
typedef struct {
    ocsp_hash_t hash;
    bytes_t name_hash;
    bytes_t key_hash;
    bytes_t serial; /* magnitude, big endian, no leading zeros */
} ocsp_cert_id_t;

/* Borrowed from the request. */
typedef struct {
    ocsp_cert_id_t ids[LIMIT_OCSP_CERTIDS];
    size_t ids_n;  /* at least one */
    bytes_t nonce; /* content of the extension's OCTET STRING; none: not asked for */
} ocsp_request_t;

/*
 * ERR_INVALID if it isn't strict DER of an OCSPRequest or has an unknown critical extension,
 * ERR_LIMIT past LIMIT_OCSP_REQUEST, LIMIT_OCSP_CERTIDS or LIMIT_OCSP_NONCE. A request's own
 * signature (optional) is not looked at: nothing depends on who asks.
 */
err_t *ocsp_request_parse(bytes_t der, ocsp_request_t *ret_request) WARN_UNUSED;

/* A CA as CertIDs name it. */
typedef struct {
    uint8_t name_sha1[DIGEST_SHA1_SIZE];
    uint8_t key_sha1[DIGEST_SHA1_SIZE];
    uint8_t name_sha256[DIGEST_SHA256_SIZE];
    uint8_t key_sha256[DIGEST_SHA256_SIZE];
} ocsp_issuer_t;

err_t *ocsp_issuer_init(const cert_t *ca, ocsp_issuer_t *ret_issuer) WARN_UNUSED;
bool ocsp_issuer_is(const ocsp_issuer_t *issuer, const ocsp_cert_id_t *id);
/* SHA-1 of a key's bits: the ResponderID by key (RFC 6960 section 4.2.1). */
err_t *ocsp_key_hash(const pkey_t *key, uint8_t out[DIGEST_SHA1_SIZE]) WARN_UNUSED;

typedef enum { OCSP_GOOD = 0, OCSP_REVOKED = 1 } ocsp_status_t;

/* SingleResponse. */
typedef struct {
    bytes_t serial; /* magnitude; borrowed */
    ocsp_hash_t hash;
    ocsp_status_t status;
    crl_reason_t reason; /* with OCSP_REVOKED */
    int64_t revoked_at;  /* with OCSP_REVOKED; seconds since 1970 UTC, as the next ones */
    int64_t this_update;
    int64_t next_update;
} ocsp_single_t;

/* ResponseData. All borrowed. */
typedef struct {
    const ocsp_issuer_t *issuer;
    const uint8_t *responder; /* ocsp_key_hash of the signer; DIGEST_SHA1_SIZE bytes */
    const ocsp_single_t *list;
    size_t n; /* 1..LIMIT_OCSP_CERTIDS */
    int64_t produced_at;
    bytes_t nonce; /* none: no nonce */
} ocsp_data_t;

/* Signs the encoding of `data` (ECDSA-SHA256 with a P-256 key); appends the signature. */
err_t *ocsp_sign(const ocsp_data_t *data, const pkey_t *key, buf_t *signature) WARN_UNUSED;
/* Appends a whole OCSPResponse (successful) with the responder's certificate. */
err_t *ocsp_response(const ocsp_data_t *data, bytes_t signature, const cert_t *responder,
                     buf_t *out) WARN_UNUSED;

/* Responses that are not signed, RFC 6960 section 4.2.1 and RFC 5019 section 2.2.3. */
typedef enum {
    OCSP_MALFORMED_REQUEST = 1,
    OCSP_INTERNAL_ERROR = 2,
    OCSP_TRY_LATER = 3,
    OCSP_UNAUTHORIZED = 6,
} ocsp_refusal_t;

enum { OCSP_REFUSAL_SIZE = 5 }; /* bytes */
void ocsp_refusal(ocsp_refusal_t why, uint8_t out[OCSP_REFUSAL_SIZE]);

#endif
