/*
 * See ocsp_cache.h. Open addressing with linear probing over indices into slabs; an entry dropped
 * is emptied in place (its key stays, its signature goes), so that probing needs no tombstones.
 * Any thread of coffer-web.
 */
#include "pki/ocsp_cache.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/mem.h"

enum {
    SHARDS = 16,
    SLAB = 4096,
    SLABS = LIMIT_OCSP_CACHE / SHARDS / SLAB,
    FIRST_SLOTS = 1024, /* a power of two */
};

typedef struct {
    ocsp_key_t key;
    ocsp_cached_t value;
} entry_t;

typedef struct {
    pthread_mutex_t lock;
    entry_t *slabs[SLABS];
    uint32_t *slots; /* index + 1 of an entry; 0: free */
    size_t slots_n;
    size_t count;
} shard_t;

struct ocsp_cache {
    shard_t shards[SHARDS];
    _Atomic uint64_t drops;
};

err_t *ocsp_cache_new(ocsp_cache_t **ret_cache) {
    ocsp_cache_t *cache = mem_zalloc(sizeof *cache);
    if (!cache) return err_nomem();
    for (size_t i = 0; i < SHARDS; i++) (void)pthread_mutex_init(&cache->shards[i].lock, NULL);
    *ret_cache = cache;
    return NULL;
}

static void shard_clear(shard_t *shard) {
    for (size_t i = 0; i < SLABS; i++) mem_free(shard->slabs[i]);
    memset(shard->slabs, 0, sizeof shard->slabs);
    mem_free(shard->slots);
    shard->slots = NULL;
    shard->slots_n = shard->count = 0;
}

void ocsp_cache_free(ocsp_cache_t *cache) {
    if (!cache) return;
    for (size_t i = 0; i < SHARDS; i++) {
        shard_clear(&cache->shards[i]);
        (void)pthread_mutex_destroy(&cache->shards[i].lock);
    }
    mem_free(cache);
}

/* FNV-1a. Serials are our own random numbers: nobody outside chooses what is kept here. */
static uint64_t hash_of(const ocsp_key_t *key) {
    const uint8_t *p = (const uint8_t *)key;
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < sizeof *key; i++) hash = (hash ^ p[i]) * 1099511628211U;
    return hash ^ hash >> 29;
}

static entry_t *entry_at(const shard_t *shard, size_t index) {
    return &shard->slabs[index / SLAB][index % SLAB];
}

/* Its slot, or the free one where it belongs; slots_n > 0. */
static size_t probe(const shard_t *shard, const ocsp_key_t *key, uint64_t hash) {
    size_t mask = shard->slots_n - 1, at = (size_t)(hash >> 8) & mask;
    while (shard->slots[at] &&
           memcmp(&entry_at(shard, shard->slots[at] - 1)->key, key, sizeof *key) != 0)
        at = (at + 1) & mask;
    return at;
}

static entry_t *find(const shard_t *shard, const ocsp_key_t *key, uint64_t hash) {
    if (!shard->slots_n) return NULL;
    size_t at = probe(shard, key, hash);
    return shard->slots[at] ? entry_at(shard, shard->slots[at] - 1) : NULL;
}

static bool grow(shard_t *shard) {
    size_t n = shard->slots_n ? shard->slots_n * 2 : FIRST_SLOTS;
    uint32_t *slots = mem_array(n, sizeof *slots);
    if (!slots) return false;
    memset(slots, 0, n * sizeof *slots);
    mem_free(shard->slots);
    shard->slots = slots;
    shard->slots_n = n;
    for (size_t i = 0; i < shard->count; i++) {
        const ocsp_key_t *key = &entry_at(shard, i)->key;
        slots[probe(shard, key, hash_of(key))] = (uint32_t)i + 1;
    }
    return true;
}

static entry_t *add(shard_t *shard, const ocsp_key_t *key, uint64_t hash) {
    if (shard->count == (size_t)SLABS * SLAB) shard_clear(shard);
    if (shard->count * 2 >= shard->slots_n && !grow(shard)) return NULL;
    entry_t **slab = &shard->slabs[shard->count / SLAB];
    if (!*slab) *slab = mem_array(SLAB, sizeof **slab);
    if (!*slab) return NULL;
    shard->slots[probe(shard, key, hash)] = (uint32_t)shard->count + 1;
    entry_t *entry = entry_at(shard, shard->count++);
    entry->key = *key;
    return entry;
}

bool ocsp_cache_get(ocsp_cache_t *cache, const ocsp_key_t *key, ocsp_cached_t *ret_cached) {
    uint64_t hash = hash_of(key);
    shard_t *shard = &cache->shards[hash % SHARDS];
    (void)pthread_mutex_lock(&shard->lock);
    const entry_t *entry = find(shard, key, hash);
    bool found = entry && entry->value.status.signature_n;
    if (found) *ret_cached = entry->value;
    (void)pthread_mutex_unlock(&shard->lock);
    return found;
}

uint64_t ocsp_cache_stamp(ocsp_cache_t *cache) { return atomic_load(&cache->drops); }

void ocsp_cache_put(ocsp_cache_t *cache, const ocsp_key_t *key, const ocsp_cached_t *cached,
                    uint64_t stamp) {
    uint64_t hash = hash_of(key);
    shard_t *shard = &cache->shards[hash % SHARDS];
    (void)pthread_mutex_lock(&shard->lock);
    /* Compared under the lock that a drop takes after counting. */
    if (atomic_load(&cache->drops) == stamp) {
        entry_t *entry = find(shard, key, hash);
        if (!entry) entry = add(shard, key, hash);
        if (entry) entry->value = *cached;
    }
    (void)pthread_mutex_unlock(&shard->lock);
}

void ocsp_cache_drop(ocsp_cache_t *cache, const ocsp_key_t *key) {
    uint64_t hash = hash_of(key);
    shard_t *shard = &cache->shards[hash % SHARDS];
    atomic_fetch_add(&cache->drops, 1);
    (void)pthread_mutex_lock(&shard->lock);
    entry_t *entry = find(shard, key, hash);
    if (entry) entry->value.status.signature_n = 0;
    (void)pthread_mutex_unlock(&shard->lock);
}

void ocsp_cache_drop_all(ocsp_cache_t *cache) {
    atomic_fetch_add(&cache->drops, 1);
    for (size_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_lock(&cache->shards[i].lock);
        shard_clear(&cache->shards[i]);
        (void)pthread_mutex_unlock(&cache->shards[i].lock);
    }
}
