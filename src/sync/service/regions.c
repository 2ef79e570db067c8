/*
 * Regions and their device chains: see service.h. An entry is taken by compare-and-swap on the
 * number of entries, with the audit note and the log's leaf in one transaction. Worker threads.
 */
#include <stdio.h>

#include "audit/note.h"
#include "sync/service/service_internal.h"

enum { READ_ENTRIES = 1000 };

/* ---- one more entry ---- */

typedef struct {
    sync_call_t *call;
    const sync_chain_t *chain; /* it took the entry already */
    sync_chain_entry_t entry;
    bytes_t record;
    uint8_t head[SYNC_HASH];
} entry_t;

static err_t *put_device(db_conn_t *conn, int64_t seq, const sync_device_t *device,
                         const char *person_id) {
    db_sync_device_t row = {.region_seq = seq,
                            .device = BYTES_ARRAY(device->id),
                            .person_id = person_id,
                            .name = device->card.name,
                            .state = device->state,
                            .roles = device->roles,
                            .login = BYTES_ARRAY(device->card.login)};
    return db_sync_device_put(conn, &row);
}

static bool is_recovery(const entry_t *w, const uint8_t id[SYNC_HASH]) {
    const uint8_t *allowed = w->call->service->o.recovery;
    return allowed && memcmp(id, allowed, SYNC_HASH) == 0;
}

/* Nobody recovers regions but the key that the organisation has said, if it has. */
static err_t *check_recovery(const entry_t *w) {
    if (w->entry.kind != SYNC_CHAIN_APPROVE || w->entry.roles != SYNC_RECOVER ||
        is_recovery(w, w->entry.subject))
        return NULL;
    return sync_no(w->call, SYNC_WORD_POLICY, "no such key may recover regions here");
}

/* A card that comes in is of somebody who may sync. */
static err_t *put_new_device(entry_t *w, db_conn_t *conn, const uint8_t id[SYNC_HASH]) {
    const sync_device_t *device = sync_chain_device(w->chain, id);
    db_person_t person;
    sync_policy_t policy;
    if (!device) return err_new(ERR_INTERNAL, "a card without a device");
    TRY(call_card_person(w->call, conn, &device->card, &person));
    TRY(call_policy(w->call, conn, &person, id, &policy));
    if (!policy.may_sync)
        return sync_no(w->call, SYNC_WORD_POLICY, "%.128s may not sync", person.email);
    /* Whoever lets another person in shares; to be recovered, or recovering, is something else. */
    if (!is_recovery(w, id) && w->entry.kind != SYNC_CHAIN_RECOVER && !w->call->policy.may_share &&
        strcmp(person.id, w->call->person.id) != 0)
        return sync_no(w->call, SYNC_WORD_POLICY, "you may not share");
    return put_device(conn, w->call->region.seq, device, person.id);
}

/* What the entry changed: the rest of a recovery ends all, so all are written. */
static err_t *put_devices(entry_t *w, db_conn_t *conn) {
    const sync_device_t *devices = NULL;
    size_t n = sync_chain_devices(w->chain, &devices);
    int64_t seq = w->call->region.seq;
    TRY(check_recovery(w));
    if (w->entry.card.n) TRY(put_new_device(w, conn, w->entry.subject));
    for (size_t i = 0; i < n; i++) {
        const uint8_t *id = devices[i].id;
        bool all = w->entry.kind == SYNC_CHAIN_RECOVER;
        if (w->entry.card.n && memcmp(id, w->entry.subject, SYNC_HASH) == 0) continue;
        if (all || memcmp(id, w->entry.subject, SYNC_HASH) == 0 ||
            memcmp(id, w->entry.author, SYNC_HASH) == 0)
            TRY(put_device(conn, seq, &devices[i], ""));
    }
    return NULL;
}

static err_t *put_entry(entry_t *w, db_conn_t *conn) {
    sync_call_t *call = w->call;
    db_sync_entry_t row = {.region_seq = call->region.seq,
                           .position = (int64_t)w->entry.position,
                           .record = w->record,
                           .added_ms = clk_unix_ms(call->service->o.clk)};
    sync_leaf_t leaf = {.position = w->entry.position};
    const char *object = NULL, *subject = NULL;
    bytes_put(leaf.region, call->region.region);
    memcpy(leaf.head, w->head, SYNC_HASH);
    TRY(log_append(call, conn, &leaf, &row));
    TRY(db_sync_entry_add(conn, &row));
    TRY(put_devices(w, conn));
    TRY(call_object(call, &object));
    TRY(call_hex(call, BYTES_ARRAY(w->entry.subject), &subject));
    char place[24];
    (void)snprintf(place, sizeof place, "%llu", (unsigned long long)w->entry.position);
    return audit_note(call->service->o.audit, conn, call->actor, "sync.chain", object, "kind",
                      sync_chain_kind_name(w->entry.kind), "position", place, "device", subject,
                      NULL);
}

