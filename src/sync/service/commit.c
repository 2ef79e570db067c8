/*
 * Packages and roots: see service.h. "New files commit last": a package is taken when its data is
 * here and is what it signs, a root when everything that it adds is. The swap of the root, the
 * change of what is alive and the audit note are one transaction. Worker threads.
 */
#include <stdio.h>

#include "audit/note.h"
#include "store/sync_data.h"
#include "store/sync_packages.h"
#include "sync/service/service_internal.h"

static int64_t now_ms(const sync_call_t *call) { return service_age_ms(call->service); }

/* ---- packages ---- */

typedef struct {
    bytes_t record;
    sync_package_t package;
    uint8_t id[SYNC_HASH];
    bool held; /* its data is */
    sync_header_t header;
    uint8_t root[SYNC_HASH]; /* of the data that is here */
} item_t;

typedef struct {
    sync_call_t *call;
    item_t *items;
    size_t n;
    bool is_new;
} packages_t;

static err_t *parse_item(sync_call_t *call, bytes_t record, item_t *item) {
    err_t *e = sync_package_parse(record, &item->package);
    if (e) {
        sync_word_t word = sync_word_parse(record, err_code(e));
        err_free(e);
        return sync_no(call, word, "not a signature package");
    }
    item->record = record;
    if (memcmp(item->package.device, call->device, SYNC_HASH) != 0)
        return sync_no(call, SYNC_WORD_AUTHOR, "the package is of another device");
    return sync_package_id(&item->package, item->id);
}

/* The root of what is here, from the leaves that were kept of each part. */
static err_t *find_root(item_t *item, const db_sync_part_t *parts, size_t n) {
    merkle_t merkle;
    merkle_init(&merkle);
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at + MERKLE_HASH <= parts[i].leaves.n; at += MERKLE_HASH)
            TRY(merkle_add(&merkle, parts[i].leaves.p + at));
    TRY(merkle_root(&merkle, item->root));
    return sync_header_parse(parts[0].header, &item->header);
}

static err_t *find_data(sync_call_t *call, db_conn_t *conn, item_t *item) {
    db_sync_data_t data;
    db_sync_part_t *parts = NULL;
    size_t n = 0;
    item->held = false;
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, BYTES_ARRAY(item->package.root),
                          &data, &item->held));
    if (!item->held) return NULL;
    item->held = data.size == (int64_t)item->package.size;
    if (!item->held) return NULL;
    TRY(db_sync_part_list(conn, call->arena, data.seq, &parts, &n));
    item->held = n > 0 && n == sync_parts(item->package.size) && parts[0].part == 0;
    return item->held ? find_root(item, parts, n) : NULL;
}

static err_t *data_fn(db_conn_t *conn, void *arg) {
    packages_t *p = arg;
    const bytes_t region = p->call->region.region;
    TRY(call_region(p->call, conn, region.p));
    for (size_t i = 0; i < p->n; i++) TRY(find_data(p->call, conn, &p->items[i]));
    return NULL;
}

static err_t *admit_item(sync_call_t *call, const sync_chain_t *chain, const item_t *item) {
    if (!item->held) {
        /* A package that could never be taken says so first. */
        sync_header_t none = {.id = {.suite = item->package.suite}};
        sync_word_t word = sync_word_package(&item->package, chain, &none, item->package.root);
        if (word && word != SYNC_WORD_HEADER)
            return sync_no(call, word, "the package does not hold");
        return sync_no(call, SYNC_WORD_DATA, "the package's data is not here");
    }
    err_t *e = sync_package_admit(&item->package, chain, &item->header, item->root);
    if (!e || err_code(e) == ERR_NOMEM || err_code(e) == ERR_INTERNAL) return e;
    char text[200];
    (void)err_text(e, text, sizeof text);
    err_free(e);
    return sync_no(call, sync_word_package(&item->package, chain, &item->header, item->root), "%s",
                   text);
}

static err_t *admit_items(packages_t *p) {
    CLEANUP(chain_lock_done) chain_lock_t lock = {p->call->service, NULL, false};
    TRY(db_read(p->call->service->o.db, data_fn, p));
    TRY(chain_open(p->call, &lock.held));
    for (size_t i = 0; i < p->n; i++) TRY(admit_item(p->call, lock.held->chain, &p->items[i]));
    return NULL;
}

