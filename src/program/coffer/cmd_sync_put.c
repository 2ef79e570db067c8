/*
 * coffer sync put, mkdir, rm: changing a region without a folder.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "program/coffer/output.h"
#include "program/coffer/put_tree.h"
#include "program/coffer/sync_say.h"
#include "program/coffer/sync_wipe.h"
#include "sync/client/put.h"
#include "sync/engine/edit.h"
#include "sync/engine/look.h"

typedef struct {
    sync_open_t open;
    sync_put_t *source;
    put_tree_t tree;
    sync_report_t report;
} work_t;

static void work_done(work_t *work) {
    put_tree_done(&work->tree);
    sync_put_free(work->source);
    sync_open_done(&work->open);
}
DEFINE_CLEANUP_VALUE(work_t, work_done)

/* One commit, with a bar while something is sent. */
static err_t *make_edits(work_t *work, sync_bar_t *bar) {
    err_t *e =
        sync_engine_edit(work->open.engine, work->source ? sync_put_disk(work->source) : NULL,
                         work->tree.edits, work->tree.n, &work->report);
    sync_bar_end(bar);
    return sync_wipe_or(bar->cli, &work->open, &work->report, e);
}

static err_t *say_done(cli_t *cli, const work_t *work, const char *what) {
    CLEANUP(jso_free) json_t *json = NULL;
    uint64_t version = sync_engine_known(work->open.engine).root;
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "version", (int64_t)version));
    TRY(jso_set_int(json, "changes", (int64_t)work->tree.n));
    if (work->source) {
        TRY(jso_set_int(json, "files", (int64_t)work->tree.files));
        TRY(jso_set_int(json, "folders", (int64_t)work->tree.folders));
        TRY(jso_set_int(json, "links", (int64_t)work->tree.links));
        TRY(jso_set_int(json, "bytes", (int64_t)work->tree.bytes));
        TRY(jso_set_int(json, "left_out", (int64_t)work->tree.others));
    }
    TRY(jso_set_int(json, "uploaded", (int64_t)work->report.uploaded));
    TRY(jso_set_int(json, "bytes_up", (int64_t)work->report.bytes_up));
    return output_done(cli, json, "%s in version %llu", what, (unsigned long long)version);
}

/* ---- put ---- */

/*
 * Into a folder: one that is there, or "folder/", or because there are several files. What has no
 * name of its own, as "photos/.", goes in with its contents.
 */
static err_t *put_name(const char *file, const char *target, bool into, char **ret_path) {
    size_t end = strlen(file), from = 0;
    while (end && file[end - 1] == '/') end--; /* "photos/" is photos */
    for (size_t i = 0; i < end; i++)
        if (file[i] == '/') from = i + 1;
    bool named = end > from && !(end - from == 1 && file[from] == '.') &&
                 !(end - from == 2 && file[from] == '.' && file[from + 1] == '.');
    char *path = into && named ? mem_printf("%s/%.*s", target, (int)(end - from), file + from)
                               : mem_strdup(target);
    if (!path) return err_nomem();
    *ret_path = path;
    return NULL;
}

static err_t *add_file(work_t *work, const args_t *args, const char *file, bool into) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *plain = NULL;
    TRY(put_name(file, args->operands[args->operands_n - 1], into, &path));
    TRY(sync_plain_path(path, &plain));
    return put_tree_walk(&work->tree, file, plain, args_flag(args, "parents"));
}

static err_t *is_into(const work_t *work, const char *target, size_t files, bool *ret_into) {
    CLEANUP(mem_free) char *path = NULL;
    sync_entry_kind_t kind = SYNC_ENTRY_FILE;
    bool found = false;
    size_t n = strlen(target);
    TRY(sync_plain_path(target, &path));
    TRY(sync_look_kind(work->open.engine, path, &found, &kind));
    *ret_into = files > 1 || (n && target[n - 1] == '/') || (found && kind == SYNC_ENTRY_FOLDER);
    return NULL;
}

