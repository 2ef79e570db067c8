/*
 * Leases: see leases.h. coffer-web: worker threads; those that end early, the escrow thread.
 */
#include "escrow/leases.h"

#include "escrow/escrow_internal.h"
#include "keeper/client_lease.h"
#include "store/lease_digests.h"
#include "store/lease_ends.h"
#include "store/lease_events.h"

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
        TRY(db_lease_events_forget(conn, row->device_id, ""));
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

/* ---- asked by devices ---- */

typedef struct {
    escrow_t *escrow;
    const lease_ref_t *ref;
    arena_t *arena;
    const char *event, *reason; /* reason: of a refusal or a revocation */
    bool first;                 /* not asked again for the same event */
    lease_view_t *view;
} lease_job_t;

static err_t *check_bar(db_conn_t *conn, const lease_job_t *job) {
    const char *reason = NULL;
    bool ending = false;
    TRY(db_lease_ends_bar(conn, job->arena, job->ref->device_id, &reason, &ending));
    if (reason)
        return err_new(ERR_DENIED, "the device may have no leases until it enrols anew: %s",
                       reason);
    if (ending) return err_new(ERR_BUSY, "the device's former leases end in a moment");
    return NULL;
}

static err_t *read_bar(db_conn_t *conn, void *arg) { return check_bar(conn, arg); }

static err_t *write_refusal(db_conn_t *conn, void *arg) {
    const lease_job_t *job = arg;
    return audit_note(job->escrow->o.audit, conn, job->ref->actor, "lease.refuse",
                      job->ref->device_id, "account", job->ref->account, "event", job->event, "why",
                      job->reason, NULL);
}

/* Returns `e`, which policy refused, after it is in the audit. */
static err_t *refuse(lease_job_t *job, err_t *e) {
    char why[256];
    if (err_code(e) != ERR_DENIED && err_code(e) != ERR_VERIFY && err_code(e) != ERR_LIMIT)
        return e;
    job->reason = err_text(e, why, sizeof why);
    err_t *failed = db_write(job->escrow->o.db, write_refusal, job);
    if (!failed) return e;
    err_free(e);
    return failed;
}

/* The bar is looked at again after the put: the loss may have come in between. */
static err_t *put(lease_job_t *job, const keeper_lease_t *lease, bytes_t sealed) {
    db_t *db = job->escrow->o.db;
    TRY(db_read(db, read_bar, job));
    TRY(keeper_lease_put(job->escrow->o.keeper, lease, sealed));
    err_t *e = db_read(db, read_bar, job);
    if (!e) return NULL;
    err_t *failed = keeper_lease_revoke(job->escrow->o.keeper, lease->device, lease->account,
                                        "barred meanwhile");
    if (!failed) return e;
    err_free(e);
    return failed;
}

err_t *leases_put(escrow_t *escrow, const lease_ref_t *ref, const keeper_lease_t *lease,
                  bytes_t sealed) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    lease_job_t job = {.escrow = escrow, .ref = ref, .arena = arena};
    err_t *e = put(&job, lease, sealed);
    return e ? refuse(&job, e) : NULL;
}

static err_t *write_event(db_conn_t *conn, void *arg) {
    const lease_job_t *job = arg;
    const db_lease_event_t row = {.device_id = job->ref->device_id,
                                  .account = job->ref->account,
                                  .event = job->event,
                                  .created_ms = escrow_now_ms(job->escrow)};
    TRY(check_bar(conn, job));
    TRY(db_lease_events_add(conn, &row, LIMIT_LEASE_EVENTS));
    return audit_note(job->escrow->o.audit, conn, job->ref->actor, "lease.event",
                      job->ref->device_id, "account", job->ref->account, "event", job->event, NULL);
}

err_t *leases_note_event(escrow_t *escrow, const lease_ref_t *ref, const char *event) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    lease_job_t job = {.escrow = escrow, .ref = ref, .arena = arena, .event = event};
    return db_write(escrow->o.db, write_event, &job);
}

