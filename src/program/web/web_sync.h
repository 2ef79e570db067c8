/*
 * Synced files in coffer-web: the service, its stores, those who wait for events, the background
 * work. Made at start if [sync] says so.
 */
#ifndef COFFER_PROGRAM_WEB_SYNC_H
#define COFFER_PROGRAM_WEB_SYNC_H

#include "base/clk_steady.h"
#include "ipc/sandbox.h"
#include "program/common/blob_conf.h"
#include "program/common/sync_conf.h"
#include "program/web/web.h"
#include "sync/service/service.h"

typedef struct sync_events sync_events_t;

struct web_sync {
    sync_conf_t conf;
    clk_steady_t *ages; /* by which things become old enough to go */
    blob_keys_t keys;
    blob_conf_t blobs;
    char *host;   /* owned: of the URL, with its port */
    char *origin; /* owned: of the log */
    sync_service_t *service;
    sync_events_t *events;
    background_t *work, *clock;
    _Atomic bool repair; /* an administrator wants a round now */
};

/* ---- sync_start.c ---- */

enum { WEB_SYNC_PATHS = 2 * LIMIT_BLOB_STORES + 8 };

/* Before the sandbox: makes the stores' directories, says what the sandbox must leave open. */
typedef struct {
    sandbox_path_t list[WEB_SYNC_PATHS];
    char *owned[WEB_SYNC_PATHS];
    size_t n;
} web_sync_paths_t;
err_t *web_sync_paths(const settings_t *settings, web_sync_paths_t *ret_paths) WARN_UNUSED;
void web_sync_paths_done(web_sync_paths_t *paths);
DEFINE_CLEANUP_VALUE(web_sync_paths_t, web_sync_paths_done)
/*
 * With database and keeper there. Off in coffer.conf: web->sync stays NULL. Stores that can't be
 * opened: the same, and the log says why; devices and people need the rest of this program.
 */
err_t *web_sync_start(web_t *web) WARN_UNUSED;
/* The threads; after the server. */
err_t *web_sync_begin(web_t *web) WARN_UNUSED;
/* Before the server stops: nobody waits for events any more. */
void web_sync_quiet(web_t *web);
void web_sync_stop(web_t *web); /* the threads */
void web_sync_free(web_t *web);

/* ---- sync_events.c: who waits for something newer ---- */

err_t *sync_events_new(sync_events_t **ret_events) WARN_UNUSED;
void sync_events_free(sync_events_t *events); /* nobody waits; takes NULL */
/* sync_options_t.changed. */
void sync_events_changed(void *ctx, const uint8_t region[SYNC_HASH], int64_t root, int64_t entries,
                         int64_t joins);
/* Wakes those whose time is over; with `all` everybody, and nobody waits from then on. */
void sync_events_tick(sync_events_t *events, int64_t mono_ms, bool all);
/* A thread that ticks. */
err_t *sync_events_start(web_t *web, background_t **ret_clock) WARN_UNUSED;
/* Of http_server_config_t: requests for events hold no worker while they wait. */
err_t *route_sync_step(void *ctx, http_request_t *request, http_reply_t *reply,
                       http_next_t *ret_next);

/* ---- sync_work.c: scrub, repair, collection, checkpoints ---- */

err_t *sync_work_start(web_t *web, background_t **ret_work) WARN_UNUSED;

#endif
