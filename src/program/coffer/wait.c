/*
 * Queue and wait: see wait.h. Main thread; it polls, because a device may take hours.
 */
#include "program/coffer/wait.h"

#include <poll.h>
#include <string.h>

#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

enum { POLL_FIRST_MS = 250, POLL_MAX_MS = 3000, TEXT_MAX = 4096 };

bool wait_is_final(const char *state) {
    static const char *const final[] = {"acknowledged", "error", "format-error", "cancelled"};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        if (strcmp(state, final[i]) == 0) return true;
    return false;
}

static const char *text_of(const json_t *object, const char *member) {
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

err_t *wait_show(cli_t *cli, const json_t *command) {
    if (cli->json) return output_json(cli, command);
    const json_t *result = json_object_get(command, "result");
    const char *state = text_of(command, "state");
    CLEANUP(jso_free) json_t *head = NULL;
    TRY(jso_object(&head));
    static const char *const members[] = {"request_type", "state", "created", "sent", "done"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_t *value = json_object_get(command, members[i]);
        if (value && !json_is_null(value)) TRY(jso_set(head, members[i], json_incref(value)));
    }
    json_t *error = json_object_get(command, "error");
    if (error) TRY(jso_set(head, "error", json_incref(error)));
    TRY(output_fields(cli, head));
    if (!json_is_object(result)) {
        if (strcmp(state, "acknowledged") == 0) return NULL;
        return wait_is_final(state) ? NULL : cli_say(cli, "No answer yet.\n");
    }
    TRY(cli_say(cli, "\n"));
    return output_fields(cli, result);
}

static void progress(const cli_t *cli, const char *text) {
    if (!cli->terminal || cli->json) return;
    (void)fputs(text, cli->err);
    (void)fflush(cli->err);
}

static err_t *poll_until(cli_t *cli, const char *path, int64_t deadline_ms, json_t **ret_command) {
    int64_t pause = POLL_FIRST_MS;
    for (;;) {
        CLEANUP(jso_free) json_t *json = NULL;
        TRY(remote_call(cli, "GET", path, NULL, &json));
        int64_t left = deadline_ms - clk_mono_ms(cli->clk);
        if (wait_is_final(text_of(json, "state")) || left <= 0) {
            *ret_command = STEAL(json);
            return NULL;
        }
        progress(cli, ".");
        (void)poll(NULL, 0, (int)(pause < left ? pause : left));
        pause = pause * 2 < POLL_MAX_MS ? pause * 2 : POLL_MAX_MS;
    }
}

static err_t *judge(const json_t *command, const char *uuid, long seconds) {
    const char *state = text_of(command, "state");
    if (strcmp(state, "acknowledged") == 0) return NULL;
    if (!wait_is_final(state))
        return err_new(ERR_TIMEOUT,
                       "the device has not answered within %ld seconds (state: %s); the command "
                       "stays in the queue: %s",
                       seconds, state, uuid);
    if (strcmp(state, "cancelled") == 0)
        return err_new(ERR_DENIED, "the command was cancelled: %s", uuid);
    return err_new(ERR_IO, "the device answered with an error to %s",
                   text_of(command, "request_type"));
}

static err_t *wait_result(cli_t *cli, const char *device, const char *uuid, long seconds) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *command = NULL;
    TRY(remote_path(&path, "/devices/%/commands/%", device, uuid));
    progress(cli, "Waiting for the device ");
    err_t *e = poll_until(cli, path, clk_mono_ms(cli->clk) + (int64_t)seconds * 1000, &command);
    progress(cli, "\n");
    if (e) return e;
    TRY(wait_show(cli, command));
    return judge(command, uuid, seconds);
}

err_t *wait_post(cli_t *cli, const wait_command_t *command, const char *path, const json_t *body) {
    CLEANUP(jso_free) json_t *json = NULL;
    long seconds = 0;
    bytes_t uuid = BYTES_NONE;
    TRY(args_number(cli->args, "wait", 0, WAIT_MAX_S, 0, &seconds));
    TRY(remote_call(cli, "POST", path, body, &json));
    TRY(jso_get_string(json, "uuid", TEXT_MAX, false, &uuid));
    if (command->dry_run)
        return output_done(cli, json, "%s for %s would be accepted; nothing was queued",
                           command->request_type, command->device);
    if (uuid.n == 0) return err_new(ERR_INVALID, "the server's answer names no command");
    if (seconds) return wait_result(cli, command->device, (const char *)uuid.p, seconds);
    CLEANUP(mem_free) char *device = NULL;
    TRY(cli_quote(command->device, &device));
    return output_done(cli, json,
                       "Queued %s for %s: %s\nIts answer, when the device has "
                       "called: coffer device result %s %s",
                       command->request_type, command->device, (const char *)uuid.p, device,
                       (const char *)uuid.p);
}

err_t *wait_queue(cli_t *cli, const wait_command_t *command) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(remote_path(&path, "/devices/%/commands", command->device));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "request_type", command->request_type));
    if (command->parameters && json_object_size(command->parameters))
        TRY(jso_set(body, "parameters", json_incref(command->parameters)));
    if (command->dry_run) TRY(jso_set_bool(body, "dry_run", true));
    return wait_post(cli, command, path, body);
}
