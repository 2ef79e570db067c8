/*
 * The device chain and the keys that follow from it: rules R5, R6, R15, R16. The chain that was
 * seen is kept; what the service tells must go on from it. In the client; one thread.
 */
#include "base/mem.h"
#include "crypto/digest.h"
#include "sync/engine/engine_internal.h"

static void put_u64(uint8_t out[8], uint64_t value) {
    for (int i = 7; i >= 0; i--, value >>= 8) out[i] = (uint8_t)value;
}

err_t *keys_runs_next(bytes_t *runs, size_t max, bytes_t *ret_run) {
    wire_reader_t r = wire_reader(*runs);
    TRY(wire_get_bytes(&r, max, ret_run));
    *runs = r.rest;
    return NULL;
}

/* ---- what is kept ---- */

static err_t *load_entry(void *arg, bytes_t key, bytes_t value) {
    (void)key;
    return sync_chain_append(arg, value);
}

/* What a service must have refused: nobody who might has signed it, or not for this device. */
static err_t *check_delivery(sync_engine_t *engine, bytes_t record) {
    sync_delivery_t delivery;
    TRY(sync_delivery_parse(record, &delivery));
    err_t *e = sync_delivery_check(engine->chain, &delivery);
    if (e && err_code(e) == ERR_NOT_FOUND) { /* of later than what is known of the chain */
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (memcmp(delivery.recipient, engine->c.device->id, SYNC_HASH) != 0)
        return err_new(ERR_DENIED, "a delivery to another device");
    return NULL;
}

/* Opens a delivery that the chain allows; the newest one stays. */
static err_t *take_delivery(sync_engine_t *engine, bytes_t record) {
    sync_delivery_t delivery;
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(sync_delivery_parse(record, &delivery));
    TRY(sync_delivery_open(engine->chain, &delivery, engine->c.device, &key));
    if (engine->key && delivery.epoch <= engine->key_epoch) return NULL;
    secret_free(engine->key);
    engine->key = STEAL(key);
    engine->key_epoch = delivery.epoch;
    return NULL;
}

static err_t *load_delivery(void *arg, bytes_t key, bytes_t value) {
    (void)key;
    return take_delivery(arg, value);
}

err_t *keys_load(sync_engine_t *engine) {
    sync_chain_head_t head;
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    TRY(sync_chain_new(&chain));
    TRY_WRAP(db_local_each(engine->c.state, STATE_CHAIN, load_entry, chain),
             "the device chain in the local state");
    if (sync_chain_count(chain)) {
        TRY(sync_chain_head(chain, &head));
        if (memcmp(head.region, engine->c.region, SYNC_HASH) != 0)
            return err_new(ERR_INVALID, "the local state is of another region");
    }
    sync_chain_free(engine->chain);
    engine->chain = STEAL(chain);
    engine->chain_ahead = false;
    return db_local_each(engine->c.state, STATE_DELIVERIES, load_delivery, engine);
}

/* ---- following the chain ---- */

/* Another entry at the next place than one that follows what was seen: another chain. */
static const char *word_of(const sync_chain_t *chain, bytes_t record) {
    sync_chain_entry_t entry;
    sync_chain_head_t head = {0};
    err_t *e = sync_chain_entry_parse(record, &entry);
    if (!e) e = sync_chain_head(chain, &head);
    bool forked = !e && entry.position == head.position + 1 &&
                  memcmp(entry.previous, head.head, SYNC_HASH) != 0;
    err_free(e);
    return forked ? SYNC_ALARM_CHAINS : SYNC_ALARM_CHAIN;
}

static err_t *append(sync_engine_t *engine, bytes_t record, buf_t *changes) {
    uint8_t key[8], region[SYNC_HASH];
    const char *word = word_of(engine->chain, record);
    put_u64(key, sync_chain_count(engine->chain));
    if (sync_chain_count(engine->chain) == 0) {
        /* A region is named by its first entry. */
        TRY(digest_sha256(record, region));
        if (memcmp(region, engine->c.region, SYNC_HASH) != 0)
            return engine_alarm(engine, SYNC_ALARM_CHAINS, NULL);
    }
    err_t *e = sync_chain_append(engine->chain, record);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e) return engine_alarm(engine, word, e);
    return db_local_put(changes, STATE_CHAIN, BYTES_ARRAY(key), record);
}

/* Until it is known to be kept, the chain in memory may be ahead of the one in the state. */
static err_t *keep_entries(sync_engine_t *engine, const buf_t *changes) {
    err_t *e = db_local_apply(engine->c.state, buf_bytes(changes));
    engine->chain_ahead = engine->chain_ahead || e;
    return e;
}

static err_t *fetch_entries(sync_engine_t *engine, size_t *ret_new) {
    CLEANUP(buf_done) buf_t runs;
    CLEANUP(buf_done) buf_t changes;
    size_t n = 0;
    buf_init(&runs, SYNC_REMOTE_ANSWER);
    buf_init(&changes, CHANGES_MAX);
    const sync_remote_t *remote = engine->c.remote;
    TRY(engine_judge(engine, remote->chain(remote->ctx, sync_chain_count(engine->chain), &runs)));
    for (bytes_t rest = buf_bytes(&runs), run; rest.n; n++) {
        err_t *e = keys_runs_next(&rest, LIMIT_SYNC_ENTRY, &run);
        if (!e) e = append(engine, run, &changes);
        /* What held so far is kept, so that the next answer has to go on from it. */
        if (e) {
            err_ignore(keep_entries(engine, &changes));
            return engine->alarm[0] ? e : engine_alarm(engine, SYNC_ALARM_CHAIN, e);
        }
    }
    *ret_new = n;
    return keep_entries(engine, &changes);
}

