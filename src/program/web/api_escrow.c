/*
 * /api/v1/escrow: what can be recovered, proofs that it still can, and the auditor's report.
 */
#include "program/web/api_escrow.h"

#include "base/limits.h"
#include "base/text.h"
#include "escrow/drill.h"
#include "escrow/objects.h"
#include "escrow/officer_drill.h"
#include "escrow/officers.h"
#include "escrow/recovery.h"
#include "http/query.h"
#include "store/devices.h"
#include "store/people.h"
#include "store/recoveries.h"

enum { DRILLS_SHOWN = 200, VERSIONS_SHOWN = 200 };

/* ---- helpers of the escrow part of the API ---- */

err_t *api_record(http_request_t *request, const json_t *body, const char *name, size_t max,
                  bytes_t *ret_record) {
    CLEANUP(buf_done) buf_t raw;
    buf_init_secret(&raw, max + 8); /* decoding wants room for whole groups */
    TRY(jso_get_base64(body, name, true, &raw));
    if (raw.n > max) return err_new(ERR_LIMIT, "%s has more than %zu bytes", name, max);
    return arena_copy(request->arena, buf_bytes(&raw), ret_record);
}

err_t *api_texts(http_request_t *request, const json_t *body, const char *name, size_t max,
                 const char *const **ret_texts, size_t *ret_count) {
    json_t *list = NULL;
    const char **texts = NULL;
    TRY(jso_get_array(body, name, max, true, &list));
    size_t n = json_array_size(list);
    TRY(arena_alloc(request->arena, (n + 1) * sizeof *texts, &texts));
    for (size_t i = 0; i < n; i++) {
        bytes_t text, copy;
        TRY(jso_at_string(list, i, LIMIT_NAME, &text));
        TRY(arena_copy(request->arena, text, &copy));
        texts[i] = (const char *)copy.p;
    }
    *ret_texts = texts;
    *ret_count = n;
    return NULL;
}

