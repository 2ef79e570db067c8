/*
 * An open file of this machine, as the engine holds one (sync_disk_file_t of sync/engine/disk.h):
 * what folders that are synced and files that are put have in common.
 */
#ifndef COFFER_SYNC_CLIENT_OPEN_FILE_H
#define COFFER_SYNC_CLIENT_OPEN_FILE_H

#include "sync/engine/disk.h"

struct sync_disk_file {
    int fd;
};

/* Takes the descriptor, also on failure. */
err_t *sync_file_new(int fd, sync_disk_file_t **ret_file) WARN_UNUSED;
/* The `read` and `close` of sync_disk_t; ctx is not looked at. */
err_t *sync_file_read(void *ctx, sync_disk_file_t *file, uint64_t offset, void *p, size_t n,
                      size_t *ret_n) WARN_UNUSED;
void sync_file_close(void *ctx, sync_disk_file_t *file); /* takes NULL */

#endif
