/*
 * cert_cache_t: certificates seen before, parsed, by the SHA-256 of their DER; so a device's next
 * message costs no parsing. Direct-mapped: a newcomer takes the place of whoever is there. It says
 * nothing about trust. Thread-safe. Memory: 8 bytes a slot, and about 8 KB for each one filled
 * (certificates past CERT_CACHE_DER_MAX are not kept).
 */
#ifndef COFFER_CRYPTO_CERT_CACHE_H
#define COFFER_CRYPTO_CERT_CACHE_H

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/cert.h"

typedef struct cert_cache cert_cache_t;

enum { CERT_CACHE_DER_MAX = 3072, CERT_CACHE_SLOTS_MAX = 65536 };

/* `slots` 1..CERT_CACHE_SLOTS_MAX, else ERR_USAGE; rounded up to a power of two. */
err_t *cert_cache_new(size_t slots, cert_cache_t **ret_cache) WARN_UNUSED;
void cert_cache_free(cert_cache_t *cache); /* takes NULL */

/* As cert_parse_der, but a known certificate is shared. `cache` NULL: parses. */
err_t *cert_cache_parse(cert_cache_t *cache, bytes_t der, cert_t **ret_cert) WARN_UNUSED;
/*
 * Remembers it (takes a reference). Apart from cert_cache_parse, so that the caller can see first
 * that the certificate is worth it: its owner's signature held. `cache` may be NULL.
 */
void cert_cache_keep(cert_cache_t *cache, const cert_t *cert);

DEFINE_CLEANUP(cert_cache_t, cert_cache_free)

#endif
