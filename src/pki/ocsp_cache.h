/*
 * Signed OCSP statuses in memory, by issuer and serial: 152 bytes each, at most
 * LIMIT_OCSP_CACHE, then it begins anew. Sharded; a lock a shard, held for a copy.
 */
#ifndef COFFER_PKI_OCSP_CACHE_H
#define COFFER_PKI_OCSP_CACHE_H

#include "store/ocsp_rows.h"

typedef struct ocsp_cache ocsp_cache_t;

/* Zeroed before it is filled in: compared as bytes. */
typedef struct {
    uint8_t issuer;
    uint8_t hash; /* of the CertID */
    uint8_t n;
    uint8_t serial[21]; /* RFC 5280 section 4.1.2.2 allows 20 */
} ocsp_key_t;

typedef struct {
    db_ocsp_status_t status;
    int64_t loaded_ms; /* monotonic */
} ocsp_cached_t;

err_t *ocsp_cache_new(ocsp_cache_t **ret_cache) WARN_UNUSED;
void ocsp_cache_free(ocsp_cache_t *cache); /* takes NULL */

bool ocsp_cache_get(ocsp_cache_t *cache, const ocsp_key_t *key, ocsp_cached_t *ret_cached);
/* A number to be taken before the database is read and given to put, which then refuses what was
 * read before a drop. */
uint64_t ocsp_cache_stamp(ocsp_cache_t *cache);
/* Best effort: without memory nothing is kept. */
void ocsp_cache_put(ocsp_cache_t *cache, const ocsp_key_t *key, const ocsp_cached_t *cached,
                    uint64_t stamp);
void ocsp_cache_drop(ocsp_cache_t *cache, const ocsp_key_t *key);
void ocsp_cache_drop_all(ocsp_cache_t *cache);

DEFINE_CLEANUP(ocsp_cache_t, ocsp_cache_free)

#endif