err_t *api_text(http_request_t *request, const json_t *body, const char *name, size_t max,
                bool required, const char **ret_text) {
    bytes_t text = BYTES_LIT(""), copy;
    TRY(jso_get_string(body, name, max, required, &text));
    if (!text_printable(text))
        return err_new(ERR_INVALID, "%s has characters that can't be shown", name);
    TRY(arena_copy(request->arena, text_trim(text), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *api_query(http_request_t *request, const char *name, const char **ret_text) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    bytes_t copy;
    buf_init(&value, LIMIT_NAME * 2);
    TRY(http_query_get(request->raw_query, name, HTTP_PLUS_KEPT, &value, &found));
    TRY(arena_copy(request->arena, buf_bytes(&value), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *api_param_i64(http_request_t *request, const char *name, int64_t *ret_value) {
    const char *text = NULL;
    uint64_t value = 0;
    TRY(api_param(request, name, &text));
    TRY_WRAP(text_u64(bytes_str(text), INT64_MAX, &value), "the path's %s", name);
    *ret_value = (int64_t)value;
    return NULL;
}

err_t *api_set_hex(json_t *object, const char *name, bytes_t data) {
    CLEANUP(buf_done) buf_t hex;
    buf_init(&hex, 2 * data.n);
    if (!data.n) return jso_set_null(object, name);
    TRY(text_hex(data, &hex));
    return jso_set_string(object, name, buf_bytes(&hex));
}

err_t *api_object_json(const db_escrow_t *row, const char *owner, json_t *out) {
    TRY(jso_set_str(out, "id", row->id));
    TRY(jso_set_str(out, "kind", row->kind));
    TRY(jso_set_int(out, "version", row->version));
    TRY(jso_set_str(out, "label", row->label));
    TRY(jso_set_str(out, "owner", owner[0] ? owner : NULL));
    TRY(jso_set_str(out, "device", row->device_id[0] ? row->device_id : NULL));
    TRY(jso_set_str(out, "state", row->epoch == 0 ? "undealt" : row->state));
    TRY(jso_set_bool(out, "officers_only", row->officers_only));
    TRY(jso_set_int(out, "set", row->epoch));
    TRY(api_set_hex(out, "public_key_sha256", row->spki));
    TRY(jso_set_str(out, "created_by", row->created_by));
    TRY(api_set_ms(out, "created", row->created_ms));
    TRY(api_set_ms(out, "verified", row->verified_ms));
    return api_set_ms(out, "revealed", row->revealed_ms);
}

static err_t *owner_of(db_conn_t *conn, arena_t *arena, const char *person_id,
                       const char **ret_email) {
    db_person_t person;
    bool found = false;
    if (person_id[0]) TRY(db_people_by_id(conn, arena, person_id, &person, &found));
    *ret_email = found ? person.email : person_id;
    return NULL;
}

/*
 * A change of officers deals the same key to others: who kept the shares of an earlier set opens
 * with them, and a copy of the database, what was there before the change. *ret_ms: of the last
 * one, 0: there was none.
 */
static err_t *officers_changed(db_conn_t *conn, arena_t *arena, int64_t *ret_ms) {
    db_officer_set_t active;
    bool found = false;
    TRY(db_officer_sets_in_state(conn, arena, "active", &active, &found));
    *ret_ms = found && active.epoch > 1 ? active.activated_ms : 0;
    return NULL;
}

static err_t *row_json(const db_escrow_t *row, const char *owner, int64_t changed_ms, json_t *out) {
    TRY(api_object_json(row, owner, out));
    return jso_set_bool(out, "former_officers", row->created_ms < changed_ms);
}

/* ---- listing ---- */

typedef struct {
    arena_t *arena;
    const char *person, *device;
    db_escrow_filter_t filter;
    int64_t after;
    size_t limit;
    int64_t changed_ms; /* officers */
    db_escrow_t *rows;
    const char **owners;
    size_t count;
} list_job_t;

static err_t *find_filter(db_conn_t *conn, list_job_t *job) {
    bool found = false;
    if (job->person[0]) {
        db_person_t person;
        TRY(db_people_by_email(conn, job->arena, job->person, &person, &found));
        if (!found) return err_new(ERR_NOT_FOUND, "there is no person %s", job->person);
        job->filter.owner = person.id;
    }
    if (job->device[0]) {
        db_device_t device;
        TRY(db_devices_find(conn, job->arena, job->device, &device, &found));
        if (!found) return err_new(ERR_NOT_FOUND, "there is no device %s", job->device);
        job->filter.device_id = device.id;
    }
    return NULL;
}

static err_t *add_owners(db_conn_t *conn, list_job_t *job) {
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->owners, &job->owners));
    for (size_t i = 0; i < job->count; i++) {
        bool same = i && strcmp(job->rows[i].owner, job->rows[i - 1].owner) == 0;
        job->owners[i] = same ? job->owners[i - 1] : "";
        if (!same) TRY(owner_of(conn, job->arena, job->rows[i].owner, &job->owners[i]));
    }
    return NULL;
}

static err_t *read_list(db_conn_t *conn, void *arg) {
    list_job_t *job = arg;
    TRY(find_filter(conn, job));
    TRY(officers_changed(conn, job->arena, &job->changed_ms));
    TRY(db_escrow_list(conn, job->arena, &job->filter, job->after, job->limit, &job->rows,
                       &job->count));
    return add_owners(conn, job);
}

static err_t *send_list(const list_job_t *job, bool paged, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "objects", &list));
    for (size_t i = 0; i < job->count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(row_json(&job->rows[i], job->owners[i], job->changed_ms, item));
    }
    if (paged && job->count)
        TRY(api_set_next(out, job->count, job->limit, job->rows[job->count - 1].seq));
    return api_send(reply, 200, out);
}

err_t *api_escrow_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    list_job_t job = {.arena = request->arena,
                      .filter = {.kind = "", .owner = "", .device_id = ""}};
    TRY(api_page_seq(request, 0, &job.after, &job.limit));
    TRY(api_query(request, "kind", &job.filter.kind));
    TRY(api_query(request, "person", &job.person));
    TRY(api_query(request, "device", &job.device));
    TRY(api_flag(request, "former", &job.filter.former));
    TRY(db_read(web->db, read_list, &job));
    return send_list(&job, true, reply);
}

/* ---- one object ---- */

