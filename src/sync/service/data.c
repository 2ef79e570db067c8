/*
 * Data packages, part by part: see service.h. A part is a blob; its Merkle leaves are kept, so that
 * a package's root is known at the end without reading anything again. Worker threads.
 */
#include <stdio.h>

#include "store/sync_data.h"
#include "store/sync_packages.h"
#include "sync/service/service_internal.h"

typedef struct {
    sync_call_t *call;
    bytes_t root;
    uint64_t size;
    db_sync_part_t part;
    db_sync_data_t data;
    bool found, is_new;
} put_t;

static int64_t now_ms(const sync_call_t *call) { return service_age_ms(call->service); }

/* ---- quotas ---- */

static err_t *quota_of(sync_call_t *call, db_conn_t *conn, int64_t *ret_used, int64_t *ret_quota) {
    db_person_t person;
    sync_policy_t policy;
    bool found = false;
    TRY(db_sync_region_used_by(conn, call->region.person_id, ret_used));
    TRY(db_sync_quota_get(conn, call->region.person_id, ret_quota, &found));
    if (found) return NULL;
    TRY(db_people_by_id(conn, call->arena, call->region.person_id, &person, &found));
    if (!found) return sync_no(call, SYNC_WORD_DISABLED, "the region's person is gone");
    TRY(call_policy(call, conn, &person, NULL, &policy));
    *ret_quota = policy.quota;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    int64_t used, quota;
} used_t;

static err_t *used_fn(db_conn_t *conn, void *arg) {
    used_t *u = arg;
    return quota_of(u->call, conn, &u->used, &u->quota);
}

err_t *sync_used(sync_call_t *call, int64_t *ret_used, int64_t *ret_quota) {
    used_t u = {.call = call};
    TRY(db_read(call->service->o.db, used_fn, &u));
    *ret_used = u.used;
    *ret_quota = u.quota;
    return NULL;
}

static err_t *check_quota(sync_call_t *call, db_conn_t *conn, uint64_t more) {
    int64_t used = 0, quota = 0;
    TRY(quota_of(call, conn, &used, &quota));
    if (quota && (used > quota || more > (uint64_t)(quota - used)))
        return sync_no(call, SYNC_WORD_QUOTA, "%lld of %lld bytes are used", (long long)used,
                       (long long)quota);
    return NULL;
}

/* ---- parts ---- */

static err_t *look_fn(db_conn_t *conn, void *arg) {
    put_t *p = arg;
    sync_call_t *call = p->call;
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, p->root, &p->data, &p->found));
    if (!p->found) return check_quota(call, conn, p->size);
    if (p->data.size != (int64_t)p->size)
        return sync_no(call, SYNC_WORD_SIZE, "the package was begun with %lld bytes",
                       (long long)p->data.size);
    db_sync_part_t there;
    bool found = false;
    TRY(db_sync_part_find(conn, call->arena, p->data.seq, p->part.part, &there, &found));
    p->is_new = !found || !bytes_eq(there.blob_id, p->part.blob_id);
    return NULL;
}

/* A part that is there and another one: whoever came last is right until a package says more. */
static err_t *note_part(put_t *p, db_conn_t *conn) {
    sync_call_t *call = p->call;
    int64_t packages = 0;
    bool is_new = false, replaced = false;
    TRY(db_sync_package_of_root(conn, call->region.seq, p->root, &packages));
    if (packages && p->data.held >= (int64_t)sync_parts(p->size)) return NULL;
    TRY(db_sync_part_drop(conn, p->data.seq, p->part.part, p->part.blob_id, &replaced));
    TRY(db_sync_part_add(conn, call->region.seq, p->root, p->data.seq, &p->part, &is_new));
    if (!is_new || replaced) return NULL;
    return db_sync_data_grew(conn, p->data.seq, now_ms(call));
}

static err_t *put_fn(db_conn_t *conn, void *arg) {
    put_t *p = arg;
    sync_call_t *call = p->call;
    bool found = false;
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, p->root, &p->data, &found));
    if (!found) {
        TRY(check_quota(call, conn, p->size));
        p->data = (db_sync_data_t){.region_seq = call->region.seq,
                                   .root = p->root,
                                   .size = (int64_t)p->size,
                                   .since_ms = now_ms(call)};
        TRY(db_sync_data_add(conn, &p->data, &p->data.seq));
        TRY(db_sync_region_use(conn, call->region.seq, p->data.size));
    }
    if (p->data.size != (int64_t)p->size)
        return sync_no(call, SYNC_WORD_SIZE, "the package was begun with %lld bytes",
                       (long long)p->data.size);
    return note_part(p, conn);
}

