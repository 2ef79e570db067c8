/*
 * What administrators want of synced files, and forgetting: see service.h. Worker threads and the
 * thread of the background work.
 */
#include <stdio.h>

#include "audit/note.h"
#include "store/sync_data.h"
#include "store/sync_links.h"
#include "store/sync_packages.h"
#include "sync/service/service_internal.h"

#define WIPE_DOMAIN "coffer/v1/sync/wipe"
enum { WIPE_ID = 16 };

/* ---- wiping a device ---- */

typedef struct {
    sync_call_t *call;
    const uint8_t *device;
    uint8_t id[WIPE_ID];
    const sync_receipt_t *receipt;
} wipe_t;

static err_t *note_wipe(wipe_t *w, db_conn_t *conn, const char *actor, const char *action,
                        const char *files) {
    const char *object = NULL, *device = NULL, *id = NULL;
    TRY(call_object(w->call, &object));
    TRY(call_hex(w->call, bytes_make(w->device, SYNC_HASH), &device));
    TRY(call_hex(w->call, BYTES_ARRAY(w->id), &id));
    return audit_note(w->call->service->o.audit, conn, actor, action, object, "device", device,
                      "wipe", id, "files", files, NULL);
}

static err_t *ask_fn(db_conn_t *conn, void *arg) {
    wipe_t *w = arg;
    sync_call_t *call = w->call;
    db_sync_device_t device;
    db_sync_wipe_t there;
    bool found = false;
    bytes_t id = bytes_make(w->device, SYNC_HASH);
    TRY(db_sync_device_find(conn, call->arena, call->region.seq, id, &device, &found));
    if (!found) return sync_no(call, SYNC_WORD_ABSENT, "the region has no such device");
    TRY(db_sync_wipe_find(conn, call->arena, call->region.seq, id, &there, &found));
    if (found) {
        bytes_put(w->id, bytes_slice(there.id, 0, WIPE_ID));
        return NULL;
    }
    db_sync_wipe_t row = {.id = BYTES_ARRAY(w->id),
                          .region_seq = call->region.seq,
                          .device = id,
                          .actor = call->actor,
                          .asked_ms = clk_unix_ms(call->service->o.clk),
                          .signature = BYTES_NONE};
    TRY(db_sync_wipe_add(conn, &row));
    return note_wipe(w, conn, call->actor, "sync.wipe", NULL);
}

err_t *sync_wipe_ask(sync_call_t *call, const uint8_t device[SYNC_HASH], uint8_t ret_id[WIPE_ID]) {
    wipe_t w = {.call = call, .device = device};
    TRY(rnd_fill(call->service->o.rnd, w.id, sizeof w.id));
    TRY(db_write(call->service->o.db, ask_fn, &w));
    memcpy(ret_id, w.id, WIPE_ID);
    return NULL;
}

static err_t *check_receipt(const wipe_t *w, const db_sync_device_t *device) {
    CLEANUP(buf_done) buf_t message;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    const sync_receipt_t *r = w->receipt;
    buf_init(&message, 256);
    TRY(pkey_from_raw_public(PKEY_ED25519, device->login, &key));
    TRY(record_put_raw(&message, r->region, SYNC_HASH));
    TRY(record_put_raw(&message, r->device, SYNC_HASH));
    TRY(record_put_raw(&message, r->wipe, WIPE_ID));
    TRY(wire_put_i64(&message, r->time));
    TRY(wire_put_u64(&message, r->files));
    err_t *e = pkey_verify(key, WIPE_DOMAIN, buf_bytes(&message), r->signature);
    if (!e || err_code(e) != ERR_VERIFY) return e;
    err_free(e);
    return sync_no(w->call, SYNC_WORD_SIGNATURE, "the receipt is not signed by this device");
}

static err_t *receipt_fn(db_conn_t *conn, void *arg) {
    wipe_t *w = arg;
    sync_call_t *call = w->call;
    const sync_receipt_t *r = w->receipt;
    db_sync_device_t device;
    db_sync_wipe_t row;
    bool found = false, changed = false;
    char files[24];
    TRY(call_region(call, conn, r->region));
    TRY(db_sync_device_find(conn, call->arena, call->region.seq, BYTES_ARRAY(r->device), &device,
                            &found));
    if (found)
        TRY(db_sync_wipe_find(conn, call->arena, call->region.seq, BYTES_ARRAY(r->device), &row,
                              &found));
    if (!found || !bytes_eq(row.id, BYTES_ARRAY(r->wipe)))
        return sync_no(call, SYNC_WORD_ABSENT, "nobody asked for this");
    TRY(check_receipt(w, &device));
    row.done_ms = clk_unix_ms(call->service->o.clk);
    row.files = r->files > INT64_MAX ? INT64_MAX : (int64_t)r->files;
    row.at_s = r->time;
    row.signature = r->signature;
    TRY(db_sync_wipe_done(conn, &row, &changed));
    if (!changed) return NULL;
    (void)snprintf(files, sizeof files, "%llu", (unsigned long long)r->files);
    memcpy(w->id, r->wipe, WIPE_ID);
    return note_wipe(w, conn, "sync-device", "sync.wipe.receipt", files);
}

