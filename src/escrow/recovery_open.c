/*
 * The end of a recovery: its one opening, by one machine, which may fetch the answer again until it
 * says that it has it; and shares that turned out wrong there. See recovery.h. coffer-web, any
 * worker thread.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "escrow/recovery_internal.h"

enum { OPENING_HEX = 2 * DIGEST_SHA256_SIZE + 1 };

typedef struct {
    recovery_job_t base;
    bytes_t opening;
    char hex[OPENING_HEX]; /* of its hash; "" for none */
    const char *const *wrong;
    size_t wrong_n;
} end_job_t;

static err_t *begin(end_job_t *job, bytes_t opening) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    CLEANUP(mem_free) char *hex = NULL;
    job->opening = opening;
    if (!opening.n) return NULL;
    if (opening.n != RECOVERY_OPENING)
        return err_new(ERR_INVALID, "an opening has %d bytes", RECOVERY_OPENING);
    TRY(digest_sha256(opening, hash));
    TRY(text_hex_new(BYTES_ARRAY(hash), &hex));
    memcpy(job->hex, hex, OPENING_HEX);
    return NULL;
}

static err_t *load_own(db_conn_t *conn, recovery_job_t *job) {
    TRY(recovery_load(conn, job));
    if (strcmp(job->caller->person_id, job->request.requester) != 0)
        return err_new(ERR_DENIED, "request %s was made by %s, who alone opens it", job->id,
                       job->view.requester);
    return NULL;
}

/* It is the machine that opened it first, and that has not said that it has it. */
static err_t *check_same(const end_job_t *job) {
    const db_recovery_t *row = &job->base.view.row;
    if (row->received_ms)
        return err_new(ERR_DENIED, "request %s was opened already, and arrived", job->base.id);
    if (!job->hex[0] || strcmp(row->opening, job->hex) != 0)
        return err_new(ERR_DENIED, "request %s was opened already, elsewhere", job->base.id);
    if (job->base.view.expired) return err_new(ERR_DENIED, "request %s has expired", job->base.id);
    return NULL;
}

/* What the row says must be what was asked for: a swapped blob or owner ends here. */
static err_t *check_object(const recovery_job_t *job) {
    escrow_object_t object;
    uint8_t hash[ESCROW_HASH], want[ESCROW_HASH], blob[ESCROW_HASH];
    TRY(escrow_object_of(&job->view.object, &object));
    TRY(escrow_object_hash(&object, hash));
    TRY(escrow_object_hash(&job->request.object, want));
    TRY(digest_sha256(job->view.object.blob, blob));
    if (memcmp(hash, want, ESCROW_HASH) != 0 ||
        memcmp(blob, job->request.blob_hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "object %s was changed after request %s was made",
                       job->view.object.id, job->id);
    return NULL;
}

static err_t *rotate(db_conn_t *conn, recovery_job_t *job) {
    const escrow_t *escrow = job->escrow;
    const char *what = escrow_rotate_after_reveal(job->view.object.kind);
    if (escrow->o.rotate)
        TRY(escrow->o.rotate(escrow->o.rotate_ctx, conn, job->arena, &job->view.object,
                             job->caller->actor, &what));
    job->view.row.rotation = what;
    return db_recoveries_set_rotation(conn, job->id, what);
}

static err_t *note_open(db_conn_t *conn, const recovery_job_t *job, const char *action) {
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, action, job->id, "object",
                      job->view.object.id, "kind", job->view.object.kind, "person",
                      job->caller->email, "for", job->view.row.recipient, "rotation",
                      job->view.row.rotation, NULL);
}

static err_t *first_open(db_conn_t *conn, end_job_t *job) {
    recovery_job_t *base = &job->base;
    db_recovery_t *row = &base->view.row;
    bool changed = false;
    TRY(recovery_check_waiting(base));
    if (row->opening[0]) TRY(check_same(job)); /* a share was wrong: the same machine goes on */
    if (row->approvals < row->threshold)
        return err_new(ERR_DENIED, "%lld of %lld approvals are there", (long long)row->approvals,
                       (long long)row->threshold);
    TRY(check_object(base));
    TRY(db_recoveries_decide(conn, base->id, "opened", base->now_ms, &changed));
    if (!changed) return err_new(ERR_DENIED, "request %s was opened already", base->id);
    TRY(db_recoveries_set_opening(conn, base->id, job->hex));
    TRY(db_escrow_set_revealed(conn, base->view.object.seq, base->now_ms));
    if (!row->rotation[0]) TRY(rotate(conn, base));
    row->state = "opened";
    row->decided_ms = base->now_ms;
    return note_open(conn, base, "recovery.open");
}

