/*
 * The storage key's rotation: see rewrap.h. coffer-web: workers, and the escrow thread.
 */
#include "escrow/rewrap.h"

#include <stdio.h>

#include "escrow/escrow_internal.h"

enum {
    BATCH = 32, /* objects in one transaction: the keeper has others to serve */
    ARENA = 8 * 1024 * 1024,
    SETTLE_MS = 10000, /* after the start: what was archived by the former key is stored by then */
};

/* ---- beginning ---- */

typedef struct {
    escrow_t *escrow;
    arena_t *arena;
    const char *actor;
    rewrap_view_t view;
} begin_job_t;

static err_t *view_read(db_conn_t *conn, void *arg) {
    begin_job_t *job = arg;
    TRY(db_escrow_max_seq(conn, &job->view.max_seq));
    return db_storage_rotation_latest(conn, job->arena, &job->view.last, &job->view.rotated);
}

err_t *rewrap_view(escrow_t *escrow, arena_t *arena, rewrap_view_t *ret_view) {
    begin_job_t job = {.escrow = escrow, .arena = arena};
    TRY(db_read(escrow->o.db, view_read, &job));
    TRY(keeper_storage_key(escrow->o.keeper, &job.view.number));
    *ret_view = job.view;
    return NULL;
}

static err_t *begin_write(db_conn_t *conn, void *arg) {
    begin_job_t *job = arg;
    char number[16];
    (void)snprintf(number, sizeof number, "%u", job->view.number);
    TRY(db_storage_rotation_add(conn, job->view.number, job->actor, escrow_now_ms(job->escrow)));
    return audit_note(job->escrow->o.audit, conn, job->actor, "storage-key.rotate", number, NULL);
}

err_t *rewrap_begin(escrow_t *escrow, const escrow_caller_t *caller) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    begin_job_t job = {.escrow = escrow, .arena = arena, .actor = caller->actor};
    TRY(db_read(escrow->o.db, view_read, &job));
    if (job.view.rotated && !job.view.last.finished_ms)
        return err_new(ERR_BUSY, "objects are still being wrapped with storage key %lld",
                       (long long)job.view.last.number);
    TRY(keeper_storage_key_new(escrow->o.keeper, &job.view.number));
    return db_write(escrow->o.db, begin_write, &job);
}

err_t *rewrap_adopt(escrow_t *escrow) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    begin_job_t job = {.escrow = escrow, .arena = arena, .actor = "system"};
    TRY(rewrap_view(escrow, arena, &job.view));
    int64_t known = job.view.rotated ? job.view.last.number : 1;
    return job.view.number > known ? db_write(escrow->o.db, begin_write, &job) : NULL;
}

/* ---- going on ---- */

typedef struct {
    escrow_t *escrow;
    arena_t *arena;
    db_storage_rotation_t rotation;
    bool found;
    db_escrow_t *rows;
    size_t count;
    bytes_t wraps[BATCH]; /* none: refused */
    int64_t done, refused;
    err_t *first_refusal;
} step_job_t;

static err_t *step_read(db_conn_t *conn, void *arg) {
    step_job_t *job = arg;
    TRY(db_storage_rotation_latest(conn, job->arena, &job->rotation, &job->found));
    if (!job->found || job->rotation.finished_ms) return NULL;
    return db_escrow_wrapped(conn, job->arena, job->rotation.last_seq, BATCH, &job->rows,
                             &job->count);
}

static err_t *take_wrap(void *arg, size_t index, bytes_t wrap, const err_t *e) {
    step_job_t *job = arg;
    char why[256];
    if (!e) {
        job->done++;
        return arena_copy(job->arena, wrap, &job->wraps[index]);
    }
    job->refused++;
    if (!job->first_refusal)
        job->first_refusal = err_new(err_code(e), "object %s: %s", job->rows[index].id,
                                     err_text(e, why, sizeof why));
    return NULL;
}

static err_t *ask_keeper(step_job_t *job) {
    keeper_stored_t *list = NULL;
    TRY(escrow_stored_of(job->arena, job->rows, job->count, &list));
    return keeper_escrow_rewrap(job->escrow->o.keeper, list, job->count, take_wrap, job);
}

/* The wraps and how far it came: together or not at all. */
static err_t *step_write(db_conn_t *conn, void *arg) {
    const step_job_t *job = arg;
    for (size_t i = 0; i < job->count; i++)
        if (job->wraps[i].n) TRY(db_escrow_set_wrap(conn, job->rows[i].seq, job->wraps[i]));
    return db_storage_rotation_move(conn, job->rotation.number, job->rows[job->count - 1].seq,
                                    job->done, job->refused, escrow_now_ms(job->escrow));
}

static err_t *finish_write(db_conn_t *conn, void *arg) {
    const step_job_t *job = arg;
    char number[24], done[24], refused[24];
    bool changed = false;
    TRY(db_storage_rotation_finish(conn, job->rotation.number, escrow_now_ms(job->escrow),
                                   &changed));
    if (!changed) return NULL;
    (void)snprintf(number, sizeof number, "%lld", (long long)job->rotation.number);
    (void)snprintf(done, sizeof done, "%lld", (long long)job->rotation.done);
    (void)snprintf(refused, sizeof refused, "%lld", (long long)job->rotation.refused);
    return audit_note(job->escrow->o.audit, conn, "system", "storage-key.done", number, "objects",
                      done, "refused", refused, NULL);
}

static err_t *step(step_job_t *job, bool *ret_more) {
    TRY(db_read(job->escrow->o.db, step_read, job));
    *ret_more = false;
    if (!job->found || job->rotation.finished_ms) return NULL;
    if (!job->count) {
        bool settled = escrow_now_ms(job->escrow) - job->rotation.started_ms >= SETTLE_MS;
        return settled ? db_write(job->escrow->o.db, finish_write, job) : NULL;
    }
    TRY(ask_keeper(job));
    TRY(db_write(job->escrow->o.db, step_write, job));
    *ret_more = true;
    return NULL;
}

err_t *rewrap_some(escrow_t *escrow, size_t *ret_count, bool *ret_more) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    step_job_t *job = NULL;
    bool more = false;
    TRY(arena_new(ARENA, &arena));
    TRY(arena_alloc(arena, sizeof *job, &job));
    *job = (step_job_t){.escrow = escrow, .arena = arena};
    err_t *e = step(job, &more);
    if (e) {
        err_free(job->first_refusal);
        return e;
    }
    *ret_more = more;
    *ret_count = (size_t)job->done;
    return job->first_refusal;
}
