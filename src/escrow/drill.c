/*
 * Drills: see drill.h. coffer-web: a worker, or the escrow thread.
 */
#include "escrow/drill.h"

#include <stdio.h>

#include "base/limits.h"
#include "escrow/escrow_internal.h"
#include "escrow/objects.h"

enum { FAILURES_MAX = 8 * 1024, TRIES_EACH = 4 };

typedef struct {
    escrow_t *escrow;
    const char *actor;
    arena_t *arena;
    size_t sample;
    db_escrow_kind_t *kinds;
    size_t count;
    int64_t max_seq;
    drill_line_t *lines;
    buf_t failures;
} drill_job_t;

static err_t *kinds_read(db_conn_t *conn, void *arg) {
    drill_job_t *job = arg;
    TRY(db_escrow_max_seq(conn, &job->max_seq));
    return db_escrow_kinds(conn, job->arena, &job->kinds, &job->count);
}

typedef struct {
    drill_job_t *job;
    const char *kind;
    int64_t from;
    db_escrow_t row;
    bool found;
} sample_job_t;

static err_t *sample_read(db_conn_t *conn, void *arg) {
    sample_job_t *s = arg;
    return db_escrow_next_of_kind(conn, s->job->arena, s->kind, s->from, &s->row, &s->found);
}

static err_t *verified_write(db_conn_t *conn, void *arg) {
    const sample_job_t *s = arg;
    return db_escrow_set_verified(conn, s->row.seq, escrow_now_ms(s->job->escrow));
}

static err_t *prove_one(drill_job_t *job, sample_job_t *s, drill_line_t *line) {
    objects_proof_t proof;
    TRY(objects_prove(job->escrow, job->arena, &s->row, &proof));
    line->sampled++;
    if (!proof.problem) {
        line->opened++;
        return db_write(job->escrow->o.db, verified_write, s);
    }
    line->failed++;
    if (job->failures.n + 512 < FAILURES_MAX)
        TRY(buf_printf(&job->failures, "%s: %.300s\n", s->row.id, proof.problem));
    return NULL;
}

/* A random place of the sequence, or, when all fit, one after the other. */
static err_t *next_place(drill_job_t *job, bool all, int64_t last, int64_t *ret_from) {
    uint64_t random = 0;
    if (all) {
        *ret_from = last + 1;
        return NULL;
    }
    TRY(rnd_fill(job->escrow->o.rnd, &random, sizeof random));
    *ret_from = (int64_t)(random % (uint64_t)job->max_seq) + 1;
    return NULL;
}

static err_t *drill_kind(drill_job_t *job, const db_escrow_kind_t *kind, drill_line_t *line) {
    bool all = kind->objects <= (int64_t)job->sample;
    int64_t *seen = NULL;
    bytes_t copy;
    TRY(arena_alloc(job->arena, job->sample * sizeof *seen, &seen));
    buf_clear(&job->failures);
    *line = (drill_line_t){.kind = kind->kind, .objects = kind->objects};
    sample_job_t s = {.job = job, .kind = kind->kind};
    size_t n = 0;
    for (size_t tries = 0; n < job->sample && tries < job->sample * TRIES_EACH; tries++) {
        TRY(next_place(job, all, s.row.seq, &s.from));
        TRY(db_read(job->escrow->o.db, sample_read, &s));
        if (!s.found && all) break;
        bool again = !s.found;
        for (size_t i = 0; !again && i < n; i++) again = seen[i] == s.row.seq;
        if (again) continue;
        seen[n++] = s.row.seq;
        TRY(prove_one(job, &s, line));
    }
    TRY(arena_copy(job->arena, buf_bytes(&job->failures), &copy));
    line->failures = (const char *)copy.p;
    return NULL;
}

