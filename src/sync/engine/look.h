/*
 * Looking at a region without changing it: its tree, what a file has, how a path's versions went.
 * What was fetched last is looked at (sync_engine_fetch, or a step). One thread, between steps.
 */
#ifndef COFFER_SYNC_ENGINE_LOOK_H
#define COFFER_SYNC_ENGINE_LOOK_H

#include "sync/data.h"
#include "sync/engine/engine.h"

typedef struct {
    const char *path;
    sync_entry_kind_t kind;
    uint64_t size;
    int64_t mtime; /* seconds since 1970 UTC */
    uint32_t mode;
    const uint8_t *package; /* SYNC_HASH bytes; zeros for links */
    bool here;              /* the folder here has this version of it */
    bytes_t target;         /* of a link */
} sync_look_t;

typedef err_t *(*sync_look_each_t)(void *arg, const sync_look_t *look);

/* All below `path` ("": the region) in no order, or with `deep` false what lies in it. A file's
 * path gives that file. ERR_NOT_FOUND. */
err_t *sync_look(sync_engine_t *engine, const char *path, bool deep, sync_look_each_t each,
                 void *arg) WARN_UNUSED;
/* Whether something is there, and what; "" is a folder. */
err_t *sync_look_kind(sync_engine_t *engine, const char *path, bool *ret_found,
                      sync_entry_kind_t *ret_kind) WARN_UNUSED;
/* The content of the file at `path`. Only when this returns NULL was it whole and true. */
err_t *sync_engine_read(sync_engine_t *engine, const char *path,
                        const sync_sink_t *sink) WARN_UNUSED;
/* The Merkle roots of the data that holds these packages: n of them, SYNC_HASH bytes each. */
err_t *sync_look_roots(sync_engine_t *engine, bytes_t packages, buf_t *ret_roots) WARN_UNUSED;

#endif
