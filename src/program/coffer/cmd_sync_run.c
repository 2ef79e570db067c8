/*
 * coffer sync run, status: keeping a folder and a region together, and how that stands.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"
#include "program/coffer/sync_bar.h"
#include "program/coffer/sync_home.h"
#include "program/coffer/sync_say.h"
#include "program/coffer/sync_wipe.h"
#include "sync/client/watch.h"
#include "sync/engine/look.h"
#include "sync/engine/members.h"

enum {
    FOLDERS_MAX = 64,
    IGNORE_MAX = 256 * 1024,
    POLL_S = 60,     /* how often a folder is looked at without an event */
    AGAIN_MS = 300,  /* before a step that follows at once */
    RETRY_MS = 5000, /* while the service is away */
    STEPS_MAX = 10,  /* in a row with --once */
    STATUS_BATCH = 4096
};

/* ---- one step ---- */

static err_t *report_json(const sync_report_t *r, json_t *json) {
    TRY(jso_set_int(json, "uploaded", (int64_t)r->uploaded));
    TRY(jso_set_int(json, "downloaded", (int64_t)r->downloaded));
    TRY(jso_set_int(json, "bytes_up", (int64_t)r->bytes_up));
    TRY(jso_set_int(json, "bytes_down", (int64_t)r->bytes_down));
    TRY(jso_set_int(json, "moved", (int64_t)r->moved));
    TRY(jso_set_int(json, "removed_here", (int64_t)r->removed_here));
    TRY(jso_set_int(json, "removed_there", (int64_t)r->removed_there));
    TRY(jso_set_int(json, "conflicts", (int64_t)r->conflicts));
    TRY(jso_set_int(json, "commits", (int64_t)r->commits));
    TRY(jso_set_int(json, "left", (int64_t)r->left));
    if (r->left) TRY(jso_set_str(json, "first_left", r->first_left));
    if (r->recovered) TRY(jso_set_int(json, "recovered", (int64_t)r->recovered));
    if (r->outside) {
        TRY(jso_set_int(json, "outside", (int64_t)r->outside));
        TRY(sync_set_path(json, "first_outside", r->first_outside));
    }
    if (r->alarm[0]) TRY(jso_set_str(json, "alarm", r->alarm));
    return jso_set_bool(json, "again", r->again);
}

static bool did_anything(const sync_report_t *r) {
    return r->uploaded || r->downloaded || r->moved || r->removed_here || r->removed_there ||
           r->conflicts || r->commits || r->left || r->recovered;
}

static err_t *say_report(cli_t *cli, const sync_open_t *open, const sync_report_t *r, bool always) {
    CLEANUP(jso_free) json_t *json = NULL;
    uint64_t requests = 0, sent = 0;
    if (!always && !did_anything(r)) return NULL;
    if (!cli->json) {
        if (always) sync_say_outside(cli, r);
        TRY(cli_say(
            cli, "%llu up, %llu down, %llu moved, %llu removed here, %llu there, %llu conflicts\n",
            (unsigned long long)r->uploaded, (unsigned long long)r->downloaded,
            (unsigned long long)r->moved, (unsigned long long)r->removed_here,
            (unsigned long long)r->removed_there, (unsigned long long)r->conflicts));
        if (r->recovered)
            TRY(cli_say(cli,
                        "%llu changes that were made when the power went are back in the folder as "
                        "\"recovered ...\"\n",
                        (unsigned long long)r->recovered));
        if (r->left)
            TRY(cli_say(cli, "%llu left for the next time; %s\n", (unsigned long long)r->left,
                        r->first_left));
        return fflush(cli->out) == 0 ? NULL : err_new(ERR_IO, "cannot write to standard output");
    }
    TRY(jso_object(&json));
    TRY(report_json(r, json));
    sync_http_counts(open->http, &requests, &sent);
    TRY(jso_set_int(json, "requests", (int64_t)requests));
    TRY(jso_set_int(json, "sent", (int64_t)sent));
    TRY(output_json(cli, json));
    return fflush(cli->out) == 0 ? NULL : err_new(ERR_IO, "cannot write to standard output");
}

