/*
 * Files that commands fetch for a person, as coffer sync get and restore --to do. Main thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_INTO_H
#define COFFER_PROGRAM_COFFER_SYNC_INTO_H

#include "sync/engine/look.h"

/* Writes the content into the sink. */
typedef err_t *(*sync_into_fn)(void *ctx, const sync_sink_t *sink);

/*
 * What `fn` writes becomes the file `path`, readable by its owner alone, when all of it came and
 * was proved. ERR_EXISTS: there is something of this name, and not `replace`; it is left as it is,
 * also if it came meanwhile.
 */
err_t *sync_into_file(const char *path, bool replace, sync_into_fn fn, void *ctx) WARN_UNUSED;

#endif