typedef struct {
    list_job_t list;
    const char *id;
    int64_t version;
    db_escrow_t row;
    const char *owner;
    db_recovery_t *recoveries;
    const char **requesters;
    size_t recoveries_n;
} one_job_t;

static err_t *read_one(db_conn_t *conn, void *arg) {
    one_job_t *job = arg;
    bool found = false;
    TRY(db_escrow_get(conn, job->list.arena, job->id, job->version, &job->row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no escrow object %s", job->id);
    TRY(officers_changed(conn, job->list.arena, &job->list.changed_ms));
    return owner_of(conn, job->list.arena, job->row.owner, &job->owner);
}

static err_t *one_job(http_request_t *request, one_job_t *job) {
    uint64_t version = 0;
    *job = (one_job_t){.list = {.arena = request->arena, .limit = VERSIONS_SHOWN}};
    TRY(api_param(request, "object", &job->id));
    TRY(http_query_u64(request->raw_query, "version", INT64_MAX, 0, &version));
    job->version = (int64_t)version;
    return NULL;
}

static err_t *send_one(const db_escrow_t *row, const char *owner, int64_t changed_ms,
                       unsigned status, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(row_json(row, owner, changed_ms, out));
    return api_send(reply, status, out);
}

err_t *api_escrow_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    one_job_t job;
    TRY(one_job(request, &job));
    TRY(db_read(web->db, read_one, &job));
    return send_one(&job.row, job.owner, job.list.changed_ms, 200, reply);
}

static err_t *read_history(db_conn_t *conn, void *arg) {
    one_job_t *job = arg;
    TRY(read_one(conn, job));
    TRY(db_escrow_versions(conn, job->list.arena, job->id, VERSIONS_SHOWN, &job->list.rows,
                           &job->list.count));
    TRY(add_owners(conn, &job->list));
    TRY(db_recoveries_of_object(conn, job->list.arena, job->row.seq, VERSIONS_SHOWN,
                                &job->recoveries, &job->recoveries_n));
    TRY(arena_alloc(job->list.arena, (job->recoveries_n + 1) * sizeof *job->requesters,
                    &job->requesters));
    for (size_t i = 0; i < job->recoveries_n; i++)
        TRY(owner_of(conn, job->list.arena, job->recoveries[i].requester, &job->requesters[i]));
    return NULL;
}

err_t *api_escrow_history(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    one_job_t job;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    int64_t now_ms = clk_unix_ms(clk_real());
    TRY(one_job(request, &job));
    TRY(db_read(web->db, read_history, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "versions", &list));
    for (size_t i = 0; i < job.list.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(row_json(&job.list.rows[i], job.list.owners[i], job.list.changed_ms, item));
    }
    TRY(jso_set_array(out, "recoveries", &list));
    for (size_t i = 0; i < job.recoveries_n; i++) {
        const db_recovery_t *row = &job.recoveries[i];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "id", row->id));
        TRY(jso_set_str(item, "state", recovery_state(row, now_ms)));
        TRY(jso_set_str(item, "requester", job.requesters[i]));
        TRY(jso_set_str(item, "for", row->recipient));
        TRY(jso_set_str(item, "reason", row->reason));
        TRY(api_set_ms(item, "created", row->created_ms));
        TRY(api_set_ms(item, "decided", row->decided_ms));
    }
    return api_send(reply, 200, out);
}

err_t *api_escrow_put(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    escrow_caller_t caller = api_escrow_caller(request);
    objects_spec_t spec = {0};
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(buf_done) buf_t secret;
    db_escrow_t row;
    buf_init_secret(&secret, LIMIT_HTTP_BODY_API);
    TRY(api_body(request, &body));
    TRY(jso_only(body, "id", "kind", "owner", "device", "label", "officers_only", "secret", NULL));
    TRY(api_text(request, body, "id", ESCROW_ID_TEXT, false, &spec.id));
    TRY(api_text(request, body, "kind", LIMIT_ESCROW_KIND, false, &spec.kind));
    TRY(api_text(request, body, "owner", LIMIT_EMAIL, false, &spec.owner));
    TRY(api_text(request, body, "device", LIMIT_DEVICE_ID, false, &spec.device));
    TRY(api_text(request, body, "label", LIMIT_NAME, false, &spec.label));
    TRY(jso_get_bool(body, "officers_only", false, &spec.officers_only));
    TRY(jso_get_base64(body, "secret", true, &secret));
    if (!spec.id[0]) spec.id = NULL;
    if (!spec.id && !spec.kind[0]) spec.kind = ESCROW_KIND_FILE;
    TRY(objects_put(web->escrow, &caller, request->arena, &spec, buf_bytes(&secret), &row));
    return send_one(&row, spec.owner, 0, 201, reply);
}