static err_t *put_fn(db_conn_t *conn, void *arg) {
    packages_t *p = arg;
    sync_call_t *call = p->call;
    TRY(call_same_chain(call, conn));
    for (size_t i = 0; i < p->n; i++) {
        const item_t *item = &p->items[i];
        db_sync_data_t data;
        bool found = false, is_new = false;
        TRY(db_sync_data_find(conn, call->arena, call->region.seq, BYTES_ARRAY(item->package.root),
                              &data, &found));
        if (!found) return err_new(ERR_BUSY, "the data was dropped meanwhile");
        db_sync_package_t row = {.region_seq = call->region.seq,
                                 .package = BYTES_ARRAY(item->id),
                                 .root = BYTES_ARRAY(item->package.root),
                                 .size = (int64_t)item->package.size,
                                 .record = item->record,
                                 .state = DB_SYNC_PUT,
                                 .since_ms = now_ms(call)};
        TRY(db_sync_package_put(conn, &row, &is_new));
        p->is_new = p->is_new || is_new;
    }
    return NULL;
}

err_t *sync_packages_put(sync_call_t *call, const bytes_t *records, size_t n, buf_t *ret_ids,
                         bool *ret_new) {
    packages_t p = {.call = call, .n = n};
    unsigned tries = 0;
    err_t *e = NULL;
    if (n > LIMIT_SYNC_PACKAGES)
        return sync_no(call, SYNC_WORD_LIMIT, "more than %d packages", LIMIT_SYNC_PACKAGES);
    TRY(arena_alloc(call->arena, (n + 1) * sizeof *p.items, &p.items));
    for (size_t i = 0; i < n; i++) TRY(parse_item(call, records[i], &p.items[i]));
    do {
        e = admit_items(&p);
        if (!e) e = db_write(call->service->o.db, put_fn, &p);
    } while (call_again(&e, &tries));
    if (e) return e;
    for (size_t i = 0; i < n; i++) TRY(buf_add(ret_ids, BYTES_ARRAY(p.items[i].id)));
    *ret_new = p.is_new;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    bytes_t ids;
    buf_t *out;
    bool one;
} get_t;

static err_t *get_fn(db_conn_t *conn, void *arg) {
    const get_t *g = arg;
    for (bytes_t rest = g->ids; rest.n; rest = bytes_from(rest, SYNC_HASH)) {
        db_sync_package_t row;
        bool found = false;
        TRY(db_sync_package_find(conn, g->call->arena, g->call->region.seq,
                                 bytes_slice(rest, 0, SYNC_HASH), &row, &found));
        if (g->one && !found) return sync_no(g->call, SYNC_WORD_ABSENT, "there is no such package");
        if (g->one) return buf_add(g->out, row.record);
        TRY(wire_put_bytes(g->out, found ? row.record : BYTES_NONE));
        if (g->out->n > LIMIT_SYNC_ANSWER) return NULL;
    }
    return NULL;
}

err_t *sync_package_read(sync_call_t *call, const uint8_t id[SYNC_HASH], buf_t *out) {
    get_t g = {call, bytes_make(id, SYNC_HASH), out, true};
    return db_read(call->service->o.db, get_fn, &g);
}

err_t *sync_packages_read(sync_call_t *call, bytes_t ids, buf_t *out) {
    get_t g = {call, ids, out, false};
    if (ids.n % SYNC_HASH) return sync_no(call, SYNC_WORD_MALFORMED, "ids have 32 bytes each");
    if (ids.n / SYNC_HASH > LIMIT_SYNC_ASKED)
        return sync_no(call, SYNC_WORD_LIMIT, "more than %d ids", LIMIT_SYNC_ASKED);
    return db_read(call->service->o.db, get_fn, &g);
}

/* ---- roots ---- */

typedef struct {
    sync_call_t *call;
    bytes_t record, change_record;
    sync_root_t root;
    sync_change_t change;
    uint8_t hash[SYNC_HASH];
    int64_t now_ms;
    uint8_t *missing; /* room for LIMIT_SYNC_MISSING ids */
    size_t missing_n;
} swap_t;

static err_t *parse_root(sync_call_t *call, bytes_t body, swap_t *s) {
    wire_reader_t r = wire_reader(body);
    TRY(wire_get_bytes(&r, SYNC_ROOT_MAX, &s->record));
    TRY(wire_get_bytes(&r, body.n, &s->change_record));
    TRY(wire_done(&r));
    TRY(sync_root_parse(s->record, &s->root));
    (void)call;
    return sync_root_hash(&s->root, s->hash);
}

