/*
 * See sync_into.h. Under another name first: what does not verify never gets the wanted one. Main
 * thread.
 */
#include "program/coffer/sync_into.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static err_t *is_there(const char *path) {
    return err_new(ERR_EXISTS, "%s is there already; --replace overwrites it", path);
}

/* A file system that can't rename so (NFS) has links. */
static err_t *link_instead(const char *temp, const char *path) {
    if (link(temp, path) != 0)
        return errno == EEXIST ? is_there(path) : err_errno(errno, "%s", path);
    (void)unlink(temp);
    return NULL;
}

static err_t *place(const char *temp, const char *path, bool replace) {
    unsigned flags = replace ? 0 : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, flags) == 0) return NULL;
    if (errno == EEXIST) return is_there(path);
    if (errno == EINVAL && !replace) return link_instead(temp, path);
    return err_errno(errno, "%s", path);
}

static err_t *to_fd(void *ctx, bytes_t piece) { return file_write_fd(*(const int *)ctx, piece); }

err_t *sync_into_file(const char *path, bool replace, sync_into_fn fn, void *ctx) {
    CLEANUP(mem_free) char *temp = mem_printf("%s.part", path);
    struct stat st;
    if (!temp) return err_nomem();
    if (!replace && lstat(path, &st) == 0) return is_there(path);
    CLEANUP(fd_close) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "%s", temp);
    err_t *e = fn(ctx, &(sync_sink_t){&fd, to_fd});
    if (!e && fsync(fd) != 0) e = err_errno(errno, "%s", temp);
    if (!e) e = place(temp, path, replace);
    if (e) (void)unlink(temp);
    return e;
}