/* Each chunk is a leaf, and so is the header before the first. */
static err_t *find_leaves(put_t *p, bytes_t content) {
    uint8_t *leaves = NULL;
    size_t n = 0;
    TRY(arena_alloc(p->call->arena, (SYNC_PART_CHUNKS + 1) * SYNC_HASH, &leaves));
    if (p->part.part == 0) {
        TRY(merkle_leaf(p->part.header, leaves));
        content = bytes_from(content, SYNC_HEADER);
        n = 1;
    }
    for (; content.n; n++) {
        bytes_t chunk = bytes_slice(content, 0, SYNC_SEALED_CHUNK);
        TRY(merkle_leaf(chunk, leaves + n * SYNC_HASH));
        content = bytes_from(content, chunk.n);
    }
    p->part.leaves = bytes_make(leaves, n * SYNC_HASH);
    return NULL;
}

static err_t *check_header(const put_t *p) {
    sync_header_t header;
    if (p->part.part) return NULL;
    err_t *e = sync_header_parse(p->part.header, &header);
    if (e) {
        err_free(e);
        return sync_no(p->call, SYNC_WORD_MALFORMED, "a package does not begin so");
    }
    if (memcmp(header.id.region, p->call->region.region.p, SYNC_HASH) != 0)
        return sync_no(p->call, SYNC_WORD_REGION, "data of another region");
    return NULL;
}

/* What a disk or a quorum lacks is the service's own trouble; that its disks are full has a word.
 * The leaves are hashed while the disk writes; what is said of the part is one transaction. */
static err_t *store_blob(put_t *p, const blob_id_t *id, bytes_t content) {
    CLEANUP(blob_put_free) blob_put_t *put = NULL;
    err_t *e = blobs_put_begin(p->call->service->o.blobs, id, content, &put);
    if (!e) e = find_leaves(p, content);
    if (!e && put) e = blob_put_end_with(put, put_fn, p);
    else if (!e) e = db_write(p->call->service->o.db, put_fn, p);
    if (e && err_code(e) == ERR_FULL && !p->call->word) p->call->word = SYNC_WORD_FULL;
    return e;
}

err_t *sync_part_put(sync_call_t *call, const uint8_t root[SYNC_HASH], uint32_t part, uint64_t size,
                     bytes_t content, const uint8_t sha256[SYNC_HASH], bool *ret_new) {
    uint64_t offset = 0, part_size = 0;
    blob_id_t id;
    put_t p = {.call = call, .root = bytes_make(root, SYNC_HASH), .size = size, .is_new = true};
    p.part.part = part;
    if (!(call->roles & SYNC_WRITE)) return sync_no(call, SYNC_WORD_ROLE, "the device only reads");
    if (!sync_part(size, part, &offset, &part_size) || content.n != part_size)
        return sync_no(call, SYNC_WORD_SIZE, "part %u of %llu bytes has %llu, not %zu", part,
                       (unsigned long long)size, (unsigned long long)part_size, content.n);
    memcpy(id.bytes, sha256, sizeof id.bytes);
    p.part.blob_id = blob_id_bytes(&id);
    TRY(db_read(call->service->o.db, look_fn, &p));
    if (p.found && !p.is_new) {
        *ret_new = false;
        return NULL;
    }
    if (part == 0) p.part.header = bytes_slice(content, 0, SYNC_HEADER);
    TRY(check_header(&p));
    TRY(store_blob(&p, &id, content));
    *ret_new = true;
    return NULL;
}

/* ---- what is held ---- */

typedef struct {
    sync_call_t *call;
    bytes_t root;
    bytes_t roots;
    buf_t *out;
    bool found;
    db_sync_data_t data;
    db_sync_part_t *parts;
    size_t n;
    db_sync_data_state_t state;
    bool want_parts, want_state;
} look_t;

static err_t *held_fn(db_conn_t *conn, void *arg) {
    look_t *l = arg;
    sync_call_t *call = l->call;
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, l->root, &l->data, &l->found));
    if (!l->found) return NULL;
    if (l->want_parts) TRY(db_sync_part_list(conn, call->arena, l->data.seq, &l->parts, &l->n));
    return l->want_state ? db_sync_data_state(conn, l->data.seq, &l->state) : NULL;
}

static sync_held_t held_of(const look_t *l) {
    return (sync_held_t){.size = (uint64_t)l->data.size,
                         .parts = sync_parts((uint64_t)l->data.size),
                         .held = (uint32_t)l->data.held,
                         .replicas = l->state.replicas,
                         .verified_ms = l->state.verified_ms};
}

err_t *sync_data_parts(sync_call_t *call, const uint8_t root[SYNC_HASH], sync_held_t *ret_held) {
    look_t l = {.call = call, .root = bytes_make(root, SYNC_HASH), .want_parts = true};
    TRY(db_read(call->service->o.db, held_fn, &l));
    if (!l.found) return sync_no(call, SYNC_WORD_ABSENT, "nothing of this package is here");
    sync_held_t held = held_of(&l);
    TRY(arena_alloc(call->arena, (l.n + 1) * sizeof *held.list, &held.list));
    for (size_t i = 0; i < l.n; i++) held.list[i] = (uint32_t)l.parts[i].part;
    held.held = (uint32_t)l.n;
    *ret_held = held;
    return NULL;
}

