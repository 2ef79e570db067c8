/*
 * The FUSE side of `coffer sync mount`: see mount_fuse.h. Paths come from the kernel with a slash
 * in front and without links on the way; everything is done relative to the folder's descriptor,
 * and the last part of a path is never followed.
 */
#define FUSE_USE_VERSION 35

#include "program/coffer/mount_fuse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "sync/client/hollow.h"

/* ---- helpers ---- */

static const mount_fuse_t *self(void) { return fuse_get_context()->private_data; }

/* A path below the folder; "." for the folder itself. */
static const char *below(const char *path) { return path[1] ? path + 1 : "."; }

static bool hidden(const char *path) {
    const char *name = self()->hidden;
    size_t n = name ? strlen(name) : 0;
    return n && strncmp(path + 1, name, n) == 0 && (path[1 + n] == 0 || path[1 + n] == '/');
}

static int result(int status) { return status < 0 ? -errno : 0; }

/* The same, after a change. */
static int changed(int status) {
    if (status < 0) return -errno;
    self()->changed(self()->ctx);
    return 0;
}

static int errno_of(err_t *e) {
    err_code_t code = err_code(e);
    err_free(e);
    return code == ERR_NOT_FOUND ? ENOENT
           : code == ERR_FULL    ? ENOSPC
           : code == ERR_DENIED  ? EACCES
                                 : EIO;
}

/* Fills it if it is hollow, unless all of it goes away anyway. 0 or a negative errno. */
static int make_whole(const char *path, int fd, bool cut_off) {
    if (!sync_hollow(fd)) return 0;
    err_t *e = cut_off ? sync_hollow_clear(fd) : self()->fill(self()->ctx, below(path), fd);
    return e ? -errno_of(e) : 0;
}

