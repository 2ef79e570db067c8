/*
 * coffer sync history, restore: what a region was before.
 */
#include <limits.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/sync_into.h"
#include "program/coffer/sync_say.h"
#include "program/coffer/sync_wipe.h"
#include "sync/engine/edit.h"
#include "sync/engine/history.h"

enum { LAST = 100, LAST_MAX = 1000000 };

/* ---- history ---- */

typedef struct {
    json_t *list;
    size_t last;
    sync_bar_t bar;
} listing_t;

static const char *what_name(sync_past_what_t what) {
    switch (what) {
    case SYNC_PAST_ADDED: return "added";
    case SYNC_PAST_CHANGED: return "changed";
    case SYNC_PAST_MOVED: return "moved";
    case SYNC_PAST_DELETED: return "deleted";
    }
    return "?";
}

static void look(void *arg, uint64_t version) {
    listing_t *listing = arg;
    sync_bar_look(&listing->bar, version);
}

static err_t *list_change(void *arg, const sync_past_t *event, bool *ret_stop) {
    CLEANUP(jso_free) json_t *json = NULL;
    listing_t *listing = arg;
    *ret_stop = json_array_size(listing->list) >= listing->last;
    if (*ret_stop) return NULL;
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "version", (int64_t)event->version));
    TRY(jso_set_time(json, "time", event->time));
    TRY(jso_set_str(json, "change", what_name(event->what)));
    TRY(sync_set_path(json, "path", event->path));
    if (event->from) TRY(sync_set_path(json, "from", event->from));
    TRY(jso_set_str(json, "kind", sync_kind_name(event->kind)));
    if (event->kind == SYNC_ENTRY_FILE) TRY(jso_set_int(json, "size", (int64_t)event->size));
    TRY(jso_set_time(json, "modified", event->mtime));
    TRY(jso_set_str(json, "device", event->device));
    TRY(jso_set_str(json, "person", event->person));
    return json_array_append_new(listing->list, STEAL(json)) == 0 ? NULL : err_nomem();
}

static err_t *say_history(cli_t *cli, const json_t *json, const sync_past_reach_t *reach) {
    static const column_t columns[] = {
        {"version", "VERSION"}, {"time", "TIME"},     {"change", "CHANGE"},
        {"size", "SIZE"},       {"device", "DEVICE"}, {"person", "PERSON"},
        {"path", "PATH"},       {"from", "FROM"},     {NULL, NULL}};
    TRY(output_list(cli, json, "changes", columns, "No changes."));
    if (reach->stopped) return cli_say(cli, "There are more: --last NUMBER shows them.\n");
    if (reach->oldest > 1)
        return cli_say(cli, "What was before version %llu is not kept any more.\n",
                       (unsigned long long)reach->oldest);
    return NULL;
}

static err_t *run_history(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    sync_past_reach_t reach = {0};
    listing_t listing = {.bar = {.cli = cli}};
    long last = LAST;
    TRY(args_number(args, "last", 1, LAST_MAX, LAST, &last));
    TRY(sync_plain_path(args->operands_n ? args->operands[0] : "", &path));
    TRY(sync_open_fetched(cli, NULL, &open));
    TRY(jso_object(&json));
    TRY(sync_set_path(json, "path", path));
    TRY(jso_set_array(json, "changes", &listing.list));
    listing.last = (size_t)last;
    err_t *e = sync_history(open.engine, path, list_change, look, &listing, &reach);
    sync_bar_end(&listing.bar);
    TRY_WRAP(e, "%s", path);
    TRY(jso_set_int(json, "newest", (int64_t)reach.newest));
    if (!reach.stopped) TRY(jso_set_int(json, "oldest", (int64_t)reach.oldest));
    TRY(jso_set_bool(json, "more", reach.stopped));
    return say_history(cli, json, &reach);
}