static void note_missing(swap_t *s, bytes_t id) {
    if (s->missing_n == LIMIT_SYNC_MISSING) return;
    bytes_put(s->missing + s->missing_n * SYNC_HASH, id);
    s->missing_n++;
}

/* What comes into the tree must be here; what goes must be in it. */
static err_t *move_packages(swap_t *s, db_conn_t *conn) {
    int64_t seq = s->call->region.seq;
    bytes_t rest;
    for (rest = s->change.added; rest.n; rest = bytes_from(rest, SYNC_HASH)) {
        bytes_t id = bytes_slice(rest, 0, SYNC_HASH);
        bool changed = false;
        int64_t state = 0;
        TRY(db_sync_package_enter(conn, seq, id, s->now_ms, &changed));
        if (changed) continue;
        TRY(db_sync_package_state(conn, seq, id, &state));
        if (state) return sync_no(s->call, SYNC_WORD_CHANGE, "it adds what is in the tree already");
        note_missing(s, id);
    }
    for (rest = s->change.dropped; rest.n; rest = bytes_from(rest, SYNC_HASH)) {
        bool changed = false;
        TRY(db_sync_package_drop(conn, seq, bytes_slice(rest, 0, SYNC_HASH), s->now_ms, &changed));
        if (!changed) return sync_no(s->call, SYNC_WORD_CHANGE, "it drops what is not in the tree");
    }
    return NULL;
}

static err_t *check_whole(swap_t *s, db_conn_t *conn) {
    int64_t state = 0;
    TRY(db_sync_package_state(conn, s->call->region.seq, BYTES_ARRAY(s->root.folder), &state));
    if (state != DB_SYNC_LIVE) note_missing(s, BYTES_ARRAY(s->root.folder));
    if (!s->missing_n) return NULL;
    s->call->missing = bytes_make(s->missing, s->missing_n * SYNC_HASH);
    return sync_no(s->call, SYNC_WORD_MISSING, "packages of this root are not here");
}

static err_t *note_commit(swap_t *s, db_conn_t *conn) {
    const char *object = NULL;
    char counter[24], added[24], dropped[24];
    (void)snprintf(counter, sizeof counter, "%llu", (unsigned long long)s->root.counter);
    (void)snprintf(added, sizeof added, "%zu", s->change.added.n / SYNC_HASH);
    (void)snprintf(dropped, sizeof dropped, "%zu", s->change.dropped.n / SYNC_HASH);
    TRY(call_object(s->call, &object));
    return audit_note(s->call->service->o.audit, conn, s->call->actor, "sync.commit", object,
                      "root", counter, "added", added, "dropped", dropped, NULL);
}

static err_t *swap_fn(db_conn_t *conn, void *arg) {
    swap_t *s = arg;
    sync_call_t *call = s->call;
    bool changed = false;
    s->missing_n = 0;
    s->now_ms = now_ms(call);
    TRY(call_same_chain(call, conn));
    TRY(db_sync_region_root(conn, call->region.seq, (int64_t)s->root.counter, BYTES_ARRAY(s->hash),
                            (int64_t)s->root.position, &changed));
    if (!changed) return err_new(ERR_BUSY, "another root came first");
    TRY(move_packages(s, conn));
    TRY(check_whole(s, conn));
    db_sync_root_t row = {.region_seq = call->region.seq,
                          .counter = (int64_t)s->root.counter,
                          .record = s->record,
                          .change = s->change_record,
                          .added_ms = s->now_ms};
    TRY(db_sync_root_add(conn, &row));
    return note_commit(s, conn);
}

typedef struct {
    sync_call_t *call;
    int64_t from;
    buf_t *out;
    bool many, fresh;
    int64_t n;
} roots_t;

static err_t *roots_fn(db_conn_t *conn, void *arg) {
    roots_t *r = arg;
    sync_call_t *call = r->call;
    bytes_t region = call->region.region;
    if (r->fresh) TRY(call_region(call, conn, region.p));
    int64_t from = r->many ? r->from : call->region.root;
    for (int64_t counter = from; counter <= call->region.root; counter++) {
        db_sync_root_t row;
        bool found = false;
        TRY(db_sync_root_find(conn, call->arena, call->region.seq, counter, &row, &found));
        if (!found) return NULL;
        TRY(wire_put_bytes(r->out, row.record));
        TRY(wire_put_bytes(r->out, row.change));
        if (++r->n >= LIMIT_LIST_PAGE || r->out->n > LIMIT_SYNC_ANSWER) return NULL;
    }
    return NULL;
}