static err_t *step(cli_t *cli, sync_open_t *open, sync_bar_t *bar, sync_report_t *ret_report) {
    err_t *e = sync_engine_step(open->engine, ret_report);
    sync_bar_end(bar);
    if (e && cli->json) {
        CLEANUP(jso_free) json_t *json = NULL;
        err_t *shown = jso_object(&json);
        if (!shown) shown = report_json(ret_report, json);
        if (!shown) shown = output_json(cli, json);
        err_free(shown);
    }
    return e ? sync_advise(e, ret_report) : NULL;
}

/* ---- the loop ---- */

/* Set by a signal: the step that runs is the last. A handler can reach nothing else. */
static volatile sig_atomic_t ended; /* house-rules: allow mutable-global: a signal's flag */

static void on_signal(int number) {
    (void)number;
    ended = 1;
}

static void await_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static bool worth_waiting(const err_t *e) {
    return err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT || err_code(e) == ERR_BUSY;
}

static err_t *run_once(cli_t *cli, sync_open_t *open, sync_bar_t *bar) {
    sync_report_t all = {0};
    for (int i = 0; i < STEPS_MAX; i++) {
        sync_report_t r;
        err_t *e = step(cli, open, bar, &r);
        if (e && err_code(e) == ERR_BUSY && r.again && i + 1 < STEPS_MAX) {
            err_free(e);
            continue;
        }
        TRY(e);
        all.uploaded += r.uploaded;
        all.downloaded += r.downloaded;
        all.bytes_up += r.bytes_up;
        all.bytes_down += r.bytes_down;
        all.moved += r.moved;
        all.removed_here += r.removed_here;
        all.removed_there += r.removed_there;
        all.conflicts += r.conflicts;
        all.commits += r.commits;
        all.recovered += r.recovered;
        all.left = r.left;
        all.again = r.again;
        memcpy(all.first_left, r.first_left, sizeof all.first_left);
        all.outside = r.outside;
        memcpy(all.first_outside, r.first_outside, sizeof all.first_outside);
        if (!r.again) break;
    }
    return say_report(cli, open, &all, true);
}

static err_t *http_config(const sync_open_t *open, cli_t *cli, sync_http_config_t *ret_config) {
    *ret_config = (sync_http_config_t){.server = open->home.server,
                                       .ca_file = open->home.ca_file,
                                       .resolve = open->home.resolve,
                                       .device = &open->key,
                                       .clk = cli->clk};
    memcpy(ret_config->region, open->home.region, SYNC_HASH);
    return NULL;
}

static err_t *run_on(cli_t *cli, sync_open_t *open, sync_bar_t *bar, long poll_s) {
    CLEANUP(sync_watch_free) sync_watch_t *watch = NULL;
    sync_http_config_t config;
    uint64_t outside = 0; /* that were told of */
    TRY(http_config(open, cli, &config));
    TRY(sync_watch_new(open->home.folder, &config, &watch));
    await_signals();
    while (!ended) {
        sync_report_t r;
        bool happened = false;
        char why[512];
        int wait = (int)poll_s * 1000;
        TRY(sync_watch_renew(watch));
        err_t *e = step(cli, open, bar, &r);
        if (e && !worth_waiting(e)) return e;
        if (e) {
            cli_warn(cli, "coffer: %s; trying again\n", err_text(e, why, sizeof why));
            wait = RETRY_MS;
            err_free(e);
        } else {
            TRY(say_report(cli, open, &r, false));
            if (r.outside != outside) sync_say_outside(cli, &r);
            outside = r.outside;
        }
        if (r.again) wait = AGAIN_MS;
        if (ended) break;
        sync_news_t known = sync_engine_known(open->engine);
        TRY(sync_watch_wait(watch, &known, wait, &happened));
    }
    return NULL;
}

/* ---- the command ---- */

static err_t *is_ours(cli_t *cli, const sync_open_t *open, const char *folder, bool *ret_ours) {
    CLEANUP(sync_folder_disk_free) sync_folder_disk_t *own = NULL;
    TRY(sync_folder_disk_new(folder, open->home.marker, cli->clk, &own));
    const sync_disk_t *disk = sync_folder_disk(own);
    err_t *e = disk->present(disk->ctx, false);
    *ret_ours = e == NULL;
    if (!e || err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        return NULL;
    }
    return e;
}

