/*
 * Repair and scrub of replicas: see blobs.h. In steps, on whatever thread does background work;
 * several processes may do so at once: it costs time, and harms nothing.
 */
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "store/blob/blobs_internal.h"
#include "store/blob/disk.h"

enum { SCRUB_PAGE = 64 };

err_t *blobs_read_object(blobs_t *blobs, size_t store, const blob_id_t *id, uint64_t incarnation,
                         buf_t *out) {
    char name[BLOB_OBJECT_NAME];
    (void)blob_object_name(id, incarnation, name);
    buf_clear(out);
    err_t *e = blob_store_get(blobs->stores[store], name, 0, LIMIT_BLOB_OBJECT, out);
    blobs_note(blobs, store, e);
    TRY(e);
    return sealed_check(blobs->keys, id, buf_bytes(out));
}

/* ---- one blob ---- */

/* What was found of one replica. */
typedef struct {
    bool known; /* `state` says something: the store answered */
    bool found_bad;
    db_replica_state_t state;
    bool repaired;
    bool tried;
} finding_t;

typedef struct {
    blobs_t *blobs;
    const blob_id_t *id;
    uint64_t incarnation;
    finding_t findings[LIMIT_BLOB_STORES];
    int64_t now_ms;
    buf_t *object; /* the one just read */
    buf_t intact;  /* the first that was right */
    bool have_intact;
} check_t;

static err_t *note_fn(db_conn_t *conn, void *arg) {
    const check_t *check = arg;
    bytes_t id = blob_id_bytes(check->id);
    int64_t incarnation = (int64_t)check->incarnation;
    for (size_t i = 0; i < check->blobs->stores_n; i++) {
        const finding_t *finding = &check->findings[i];
        const char *store = check->blobs->stores[i]->name;
        if (finding->repaired) {
            db_replica_t row = {.blob_id = id,
                                .store = store,
                                .state = DB_REPLICA_GOOD,
                                .stored_ms = check->now_ms,
                                .tried_ms = check->now_ms};
            TRY(db_replica_put(conn, incarnation, &row));
        } else if (finding->known) {
            TRY(db_replica_seen(conn, id, incarnation, store, finding->state, check->now_ms));
        }
        if (finding->tried) TRY(db_replica_tried(conn, id, store, check->now_ms));
    }
    return NULL;
}

/* The first intact object is kept: what is bad is repaired from it. */
static void keep(check_t *check) {
    if (check->have_intact) return;
    buf_t other = check->intact;
    check->intact = *check->object;
    *check->object = other;
    check->have_intact = true;
}

static void look_at(check_t *check, size_t place, blobs_work_t *work) {
    finding_t *finding = &check->findings[place];
    if (blobs_away(check->blobs, place)) return;
    err_t *e = blobs_read_object(check->blobs, place, check->id, check->incarnation, check->object);
    bool bad = e && err_code(e) == ERR_VERIFY, gone = e && err_code(e) == ERR_NOT_FOUND;
    work->checked++;
    work->bytes += (int64_t)check->object->n;
    finding->known = !e || bad || gone;
    finding->found_bad = bad || gone;
    finding->state = bad ? DB_REPLICA_DAMAGED : gone ? DB_REPLICA_MISSING : DB_REPLICA_GOOD;
    if (finding->found_bad) work->bad++;
    if (!e) keep(check);
    err_free(e);
}

/* Puts an intact object to a store, by way of the spool. */
static err_t *put_object(check_t *check, size_t place, bytes_t object) {
    blobs_t *blobs = check->blobs;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(fd_close) int fd = -1;
    char name[BLOB_OBJECT_NAME];
    blob_source_t source = {.size = object.n};
    (void)blob_object_name(check->id, check->incarnation, name);
    TRY(digest_sha256(object, source.sha256));
    TRY(blob_tmp_make(blobs->spool, &fd, &path));
    (void)unlink(path); /* its descriptor is enough */
    TRY(file_write_fd(fd, object));
    source.fd = fd;
    err_t *e = blob_store_put(blobs->stores[place], name, &source);
    blobs_note(blobs, place, e);
    return e;
}

static void repair_bad(check_t *check, blobs_work_t *work) {
    for (size_t i = 0; i < check->blobs->stores_n; i++) {
        finding_t *finding = &check->findings[i];
        if (!finding->found_bad) continue;
        err_t *e = put_object(check, i, buf_bytes(&check->intact));
        finding->repaired = !e;
        if (!e) work->repaired++;
        err_free(e);
    }
}

/* All stores answered, and none has it. */
static bool is_lost(const check_t *check) {
    for (size_t i = 0; i < check->blobs->stores_n; i++)
        if (!check->findings[i].found_bad) return false;
    return true;
}

err_t *blobs_check(blobs_t *blobs, const blob_id_t *id, uint64_t incarnation, buf_t *object,
                   blobs_work_t *work) {
    check_t check = {.blobs = blobs,
                     .id = id,
                     .incarnation = incarnation,
                     .now_ms = clk_unix_ms(blobs->day),
                     .object = object};
    buf_init(&check.intact, LIMIT_BLOB_OBJECT);
    for (size_t i = 0; i < blobs->stores_n; i++) look_at(&check, i, work);
    if (check.have_intact) repair_bad(&check, work);
    else if (is_lost(&check)) work->lost++;
    /* What could not be seen or repaired comes again later. */
    for (size_t i = 0; i < blobs->stores_n; i++)
        check.findings[i].tried = !check.findings[i].known || check.findings[i].found_bad;
    buf_done(&check.intact);
    return db_write(blobs->db, note_fn, &check);
}

