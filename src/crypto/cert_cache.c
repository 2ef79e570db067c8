/*
 * Certificates seen before: see cert_cache.h. Runs in coffer-web on its worker threads.
 */
#include "crypto/cert_cache.h"

#include <pthread.h>

#include "base/mem.h"
#include "crypto/digest.h"

enum { LOCKS = 16 };

struct cert_cache {
    size_t mask;
    cert_t **slots; /* slot i is guarded by locks[i % LOCKS] */
    pthread_mutex_t locks[LOCKS];
};

err_t *cert_cache_new(size_t slots, cert_cache_t **ret_cache) {
    if (slots == 0 || slots > CERT_CACHE_SLOTS_MAX)
        return err_new(ERR_USAGE, "a cache of %zu certificates", slots);
    size_t room = 1;
    while (room < slots) room *= 2;
    cert_cache_t *cache = mem_zalloc(sizeof *cache);
    cert_t **array = cache ? mem_array(room, sizeof(cert_t *)) : NULL;
    if (!array) {
        mem_free(cache);
        return err_nomem();
    }
    cache->mask = room - 1;
    cache->slots = array;
    for (size_t i = 0; i < LOCKS; i++) (void)pthread_mutex_init(&cache->locks[i], NULL);
    *ret_cache = cache;
    return NULL;
}

void cert_cache_free(cert_cache_t *cache) {
    if (!cache) return;
    for (size_t i = 0; i <= cache->mask; i++) cert_free(cache->slots[i]);
    for (size_t i = 0; i < LOCKS; i++) (void)pthread_mutex_destroy(&cache->locks[i]);
    mem_free(cache->slots);
    mem_free(cache);
}

static size_t slot_of(const cert_cache_t *cache, const uint8_t hash[DIGEST_SHA256_SIZE]) {
    size_t number = 0;
    for (size_t i = 0; i < sizeof number; i++) number = number << 8 | hash[i];
    return number & cache->mask;
}

err_t *cert_cache_parse(cert_cache_t *cache, bytes_t der, cert_t **ret_cert) {
    if (!cache || der.n > CERT_CACHE_DER_MAX) return cert_parse_der(der, ret_cert);
    uint8_t hash[DIGEST_SHA256_SIZE];
    TRY(digest_sha256(der, hash));
    size_t slot = slot_of(cache, hash);
    cert_t *found = NULL;
    (void)pthread_mutex_lock(&cache->locks[slot % LOCKS]);
    if (cache->slots[slot] && bytes_eq(cert_der(cache->slots[slot]), der))
        found = cert_share(cache->slots[slot]);
    (void)pthread_mutex_unlock(&cache->locks[slot % LOCKS]);
    if (!found) return cert_parse_der(der, ret_cert);
    *ret_cert = found;
    return NULL;
}

void cert_cache_keep(cert_cache_t *cache, const cert_t *cert) {
    if (!cache || cert_der(cert).n > CERT_CACHE_DER_MAX) return;
    size_t slot = slot_of(cache, cert_sha256(cert));
    cert_t *old = NULL;
    (void)pthread_mutex_lock(&cache->locks[slot % LOCKS]);
    if (cache->slots[slot] != cert) {
        old = cache->slots[slot];
        cache->slots[slot] = cert_share(cert);
    }
    (void)pthread_mutex_unlock(&cache->locks[slot % LOCKS]);
    cert_free(old);
}