/*
 * Whether it is the folder of before, which was moved: it has the marker, the old place not, and it
 * is the same directory. A copy, as a backup is one, has the marker too: what was changed and made
 * since would be taken for undone and deleted.
 */
static err_t *was_moved(cli_t *cli, const sync_open_t *open, const char *folder, const char *id,
                        bool *ret_moved) {
    bool here = false, there = false;
    *ret_moved = false;
    if (!open->home.folder_id || strcmp(open->home.folder_id, id) != 0) return NULL;
    TRY(is_ours(cli, open, folder, &here));
    TRY(is_ours(cli, open, open->home.folder, &there));
    *ret_moved = here && !there;
    return NULL;
}

/* From when it was known by its path alone. */
static err_t *keep_id(cli_t *cli, sync_open_t *open) {
    bool here = false;
    if (!open->home.folder || open->home.folder_id) return NULL;
    TRY(is_ours(cli, open, open->home.folder, &here));
    if (!here) return NULL;
    TRY(sync_home_folder_id(open->home.folder, &open->home.folder_id));
    return sync_home_write(&open->home);
}

/*
 * The folder is the one of before, or becomes it. A first one is made: nothing is lost by that,
 * while one that was synced and is gone may lie on a disk that is not mounted.
 */
static err_t *set_folder(cli_t *cli, sync_open_t *open, const char *given) {
    if (given && !open->home.folder && mkdir(given, 0700) != 0 && errno != EEXIST)
        return err_errno(errno, "%s", given);
    char *folder = given ? realpath(given, NULL) : NULL;
    if (given && !folder && errno == ENOENT)
        return err_new(ERR_NOT_FOUND, "%s is not there: is its disk mounted?", given);
    if (given && !folder) return err_errno(errno, "%s", given);
    bool other = folder && (!open->home.folder || strcmp(folder, open->home.folder) != 0);
    bool moved = false;
    CLEANUP(mem_free) char *id = NULL;
    err_t *e = other ? sync_home_folder_id(folder, &id) : keep_id(cli, open);
    if (!e && other && open->home.folder) e = was_moved(cli, open, folder, id, &moved);
    bool taken = other && open->home.folder && !moved;
    char *copy = other && !taken && !e ? mem_strdup(folder) : NULL;
    if (taken && !e)
        e = err_new(ERR_USAGE,
                    "this device syncs %s: to sync %s too, or a copy of it, give another --home",
                    open->home.folder, folder);
    else if (!e && !folder && !open->home.folder) e = err_new(ERR_USAGE, "which folder? Give DIR");
    else if (!e && other && !copy) e = err_nomem();
    free(folder); /* house-rules: allow allocation: it is realpath's */
    if (e || !other) return e;
    mem_free(open->home.folder);
    mem_free(open->home.folder_id);
    open->home.folder = copy;
    open->home.folder_id = STEAL(id);
    return sync_home_write(&open->home);
}

static err_t *read_ignored(const sync_open_t *open, buf_t *rules) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(open->home.folder, ".coffer-ignore", &path));
    return file_exists(path) ? file_read(path, rules) : NULL;
}

static err_t *configure(cli_t *cli, const args_t *args, sync_open_t *open, const char **folders) {
    long brake = 0;
    size_t cursor = 0, n = 0;
    const char *folder = NULL;
    TRY(args_number(args, "brake", 1, 100, 0, &brake));
    while ((folder = args_each(args, "only", &cursor))) {
        if (n == FOLDERS_MAX) return err_new(ERR_LIMIT, "more than %d folders", FOLDERS_MAX);
        folders[n++] = folder;
    }
    folders[n] = NULL;
    TRY(set_folder(cli, open, args->operands_n ? args->operands[0] : NULL));
    TRY(sync_folder_disk_new(open->home.folder, open->home.marker, cli->clk, &open->disk));
    open->config.disk = sync_folder_disk(open->disk);
    open->config.brake_percent = (unsigned)brake;
    open->config.release_brake = args_flag(args, "release-brake");
    open->config.folders = n ? folders : NULL;
    return NULL;
}

