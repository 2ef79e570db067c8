/*
 * A directory as a disk that folds names would show it: names that differ by case or composition
 * alone are one name, spelled as it was made. For tests/functional/test_sync_case.py, where the
 * kernel has no such file system.
 *
 *   sync_fold_driver BACKING DIRECTORY      serves until it is unmounted
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/text.h"
#include "sync/name.h"

enum { PATH_SIZE = 4096 };

static int backing(void) { return *(const int *)fuse_get_context()->private_data; }

static int result(int status) { return status < 0 ? -errno : 0; }

static bool is_one(const char *a, const char *b) {
    CLEANUP(buf_done) buf_t x;
    CLEANUP(buf_done) buf_t y;
    buf_init(&x, LIMIT_SYNC_FOLD);
    buf_init(&y, LIMIT_SYNC_FOLD);
    if (strcmp(a, b) == 0) return true;
    err_ignore(sync_name_fold(bytes_str(a), &x));
    err_ignore(sync_name_fold(bytes_str(b), &y));
    return x.n && bytes_eq(buf_bytes(&x), buf_bytes(&y));
}

/* The name as the directory spells it; as it was asked for if there is none. */
static void spell(const char *directory, const char *name, char out[NAME_MAX + 1]) {
    int fd = openat(backing(), directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    (void)snprintf(out, NAME_MAX + 1, "%s", name);
    if (!dir) {
        if (fd >= 0) (void)close(fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (is_one(entry->d_name, name)) (void)snprintf(out, NAME_MAX + 1, "%s", entry->d_name);
    (void)closedir(dir);
}

/* Below the backing directory, each name as it is spelled there. */
static const char *real(const char *path, char out[PATH_SIZE]) {
    bytes_t rest = bytes_str(path), part;
    (void)snprintf(out, PATH_SIZE, ".");
    while (text_split(&rest, '/', &part)) {
        char name[NAME_MAX + 1], found[NAME_MAX + 1];
        size_t n = strlen(out);
        if (!part.n) continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)part.n, (const char *)part.p);
        spell(out, name, found);
        (void)snprintf(out + n, PATH_SIZE - n, "/%s", found);
    }
    return out;
}

static int op_getattr(const char *path, struct stat *st, struct fuse_file_info *file) {
    char at[PATH_SIZE];
    if (file) return result(fstat((int)file->fh, st));
    return result(fstatat(backing(), real(path, at), st, AT_SYMLINK_NOFOLLOW));
}

static int op_readdir(const char *path, void *out, fuse_fill_dir_t add, off_t offset,
                      struct fuse_file_info *file, enum fuse_readdir_flags flags) {
    char at[PATH_SIZE];
    (void)offset;
    (void)file;
    (void)flags;
    int fd = openat(backing(), real(path, at), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) return -errno;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (add(out, entry->d_name, NULL, 0, 0)) break;
    (void)closedir(dir);
    return 0;
}

static int op_readlink(const char *path, char *out, size_t size) {
    char at[PATH_SIZE];
    ssize_t n = readlinkat(backing(), real(path, at), out, size - 1);
    if (n < 0) return -errno;
    out[n] = '\0';
    return 0;
}

static int op_mkdir(const char *path, mode_t mode) {
    char at[PATH_SIZE];
    return result(mkdirat(backing(), real(path, at), mode));
}

static int op_symlink(const char *target, const char *path) {
    char at[PATH_SIZE];
    return result(symlinkat(target, backing(), real(path, at)));
}

static int op_unlink(const char *path) {
    char at[PATH_SIZE];
    return result(unlinkat(backing(), real(path, at), 0));
}

static int op_rmdir(const char *path) {
    char at[PATH_SIZE];
    return result(unlinkat(backing(), real(path, at), AT_REMOVEDIR));
}

/* Onto another spelling of itself it is none, as in Linux's own such file systems. */
static int op_rename(const char *from, const char *to, unsigned flags) {
    char a[PATH_SIZE], b[PATH_SIZE];
    if (strcmp(real(from, a), real(to, b)) == 0) return 0;
    return result(renameat2(backing(), a, backing(), b, flags));
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *file) {
    char at[PATH_SIZE];
    if (file) return result(fchmod((int)file->fh, mode));
    return result(fchmodat(backing(), real(path, at), mode, 0));
}

static int op_utimens(const char *path, const struct timespec times[2],
                      struct fuse_file_info *file) {
    char at[PATH_SIZE];
    if (file) return result(futimens((int)file->fh, times));
    return result(utimensat(backing(), real(path, at), times, AT_SYMLINK_NOFOLLOW));
}

static int op_open(const char *path, struct fuse_file_info *file) {
    char at[PATH_SIZE];
    int fd = openat(backing(), real(path, at), (file->flags & ~O_APPEND) | O_CLOEXEC);
    file->fh = (uint64_t)fd;
    return result(fd);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *file) {
    char at[PATH_SIZE];
    int fd = openat(backing(), real(path, at), file->flags | O_CREAT | O_CLOEXEC, mode);
    file->fh = (uint64_t)fd;
    return result(fd);
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *file) {
    char at[PATH_SIZE];
    if (file) return result(ftruncate((int)file->fh, size));
    int fd = openat(backing(), real(path, at), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int status = result(ftruncate(fd, size));
    (void)close(fd);
    return status;
}

static int op_read(const char *path, char *out, size_t size, off_t offset,
                   struct fuse_file_info *file) {
    ssize_t n = pread((int)file->fh, out, size, offset);
    (void)path;
    return n < 0 ? -errno : (int)n;
}

static int op_write(const char *path, const char *data, size_t size, off_t offset,
                    struct fuse_file_info *file) {
    ssize_t n = pwrite((int)file->fh, data, size, offset);
    (void)path;
    return n < 0 ? -errno : (int)n;
}

static int op_fsync(const char *path, int data_only, struct fuse_file_info *file) {
    (void)path;
    (void)data_only;
    return result(fsync((int)file->fh));
}

static int op_release(const char *path, struct fuse_file_info *file) {
    (void)path;
    (void)close((int)file->fh);
    return 0;
}

/* Nothing is remembered: another spelling of a name would be taken for another file. */
static void *op_init(struct fuse_conn_info *connection, struct fuse_config *config) {
    (void)connection;
    config->use_ino = 1;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
    config->nullpath_ok = 0;
    return fuse_get_context()->private_data;
}

int main(int argc, char **argv) {
    static const struct fuse_operations operations = {.getattr = op_getattr,
                                                      .readdir = op_readdir,
                                                      .readlink = op_readlink,
                                                      .mkdir = op_mkdir,
                                                      .symlink = op_symlink,
                                                      .unlink = op_unlink,
                                                      .rmdir = op_rmdir,
                                                      .rename = op_rename,
                                                      .chmod = op_chmod,
                                                      .utimens = op_utimens,
                                                      .open = op_open,
                                                      .create = op_create,
                                                      .truncate = op_truncate,
                                                      .read = op_read,
                                                      .write = op_write,
                                                      .fsync = op_fsync,
                                                      .release = op_release,
                                                      .init = op_init};
    char foreground[] = "-f", alone[] = "-s";
    char *args[] = {argv[0], foreground, alone, argc == 3 ? argv[2] : NULL, NULL};
    int root = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (root < 0) {
        (void)fprintf(stderr, "usage: sync_fold_driver BACKING DIRECTORY\n");
        return 2;
    }
    (void)umask(0);
    return fuse_main(4, args, &operations, &root);
}
