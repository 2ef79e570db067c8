/*
 * The lock of an instance: see pidfile.h.
 */
#include "program/cofferd/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { PID_TEXT = 32 };

static err_t *pidfile_path(const char *dir, char **ret_path) {
    return file_path(dir, "run/cofferd.pid", ret_path);
}

static err_t *refuse(int fd, const char *dir) {
    char text[PID_TEXT] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = 0;
    if (n > 0) pid = strtol(text, NULL, 10);
    return err_new(ERR_BUSY, "another cofferd (pid %ld) already runs the instance in %s", pid, dir);
}

static err_t *write_pid(int fd) {
    char text[PID_TEXT];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0) return err_errno(errno, "cannot empty the pid file");
    return file_write_fd(fd, bytes_make(text, (size_t)n));
}

err_t *pidfile_lock(const char *dir, int *ret_fd) {
    CLEANUP(mem_free) char *run = NULL;
    CLEANUP(mem_free) char *path = NULL;
    if (!file_exists(dir))
        return err_new(ERR_NOT_FOUND, "there is no instance in %s: make one with coffer init", dir);
    TRY(file_path(dir, "run", &run));
    TRY(pidfile_path(dir, &path));
    TRY(file_mkdir(run, 0700));
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? refuse(fd, dir) : err_errno(errno, "cannot lock %s", path);
    TRY(write_pid(fd));
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

void pidfile_remove(const char *dir) {
    char *path = NULL;
    err_t *e = pidfile_path(dir, &path);
    /* Emptied, not unlinked: a second cofferd that has it open must lock the same file. */
    if (!e && truncate(path, 0) != 0) e = err_errno(errno, "cannot empty %s", path);
    mem_free(path);
    err_free(e);
}
