/*
 * See consent.h. coffer-web, any worker thread. What is refused is audited in a transaction of its
 * own, since the refused one is undone.
 */
#include "escrow/consent.h"

#include "base/limits.h"
#include "escrow/escrow_internal.h"
#include "store/mail_deliveries.h"

typedef struct {
    escrow_t *escrow;
    const escrow_caller_t *caller;
    arena_t *arena;
    const char *id;
    int64_t now_ms;
    consent_view_t view;
    escrow_set_t set;
    bytes_t record;
    escrow_signature_t signature;
    const char *reason;
} job_t;

static err_t *refused(const job_t *job, err_t *e) {
    return escrow_refused(job->escrow, job->caller, "key.refuse-consent", job->id, e);
}

/* ---- looking ---- */

const char *consent_state(const db_mail_consent_t *row, int64_t now_ms) {
    bool open = strcmp(row->state, "waiting") == 0 || strcmp(row->state, "given") == 0;
    return open && now_ms / 1000 >= row->expires ? "expired" : row->state;
}

err_t *consent_view(db_conn_t *conn, arena_t *arena, const char *id, consent_view_t *ret_view) {
    consent_view_t view = {0};
    bool found = false;
    TRY(db_mail_consents_get(conn, arena, id, &view.row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "nobody asks for consent %s", id);
    TRY(db_devices_by_id(conn, arena, view.row.device_id, &view.device, &found));
    if (!found) return err_new(ERR_VERIFY, "the device of consent %s is gone", id);
    TRY(escrow_address_of(conn, arena, view.row.person_id, &view.person));
    TRY(db_certificates_by_fingerprint(conn, arena, view.row.certificate, &view.certificate,
                                       &view.has_certificate));
    TRY(db_officer_sets_get(conn, arena, view.row.epoch, &view.set, &view.has_set));
    TRY(db_mail_consent_answers_list(conn, arena, id, &view.answers, &view.answers_n));
    TRY(arena_alloc(arena, (view.answers_n + 1) * sizeof *view.answerers, &view.answerers));
    for (size_t i = 0; i < view.answers_n; i++)
        TRY(escrow_address_of(conn, arena, view.answers[i].person_id, &view.answerers[i]));
    *ret_view = view;
    return NULL;
}

/* ---- answering ---- */

static err_t *load(db_conn_t *conn, job_t *job) {
    db_officer_set_t active;
    TRY(consent_view(conn, job->arena, job->id, &job->view));
    const db_mail_consent_t *row = &job->view.row;
    const char *state = consent_state(row, job->now_ms);
    if (strcmp(state, "waiting") != 0)
        return err_new(ERR_DENIED, "consent %s is not asked for any more: %s", job->id, state);
    TRY(escrow_active_set(conn, job->arena, &active, &job->set));
    if (active.epoch != row->epoch)
        return err_new(ERR_DENIED, "the officers changed after consent %s was asked for", job->id);
    return NULL;
}

/* The officer that the caller is: not of his own device, and once. */
static err_t *check_officer(const job_t *job, const escrow_officer_t **ret_officer) {
    const escrow_officer_t *officer = NULL;
    TRY(escrow_own_officer(&job->set, job->caller, &officer));
    if (strcmp(officer->person, job->view.row.person_id) == 0)
        return err_new(ERR_DENIED, "%s may not agree to his own device", job->caller->email);
    for (size_t i = 0; i < job->view.answers_n; i++)
        if (strcmp(job->view.answers[i].officer_id, officer->id) == 0)
            return err_new(ERR_EXISTS, "officer %s answered already and counts once", officer->id);
    *ret_officer = officer;
    return NULL;
}

static err_t *check_device(const job_t *job) {
    const db_device_t *device = &job->view.device;
    if (strcmp(device->state, "enrolled") != 0 ||
        strcmp(device->person_id, job->view.row.person_id) != 0)
        return err_new(ERR_DENIED, "the device is not enrolled for %s any more", job->view.person);
    if (!bytes_eq(device->identity, job->view.row.certificate))
        return err_new(ERR_DENIED, "the device has another identity by now");
    return NULL;
}

static err_t *check_signature(const job_t *job, const escrow_officer_t *officer) {
    const db_mail_consent_t *row = &job->view.row;
    escrow_delivery_t delivery = {.epoch = (uint64_t)row->epoch, .expires = row->expires};
    if (strcmp(job->signature.officer, officer->id) != 0)
        return err_new(ERR_DENIED, "the signature is of officer %s, not yours",
                       job->signature.officer);
    if (row->certificate.n != ESCROW_HASH)
        return err_new(ERR_VERIFY, "consent %s was changed", job->id);
    TRY(escrow_set_text(delivery.person, sizeof delivery.person, row->person_id, "person"));
    TRY(escrow_set_text(delivery.mailboxes, sizeof delivery.mailboxes, row->mailboxes,
                        "mailboxes"));
    memcpy(delivery.certificate, row->certificate.p, ESCROW_HASH);
    return escrow_delivery_verify(&job->set, &delivery, &job->signature, 1, 1);
}

static err_t *keep_answer(db_conn_t *conn, const job_t *job, const escrow_officer_t *officer,
                          bool approved) {
    return db_mail_consent_answers_add(
        conn, &(db_mail_consent_answer_t){.consent_id = job->id,
                                          .officer_id = officer->id,
                                          .person_id = officer->person,
                                          .approved = approved,
                                          .record = approved ? job->record : BYTES_NONE,
                                          .reason = approved ? "" : job->reason,
                                          .created_ms = job->now_ms});
}

static err_t *approve_write(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    const escrow_officer_t *officer = NULL;
    bool changed = false;
    TRY(load(conn, job));
    TRY(check_officer(job, &officer));
    TRY(escrow_check_hands(conn, job->view.row.person_id, job->view.person, officer));
    TRY(check_device(job));
    TRY(check_signature(job, officer));
    TRY(keep_answer(conn, job, officer, true));
    if (job->view.row.consents + 1 >= ESCROW_DELIVERY_CONSENTS) {
        TRY(db_mail_consents_decide(conn, job->id, "waiting", "given", job->now_ms, &changed));
        TRY(db_mail_deliveries_due_now(conn, job->view.row.device_id, job->now_ms));
    }
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "key.consent", job->id,
                      "officer", officer->id, "person", job->caller->email, "owner",
                      job->view.person, "device", job->view.device.enrolment_key, NULL);
}

