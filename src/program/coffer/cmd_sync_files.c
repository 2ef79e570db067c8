/*
 * coffer sync ls: a region's files without a folder.
 */
#include "program/coffer/output.h"
#include "program/coffer/sync_home.h"
#include "program/coffer/sync_say.h"
#include "sync/engine/look.h"

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
