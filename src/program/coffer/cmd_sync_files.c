/*
 * coffer sync ls, get: a region's files without a folder.
 */
#include <string.h>

#include "program/coffer/output.h"
#include "program/coffer/sync_home.h"
#include "program/coffer/sync_into.h"
#include "program/coffer/sync_say.h"
#include "sync/engine/look.h"

/* ---- ls ---- */

static err_t *list_one(void *arg, const sync_look_t *look) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = arg;
    TRY(jso_object(&json));
    TRY(sync_set_path(json, "path", look->path));
    TRY(jso_set_str(json, "kind", sync_kind_name(look->kind)));
    TRY(jso_set_int(json, "size", (int64_t)look->size));
    TRY(jso_set_time(json, "changed", look->mtime));
    TRY(jso_set_bool(json, "here", look->here));
    return json_array_append_new(list, STEAL(json)) == 0 ? NULL : err_nomem();
}

static err_t *run_ls(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {{"path", "PATH"},       {"kind", "KIND"}, {"size", "SIZE"},
                                       {"changed", "CHANGED"}, {"here", "HERE"}, {NULL, NULL}};
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL;
    TRY(sync_open_fetched(cli, NULL, &open));
    TRY(jso_object(&json));
    TRY(jso_set_array(json, "entries", &list));
    TRY(sync_look(open.engine, args->operands_n ? args->operands[0] : "", args_flag(args, "all"),
                  list_one, list));
    return output_list(cli, json, "entries", columns, "Nothing is there.");
}

static const option_t ls_options[] = {
    SYNC_HOME_OPTIONS,
    {"all", NULL, "also what lies in folders below"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_LS = {
    .group = "sync",
    .name = "ls",
    .operands = "[PATH]",
    .summary = "List what the region has",
    .examples = "  coffer sync ls\n"
                "  coffer sync ls Work --all",
    .min = 0,
    .max = 1,
    .options = ls_options,
    .run = run_ls,
};

/* ---- get ---- */

typedef struct {
    const sync_open_t *region;
    const char *path;
} get_t;

static err_t *read_file(void *ctx, const sync_sink_t *sink) {
    const get_t *get = ctx;
    return sync_engine_read(get->region->engine, get->path, sink);
}

static err_t *run_get(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t region = {0};
    const char *path = args->operands[0], *slash = strrchr(path, '/');
    const char *into = args->operands_n > 1 ? args->operands[1] : slash ? slash + 1 : path;
    TRY(sync_open_fetched(cli, NULL, &region));
    TRY(sync_into_file(into, args_flag(args, "replace"), read_file, &(get_t){&region, path}));
    return output_done(cli, NULL, "%s is in %s", path, into);
}

static const option_t get_options[] = {
    SYNC_HOME_OPTIONS,
    SYNC_RATE_OPTIONS,
    {"replace", NULL, "overwrite FILE if it is there"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_GET = {
    .group = "sync",
    .name = "get",
    .operands = "PATH [FILE]",
    .summary = "Fetch one file of the region",
    .examples = "  coffer sync get Work/report.txt\n"
                "  coffer sync get Work/report.txt /tmp/report.txt --replace",
    .min = 1,
    .max = 2,
    .options = get_options,
    .run = run_get,
};
