/*
 * coffer profile: configuration profiles and which devices get them.
 */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_add(cli_t *cli, const args_t *args) {
    CLEANUP(buf_done) buf_t content;
    CLEANUP(buf_done) buf_t answer;
    CLEANUP(jso_free) json_t *json = NULL;
    bytes_t identifier;
    const char *file = args->operands[0];
    buf_init(&content, LIMIT_HTTP_BODY_API);
    buf_init(&answer, 0);
    if (strcmp(file, "-") == 0) TRY(file_read_fd(STDIN_FILENO, &content));
    else TRY(file_read(file, &content));
    TRY_WRAP(remote_bytes(cli, "POST", "/profiles", "application/x-apple-aspen-config",
                          buf_bytes(&content), LIMIT_JSON_BYTES, &answer),
             "%s", file);
    TRY(jso_parse_object(buf_bytes(&answer), &json));
    TRY(jso_get_string(json, "identifier", LIMIT_NAME * 2, true, &identifier));
    CLEANUP(mem_free) char *quoted = NULL;
    TRY(cli_quote((const char *)identifier.p, &quoted));
    return output_done(cli, json, "Stored %s; next: coffer profile assign %s DEVICE",
                       (const char *)identifier.p, quoted);
}

const command_t CMD_PROFILE_ADD = {
    .group = "profile",
    .name = "add",
    .operands = "FILE",
    .summary = "Store a configuration profile, or a new version of it",
    .notes = "FILE is an unsigned .mobileconfig (XML property list); - is standard input. The "
             "profile is "
             "known\nby its PayloadIdentifier; storing that again replaces it.",
    .examples = "  coffer profile add wifi.mobileconfig",
    .min = 1,
    .max = 1,
    .run = run_add,
};

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"identifier", "IDENTIFIER"}, {"name", "NAME"}, {"created", "CREATED"},
        {"updated", "UPDATED"},       {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_list(cli, "/profiles", "profiles", &json));
    return output_list(cli, json, "profiles", columns, "No profiles yet: coffer profile add FILE");
}

const command_t CMD_PROFILE_LIST = {
    .group = "profile",
    .name = "list",
    .operands = "",
    .summary = "List configuration profiles",
    .examples = "  coffer profile list",
    .run = run_list,
};

static err_t *run_show(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t content;
    buf_init(&content, 0);
    TRY(remote_path(&path, "/profiles/%", args->operands[0]));
    TRY(remote_bytes(cli, "GET", path, "application/json", BYTES_NONE, LIMIT_PROFILE_BYTES * 2,
                     &content));
    if (!cli->json) return cli_print(cli, &content);
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "identifier", args->operands[0]));
    TRY(jso_set_string(json, "content", buf_bytes(&content)));
    return output_json(cli, json);
}

const command_t CMD_PROFILE_SHOW = {
    .group = "profile",
    .name = "show",
    .operands = "IDENTIFIER",
    .summary = "Print a configuration profile as it was stored",
    .examples = "  coffer profile show org.example.wifi > wifi.mobileconfig",
    .min = 1,
    .max = 1,
    .run = run_show,
};

static err_t *run_remove(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/profiles/%", args->operands[0]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL,
                       "Removed %s. Devices that have it keep it, unless it was unassigned first",
                       args->operands[0]);
}

const command_t CMD_PROFILE_REMOVE = {
    .group = "profile",
    .name = "remove",
    .operands = "IDENTIFIER",
    .summary = "Forget a configuration profile and its assignments",
    .notes = "Devices that have it keep it. To take it off them too, unassign it first.",
    .examples = "  coffer profile unassign org.example.wifi --all\n"
                "  coffer profile remove org.example.wifi",
    .min = 1,
    .max = 1,
    .run = run_remove,
};

/* The device named, or "*" with --all. */
static err_t *which(const args_t *args, const char **ret_device) {
    bool all = args_flag(args, "all");
    if (all == (args->operands_n == 2)) return err_new(ERR_USAGE, "name one DEVICE, or say --all");
    *ret_device = all ? "*" : args->operands[1];
    return NULL;
}

static err_t *show_count(cli_t *cli, const json_t *json, const char *what) {
    int64_t count = 0;
    TRY(jso_get_int(json, "devices", 0, INT64_MAX, true, &count));
    return output_done(cli, json, "%s; queued for %lld device%s", what, (long long)count,
                       count == 1 ? "" : "s");
}

static const option_t all_option[] = {
    {"all", NULL, "every device, also those enrolled later"},
    {NULL, NULL, NULL},
};

static err_t *run_assign(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *device = NULL;
    TRY(which(args, &device));
    TRY(remote_path(&path, "/profiles/%/assignments", args->operands[0]));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "device", device));
    TRY(remote_call(cli, "POST", path, body, &json));
    return show_count(cli, json, "Assigned");
}

const command_t CMD_PROFILE_ASSIGN = {
    .group = "profile",
    .name = "assign",
    .operands = "IDENTIFIER [DEVICE]",
    .summary = "Give a profile to a device, now and when it enrols again",
    .notes = "DEVICE is an id, UDID, serial number or name.",
    .examples = "  coffer profile assign org.example.wifi C39VX0SIM001\n"
                "  coffer profile assign org.example.wifi --all",
    .min = 1,
    .max = 2,
    .options = all_option,
    .run = run_assign,
};

static err_t *run_unassign(cli_t *cli, const args_t *args) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *device = NULL;
    TRY(which(args, &device));
    TRY(remote_path(&path, "/profiles/%/assignments/%", args->operands[0], device));
    TRY(remote_call(cli, "DELETE", path, NULL, &json));
    return show_count(cli, json, "Unassigned");
}

const command_t CMD_PROFILE_UNASSIGN = {
    .group = "profile",
    .name = "unassign",
    .operands = "IDENTIFIER [DEVICE]",
    .summary = "Take a profile off a device",
    .examples = "  coffer profile unassign org.example.wifi C39VX0SIM001",
    .min = 1,
    .max = 2,
    .options = all_option,
    .run = run_unassign,
};
