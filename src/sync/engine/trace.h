/*
 * Following one path back through the versions. Inside of the engine. One thread.
 */
#ifndef COFFER_SYNC_ENGINE_TRACE_H
#define COFFER_SYNC_ENGINE_TRACE_H

#include "sync/engine/history.h"
#include "sync/engine/past.h"

/* A component of a path. */
typedef struct {
    uint8_t name[LIMIT_SYNC_FILE_NAME];
    size_t name_n;
    uint8_t node[SYNC_NODE], package[SYNC_HASH];
    uint32_t mode;
    bool known; /* the node */
} trace_hop_t;

/* Where the path is in one version. */
typedef struct {
    trace_hop_t hops[LIMIT_SYNC_DEPTH + 1];
    size_t n, there; /* components; how many of them exist: all, or the path does not */
    uint8_t top[SYNC_HASH];
    /* Of the last component, if it exists; the region itself is a folder without a node. */
    sync_entry_kind_t kind;
    uint8_t version[SYNC_NODE];
    bool packed;
    uint32_t index, mode, mtime_ns;
    uint64_t size;
    int64_t mtime;
    uint8_t target[LIMIT_SYNC_LINK_TARGET];
    size_t target_n;
} trace_place_t;

typedef struct {
    past_t past;
    uint64_t version; /* of `place` */
    trace_place_t *place, *before;
    bool gone; /* what was before is kept no more */
} trace_t;

/* A step back: what was at `before` became what is at `place` with this root. */
typedef struct {
    const past_root_t *root;
    const trace_place_t *place, *before;
    bool same; /* both are there, and one node */
    /* The node of before is somewhere else now, or that of now was: there. */
    const char *elsewhere;
} trace_step_t;

err_t *trace_begin(sync_engine_t *engine, const char *path, trace_t *ret_trace) WARN_UNUSED;
void trace_done(trace_t *trace); /* takes a zeroed one */
bool trace_there(const trace_place_t *place);
/* "a/b" of the place as it was; replaces what is in out. */
err_t *trace_path(const trace_place_t *place, buf_t *out, const char **ret_path) WARN_UNUSED;
/* The folder's list at the place, or its deepest folder that is there. */
const uint8_t *trace_folder(const trace_place_t *place);
/*
 * Goes back until the version that is `place` (or, for a folder, something in it) came with
 * trace->version, or to version `until`. *ret_step NULL at the end: version `until` or 1, or
 * trace->gone. The step holds until the next call.
 */
err_t *trace_back(trace_t *trace, uint64_t until, buf_t *scratch, trace_step_t *ret_step,
                  bool *ret_found) WARN_UNUSED;
/*
 * To the place of `version`. ERR_NOT_FOUND: it had no such path, or is kept no more.
 */
err_t *trace_to(trace_t *trace, uint64_t version) WARN_UNUSED;
/* After a step: version - 1 is the present one. */
void trace_on(trace_t *trace);

DEFINE_CLEANUP_VALUE(trace_t, trace_done)

#endif
