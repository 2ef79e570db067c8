/*
 * The mapped drive: a region shown as a directory. What programs write there lies on this machine
 * at once, in a cache folder that the engine syncs as any other; files that came from elsewhere are
 * hollow until somebody opens them (decision 0035).
 *
 * Threads: libfuse's serve programs; one more runs the engine, which a lock guards.
 */
#ifndef COFFER_PROGRAM_MOUNT_H
#define COFFER_PROGRAM_MOUNT_H

#include "sync/engine/engine.h"

typedef struct {
    sync_engine_t *engine;   /* over `disk`; borrowed */
    const sync_disk_t *disk; /* of the cache folder, with hollow(); borrowed */
    const char *cache;       /* the cache folder */
    const char *directory;   /* where it is shown */
    unsigned poll_s;         /* how often the service is asked for news */
    void *ctx;
    /* After each step that did something or failed; `failure` is borrowed, or NULL. */
    void (*report)(void *ctx, const sync_report_t *report, const err_t *failure);
} mount_config_t;

/* Until it is unmounted or a signal ends it; then what is left is synced once more. */
err_t *mount_run(const mount_config_t *config) WARN_UNUSED;

#endif