/* Filling needs to write, also for who only reads, or may only read: see fill(). */
static int fill_for_reader(const char *path) {
    int fd = openat(self()->folder, below(path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return -errno;
    int status = make_whole(path, fd, false);
    (void)close(fd);
    return status;
}

/* ---- looking ---- */

static int op_getattr(const char *path, struct stat *st, struct fuse_file_info *file) {
    if (file) return result(fstat((int)file->fh, st));
    if (hidden(path)) return -ENOENT;
    return result(fstatat(self()->folder, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int op_readlink(const char *path, char *out, size_t size) {
    if (size == 0) return -EINVAL;
    ssize_t n = readlinkat(self()->folder, below(path), out, size - 1);
    if (n < 0) return -errno;
    out[n] = '\0';
    return 0;
}

static int op_readdir(const char *path, void *out, fuse_fill_dir_t add, off_t offset,
                      struct fuse_file_info *file, enum fuse_readdir_flags flags) {
    (void)offset;
    (void)file;
    (void)flags;
    bool top = path[1] == 0;
    int fd = openat(self()->folder, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return -errno;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        int number = errno;
        (void)close(fd);
        return -number;
    }
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        struct stat st = {.st_ino = entry->d_ino, .st_mode = (mode_t)DTTOIF(entry->d_type)};
        if (top && self()->hidden && strcmp(entry->d_name, self()->hidden) == 0) continue;
        if (add(out, entry->d_name, &st, 0, 0)) break;
    }
    (void)closedir(folder);
    return 0;
}

static int op_statfs(const char *path, struct statvfs *st) {
    (void)path;
    return result(fstatvfs(self()->folder, st));
}

/* ---- names ---- */

static int op_mkdir(const char *path, mode_t mode) {
    if (hidden(path)) return -EPERM;
    return changed(mkdirat(self()->folder, below(path), mode));
}

static int op_unlink(const char *path) { return changed(unlinkat(self()->folder, below(path), 0)); }

static int op_rmdir(const char *path) {
    return changed(unlinkat(self()->folder, below(path), AT_REMOVEDIR));
}

static int op_symlink(const char *target, const char *path) {
    if (hidden(path)) return -EPERM;
    return changed(symlinkat(target, self()->folder, below(path)));
}

static int op_rename(const char *from, const char *to, unsigned flags) {
    if (hidden(from) || hidden(to)) return -EPERM;
    return changed(renameat2(self()->folder, below(from), self()->folder, below(to), flags));
}

/* ---- attributes ---- */

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *file) {
    if (file) return changed(fchmod((int)file->fh, mode));
    return changed(fchmodat(self()->folder, below(path), mode, 0));
}

/* A hollow file that is renamed is known again by its time: before that changes, it is filled. */
static int op_utimens(const char *path, const struct timespec times[2],
                      struct fuse_file_info *file) {
    if (file) return changed(futimens((int)file->fh, times));
    int fd = openat(self()->folder, below(path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno != ELOOP && errno != ENXIO) return -errno;
    int status = fd >= 0 && sync_hollow(fd) ? fill_for_reader(path) : 0;
    if (fd >= 0) (void)close(fd);
    if (status) return status;
    return changed(utimensat(self()->folder, below(path), times, AT_SYMLINK_NOFOLLOW));
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *file) {
    int fd =
        file ? (int)file->fh : openat(self()->folder, below(path), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return -errno;
    int status = make_whole(path, fd, size == 0);
    if (status == 0) status = changed(ftruncate(fd, size));
    if (!file) (void)close(fd);
    return status;
}

/* ---- contents ---- */

static int op_create(const char *path, mode_t mode, struct fuse_file_info *file) {
    if (hidden(path)) return -EPERM;
    int flags = (file->flags & ~O_NOCTTY) | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(self()->folder, below(path), flags & ~O_TRUNC, mode);
    if (fd < 0) return -errno;
    int status = make_whole(path, fd, (flags & O_TRUNC) != 0);
    if (status == 0 && (flags & O_TRUNC)) status = result(ftruncate(fd, 0));
    if (status) {
        (void)close(fd);
        return status;
    }
    file->fh = (uint64_t)fd;
    return changed(0);
}

static int op_open(const char *path, struct fuse_file_info *file) {
    if (hidden(path)) return -ENOENT;
    /* O_APPEND is the kernel's: it gives the offset with each write. */
    int flags = (file->flags & ~(O_TRUNC | O_APPEND)) | O_CLOEXEC | O_NOFOLLOW;
    if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
    int fd = openat(self()->folder, below(path), flags);
    if (fd < 0) return -errno;
    bool cut_off = (file->flags & O_TRUNC) != 0;
    int status = 0;
    if (sync_hollow(fd))
        status =
            (flags & O_ACCMODE) == O_RDONLY ? fill_for_reader(path) : make_whole(path, fd, cut_off);
    if (status == 0 && cut_off) status = changed(ftruncate(fd, 0));
    if (status) {
        (void)close(fd);
        return status;
    }
    file->fh = (uint64_t)fd;
    return 0;
}

static int op_read(const char *path, char *out, size_t size, off_t offset,
                   struct fuse_file_info *file) {
    (void)path;
    ssize_t n = pread((int)file->fh, out, size, offset);
    return n < 0 ? -errno : (int)n;
}

static int op_write(const char *path, const char *data, size_t size, off_t offset,
                    struct fuse_file_info *file) {
    (void)path;
    ssize_t n = pwrite((int)file->fh, data, size, offset);
    if (n < 0) return -errno;
    self()->changed(self()->ctx);
    return (int)n;
}

static int op_fallocate(const char *path, int mode, off_t offset, off_t length,
                        struct fuse_file_info *file) {
    (void)path;
    return changed(fallocate((int)file->fh, mode, offset, length));
}

static off_t op_lseek(const char *path, off_t offset, int whence, struct fuse_file_info *file) {
    (void)path;
    off_t at = lseek((int)file->fh, offset, whence);
    return at < 0 ? -errno : at;
}

static int op_fsync(const char *path, int data_only, struct fuse_file_info *file) {
    (void)path;
    return result(data_only ? fdatasync((int)file->fh) : fsync((int)file->fh));
}

static int op_fsyncdir(const char *path, int data_only, struct fuse_file_info *file) {
    (void)data_only;
    (void)file;
    int fd = openat(self()->folder, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return -errno;
    int status = result(fsync(fd));
    (void)close(fd);
    return status;
}

/* An error of the disk's that comes late is told to who closes. */
static int op_flush(const char *path, struct fuse_file_info *file) {
    (void)path;
    int copy = fcntl((int)file->fh, F_DUPFD_CLOEXEC, 0);
    return result(copy < 0 ? -1 : close(copy));
}

static int op_release(const char *path, struct fuse_file_info *file) {
    (void)path;
    (void)close((int)file->fh);
    if ((file->flags & O_ACCMODE) != O_RDONLY) self()->changed(self()->ctx);
    return 0;
}

static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config) {
    (void)connection;
    config->use_ino = 1;
    config->nullpath_ok = 0;
    config->attr_timeout = 1;
    config->entry_timeout = 1;
    config->auto_cache = 1;
    return fuse_get_context()->private_data;
}

static const struct fuse_operations operations = {
    .init = op_init,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .readdir = op_readdir,
    .statfs = op_statfs,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .chmod = op_chmod,
    .utimens = op_utimens,
    .truncate = op_truncate,
    .create = op_create,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .fsync = op_fsync,
    .fsyncdir = op_fsyncdir,
    .flush = op_flush,
    .release = op_release,
};

static err_t *serve(struct fuse *fuse, const char *directory) {
    if (fuse_mount(fuse, directory) != 0)
        return err_new(ERR_USAGE, "%s cannot be mounted on", directory);
    struct fuse_session *session = fuse_get_session(fuse);
    err_t *e = NULL;
    if (fuse_set_signal_handlers(session) != 0) e = err_new(ERR_INTERNAL, "signals for FUSE");
    if (!e) {
        struct fuse_loop_config loop = {.clone_fd = 0, .max_idle_threads = 4};
        int status = fuse_loop_mt(fuse, &loop);
        if (status < 0) e = err_errno(-status, "serving %s", directory);
        fuse_remove_signal_handlers(session);
    }
    fuse_unmount(fuse);
    return e;
}

err_t *mount_fuse_run(const mount_fuse_t *mount, const char *directory) {
    char options[] = "fsname=coffer,subtype=coffer,default_permissions";
    char name[] = "coffer", flag[] = "-o";
    char *words[] = {name, flag, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, words);
    if (access("/dev/fuse", R_OK | W_OK) != 0)
        return err_new(ERR_UNAVAILABLE, "/dev/fuse is not usable here: %s", strerror(errno));
    struct fuse *fuse = fuse_new(&args, &operations, sizeof operations, (void *)(uintptr_t)mount);
    fuse_opt_free_args(&args);
    if (!fuse) return err_new(ERR_INTERNAL, "FUSE cannot be set up");
    err_t *e = serve(fuse, directory);
    fuse_destroy(fuse);
    return e;
}
