/*
 * See csr_cache.h. Worker threads.
 */
#include "keeper/csr_cache.h"

#include <pthread.h>

#include "base/mem.h"

enum {
    SLOTS = 256,
    KEPT_BYTES = 4096, /* real requests have about 800 */
};

struct csr_cache {
    pthread_mutex_t lock;
    csr_t *slots[SLOTS];
};

err_t *csr_cache_new(csr_cache_t **ret_cache) {
    csr_cache_t *cache = mem_zalloc(sizeof *cache);
    if (!cache) return err_nomem();
    (void)pthread_mutex_init(&cache->lock, NULL);
    *ret_cache = cache;
    return NULL;
}

void csr_cache_free(csr_cache_t *cache) {
    if (!cache) return;
    for (size_t i = 0; i < SLOTS; i++) csr_free(cache->slots[i]);
    (void)pthread_mutex_destroy(&cache->lock);
    mem_free(cache);
}

/* A request ends with its signature, which is as good as random; who forges it only evicts. */
static size_t slot_of(bytes_t der) { return der.p[der.n - 1] % SLOTS; }

void csr_cache_put(csr_cache_t *cache, csr_t *verified) {
    bytes_t der = csr_der(verified);
    csr_t *old = verified;
    if (cache && der.n && der.n <= KEPT_BYTES) {
        (void)pthread_mutex_lock(&cache->lock);
        old = cache->slots[slot_of(der)];
        cache->slots[slot_of(der)] = verified;
        (void)pthread_mutex_unlock(&cache->lock);
    }
    csr_free(old);
}

csr_t *csr_cache_take(csr_cache_t *cache, bytes_t der) {
    if (!cache || der.n == 0 || der.n > KEPT_BYTES) return NULL;
    csr_t *found = NULL;
    (void)pthread_mutex_lock(&cache->lock);
    csr_t **slot = &cache->slots[slot_of(der)];
    if (*slot && bytes_eq(csr_der(*slot), der)) found = STEAL(*slot);
    (void)pthread_mutex_unlock(&cache->lock);
    return found;
}
