/*
 * /api/v1/mail-consents: what officers are asked before a person's mail keys go to a new device.
 */
#include "base/limits.h"
#include "escrow/consent.h"
#include "program/web/api_escrow.h"

typedef struct {
    arena_t *arena;
    const char *id, *state;
    int64_t before, now_ms;
    size_t limit;
    db_mail_consent_t *rows;
    consent_view_t *views;
    size_t count;
} job_t;

static err_t *brief_json(const consent_view_t *view, int64_t now_ms, json_t *out) {
    const db_mail_consent_t *row = &view->row;
    json_t *device = NULL;
    TRY(jso_set_str(out, "id", row->id));
    TRY(jso_set_str(out, "state", consent_state(row, now_ms)));
    TRY(jso_set_str(out, "person", view->person));
    TRY(jso_set_object(out, "device", &device));
    TRY(jso_set_str(device, "id", row->device_id));
    TRY(jso_set_str(device, "serial_number", view->device.serial_number));
    TRY(jso_set_str(device, "product", view->device.product));
    TRY(jso_set_str(device, "name", view->device.name));
    TRY(jso_set_int(out, "consents", row->consents));
    TRY(jso_set_int(out, "needed", ESCROW_DELIVERY_CONSENTS));
    TRY(api_set_ms(out, "created", row->created_ms));
    TRY(api_set_ms(out, "expires", row->expires * 1000));
    return api_set_ms(out, "decided", row->decided_ms);
}

static err_t *view_json(const consent_view_t *view, int64_t now_ms, json_t *out) {
    json_t *list = NULL, *item = NULL;
    TRY(brief_json(view, now_ms, out));
    TRY(jso_set_str(out, "person_id", view->row.person_id));
    TRY(jso_set_str(out, "mailboxes", view->row.mailboxes));
    TRY(jso_set_int(out, "epoch", view->row.epoch));
    TRY(jso_set_int(out, "expires_unix", view->row.expires));
    TRY(api_set_hex(out, "fingerprint", view->row.certificate));
    if (view->has_certificate) TRY(jso_set_base64(out, "certificate", view->certificate.der));
    else TRY(jso_set_null(out, "certificate"));
    TRY(jso_set_array(out, "answers", &list));
    for (size_t i = 0; i < view->answers_n; i++) {
        const db_mail_consent_answer_t *answer = &view->answers[i];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "officer", answer->officer_id));
        TRY(jso_set_str(item, "person", view->answerers[i]));
        TRY(jso_set_bool(item, "approved", answer->approved));
        TRY(jso_set_str(item, "reason", answer->reason[0] ? answer->reason : NULL));
        TRY(api_set_ms(item, "when", answer->created_ms));
    }
    if (!view->has_set) return jso_set_null(out, "set_record");
    return jso_set_base64(out, "set_record", view->set.record);
}

static err_t *read_one(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    TRY(arena_alloc(job->arena, sizeof *job->views, &job->views));
    return consent_view(conn, job->arena, job->id, job->views);
}

static err_t *send_view(web_t *web, http_request_t *request, const char *id, http_reply_t *reply) {
    job_t job = {.arena = request->arena, .id = id};
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(db_read(web->db, read_one, &job));
    TRY(jso_object(&out));
    TRY(view_json(job.views, clk_unix_ms(clk_real()), out));
    return api_send(reply, 200, out);
}

err_t *api_mail_consents_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    const char *id = NULL;
    TRY(api_param(request, "consent", &id));
    return send_view(ctx, request, id, reply);
}

static err_t *read_list(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    TRY(db_mail_consents_list(conn, job->arena, job->state, job->before, job->limit, &job->rows,
                              &job->count));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->views, &job->views));
    for (size_t i = 0; i < job->count; i++)
        TRY(consent_view(conn, job->arena, job->rows[i].id, &job->views[i]));
    return NULL;
}

err_t *api_mail_consents_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = {.arena = request->arena, .now_ms = clk_unix_ms(clk_real())};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page_seq(request, 0, &job.before, &job.limit));
    TRY(api_query(request, "state", &job.state));
    TRY(db_read(web->db, read_list, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "requests", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(brief_json(&job.views[i], job.now_ms, item));
    }
    if (job.count) TRY(api_set_next(out, job.count, job.limit, job.rows[job.count - 1].seq));
    return api_send(reply, 200, out);
}

/* ---- answering ---- */

err_t *api_mail_consents_approve(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    const char *id = NULL, *person = NULL;
    bytes_t record;
    size_t count = 0;
    TRY(api_param(request, "consent", &id));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "record", NULL));
    TRY(api_record(request, body, "record", LIMIT_ESCROW_RECORD, &record));
    TRY(consent_approve(web->escrow, &caller, request->arena, id, record, &person));
    log_error(&web->log, LOG_WARNING, devices_mail_deliver(web->devices, person, &count),
              "mail keys for devices");
    return send_view(web, request, id, reply);
}

err_t *api_mail_consents_deny(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    const char *id = NULL, *reason = NULL;
    TRY(api_param(request, "consent", &id));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "reason", NULL));
    TRY(api_text(request, body, "reason", LIMIT_ESCROW_REASON, false, &reason));
    TRY(consent_deny(web->escrow, &caller, request->arena, id, reason));
    return send_view(web, request, id, reply);
}
