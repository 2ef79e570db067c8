/*
 * coffer sync mount: the region as a drive (mount.h, decision 0035).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/mount.h"
#include "program/coffer/sync_home.h"
#include "program/coffer/sync_say.h"
#include "program/coffer/sync_wipe.h"

enum { POLL_S = 5, CACHE_MODE = 0700 };

typedef struct {
    cli_t *cli;
    bool wipe;        /* was heard of: the drive ends */
    uint64_t outside; /* that were told of */
} told_t;

/* Called by the drive's thread that syncs: whole lines, so that they do not mix. */
static void tell(void *ctx, const sync_report_t *r, const err_t *failure) {
    told_t *told = ctx;
    cli_t *cli = told->cli;
    char text[1024];
    if (told->wipe) return;
    if (!failure && r->outside != told->outside) sync_say_outside(cli, r);
    if (!failure) told->outside = r->outside;
    if (failure && strcmp(r->alarm, SYNC_ALARM_WIPE) == 0) {
        told->wipe = true;
        (void)kill(getpid(), SIGTERM); /* ends the drive as one from outside does */
        return;
    }
    if (failure && *r->alarm)
        cli_warn(cli, "coffer: %s: %s; the drive stays as it is, but nothing is synced any more\n",
                 r->alarm, err_text(failure, text, sizeof text));
    else if (failure)
        cli_warn(cli, "coffer: %s; trying again\n", err_text(failure, text, sizeof text));
    else if (r->left)
        cli_warn(cli, "coffer: %llu left for the next time; %s\n", (unsigned long long)r->left,
                 r->first_left);
}

/* The cache is this home's folder from here on; a home that syncs another one keeps to it. */
static err_t *use_cache(sync_open_t *open, char **ret_cache) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *copy = NULL;
    TRY(sync_home_file(open->home.path, "cache", &path));
    TRY(file_mkdir(path, CACHE_MODE));
    char *absolute = realpath(path, NULL);
    if (absolute) copy = mem_strdup(absolute);
    free(absolute); /* house-rules: allow allocation: it is realpath's */
    if (!copy) return err_nomem();
    if (open->home.folder && strcmp(open->home.folder, copy) != 0)
        return err_new(ERR_USAGE,
                       "this device syncs %s: to have the region as a drive too, join with another "
                       "--home",
                       open->home.folder);
    if (!open->home.folder) {
        open->home.folder = mem_strdup(copy);
        if (!open->home.folder) return err_nomem();
        TRY(sync_home_write(&open->home));
    }
    *ret_cache = STEAL(copy);
    return NULL;
}

static err_t *configure(cli_t *cli, const args_t *args, sync_open_t *open) {
    long brake = 0;
    TRY(args_number(args, "brake", 1, 100, 0, &brake));
    TRY(sync_folder_disk_new(open->home.folder, open->home.marker, cli->clk, &open->disk));
    sync_folder_disk_hollow(open->disk);
    open->config.disk = sync_folder_disk(open->disk);
    open->config.brake_percent = (unsigned)brake;
    open->config.release_brake = args_flag(args, "release-brake");
    TRY(sync_open_engine(open));
    return args_flag(args, "pardon") ? sync_engine_pardon(open->engine) : NULL;
}

static err_t *run_mount(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(mem_free) char *cache = NULL;
    told_t told = {.cli = cli};
    long poll_s = 0;
    bool wiped = false;
    TRY(args_number(args, "poll", 1, 24 * 60 * 60, POLL_S, &poll_s));
    TRY(sync_wipe_resume(cli, &wiped));
    if (wiped) return NULL;
    TRY(sync_open(cli, &open));
    TRY(use_cache(&open, &cache));
    TRY(configure(cli, args, &open));
    mount_config_t config = {.engine = open.engine,
                             .disk = open.config.disk,
                             .cache = cache,
                             .directory = args->operands[0],
                             .poll_s = (unsigned)poll_s,
                             .ctx = &told,
                             .report = tell};
    err_t *e = mount_run(&config);
    if (!told.wipe) return e;
    err_free(e);
    return sync_wipe_if_told(cli, &open, err_new(ERR_DENIED, "the device is to be wiped"));
}

static const option_t options[] = {
    SYNC_HOME_OPTIONS,
    SYNC_RATE_OPTIONS,
    {"poll", "SECONDS", "ask the service for news that often (default 5)"},
    {"brake", "PERCENT", "stop syncing before more than so many of the files go (default 25)"},
    {"release-brake", NULL, "the files are meant to go"},
    {"pardon", NULL, "go on after an alarm that somebody has looked at"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_MOUNT = {
    .group = "sync",
    .name = "mount",
    .operands = "DIR",
    .summary = "Show the region as a drive; files are fetched when they are opened",
    .notes = "Runs until DIR is unmounted (fusermount3 -u DIR) or a signal ends it. What programs\n"
             "write is on this machine at once and at the service soon; files that were opened\n"
             "stay in the home's cache. Needs /dev/fuse and fusermount3 (package fuse3).",
    .examples = "  coffer sync mount ~/Drive\n"
                "  fusermount3 -u ~/Drive",
    .min = 1,
    .max = 1,
    .options = options,
    .run = run_mount,
};
