/*
 * /api/v1/officers: recovery officers, their sets, and re-dealing from one to the next.
 */
#include "base/limits.h"
#include "base/text.h"
#include "escrow/officer_drill.h"
#include "escrow/officers.h"
#include "escrow/redeal.h"
#include "http/query.h"
#include "program/web/api_escrow.h"

typedef struct {
    arena_t *arena;
    officers_view_t view;
    redeal_plan_t plan;
    redeal_kept_t kept;
    bool has_plan;
} view_job_t;

static err_t *read_view(db_conn_t *conn, void *arg) {
    view_job_t *job = arg;
    TRY(officers_view(conn, job->arena, &job->view));
    TRY(redeal_kept(conn, job->arena, &job->kept));
    return redeal_plan(conn, job->arena, &job->plan, &job->has_plan);
}

static err_t *set_json(const db_officer_set_t *set, json_t *out) {
    TRY(jso_set_int(out, "epoch", set->epoch));
    TRY(jso_set_int(out, "threshold", set->threshold));
    TRY(jso_set_int(out, "officers", set->officers));
    TRY(jso_set_str(out, "state", set->state));
    TRY(api_set_hex(out, "hash", set->hash));
    TRY(jso_set_str(out, "created_by", set->created_by));
    TRY(api_set_ms(out, "created", set->created_ms));
    return api_set_ms(out, "activated", set->activated_ms);
}

static err_t *index_json(json_t *out, const char *name, int64_t index) {
    return index ? jso_set_int(out, name, index) : jso_set_null(out, name);
}

static err_t *officer_json(const officers_line_t *line, json_t *out) {
    TRY(jso_set_str(out, "id", line->row.id));
    TRY(jso_set_str(out, "person", line->email));
    TRY(index_json(out, "index", line->active_index));
    TRY(index_json(out, "proposed_index", line->proposed_index));
    TRY(api_set_hex(out, "fingerprint", line->row.fingerprint));
    TRY(api_set_ms(out, "created", line->row.created_ms));
    return api_set_ms(out, "removed", line->row.removed_ms);
}

static err_t *progress_json(const redeal_plan_t *plan, json_t *out) {
    json_t *dealers = NULL, *item = NULL;
    TRY(jso_set_int(out, "from", plan->from.epoch));
    TRY(jso_set_int(out, "to", plan->to.epoch));
    TRY(jso_set_int(out, "left", plan->left));
    TRY(jso_set_array(out, "dealers", &dealers));
    for (size_t i = 0; i < plan->dealers_n; i++) {
        TRY(jso_add_object(dealers, &item));
        TRY(jso_set_str(item, "officer", plan->dealers[i].officer_id));
        TRY(jso_set_int(item, "index", plan->dealers[i].dealer));
        TRY(jso_set_int(item, "done", plan->dealers[i].done));
        TRY(api_set_ms(item, "updated", plan->dealers[i].updated_ms));
    }
    return NULL;
}

static err_t *sets_json(const view_job_t *job, json_t *out) {
    json_t *set = NULL, *signatures = NULL;
    if (job->view.has_active) {
        TRY(jso_set_object(out, "set", &set));
        TRY(set_json(&job->view.active, set));
    } else {
        TRY(jso_set_null(out, "set"));
    }
    if (!job->view.has_proposed) return jso_set_null(out, "proposed");
    TRY(jso_set_object(out, "proposed", &set));
    TRY(set_json(&job->view.proposed, set));
    TRY(jso_set_array(set, "signed_by", &signatures));
    for (size_t i = 0; i < job->view.signatures_n; i++)
        TRY(jso_add_string(signatures, bytes_str(job->view.signatures[i].officer_id)));
    return NULL;
}

static err_t *kept_json(const redeal_kept_t *kept, json_t *out) {
    json_t *item = NULL;
    if (kept->objects == 0) return jso_set_null(out, "unproved");
    TRY(jso_set_object(out, "unproved", &item));
    TRY(jso_set_int(item, "set", kept->epoch));
    TRY(jso_set_int(item, "objects", kept->objects));
    return jso_set_int(item, "officers", kept->officers);
}