static err_t *run_run(cli_t *cli, const args_t *args) {
    CLEANUP(buf_done) buf_t rules;
    CLEANUP(sync_open_done) sync_open_t open = {0};
    const char *folders[FOLDERS_MAX + 1];
    sync_bar_t bar = {.cli = cli};
    long poll_s = 0;
    bool wiped = false;
    buf_init(&rules, IGNORE_MAX);
    mem_give_back();
    TRY(args_number(args, "poll", 1, 24 * 60 * 60, POLL_S, &poll_s));
    TRY(sync_wipe_resume(cli, &wiped));
    if (wiped) return NULL;
    TRY(sync_open(cli, &open));
    /* A home that never had a folder is wiped too. */
    err_t *e = configure(cli, args, &open, folders);
    if (e && !open.home.folder) return sync_wipe_if_told(cli, &open, e);
    TRY(e);
    TRY(read_ignored(&open, &rules));
    open.config.ignore = buf_bytes(&rules);
    sync_bar_use(&bar, &open.config);
    TRY(sync_open_engine(&open));
    if (args_flag(args, "pardon")) TRY(sync_engine_pardon(open.engine));
    e = args_flag(args, "once") ? run_once(cli, &open, &bar) : run_on(cli, &open, &bar, poll_s);
    return sync_wipe_if_told(cli, &open, e);
}