static err_t *check_own(sync_engine_t *engine) {
    const sync_device_t *self = sync_chain_device(engine->chain, engine->c.device->id);
    if (self && self->state == SYNC_DEVICE_ENDED)
        return engine_alarm(engine, SYNC_ALARM_REVOKED, NULL);
    if (!self || self->state != SYNC_DEVICE_ACTIVE)
        return err_new(ERR_UNAVAILABLE, "this device has not been approved yet");
    return NULL;
}

/* The key of the chain's epoch, when it was delivered. */
static err_t *fetch_key(sync_engine_t *engine, const sync_chain_head_t *head) {
    CLEANUP(buf_done) buf_t runs;
    CLEANUP(buf_done) buf_t changes;
    CLEANUP(err_free) err_t *bad = NULL;
    buf_init(&runs, SYNC_REMOTE_ANSWER);
    buf_init(&changes, CHANGES_MAX);
    const sync_remote_t *remote = engine->c.remote;
    TRY(engine_judge(engine, remote->deliveries(remote->ctx, &runs)));
    for (bytes_t rest = buf_bytes(&runs), run; rest.n;) {
        uint8_t key[8];
        err_t *e = keys_runs_next(&rest, LIMIT_SYNC_DELIVERY, &run);
        if (!e) e = check_delivery(engine, run);
        if (e && err_code(e) == ERR_NOMEM) return e;
        if (e) return engine_alarm(engine, SYNC_ALARM_KEY, e);
        e = take_delivery(engine, run);
        if (e && err_code(e) == ERR_NOMEM) return e;
        if (e) {
            err_free(bad);
            bad = e;
        } else if (engine->key_epoch == head->epoch) {
            put_u64(key, head->epoch);
            TRY(db_local_put(&changes, STATE_DELIVERIES, BYTES_ARRAY(key), run));
            return db_local_apply(engine->c.state, buf_bytes(&changes));
        }
    }
    if (bad && err_code(bad) == ERR_VERIFY) return engine_alarm(engine, SYNC_ALARM_KEY, STEAL(bad));
    return err_new(ERR_UNAVAILABLE, "the key of epoch %llu has not been delivered to this device",
                   (unsigned long long)head->epoch);
}

err_t *keys_aside(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t record;
    CLEANUP(buf_done) buf_t changes;
    uint8_t key[8];
    bool found = false;
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    buf_init(&changes, CHANGES_MAX);
    TRY(db_local_get(engine->c.state, STATE_META, BYTES_LIT("pending"), &found, &record));
    if (!found) return NULL;
    err_t *e = take_delivery(engine, buf_bytes(&record));
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (!e) {
        put_u64(key, engine->key_epoch);
        TRY(db_local_put(&changes, STATE_DELIVERIES, BYTES_ARRAY(key), buf_bytes(&record)));
    }
    err_free(e); /* of an entry that was not taken: another one was */
    TRY(db_local_drop(&changes, STATE_META, BYTES_LIT("pending")));
    return db_local_apply(engine->c.state, buf_bytes(&changes));
}

err_t *keys_follow(sync_engine_t *engine, uint64_t entries) {
    sync_chain_head_t head;
    if (engine->chain_ahead) TRY(keys_load(engine));
    uint64_t have = sync_chain_count(engine->chain);
    if (entries < have) return engine_alarm(engine, SYNC_ALARM_SHORT, NULL);
    while (have < entries) {
        size_t fresh = 0;
        TRY(fetch_entries(engine, &fresh));
        if (fresh == 0) return engine_alarm(engine, SYNC_ALARM_SHORT, NULL);
        have += fresh;
    }
    TRY(sync_chain_head(engine->chain, &head));
    TRY(check_own(engine));
    if (engine->key && engine->key_epoch == head.epoch) return NULL;
    TRY(keys_aside(engine));
    if (engine->key && engine->key_epoch == head.epoch) return NULL;
    return fetch_key(engine, &head);
}

/* ---- keys of folders ---- */

static err_t *epoch_key(sync_engine_t *engine, uint64_t epoch, const secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *old = NULL;
    if (!engine->key) return err_new(ERR_UNAVAILABLE, "no key has been delivered to this device");
    if (epoch == engine->key_epoch) *ret_key = engine->key;
    else if (engine->old_key && epoch == engine->old_epoch) *ret_key = engine->old_key;
    else {
        TRY(sync_epoch_walk(engine->chain, engine->key, engine->key_epoch, epoch, &old));
        secret_free(engine->old_key);
        engine->old_key = STEAL(old);
        engine->old_epoch = epoch;
        *ret_key = engine->old_key;
    }
    return NULL;
}

err_t *keys_folder(sync_engine_t *engine, uint64_t epoch, const uint8_t folder[SYNC_NODE],
                   secret_t **ret_key) {
    const secret_t *key = NULL;
    TRY(epoch_key(engine, epoch, &key));
    return sync_folder_key(engine->c.region, key, epoch, folder, ret_key);
}
