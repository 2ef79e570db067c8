/*
 * Approving and revoking devices: see members.h. In the client; one thread.
 */
#include "sync/engine/members.h"

#include "sync/engine/engine_internal.h"

#define OWED BYTES_LIT("owed")

static void put_u64(uint8_t out[8], uint64_t value) {
    for (int i = 7; i >= 0; i--, value >>= 8) out[i] = (uint8_t)value;
}

const sync_chain_t *sync_engine_chain(const sync_engine_t *engine) { return engine->chain; }

static sync_chain_writer_t writer_of(const sync_engine_t *engine) {
    return (sync_chain_writer_t){
        .rnd = engine->c.rnd, .author = engine->c.device, .now = clk_unix(engine->c.clk)};
}

/* The chain as the state has it: what was written but not taken is forgotten. */
static err_t *reload(sync_engine_t *engine) {
    sync_chain_free(engine->chain);
    engine->chain = NULL;
    return keys_load(engine);
}

/* The entry was appended in memory; the service takes it, or it is undone. */
static err_t *post(sync_engine_t *engine, bytes_t entry) {
    CLEANUP(buf_done) buf_t changes;
    uint8_t key[8];
    bool lost = false;
    const sync_remote_t *remote = engine->c.remote;
    buf_init(&changes, CHANGES_MAX);
    put_u64(key, sync_chain_count(engine->chain) - 1);
    err_t *e = engine_judge(engine, remote->chain_post(remote->ctx, entry, &lost));
    if (!e && lost) e = err_new(ERR_BUSY, "another device changed the chain meanwhile: try again");
    if (!e) e = db_local_put(&changes, STATE_CHAIN, BYTES_ARRAY(key), entry);
    if (!e) e = db_local_apply(engine->c.state, buf_bytes(&changes));
    if (!e) return NULL;
    err_ignore(reload(engine));
    return e;
}

/* ---- deliveries ---- */

static err_t *seal_all(sync_engine_t *engine, buf_t *runs) {
    const sync_device_t *devices = NULL;
    size_t n = sync_chain_devices(engine->chain, &devices);
    for (size_t i = 0; i < n; i++) {
        CLEANUP(buf_done) buf_t record;
        buf_init(&record, LIMIT_SYNC_DELIVERY); /* before anything can leave: it is freed */
        if (devices[i].state != SYNC_DEVICE_ACTIVE) continue;
        TRY(sync_delivery_seal(engine->chain, engine->c.device, devices[i].id, engine->key,
                               &record));
        TRY(wire_put_bytes(runs, buf_bytes(&record)));
    }
    return NULL;
}

static err_t *set_owed(sync_engine_t *engine, bool owed) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, 1024);
    TRY(owed ? db_local_put(&changes, STATE_META, OWED, BYTES_LIT("1"))
             : db_local_drop(&changes, STATE_META, OWED));
    return db_local_apply(engine->c.state, buf_bytes(&changes));
}

static err_t *deliver_all(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t runs;
    sync_chain_head_t head;
    const sync_remote_t *remote = engine->c.remote;
    buf_init(&runs, SYNC_REMOTE_ANSWER);
    TRY(sync_chain_head(engine->chain, &head));
    if (!engine->key || engine->key_epoch != head.epoch) return set_owed(engine, false);
    TRY(seal_all(engine, &runs));
    TRY(engine_judge(engine, remote->deliver(remote->ctx, buf_bytes(&runs))));
    return set_owed(engine, false);
}

err_t *sync_members_deliver(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t value;
    bool owed = false;
    buf_init(&value, 16);
    TRY(db_local_get(engine->c.state, STATE_META, OWED, &owed, &value));
    return owed ? deliver_all(engine) : NULL;
}

/* ---- approving ---- */

err_t *sync_members_approve(sync_engine_t *engine, const sync_card_t *card, uint8_t roles) {
    CLEANUP(buf_done) buf_t entry;
    uint8_t id[SYNC_HASH];
    sync_chain_writer_t writer = writer_of(engine);
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    TRY(sync_card_id(card, id));
    const sync_device_t *known = sync_chain_device(engine->chain, id);
    if (!known) {
        TRY(sync_chain_add(&writer, engine->chain, card, &entry));
        TRY(post(engine, buf_bytes(&entry)));
        known = sync_chain_device(engine->chain, id);
    }
    TRY(set_owed(engine, true));
    if (known->state == SYNC_DEVICE_ADDED) {
        buf_clear(&entry);
        TRY(sync_chain_approve(&writer, engine->chain, id, roles, &entry));
        TRY(post(engine, buf_bytes(&entry)));
    }
    return deliver_all(engine);
}

/* ---- new epochs ---- */

static err_t *own_delivery(const sync_chain_t *chain, const sync_device_key_t *device,
                           const secret_t *key, buf_t *out) {
    return sync_delivery_seal(chain, device, device->id, key, out);
}

/* The new key is kept before the service has the entry, aside: if that is taken and the power
 * goes, keys.c finds it there. */
