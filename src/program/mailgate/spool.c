/*
 * The spool: see spool.h.
 */
#include "program/mailgate/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

err_t *gatespool_open(const gatespool_t *spool, int *ret_fd) {
    if (fault_io()) return err_errno(EIO, "spool in %s", spool->dir);
    int fd = open(spool->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        CLEANUP(mem_free) char *path = NULL;
        TRY(file_path(spool->dir, "message-XXXXXX", &path));
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) (void)unlink(path);
    }
    if (fd < 0) return err_errno(errno, "no spool file can be made in %s", spool->dir);
    *ret_fd = fd;
    return NULL;
}

err_t *gatespool_take(const gatespool_t *spool, uint64_t bytes) {
    uint64_t before = atomic_fetch_add(&spool->counters->spool_bytes, bytes);
    if (bytes <= spool->max && before <= spool->max - bytes) return NULL;
    spool->counters->spool_bytes -= bytes;
    return err_new(ERR_FULL, "the spool holds %llu bytes", (unsigned long long)spool->max);
}

void gatespool_give(const gatespool_t *spool, uint64_t bytes) {
    spool->counters->spool_bytes -= bytes;
}

err_t *gatespool_add(const gatespool_t *spool, int fd, bytes_t data, uint64_t *size) {
    TRY(gatespool_take(spool, data.n));
    *size += data.n; /* what was written counts, and what couldn't be */
    if (fault_io()) return err_errno(ENOSPC, "spool file");
    TRY_WRAP(file_write_fd(fd, data), "spool file");
    return NULL;
}

void gatespool_close(const gatespool_t *spool, int *fd, uint64_t *size) {
    fd_close(*fd);
    *fd = -1;
    spool->counters->spool_bytes -= *size;
    *size = 0;
}