static err_t *run_put(cli_t *cli, const args_t *args) {
    CLEANUP(work_done) work_t work = {0};
    sync_bar_t bar = {.cli = cli};
    size_t files = args->operands_n - 1;
    bool into = false;
    char what[96];
    TRY(sync_put_new(cli->clk, &work.source));
    work.tree.source = work.source;
    TRY(sync_open_fetched(cli, &bar, &work.open));
    TRY(is_into(&work, args->operands[files], files, &into));
    for (size_t i = 0; i < files; i++) TRY(add_file(&work, args, args->operands[i], into));
    TRY(make_edits(&work, &bar));
    const put_tree_t *tree = &work.tree;
    if (tree->others)
        cli_warn(cli, "coffer: %llu left out that are neither files, folders nor links; %s\n",
                 (unsigned long long)tree->others, tree->first_other);
    if (tree->folders)
        (void)snprintf(what, sizeof what, "%llu files in %llu folders are",
                       (unsigned long long)tree->files, (unsigned long long)tree->folders);
    else
        (void)snprintf(what, sizeof what, "%llu file%s", (unsigned long long)tree->files,
                       tree->files == 1 ? " is" : "s are");
    return say_done(cli, &work, what);
}

static const option_t put_options[] = {
    SYNC_HOME_OPTIONS,
    SYNC_RATE_OPTIONS,
    {"parents", NULL, "make the folders of PATH that are missing"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_PUT = {
    .group = "sync",
    .name = "put",
    .operands = "FILE... PATH",
    .summary = "Put files and folders into the region, without a synced folder",
    .notes =
        "PATH is the file's new name, or a folder of the region if one is there, if PATH ends\n"
        "with a slash or if there are several files. A folder comes with all that is in it, links\n"
        "as links, in one version; what the region has there besides stays. What is there already\n"
        "becomes the version before. If the connection breaks, give the command again: files\n"
        "that were sent are not sent again.",
    .examples = "  coffer sync put report.txt Work/report.txt\n"
                "  coffer sync put scans/a.pdf scans/b.pdf Scans/2026/ --parents\n"
                "  coffer sync put ~/Pictures/2026 Photos/",
    .min = 2,
    .max = ARGS_OPERANDS_MAX,
    .options = put_options,
    .run = run_put,
};

/* ---- mkdir, rm ---- */

static err_t *run_paths(cli_t *cli, const args_t *args, sync_edit_kind_t kind, const char *what) {
    CLEANUP(work_done) work_t work = {0};
    sync_bar_t bar = {.cli = cli};
    TRY(sync_open(cli, &work.open));
    TRY(sync_open_engine(&work.open));
    for (size_t i = 0; i < args->operands_n; i++) {
        sync_edit_t *edit = NULL;
        TRY(put_tree_add(&work.tree, kind, args->operands[i], &edit));
        edit->parents = kind == SYNC_EDIT_FOLDER && args_flag(args, "parents");
        edit->deep = kind == SYNC_EDIT_REMOVE && args_flag(args, "recursive");
    }
    TRY(make_edits(&work, &bar));
    return say_done(cli, &work, what);
}

static err_t *run_mkdir(cli_t *cli, const args_t *args) {
    return run_paths(cli, args, SYNC_EDIT_FOLDER, "made");
}

static const option_t mkdir_options[] = {
    SYNC_HOME_OPTIONS,
    {"parents", NULL, "make the folders above it too; a folder that is there is fine"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_MKDIR = {
    .group = "sync",
    .name = "mkdir",
    .operands = "PATH...",
    .summary = "Make folders in the region",
    .examples = "  coffer sync mkdir Work/2026 --parents",
    .min = 1,
    .max = ARGS_OPERANDS_MAX,
    .options = mkdir_options,
    .run = run_mkdir,
};

static err_t *run_rm(cli_t *cli, const args_t *args) {
    return run_paths(cli, args, SYNC_EDIT_REMOVE, "removed");
}

static const option_t rm_options[] = {
    SYNC_HOME_OPTIONS,
    {"recursive", NULL, "folders with all that is in them"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_RM = {
    .group = "sync",
    .name = "rm",
    .operands = "PATH...",
    .summary = "Remove files and folders from the region and so from all devices",
    .notes = "coffer sync restore brings them back while the service keeps their versions.",
    .examples = "  coffer sync rm Work/old.txt\n"
                "  coffer sync rm Work/2019 --recursive",
    .min = 1,
    .max = ARGS_OPERANDS_MAX,
    .options = rm_options,
    .run = run_rm,
};
