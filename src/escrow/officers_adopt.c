/*
 * A set that the keeper has and the store does not know as the active one: the server ended between
 * the two. What counts is the keeper's. See officers.h. coffer-web, any worker thread.
 */
#include <stdio.h>

#include "base/limits.h"
#include "escrow/escrow_internal.h"
#include "escrow/officers.h"

enum { ARENA = 1024 * 1024 };

typedef struct {
    escrow_t *escrow;
    arena_t *arena;
    bytes_t record; /* the keeper's */
    escrow_set_t set, active;
    uint8_t hash[ESCROW_HASH];
    bool has_active, newer;
} adopt_job_t;

static err_t *add_dealer(db_conn_t *conn, const adopt_job_t *job, const escrow_officer_t *dealer,
                         bool dealers[UINT8_MAX + 1], size_t *n) {
    if (!dealer || dealers[dealer->index] || *n >= job->active.threshold) return NULL;
    dealers[dealer->index] = true;
    ++*n;
    return db_redeals_add(conn, &(db_redeal_t){.to_epoch = (int64_t)job->set.epoch,
                                               .dealer = dealer->index,
                                               .officer_id = dealer->id,
                                               .updated_ms = escrow_now_ms(job->escrow)});
}

/* Who signed deals, as far as that is known; then whoever is in the old set. An admin may change
 * it. */
static err_t *plan_dealers(db_conn_t *conn, const adopt_job_t *job) {
    bool dealers[UINT8_MAX + 1] = {false};
    db_set_signature_t *signatures = NULL;
    size_t count = 0, n = 0;
    TRY(db_redeals_drop(conn, (int64_t)job->set.epoch));
    TRY(db_set_signatures_list(conn, job->arena, (int64_t)job->set.epoch, &signatures, &count));
    for (size_t i = 0; i < count; i++)
        TRY(add_dealer(conn, job, escrow_set_officer(&job->active, signatures[i].officer_id),
                       dealers, &n));
    for (size_t i = 0; i < job->active.n; i++)
        TRY(add_dealer(conn, job, &job->active.officers[i], dealers, &n));
    return NULL;
}

static err_t *keep_row(db_conn_t *conn, const adopt_job_t *job) {
    db_officer_set_t row;
    bool found = false, dropped = false;
    int64_t epoch = (int64_t)job->set.epoch;
    TRY(db_officer_sets_get(conn, job->arena, epoch, &row, &found));
    if (found && bytes_eq(row.hash, BYTES_ARRAY(job->hash))) return NULL;
    TRY(db_officer_sets_drop(conn, epoch, &dropped));
    return db_officer_sets_add(conn, &(db_officer_set_t){.epoch = epoch,
                                                         .record = job->record,
                                                         .hash = BYTES_ARRAY(job->hash),
                                                         .threshold = job->set.threshold,
                                                         .officers = (int64_t)job->set.n,
                                                         .state = "proposed",
                                                         .created_by = "system",
                                                         .created_ms = escrow_now_ms(job->escrow)});
}

static err_t *find_active(db_conn_t *conn, void *arg) {
    adopt_job_t *job = arg;
    db_officer_set_t row;
    TRY(db_officer_sets_in_state(conn, job->arena, "active", &row, &job->has_active));
    if (job->has_active) TRY(escrow_set_parse(row.record, &job->active));
    uint64_t now = job->has_active ? job->active.epoch : 0;
    if (job->set.epoch > now + 1)
        return err_new(ERR_VERIFY,
                       "the key process is at officers' set %llu, the database at %llu: it is an "
                       "older copy; restore both from one backup",
                       (unsigned long long)job->set.epoch, (unsigned long long)now);
    job->newer = job->set.epoch == now + 1;
    return NULL;
}

static err_t *adopt_write(db_conn_t *conn, void *arg) {
    adopt_job_t *job = arg;
    char name[32];
    TRY(find_active(conn, job));
    if (!job->newer) return NULL;
    TRY(keep_row(conn, job));
    if (job->has_active) TRY(plan_dealers(conn, job));
    TRY(db_officer_sets_activate(conn, (int64_t)job->set.epoch, escrow_now_ms(job->escrow)));
    (void)snprintf(name, sizeof name, "set:%llu", (unsigned long long)job->set.epoch);
    return audit_note(job->escrow->o.audit, conn, "system", "officers.activate", name, "why",
                      "the key process had it already", NULL);
}

err_t *officers_adopt(escrow_t *escrow) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(keeper_officers_set(escrow->o.keeper, &record));
    if (record.n == 0) return NULL;
    TRY(arena_new(ARENA, &arena));
    adopt_job_t job = {.escrow = escrow, .arena = arena, .record = buf_bytes(&record)};
    TRY(escrow_set_parse(job.record, &job.set));
    TRY(escrow_set_hash(&job.set, job.hash));
    TRY(db_read(escrow->o.db, find_active, &job));
    return job.newer ? db_write(escrow->o.db, adopt_write, &job) : NULL;
}
