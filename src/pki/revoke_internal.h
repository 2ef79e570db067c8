/*
 * For the files of src/pki only: what is behind a revoker_t.
 */
#ifndef COFFER_PKI_REVOKE_INTERNAL_H
#define COFFER_PKI_REVOKE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "pki/ocsp_cache.h"
#include "pki/revoke.h"

enum { REVOKER_ISSUERS = LIMIT_DEVICE_CAS + 2, REVOKER_PENDING = 256, REVOKER_RESPONDERS = 8 };

typedef struct {
    const char *name; /* static or the pki's */
    const cert_t *ca; /* the pki's */
    ocsp_issuer_t id;
} revoker_issuer_t;

/* Who signed statuses. */
typedef struct {
    cert_t *cert; /* a reference of the holder's; NULL: none */
    uint8_t key_hash[DIGEST_SHA1_SIZE];
} ocsp_responder_t;

struct revoker {
    revoker_options_t o;
    revoker_issuer_t issuers[REVOKER_ISSUERS]; /* the device CAs, the mail CA, the root */
    size_t issuers_n;
    _Atomic bool changed; /* something was revoked since the last look at the lists */

    ocsp_cache_t *cache;

    pthread_mutex_t lock; /* guards what follows */
    /* Serials revoked by a transaction in the making: dropped from the cache once it is durable. */
    ocsp_key_t pending[REVOKER_PENDING];
    size_t pending_n; /* REVOKER_PENDING + 1: more, so drop all */
    /* Responders' certificates seen last. */
    ocsp_responder_t responders[REVOKER_RESPONDERS];
    size_t responders_next;
    /* How many statuses may still be signed on demand. */
    double live_budget;
    int64_t live_ms;
};

/* The key in the cache of a status about this serial; false if it is too long to be ours. */
bool revoker_key(const revoker_t *revoker, const revoker_issuer_t *issuer, ocsp_hash_t hash,
                 bytes_t serial, ocsp_key_t *ret_key);
const revoker_issuer_t *revoker_issuer(const revoker_t *revoker, const char *name);

#endif