static err_t *keep_aside(sync_engine_t *engine, bytes_t delivery) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, CHANGES_MAX);
    TRY(db_local_put(&changes, STATE_META, BYTES_LIT("pending"), delivery));
    TRY(db_local_put(&changes, STATE_META, OWED, BYTES_LIT("1")));
    return db_local_apply(engine->c.state, buf_bytes(&changes));
}

static err_t *begin_epoch(sync_engine_t *engine, bytes_t entry, secret_t *key) {
    CLEANUP(secret_free) secret_t *mine = key;
    CLEANUP(buf_done) buf_t delivery;
    buf_init(&delivery, LIMIT_SYNC_DELIVERY);
    err_t *e = own_delivery(engine->chain, engine->c.device, mine, &delivery);
    if (!e) e = keep_aside(engine, buf_bytes(&delivery));
    if (e) {
        err_ignore(reload(engine));
        return e;
    }
    TRY(post(engine, entry));
    TRY(keys_aside(engine));
    return deliver_all(engine);
}

err_t *sync_members_revoke(sync_engine_t *engine, const uint8_t device[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t entry;
    secret_t *key = NULL;
    sync_chain_writer_t writer = writer_of(engine);
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    if (!engine->key) return err_new(ERR_UNAVAILABLE, "this device has no key of the region");
    TRY(sync_chain_revoke(&writer, engine->chain, device, engine->key, &entry, &key));
    return begin_epoch(engine, buf_bytes(&entry), key);
}

err_t *sync_members_rotate(sync_engine_t *engine) {
    CLEANUP(buf_done) buf_t entry;
    secret_t *key = NULL;
    sync_chain_writer_t writer = writer_of(engine);
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    if (!engine->key) return err_new(ERR_UNAVAILABLE, "this device has no key of the region");
    TRY(sync_chain_rotate(&writer, engine->chain, NULL, engine->key, &entry, &key));
    return begin_epoch(engine, buf_bytes(&entry), key);
}

err_t *sync_members_recover(sync_engine_t *engine, const sync_card_t *card) {
    CLEANUP(buf_done) buf_t entry;
    secret_t *key = NULL;
    sync_chain_writer_t writer = writer_of(engine);
    buf_init(&entry, LIMIT_SYNC_ENTRY);
    if (!engine->key) return err_new(ERR_UNAVAILABLE, "this key has no key of the region");
    TRY(sync_chain_recover(&writer, engine->chain, card, engine->key, &entry, &key));
    return begin_epoch(engine, buf_bytes(&entry), key);
}

/* ---- a new region ---- */

err_t *sync_members_begin(const sync_device_key_t *device, const clk_t *clk, const rnd_t *rnd,
                          db_local_t *state, buf_t *ret_entry, uint8_t ret_region[SYNC_HASH]) {
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    CLEANUP(secret_free) secret_t *key = NULL;
    CLEANUP(buf_done) buf_t changes;
    CLEANUP(buf_done) buf_t delivery;
    static const uint8_t first[8];
    uint8_t epoch[8];
    sync_chain_head_t head;
    buf_init(&delivery, LIMIT_SYNC_DELIVERY);
    sync_chain_writer_t writer = {.rnd = rnd, .author = device, .now = clk_unix(clk)};
    buf_init(&changes, CHANGES_MAX);
    TRY(sync_chain_new(&chain));
    TRY(sync_chain_begin(&writer, chain, ret_entry, &key));
    TRY(sync_chain_head(chain, &head));
    TRY(own_delivery(chain, device, key, &delivery));
    put_u64(epoch, head.epoch);
    TRY(db_local_put(&changes, STATE_DELIVERIES, BYTES_ARRAY(epoch), buf_bytes(&delivery)));
    TRY(db_local_put(&changes, STATE_CHAIN, BYTES_ARRAY(first), buf_bytes(ret_entry)));
    TRY(db_local_put(&changes, STATE_META, OWED, BYTES_LIT("1")));
    TRY(db_local_apply(state, buf_bytes(&changes)));
    memcpy(ret_region, head.region, SYNC_HASH);
    return NULL;
}

err_t *sync_members_joined(db_local_t *state, bytes_t entries) {
    CLEANUP(buf_done) buf_t changes;
    buf_init(&changes, CHANGES_MAX);
    TRY(db_local_clear(&changes, STATE_CHAIN));
    for (uint64_t i = 0; entries.n; i++) {
        uint8_t key[8];
        bytes_t entry;
        put_u64(key, i);
        TRY(keys_runs_next(&entries, LIMIT_SYNC_ENTRY, &entry));
        TRY(db_local_put(&changes, STATE_CHAIN, BYTES_ARRAY(key), entry));
    }
    return db_local_apply(state, buf_bytes(&changes));
}

static err_t *add_entry(void *arg, bytes_t key, bytes_t value) {
    (void)key;
    return wire_put_bytes(arg, value);
}

err_t *sync_members_entries(db_local_t *state, buf_t *out) {
    return db_local_each(state, STATE_CHAIN, add_entry, out);
}
