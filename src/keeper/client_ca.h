/*
 * Asking the keeper for the device CAs: see client.h for what is common.
 */
#ifndef COFFER_KEEPER_CLIENT_CA_H
#define COFFER_KEEPER_CLIENT_CA_H

#include "base/limits.h"
#include "crypto/cert.h"
#include "keeper/client.h"

enum { KEEPER_CA_NAME = 32 }; /* bytes with the NUL */

/* A generation of the device CA. Owns its certificates. */
typedef struct {
    uint8_t generation;        /* from 1 */
    char name[KEEPER_CA_NAME]; /* "device-ca", "device-ca-2": issuer in records and URLs */
    keeper_ca_state_t state;
    char *crl_url; /* of its complete list; owned; "" without [revocation] */
    char *ca_url;  /* of its certificate; the same */
    cert_t *cert;
    cert_t *signer;    /* who signs SCEP's replies: cert itself, or the RA's */
    cert_t *recipient; /* whom SCEP's envelopes are for: the same */
} keeper_ca_t;

/* All, by generation, the oldest first; exactly one is current. */
typedef struct {
    keeper_ca_t list[LIMIT_DEVICE_CAS];
    size_t n;
} keeper_cas_t;

/* Idempotent. *ret_cas must be zero before. */
err_t *keeper_device_cas(keeper_t *keeper, keeper_cas_t *ret_cas) WARN_UNUSED;
void keeper_cas_done(keeper_cas_t *cas);
/*
 * CertRep SUCCESS with a revocation list of this generation (DER, at most LIMIT_SCEP_CRL bytes),
 * which the keeper checks. Idempotent; appends.
 */
err_t *keeper_scep_crl(keeper_t *keeper, uint8_t generation, bytes_t crl,
                       const keeper_scep_reply_t *reply, buf_t *ret_certrep) WARN_UNUSED;
/* GetNextCACert's answer, SignedData by the current CA; ERR_NOT_FOUND. Idempotent; appends. */
err_t *keeper_next_ca(keeper_t *keeper, buf_t *ret_der) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(keeper_cas_t, keeper_cas_done)

#endif
