/*
 * Re-dealing at the server: hands out and checks, see redeal.h. coffer-web, any worker thread.
 */
#include "escrow/redeal.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "escrow/escrow_internal.h"

err_t *redeal_plan(db_conn_t *conn, arena_t *arena, redeal_plan_t *ret_plan, bool *ret_found) {
    redeal_plan_t plan = {0};
    bool found = false;
    *ret_found = false;
    TRY(db_officer_sets_in_state(conn, arena, "active", &plan.to, &found));
    if (!found) return NULL;
    TRY(db_redeals_list(conn, arena, plan.to.epoch, &plan.dealers, &plan.dealers_n));
    TRY(db_officer_sets_get(conn, arena, plan.to.epoch - 1, &plan.from, &found));
    if (!found || !plan.dealers_n) return NULL;
    TRY(db_set_signatures_list(conn, arena, plan.to.epoch, &plan.signatures, &plan.signatures_n));
    TRY(db_escrow_count_epoch(conn, plan.from.epoch, true, &plan.left));
    *ret_plan = plan;
    *ret_found = true;
    return NULL;
}

/* What every step starts from. */
typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    redeal_plan_t plan;
    escrow_set_t from, to;
    const db_redeal_t *own; /* the caller's line */
} redeal_job_t;

static err_t *load_plan(db_conn_t *conn, redeal_job_t *job) {
    bool found = false;
    TRY(redeal_plan(conn, job->arena, &job->plan, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "nothing is to be dealt anew");
    TRY(escrow_set_parse(job->plan.from.record, &job->from));
    return escrow_set_parse(job->plan.to.record, &job->to);
}

static err_t *find_own(redeal_job_t *job) {
    const escrow_officer_t *officer = NULL;
    TRY(escrow_own_officer(&job->from, job->caller, &officer));
    for (size_t i = 0; i < job->plan.dealers_n; i++)
        if (job->plan.dealers[i].dealer == officer->index) job->own = &job->plan.dealers[i];
    if (!job->own)
        return err_new(ERR_DENIED, "officer %s is none of those who deal to set %lld", officer->id,
                       (long long)job->plan.to.epoch);
    return NULL;
}

/* ---- handing out ---- */

typedef struct {
    redeal_job_t base;
    size_t limit;
    redeal_item_t *items;
    size_t count;
} batch_job_t;

static err_t *batch_read(db_conn_t *conn, void *arg) {
    batch_job_t *job = arg;
    redeal_job_t *base = &job->base;
    db_escrow_t *rows = NULL;
    TRY(load_plan(conn, base));
    TRY(find_own(base));
    TRY(db_escrow_of_epoch(conn, base->arena, base->plan.from.epoch, true, base->own->last_seq,
                           job->limit, &rows, &job->count));
    TRY(arena_alloc(base->arena, (job->count + 1) * sizeof *job->items, &job->items));
    for (size_t i = 0; i < job->count; i++) {
        job->items[i] = (redeal_item_t){.object = rows[i]};
        TRY(db_escrow_shares_of(conn, base->arena, rows[i].seq, base->plan.from.epoch,
                                base->own->dealer, &job->items[i].shares, &job->items[i].shares_n));
    }
    return NULL;
}

err_t *redeal_batch(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, size_t limit,
                    redeal_item_t **ret_items, size_t *ret_count) {
    batch_job_t job = {.base = {.escrow = escrow, .caller = caller, .arena = arena},
                       .limit = limit};
    if (job.limit > LIMIT_ESCROW_REDEAL_BATCH) job.limit = LIMIT_ESCROW_REDEAL_BATCH;
    TRY(db_read(escrow->o.db, batch_read, &job));
    *ret_items = job.items;
    *ret_count = job.count;
    return NULL;
}

/* ---- taking back ---- */

typedef struct {
    redeal_job_t base;
    escrow_redeal_t redeal;
    int64_t moved;
} put_job_t;

static err_t *check_dealers(const put_job_t *job) {
    const redeal_job_t *base = &job->base;
    bool same = job->redeal.dealers_n == base->plan.dealers_n;
    for (size_t i = 0; same && i < base->plan.dealers_n; i++)
        same = job->redeal.dealers[i] == base->plan.dealers[i].dealer;
    if (!same || job->redeal.dealer != base->own->dealer)
        return err_new(ERR_VERIFY, "it was dealt among others than those who deal now");
    return NULL;
}

/* The item must be of this row: id, version and all else that shares are bound to. */
static err_t *check_item(const escrow_redeal_item_t *item, const db_escrow_t *row) {
    escrow_object_t object;
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_object_of(row, &object));
    TRY(escrow_object_hash(&object, hash));
    if (memcmp(item->id, object.id, ESCROW_ID) != 0 || item->version != object.version ||
        memcmp(item->object_hash, hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the contribution is to other objects than it was asked for");
    return NULL;
}

static err_t *keep_item(db_conn_t *conn, const put_job_t *job, const escrow_redeal_item_t *item,
                        int64_t seq) {
    for (size_t k = 0; k < job->base.to.n; k++) {
        escrow_share_t share;
        CLEANUP(buf_done) buf_t record;
        buf_init(&record, LIMIT_ESCROW_RECORD);
        TRY(escrow_redeal_share(&job->redeal, item, &job->base.to, k, &share));
        TRY(escrow_share_put(&share, &record));
        TRY(db_escrow_shares_put(conn, &(db_escrow_share_t){.object_seq = seq,
                                                            .epoch = (int64_t)share.epoch,
                                                            .officer = share.index,
                                                            .dealer = share.dealer,
                                                            .record = buf_bytes(&record)}));
    }
    return NULL;
}

/* How far all have come. */
static int64_t passed_by_all(const redeal_plan_t *plan, const db_redeal_t *own, int64_t own_seq) {
    int64_t least = own_seq;
    for (size_t i = 0; i < plan->dealers_n; i++)
        if (&plan->dealers[i] != own && plan->dealers[i].last_seq < least)
            least = plan->dealers[i].last_seq;
    return least;
}

static err_t *advance(db_conn_t *conn, put_job_t *job, int64_t last_seq) {
    redeal_job_t *base = &job->base;
    const db_redeal_t *own = base->own;
    bool changed = false;
    int64_t before = passed_by_all(&base->plan, own, own->last_seq);
    int64_t after = passed_by_all(&base->plan, own, last_seq);
    TRY(db_redeals_advance(conn, own->to_epoch, own->dealer, own->last_seq, last_seq,
                           (int64_t)job->redeal.count, escrow_now_ms(base->escrow), &changed));
    if (!changed) return err_new(ERR_BUSY, "this batch was uploaded already");
    if (after > before)
        TRY(db_escrow_move_epoch(conn, base->plan.from.epoch, base->plan.to.epoch, before, after,
                                 &job->moved));
    return NULL;
}

static err_t *put_write(db_conn_t *conn, void *arg) {
    put_job_t *job = arg;
    redeal_job_t *base = &job->base;
    db_escrow_t *rows = NULL;
    size_t count = 0;
    TRY(load_plan(conn, base));
    TRY(find_own(base));
    TRY(check_dealers(job));
    TRY(escrow_redeal_verify(&job->redeal, &base->from, &base->to));
    TRY(db_escrow_of_epoch(conn, base->arena, base->plan.from.epoch, true, base->own->last_seq,
                           job->redeal.count, &rows, &count));
    if (count != job->redeal.count)
        return err_new(ERR_BUSY, "this batch was uploaded already, or is not the next one");
    for (size_t i = 0; i < count; i++) {
        escrow_redeal_item_t item;
        TRY(escrow_redeal_item(&job->redeal, i, &item));
        TRY(check_item(&item, &rows[i]));
        TRY(keep_item(conn, job, &item, rows[i].seq));
    }
    TRY(advance(conn, job, rows[count - 1].seq));
    char name[32], objects[24];
    (void)snprintf(name, sizeof name, "set:%lld", (long long)base->plan.to.epoch);
    (void)snprintf(objects, sizeof objects, "%zu", count);
    return audit_note(base->escrow->o.audit, conn, base->caller->actor, "officers.redeal", name,
                      "officer", base->own->officer_id, "objects", objects, NULL);
}

err_t *redeal_put(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, bytes_t record,
                  int64_t *ret_moved) {
    put_job_t job = {.base = {.escrow = escrow, .caller = caller, .arena = arena}};
    TRY(escrow_redeal_parse(record, &job.redeal));
    if (job.redeal.count == 0 || job.redeal.count > LIMIT_ESCROW_REDEAL_BATCH)
        return err_new(ERR_LIMIT, "a contribution is to 1 to %d objects",
                       LIMIT_ESCROW_REDEAL_BATCH);
    TRY(db_write(escrow->o.db, put_write, &job));
    *ret_moved = job.moved;
    return NULL;
}

/* ---- other dealers ---- */

typedef struct {
    redeal_job_t base;
    const char *const *ids;
    size_t ids_n;
} replan_job_t;

static err_t *replan_write(db_conn_t *conn, void *arg) {
    replan_job_t *job = arg;
    redeal_job_t *base = &job->base;
    TRY(load_plan(conn, base));
    if (job->ids_n != base->from.threshold)
        return err_new(ERR_INVALID, "%u officers of set %llu must deal, not %zu",
                       base->from.threshold, (unsigned long long)base->from.epoch, job->ids_n);
    int64_t left = 0;
    TRY(db_escrow_move_back(conn, base->plan.from.epoch, base->plan.to.epoch));
    TRY(db_escrow_count_epoch(conn, base->plan.from.epoch, true, &left));
    if (left == 0) return err_new(ERR_NOT_FOUND, "nothing is to be dealt anew");
    TRY(db_redeals_drop(conn, base->plan.to.epoch));
    TRY(db_redeal_proofs_drop(conn, base->plan.to.epoch));
    TRY(db_escrow_shares_drop_unfinished(conn, base->plan.to.epoch));
    for (size_t i = 0; i < job->ids_n; i++) {
        const escrow_officer_t *officer = escrow_set_officer(&base->from, job->ids[i]);
        if (!officer)
            return err_new(ERR_NOT_FOUND, "%s is no officer of set %llu", job->ids[i],
                           (unsigned long long)base->from.epoch);
        err_t *e = db_redeals_add(conn, &(db_redeal_t){.to_epoch = base->plan.to.epoch,
                                                       .dealer = officer->index,
                                                       .officer_id = officer->id,
                                                       .updated_ms = escrow_now_ms(base->escrow)});
        if (e && err_code(e) == ERR_EXISTS) {
            err_free(e);
            return err_new(ERR_INVALID, "officer %s is named twice", officer->id);
        }
        if (e) return e;
    }
    char name[32];
    (void)snprintf(name, sizeof name, "set:%lld", (long long)base->plan.to.epoch);
    return audit_note(base->escrow->o.audit, conn, base->caller->actor, "officers.replan", name,
                      NULL);
}

err_t *redeal_replan(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                     const char *const *ids, size_t ids_n) {
    replan_job_t job = {
        .base = {.escrow = escrow, .caller = caller, .arena = arena}, .ids = ids, .ids_n = ids_n};
    return db_write(escrow->o.db, replan_write, &job);
}

/* ---- the end of the old shares ---- */

err_t *redeal_kept(db_conn_t *conn, arena_t *arena, redeal_kept_t *ret_kept) {
    db_officer_set_t active;
    redeal_kept_t kept = {0};
    bool found = false;
    TRY(db_officer_sets_in_state(conn, arena, "active", &active, &found));
    if (found) {
        kept.epoch = active.epoch;
        TRY(db_escrow_count_kept(conn, active.epoch, 0, &kept.objects));
        TRY(db_redeal_proofs_count(conn, active.epoch, &kept.officers));
    }
    *ret_kept = kept;
    return NULL;
}

typedef struct {
    redeal_job_t base;
    int64_t epoch;
    escrow_signature_t signature;
    const char *text; /* the record, base64 */
    bool finished;
} finish_job_t;

static err_t *check_finish(db_conn_t *conn, const finish_job_t *job) {
    int64_t kept = 0, opened = 0;
    const redeal_plan_t *plan = &job->base.plan;
    if (job->epoch != plan->to.epoch)
        return err_new(ERR_DENIED, "the active set is %lld", (long long)plan->to.epoch);
    if (plan->left)
        return err_new(ERR_DENIED, "%lld objects are not dealt to set %lld yet",
                       (long long)plan->left, (long long)plan->to.epoch);
    TRY(db_escrow_count_kept(conn, plan->to.epoch, 0, &kept));
    if (kept == 0) return err_new(ERR_NOT_FOUND, "no shares of an earlier set are kept");
    TRY(db_escrow_count_kept(conn, plan->to.epoch, plan->to.activated_ms, &opened));
    if (opened == 0)
        return err_new(ERR_DENIED,
                       "none of the %lld objects that were dealt anew was opened since: ask for "
                       "one, approve it, open it, then say that it opens",
                       (long long)kept);
    return NULL;
}

static err_t *finish_write(db_conn_t *conn, void *arg) {
    finish_job_t *job = arg;
    redeal_job_t *base = &job->base;
    const escrow_officer_t *own = NULL;
    int64_t said = 0;
    char name[32];
    TRY(load_plan(conn, base));
    TRY(escrow_own_officer(&base->to, base->caller, &own));
    TRY(check_finish(conn, job));
    if (strcmp(own->id, job->signature.officer) != 0)
        return err_new(ERR_DENIED, "the signature is of officer %s, not yours",
                       job->signature.officer);
    TRY(escrow_finish_verify(&base->to, &job->signature));
    TRY(db_redeal_proofs_add(conn, job->epoch, own->id, escrow_now_ms(base->escrow)));
    TRY(db_redeal_proofs_count(conn, job->epoch, &said));
    job->finished = said >= base->to.threshold;
    if (job->finished) TRY(db_escrow_drop_kept(conn, job->epoch));
    (void)snprintf(name, sizeof name, "set:%lld", (long long)job->epoch);
    return audit_note(base->escrow->o.audit, conn, base->caller->actor, "officers.finish", name,
                      "officer", own->id, "old_shares", job->finished ? "deleted" : "kept",
                      "record", job->text, NULL);
}

err_t *redeal_finish(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, int64_t epoch,
                     bytes_t record, bool *ret_finished) {
    finish_job_t job = {.base = {.escrow = escrow, .caller = caller, .arena = arena},
                        .epoch = epoch};
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, 2 * LIMIT_ESCROW_RECORD);
    TRY(escrow_signature_parse(record, &job.signature));
    TRY(text_base64(record, &text));
    TRY(buf_cstr(&text, &job.text));
    err_t *e = db_write(escrow->o.db, finish_write, &job);
    if (e && err_code(e) == ERR_EXISTS) {
        err_free(e);
        return err_new(ERR_EXISTS, "you said so already and count once");
    }
    if (e) return e;
    *ret_finished = job.finished;
    return NULL;
}
