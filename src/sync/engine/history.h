/*
 * What a path of a region was before: from the signed roots and the lists and packages that the
 * service still keeps. A version has the number of the root that it came with. Files and folders
 * are followed by their nodes, so through renames. What was fetched last is the newest
 * (sync_engine_fetch). One thread, between steps.
 */
#ifndef COFFER_SYNC_ENGINE_HISTORY_H
#define COFFER_SYNC_ENGINE_HISTORY_H

#include "sync/data.h"
#include "sync/engine/engine.h"

typedef enum {
    SYNC_PAST_ADDED,
    SYNC_PAST_CHANGED,
    SYNC_PAST_MOVED, /* its content may have changed too */
    SYNC_PAST_DELETED,
} sync_past_what_t;

typedef struct {
    uint64_t version;            /* number of the root */
    int64_t time;                /* seconds since 1970 UTC, as the device that made it had it */
    const char *device, *person; /* names of who made it; "?" is nobody */
    sync_past_what_t what;
    const char *path; /* in that version; of what was deleted: in the one before */
    const char *from; /* of what was moved: before; NULL: not known */
    sync_entry_kind_t kind;
    uint64_t size; /* of what was deleted: before */
    int64_t mtime; /* the same */
} sync_past_t;

/* `*ret_stop` ends it. */
typedef err_t *(*sync_past_each_t)(void *arg, const sync_past_t *event, bool *ret_stop);

typedef struct {
    uint64_t newest; /* version */
    uint64_t oldest; /* the first version that the service still has whole; 1: all */
    bool stopped;    /* `each` ended it */
} sync_past_reach_t;

/*
 * All changes of the file at `path`, or of all in the folder there ("": the region), the newest
 * first. `look` (may be NULL) is told which version is being looked at. ERR_NOT_FOUND: there is no
 * such path, and was none as far as versions are kept.
 */
err_t *sync_history(sync_engine_t *engine, const char *path, sync_past_each_t each,
                    void (*look)(void *arg, uint64_t version), void *arg,
                    sync_past_reach_t *ret_reach) WARN_UNUSED;

/* Which version of a path: a number, or a time, or neither: the one before the last change. */
typedef struct {
    const char *path;
    uint64_t version; /* 0: see below */
    bool by_time;
    int64_t time; /* the newest that is not younger */
} sync_past_which_t;

/* Settles `which` to a number. ERR_NOT_FOUND if there is none. */
err_t *sync_past_version(sync_engine_t *engine, const sync_past_which_t *which,
                         uint64_t *ret_version) WARN_UNUSED;

/*
 * The content of the file that is at `path` now (or was last) as version `version` had it. Only
 * when this returns NULL was it whole and true.
 */
err_t *sync_past_read(sync_engine_t *engine, const char *path, uint64_t version,
                      const sync_sink_t *sink) WARN_UNUSED;

#endif