err_t *api_officers_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    view_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(web->db, read_view, &job));
    TRY(jso_object(&out));
    TRY(sets_json(&job, out));
    TRY(jso_set_array(out, "officers", &list));
    for (size_t i = 0; i < job.view.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(officer_json(&job.view.lines[i], item));
    }
    if (job.has_plan && job.plan.left) {
        TRY(jso_set_object(out, "redeal", &item));
        TRY(progress_json(&job.plan, item));
    } else {
        TRY(jso_set_null(out, "redeal"));
    }
    TRY(kept_json(&job.kept, out));
    return api_send(reply, 200, out);
}

err_t *api_officers_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    bytes_t person, record;
    const char *id = NULL;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "person", "file", NULL));
    TRY(jso_get_string(body, "person", LIMIT_EMAIL, true, &person));
    TRY(api_record(request, body, "file", LIMIT_HTTP_BODY_FORM, &record));
    TRY(officers_add(web->escrow, &caller, request->arena, person, record, &id));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "id", id));
    TRY(jso_set_string(out, "person", person));
    return api_send(reply, 201, out);
}

err_t *api_officers_remove(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    const char *id = NULL;
    TRY(api_param(request, "officer", &id));
    TRY(officers_remove(web->escrow, &caller, request->arena, id));
    return http_reply_empty(reply, 204);
}

/* ---- sets ---- */

static err_t *send_set(int64_t epoch, bool active, unsigned status, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "epoch", epoch));
    TRY(jso_set_bool(out, "active", active));
    return api_send(reply, status, out);
}

err_t *api_sets_propose(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    const char *const *ids = NULL;
    size_t ids_n = 0;
    int64_t threshold = 0, epoch = 0;
    bool active = false;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "threshold", "officers", NULL));
    TRY(jso_get_int(body, "threshold", 2, LIMIT_ESCROW_OFFICERS, true, &threshold));
    TRY(api_texts(request, body, "officers", LIMIT_ESCROW_OFFICERS, &ids, &ids_n));
    TRY(officers_propose(web->escrow, &caller, request->arena, (unsigned)threshold, ids, ids_n,
                         &epoch, &active));
    return send_set(epoch, active, 201, reply);
}

typedef struct {
    arena_t *arena;
    int64_t epoch;
    db_officer_set_t row;
    db_set_signature_t *signatures;
    size_t count;
} set_job_t;

static err_t *read_set(db_conn_t *conn, void *arg) {
    set_job_t *job = arg;
    bool found = false;
    TRY(db_officer_sets_get(conn, job->arena, job->epoch, &job->row, &found));
    if (!found)
        return err_new(ERR_NOT_FOUND, "there is no officers' set %lld", (long long)job->epoch);
    return db_set_signatures_list(conn, job->arena, job->epoch, &job->signatures, &job->count);
}

static err_t *signatures_json(const db_set_signature_t *signatures, size_t count, json_t *out) {
    json_t *list = NULL, *item = NULL;
    TRY(jso_set_array(out, "signatures", &list));
    for (size_t i = 0; i < count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "officer", signatures[i].officer_id));
        TRY(jso_set_base64(item, "record", signatures[i].record));
        TRY(api_set_ms(item, "created", signatures[i].created_ms));
    }
    return NULL;
}

err_t *api_sets_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    set_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(api_param_i64(request, "epoch", &job.epoch));
    TRY(db_read(web->db, read_set, &job));
    TRY(jso_object(&out));
    TRY(set_json(&job.row, out));
    TRY(jso_set_base64(out, "record", job.row.record));
    TRY(signatures_json(job.signatures, job.count, out));
    return api_send(reply, 200, out);
}

err_t *api_sets_sign(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    bytes_t record;
    int64_t epoch = 0;
    bool active = false;
    TRY(api_param_i64(request, "epoch", &epoch));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "record", NULL));
    TRY(api_record(request, body, "record", LIMIT_HTTP_BODY_FORM, &record));
    TRY(officers_sign(web->escrow, &caller, request->arena, epoch, record, &active));
    return send_set(epoch, active, 200, reply);
}

err_t *api_sets_withdraw(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    int64_t epoch = 0;
    TRY(api_param_i64(request, "epoch", &epoch));
    TRY(officers_withdraw(web->escrow, &caller, epoch));
    return http_reply_empty(reply, 204);
}

/* ---- re-dealing ---- */

