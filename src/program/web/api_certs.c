/*
 * /api/v1/certificates, and what of devices and people revokes them.
 */
#include <stdio.h>

#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "device/caller.h"
#include "http/query.h"
#include "program/web/api.h"
#include "store/devices.h"
#include "store/people.h"

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *actor, *name; /* serial, fingerprint, device or person as it was named */
    crl_reason_t reason;
    db_cert_filter_t filter;
    bytes_t identity;
    bytes_t after;
    size_t limit;
    db_cert_brief_t *rows;
    size_t count;
    db_cert_brief_t row;
} certs_job_t;

static err_t *cert_json(const db_cert_brief_t *cert, json_t *out) {
    CLEANUP(buf_done) buf_t hex;
    buf_init(&hex, 2 * DB_OCSP_FINGERPRINT);
    TRY(text_hex(cert->fingerprint, &hex));
    TRY(jso_set_str(out, "serial", cert->serial));
    TRY(jso_set_str(out, "subject", cert->subject));
    TRY(jso_set_str(out, "profile", cert->profile));
    TRY(jso_set_str(out, "issuer", cert->issuer));
    TRY(jso_set_time(out, "not_before", cert->not_before));
    TRY(jso_set_time(out, "not_after", cert->not_after));
    TRY(api_set_ms(out, "revoked", cert->revoked_ms));
    TRY(jso_set_str(out, "reason",
                    cert->revoked_ms ? crl_reason_name((crl_reason_t)cert->reason) : NULL));
    TRY(jso_set_str(out, "revoked_by", cert->revoked_ms ? cert->revoked_by : NULL));
    TRY(jso_set_str(out, "revoked_why", cert->revoked_ms ? cert->revoked_why : NULL));
    TRY(jso_set_str(out, "enrolment", cert->enrolment_id[0] ? cert->enrolment_id : NULL));
    TRY(api_set_ms(out, "created", cert->created_ms));
    return jso_set_string(out, "fingerprint", buf_bytes(&hex));
}

/* ---- looking ---- */

static err_t *find_filter(db_conn_t *conn, certs_job_t *job, const char *person,
                          const char *device) {
    bool found = false;
    if (person[0]) {
        db_person_t row;
        TRY(db_people_by_email(conn, job->arena, person, &row, &found));
        if (!found) return err_new(ERR_NOT_FOUND, "there is no person %s", person);
        job->filter.person_id = row.id;
    }
    if (device[0]) {
        db_device_t row;
        TRY(db_devices_find(conn, job->arena, device, &row, &found));
        if (!found) return err_new(ERR_NOT_FOUND, "there is no device %s", device);
        job->identity = row.identity;
    }
    return NULL;
}

typedef struct {
    certs_job_t *job;
    const char *person, *device;
} list_read_t;

static err_t *read_list(db_conn_t *conn, void *arg) {
    list_read_t *x = arg;
    certs_job_t *job = x->job;
    TRY(find_filter(conn, job, x->person, x->device));
    if (job->identity.n)
        return db_cert_briefs_of_identity(conn, job->arena, job->identity, &job->rows, &job->count);
    return db_cert_briefs_list(conn, job->arena, &job->filter, job->after, job->limit, &job->rows,
                               &job->count);
}

static err_t *query_text(http_request_t *request, const char *name, const char **ret_text) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    bytes_t copy;
    buf_init(&value, LIMIT_NAME * 2);
    TRY(http_query_get(request->raw_query, name, HTTP_PLUS_KEPT, &value, &found));
    TRY(arena_copy(request->arena, buf_bytes(&value), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *api_certs_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    certs_job_t job = {.web = web, .arena = request->arena, .filter = {"", "", "", false}};
    list_read_t x = {.job = &job};
    const char *after = NULL;
    CLEANUP(buf_done) buf_t raw;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    buf_init(&raw, DB_OCSP_FINGERPRINT);
    TRY(api_page(request, &after, &job.limit));
    TRY(query_text(request, "person", &x.person));
    TRY(query_text(request, "device", &x.device));
    TRY(query_text(request, "profile", &job.filter.profile));
    TRY(api_flag(request, "revoked", &job.filter.revoked));
    TRY_WRAP(text_unhex(bytes_str(after), &raw), "after");
    job.after = buf_bytes(&raw);
    TRY(db_read(web->db, read_list, &x));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "certificates", &list));
    for (size_t i = 0; i < job.count; i++) {
        if (job.identity.n && job.filter.revoked && !job.rows[i].revoked_ms) continue;
        TRY(jso_add_object(list, &item));
        TRY(cert_json(&job.rows[i], item));
    }
    if (!job.identity.n && job.count == job.limit) {
        buf_t *hex = &raw;
        buf_done(hex);
        buf_init(hex, 2 * DB_OCSP_FINGERPRINT);
        TRY(text_hex(job.rows[job.count - 1].fingerprint, hex));
        TRY(jso_set_string(out, "next", buf_bytes(hex)));
    }
    return api_send(reply, 200, out);
}

