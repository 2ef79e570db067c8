/*
 * /api/v1/devices: the list, one device, and a push.
 */
#include <string.h>

#include "base/limits.h"
#include "http/query.h"
#include "program/web/api_escrow.h"
#include "store/certs.h"

static err_t *device_json(const db_device_t *d, json_t *out) {
    TRY(jso_set_str(out, "id", d->id));
    TRY(jso_set_str(out, "enrolment_key", d->enrolment_key));
    TRY(jso_set_str(out, "udid", d->udid));
    TRY(jso_set_str(out, "serial_number", d->serial_number));
    TRY(jso_set_str(out, "product", d->product));
    TRY(jso_set_str(out, "os_version", d->os_version));
    TRY(jso_set_str(out, "build", d->build));
    TRY(jso_set_str(out, "name", d->name));
    TRY(jso_set_str(out, "state", d->state));
    TRY(jso_set_str(out, "push_state", d->push_state));
    TRY(api_set_ms(out, "enrolled", d->enrolled_ms));
    return api_set_ms(out, "last_seen", d->last_seen_ms);
}

typedef struct {
    arena_t *arena;
    const char *state;
    const char *after;
    size_t limit;
    db_device_t *rows;
    size_t count;
    const char *device;
    db_device_t row;
    db_person_t person;
    db_certificate_t identity;
    db_mail_delivery_t mail;
    bool found, person_found, identity_found, mail_found;
    int64_t open;
} devices_job_t;

static err_t *read_devices(db_conn_t *conn, void *arg) {
    devices_job_t *job = arg;
    return db_devices_list(conn, job->arena, job->state, job->after, job->limit, &job->rows,
                           &job->count);
}

/* "" is all of them. A misspelt state would list nothing, and be believed. */
static err_t *check_state(const char *state) {
    static const char *const states[] = {"", "authenticated", "enrolled", "removed"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(state, states[i]) == 0) return NULL;
    return err_new(ERR_USAGE, "a device's state is authenticated, enrolled or removed");
}

err_t *api_devices_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    devices_job_t job = {.arena = request->arena};
    CLEANUP(buf_done) buf_t state;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    bool found = false;
    buf_init(&state, 32);
    TRY(api_page(request, &job.after, &job.limit));
    TRY(http_query_get(request->raw_query, "state", HTTP_PLUS_KEPT, &state, &found));
    TRY(buf_cstr(&state, &job.state));
    TRY(check_state(job.state));
    TRY(db_read(web->db, read_devices, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "devices", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(device_json(&job.rows[i], item));
    }
    if (job.count == job.limit) TRY(jso_set_str(out, "next", job.rows[job.count - 1].id));
    return api_send(reply, 200, out);
}

static err_t *read_device(db_conn_t *conn, void *arg) {
    devices_job_t *job = arg;
    TRY(db_devices_find(conn, job->arena, job->device, &job->row, &job->found));
    if (!job->found) return err_new(ERR_NOT_FOUND, "there is no device %s", job->device);
    if (job->row.person_id[0])
        TRY(db_people_by_id(conn, job->arena, job->row.person_id, &job->person,
                            &job->person_found));
    TRY(db_certificates_by_fingerprint(conn, job->arena, job->row.identity, &job->identity,
                                       &job->identity_found));
    TRY(db_mail_deliveries_get(conn, job->arena, job->row.id, &job->mail, &job->mail_found));
    return db_commands_count_open(conn, job->row.id, &job->open);
}

/* A device with a revoked identity is enrolled as it knows, but out of reach. */
static err_t *identity_json(const db_certificate_t *cert, json_t *device) {
    json_t *out = NULL;
    TRY(jso_set_object(device, "identity", &out));
    TRY(jso_set_str(out, "serial", cert->serial));
    TRY(jso_set_time(out, "not_after", cert->not_after));
    return api_set_ms(out, "revoked", cert->revoked_ms);
}

err_t *api_devices_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    devices_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *info = NULL, *mail = NULL;
    TRY(api_param(request, "device", &job.device));
    TRY(db_read(web->db, read_device, &job));
    TRY(jso_object(&out));
    TRY(device_json(&job.row, out));
    TRY(jso_set_str(out, "person", job.person_found ? job.person.email : NULL));
    TRY(jso_set_int(out, "open_commands", job.open));
    if (job.identity_found) TRY(identity_json(&job.identity, out));
    if (job.mail_found) {
        TRY(jso_set_object(out, "mail_keys", &mail));
        TRY(api_mail_delivery_json(&job.mail, mail));
    }
    if (job.row.info[0]) {
        TRY(jso_parse_object(bytes_str(job.row.info), &info));
        TRY(jso_set(out, "info", info));
    }
    return api_send(reply, 200, out);
}

err_t *api_devices_push(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *device = NULL;
    TRY(api_param(request, "device", &device));
    TRY(devices_push(web->devices, device, web_caller(request)->actor));
    return http_reply_empty(reply, 202);
}

err_t *api_devices_release(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *device = NULL;
    TRY(api_param(request, "device", &device));
    TRY(devices_release(web->devices, device, web_caller(request)->actor));
    return http_reply_empty(reply, 204);
}
