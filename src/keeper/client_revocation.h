/*
 * Asking the keeper for revocation lists and OCSP signatures: see client.h for what is common.
 */
#ifndef COFFER_KEEPER_CLIENT_REVOCATION_H
#define COFFER_KEEPER_CLIENT_REVOCATION_H

#include "crypto/crl.h"
#include "crypto/ocsp.h"
#include "keeper/client.h"

typedef struct {
    const char *issuer;  /* "device-ca" */
    const char *profile; /* certificate profile, or "" for all */
    uint64_t number;
    bool delta;
    uint64_t base_number;
    int64_t this_update, next_update; /* seconds since 1970 UTC */
    const _Atomic bool *stop;         /* ends it with ERR_UNAVAILABLE once set; NULL: none */
} keeper_crl_t;

/*
 * The pieces of a list around its entries (crl_entry_put, one after the other): appends what comes
 * before them (in tbsCertList) to head, what comes behind to tail, and the signature. The entries
 * go to the keeper in as many frames as it takes; it digests what it made of them itself.
 */
err_t *keeper_crl_sign(keeper_t *keeper, const keeper_crl_t *crl, bytes_t entries, buf_t *head,
                       buf_t *tail, buf_t *signature) WARN_UNUSED;

typedef struct {
    const char *issuer;
    int64_t this_update, next_update; /* of all; those in the list are not looked at */
    bool joint;                       /* one response about all, at most LIMIT_OCSP_CERTIDS */
    bytes_t nonce;                    /* with `joint` only; or none */
    const ocsp_single_t *list;        /* at most LIMIT_KEEPER_OCSP_BATCH */
    size_t n;
} keeper_ocsp_t;

/*
 * Has statuses signed; takes (arg, index, signature) for each response in order. *ret_responder is
 * the certificate to send along. An error of `take` ends it. Idempotent.
 */
err_t *keeper_ocsp_sign(keeper_t *keeper, const keeper_ocsp_t *ask,
                        err_t *(*take)(void *arg, size_t index, bytes_t signature), void *arg,
                        cert_t **ret_responder) WARN_UNUSED;

#endif
