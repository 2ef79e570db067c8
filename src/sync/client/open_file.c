/*
 * See open_file.h. One thread a file.
 */
#include "sync/client/open_file.h"

#include <errno.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

err_t *sync_file_new(int fd, sync_disk_file_t **ret_file) {
    sync_disk_file_t *file = mem_alloc(sizeof *file);
    if (!file) {
        fd_close(fd);
        return err_nomem();
    }
    file->fd = fd;
    *ret_file = file;
    return NULL;
}

err_t *sync_file_read(void *ctx, sync_disk_file_t *file, uint64_t offset, void *p, size_t n,
                      size_t *ret_n) {
    (void)ctx;
    if (fault_io()) return err_errno(EIO, "reading a file");
    for (;;) {
        ssize_t got = pread(file->fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(errno, "reading a file");
        *ret_n = (size_t)got;
        return NULL;
    }
}

void sync_file_close(void *ctx, sync_disk_file_t *file) {
    (void)ctx;
    if (!file) return;
    fd_close(file->fd);
    mem_free(file);
}
