/*
 * coffer sync ls, get: a region's files without a folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/sync_home.h"
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

static err_t *to_fd(void *ctx, bytes_t piece) { return file_write_fd(*(const int *)ctx, piece); }

/* Into a file beside the wanted one first: what does not verify never gets its name. */
static err_t *get_into(const sync_open_t *region, const char *path, const char *into) {
    CLEANUP(mem_free) char *temp = mem_printf("%s.part", into);
    if (!temp) return err_nomem();
    CLEANUP(fd_close) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "%s", temp);
    err_t *e = sync_engine_read(region->engine, path, &(sync_sink_t){&fd, to_fd});
    if (!e && fsync(fd) != 0) e = err_errno(errno, "%s", temp);
    if (!e && rename(temp, into) != 0) e = err_errno(errno, "%s", into);
    if (e) (void)unlink(temp);
    return e;
}

static err_t *run_get(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t region = {0};
    const char *path = args->operands[0], *slash = strrchr(path, '/');
    const char *into = args->operands_n > 1 ? args->operands[1] : slash ? slash + 1 : path;
    TRY(sync_open_fetched(cli, NULL, &region));
    TRY(get_into(&region, path, into));
    return output_done(cli, NULL, "%s is in %s", path, into);
}

static const option_t get_options[] = {SYNC_HOME_OPTIONS, SYNC_RATE_OPTIONS, {NULL, NULL, NULL}};

const command_t CMD_SYNC_GET = {
    .group = "sync",
    .name = "get",
    .operands = "PATH [FILE]",
    .summary = "Fetch one file of the region",
    .examples = "  coffer sync get Work/report.txt\n"
                "  coffer sync get Work/report.txt /tmp/report.txt",
    .min = 1,
    .max = 2,
    .options = get_options,
    .run = run_get,
};
