/*
 * /api/v1/recoveries: requests to reveal, officers' answers, the one opening.
 */
#include "base/limits.h"
#include "base/text.h"
#include "escrow/recovery.h"
#include "http/query.h"
#include "program/web/api_escrow.h"
#include "store/people.h"

enum { LIFE_S = 3 * 86400 };

typedef struct {
    arena_t *arena;
    const char *id;
    int64_t now_ms;
    recovery_view_t view;
    db_escrow_t now; /* the object's newest version: proof that it was replaced */
} show_job_t;

static err_t *read_one(db_conn_t *conn, void *arg) {
    show_job_t *job = arg;
    bool found = false;
    TRY(recovery_view(conn, job->arena, job->id, job->now_ms, &job->view));
    return db_escrow_get(conn, job->arena, job->view.object.id, 0, &job->now, &found);
}

/* A revealed secret is worth nothing any more once there is another. */
static err_t *replaced_json(const show_job_t *job, json_t *out) {
    bool replaced = job->now.version > job->view.object.version;
    if (replaced) TRY(jso_set_int(out, "replaced_by_version", job->now.version));
    else TRY(jso_set_null(out, "replaced_by_version"));
    return api_set_ms(out, "replaced", replaced ? job->now.created_ms : 0);
}

/* What is shown of a request in lists too. */
static err_t *brief_json(const db_recovery_t *row, const char *requester, int64_t now_ms,
                         json_t *out) {
    TRY(jso_set_str(out, "id", row->id));
    TRY(jso_set_str(out, "state", recovery_state(row, now_ms)));
    TRY(jso_set_str(out, "kind", row->kind));
    TRY(jso_set_str(out, "requester", requester));
    TRY(jso_set_str(out, "for", row->recipient));
    TRY(jso_set_str(out, "reason", row->reason));
    TRY(jso_set_str(out, "ticket", row->ticket[0] ? row->ticket : NULL));
    TRY(jso_set_int(out, "approvals", row->approvals));
    TRY(jso_set_int(out, "needed", row->threshold));
    TRY(api_set_ms(out, "created", row->created_ms));
    TRY(api_set_ms(out, "expires", row->expires_ms));
    TRY(api_set_ms(out, "decided", row->decided_ms));
    TRY(api_set_ms(out, "received", row->received_ms));
    return jso_set_str(out, "rotation", row->rotation[0] ? row->rotation : NULL);
}

static err_t *answers_json(const recovery_view_t *view, json_t *out) {
    json_t *list = NULL, *item = NULL;
    TRY(jso_set_array(out, "answers", &list));
    for (size_t i = 0; i < view->answers_n; i++) {
        const db_recovery_answer_t *answer = &view->answers[i];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "officer", answer->officer_id));
        TRY(jso_set_str(item, "person", view->answerers[i]));
        TRY(jso_set_bool(item, "approved", answer->approved));
        TRY(jso_set_bool(item, "wrong", answer->wrong));
        TRY(jso_set_str(item, "reason", answer->reason[0] ? answer->reason : NULL));
        TRY(api_set_ms(item, "when", answer->created_ms));
    }
    return NULL;
}

static err_t *view_json(const recovery_view_t *view, int64_t now_ms, json_t *out) {
    json_t *object = NULL, *hands = NULL;
    TRY(brief_json(&view->row, view->requester, now_ms, out));
    TRY(jso_set_object(out, "object", &object));
    TRY(api_object_json(&view->object, view->owner, object));
    TRY(answers_json(view, out));
    TRY(jso_set_array(out, "hands", &hands));
    for (size_t i = 0; i < view->hands_n; i++)
        TRY(jso_add_string(hands, bytes_str(view->hands[i])));
    TRY(jso_set_base64(out, "record", view->row.record));
    if (!view->has_set) return jso_set_null(out, "set_record");
    return jso_set_base64(out, "set_record", view->set.record);
}

static err_t *send_view(web_t *web, http_request_t *request, const char *id, unsigned status,
                        http_reply_t *reply) {
    show_job_t job = {.arena = request->arena, .id = id, .now_ms = clk_unix_ms(clk_real())};
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(db_read(web->db, read_one, &job));
    TRY(jso_object(&out));
    TRY(view_json(&job.view, job.now_ms, out));
    TRY(replaced_json(&job, out));
    return api_send(reply, status, out);
}

/* ---- asking and looking ---- */

err_t *api_recover_request(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    recovery_spec_t spec = {.life_s = LIFE_S};
    CLEANUP(jso_free) json_t *body = NULL;
    db_recovery_t row;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "object", "version", "for", "reason", "ticket", "recipient_key",
                 "lifetime_s", NULL));
    TRY(api_text(request, body, "object", ESCROW_ID_TEXT, true, &spec.object));
    TRY(jso_get_int(body, "version", 0, INT64_MAX, false, &spec.version));
    TRY(api_text(request, body, "for", LIMIT_NAME, true, &spec.recipient));
    TRY(api_text(request, body, "reason", LIMIT_ESCROW_REASON, true, &spec.reason));
    TRY(api_text(request, body, "ticket", LIMIT_ESCROW_TICKET, false, &spec.ticket));
    TRY(api_record(request, body, "recipient_key", ESCROW_KEY, &spec.recipient_key));
    TRY(jso_get_int(body, "lifetime_s", 60, LIMIT_ESCROW_REQUEST_S, false, &spec.life_s));
    TRY(recovery_request(web->escrow, &caller, request->arena, &spec, &row));
    return send_view(web, request, row.id, 201, reply);
}

