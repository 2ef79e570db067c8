/*
 * Officers' drills of their own shares: see officer_drill.h. coffer-web, any worker thread.
 */
#include "escrow/officer_drill.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "escrow/drill.h"
#include "escrow/escrow_internal.h"
#include "keeper/escrow_drill.h"

enum { TRIES_EACH = 4, CLOCKS_APART_S = 3600, DAY_MS = 86400 * 1000 };

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    size_t sample;
    int64_t max_seq;
    escrow_set_t set;
    const escrow_officer_t *own;
    officer_sample_t out;
} sample_job_t;

static bool is_there(const officer_sample_t *sample, int64_t seq) {
    for (size_t i = 0; i < sample->count; i++)
        if (sample->items[i].object.seq == seq) return true;
    return false;
}

/* The first object at or behind a random place that is dealt to the set, whoever opens it. */
static err_t *pick(db_conn_t *conn, sample_job_t *job) {
    uint64_t random = 0;
    TRY(rnd_fill(job->escrow->o.rnd, &random, sizeof random));
    int64_t after = (int64_t)(random % (uint64_t)job->max_seq);
    db_escrow_t *rows = NULL;
    size_t count = 0;
    for (int i = 0; i < 2 && count == 0; i++)
        TRY(db_escrow_of_epoch(conn, job->arena, (int64_t)job->set.epoch, (random >> 63) ^ (i > 0),
                               after, 1, &rows, &count));
    if (count == 0 || is_there(&job->out, rows[0].seq)) return NULL;
    redeal_item_t *item = &job->out.items[job->out.count];
    *item = (redeal_item_t){.object = rows[0]};
    TRY(db_escrow_shares_of(conn, job->arena, rows[0].seq, (int64_t)job->set.epoch, job->own->index,
                            &item->shares, &item->shares_n));
    job->out.count++;
    return NULL;
}

/* What he is handed he can keep, and open as long as the blobs stay: it is capped and told. */
static err_t *hand_out(db_conn_t *conn, const sample_job_t *job, int64_t day) {
    char count[24];
    if (job->out.count == 0) return NULL;
    TRY(db_officer_samples_add(conn, job->own->id, day, (int64_t)job->out.count));
    (void)snprintf(count, sizeof count, "%zu", job->out.count);
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "officer.sample",
                      job->own->id, "objects", count, NULL);
}

static err_t *sample_write(db_conn_t *conn, void *arg) {
    sample_job_t *job = arg;
    int64_t day = escrow_now_ms(job->escrow) / DAY_MS, had = 0;
    TRY(escrow_active_set(conn, job->arena, &job->out.set, &job->set));
    TRY(escrow_own_officer(&job->set, job->caller, &job->own));
    TRY(db_escrow_max_seq(conn, &job->max_seq));
    if (job->max_seq == 0) return NULL;
    TRY(db_officer_samples_get(conn, job->own->id, day, &had));
    if (had >= LIMIT_ESCROW_SAMPLE_DAY)
        return err_new(ERR_LIMIT,
                       "officer %s was handed %lld shares for drills today: go on "
                       "tomorrow",
                       job->own->id, (long long)had);
    size_t left = (size_t)(LIMIT_ESCROW_SAMPLE_DAY - had);
    size_t wanted = job->sample < left ? job->sample : left;
    job->out.count = 0;
    for (size_t i = 0; i < wanted * TRIES_EACH && job->out.count < wanted; i++)
        TRY(pick(conn, job));
    return hand_out(conn, job, day);
}

err_t *officer_drill_sample(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                            size_t sample, officer_sample_t *ret_sample) {
    sample_job_t job = {.escrow = escrow, .caller = caller, .arena = arena, .sample = sample};
    if (sample == 0 || sample > LIMIT_ESCROW_REDEAL_BATCH)
        return err_new(ERR_LIMIT, "an officer's drill samples 1 to %d objects",
                       LIMIT_ESCROW_REDEAL_BATCH);
    TRY(arena_alloc(arena, sample * sizeof *job.out.items, &job.out.items));
    TRY(db_write(escrow->o.db, sample_write, &job));
    *ret_sample = job.out;
    return NULL;
}

/* ---- the outcome ---- */

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    escrow_drill_t drill;
    const char *text; /* the record, base64 */
} keep_job_t;

static err_t *check(db_conn_t *conn, const keep_job_t *job) {
    db_officer_set_t row;
    escrow_set_t set;
    const escrow_officer_t *own = NULL;
    int64_t apart = escrow_now_ms(job->escrow) / 1000 - job->drill.proved;
    TRY(escrow_active_set(conn, job->arena, &row, &set));
    TRY(escrow_own_officer(&set, job->caller, &own));
    if (strcmp(own->id, job->drill.officer) != 0)
        return err_new(ERR_DENIED, "the drill is of officer %s, not yours", job->drill.officer);
    TRY(escrow_drill_verify(&job->drill, &set));
    if (apart > CLOCKS_APART_S || apart < -CLOCKS_APART_S)
        return err_new(ERR_DENIED, "the drill is of another time: is the clock right?");
    return NULL;
}

static err_t *keep_write(db_conn_t *conn, void *arg) {
    const keep_job_t *job = arg;
    char kind[sizeof OFFICER_DRILL_KIND + LIMIT_ESCROW_OFFICER], sampled[16], failed[16];
    TRY(check(conn, job));
    (void)snprintf(kind, sizeof kind, OFFICER_DRILL_KIND "%s", job->drill.officer);
    (void)snprintf(sampled, sizeof sampled, "%u", job->drill.sampled);
    (void)snprintf(failed, sizeof failed, "%u", job->drill.failed);
    TRY(db_escrow_drills_replace(
        conn, &(db_escrow_drill_t){.kind = kind,
                                   .sampled = job->drill.sampled,
                                   .opened = job->drill.sampled - job->drill.failed,
                                   .failed = job->drill.failed,
                                   .failures = "",
                                   .actor = job->caller->actor,
                                   .created_ms = escrow_now_ms(job->escrow)}));
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "officer.drill",
                      job->drill.officer, "sampled", sampled, "failed", failed, "record", job->text,
                      NULL);
}

err_t *officer_drill_keep(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                          bytes_t record) {
    keep_job_t job = {.escrow = escrow, .caller = caller, .arena = arena};
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_ESCROW_RECORD);
    TRY(escrow_drill_parse(record, &job.drill));
    TRY(text_base64(record, &text));
    TRY(buf_cstr(&text, &job.text));
    return db_write(escrow->o.db, keep_write, &job);
}