/* Admins hear of it at once: what does not open now will not open when it is needed. */
static err_t *alarm(db_conn_t *conn, drill_job_t *job, int64_t now_ms) {
    CLEANUP(buf_done) buf_t text;
    char key[48];
    const char *body = NULL;
    int64_t failed = 0;
    buf_init(&text, FAILURES_MAX * 2);
    for (size_t i = 0; i < job->count; i++) failed += job->lines[i].failed;
    if (!failed || !job->escrow->o.notify) return NULL;
    TRY(buf_printf(&text, "%lld objects in escrow did not open in a drill:\n\n",
                   (long long)failed));
    for (size_t i = 0; i < job->count; i++)
        if (job->lines[i].failed)
            TRY(buf_printf(&text, "%s: %lld of %lld failed. The first:\n%.400s\n",
                           job->lines[i].kind, (long long)job->lines[i].failed,
                           (long long)job->lines[i].sampled, job->lines[i].failures));
    TRY(buf_add_str(&text, "coffer escrow drill tries again; coffer escrow verify OBJECT tells "
                           "more. Restore what was changed from a backup.\n"));
    TRY(buf_cstr(&text, &body));
    (void)snprintf(key, sizeof key, "escrow-drill:%lld", (long long)now_ms);
    notice_t notice = {.event = "escrow.drill-failed",
                       .key = key,
                       .subject = "Escrow: a drill failed",
                       .text = body};
    return notify_admins(job->escrow->o.notify, conn, job->arena, &notice);
}

static err_t *outcome_write(db_conn_t *conn, void *arg) {
    drill_job_t *job = arg;
    int64_t now_ms = escrow_now_ms(job->escrow);
    for (size_t i = 0; i < job->count; i++) {
        const drill_line_t *line = &job->lines[i];
        char sampled[24], failed[24];
        (void)snprintf(sampled, sizeof sampled, "%lld", (long long)line->sampled);
        (void)snprintf(failed, sizeof failed, "%lld", (long long)line->failed);
        TRY(db_escrow_drills_add(conn, &(db_escrow_drill_t){.kind = line->kind,
                                                            .sampled = line->sampled,
                                                            .opened = line->opened,
                                                            .failed = line->failed,
                                                            .failures = line->failures,
                                                            .actor = job->actor,
                                                            .created_ms = now_ms}));
        TRY(audit_note(job->escrow->o.audit, conn, job->actor, "escrow.drill", line->kind,
                       "sampled", sampled, "failed", failed, NULL));
    }
    return alarm(conn, job, now_ms);
}

static err_t *run_all(drill_job_t *job) {
    TRY(db_read(job->escrow->o.db, kinds_read, job));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->lines, &job->lines));
    for (size_t i = 0; i < job->count; i++) TRY(drill_kind(job, &job->kinds[i], &job->lines[i]));
    return db_write(job->escrow->o.db, outcome_write, job);
}

err_t *drill_run(escrow_t *escrow, const char *actor, arena_t *arena, size_t sample,
                 drill_line_t **ret_lines, size_t *ret_count, int64_t *ret_failed) {
    drill_job_t job = {.escrow = escrow, .actor = actor, .arena = arena, .sample = sample};
    if (sample == 0 || sample > DRILL_SAMPLE_MAX)
        return err_new(ERR_LIMIT, "a drill samples 1 to %d objects a kind", DRILL_SAMPLE_MAX);
    buf_init(&job.failures, FAILURES_MAX);
    err_t *e = run_all(&job);
    buf_done(&job.failures);
    if (e) return e;
    *ret_lines = job.lines;
    *ret_count = job.count;
    *ret_failed = 0;
    for (size_t i = 0; i < job.count; i++) *ret_failed += job.lines[i].failed;
    return NULL;
}

typedef struct {
    int64_t last_ms, max_seq;
} due_job_t;

static err_t *due_read(db_conn_t *conn, void *arg) {
    due_job_t *job = arg;
    TRY(db_escrow_max_seq(conn, &job->max_seq));
    return db_escrow_drills_last(conn, &job->last_ms);
}

err_t *drill_is_due(escrow_t *escrow, bool *ret_due) {
    due_job_t job = {0};
    TRY(db_read(escrow->o.db, due_read, &job));
    int64_t age_ms = escrow_now_ms(escrow) - job.last_ms;
    *ret_due = job.max_seq > 0 && age_ms >= (int64_t)DRILL_EVERY_S * 1000;
    return NULL;
}