err_t *sync_data_status(sync_call_t *call, bytes_t roots, size_t index, sync_held_t *ret_held,
                        bool *ret_found) {
    look_t l = {
        .call = call, .root = bytes_slice(roots, index * SYNC_HASH, SYNC_HASH), .want_state = true};
    TRY(db_read(call->service->o.db, held_fn, &l));
    *ret_found = l.found;
    if (l.found) *ret_held = held_of(&l);
    return NULL;
}

static err_t *check_ids(sync_call_t *call, bytes_t ids) {
    if (ids.n % SYNC_HASH) return sync_no(call, SYNC_WORD_MALFORMED, "ids have 32 bytes each");
    if (ids.n / SYNC_HASH > LIMIT_SYNC_ASKED)
        return sync_no(call, SYNC_WORD_LIMIT, "more than %d ids", LIMIT_SYNC_ASKED);
    return NULL;
}

static err_t *missing_fn(db_conn_t *conn, void *arg) {
    look_t *l = arg;
    for (bytes_t rest = l->roots; rest.n; rest = bytes_from(rest, SYNC_HASH)) {
        bool found = false;
        l->root = bytes_slice(rest, 0, SYNC_HASH);
        TRY(db_sync_data_find(conn, l->call->arena, l->call->region.seq, l->root, &l->data,
                              &found));
        if (!found || l->data.held < (int64_t)sync_parts((uint64_t)l->data.size))
            TRY(buf_add(l->out, l->root));
    }
    return NULL;
}

err_t *sync_data_missing(sync_call_t *call, bytes_t roots, buf_t *out) {
    look_t l = {.call = call, .roots = roots, .out = out};
    TRY(check_ids(call, roots));
    return db_read(call->service->o.db, missing_fn, &l);
}

size_t sync_data_wanted(const sync_service_t *service) { return blobs_wanted(service->o.blobs); }

/* ---- reading ---- */

typedef struct {
    sync_call_t *call;
    bytes_t root;
    uint64_t from, at; /* at: where the part begins */
    db_sync_data_t data;
    db_sync_part_t part;
    bool found;
} read_t;

static err_t *part_of(uint64_t size, uint64_t from, uint32_t *ret_part, uint64_t *ret_at) {
    uint64_t whole = (uint64_t)SYNC_PART_CHUNKS * SYNC_SEALED_CHUNK, part_size = 0;
    uint64_t part = from < SYNC_HEADER ? 0 : (from - SYNC_HEADER) / whole;
    if (!sync_part(size, (uint32_t)part, ret_at, &part_size))
        return err_new(ERR_INTERNAL, "no part at %llu", (unsigned long long)from);
    *ret_part = (uint32_t)part;
    return NULL;
}

static err_t *read_fn(db_conn_t *conn, void *arg) {
    read_t *r = arg;
    sync_call_t *call = r->call;
    uint32_t part = 0;
    TRY(db_sync_data_find(conn, call->arena, call->region.seq, r->root, &r->data, &r->found));
    if (!r->found) return sync_no(call, SYNC_WORD_ABSENT, "nothing of this package is here");
    if (r->from >= (uint64_t)r->data.size)
        return sync_no(call, SYNC_WORD_RANGE, "the package has %lld bytes",
                       (long long)r->data.size);
    TRY(part_of((uint64_t)r->data.size, r->from, &part, &r->at));
    TRY(db_sync_part_find(conn, call->arena, r->data.seq, part, &r->part, &r->found));
    if (!r->found) return sync_no(call, SYNC_WORD_ABSENT, "part %u is not here yet", part);
    return NULL;
}

static err_t *take(void *arg, bytes_t piece) { return buf_add(arg, piece); }

err_t *sync_data_read(sync_call_t *call, const uint8_t root[SYNC_HASH], uint64_t from, uint64_t to,
                      buf_t *out, uint64_t *ret_size) {
    read_t r = {.call = call, .root = bytes_make(root, SYNC_HASH), .from = from};
    blob_id_t id;
    TRY(db_read(call->service->o.db, read_fn, &r));
    if (r.part.blob_id.n != sizeof id.bytes) return err_new(ERR_INTERNAL, "a blob's id");
    bytes_put(id.bytes, r.part.blob_id);
    err_t *e =
        blobs_get(call->service->o.blobs, &id, from - r.at, to > from ? to - from : 0, take, out);
    /* Whatever became of it, the device did nothing wrong and may come again. */
    if (e) return err_code(e) == ERR_NOMEM ? e : err_recode(e, ERR_UNAVAILABLE);
    *ret_size = (uint64_t)r.data.size;
    return NULL;
}