typedef struct {
    int64_t seq, now_ms;
} proved_t;

static err_t *write_proved(db_conn_t *conn, void *arg) {
    const proved_t *proved = arg;
    return db_escrow_set_verified(conn, proved->seq, proved->now_ms);
}

err_t *api_escrow_verify(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    one_job_t job;
    objects_proof_t proof;
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(one_job(request, &job));
    TRY(db_read(web->db, read_one, &job));
    TRY(objects_prove(web->escrow, request->arena, &job.row, &proof));
    proved_t proved = {job.row.seq, clk_unix_ms(clk_real())};
    if (!proof.problem) TRY(db_write(web->db, write_proved, &proved));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "id", job.row.id));
    TRY(jso_set_int(out, "version", job.row.version));
    /* Shares that are there say nothing of what is in them. */
    if (proof.problem || proof.by_keeper) TRY(jso_set_bool(out, "opens", !proof.problem));
    else TRY(jso_set_null(out, "opens"));
    TRY(jso_set_str(out, "proved_by",
                    proof.problem     ? NULL
                    : proof.by_keeper ? "key process"
                                      : "nobody; shares are there"));
    TRY(jso_set_int(out, "shares", proof.shares));
    TRY(jso_set_int(out, "officers", proof.officers));
    TRY(jso_set_str(out, "problem", proof.problem));
    return api_send(reply, 200, out);
}

/* ---- drills ---- */

typedef struct {
    arena_t *arena;
    db_escrow_drill_t *rows;
    size_t count;
} drills_job_t;

static err_t *read_drills(db_conn_t *conn, void *arg) {
    drills_job_t *job = arg;
    return db_escrow_drills_list(conn, job->arena, DRILLS_SHOWN, &job->rows, &job->count);
}

static err_t *drill_json(const db_escrow_drill_t *row, json_t *out) {
    TRY(api_set_ms(out, "when", row->created_ms));
    TRY(jso_set_str(out, "kind", row->kind));
    TRY(jso_set_int(out, "sampled", row->sampled));
    TRY(jso_set_int(out, "opened", row->opened));
    TRY(jso_set_int(out, "failed", row->failed));
    TRY(jso_set_str(out, "failures", row->failures[0] ? row->failures : NULL));
    return jso_set_str(out, "actor", row->actor);
}

err_t *api_escrow_drills(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    drills_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(web->db, read_drills, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "drills", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(drill_json(&job.rows[i], item));
    }
    return api_send(reply, 200, out);
}

err_t *api_escrow_drill(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    int64_t sample = DRILL_SAMPLE, failed = 0;
    drill_line_t *lines = NULL;
    size_t count = 0;
    TRY(api_body(request, &body));
    TRY(jso_only(body, "sample", NULL));
    TRY(jso_get_int(body, "sample", 1, DRILL_SAMPLE_MAX, false, &sample));
    TRY(drill_run(web->escrow, web_caller(request)->actor, request->arena, (size_t)sample, &lines,
                  &count, &failed));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "failed", failed));
    TRY(jso_set_array(out, "kinds", &list));
    for (size_t i = 0; i < count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "kind", lines[i].kind));
        TRY(jso_set_int(item, "objects", lines[i].objects));
        TRY(jso_set_int(item, "sampled", lines[i].sampled));
        TRY(jso_set_int(item, "opened", lines[i].opened));
        TRY(jso_set_int(item, "failed", lines[i].failed));
        TRY(jso_set_str(item, "failures", lines[i].failures[0] ? lines[i].failures : NULL));
    }
    return api_send(reply, 200, out);
}

/* ---- the report ---- */

