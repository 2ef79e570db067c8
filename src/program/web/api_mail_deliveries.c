/*
 * /api/v1/mail-deliveries: how far people's mail keys came on their devices.
 */
#include "audit/note.h"
#include "base/limits.h"
#include "http/query.h"
#include "program/web/api_escrow.h"
#include "store/mail_deliveries.h"

typedef struct {
    arena_t *arena;
    const char *person_email, *person_id;
    bool unfinished;
    const char *after;
    size_t limit;
    db_mail_delivery_t *rows;
    db_device_t *devices;
    db_person_t *people;
    size_t count;
    int64_t now_ms;
    bool changed;
    const audit_t *audit;
    const char *actor;
} job_t;

static err_t *find_person(db_conn_t *conn, job_t *job) {
    db_person_t person;
    bool found = false;
    job->person_id = "";
    if (!job->person_email[0]) return NULL;
    TRY(db_people_by_email(conn, job->arena, job->person_email, &person, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "there is no person %s", job->person_email);
    job->person_id = person.id;
    return NULL;
}

static err_t *read_list(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    bool found = false;
    TRY(find_person(conn, job));
    TRY(db_mail_deliveries_list(conn, job->arena, job->person_id, job->unfinished, job->after,
                                job->limit, &job->rows, &job->count));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->devices, &job->devices));
    TRY(arena_alloc(job->arena, (job->count + 1) * sizeof *job->people, &job->people));
    for (size_t i = 0; i < job->count; i++) {
        const db_mail_delivery_t *row = &job->rows[i];
        job->devices[i] = (db_device_t){.serial_number = "", .name = ""};
        job->people[i] = (db_person_t){.email = row->person_id};
        TRY(db_devices_by_id(conn, job->arena, row->device_id, &job->devices[i], &found));
        TRY(db_people_by_id(conn, job->arena, row->person_id, &job->people[i], &found));
    }
    return NULL;
}

err_t *api_mail_delivery_json(const db_mail_delivery_t *row, json_t *out) {
    TRY(jso_set_str(out, "state", row->state));
    TRY(jso_set_str(out, "why", row->why[0] ? row->why : NULL));
    TRY(jso_set_int(out, "keys", row->held_keys));
    TRY(jso_set_bool(out, "complete", row->held_seq >= row->wanted_seq));
    TRY(jso_set_str(out, "command", row->command_uuid[0] ? row->command_uuid : NULL));
    TRY(api_set_ms(out, "again", row->due_ms));
    return api_set_ms(out, "changed", row->changed_ms);
}

err_t *api_mail_deliveries_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(api_page(request, &job.after, &job.limit));
    TRY(api_query(request, "person", &job.person_email));
    TRY(api_flag(request, "unfinished", &job.unfinished));
    TRY(db_read(web->db, read_list, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "deliveries", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "device", job.rows[i].device_id));
        TRY(jso_set_str(item, "serial_number", job.devices[i].serial_number));
        TRY(jso_set_str(item, "name", job.devices[i].name));
        TRY(jso_set_str(item, "person", job.people[i].email));
        TRY(api_mail_delivery_json(&job.rows[i], item));
    }
    if (job.count && job.count == job.limit)
        TRY(jso_set_str(out, "next", job.rows[job.count - 1].device_id));
    return api_send(reply, 200, out);
}

/* ---- once more ---- */

static err_t *again(db_conn_t *conn, void *arg) {
    job_t *job = arg;
    TRY(find_person(conn, job));
    TRY(db_mail_deliveries_again(conn, job->person_id, job->now_ms, &job->changed));
    return audit_note(job->audit, conn, job->actor, "key.deliver-again", job->person_email, NULL);
}

err_t *api_keys_deliver(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    job_t job = {.arena = request->arena,
                 .now_ms = clk_unix_ms(clk_real()),
                 .audit = &web->audit,
                 .actor = web_caller(request)->actor};
    CLEANUP(jso_free) json_t *out = NULL;
    size_t count = 0;
    TRY(api_param(request, "email", &job.person_email));
    TRY(db_write(web->db, again, &job));
    TRY(devices_mail_deliver(web->devices, job.person_id, &count));
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "devices", (int64_t)count));
    return api_send(reply, 200, out);
}