err_t *sync_root_read(sync_call_t *call, buf_t *out) {
    roots_t r = {.call = call, .out = out};
    TRY(db_read(call->service->o.db, roots_fn, &r));
    return r.n ? NULL : sync_no(call, SYNC_WORD_ABSENT, "nothing was committed yet");
}

err_t *sync_roots_read(sync_call_t *call, int64_t after, buf_t *out) {
    roots_t r = {.call = call, .out = out, .from = after + 1, .many = true};
    return db_read(call->service->o.db, roots_fn, &r);
}

static err_t *lost(sync_call_t *call) {
    CLEANUP(buf_done) buf_t newest;
    buf_init(&newest, LIMIT_HTTP_RESPONSE);
    roots_t r = {.call = call, .out = &newest};
    TRY(db_read(call->service->o.db, roots_fn, &r));
    TRY(arena_copy(call->arena, buf_bytes(&newest), &call->current));
    return sync_no(call, SYNC_WORD_NEWER, "root %lld is the newest", (long long)call->region.root);
}

static err_t *refresh_fn(db_conn_t *conn, void *arg) {
    sync_call_t *call = arg;
    bytes_t region = call->region.region;
    return call_region(call, conn, region.p);
}

static err_t *admit_root(swap_t *s) {
    sync_call_t *call = s->call;
    CLEANUP(chain_lock_done) chain_lock_t lock = {call->service, NULL, false};
    sync_root_seen_t seen = {.counter = (uint64_t)call->region.root,
                             .position = (uint64_t)call->region.root_position};
    bytes_put(seen.hash, call->region.root_hash);
    TRY(chain_open(call, &lock.held));
    sync_root_seen_t before = seen;
    err_t *e = sync_root_admit(&s->root, lock.held->chain, &seen);
    if (!e || err_code(e) == ERR_NOMEM || err_code(e) == ERR_INTERNAL) return e;
    char text[200];
    (void)err_text(e, text, sizeof text);
    err_free(e);
    return sync_no(call, sync_word_root(&s->root, lock.held->chain, &before), "%s", text);
}

static err_t *swap_once(swap_t *s, bool *ret_new) {
    sync_call_t *call = s->call;
    TRY(db_read(call->service->o.db, refresh_fn, call));
    bool same = bytes_eq(call->region.root_hash, BYTES_ARRAY(s->hash));
    if (same) {
        *ret_new = false;
        return NULL;
    }
    if (s->root.counter <= (uint64_t)call->region.root) {
        /* Who is not allowed to write hears that, not what is newest. */
        if (!(call->roles & SYNC_WRITE)) return sync_no(call, SYNC_WORD_ROLE, "the device reads");
        return lost(call);
    }
    TRY(admit_root(s));
    TRY(db_write(call->service->o.db, swap_fn, s));
    *ret_new = true;
    return NULL;
}

err_t *sync_root_write(sync_call_t *call, bytes_t body, bool *ret_new) {
    swap_t s = {.call = call};
    unsigned tries = 0;
    err_t *e = parse_root(call, body, &s);
    if (e) {
        /* A length that is too long is none. */
        sync_word_t word =
            err_code(e) == ERR_LIMIT ? SYNC_WORD_MALFORMED : sync_word_parse(s.record, err_code(e));
        err_free(e);
        return sync_no(call, word, "not a root and its change");
    }
    if (memcmp(s.root.device, call->device, SYNC_HASH) != 0)
        return sync_no(call, SYNC_WORD_AUTHOR, "the root is of another device");
    e = sync_change_open(&s.root, s.change_record, &s.change);
    if (e) {
        sync_word_t word = err_code(e) == ERR_LIMIT ? SYNC_WORD_LIMIT : SYNC_WORD_CHANGE;
        err_free(e);
        return sync_no(call, word, "the change is not the root's");
    }
    TRY(arena_alloc(call->arena, (size_t)(LIMIT_SYNC_MISSING + 1) * SYNC_HASH, &s.missing));
    do {
        e = swap_once(&s, ret_new);
    } while (call_again(&e, &tries));
    if (e || !*ret_new) return e;
    call_changed(call, (int64_t)s.root.counter, call->region.entries, call->region.joins);
    return NULL;
}