typedef struct {
    arena_t *arena;
    int64_t now_ms, waiting, last_opened_ms, last_drill_ms;
    officers_view_t officers;
    db_escrow_kind_t *kinds;
    size_t kinds_n;
    drills_job_t drills;
} report_job_t;

static err_t *read_report(db_conn_t *conn, void *arg) {
    report_job_t *job = arg;
    TRY(officers_view(conn, job->arena, &job->officers));
    TRY(db_escrow_kinds(conn, job->arena, &job->kinds, &job->kinds_n));
    TRY(db_recoveries_count_waiting(conn, job->now_ms, &job->waiting));
    TRY(db_recoveries_last_opened(conn, &job->last_opened_ms));
    TRY(db_escrow_drills_last(conn, &job->last_drill_ms));
    return db_escrow_drills_latest(conn, job->arena, &job->drills.rows, &job->drills.count);
}

static err_t *report_kinds(const report_job_t *job, json_t *out) {
    json_t *list = NULL, *item = NULL;
    TRY(jso_set_array(out, "kinds", &list));
    for (size_t i = 0; i < job->kinds_n; i++) {
        const db_escrow_kind_t *kind = &job->kinds[i];
        const db_escrow_drill_t *drill = NULL;
        for (size_t k = 0; !drill && k < job->drills.count; k++)
            if (strcmp(job->drills.rows[k].kind, kind->kind) == 0) drill = &job->drills.rows[k];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "kind", kind->kind));
        TRY(jso_set_int(item, "objects", kind->objects));
        TRY(jso_set_int(item, "former", kind->former));
        TRY(jso_set_int(item, "undealt", kind->undealt));
        TRY(jso_set_int(item, "officers_only", kind->officers_only));
        TRY(api_set_ms(item, "last_drill", drill ? drill->created_ms : 0));
        TRY(jso_set_int(item, "last_drill_failed", drill ? drill->failed : 0));
        TRY(api_set_ms(item, "last_reveal", kind->last_revealed_ms));
    }
    return NULL;
}

/* Whether the officer's own key still opens, as he proved it last. */
static err_t *report_own_drill(const report_job_t *job, const char *id, json_t *out) {
    const size_t n = sizeof OFFICER_DRILL_KIND - 1;
    const db_escrow_drill_t *own = NULL;
    for (size_t i = 0; !own && i < job->drills.count; i++) {
        const char *kind = job->drills.rows[i].kind;
        if (strncmp(kind, OFFICER_DRILL_KIND, n) == 0 && strcmp(kind + n, id) == 0)
            own = &job->drills.rows[i];
    }
    TRY(api_set_ms(out, "last_drill", own ? own->created_ms : 0));
    TRY(jso_set_int(out, "last_drill_sampled", own ? own->sampled : 0));
    return jso_set_int(out, "last_drill_failed", own ? own->failed : 0);
}

static err_t *report_officers(const report_job_t *job, json_t *out) {
    json_t *list = NULL, *item = NULL;
    bool active = job->officers.has_active;
    TRY(jso_set_int(out, "set", active ? job->officers.active.epoch : 0));
    TRY(jso_set_int(out, "officers_needed", active ? job->officers.active.threshold : 0));
    TRY(jso_set_array(out, "officers", &list));
    for (size_t i = 0; i < job->officers.count; i++) {
        const officers_line_t *line = &job->officers.lines[i];
        if (!line->active_index) continue;
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "id", line->row.id));
        TRY(jso_set_str(item, "person", line->email));
        TRY(api_set_hex(item, "fingerprint", line->row.fingerprint));
        TRY(report_own_drill(job, line->row.id, item));
    }
    return NULL;
}

err_t *api_escrow_report(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    report_job_t job = {.arena = request->arena, .now_ms = clk_unix_ms(clk_real())};
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(db_read(web->db, read_report, &job));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "organisation", web->settings.organisation));
    TRY(api_set_ms(out, "made", job.now_ms));
    TRY(report_officers(&job, out));
    TRY(report_kinds(&job, out));
    TRY(jso_set_int(out, "requests_waiting", job.waiting));
    TRY(api_set_ms(out, "last_drill", job.last_drill_ms));
    TRY(api_set_ms(out, "last_reveal", job.last_opened_ms));
    return api_send(reply, 200, out);
}