/* ---- a new region ---- */

static err_t *create_fn(db_conn_t *conn, void *arg) {
    entry_t *w = arg;
    sync_call_t *call = w->call;
    db_sync_region_t *rows = NULL;
    size_t n = 0;
    TRY(db_sync_region_of_person(conn, call->arena, call->person.id, LIMIT_SYNC_REGIONS, &rows,
                                 &n));
    if (n >= LIMIT_SYNC_REGIONS)
        return sync_no(call, SYNC_WORD_LIMIT, "a person may be in %d regions", LIMIT_SYNC_REGIONS);
    TRY(db_sync_region_add(conn, &call->region, &call->region.seq));
    return put_entry(w, conn);
}

static err_t *find_fn(db_conn_t *conn, void *arg) {
    sync_call_t *call = arg;
    bytes_t region = call->region.region;
    return call_region(call, conn, region.p);
}

/* Whose card it is must be who asks: nobody makes regions for others. */
static err_t *check_owner(sync_call_t *call, const sync_chain_t *chain) {
    const sync_device_t *devices = NULL;
    if (sync_chain_devices(chain, &devices) != 1) return err_new(ERR_INTERNAL, "no first device");
    const char *person = devices[0].card.person;
    if (strcmp(person, call->person.id) != 0 && strcmp(person, call->person.email) != 0)
        return sync_no(call, SYNC_WORD_PERSON, "the card is of %.128s", person);
    if (!call->policy.may_sync) return sync_no(call, SYNC_WORD_POLICY, "you may not sync");
    return NULL;
}

static err_t *policy_fn(db_conn_t *conn, void *arg) {
    sync_call_t *call = arg;
    return call_policy(call, conn, &call->person, NULL, &call->policy);
}

err_t *sync_region_create(sync_call_t *call, bytes_t record, uint8_t ret_region[SYNC_HASH],
                          bool *ret_new) {
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    sync_chain_head_t head;
    entry_t w = {.call = call, .record = record};
    if (!call->person.id[0])
        return sync_no(call, SYNC_WORD_PERSON, "a region is a person's: use a person's token");
    TRY(db_read(call->service->o.db, policy_fn, call));
    TRY(sync_chain_new(&chain));
    err_t *e = sync_chain_entry_parse(record, &w.entry);
    if (!e) e = sync_chain_append(chain, record);
    if (e) {
        sync_word_t word = sync_word_entry(&w.entry, chain, err_code(e));
        err_free(e);
        return sync_no(call, word, "this does not begin a region");
    }
    TRY(check_owner(call, chain));
    TRY(sync_chain_head(chain, &head));
    w.chain = chain;
    memcpy(w.head, head.head, SYNC_HASH);
    call->region = (db_sync_region_t){.region = BYTES_ARRAY(head.region),
                                      .person_id = call->person.id,
                                      .created_ms = clk_unix_ms(call->service->o.clk),
                                      .entries = 1,
                                      .root_hash = BYTES_NONE};
    TRY(arena_copy(call->arena, BYTES_ARRAY(head.region), &call->region.region));
    e = db_write(call->service->o.db, create_fn, &w);
    bool there = e && err_code(e) == ERR_EXISTS && !call->word;
    if (there) {
        err_free(e);
        e = db_read(call->service->o.db, find_fn, call);
    }
    if (e) return e;
    *ret_new = !there;
    memcpy(ret_region, head.region, SYNC_HASH);
    return NULL;
}

/* ---- the chain goes on ---- */

static err_t *append_fn(db_conn_t *conn, void *arg) {
    entry_t *w = arg;
    bool changed = false;
    TRY(db_sync_region_grow(conn, w->call->region.seq, (int64_t)w->entry.position, &changed));
    if (!changed) return err_new(ERR_BUSY, "the device chain went on");
    return put_entry(w, conn);
}

typedef struct {
    sync_call_t *call;
    int64_t from;
    size_t limit;
    db_sync_entry_t *rows;
    size_t n;
} read_t;

static err_t *read_fn(db_conn_t *conn, void *arg) {
    read_t *r = arg;
    bytes_t region = r->call->region.region;
    TRY(call_region(r->call, conn, region.p));
    return db_sync_entry_list(conn, r->call->arena, r->call->region.seq, r->from, r->limit,
                              &r->rows, &r->n);
}

