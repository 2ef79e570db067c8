/*
 * Kept answers: see memo.h.
 */
#include "program/common/memo.h"

#include <pthread.h>

#include "base/buf.h"

typedef struct {
    uint8_t *key; /* NULL: free */
    size_t key_n;
    memo_stamp_t stamp;
    void *value;
} slot_t;

struct memo {
    memo_options_t o;
    pthread_mutex_t lock;
    slot_t *slots;
};

err_t *memo_new(const memo_options_t *options, memo_t **ret_memo) {
    if (!options->slots || (options->slots & (options->slots - 1)))
        return err_new(ERR_USAGE, "%zu is no power of two", options->slots);
    memo_t *m = mem_zalloc(sizeof *m);
    if (!m) return err_nomem();
    m->o = *options;
    m->slots = mem_zalloc(options->slots * sizeof *m->slots);
    if (!m->slots) {
        mem_free(m);
        return err_nomem();
    }
    (void)pthread_mutex_init(&m->lock, NULL);
    *ret_memo = m;
    return NULL;
}

static void empty(const memo_t *m, slot_t *slot) {
    if (slot->key && m->o.drop) m->o.drop(slot->value);
    mem_free(slot->key);
    mem_free(slot->value);
    *slot = (slot_t){0};
}

void memo_free(memo_t *m) {
    if (!m) return;
    for (size_t i = 0; i < m->o.slots; i++) empty(m, &m->slots[i]);
    (void)pthread_mutex_destroy(&m->lock);
    mem_free(m->slots);
    mem_free(m);
}

static slot_t *slot_of(const memo_t *m, bytes_t key) {
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < key.n; i++) hash = (hash ^ key.p[i]) * 1099511628211u;
    return &m->slots[(hash ^ hash >> 32) & (m->o.slots - 1)];
}

static bool is_of(const slot_t *slot, bytes_t key) {
    return slot->key && bytes_eq(bytes_make(slot->key, slot->key_n), key);
}

bool memo_get(memo_t *m, bytes_t key, memo_stamp_t stamp, void *ret_value) {
    const slot_t *slot = slot_of(m, key);
    (void)pthread_mutex_lock(&m->lock);
    bool found = is_of(slot, key) && slot->stamp.version == stamp.version &&
                 slot->stamp.beside == stamp.beside;
    if (found) {
        memcpy(ret_value, slot->value, m->o.size);
        if (m->o.share) m->o.share(ret_value);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return found;
}

static bool fill(const memo_t *m, slot_t *slot, bytes_t key, memo_stamp_t stamp,
                 const void *value) {
    slot->key = mem_alloc(key.n + 1);
    slot->value = mem_alloc(m->o.size);
    if (!slot->key || !slot->value) {
        mem_free(STEAL(slot->key));
        mem_free(STEAL(slot->value));
        return false;
    }
    bytes_put(slot->key, key);
    slot->key_n = key.n;
    slot->stamp = stamp;
    memcpy(slot->value, value, m->o.size);
    if (m->o.share) m->o.share(slot->value);
    return true;
}

void memo_put(memo_t *m, bytes_t key, memo_stamp_t stamp, const void *value) {
    slot_t fresh = {0}, old;
    if (key.n > MEMO_KEY_MAX || !fill(m, &fresh, key, stamp, value)) return;
    slot_t *slot = slot_of(m, key);
    (void)pthread_mutex_lock(&m->lock);
    old = *slot;
    *slot = fresh;
    (void)pthread_mutex_unlock(&m->lock);
    empty(m, &old);
}
