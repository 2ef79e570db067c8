/*
 * Files of this machine, wherever they lie, that are put into a region (sync/engine/edit.h): what
 * the engine reads them through. One thread.
 */
#ifndef COFFER_SYNC_CLIENT_PUT_H
#define COFFER_SYNC_CLIENT_PUT_H

#include "base/clk.h"
#include "sync/engine/disk.h"

typedef struct sync_put sync_put_t;

err_t *sync_put_new(const clk_t *clk, sync_put_t **ret_put) WARN_UNUSED;
void sync_put_free(sync_put_t *put); /* takes NULL */
/*
 * `file` becomes `path` of the region; links are followed. ERR_USAGE for what is no regular file.
 * *ret_stat is for sync_edit_t.
 */
err_t *sync_put_add(sync_put_t *put, const char *file, const char *path,
                    sync_stat_t *ret_stat) WARN_UNUSED;
/* Opens, reads and closes; nothing else. Borrowed. */
const sync_disk_t *sync_put_disk(sync_put_t *put);

DEFINE_CLEANUP(sync_put_t, sync_put_free)

#endif
