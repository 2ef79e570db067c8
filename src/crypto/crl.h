/*
 * Certificate revocation lists (RFC 5280 section 5): built by the keeper, checked by clients.
 * Pure functions; thread-safe.
 */
#ifndef COFFER_CRYPTO_CRL_H
#define COFFER_CRYPTO_CRL_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cert.h"
#include "crypto/pkey.h"

/* CRLReason, RFC 5280 section 5.3.1; the numbers are the wire's. */
typedef enum {
    CRL_UNSPECIFIED = 0,
    CRL_KEY_COMPROMISE = 1,
    CRL_CA_COMPROMISE = 2,
    CRL_AFFILIATION_CHANGED = 3,
    CRL_SUPERSEDED = 4,
    CRL_CESSATION = 5,
    CRL_HOLD = 6,
    CRL_PRIVILEGE_WITHDRAWN = 9,
} crl_reason_t;

typedef struct {
    bytes_t serial; /* as cert_serial gives it; borrowed */
    int64_t time;   /* seconds since 1970 UTC */
    crl_reason_t reason;
} crl_entry_t;

typedef struct {
    const crl_entry_t *entries; /* borrowed */
    size_t entries_n;
    uint64_t number;                  /* cRLNumber; must grow */
    int64_t this_update, next_update; /* seconds since 1970 UTC */
} crl_spec_t;

/* Appends the DER of a version 2 CRL with cRLNumber and authority key identifier. */
err_t *crl_build(const crl_spec_t *spec, const cert_t *issuer, const pkey_t *issuer_key,
                 buf_t *out) WARN_UNUSED;
/*
 * Whether a certificate of this issuer is on the list. ERR_INVALID if malformed, ERR_VERIFY if
 * not signed by the issuer or not valid at `at` (seconds since 1970 UTC).
 */
err_t *crl_check(bytes_t crl, const cert_t *issuer, int64_t at, bytes_t serial, bool *ret_revoked,
                 crl_reason_t *ret_reason) WARN_UNUSED;

#endif