static err_t *write_release(db_conn_t *conn, void *arg) {
    lease_job_t *job = arg;
    const lease_ref_t *ref = job->ref;
    int64_t now = escrow_now_ms(job->escrow);
    db_lease_event_t row;
    bool found = false;
    TRY(check_bar(conn, job));
    TRY(db_lease_events_find(conn, job->arena, ref->device_id, ref->account, job->event, &row,
                             &found));
    if (!found || (row.released_ms && now - row.released_ms > LIMIT_LEASE_AGAIN_S * 1000LL))
        return err_new(ERR_NOT_FOUND, "nothing happened for the lease that its key is needed for");
    job->first = row.released_ms == 0;
    return audit_note(job->escrow->o.audit, conn, ref->actor, "lease.release", ref->device_id,
                      "account", ref->account, "event", job->event, NULL);
}

/* What the keeper refused, at its cap, may be asked again later, and nobody is told of it. */
static err_t *write_given(db_conn_t *conn, void *arg) {
    const lease_job_t *job = arg;
    const lease_ref_t *ref = job->ref;
    int64_t now = escrow_now_ms(job->escrow);
    db_lease_event_t row;
    bool found = false;
    TRY(db_lease_events_find(conn, job->arena, ref->device_id, ref->account, job->event, &row,
                             &found));
    if (!found || row.released_ms) return NULL; /* ended or given meanwhile */
    TRY(db_lease_events_release(conn, &row, now));
    return db_lease_digests_count(conn, ref->device_id, ref->account, now);
}

static err_t *release(lease_job_t *job, keeper_lease_t *ret_lease, buf_t *ret_sealed) {
    const lease_ref_t *ref = job->ref;
    TRY(db_write(job->escrow->o.db, write_release, job));
    TRY(keeper_lease_release(job->escrow->o.keeper, ref->device_id, ref->account, job->event,
                             ret_lease, ret_sealed));
    return job->first ? db_write(job->escrow->o.db, write_given, job) : NULL;
}

err_t *leases_release(escrow_t *escrow, const lease_ref_t *ref, const char *event,
                      keeper_lease_t *ret_lease, buf_t *ret_sealed) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(ARENA, &arena));
    lease_job_t job = {.escrow = escrow, .ref = ref, .arena = arena, .event = event};
    err_t *e = release(&job, ret_lease, ret_sealed);
    return e ? refuse(&job, e) : NULL;
}

static err_t *write_revoke(db_conn_t *conn, void *arg) {
    const lease_job_t *job = arg;
    TRY(db_lease_events_forget(conn, job->ref->device_id, job->ref->account));
    return audit_note(job->escrow->o.audit, conn, job->ref->actor, "lease.revoke",
                      job->ref->device_id, "account",
                      job->ref->account[0] ? job->ref->account : NULL, "reason", job->reason, NULL);
}

err_t *leases_revoke(escrow_t *escrow, const lease_ref_t *ref, const char *reason) {
    lease_job_t job = {.escrow = escrow, .ref = ref, .reason = reason};
    TRY(keeper_lease_revoke(escrow->o.keeper, ref->device_id, ref->account, reason));
    return db_write(escrow->o.db, write_revoke, &job);
}

static err_t *write_reset(db_conn_t *conn, void *arg) {
    const lease_job_t *job = arg;
    TRY(db_lease_events_forget(conn, job->ref->device_id, ""));
    return audit_note(job->escrow->o.audit, conn, job->ref->actor, "lease.reset",
                      job->ref->device_id, NULL);
}

err_t *leases_reset(escrow_t *escrow, const lease_ref_t *ref) {
    lease_job_t job = {.escrow = escrow, .ref = ref};
    TRY(keeper_lease_reset(escrow->o.keeper, ref->device_id, "an admin's wish"));
    return db_write(escrow->o.db, write_reset, &job);
}

static err_t *read_events(db_conn_t *conn, void *arg) {
    const lease_job_t *job = arg;
    return db_lease_events_list(conn, job->arena, job->ref->device_id, LIMIT_LIST_PAGE,
                                &job->view->events, &job->view->events_n);
}

err_t *leases_view(escrow_t *escrow, arena_t *arena, const char *device_id,
                   lease_view_t *ret_view) {
    const lease_ref_t ref = {.device_id = device_id};
    lease_job_t job = {.escrow = escrow, .ref = &ref, .arena = arena, .view = ret_view};
    TRY(keeper_lease_list(escrow->o.keeper, device_id, ret_view->list, &ret_view->count));
    return db_read(escrow->o.db, read_events, &job);
}

err_t *leases_purge(db_conn_t *conn, int64_t now_ms) {
    return db_lease_events_purge(conn, now_ms - LIMIT_LEASE_LIFE_S * 1000LL);
}