err_t *api_redeal_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    view_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(db_read(web->db, read_view, &job));
    if (!job.has_plan) return err_new(ERR_NOT_FOUND, "nothing is to be dealt anew");
    TRY(jso_object(&out));
    TRY(progress_json(&job.plan, out));
    TRY(jso_set_base64(out, "from_set", job.plan.from.record));
    TRY(jso_set_base64(out, "to_set", job.plan.to.record));
    TRY(signatures_json(job.plan.signatures, job.plan.signatures_n, out));
    return api_send(reply, 200, out);
}

static err_t *item_json(const redeal_item_t *item, json_t *out) {
    json_t *shares = NULL;
    TRY(jso_set_str(out, "id", item->object.id));
    TRY(jso_set_str(out, "kind", item->object.kind));
    TRY(jso_set_str(out, "owner", item->object.owner));
    TRY(jso_set_str(out, "device", item->object.device_id));
    TRY(jso_set_int(out, "version", item->object.version));
    TRY(jso_set_base64(out, "spki", item->object.spki));
    TRY(jso_set_array(out, "shares", &shares));
    for (size_t i = 0; i < item->shares_n; i++) {
        CLEANUP(buf_done) buf_t text;
        buf_init(&text, LIMIT_ESCROW_RECORD * 2);
        TRY(text_base64(item->shares[i].record, &text));
        TRY(jso_add_string(shares, buf_bytes(&text)));
    }
    return NULL;
}

err_t *api_redeal_batch(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *object = NULL;
    redeal_item_t *items = NULL;
    size_t count = 0;
    uint64_t limit = LIMIT_ESCROW_REDEAL_BATCH;
    TRY(http_query_u64(request->raw_query, "limit", LIMIT_ESCROW_REDEAL_BATCH,
                       LIMIT_ESCROW_REDEAL_BATCH, &limit));
    TRY(redeal_batch(web->escrow, &caller, request->arena, limit ? (size_t)limit : 1, &items,
                     &count));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "objects", &list));
    for (size_t i = 0; i < count; i++) {
        TRY(jso_add_object(list, &object));
        TRY(item_json(&items[i], object));
    }
    return api_send(reply, 200, out);
}

err_t *api_redeal_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *out = NULL;
    int64_t moved = 0;
    TRY(redeal_put(web->escrow, &caller, request->arena, request->body, &moved));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "moved", moved));
    return api_send(reply, 200, out);
}

err_t *api_redeal_replan(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    const char *const *ids = NULL;
    size_t ids_n = 0;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "officers", NULL));
    TRY(api_texts(request, body, "officers", LIMIT_ESCROW_OFFICERS, &ids, &ids_n));
    TRY(redeal_replan(web->escrow, &caller, request->arena, ids, ids_n));
    return http_reply_empty(reply, 204);
}

err_t *api_redeal_finish(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    int64_t epoch = 0;
    bool finished = false;
    bytes_t record;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "set", "record", NULL));
    TRY(jso_get_int(body, "set", 2, INT64_MAX, true, &epoch));
    TRY(api_record(request, body, "record", LIMIT_HTTP_BODY_FORM, &record));
    TRY(redeal_finish(web->escrow, &caller, request->arena, epoch, record, &finished));
    TRY(jso_object(&out));
    TRY(jso_set_bool(out, "finished", finished));
    return api_send(reply, 200, out);
}

/* ---- officers' own drills ---- */

err_t *api_officers_sample(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *object = NULL;
    officer_sample_t sample;
    uint64_t wanted = LIMIT_ESCROW_REDEAL_BATCH;
    TRY(http_query_u64(request->raw_query, "sample", LIMIT_ESCROW_REDEAL_BATCH,
                       LIMIT_ESCROW_REDEAL_BATCH, &wanted));
    TRY(officer_drill_sample(web->escrow, &caller, request->arena, (size_t)wanted, &sample));
    TRY(jso_object(&out));
    TRY(jso_set_base64(out, "set", sample.set.record));
    TRY(jso_set_array(out, "objects", &list));
    for (size_t i = 0; i < sample.count; i++) {
        TRY(jso_add_object(list, &object));
        TRY(item_json(&sample.items[i], object));
    }
    return api_send(reply, 200, out);
}

err_t *api_officers_drill(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    CLEANUP(jso_free) json_t *body = NULL;
    bytes_t record;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "record", NULL));
    TRY(api_record(request, body, "record", LIMIT_HTTP_BODY_FORM, &record));
    TRY(officer_drill_keep(web->escrow, &caller, request->arena, record));
    return http_reply_empty(reply, 204);
}