/* An entry for a place that is taken: the very one that is there, or a lost race. */
static err_t *taken(entry_t *w, bool *ret_new) {
    read_t at = {.call = w->call, .from = (int64_t)w->entry.position, .limit = 1};
    TRY(db_read(w->call->service->o.db, read_fn, &at));
    if (at.n && bytes_eq(at.rows[0].record, w->record)) {
        *ret_new = false;
        return NULL;
    }
    read_t last = {.call = w->call, .from = w->call->region.entries - 1, .limit = 1};
    TRY(db_read(w->call->service->o.db, read_fn, &last));
    if (last.n) w->call->current = last.rows[0].record;
    return sync_no(w->call, SYNC_WORD_NEWER, "entry %llu is taken",
                   (unsigned long long)w->entry.position);
}

static err_t *append_once(entry_t *w, bool *ret_new) {
    sync_call_t *call = w->call;
    CLEANUP(chain_lock_done) chain_lock_t lock = {call->service, NULL, false};
    sync_chain_head_t head;
    TRY(db_read(call->service->o.db, find_fn, call));
    if (w->entry.position < (uint64_t)call->region.entries) return taken(w, ret_new);
    TRY(chain_open(call, &lock.held));
    if (w->entry.position < sync_chain_count(lock.held->chain))
        return err_new(ERR_BUSY, "the device chain went on");
    err_t *e = sync_chain_append(lock.held->chain, w->record);
    if (e) {
        sync_word_t word = sync_word_entry(&w->entry, lock.held->chain, err_code(e));
        char text[200];
        (void)err_text(e, text, sizeof text);
        err_free(e);
        return sync_no(call, word, "%s", text);
    }
    lock.drop = true;
    TRY(sync_chain_head(lock.held->chain, &head));
    w->chain = lock.held->chain;
    memcpy(w->head, head.head, SYNC_HASH);
    TRY(db_write(call->service->o.db, append_fn, w));
    lock.drop = false;
    *ret_new = true;
    return NULL;
}

err_t *sync_chain_write(sync_call_t *call, bytes_t record, bool *ret_new) {
    entry_t w = {.call = call, .record = record};
    err_t *e = sync_chain_entry_parse(record, &w.entry);
    if (e) {
        sync_word_t word = sync_word_parse(record, err_code(e));
        err_free(e);
        return sync_no(call, word, "not an entry of a device chain");
    }
    if (memcmp(w.entry.author, call->device, SYNC_HASH) != 0)
        return sync_no(call, SYNC_WORD_AUTHOR, "the entry is of another device");
    unsigned tries = 0;
    do {
        e = append_once(&w, ret_new);
    } while (call_again(&e, &tries));
    if (e || !*ret_new) return e;
    call_changed(call, call->region.root, call->region.entries + 1, call->region.joins);
    return NULL;
}

err_t *sync_chain_read(sync_call_t *call, int64_t from, buf_t *out) {
    read_t r = {.call = call, .from = from, .limit = READ_ENTRIES};
    if (!call->is_device && !call->reader && !call->related)
        return sync_no(call, SYNC_WORD_PERSON, "none of your devices is in this region");
    TRY(db_read(call->service->o.db, read_fn, &r));
    for (size_t i = 0; i < r.n; i++) TRY(wire_put_bytes(out, r.rows[i].record));
    return NULL;
}

/* ---- lists ---- */

typedef struct {
    sync_call_t *call;
    int64_t after;
    db_sync_region_t *rows;
    size_t n;
} list_t;

static err_t *list_fn(db_conn_t *conn, void *arg) {
    list_t *l = arg;
    if (l->call->person.id[0] && !(l->call->reader && l->after >= 0))
        return db_sync_region_of_person(conn, l->call->arena, l->call->person.id,
                                        LIMIT_SYNC_REGIONS, &l->rows, &l->n);
    return db_sync_region_list(conn, l->call->arena, l->after, LIMIT_LIST_PAGE, &l->rows, &l->n);
}

err_t *sync_region_list(sync_call_t *call, int64_t after, db_sync_region_t **ret_rows,
                        size_t *ret_count) {
    list_t l = {.call = call, .after = after};
    if (!call->person.id[0] && !call->reader)
        return sync_no(call, SYNC_WORD_PERSON, "use a person's token");
    TRY(db_read(call->service->o.db, list_fn, &l));
    *ret_rows = l.rows;
    *ret_count = l.n;
    return NULL;
}
