/*
 * A look at one region as one of its devices: logs in, fetches and verifies chain, key, root and
 * what is asked for of the tree (docs/formats/sync-api.md). For the commands about links and
 * shares, which need no folder. Nothing that comes from the service is trusted. One thread;
 * blocking.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_VIEW_H
#define COFFER_PROGRAM_COFFER_SYNC_VIEW_H

#include "program/coffer/remote.h"
#include "program/coffer/sync_home.h"
#include "sync/data.h"
#include "sync/epoch.h"
#include "sync/folder.h"
#include "sync/package.h"

/* Options that every such command takes. */
#define SYNC_VIEW_OPTIONS                                                                          \
    {"device", "FILE", "this device's keys, instead of --home; with --region and --server"},       \
        {"region", "REGION", "the region, with --device"}, SYNC_HOME_OPTIONS

typedef struct {
    cli_t *cli; /* borrowed */
    sync_device_key_t device;
    uint8_t region[SYNC_HASH];
    char hex[2 * SYNC_HASH + 1]; /* of the region */
    const char *origin;          /* of the server; borrowed */
    sync_chain_t *chain;         /* verified */
    sync_chain_head_t head;
    secret_t *key; /* of the newest epoch that was delivered; NULL without one */
    uint64_t epoch;
} sync_view_t;

void sync_view_done(sync_view_t *view); /* takes a zeroed one */

/*
 * By the command's options. ERR_DENIED: the device is not (any more) of the region. ERR_VERIFY: the
 * service shows a chain that doesn't hold. Without a delivered key `key` stays NULL.
 */
err_t *sync_view_open(cli_t *cli, const args_t *args, sync_view_t *ret_view) WARN_UNUSED;
/* The same of another region by the same device, in which it is too. */
err_t *sync_view_other(const sync_view_t *view, const uint8_t region[SYNC_HASH],
                       sync_view_t *ret_view) WARN_UNUSED;
/* Logs in (again): requests of `cli` are this view's from now on. */
err_t *sync_view_log_in(sync_view_t *view) WARN_UNUSED;
/* Fetches what the chain grew by. */
err_t *sync_view_refresh(sync_view_t *view) WARN_UNUSED;

/* A request below /r/REGION. */
err_t *sync_view_call(sync_view_t *view, const char *method, const char *path, bytes_t body,
                      size_t max, buf_t *ret_answer) WARN_UNUSED;
err_t *sync_view_json(sync_view_t *view, const char *method, const char *path, const json_t *body,
                      json_t **ret_json) WARN_UNUSED;

/* The key of an epoch; ERR_DENIED if none was delivered. */
err_t *sync_view_key(const sync_view_t *view, uint64_t epoch, secret_t **ret_key) WARN_UNUSED;

/* ---- the tree ---- */

/* What the newest root names; ERR_NOT_FOUND before the first. */
err_t *sync_view_root(sync_view_t *view, uint8_t ret_package[SYNC_HASH]) WARN_UNUSED;
/* A signature package, checked; it borrows from `record`, which is emptied first. */
err_t *sync_view_package(sync_view_t *view, const uint8_t id[SYNC_HASH], buf_t *record,
                         sync_package_t *ret_package) WARN_UNUSED;
/* The file key of a version and the header of its data. */
err_t *sync_view_file_key(sync_view_t *view, const sync_package_t *package,
                          sync_header_t *ret_header, secret_t **ret_key) WARN_UNUSED;
/* All content of a folder's or pack's version, after what is in `out`; at most `max` bytes. */
err_t *sync_view_content(sync_view_t *view, const sync_package_t *package, size_t max,
                         buf_t *out) WARN_UNUSED;

/*
 * Calls `each` for every file at or below `path` ("": all), in the order of the tree; `found` are
 * paths from the region's top. Entries borrow only during the call. Symbolic links are left out.
 */
typedef err_t *(*sync_view_each_fn)(void *arg, bytes_t path, const sync_entry_t *entry);
err_t *sync_view_walk(sync_view_t *view, bytes_t path, sync_view_each_fn each,
                      void *arg) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(sync_view_t, sync_view_done)

#endif