err_t *api_recover_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    const char *id = NULL;
    TRY(api_param(request, "recovery", &id));
    return send_view(ctx, request, id, 200, reply);
}

typedef struct {
    arena_t *arena;
    const char *state;
    int64_t before;
    size_t limit;
    db_recovery_t *rows;
    const char **requesters;
    size_t count;
} list_job_t;

static err_t *read_list(db_conn_t *conn, void *arg) {
    list_job_t *job = arg;
    TRY(db_recoveries_list(conn, job->arena, job->state, job->before, job->limit, &job->rows,
                           &job->count));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->requesters, &job->requesters));
    for (size_t i = 0; i < job->count; i++) {
        db_person_t person;
        bool found = false;
        TRY(db_people_by_id(conn, job->arena, job->rows[i].requester, &person, &found));
        job->requesters[i] = found ? person.email : job->rows[i].requester;
    }
    return NULL;
}

err_t *api_recover_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    list_job_t job = {.arena = request->arena};
    int64_t now_ms = clk_unix_ms(clk_real());
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page_seq(request, 0, &job.before, &job.limit));
    TRY(api_query(request, "state", &job.state));
    TRY(db_read(web->db, read_list, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "requests", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(brief_json(&job.rows[i], job.requesters[i], now_ms, item));
    }
    if (job.count) TRY(api_set_next(out, job.count, job.limit, job.rows[job.count - 1].seq));
    return api_send(reply, 200, out);
}

/* ---- answering ---- */

err_t *api_recover_share(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL;
    db_escrow_share_t *shares = NULL;
    size_t count = 0;
    const char *id = NULL;
    TRY(api_param(request, "recovery", &id));
    TRY(recovery_share(web->escrow, &caller, request->arena, id, &shares, &count));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "shares", &list));
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_done) buf_t text;
        buf_init(&text, LIMIT_ESCROW_RECORD * 2);
        TRY(text_base64(shares[i].record, &text));
        TRY(jso_add_string(list, buf_bytes(&text)));
    }
    return api_send(reply, 200, out);
}

err_t *api_recover_approve(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    db_recovery_t row;
    bytes_t record;
    const char *id = NULL;
    TRY(api_param(request, "recovery", &id));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "record", NULL));
    TRY(api_record(request, body, "record", LIMIT_HTTP_BODY_FORM, &record));
    TRY(recovery_approve(web->escrow, &caller, request->arena, id, record, &row));
    return send_view(web, request, id, 200, reply);
}

err_t *api_recover_deny(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    const char *id = NULL, *reason = NULL;
    TRY(api_param(request, "recovery", &id));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "reason", NULL));
    TRY(api_text(request, body, "reason", LIMIT_ESCROW_REASON, false, &reason));
    TRY(recovery_deny(web->escrow, &caller, request->arena, id, reason));
    return send_view(web, request, id, 200, reply);
}

/* ---- opening ---- */

typedef struct {
    const char *id;
    bytes_t opening;
    const char *const *officers;
    size_t officers_n;
} ending_t;

static err_t *read_ending(http_request_t *request, bool officers, ending_t *ret_ending) {
    CLEANUP(jso_free) json_t *body = NULL;
    ending_t ending = {0};
    TRY(api_param(request, "recovery", &ending.id));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "opening", officers ? "officers" : NULL, NULL));
    if (officers || json_object_size(body))
        TRY(api_record(request, body, "opening", RECOVERY_OPENING, &ending.opening));
    if (officers)
        TRY(api_texts(request, body, "officers", LIMIT_ESCROW_OFFICERS, &ending.officers,
                      &ending.officers_n));
    *ret_ending = ending;
    return NULL;
}

err_t *api_recover_received(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    ending_t ending;
    TRY(read_ending(request, false, &ending));
    TRY(recovery_received(web->escrow, &caller, request->arena, ending.id, ending.opening));
    return http_reply_empty(reply, 204);
}

err_t *api_recover_wrong(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    ending_t ending;
    recovery_view_t view;
    TRY(read_ending(request, true, &ending));
    TRY(recovery_wrong(web->escrow, &caller, request->arena, ending.id, ending.opening,
                       ending.officers, ending.officers_n, &view));
    return send_view(web, request, ending.id, 200, reply);
}

err_t *api_recover_open(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL;
    recovery_view_t view;
    ending_t ending;
    TRY(read_ending(request, false, &ending));
    TRY(recovery_open(web->escrow, &caller, request->arena, ending.id, ending.opening, &view));
    TRY(jso_object(&out));
    TRY(view_json(&view, clk_unix_ms(clk_real()), out));
    TRY(jso_set_base64(out, "blob", view.object.blob));
    TRY(jso_set_base64(out, "certificates", view.object.certificates));
    TRY(jso_set_array(out, "approval_records", &list));
    for (size_t i = 0; i < view.answers_n; i++) {
        CLEANUP(buf_done) buf_t text;
        if (!view.answers[i].approved || view.answers[i].wrong) continue;
        buf_init(&text, LIMIT_ESCROW_RECORD * 2);
        TRY(text_base64(view.answers[i].record, &text));
        TRY(jso_add_string(list, buf_bytes(&text)));
    }
    return api_send(reply, 200, out);
}
