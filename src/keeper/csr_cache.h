/*
 * Requests that this keeper just opened and whose proof of possession it just verified, kept for
 * the moment until it is asked to certify them: parsing a key costs OpenSSL 3.0 a fifth of an RSA
 * operation, and the very same bytes come back within milliseconds. Bounded; an entry is taken
 * out once. Thread-safe (cache->lock).
 */
#ifndef COFFER_KEEPER_CSR_CACHE_H
#define COFFER_KEEPER_CSR_CACHE_H

#include "crypto/csr.h"

typedef struct csr_cache csr_cache_t;

err_t *csr_cache_new(csr_cache_t **ret_cache) WARN_UNUSED;
void csr_cache_free(csr_cache_t *cache); /* takes NULL */

/* Takes over a verified request; an older one in its place is dropped. cache may be NULL. */
void csr_cache_put(csr_cache_t *cache, csr_t *verified);
/* The verified request of exactly these bytes, now the caller's; NULL if it isn't there. */
csr_t *csr_cache_take(csr_cache_t *cache, bytes_t der);

DEFINE_CLEANUP(csr_cache_t, csr_cache_free)

#endif
