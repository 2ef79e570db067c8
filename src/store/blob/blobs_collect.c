/*
 * Garbage collection of blobs, and of objects that belong to none: see blobs.h.
 */
#include "base/mem.h"
#include "store/blob/blobs_internal.h"

/* ---- blobs that nobody needs ---- */

typedef struct {
    const blobs_t *blobs;
    arena_t *arena;
    int64_t now_ms;
    size_t limit;
    db_blob_t *rows;
    size_t n;
} collect_t;

static err_t *mark_fn(db_conn_t *conn, void *arg) {
    collect_t *c = arg;
    int64_t count = 0;
    TRY(db_blob_condemn(conn, c->now_ms - c->blobs->grace_ms, c->now_ms, c->limit, &count));
    TRY(db_blob_give_up(conn, c->now_ms - c->blobs->condemned_ms, c->now_ms, c->limit, &count));
    return db_blob_list_deleting(conn, c->arena, BYTES_NONE, c->limit, &c->rows, &c->n);
}

typedef struct {
    bytes_t id;
    int64_t incarnation;
} gone_t;

static err_t *gone_fn(db_conn_t *conn, void *arg) {
    const gone_t *gone = arg;
    bool changed = false;
    return db_blob_deleted(conn, gone->id, gone->incarnation, &changed);
}

/* From every store; one that is away keeps the blob's row for another time. */
static err_t *remove_blob(blobs_t *blobs, const db_blob_t *row, blobs_work_t *work) {
    blob_id_t id;
    char name[BLOB_OBJECT_NAME];
    if (row->id.n != BLOB_ID) return err_new(ERR_INTERNAL, "a blob's id of %zu bytes", row->id.n);
    memcpy(id.bytes, row->id.p, BLOB_ID);
    (void)blob_object_name(&id, (uint64_t)row->incarnation, name);
    err_t *failure = NULL;
    for (size_t i = 0; i < blobs->stores_n; i++) {
        err_t *e = blobs_away(blobs, i)
                       ? err_new(ERR_UNAVAILABLE, "store %s is away", blobs->stores[i]->name)
                       : blob_store_remove(blobs->stores[i], name);
        if (!e) work->removed++;
        blobs_note(blobs, i, e);
        err_free(failure ? e : NULL);
        if (!failure) failure = e;
    }
    if (failure) return failure;
    gone_t gone = {row->id, row->incarnation};
    return db_write(blobs->db, gone_fn, &gone);
}

err_t *blobs_collect(blobs_t *blobs, size_t limit, blobs_work_t *work) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(BLOBS_ARENA, &arena));
    collect_t c = {
        .blobs = blobs, .arena = arena, .now_ms = clk_unix_ms(blobs->clk), .limit = limit};
    TRY(db_write(blobs->db, mark_fn, &c));
    err_t *failure = NULL;
    for (size_t i = 0; i < c.n; i++) {
        err_t *e = remove_blob(blobs, &c.rows[i], work);
        err_free(failure ? e : NULL);
        if (!failure) failure = e;
    }
    return failure;
}

/* ---- objects that belong to no blob ---- */

typedef struct {
    char name[BLOB_OBJECT_NAME];
    int64_t modified;
    bool wanted;
} found_t;

typedef struct {
    blobs_t *blobs;
    const char *store;
    arena_t *arena;
    const char *from;
    char last[BLOB_OBJECT_NAME];
    found_t *found;
    size_t n;
    int64_t now_ms;
} sweep_t;

static err_t *take(void *arg, const blob_entry_t *entry) {
    sweep_t *sweep = arg;
    if (sweep->n == LIMIT_BLOB_PAGE) return err_new(ERR_LIMIT, "a page with too many objects");
    found_t *found = &sweep->found[sweep->n++];
    *found = (found_t){.modified = entry->modified};
    memcpy(found->name, entry->name, BLOB_OBJECT_NAME);
    return NULL;
}

static err_t *place_fn(db_conn_t *conn, void *arg) {
    sweep_t *sweep = arg;
    bool found = false;
    sweep->from = "";
    return db_blob_place_find(conn, sweep->arena, sweep->store, &sweep->from, &found);
}

/* A blob's row is on disk before its first object is: an object without one never gets one. */
static err_t *wanted_fn(db_conn_t *conn, void *arg) {
    sweep_t *sweep = arg;
    for (size_t i = 0; i < sweep->n; i++) {
        blob_id_t id;
        uint64_t incarnation = 0;
        db_blob_t row;
        bool found = false;
        if (!blob_object_parse(bytes_str(sweep->found[i].name), &id, &incarnation)) continue;
        TRY(db_blob_find(conn, sweep->arena, blob_id_bytes(&id), &row, &found));
        sweep->found[i].wanted = found && (uint64_t)row.incarnation == incarnation;
    }
    return NULL;
}

static err_t *swept_fn(db_conn_t *conn, void *arg) {
    const sweep_t *sweep = arg;
    return db_blob_place_swept(conn, sweep->store, sweep->last, sweep->now_ms);
}

static err_t *sweep_page(sweep_t *sweep, blob_store_t *store, blobs_work_t *work, bool *ret_more) {
    TRY(db_read(sweep->blobs->db, place_fn, sweep));
    TRY(blob_store_list(store, "", sweep->from, LIMIT_BLOB_PAGE, take, sweep, ret_more));
    TRY(db_read(sweep->blobs->db, wanted_fn, sweep));
    int64_t before = (sweep->now_ms - sweep->blobs->orphan_ms) / 1000;
    for (size_t i = 0; i < sweep->n; i++) {
        if (sweep->found[i].wanted || sweep->found[i].modified >= before) continue;
        TRY(blob_store_remove(store, sweep->found[i].name));
        work->removed++;
    }
    if (*ret_more && sweep->n == 0) return err_new(ERR_INVALID, "an empty page, and more");
    if (*ret_more) memcpy(sweep->last, sweep->found[sweep->n - 1].name, BLOB_OBJECT_NAME);
    return db_write(sweep->blobs->db, swept_fn, sweep);
}

static err_t *sweep_store(blobs_t *blobs, size_t place, blobs_work_t *work, bool *ret_more) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(BLOBS_ARENA, &arena));
    sweep_t sweep = {.blobs = blobs,
                     .store = blobs->stores[place]->name,
                     .arena = arena,
                     .now_ms = clk_unix_ms(blobs->clk)};
    TRY(arena_alloc(arena, LIMIT_BLOB_PAGE * sizeof sweep.found[0], &sweep.found));
    err_t *e = sweep_page(&sweep, blobs->stores[place], work, ret_more);
    blobs_note(blobs, place, e);
    return e;
}

err_t *blobs_sweep(blobs_t *blobs, blobs_work_t *work, bool *ret_done) {
    err_t *failure = NULL;
    bool done = true;
    for (size_t i = 0; i < blobs->stores_n; i++) {
        bool more = false;
        err_t *e = sweep_store(blobs, i, work, &more);
        done = done && !more;
        err_free(failure ? e : NULL);
        if (!failure) failure = e;
    }
    TRY(failure);
    *ret_done = done;
    return NULL;
}