/* ---- what is known to be bad ---- */

typedef struct {
    arena_t *arena;
    bytes_t after;
    int64_t now_ms, before_ms;
    size_t limit;
    db_blob_t *rows;
    size_t n;
} page_t;

static err_t *due_fn(db_conn_t *conn, void *arg) {
    page_t *page = arg;
    return db_replica_due(conn, page->arena, page->before_ms, page->now_ms, page->limit,
                          &page->rows, &page->n);
}

static err_t *check_row(blobs_t *blobs, const db_blob_t *row, buf_t *object, blobs_work_t *work) {
    blob_id_t id;
    if (row->id.n != BLOB_ID) return err_new(ERR_INTERNAL, "a blob's id of %zu bytes", row->id.n);
    memcpy(id.bytes, row->id.p, BLOB_ID);
    return blobs_check(blobs, &id, (uint64_t)row->incarnation, object, work);
}

err_t *blobs_repair(blobs_t *blobs, size_t limit, blobs_work_t *work) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t object;
    buf_init(&object, LIMIT_BLOB_OBJECT);
    TRY(arena_new(BLOBS_ARENA, &arena));
    int64_t now_ms = clk_unix_ms(blobs->day);
    page_t page = {
        .arena = arena, .now_ms = now_ms, .before_ms = now_ms - blobs->retry_ms, .limit = limit};
    TRY(db_read(blobs->db, due_fn, &page));
    for (size_t i = 0; i < page.n; i++) TRY(check_row(blobs, &page.rows[i], &object, work));
    return NULL;
}

/* ---- scrub ---- */

typedef struct {
    arena_t *arena;
    int64_t now_ms;
    db_blob_scrub_t row;
    bool found;
} latest_t;

static err_t *begin_fn(db_conn_t *conn, void *arg) {
    latest_t *latest = arg;
    TRY(db_blob_scrub_latest(conn, latest->arena, &latest->row, &latest->found));
    if (latest->found && latest->row.finished_ms == 0) return NULL;
    return db_blob_scrub_add(conn, latest->found ? latest->row.number + 1 : 1, latest->now_ms);
}

err_t *blobs_scrub_begin(blobs_t *blobs) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(BLOBS_ARENA, &arena));
    latest_t latest = {.arena = arena, .now_ms = clk_unix_ms(blobs->day)};
    return db_write(blobs->db, begin_fn, &latest);
}

typedef struct {
    latest_t latest;
    page_t page;
} step_t;

static err_t *step_fn(db_conn_t *conn, void *arg) {
    step_t *step = arg;
    latest_t *latest = &step->latest;
    page_t *page = &step->page;
    TRY(db_blob_scrub_latest(conn, latest->arena, &latest->row, &latest->found));
    if (!latest->found || latest->row.finished_ms != 0) return NULL;
    return db_blob_list(conn, page->arena, latest->row.position, page->limit, &page->rows,
                        &page->n);
}

static err_t *move_fn(db_conn_t *conn, void *arg) { return db_blob_scrub_move(conn, arg); }

static err_t *finish_fn(db_conn_t *conn, void *arg) {
    const latest_t *latest = arg;
    return db_blob_scrub_finish(conn, latest->row.number, latest->now_ms);
}

static void add_work(blobs_work_t *to, const blobs_work_t *from) {
    to->checked += from->checked;
    to->bytes += from->bytes;
    to->bad += from->bad;
    to->repaired += from->repaired;
    to->lost += from->lost;
}

/* The blobs of a page until enough is read. The position moves with what was done. */
static err_t *scrub_page(blobs_t *blobs, step_t *step, uint64_t max_bytes, blobs_work_t *done) {
    CLEANUP(buf_done) buf_t object;
    buf_init(&object, LIMIT_BLOB_OBJECT);
    db_blob_scrub_t move = {.number = step->latest.row.number};
    err_t *e = NULL;
    for (size_t i = 0; i < step->page.n && !e && (uint64_t)done->bytes < max_bytes; i++) {
        e = check_row(blobs, &step->page.rows[i], &object, done);
        if (!e) move.position = step->page.rows[i].id;
    }
    move.checked = done->checked;
    move.bytes = done->bytes;
    move.bad = done->bad;
    move.lost = done->lost;
    if (move.position.n == 0) return e;
    err_t *moved = db_write(blobs->db, move_fn, &move);
    if (!e) return moved;
    err_free(moved);
    return e;
}

err_t *blobs_scrub_step(blobs_t *blobs, uint64_t max_bytes, blobs_work_t *work, bool *ret_done) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(BLOBS_ARENA, &arena));
    step_t step = {.latest = {.arena = arena, .now_ms = clk_unix_ms(blobs->day)},
                   .page = {.arena = arena, .limit = SCRUB_PAGE}};
    TRY(db_read(blobs->db, step_fn, &step));
    if (!step.latest.found || step.latest.row.finished_ms != 0) {
        *ret_done = true;
        return NULL;
    }
    if (step.page.n == 0) {
        TRY(db_write(blobs->db, finish_fn, &step.latest));
        *ret_done = true;
        return NULL;
    }
    blobs_work_t done = {.checked = 0};
    err_t *e = scrub_page(blobs, &step, max_bytes, &done);
    add_work(work, &done);
    TRY(e);
    *ret_done = false;
    return NULL;
}
