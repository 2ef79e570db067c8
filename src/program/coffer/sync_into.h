/*
 * Files that commands fetch for a person, as coffer sync get and restore --to do. Main thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_INTO_H
#define COFFER_PROGRAM_COFFER_SYNC_INTO_H

#include "sync/engine/look.h"

/* Writes the content into the sink. */
typedef err_t *(*sync_into_fn)(void *ctx, const sync_sink_t *sink);

/* Mode and time of what comes. */
typedef struct {
    uint32_t mode;
    int64_t mtime; /* seconds since 1970 UTC */
} sync_into_t;

/*
 * What `fn` writes becomes the file `path` when all of it came and was proved; with mode and time
 * `as`, or NULL: readable by its owner alone, of now. ERR_EXISTS: there is something of this name,
 * and not `replace`; it is left as it is, also if it came meanwhile. ERR_BUSY: another program
 * fetches it. Until then it is "DIR/.coffer-HASH.part"; one that a program left behind which was
 * killed is begun anew.
 */
err_t *sync_into_file(const char *path, bool replace, const sync_into_t *as, sync_into_fn fn,
                      void *ctx) WARN_UNUSED;

#endif