static err_t *read_one(db_conn_t *conn, void *arg) {
    certs_job_t *job = arg;
    return revoke_find(conn, job->arena, job->name, &job->row);
}

static err_t *send_one(const certs_job_t *job, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(cert_json(&job->row, out));
    return api_send(reply, 200, out);
}

err_t *api_certs_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    certs_job_t job = {.web = web, .arena = request->arena};
    TRY(api_param(request, "certificate", &job.name));
    TRY(db_read(web->db, read_one, &job));
    return send_one(&job, reply);
}

/* ---- revoking ---- */

static err_t *revoke_one(db_conn_t *conn, void *arg) {
    certs_job_t *job = arg;
    TRY(revoke_find(conn, job->arena, job->name, &job->row));
    TRY(revoke_certificate(job->web->revoker, conn, &job->row, job->reason, job->actor, "by hand"));
    return revoke_find(conn, job->arena, job->name, &job->row);
}

err_t *api_certs_revoke(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    certs_job_t job = {.web = web, .arena = request->arena, .actor = web_caller(request)->actor};
    CLEANUP(jso_free) json_t *body = NULL;
    bytes_t reason = BYTES_LIT("unspecified");
    TRY(api_param(request, "certificate", &job.name));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "reason", NULL));
    TRY(jso_get_string(body, "reason", LIMIT_NAME, false, &reason));
    TRY(crl_reason_parse(reason, &job.reason));
    TRY(db_write(web->db, revoke_one, &job));
    return send_one(&job, reply);
}

static err_t *send_count(size_t count, http_reply_t *reply) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "revoked", (int64_t)count));
    return api_send(reply, 200, out);
}

static err_t *lose_device(db_conn_t *conn, void *arg) {
    certs_job_t *job = arg;
    db_device_t row;
    bool found = false;
    char count[24];
    TRY(db_devices_find(conn, job->arena, job->name, &row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no device %s", job->name);
    TRY(device_end_reach(conn, row.id, "lost", clk_unix_ms(clk_real())));
    TRY(revoke_device(job->web->revoker, conn, job->arena, row.identity, REVOKE_ON_LOST, job->actor,
                      &job->count));
    CLEANUP(mem_free) char *object = mem_printf("device:%s", row.enrolment_key);
    if (!object) return err_nomem();
    (void)snprintf(count, sizeof count, "%zu", job->count);
    return audit_note(&job->web->audit, conn, job->actor, "device.lost", object, "id", row.id,
                      "serial", row.serial_number, "person", row.person_id, "revoked", count, NULL);
}

err_t *api_devices_lost(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    certs_job_t job = {.web = web, .arena = request->arena, .actor = web_caller(request)->actor};
    TRY(api_param(request, "device", &job.name));
    TRY(db_write(web->db, lose_device, &job));
    return send_count(job.count, reply);
}

static err_t *leave(db_conn_t *conn, void *arg) {
    certs_job_t *job = arg;
    db_person_t row;
    bool found = false;
    TRY(db_people_by_email(conn, job->arena, job->name, &row, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no person %s", job->name);
    TRY(device_end_reach_of(conn, job->arena, row.id, "person left", clk_unix_ms(clk_real())));
    return revoke_person(job->web->revoker, conn, job->arena, row.id, REVOKE_ON_LEAVE, job->actor,
                         &job->count);
}

err_t *api_people_left(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    certs_job_t job = {.web = web, .arena = request->arena, .actor = web_caller(request)->actor};
    TRY(api_people_gone(ctx, request, reply));
    http_reply_clear(reply);
    TRY(api_param(request, "email", &job.name));
    TRY(db_write(web->db, leave, &job));
    return send_count(job.count, reply);
}

/* ---- lists ---- */

typedef struct {
    arena_t *arena;
    db_crl_t *rows;
    size_t count;
} crls_job_t;

static err_t *read_crls(db_conn_t *conn, void *arg) {
    crls_job_t *job = arg;
    return db_crls_list(conn, job->arena, &job->rows, &job->count);
}

err_t *api_crls_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    crls_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(db_read(web->db, read_crls, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "lists", &list));
    for (size_t i = 0; i < job.count; i++) {
        const db_crl_t *row = &job.rows[i];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "issuer", row->issuer));
        TRY(jso_set_str(item, "profile", row->profile));
        TRY(jso_set_bool(item, "delta", row->delta));
        TRY(jso_set_int(item, "number", row->number));
        TRY(jso_set_int(item, "entries", row->entries));
        TRY(jso_set_int(item, "bytes", row->size));
        TRY(jso_set_time(item, "this_update", row->this_update));
        TRY(jso_set_time(item, "next_update", row->next_update));
    }
    return api_send(reply, 200, out);
}