static err_t *open_write(db_conn_t *conn, void *arg) {
    end_job_t *job = arg;
    TRY(load_own(conn, &job->base));
    if (strcmp(job->base.view.row.state, "opened") != 0) return first_open(conn, job);
    TRY(check_same(job));
    TRY(check_object(&job->base));
    return note_open(conn, &job->base, "recovery.open-again");
}

err_t *recovery_open(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                     const char *id, bytes_t opening, recovery_view_t *ret_view) {
    end_job_t job = {.base = {escrow, caller, arena, id, escrow_now_ms(escrow)}};
    TRY(begin(&job, opening));
    TRY(escrow_refused(escrow, caller, "recovery.refuse-open", id,
                       db_write(escrow->o.db, open_write, &job)));
    *ret_view = job.base.view;
    return NULL;
}

static err_t *received_write(db_conn_t *conn, void *arg) {
    end_job_t *job = arg;
    const recovery_job_t *base = &job->base;
    TRY(load_own(conn, &job->base));
    if (strcmp(base->view.row.state, "opened") != 0)
        return err_new(ERR_DENIED, "request %s is not opened", base->id);
    TRY(check_same(job));
    TRY(db_recoveries_set_received(conn, base->id, base->now_ms));
    return audit_note(base->escrow->o.audit, conn, base->caller->actor, "recovery.received",
                      base->id, "person", base->caller->email, NULL);
}

err_t *recovery_received(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                         const char *id, bytes_t opening) {
    end_job_t job = {.base = {escrow, caller, arena, id, escrow_now_ms(escrow)}};
    TRY(begin(&job, opening));
    return escrow_refused(escrow, caller, "recovery.refuse-received", id,
                          db_write(escrow->o.db, received_write, &job));
}

/* ---- shares that were wrong ---- */

static err_t *set_aside(db_conn_t *conn, const recovery_job_t *job, const char *officer) {
    bool changed = false;
    TRY(db_recovery_answers_wrong(conn, job->id, officer, &changed));
    if (!changed)
        return err_new(ERR_NOT_FOUND, "officer %s approved nothing of request %s", officer,
                       job->id);
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "recovery.wrong-share",
                      job->id, "officer", officer, "person", job->caller->email, NULL);
}

static err_t *wrong_write(db_conn_t *conn, void *arg) {
    end_job_t *job = arg;
    recovery_job_t *base = &job->base;
    const db_recovery_t *row = &base->view.row;
    TRY(load_own(conn, base));
    if (strcmp(row->state, "opened") != 0)
        return err_new(ERR_DENIED, "request %s is not opened", base->id);
    TRY(check_same(job));
    for (size_t i = 0; i < job->wrong_n; i++) TRY(set_aside(conn, base, job->wrong[i]));
    /* Whose it was cannot be told: one more officer shows it. */
    int64_t needed = row->threshold + (job->wrong_n == 0);
    if (needed > (int64_t)base->set.n)
        return err_new(ERR_DENIED, "all %zu officers approved: there is nobody to ask besides",
                       base->set.n);
    TRY(db_recoveries_wait_again(conn, base->id, needed));
    return audit_note(base->escrow->o.audit, conn, base->caller->actor, "recovery.wait-again",
                      base->id, "person", base->caller->email, NULL);
}

err_t *recovery_wrong(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                      const char *id, bytes_t opening, const char *const *officers, size_t n,
                      recovery_view_t *ret_view) {
    end_job_t job = {.base = {escrow, caller, arena, id, escrow_now_ms(escrow)},
                     .wrong = officers,
                     .wrong_n = n};
    TRY(begin(&job, opening));
    TRY(escrow_refused(escrow, caller, "recovery.refuse-wrong", id,
                       db_write(escrow->o.db, wrong_write, &job)));
    *ret_view = job.base.view;
    return NULL;
}
