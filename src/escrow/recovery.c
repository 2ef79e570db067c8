/*
 * Recovery requests: see recovery.h. coffer-web, any worker thread. What is refused is audited in a
 * transaction of its own, since the refused one is undone.
 */
#include "base/limits.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "escrow/recovery_internal.h"
#include "keeper/escrow_recipient.h"
#include "store/hands.h"

enum { RECOVERY_HANDS_SHOWN = 100 };

static err_t *refused(const recovery_job_t *job, const char *action, err_t *e) {
    return escrow_refused(job->escrow, job->caller, action, job->id, e);
}

/* ---- looking ---- */

const char *recovery_state(const db_recovery_t *row, int64_t now_ms) {
    if (strcmp(row->state, "waiting") != 0)
        return strcmp(row->state, "opened") == 0 ? "opened" : "denied";
    if (now_ms >= row->expires_ms) return "expired";
    return row->approvals >= row->threshold ? "approved" : "waiting";
}

/* Who could have asked in the requester's name. */
static err_t *view_hands(db_conn_t *conn, arena_t *arena, recovery_view_t *view) {
    TRY(db_hands_of(conn, arena, view->row.requester, RECOVERY_HANDS_SHOWN, &view->hands,
                    &view->hands_n));
    for (size_t i = 0; i < view->hands_n; i++)
        TRY(escrow_address_of(conn, arena, view->hands[i], &view->hands[i]));
    return NULL;
}

