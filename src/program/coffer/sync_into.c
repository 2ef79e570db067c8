/*
 * See sync_into.h. Under another name first: what does not verify never gets the wanted one. Main
 * thread.
 */
#include "program/coffer/sync_into.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"

enum { TEMP_HASH = 16 };

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

static err_t *busy(const char *temp) {
    return err_new(ERR_BUSY, "another program is writing %s", temp);
}

/* Ours alone: made now, or left behind by one that was killed. */
static err_t *check_temp(int fd, const char *temp) {
    struct stat st, named;
    if (fstat(fd, &st) != 0) return err_errno(errno, "%s", temp);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1)
        return err_new(ERR_EXISTS, "%s is there and is not ours: move it away", temp);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return busy(temp);
    /* Who had it until now may have given it its name. */
    if (lstat(temp, &named) != 0 || named.st_ino != st.st_ino || named.st_dev != st.st_dev)
        return busy(temp);
    if (ftruncate(fd, 0) != 0 || fchmod(fd, 0600) != 0) return err_errno(errno, "%s", temp);
    return NULL;
}

static err_t *open_temp(const char *temp, int *ret_fd) {
    int fd = open(temp, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "%s", temp);
    err_t *e = check_temp(fd, temp);
    if (e) fd_close(fd);
    else *ret_fd = fd;
    return e;
}

static err_t *dress(int fd, const char *temp, const sync_into_t *as) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = as->mtime}};
    if (fchmod(fd, as->mode & 0777) != 0 || futimens(fd, times) != 0)
        return err_errno(errno, "%s", temp);
    return NULL;
}

/* A name that nobody else gives, short whatever the file's is: DIR/.coffer-HASH.part. */
static err_t *temp_name(const char *path, char **ret_temp) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    uint8_t hash[DIGEST_SHA256_SIZE];
    CLEANUP(mem_free) char *hex = NULL;
    TRY(digest_sha256(bytes_str(name), hash));
    TRY(text_hex_new(bytes_make(hash, TEMP_HASH), &hex));
    *ret_temp = mem_printf("%.*s.coffer-%s.part", (int)(name - path), path, hex);
    return *ret_temp ? NULL : err_nomem();
}

err_t *sync_into_file(const char *path, bool replace, const sync_into_t *as, sync_into_fn fn,
                      void *ctx) {
    CLEANUP(mem_free) char *temp = NULL;
    CLEANUP(fd_close) int fd = -1;
    struct stat st;
    TRY(temp_name(path, &temp));
    if (!replace && lstat(path, &st) == 0) return is_there(path);
    TRY(open_temp(temp, &fd));
    err_t *e = fn(ctx, &(sync_sink_t){&fd, to_fd});
    if (!e && as) e = dress(fd, temp, as);
    if (!e && fsync(fd) != 0) e = err_errno(errno, "%s", temp);
    if (!e) e = place(temp, path, replace);
    if (e) (void)unlink(temp);
    return e;
}