static const option_t run_options[] = {
    SYNC_HOME_OPTIONS,
    SYNC_RATE_OPTIONS,
    {"once", NULL, "bring both sides together once, and end"},
    {"only", "FOLDER", "sync this folder of the region alone; may be repeated"},
    {"poll", "SECONDS", "look at the folder that often even without an event (default 60)"},
    {"brake", "PERCENT", "stop before more than so many of the files go (default 25)"},
    {"release-brake", NULL, "the files are meant to go"},
    {"pardon", NULL, "go on after an alarm that somebody has looked at"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_RUN = {
    .group = "sync",
    .name = "run",
    .operands = "[DIR]",
    .summary = "Keep a folder and the region together",
    .notes =
        "The first run says which folder; it may have files already. What two devices changed\n"
        "at once becomes a conflict copy; an edit beats a delete. Rules in .coffer-ignore,\n"
        "one a line (*.tmp, build/, a/b), keep things out. If an administrator has the device\n"
        "wiped, its keys and the files in the folder are destroyed here.",
    .examples = "  coffer sync run ~/Files\n"
                "  coffer sync run --once\n"
                "  coffer sync run ~/Files --only Work --only Photos/2026",
    .min = 0,
    .max = 1,
    .options = run_options,
    .run = run_run,
};

/* ---- status ---- */

typedef struct {
    json_t *files; /* array */
    buf_t packages;
} listed_t;

static err_t *list_file(void *arg, const sync_look_t *look) {
    listed_t *l = arg;
    CLEANUP(jso_free) json_t *json = NULL;
    if (look->kind != SYNC_ENTRY_FILE) return NULL;
    TRY(jso_object(&json));
    if (jso_set_str(json, "path", look->path)) return NULL; /* no UTF-8: not for JSON */
    TRY(jso_set_int(json, "size", (int64_t)look->size));
    TRY(jso_set_bool(json, "here", look->here));
    TRY(buf_add(&l->packages, bytes_make(look->package, SYNC_HASH)));
    return json_array_append_new(l->files, STEAL(json)) == 0 ? NULL : err_nomem();
}

static err_t *copy_state(const json_t *state, json_t *file) {
    bool held = false;
    int64_t replicas = 0;
    bytes_t verified = BYTES_NONE;
    TRY(jso_get_bool(state, "held", true, &held));
    TRY(jso_get_int(state, "replicas", 0, INT32_MAX, false, &replicas));
    TRY(jso_get_string(state, "verified", TEXT_TIME_SIZE, false, &verified));
    TRY(jso_set_int(file, "replicas", held ? replicas : 0));
    return verified.n ? jso_set_string(file, "verified", verified) : NULL;
}

/* On how many stores each is, and when that was looked at. */
static err_t *ask_replicas(sync_open_t *open, listed_t *l, json_t *out) {
    CLEANUP(buf_done) buf_t roots;
    buf_init(&roots, l->packages.n + SYNC_HASH);
    TRY(sync_look_roots(open->engine, buf_bytes(&l->packages), &roots));
    for (size_t from = 0; from < roots.n / SYNC_HASH; from += STATUS_BATCH) {
        CLEANUP(buf_done) buf_t answer;
        CLEANUP(jso_free) json_t *json = NULL;
        json_t *list = NULL;
        int64_t wanted = 0;
        buf_init(&answer, SYNC_REMOTE_ANSWER);
        TRY(sync_http_call(
            open->http, "POST", "/status", "application/octet-stream",
            bytes_slice(buf_bytes(&roots), from * SYNC_HASH, (size_t)STATUS_BATCH * SYNC_HASH),
            &answer));
        TRY(jso_parse_max(buf_bytes(&answer), SYNC_REMOTE_ANSWER, &json));
        TRY(jso_get_int(json, "wanted", 0, INT32_MAX, true, &wanted));
        TRY(jso_get_array(json, "data", SIZE_MAX, true, &list));
        TRY(jso_set_int(out, "wanted", wanted));
        for (size_t i = 0; i < json_array_size(list); i++)
            TRY(copy_state(json_array_get(list, i), json_array_get(l->files, from + i)));
    }
    return NULL;
}

/* What the organisation's rules leave to this device, if not everything. */
static err_t *set_allowed(const sync_open_t *open, json_t *json) {
    const char *const *names = sync_engine_allowed(open->engine);
    json_t *list = NULL;
    if (!names) return NULL;
    TRY(jso_set_array(json, "allowed", &list));
    for (; *names; names++) TRY(jso_add_string(list, bytes_str(*names)));
    return NULL;
}

static err_t *status_json(cli_t *cli, sync_open_t *open, json_t *json) {
    CLEANUP(mem_free) char *region = NULL;
    CLEANUP(mem_free) char *device = NULL;
    sync_chain_head_t head;
    sync_news_t known = sync_engine_known(open->engine);
    (void)cli;
    TRY(text_hex_new(BYTES_ARRAY(open->home.region), &region));
    TRY(text_hex_new(bytes_make(open->key.id, SYNC_HASH), &device));
    TRY(sync_chain_head(sync_engine_chain(open->engine), &head));
    TRY(jso_set_str(json, "server", open->home.server));
    TRY(jso_set_str(json, "region", region));
    TRY(jso_set_str(json, "device", device));
    TRY(jso_set_str(json, "folder", open->home.folder));
    TRY(jso_set_int(json, "root", (int64_t)known.root));
    TRY(jso_set_int(json, "entries", (int64_t)known.entries));
    TRY(set_allowed(open, json));
    return jso_set_int(json, "epoch", (int64_t)head.epoch);
}

static err_t *show_files(cli_t *cli, const json_t *json) {
    static const column_t columns[] = {{"path", "PATH"},         {"size", "SIZE"},
                                       {"here", "HERE"},         {"replicas", "REPLICAS"},
                                       {"verified", "VERIFIED"}, {NULL, NULL}};
    return output_list(cli, json, "files", columns, "No files.");
}

static err_t *run_status(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    listed_t l = {0};
    TRY(sync_open_fetched(cli, NULL, &open));
    TRY(jso_object(&json));
    TRY(status_json(cli, &open, json));
    if (args->operands_n == 0 && !args_flag(args, "files")) return output_fields(cli, json);
    TRY(jso_set_array(json, "files", &l.files));
    buf_init(&l.packages, CLI_OUTPUT_MAX);
    err_t *e =
        sync_look(open.engine, args->operands_n ? args->operands[0] : "", true, list_file, &l);
    if (!e) e = ask_replicas(&open, &l, json);
    buf_done(&l.packages);
    return e ? e : show_files(cli, json);
}

static const option_t status_options[] = {
    SYNC_HOME_OPTIONS,
    {"files", NULL, "every file, even without PATH"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_STATUS = {
    .group = "sync",
    .name = "status",
    .operands = "[PATH]",
    .summary = "Tell how the region stands, or for a path on how many stores its files are",
    .notes = "HERE says whether the folder has this version; REPLICAS on how many stores the\n"
             "service has it, VERIFIED when that was last read and compared.",
    .examples = "  coffer sync status\n"
                "  coffer sync status Work/report.txt",
    .min = 0,
    .max = 1,
    .options = status_options,
    .run = run_status,
};
