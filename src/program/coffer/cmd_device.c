/*
 * coffer device list, show, push, queue, result, cancel: looking at devices and their queues.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"
#include "program/coffer/wait.h"

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"name", "NAME"},
        {"serial_number", "SERIAL"},
        {"product", "PRODUCT"},
        {"os_version", "OS"},
        {"state", "STATE"},
        {"push_state", "PUSH"},
        {"last_seen", "LAST SEEN"},
        {"id", "ID"},
        {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *state = args_value(args, "state");
    TRY(remote_path(&path, state ? "/devices?state=%" : "/devices", state));
    TRY(remote_list(cli, path, "devices", &json));
    return output_list(cli, json, "devices", columns,
                       "No devices yet. A person opens the URL of coffer status on the device and "
                       "logs in.");
}

static const option_t list_options[] = {
    {"state", "STATE", "only these: authenticated, enrolled, removed"},
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_LIST = {
    .group = "device",
    .name = "list",
    .operands = "",
    .summary = "List devices",
    .examples = "  coffer device list --state enrolled\n"
                "  coffer device list --json | jq -r '.devices[].serial_number'",
    .options = list_options,
    .run = run_list,
};

static err_t *run_show(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/devices/%", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_fields(cli, json);
}

const command_t CMD_DEVICE_SHOW = {
    .group = "device",
    .name = "show",
    .operands = "DEVICE",
    .summary = "Show what is known of one device",
    .notes = "DEVICE is an id, UDID, serial number or name; so it is for every device command.",
    .examples = "  coffer device show C39VX0SIM001",
    .min = 1,
    .max = 1,
    .run = run_show,
};

static err_t *run_push(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/devices/%/push", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, NULL));
    return output_done(cli, NULL, "A push to %s is on its way", args->operands[0]);
}

const command_t CMD_DEVICE_PUSH = {
    .group = "device",
    .name = "push",
    .operands = "DEVICE",
    .summary = "Ask a device to call now",
    .examples = "  coffer device push C39VX0SIM001",
    .min = 1,
    .max = 1,
    .run = run_push,
};

static err_t *run_release(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/devices/%/release", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, NULL));
    return output_done(cli, NULL, "%s is not managed any more; anyone may enrol it",
                       args->operands[0]);
}

const command_t CMD_DEVICE_RELEASE = {
    .group = "device",
    .name = "release",
    .operands = "DEVICE",
    .summary = "End the management of a device from this side",
    .notes = "Its identity is revoked and its queue cancelled. A device that is still enrolled for "
             "one\nperson can be enrolled by another only after it left, was erased, or this.",
    .examples = "  coffer device release C39VX0SIM001",
    .min = 1,
    .max = 1,
    .run = run_release,
};

static err_t *run_queue(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"uuid", "UUID"},     {"request_type", "COMMAND"},
        {"state", "STATE"},   {"created", "CREATED"},
        {"sent", "SENT"},     {"done", "DONE"},
        {"created_by", "BY"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    bool all = args_flag(args, "all");
    TRY(remote_path(&path, all ? "/devices/%/commands" : "/devices/%/commands?open=1",
                    args->operands[0]));
    TRY(remote_list(cli, path, "commands", &json));
    return output_list(cli, json, "commands", columns,
                       all ? "No commands." : "No open commands; --all shows finished ones too.");
}

static const option_t queue_options[] = {
    {"all", NULL, "finished commands too, newest first"},
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_QUEUE = {
    .group = "device",
    .name = "queue",
    .operands = "DEVICE",
    .summary = "List a device's open commands",
    .examples = "  coffer device queue C39VX0SIM001\n  coffer device queue C39VX0SIM001 --all",
    .min = 1,
    .max = 1,
    .options = queue_options,
    .run = run_queue,
};

static err_t *run_result(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/devices/%/commands/%", args->operands[0], args->operands[1]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return wait_show(cli, json);
}

const command_t CMD_DEVICE_RESULT = {
    .group = "device",
    .name = "result",
    .operands = "DEVICE UUID",
    .summary = "Show a command and what the device answered",
    .examples = "  coffer device result C39VX0SIM001 0B6C9E52-6F0B-4C1B-9C3B-2A0E1D1F7A11",
    .min = 2,
    .max = 2,
    .run = run_result,
};

static err_t *run_cancel(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    bool force = args_flag(args, "force");
    TRY(remote_path(&path, force ? "/devices/%/commands/%?force=1" : "/devices/%/commands/%",
                    args->operands[0], args->operands[1]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "Cancelled %s", args->operands[1]);
}

static const option_t cancel_options[] = {
    {"force", NULL, "also if it was sent: the device may have obeyed already"},
    {NULL, NULL, NULL},
};

const command_t CMD_DEVICE_CANCEL = {
    .group = "device",
    .name = "cancel",
    .operands = "DEVICE UUID",
    .summary = "Take an open command out of the queue",
    .examples = "  coffer device cancel C39VX0SIM001 0B6C9E52-6F0B-4C1B-9C3B-2A0E1D1F7A11",
    .min = 2,
    .max = 2,
    .options = cancel_options,
    .run = run_cancel,
};
