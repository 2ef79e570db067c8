/*
 * A folder shown through FUSE (libfuse 3): what is done in the mounted directory is done in the
 * folder behind it. Files may be hollow there: of the right size and time, without content, marked
 * by an extended attribute; opening one asks `fill` for it first. The only place that knows
 * libfuse.
 *
 * `coffer sync mount`; libfuse's threads call fill and changed, several at once.
 */
#ifndef COFFER_PROGRAM_MOUNT_FUSE_H
#define COFFER_PROGRAM_MOUNT_FUSE_H

#include "base/err.h"

typedef struct {
    int folder;         /* descriptor of the folder behind; borrowed */
    const char *hidden; /* a name in it that is not shown, or NULL */
    void *ctx;
    /* Writes the content into the file, which `fd` has open for writing; its length stays. Makes
     * it last and takes the mark away (sync/client/hollow.h). */
    err_t *(*fill)(void *ctx, const char *path, int fd);
    /* Something was changed by a program. */
    void (*changed)(void *ctx);
} mount_fuse_t;

/*
 * Mounts and serves until it is unmounted or told to end by a signal. ERR_UNAVAILABLE where there
 * is no FUSE, ERR_USAGE for a directory that can't be mounted on.
 */
err_t *mount_fuse_run(const mount_fuse_t *mount, const char *directory) WARN_UNUSED;

#endif
