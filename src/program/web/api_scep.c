/*
 * /api/v1/scep: requests that wait for approval, and the trace of what SCEP clients sent.
 */
#include "base/limits.h"
#include "base/text.h"
#include "http/query.h"
#include "pki/pending.h"
#include "program/web/api.h"
#include "store/scep.h"

/* ---- waiting for approval ---- */

typedef struct {
    arena_t *arena;
    const char *after;
    const char *state;
    size_t limit;
    db_scep_pending_t *rows;
    size_t count;
} pending_job_t;

static err_t *read_pending(db_conn_t *conn, void *arg) {
    pending_job_t *job = arg;
    return db_scep_pending_list(conn, job->arena, job->state, job->after, job->limit, &job->rows,
                                &job->count);
}

static err_t *pending_json(const db_scep_pending_t *row, json_t *out) {
    TRY(jso_set_str(out, "id", row->id));
    TRY(jso_set_str(out, "state", row->state));
    TRY(jso_set_str(out, "profile", row->profile));
    TRY(jso_set_str(out, "subject", row->subject));
    TRY(jso_set_str(out, "names", row->names));
    TRY(jso_set_str(out, "udid", row->udid));
    TRY(jso_set_str(out, "enrolment", row->enrolment_id));
    TRY(jso_set_bool(out, "renewal", row->renewed_from.n != 0));
    TRY(jso_set_str(out, "peer", row->peer));
    TRY(jso_set_str(out, "reason", row->reason));
    TRY(jso_set_str(out, "decided_by", row->decided_by));
    TRY(api_set_ms(out, "created", row->created_ms));
    TRY(api_set_ms(out, "expires", row->expires_ms));
    return api_set_ms(out, "decided", row->decided_ms);
}

err_t *api_scep_pending_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    bool all = false;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_flag(request, "all", &all));
    pending_job_t job = {.arena = request->arena, .state = all ? "" : "waiting"};
    TRY(api_page(request, &job.after, &job.limit));
    TRY(db_read(web->db, read_pending, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "requests", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(pending_json(&job.rows[i], item));
    }
    if (job.count == job.limit) TRY(jso_set_str(out, "next", job.rows[job.count - 1].id));
    return api_send(reply, 200, out);
}

err_t *api_scep_approve(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *id = NULL;
    TRY(api_param(request, "id", &id));
    TRY(pki_pending_approve(web->pki, id, web_caller(request)->actor));
    return http_reply_empty(reply, 204);
}

err_t *api_scep_deny(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *id = NULL;
    bytes_t reason = BYTES_LIT(""), copy;
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(api_param(request, "id", &id));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "reason", NULL));
    TRY(jso_get_string(body, "reason", LIMIT_SCEP_REASON, false, &reason));
    TRY(arena_copy(request->arena, reason, &copy));
    TRY(pki_pending_deny(web->pki, id, (const char *)copy.p, web_caller(request)->actor));
    return http_reply_empty(reply, 204);
}

/* ---- the trace ---- */

typedef struct {
    arena_t *arena;
    const char *about; /* what a person typed: a device, a transaction, a key, an address */
    const char *enrolment_id, *udid, *text;
    int64_t before;
    size_t limit;
    db_scep_trace_t *rows;
    size_t count;
} trace_job_t;

static err_t *find_device(db_conn_t *conn, trace_job_t *job) {
    db_device_t device;
    db_certificate_t cert;
    bool found = false;
    if (!job->about[0]) return NULL;
    err_t *e = db_devices_find(conn, job->arena, job->about, &device, &found);
    if (e) return e;
    job->text = job->about;
    job->udid = found ? device.udid : job->about; /* also of one that never came through */
    if (!found) return NULL;
    TRY(db_certificates_by_fingerprint(conn, job->arena, device.identity, &cert, &found));
    if (found) job->enrolment_id = cert.enrolment_id;
    return NULL;
}

static err_t *read_trace(db_conn_t *conn, void *arg) {
    trace_job_t *job = arg;
    TRY(find_device(conn, job));
    return db_scep_trace_list(conn, job->arena, job->enrolment_id, job->udid, job->text,
                              job->before, job->limit, &job->rows, &job->count);
}

static err_t *trace_json(const db_scep_trace_t *row, json_t *out) {
    TRY(jso_set_int(out, "seq", row->seq));
    TRY(api_set_ms(out, "time", row->unix_ms));
    TRY(jso_set_str(out, "about", row->about));
    TRY(jso_set_str(out, "peer", row->peer));
    TRY(jso_set_str(out, "transaction", row->transaction_id));
    TRY(jso_set_str(out, "message", row->message));
    TRY(jso_set_str(out, "signer", row->signer));
    TRY(jso_set_str(out, "subject", row->subject));
    TRY(jso_set_str(out, "algorithms", row->algorithms));
    TRY(jso_set_str(out, "profile", row->profile));
    TRY(jso_set_str(out, "enrolment", row->enrolment_id));
    TRY(jso_set_str(out, "udid", row->udid));
    TRY(jso_set_str(out, "outcome", row->outcome));
    TRY(jso_set_str(out, "fail_info", row->fail_info));
    TRY(jso_set_str(out, "problem", row->problem));
    TRY(jso_set_str(out, "does_next", row->next));
    return jso_set_str(out, "serial", row->serial);
}

static err_t *trace_query(http_request_t *request, trace_job_t *job) {
    CLEANUP(buf_done) buf_t about;
    const char *after = NULL;
    bool found = false;
    bytes_t copy;
    buf_init(&about, LIMIT_SCEP_TRANSACTION_ID);
    TRY(api_page(request, &after, &job->limit));
    if (after[0]) TRY(text_i64(bytes_str(after), &job->before));
    TRY(http_query_get(request->raw_query, "about", HTTP_PLUS_KEPT, &about, &found));
    TRY(arena_copy(request->arena, buf_bytes(&about), &copy));
    job->about = (const char *)copy.p;
    return NULL;
}

err_t *api_scep_trace(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    trace_job_t job = {
        .arena = request->arena, .enrolment_id = "", .udid = "", .text = "", .before = INT64_MAX};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(trace_query(request, &job));
    TRY(db_read(web->db, read_trace, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "requests", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(trace_json(&job.rows[i], item));
    }
    return api_send(reply, 200, out);
}
