/*
 * coffer key deliveries, deliver: how people's mail keys come to their devices.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

static err_t *run_deliveries(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"person", "PERSON"}, {"serial_number", "DEVICE"}, {"name", "NAME"},
        {"keys", "KEYS"},     {"complete", "NEWEST"},      {"state", "STATE"},
        {"why", "WHY"},       {"again", "AGAIN"},          {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *person = args_value(args, "person");
    bool all = !args_flag(args, "unfinished");
    if (person)
        TRY(remote_path(
            &path, all ? "/mail-deliveries?person=%" : "/mail-deliveries?unfinished=1&person=%",
            person));
    else TRY(remote_path(&path, all ? "/mail-deliveries" : "/mail-deliveries?unfinished=1"));
    TRY(remote_list(cli, path, "deliveries", &json));
    return output_list(cli, json, "deliveries", columns,
                       all ? "No device gets mail keys." : "Every device has its person's keys.");
}

static const option_t deliveries_options[] = {
    {"person", "EMAIL", "only this person's devices"},
    {"unfinished", NULL, "only devices that lack a key"},
    {NULL, NULL, NULL},
};

const command_t CMD_KEY_DELIVERIES = {
    .group = "key",
    .name = "deliveries",
    .operands = "",
    .summary = "Show which devices have their people's mail keys",
    .notes = "KEYS is how many keys a device acknowledged, NEWEST whether the newest is among\n"
             "them. STATE: due, queued (the command waits for the device), sent, delivered,\n"
             "waiting (for an officer), refused (by the keeper), failed (on the device); the last\n"
             "two are tried again by themselves.",
    .examples = "  coffer key deliveries --unfinished\n"
                "  coffer key deliveries --person nurse@example.org",
    .options = deliveries_options,
    .run = run_deliveries,
};

static err_t *run_deliver(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    int64_t devices = 0;
    TRY(remote_path(&path, "/people/%/keys/deliver", args->operands[0]));
    TRY(remote_call(cli, "POST", path, NULL, &json));
    TRY(jso_get_int(json, "devices", 0, INT64_MAX, true, &devices));
    return output_done(cli, json, "%lld devices of %s get their mail keys once more",
                       (long long)devices, args->operands[0]);
}

const command_t CMD_KEY_DELIVER = {
    .group = "key",
    .name = "deliver",
    .operands = "EMAIL",
    .summary = "Send a person's mail keys to his enrolled devices once more",
    .notes =
        "New keys go to devices by themselves. This is for a device that lost its profile, or\n"
        "whose failure was mended.",
    .examples = "  coffer key deliver nurse@example.org",
    .min = 1,
    .max = 1,
    .run = run_deliver,
};
