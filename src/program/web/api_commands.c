/*
 * /api/v1/devices/DEVICE/commands: the queue and what came back.
 */
#include "base/limits.h"
#include "format/plist_json.h"
#include "http/query.h"
#include "program/web/api.h"

typedef struct {
    arena_t *arena;
    const char *device;
    const char *uuid;
    bool only_open;
    size_t limit;
    db_device_t row;
    db_command_t *commands;
    db_command_t command;
    size_t count;
    bytes_t result;
    int64_t received_ms;
    bool found, has_result;
} commands_job_t;

static err_t *command_json(const db_command_t *c, json_t *out) {
    json_t *error = NULL;
    TRY(jso_set_str(out, "uuid", c->uuid));
    TRY(jso_set_str(out, "request_type", c->request_type));
    TRY(jso_set_str(out, "state", c->state));
    TRY(jso_set_str(out, "created_by", c->created_by));
    TRY(api_set_ms(out, "created", c->created_ms));
    TRY(api_set_ms(out, "sent", c->sent_ms));
    TRY(api_set_ms(out, "done", c->done_ms));
    TRY(jso_set_int(out, "deliveries", c->deliveries));
    if (!c->error[0]) return NULL;
    err_t *e = jso_parse(bytes_str(c->error), &error);
    if (!e) return jso_set(out, "error", error);
    err_free(e); /* shown as it is rather than hiding the whole list */
    return jso_set_str(out, "error", c->error);
}

static err_t *find_device(db_conn_t *conn, commands_job_t *job) {
    TRY(db_devices_find(conn, job->arena, job->device, &job->row, &job->found));
    if (!job->found) return err_new(ERR_NOT_FOUND, "there is no device %s", job->device);
    return NULL;
}

static err_t *read_commands(db_conn_t *conn, void *arg) {
    commands_job_t *job = arg;
    TRY(find_device(conn, job));
    return db_commands_list(conn, job->arena, job->row.id, job->only_open, job->limit,
                            &job->commands, &job->count);
}

err_t *api_commands_list(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    commands_job_t job = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    const char *after = NULL;
    TRY(api_param(request, "device", &job.device));
    TRY(api_flag(request, "open", &job.only_open));
    TRY(api_page(request, &after, &job.limit));
    TRY(db_read(web->db, read_commands, &job));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "commands", &list));
    for (size_t i = 0; i < job.count; i++) {
        TRY(jso_add_object(list, &item));
        TRY(command_json(&job.commands[i], item));
    }
    return api_send(reply, 200, out);
}

err_t *api_commands_add(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(buf_done) buf_t parameters;
    json_t *object = NULL;
    bytes_t type;
    const char *uuid = NULL;
    device_command_t command = {.actor = web_caller(request)->actor};
    buf_init_secret(&parameters, LIMIT_HTTP_BODY_API); /* a PIN may be in it */
    TRY(api_param(request, "device", &command.device));
    TRY(api_body(request, &body));
    TRY(jso_only(body, "request_type", "parameters", "dry_run", NULL));
    TRY(jso_get_string(body, "request_type", 64, true, &type));
    TRY(jso_get_object(body, "parameters", false, &object));
    TRY(jso_get_bool(body, "dry_run", false, &command.dry_run));
    if (object) TRY(jso_write(object, false, &parameters));
    TRY(buf_cstr(&parameters, &command.parameters));
    command.request_type = (const char *)type.p; /* jansson's own, NUL-ended */
    TRY(devices_queue(web->devices, request->arena, &command, &uuid));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "uuid", uuid[0] ? uuid : NULL));
    TRY(jso_set_bool(out, "queued", uuid[0] != '\0'));
    return api_send(reply, command.dry_run ? 200 : 202, out);
}

static err_t *read_command(db_conn_t *conn, void *arg) {
    commands_job_t *job = arg;
    TRY(find_device(conn, job));
    TRY(db_commands_get(conn, job->arena, job->uuid, &job->command, &job->found));
    if (!job->found || strcmp(job->command.device_id, job->row.id) != 0)
        return err_new(ERR_NOT_FOUND, "there is no command %s of that device", job->uuid);
    return db_results_get(conn, job->arena, job->uuid, &job->result, &job->received_ms,
                          &job->has_result);
}

err_t *api_commands_show(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(arena_free) arena_t *arena = NULL; /* a result may be larger than the request's arena */
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    json_t *result = NULL;
    TRY(arena_new(LIMIT_RESULT_BYTES + LIMIT_COMMAND_BYTES + 64 * 1024, &arena));
    commands_job_t job = {.arena = arena};
    TRY(api_param(request, "device", &job.device));
    TRY(api_param(request, "uuid", &job.uuid));
    TRY(db_read(web->db, read_command, &job));
    TRY(jso_object(&out));
    TRY(command_json(&job.command, out));
    if (job.has_result) {
        TRY(plist_parse(job.result, &doc));
        TRY(plist_to_json(plist_root(doc), &result));
        TRY(jso_set(out, "result", result));
        TRY(api_set_ms(out, "received", job.received_ms));
    }
    return api_send(reply, 200, out);
}

err_t *api_commands_cancel(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    const char *device = NULL, *uuid = NULL;
    bool force = false;
    TRY(api_param(request, "device", &device));
    TRY(api_param(request, "uuid", &uuid));
    TRY(api_flag(request, "force", &force));
    TRY(devices_cancel(web->devices, device, uuid, force, web_caller(request)->actor));
    return http_reply_empty(reply, 204);
}