err_t *recovery_view(db_conn_t *conn, arena_t *arena, const char *id, int64_t now_ms,
                     recovery_view_t *ret_view) {
    recovery_view_t view = {0};
    escrow_request_t request;
    bool found = false;
    TRY(db_recoveries_get(conn, arena, id, &view.row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no recovery request %s", id);
    TRY(db_escrow_by_seq(conn, arena, view.row.object_seq, &view.object, &found));
    if (!found) return err_new(ERR_VERIFY, "the object of request %s is gone", id);
    TRY(escrow_request_parse(view.row.record, &request));
    TRY(db_officer_sets_get(conn, arena, (int64_t)request.epoch, &view.set, &view.has_set));
    TRY(escrow_address_of(conn, arena, view.row.requester, &view.requester));
    TRY(escrow_address_of(conn, arena, view.object.owner, &view.owner));
    TRY(db_recovery_answers_list(conn, arena, id, &view.answers, &view.answers_n));
    TRY(arena_alloc(arena, (view.answers_n + 1) * sizeof *view.answerers, &view.answerers));
    for (size_t i = 0; i < view.answers_n; i++)
        TRY(escrow_address_of(conn, arena, view.answers[i].person_id, &view.answerers[i]));
    TRY(view_hands(conn, arena, &view));
    view.expired = now_ms >= view.row.expires_ms;
    *ret_view = view;
    return NULL;
}

err_t *recovery_load(db_conn_t *conn, recovery_job_t *job) {
    uint8_t hash[ESCROW_HASH];
    TRY(recovery_view(conn, job->arena, job->id, job->now_ms, &job->view));
    TRY(escrow_request_parse(job->view.row.record, &job->request));
    TRY(escrow_request_hash(&job->request, hash));
    if (!bytes_eq(job->view.row.hash, BYTES_ARRAY(hash)))
        return err_new(ERR_VERIFY, "request %s was changed after it was made", job->id);
    if (!job->view.has_set)
        return err_new(ERR_VERIFY, "the officers' set of request %s is gone", job->id);
    return escrow_set_parse(job->view.set.record, &job->set);
}

err_t *recovery_check_waiting(const recovery_job_t *job) {
    if (strcmp(job->view.row.state, "waiting") != 0)
        return err_new(ERR_DENIED, "request %s was %s already", job->id, job->view.row.state);
    if (job->view.expired) return err_new(ERR_DENIED, "request %s has expired", job->id);
    return NULL;
}

/* ---- asking ---- */

typedef struct {
    recovery_job_t base;
    const recovery_spec_t *spec;
    db_recovery_t row;
    char id_text[ESCROW_ID_TEXT];
} request_job_t;

static err_t *fill_request(request_job_t *job, const db_escrow_t *object) {
    escrow_request_t *request = &job->base.request;
    const recovery_spec_t *spec = job->spec;
    TRY(rnd_fill(job->base.escrow->o.rnd, request->id, sizeof request->id));
    escrow_id_text(request->id, job->id_text);
    TRY(escrow_object_of(object, &request->object));
    TRY(digest_sha256(object->blob, request->blob_hash));
    TRY(escrow_set_hash(&job->base.set, request->set_hash));
    request->epoch = job->base.set.epoch;
    request->threshold = job->base.set.threshold;
    TRY(escrow_set_text(request->requester, sizeof request->requester, job->base.caller->person_id,
                        "requester"));
    TRY(escrow_set_text(request->recipient, sizeof request->recipient, spec->recipient,
                        "recipient"));
    TRY(escrow_set_text(request->reason, sizeof request->reason, spec->reason, "reason"));
    TRY(escrow_set_text(request->ticket, sizeof request->ticket, spec->ticket, "ticket"));
    memcpy(request->recipient_key, spec->recipient_key.p, ESCROW_KEY);
    request->created = job->base.now_ms / 1000;
    request->expires = request->created + spec->life_s;
    return NULL;
}

/* A token that the instance's own token made in somebody's name was in anybody's hands. */
static err_t *check_asker(const recovery_job_t *job) {
    if (!job->caller->person_id[0])
        return err_new(ERR_DENIED, "recovery is asked for by a person: log in with coffer login "
                                   "EMAIL, as an admin");
    if (job->caller->not_hers)
        return err_new(ERR_DENIED,
                       "this token was made with the instance's own token, not by %s: make one by "
                       "coffer login %s and ask with that",
                       job->caller->email, job->caller->email);
    return NULL;
}

static err_t *find_object(db_conn_t *conn, request_job_t *job, db_escrow_t *ret_object) {
    db_officer_set_t set_row;
    bool found = false;
    TRY(check_asker(&job->base));
    TRY(escrow_active_set(conn, job->base.arena, &set_row, &job->base.set));
    TRY(db_escrow_get(conn, job->base.arena, job->spec->object, job->spec->version, ret_object,
                      &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no escrow object %s", job->spec->object);
    if (ret_object->epoch == 0)
        return err_new(ERR_DENIED, "object %s is not dealt to officers yet", ret_object->id);
    if (ret_object->epoch != (int64_t)job->base.set.epoch)
        return err_new(ERR_DENIED,
                       "object %s is still dealt to officers' set %lld: finish coffer officer "
                       "redeal first",
                       ret_object->id, (long long)ret_object->epoch);
    return NULL;
}

/* If it was not she who asked, she hears of it. */
static err_t *tell_requester(db_conn_t *conn, const request_job_t *job) {
    const notify_t *notify = job->base.escrow->o.notify;
    const char *email = job->base.caller->email, *body = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, 4 * LIMIT_ESCROW_REASON);
    if (!notify) return NULL;
    TRY(buf_printf(&text,
                   "A recovery for %s was asked for in your name.\n\nReason: %s\n\nIf that was "
                   "not you, call the recovery officers now: one of them ends it with\ncoffer "
                   "recover deny %s\n",
                   job->spec->recipient, job->spec->reason, job->id_text));
    TRY(buf_cstr(&text, &body));
    return notify_mail(notify, conn, email,
                       &(notice_t){.event = "recovery.asked-by-you",
                                   .key = job->id_text,
                                   .subject = "A recovery was asked for in your name",
                                   .text = body});
}

/* Officers hear of it; what was asked for and the code they get from who asked. */
static err_t *tell_officers(db_conn_t *conn, const request_job_t *job) {
    const notify_t *notify = job->base.escrow->o.notify;
    const escrow_set_t *set = &job->base.set;
    CLEANUP(buf_done) buf_t text;
    const char *body = NULL;
    buf_init(&text, 4 * LIMIT_ESCROW_REASON);
    if (!notify) return NULL;
    TRY(buf_printf(&text,
                   "%s asks for a recovery for %s.\n\nReason: %s\n\nLook at it on your own "
                   "machine: coffer recover approve %s --key FILE\n",
                   job->base.caller->email, job->spec->recipient, job->spec->reason, job->id_text));
    TRY(buf_cstr(&text, &body));
    notice_t notice = {.event = "recovery.requested",
                       .key = job->id_text,
                       .subject = "A recovery waits for officers",
                       .text = body};
    for (size_t i = 0; i < set->n; i++) {
        const char *email = NULL;
        TRY(escrow_address_of(conn, job->base.arena, set->officers[i].person, &email));
        TRY(notify_mail(notify, conn, email, &notice));
    }
    return NULL;
}

static err_t *request_write(db_conn_t *conn, void *arg) {
    request_job_t *job = arg;
    db_escrow_t object;
    uint8_t hash[ESCROW_HASH];
    int64_t waiting = 0;
    CLEANUP(buf_done) buf_t record;
    bytes_t copy, hash_copy;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(db_recoveries_count_waiting(conn, job->base.now_ms, &waiting));
    if (waiting >= LIMIT_ESCROW_OPEN_REQUESTS)
        return err_new(ERR_LIMIT, "%lld recovery requests wait already", (long long)waiting);
    TRY(find_object(conn, job, &object));
    TRY(fill_request(job, &object));
    TRY(escrow_request_put(&job->base.request, &record));
    TRY(escrow_request_hash(&job->base.request, hash));
    TRY(arena_copy(job->base.arena, buf_bytes(&record), &copy));
    TRY(arena_copy(job->base.arena, BYTES_ARRAY(hash), &hash_copy));
    job->row = (db_recovery_t){.id = job->id_text,
                               .object_seq = object.seq,
                               .kind = object.kind,
                               .requester = job->base.caller->person_id,
                               .recipient = job->spec->recipient,
                               .reason = job->spec->reason,
                               .ticket = job->spec->ticket,
                               .state = "waiting",
                               .threshold = job->base.set.threshold,
                               .record = copy,
                               .hash = hash_copy,
                               .rotation = "",
                               .created_ms = job->base.request.created * 1000,
                               .expires_ms = job->base.request.expires * 1000};
    TRY(db_recoveries_add(conn, &job->row));
    TRY(tell_officers(conn, job));
    TRY(tell_requester(conn, job));
    return audit_note(job->base.escrow->o.audit, conn, job->base.caller->actor, "recovery.request",
                      job->id_text, "object", object.id, "kind", object.kind, "person",
                      job->base.caller->email, "for", job->spec->recipient, "reason",
                      job->spec->reason, "ticket", job->spec->ticket, NULL);
}

err_t *recovery_request(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                        const recovery_spec_t *spec, db_recovery_t *ret_row) {
    request_job_t job = {.base = {.escrow = escrow,
                                  .caller = caller,
                                  .arena = arena,
                                  .id = spec->object,
                                  .now_ms = escrow_now_ms(escrow)},
                         .spec = spec};
    bytes_t id;
    if (!spec->reason[0] || !spec->recipient[0])
        return err_new(ERR_INVALID, "a recovery needs a reason and whom it is for");
    if (spec->recipient_key.n != ESCROW_KEY)
        return err_new(ERR_INVALID, "the recipient's key has %d bytes", ESCROW_KEY);
    if (spec->life_s < 60 || spec->life_s > LIMIT_ESCROW_REQUEST_S)
        return err_new(ERR_LIMIT, "a request waits 60 seconds to %d days",
                       LIMIT_ESCROW_REQUEST_S / 86400);
    err_t *e = db_write(escrow->o.db, request_write, &job);
    if (e) return refused(&job.base, "recovery.refuse-request", e);
    TRY(arena_copy(arena, bytes_str(job.id_text), &id));
    job.row.id = (const char *)id.p;
    *ret_row = job.row;
    return NULL;
}

/* ---- an officer's part ---- */

/* The officer that the caller is; nobody decides on what he asked for or is to get himself. */
static err_t *check_officer(db_conn_t *conn, const recovery_job_t *job,
                            const escrow_officer_t **ret_officer) {
    const escrow_officer_t *officer = NULL;
    TRY(escrow_own_officer(&job->set, job->caller, &officer));
    if (strcmp(officer->person, job->request.requester) == 0)
        return err_new(ERR_DENIED, "%s asked for it and can't approve it too", job->caller->email);
    if (escrow_recipient_names(job->request.recipient, job->caller->email) ||
        escrow_recipient_names(job->request.recipient, officer->person))
        return err_new(ERR_DENIED, "%s is to get it and can't approve it too", job->caller->email);
    TRY(escrow_check_hands(conn, job->request.requester, job->view.requester, officer));
    *ret_officer = officer;
    return NULL;
}

static err_t *check_not_answered(const recovery_job_t *job, const escrow_officer_t *officer) {
    for (size_t i = 0; i < job->view.answers_n; i++)
        if (strcmp(job->view.answers[i].officer_id, officer->id) == 0 ||
            strcmp(job->view.answers[i].person_id, officer->person) == 0)
            return err_new(ERR_EXISTS, "officer %s answered already and counts once", officer->id);
    return NULL;
}

/* The object's shares must still be those of the request's set. */
static err_t *load_shares(db_conn_t *conn, const recovery_job_t *job,
                          const escrow_officer_t *officer, db_escrow_share_t **ret_shares,
                          size_t *ret_count) {
    if (job->view.object.epoch != (int64_t)job->request.epoch)
        return err_new(ERR_DENIED,
                       "the officers changed after request %s was made: it must be asked for again",
                       job->id);
    TRY(db_escrow_shares_of(conn, job->arena, job->view.object.seq, job->view.object.epoch,
                            officer->index, ret_shares, ret_count));
    if (*ret_count == 0)
        return err_new(ERR_VERIFY, "officer %s has no share of object %s", officer->id,
                       job->view.object.id);
    return NULL;
}

typedef struct {
    recovery_job_t base;
    db_escrow_share_t *shares;
    size_t count;
} share_job_t;

static err_t *share_read(db_conn_t *conn, void *arg) {
    share_job_t *job = arg;
    const escrow_officer_t *officer = NULL;
    TRY(recovery_load(conn, &job->base));
    TRY(recovery_check_waiting(&job->base));
    TRY(check_officer(conn, &job->base, &officer));
    return load_shares(conn, &job->base, officer, &job->shares, &job->count);
}

err_t *recovery_share(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                      const char *id, db_escrow_share_t **ret_shares, size_t *ret_count) {
    share_job_t job = {.base = {.escrow = escrow,
                                .caller = caller,
                                .arena = arena,
                                .id = id,
                                .now_ms = escrow_now_ms(escrow)}};
    err_t *e = db_read(escrow->o.db, share_read, &job);
    if (e) return refused(&job.base, "recovery.refuse-share", e);
    *ret_shares = job.shares;
    *ret_count = job.count;
    return NULL;
}

typedef struct {
    recovery_job_t base;
    escrow_approval_t approval;
    bytes_t record;
} approve_job_t;

/* A share that one dealer dealt has the check value that it was dealt with. */
static err_t *check_share(const approve_job_t *job, const db_escrow_share_t *shares, size_t count) {
    escrow_share_t share;
    TRY(escrow_share_parse(shares[0].record, &share));
    if (count == 1 && share.dealer == 0 &&
        memcmp(share.check, job->approval.check, sizeof share.check) != 0)
        return err_new(ERR_VERIFY, "the share of officer %s is not the one that was dealt",
                       job->approval.officer);
    return NULL;
}

static err_t *approve_write(db_conn_t *conn, void *arg) {
    approve_job_t *job = arg;
    recovery_job_t *base = &job->base;
    const escrow_officer_t *officer = NULL;
    db_escrow_share_t *shares = NULL;
    size_t count = 0;
    TRY(recovery_load(conn, base));
    TRY(recovery_check_waiting(base));
    TRY(check_officer(conn, base, &officer));
    if (strcmp(officer->id, job->approval.officer) != 0)
        return err_new(ERR_DENIED, "the approval is of officer %s, not yours",
                       job->approval.officer);
    TRY(check_not_answered(base, officer));
    TRY(escrow_approval_verify(&base->request, &base->set, &job->approval));
    TRY(load_shares(conn, base, officer, &shares, &count));
    TRY(check_share(job, shares, count));
    TRY(db_recovery_answers_add(conn, &(db_recovery_answer_t){.recovery_id = base->id,
                                                              .officer_id = officer->id,
                                                              .person_id = officer->person,
                                                              .approved = true,
                                                              .record = job->record,
                                                              .reason = "",
                                                              .created_ms = base->now_ms}));
    base->view.row.approvals++;
    return audit_note(base->escrow->o.audit, conn, base->caller->actor, "recovery.approve",
                      base->id, "officer", officer->id, "person", base->caller->email, NULL);
}

err_t *recovery_approve(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                        const char *id, bytes_t record, db_recovery_t *ret_row) {
    approve_job_t job = {.base = {.escrow = escrow,
                                  .caller = caller,
                                  .arena = arena,
                                  .id = id,
                                  .now_ms = escrow_now_ms(escrow)},
                         .record = record};
    TRY(escrow_approval_parse(record, &job.approval));
    TRY(refused(&job.base, "recovery.refuse-approval",
                db_write(escrow->o.db, approve_write, &job)));
    *ret_row = job.base.view.row;
    return NULL;
}

typedef struct {
    recovery_job_t base;
    const char *reason;
} deny_job_t;

static err_t *deny_write(db_conn_t *conn, void *arg) {
    deny_job_t *job = arg;
    recovery_job_t *base = &job->base;
    const escrow_officer_t *officer = NULL;
    bool changed = false;
    TRY(recovery_load(conn, base));
    TRY(recovery_check_waiting(base));
    TRY(escrow_own_officer(&base->set, base->caller, &officer));
    TRY(check_not_answered(base, officer));
    TRY(db_recovery_answers_add(conn, &(db_recovery_answer_t){.recovery_id = base->id,
                                                              .officer_id = officer->id,
                                                              .person_id = officer->person,
                                                              .reason = job->reason,
                                                              .created_ms = base->now_ms}));
    TRY(db_recoveries_decide(conn, base->id, "denied", base->now_ms, &changed));
    return audit_note(base->escrow->o.audit, conn, base->caller->actor, "recovery.deny", base->id,
                      "officer", officer->id, "person", base->caller->email, "reason", job->reason,
                      NULL);
}

err_t *recovery_deny(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                     const char *id, const char *reason) {
    deny_job_t job = {.base = {.escrow = escrow,
                               .caller = caller,
                               .arena = arena,
                               .id = id,
                               .now_ms = escrow_now_ms(escrow)},
                      .reason = reason};
    return refused(&job.base, "recovery.refuse-denial", db_write(escrow->o.db, deny_write, &job));
}