err_t *consent_approve(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena,
                       const char *id, bytes_t record, const char **ret_person) {
    job_t job = {.escrow = escrow,
                 .caller = caller,
                 .arena = arena,
                 .id = id,
                 .now_ms = escrow_now_ms(escrow),
                 .record = record};
    TRY(escrow_signature_parse(record, &job.signature));
    TRY(refused(&job, db_write(escrow->o.db, approve_write, &job)));
    *ret_person = job.view.row.person_id;
    return NULL;
}

static err_t *deny_write(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    const escrow_officer_t *officer = NULL;
    bool changed = false;
    TRY(load(conn, job));
    TRY(check_officer(job, &officer));
    TRY(keep_answer(conn, job, officer, false));
    TRY(db_mail_consents_decide(conn, job->id, "waiting", "denied", job->now_ms, &changed));
    TRY(db_mail_deliveries_denied(conn, job->view.row.device_id, "an officer said no",
                                  job->now_ms));
    return audit_note(job->escrow->o.audit, conn, job->caller->actor, "key.deny-consent", job->id,
                      "officer", officer->id, "person", job->caller->email, "reason", job->reason,
                      NULL);
}

err_t *consent_deny(escrow_t *escrow, const escrow_caller_t *caller, arena_t *arena, const char *id,
                    const char *reason) {
    job_t job = {.escrow = escrow,
                 .caller = caller,
                 .arena = arena,
                 .id = id,
                 .now_ms = escrow_now_ms(escrow),
                 .reason = reason};
    return refused(&job, db_write(escrow->o.db, deny_write, &job));
}