err_t *sync_wipe_receipt(sync_call_t *call, const sync_receipt_t *receipt) {
    wipe_t w = {.call = call, .device = receipt->device, .receipt = receipt};
    return db_write(call->service->o.db, receipt_fn, &w);
}

/* ---- forgetting ---- */

typedef struct {
    sync_service_t *service;
    arena_t *arena;
    size_t limit;
    int64_t now_ms;   /* by the clock of ages */
    int64_t early_ms; /* by it or the clock of day: for what has an end of its own */
    int64_t after, last;
    db_sync_package_t *packages;
    db_sync_data_t *data;
    size_t packages_n, data_n;
    sync_collected_t done;
} collect_t;

enum { LOOKED_AT = 50 }; /* data packages in one step, for each that may go */

static err_t *forget_data(collect_t *c, db_conn_t *conn, const db_sync_data_t *data) {
    TRY(db_sync_data_remove(conn, data, c->now_ms));
    TRY(db_sync_region_use(conn, data->region_seq, -data->size));
    c->done.data++;
    c->done.bytes += data->size;
    return NULL;
}

/* What is in a tree again since it was listed stays; its data stays as long as another has it. */
static err_t *forget_package(collect_t *c, db_conn_t *conn, const db_sync_package_t *package) {
    db_sync_data_t data;
    int64_t others = 0;
    bool removed = false, found = false, linked = false;
    TRY(db_sync_package_remove(conn, package, &removed));
    if (!removed) return NULL;
    c->done.packages++;
    TRY(db_sync_package_of_root(conn, package->region_seq, package->root, &others));
    TRY(db_sync_link_needs(conn, package->root, c->early_ms, &linked));
    if (others || linked) return NULL; /* a link's data goes once the link is forgotten */
    TRY(db_sync_data_find(conn, c->arena, package->region_seq, package->root, &data, &found));
    return found ? forget_data(c, conn, &data) : NULL;
}

/* Looking holds up nobody's writes. */
static err_t *look_fn(db_conn_t *conn, void *arg) {
    collect_t *c = arg;
    const sync_options_t *o = &c->service->o;
    int64_t put_before = c->now_ms - o->grace_ms;
    TRY(db_sync_package_due(conn, c->arena, put_before, c->now_ms - o->keep_ms, c->limit,
                            &c->packages, &c->packages_n));
    return db_sync_data_unclaimed(conn, c->arena, put_before, c->after, LOOKED_AT * c->limit,
                                  &c->data, &c->data_n, &c->last);
}

/* Each is looked at once more: whatever else is written comes before or after this, never between.
 */
static err_t *collect_fn(db_conn_t *conn, void *arg) {
    collect_t *c = arg;
    c->done = (sync_collected_t){0};
    for (size_t i = 0; i < c->packages_n; i++) TRY(forget_package(c, conn, &c->packages[i]));
    for (size_t i = 0; i < c->data_n; i++) {
        bool is = false;
        TRY(db_sync_data_is_unclaimed(conn, &c->data[i], &is));
        if (is) TRY(forget_data(c, conn, &c->data[i]));
    }
    TRY(db_sync_join_purge(conn, c->early_ms - c->service->o.grace_ms));
    TRY(db_sync_link_purge(conn, c->early_ms - (int64_t)LIMIT_SYNC_LINK_KEPT_S * 1000, c->early_ms,
                           c->limit));
    if (!c->done.packages && !c->done.data) return NULL;
    char n[24], bytes[24];
    (void)snprintf(n, sizeof n, "%lld", (long long)c->done.packages);
    (void)snprintf(bytes, sizeof bytes, "%lld", (long long)c->done.bytes);
    return audit_note(c->service->o.audit, conn, "system", "sync.collect", NULL, "packages", n,
                      "bytes", bytes, NULL);
}

err_t *sync_collect(sync_service_t *service, size_t limit, sync_collected_t *done) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(SERVICE_ARENA, &arena));
    collect_t c = {.service = service,
                   .arena = arena,
                   .limit = limit,
                   .now_ms = service_age_ms(service),
                   .early_ms = clk_unix_ms(service->o.clk),
                   .after = atomic_load(&service->looked_at)};
    if (c.early_ms > c.now_ms) c.early_ms = c.now_ms;
    TRY(db_read(service->o.db, look_fn, &c));
    TRY(db_write(service->o.db, collect_fn, &c));
    atomic_store(&service->looked_at, c.last);
    done->packages += c.done.packages;
    done->data += c.done.data;
    done->bytes += c.done.bytes;
    return NULL;
}
