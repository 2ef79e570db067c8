/*
 * coffer sync limit: how fast a device may send and fetch.
 */
#include "program/coffer/output.h"
#include "program/coffer/sync_home.h"
#include "sync/client/rate.h"

static err_t *set_one(const args_t *args, const char *name, uint64_t *rate, bool *changed) {
    const char *text = args_value(args, name);
    if (!text) return NULL;
    *changed = true;
    return sync_rate_parse(bytes_str(text), rate);
}

static err_t *set_rate(json_t *json, const char *name, uint64_t rate) {
    return rate ? jso_set_int(json, name, (int64_t)rate) : jso_set_str(json, name, NULL);
}

static err_t *run_limit(cli_t *cli, const args_t *args) {
    CLEANUP(sync_home_done) sync_home_t home = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    bool changed = false;
    TRY(sync_home_read(cli, &home));
    TRY(set_one(args, "up", &home.up_max, &changed));
    TRY(set_one(args, "down", &home.down_max, &changed));
    if (changed) TRY(sync_home_write(&home));
    TRY(jso_object(&json));
    TRY(set_rate(json, "up", home.up_max));
    TRY(set_rate(json, "down", home.down_max));
    return output_fields(cli, json);
}

static const option_t limit_options[] = {
    SYNC_HOME_OPTIONS,
    {"up", "RATE", "send no more bytes a second, like 500k or 2M; 0: no limit"},
    {"down", "RATE", "fetch no more bytes a second"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_LIMIT = {
    .group = "sync",
    .name = "limit",
    .operands = "",
    .summary = "Show or set how fast this device may send and fetch",
    .notes = "Kept in the device's home; programs that run already take it at their next start.\n"
             "For one run alone: --limit-up and --limit-down of run, mount, put, get and restore.",
    .examples = "  coffer sync limit --up 500k --down 2M\n"
                "  coffer sync limit --up 0",
    .min = 0,
    .max = 0,
    .options = limit_options,
    .run = run_limit,
};
