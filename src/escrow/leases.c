/*
 * Leases that end early: see leases.h. coffer-web: the escrow thread.
 */
#include "escrow/leases.h"

#include "escrow/escrow_internal.h"
#include "keeper/client_lease.h"
#include "store/lease_ends.h"

enum { BATCH = 64, ARENA = 256 * 1024 };

typedef struct {
    escrow_t *escrow;
    arena_t *arena;
    db_lease_end_t *rows;
    size_t count;
    size_t done; /* the keeper forgot the first so many */
} end_job_t;

static err_t *read_some(db_conn_t *conn, void *arg) {
    end_job_t *job = arg;
    return db_lease_ends_list(conn, job->arena, BATCH, &job->rows, &job->count);
}

static err_t *write_done(db_conn_t *conn, void *arg) {
    const end_job_t *job = arg;
    for (size_t i = 0; i < job->done; i++) {
        const db_lease_end_t *row = &job->rows[i];
        bool changed = false;
        TRY(db_lease_ends_remove(conn, row, &changed));
        TRY(audit_note(job->escrow->o.audit, conn, "system", "lease.revoke", row->device_id,
                       "reason", row->reason, NULL));
    }
    return NULL;
}

err_t *leases_end_some(escrow_t *escrow, size_t *ret_count, bool *ret_more) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    end_job_t job = {.escrow = escrow, .arena = arena};
    TRY(db_read(escrow->o.db, read_some, &job));
    err_t *e = NULL;
    while (!e && job.done < job.count) {
        const db_lease_end_t *row = &job.rows[job.done];
        e = keeper_lease_revoke(escrow->o.keeper, row->device_id, "", row->reason);
        if (!e) job.done++;
    }
    err_t *failed = job.done ? db_write(escrow->o.db, write_done, &job) : NULL;
    if (failed) {
        err_free(e);
        return failed;
    }
    if (e) return e;
    *ret_count = job.done;
    *ret_more = job.count == BATCH;
    return NULL;
}
