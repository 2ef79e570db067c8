/*
 * Certificate revocation lists (RFC 5280 section 5): built by the keeper, checked by clients.
 * A list of a million entries never lies in the keeper: its entries stream through a crl_builder_t
 * that keeps a digest, and whoever gave them puts the list together around the signature.
 * Pure functions; thread-safe. A crl_builder_t belongs to one thread at a time.
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
    CRL_REMOVE = 8, /* removeFromCRL: in a delta list only, ends a hold */
    CRL_PRIVILEGE_WITHDRAWN = 9,
} crl_reason_t;

/* "keyCompromise"; NULL for a number that is no reason of ours. */
const char *crl_reason_name(crl_reason_t reason);
/* By name, upper or lower case. ERR_INVALID lists the right ones. */
err_t *crl_reason_parse(bytes_t name, crl_reason_t *ret_reason) WARN_UNUSED;

typedef struct {
    bytes_t serial; /* as cert_serial gives it; borrowed */
    int64_t time;   /* seconds since 1970 UTC */
    crl_reason_t reason;
} crl_entry_t;

typedef struct {
    const crl_entry_t *entries; /* borrowed; for crl_build alone */
    size_t entries_n;
    uint64_t number;                  /* cRLNumber; must grow */
    bool delta;                       /* a delta list ... */
    uint64_t base_number;             /* ... to be laid over the full one of this number */
    int64_t this_update, next_update; /* seconds since 1970 UTC */
    const char *url;       /* issuingDistributionPoint: the list is a shard; NULL: it has all */
    const char *delta_url; /* freshestCRL of a full list; or NULL */
} crl_spec_t;

/* Appends the DER of one entry, reason left out if unspecified. */
err_t *crl_entry_put(const crl_entry_t *entry, buf_t *out) WARN_UNUSED;
/* Takes one entry, just as crl_entry_put writes it, off rest. ERR_INVALID. */
err_t *crl_entry_take(bytes_t *rest, crl_entry_t *ret_entry) WARN_UNUSED;

/* ---- in pieces ---- */

/* tbsCertList up to the entries, which take `entries_bytes` bytes in all; appends. */
err_t *crl_put_head(const crl_spec_t *spec, const cert_t *issuer, size_t entries_bytes,
                    buf_t *out) WARN_UNUSED;
/* What follows the entries in tbsCertList: crlExtensions; appends. */
err_t *crl_put_tail(const crl_spec_t *spec, const cert_t *issuer, buf_t *out) WARN_UNUSED;
/* What follows tbsCertList: algorithm and signature; appends. */
err_t *crl_put_signature(const cert_t *issuer, bytes_t signature, buf_t *out) WARN_UNUSED;
/* The octets before tbsCertList when `content` bytes follow; appends. */
err_t *crl_put_outer(size_t content, buf_t *out) WARN_UNUSED;

typedef struct crl_builder crl_builder_t;

/* Shares issuer and key; copies what spec points to. ERR_USAGE as crl_build. */
err_t *crl_builder_new(const crl_spec_t *spec, const cert_t *issuer, const pkey_t *key,
                       size_t entries_bytes, crl_builder_t **ret_builder) WARN_UNUSED;
void crl_builder_free(crl_builder_t *builder); /* takes NULL */
/* Encodes and digests an entry. ERR_LIMIT past the bytes promised. */
err_t *crl_builder_add(crl_builder_t *builder, const crl_entry_t *entry) WARN_UNUSED;
/* Once: appends the signature. ERR_INVALID if the entries were fewer bytes than promised. */
err_t *crl_builder_sign(crl_builder_t *builder, buf_t *signature) WARN_UNUSED;

/* ---- at once ---- */

/* Appends the DER of a version 2 CRL with cRLNumber and authority key identifier. */
err_t *crl_build(const crl_spec_t *spec, const cert_t *issuer, const pkey_t *issuer_key,
                 buf_t *out) WARN_UNUSED;
/*
 * Whether a certificate of this issuer is on the list. ERR_INVALID if malformed, ERR_VERIFY if
 * not signed by the issuer or not valid at `at` (seconds since 1970 UTC).
 */
err_t *crl_check(bytes_t data, const cert_t *issuer, int64_t at, bytes_t serial, bool *ret_revoked,
                 crl_reason_t *ret_reason) WARN_UNUSED;

/* ---- a list that is asked often ---- */

typedef struct crl crl_t;

/* A full list in DER or PEM, not yet believed. ERR_INVALID, ERR_LIMIT. Immutable, but for a lock of
 * OpenSSL's own: may be asked from several threads. */
err_t *crl_parse(bytes_t data, crl_t **ret_crl) WARN_UNUSED;
void crl_free(crl_t *crl);                /* takes NULL */
bytes_t crl_issuer_der(const crl_t *crl); /* borrowed */
/* Is it the issuer's? ERR_VERIFY; ERR_INVALID with a critical extension: it means less than it
 * says.
 */
err_t *crl_verify(const crl_t *crl, const cert_t *issuer) WARN_UNUSED;
/* Whether it stood at this time (seconds since 1970 UTC). */
bool crl_is_current(const crl_t *crl, int64_t at);
/* Whether a serial is on it; *ret_time (seconds) since when. */
err_t *crl_ask(const crl_t *crl, bytes_t serial, bool *ret_revoked, crl_reason_t *ret_reason,
               int64_t *ret_time) WARN_UNUSED;

DEFINE_CLEANUP(crl_builder_t, crl_builder_free)
DEFINE_CLEANUP(crl_t, crl_free)

#endif
