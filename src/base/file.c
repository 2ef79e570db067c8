/*
 * Whole small files, durably: see file.h. Blocking; not for event threads.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

enum { READ_STEP = 16384 };

void fd_close(int fd) {
    if (fd >= 0) (void)close(fd);
}

err_t *file_read_fd(int fd, buf_t *out) {
    for (;;) {
        size_t left = out->max - out->n;
        size_t step = left < READ_STEP ? left + 1 : READ_STEP; /* one more byte tells "too long" */
        uint8_t chunk[READ_STEP];
        if (step > sizeof chunk) step = sizeof chunk;
        ssize_t got = fault_io() ? (errno = EIO, -1) : read(fd, chunk, step);
        if (got < 0 && errno == EINTR) continue;
        err_t *e = got < 0 ? err_errno(errno, "read")
                           : buf_add(out, bytes_make(chunk, got > 0 ? (size_t)got : 0));
        if (out->secret) mem_wipe(chunk, sizeof chunk);
        if (e) return e;
        if (got == 0) return NULL;
    }
}

err_t *file_read(const char *path, buf_t *out) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    TRY_WRAP(file_read_fd(fd, out), "cannot read %s", path);
    return NULL;
}

err_t *file_write_fd(int fd, bytes_t data) {
    while (data.n) {
        ssize_t wrote = fault_io() ? (errno = EIO, -1) : write(fd, data.p, data.n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return err_errno(errno, "write");
        data = bytes_from(data, (size_t)wrote);
    }
    return NULL;
}

static err_t *sync_directory_of(const char *path) {
    CLEANUP(mem_free) char *directory = mem_strdup(path);
    if (!directory) return err_nomem();
    char *slash = strrchr(directory, '/');
    if (slash == directory) slash[1] = '\0';
    else if (slash) *slash = '\0';
    CLEANUP(fd_close)
    int fd = open(slash ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open the directory of %s", path);
    if (fault_io() || fsync(fd) != 0)
        return err_errno(errno, "cannot sync the directory of %s", path);
    return NULL;
}

static err_t *write_and_sync(const char *path, bytes_t data, mode_t mode) {
    (void)unlink(
        path); /* what is there was left behind, or put there by somebody: never followed */
    CLEANUP(fd_close)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) return err_errno(errno, "cannot create %s", path);
    if (fchmod(fd, mode) != 0) return err_errno(errno, "cannot set the mode of %s", path);
    TRY_WRAP(file_write_fd(fd, data), "cannot write %s", path);
    if (fault_io() || fsync(fd) != 0) return err_errno(errno, "cannot sync %s", path);
    return NULL;
}

err_t *file_write(const char *path, bytes_t data, mode_t mode) {
    CLEANUP(mem_free) char *temporary = mem_printf("%s.new", path);
    if (!temporary) return err_nomem();
    err_t *e = write_and_sync(temporary, data, mode);
    if (!e && rename(temporary, path) != 0) e = err_errno(errno, "cannot replace %s", path);
    if (e) {
        (void)unlink(temporary);
        return e;
    }
    return sync_directory_of(path);
}

err_t *file_mkdir(const char *path, mode_t mode) {
    if (mkdir(path, mode) == 0) return NULL;
    int number = errno;
    struct stat st;
    if (number == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return NULL;
    return err_errno(number, "cannot make the directory %s", path);
}

bool file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

err_t *file_path(const char *directory, const char *name, char **ret_path) {
    char *path = mem_printf("%s/%s", directory, name);
    if (!path) return err_nomem();
    *ret_path = path;
    return NULL;
}

err_t *file_read_private(const char *path, buf_t *out) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(errno, "cannot look at %s", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        return err_new(ERR_DENIED, "%s can be read by others: chmod 600 %s", path, path);
    TRY_WRAP(file_read_fd(fd, out), "cannot read %s", path);
    return NULL;
}

err_t *file_read_secret(const char *path, buf_t *out) {
    size_t before = out->n;
    TRY(file_read_private(path, out));
    bytes_t line = bytes_from(buf_bytes(out), before);
    size_t end = bytes_find(line, '\n');
    if (end && end <= line.n && line.p[end - 1] == '\r') end--;
    out->n = before + end;
    return NULL;
}