static const option_t history_options[] = {
    SYNC_HOME_OPTIONS,
    {"last", "NUMBER", "so many changes (default 100)"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_HISTORY = {
    .group = "sync",
    .name = "history",
    .operands = "[PATH]",
    .summary = "List the versions of a file, or what happened in a folder",
    .notes =
        "The newest first, as the signed roots prove it: number, time by the clock of the device,\n"
        "who made it. A file is followed through renames. Of a folder all changes below it are\n"
        "listed, what was deleted too. Versions are kept as long as the service's administrator\n"
        "says; how far back they go is told at the end.",
    .examples = "  coffer sync history Work/report.txt\n"
                "  coffer sync history Work --last 20",
    .min = 0,
    .max = 1,
    .options = history_options,
    .run = run_history,
};

/* ---- restore ---- */

static err_t *which(const args_t *args, const char *path, sync_past_which_t *ret_which) {
    const char *at = args_value(args, "at");
    long version = 0;
    sync_past_which_t which = {.path = path};
    TRY(args_exclude(args, "version", "at"));
    TRY(args_number(args, "version", 1, LONG_MAX, 0, &version));
    which.version = (uint64_t)version;
    which.by_time = at != NULL;
    if (at) {
        err_t *e = text_parse_time(bytes_str(at), &which.time);
        if (e)
            return err_recode(err_wrap(e, "--at is a time like 2026-11-22T08:00:00Z"), ERR_USAGE);
    }
    *ret_which = which;
    return NULL;
}

typedef struct {
    const sync_open_t *open;
    const char *path;
    uint64_t version;
    sync_bar_t *bar;
} past_t;

static err_t *read_past(void *ctx, const sync_sink_t *sink) {
    const past_t *past = ctx;
    sync_counted_t counted = {.bar = past->bar, .sink = sink};
    return sync_past_read(past->open->engine, past->path, past->version,
                          &(sync_sink_t){&counted, sync_counted_write});
}

static err_t *say_restored(cli_t *cli, const sync_open_t *open, uint64_t version,
                           const sync_report_t *report, const sync_restored_t *restored) {
    CLEANUP(jso_free) json_t *json = NULL;
    uint64_t now = sync_engine_known(open->engine).root;
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "restored", (int64_t)version));
    TRY(jso_set_int(json, "version", (int64_t)now));
    TRY(jso_set_int(json, "files", (int64_t)restored->files));
    TRY(jso_set_int(json, "folders", (int64_t)restored->folders));
    TRY(jso_set_int(json, "replaced", (int64_t)restored->replaced));
    TRY(jso_set_int(json, "left", (int64_t)report->left));
    if (report->left) TRY(jso_set_str(json, "first_left", report->first_left));
    if (report->left)
        TRY(cli_say(cli, "%llu left as they are; %s\n", (unsigned long long)report->left,
                    report->first_left));
    if (!report->commits)
        return output_done(cli, json, "It is as version %llu had it.", (unsigned long long)version);
    return output_done(cli, json, "Version %llu is back: %llu file%s, in version %llu",
                       (unsigned long long)version, (unsigned long long)restored->files,
                       restored->files == 1 ? "" : "s", (unsigned long long)now);
}

static err_t *run_restore(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(mem_free) char *path = NULL;
    const char *into = args_value(args, "to");
    sync_bar_t bar = {.cli = cli};
    sync_past_which_t wanted;
    sync_report_t report = {0};
    sync_restored_t restored = {0};
    uint64_t version = 0;
    TRY(sync_plain_path(args->operands[0], &path));
    TRY(which(args, path, &wanted));
    TRY(sync_open_fetched(cli, NULL, &open));
    TRY_WRAP(sync_past_version(open.engine, &wanted, &version), "%s", path);
    if (into) {
        err_t *e = sync_into_file(into, args_flag(args, "replace"), NULL, read_past,
                                  &(past_t){&open, path, version, &bar});
        sync_bar_end(&bar);
        TRY(e);
        return output_done(cli, NULL, "Version %llu of %s is in %s", (unsigned long long)version,
                           path, into);
    }
    err_t *e = sync_engine_restore(open.engine, path, version, &report, &restored);
    TRY(sync_wipe_or(cli, &open, &report, e));
    return say_restored(cli, &open, version, &report, &restored);
}

static const option_t restore_options[] = {
    SYNC_HOME_OPTIONS,
    SYNC_RATE_OPTIONS,
    {"version", "NUMBER", "as this version had it: see coffer sync history"},
    {"at", "TIME", "as it was then, like 2026-11-22T08:00:00Z"},
    {"to", "FILE", "a file's content into this file; the region stays as it is"},
    {"replace", NULL, "overwrite that file if it is there"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_RESTORE = {
    .group = "sync",
    .name = "restore",
    .operands = "PATH",
    .summary = "Bring back an old version, or what was deleted",
    .notes =
        "Without --version or --at: what was deleted comes back, a file goes back to the version\n"
        "before its last change. It is a new version: nothing is sent, and no version is lost.\n"
        "Of a folder all that lay in it comes back as it was; what came later stays there, and "
        "what\n"
        "lies elsewhere now is left alone.",
    .examples = "  coffer sync restore Work/report.txt\n"
                "  coffer sync restore Work --at 2026-11-22T08:00:00Z\n"
                "  coffer sync restore Work/report.txt --version 12 --to /tmp/report.txt",
    .min = 1,
    .max = 1,
    .options = restore_options,
    .run = run_restore,
};
