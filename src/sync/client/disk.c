/*
 * A folder of this machine: see disk.h. Writes go to temporary files in SYNC_DISK_OWN, are made
 * durable there and renamed into place. In the client; one thread.
 */
#include "sync/client/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "sync/client/hollow.h"
#include "sync/client/open_file.h"
#include "sync/engine/aside.h"
#include "sync/name.h"

enum {
    OWN_MODE = 0700,
    MARKER_TEXT = 2 * SYNC_NODE,
    TICK_MS = 20,            /* a file's time may be so coarse */
    SPARSE_BLOCK = 64 * 1024 /* bytes of zeros that become a hole */
};

struct sync_folder_disk {
    sync_disk_t disk;
    const clk_t *clk;
    char *path;
    int root;
    char marker[MARKER_TEXT + 1];
    dev_t probed_device; /* the folder whose names were probed */
    ino_t probed_inode;
    bool probed, folds;
};

/* ---- paths ---- */

static err_t *open_beneath(int root, const char *path, uint64_t flags, int *ret_fd) {
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    if (fault_io()) return err_errno(EIO, "%s", path);
    long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);
    if (fd < 0) return err_errno(errno, "%s", path);
    *ret_fd = (int)fd;
    return NULL;
}

/* The directory that holds it, and the last name; *ret_fd is the caller's. */
static err_t *open_parent(const sync_folder_disk_t *disk, const char *path, int *ret_fd,
                          const char **ret_name) {
    const char *slash = strrchr(path, '/');
    CLEANUP(mem_free) char *parent = mem_strndup(path, slash ? (size_t)(slash - path) : 0);
    if (!parent) return err_nomem();
    TRY(open_beneath(disk->root, parent, O_PATH | O_DIRECTORY, ret_fd));
    *ret_name = slash ? slash + 1 : path;
    return NULL;
}

static err_t *sync_fd(int fd, const char *path) {
    if (fault_io()) return err_errno(EIO, "%s", path);
    return fsync(fd) == 0 ? NULL : err_errno(errno, "%s", path);
}

/* What was renamed, made or removed in it lasts. */
static err_t *sync_parent(const sync_folder_disk_t *disk, const char *path) {
    const char *slash = strrchr(path, '/');
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(mem_free) char *parent = mem_strndup(path, slash ? (size_t)(slash - path) : 0);
    if (!parent) return err_nomem();
    TRY(open_beneath(disk->root, parent, O_RDONLY | O_DIRECTORY, &fd));
    return sync_fd(fd, path);
}

/* ---- states ---- */

bool sync_disk_stat_of(const struct stat *from, sync_stat_t *ret_stat) {
    *ret_stat = (sync_stat_t){.size = (uint64_t)from->st_size,
                              .mtime = from->st_mtim.tv_sec,
                              .mtime_ns = (uint32_t)from->st_mtim.tv_nsec,
                              .mode = from->st_mode & 0777,
                              .inode = (uint64_t)from->st_ino ^ (uint64_t)from->st_dev << 48,
                              .stamp = (uint64_t)from->st_ctim.tv_sec * 1000000000 +
                                       (uint64_t)from->st_ctim.tv_nsec};
    if (S_ISREG(from->st_mode)) ret_stat->kind = SYNC_ENTRY_FILE;
    else if (S_ISDIR(from->st_mode)) ret_stat->kind = SYNC_ENTRY_FOLDER;
    else if (S_ISLNK(from->st_mode)) ret_stat->kind = SYNC_ENTRY_LINK;
    else return false;
    if (ret_stat->kind != SYNC_ENTRY_FILE) ret_stat->size = 0;
    return true;
}

static err_t *stat_at(int parent, const char *name, bool *ret_found, sync_stat_t *ret_stat) {
    struct stat state;
    if (fault_io()) return err_errno(EIO, "%s", name);
    if (fstatat(parent, name, &state, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) return err_errno(errno, "%s", name);
        *ret_found = false;
        return NULL;
    }
    *ret_found = true;
    if (!sync_disk_stat_of(&state, ret_stat))
        return err_new(ERR_EXISTS, "%s is no file or folder", name);
    return NULL;
}

/* Content comes into hollow files behind the engine's back: no stamp tells that from an edit. */
static void hide_stamp(const sync_folder_disk_t *disk, sync_stat_t *stat) {
    if (disk->disk.hollow) stat->stamp = 0;
}

static err_t *disk_stat(void *ctx, const char *path, bool *ret_found, sync_stat_t *ret_stat) {
    const sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int parent = -1;
    const char *name = NULL;
    err_t *e = open_parent(disk, path, &parent, &name);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        *ret_found = false;
        return NULL;
    }
    TRY(e);
    TRY(stat_at(parent, name, ret_found, ret_stat));
    hide_stamp(disk, ret_stat);
    return NULL;
}

static err_t *disk_list(void *ctx, const char *path, sync_disk_each_t each, void *arg) {
    const sync_folder_disk_t *disk = ctx;
    int fd = -1;
    TRY(open_beneath(disk->root, path, O_RDONLY | O_DIRECTORY, &fd));
    DIR *dir = fdopendir(fd);
    if (!dir) {
        fd_close(fd);
        return err_errno(errno, "%s", path);
    }
    err_t *e = NULL;
    struct stat state;
    sync_stat_t stat;
    for (const struct dirent *entry; !e;) {
        errno = 0;
        if (!(entry = readdir(dir))) {
            if (errno) e = err_errno(errno, "%s", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!*path && strcmp(entry->d_name, SYNC_DISK_OWN) == 0) continue;
        if (fstatat(fd, entry->d_name, &state, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno != ENOENT) e = err_errno(errno, "%s/%s", path, entry->d_name);
            continue;
        }
        if (!sync_disk_stat_of(&state, &stat)) continue;
        hide_stamp(disk, &stat);
        e = each(arg, entry->d_name, &stat);
    }
    (void)closedir(dir);
    return e;
}

static err_t *sync_file_read_link(void *ctx, const char *path, buf_t *out) {
    const sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int parent = -1;
    const char *name = NULL;
    char target[LIMIT_SYNC_LINK_TARGET + 1];
    TRY(open_parent(disk, path, &parent, &name));
    ssize_t n = readlinkat(parent, name, target, sizeof target);
    if (n < 0) return err_errno(errno, "%s", path);
    if (n > LIMIT_SYNC_LINK_TARGET || n == 0) return err_new(ERR_LIMIT, "%s points too far", path);
    return buf_add(out, bytes_make(target, (size_t)n));
}

/* ---- the marker ---- */

static err_t *own_path(const char *name, char *out, size_t size) {
    int n = snprintf(out, size, SYNC_DISK_OWN "/%s", name);
    return n > 0 && (size_t)n < size ? NULL : err_new(ERR_LIMIT, "a name that is too long");
}

/* At one moment: half a marker would be somebody else's. */
static err_t *write_marker(sync_folder_disk_t *disk) {
    static const char made[] = SYNC_DISK_OWN "/folder.new", marker[] = SYNC_DISK_OWN "/folder";
    CLEANUP(fd_close) int fd = -1;
    if (mkdirat(disk->root, SYNC_DISK_OWN, OWN_MODE) != 0 && errno != EEXIST)
        return err_errno(errno, "%s/" SYNC_DISK_OWN, disk->path);
    fd = openat(disk->root, made, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "%s/%s", disk->path, made);
    TRY(file_write_fd(fd, bytes_str(disk->marker)));
    TRY(sync_fd(fd, "marker"));
    if (renameat(disk->root, made, disk->root, marker) != 0)
        return err_errno(errno, "%s/%s", disk->path, marker);
    TRY(sync_parent(disk, marker));
    return sync_parent(disk, SYNC_DISK_OWN);
}

static err_t *read_marker(const sync_folder_disk_t *disk, bool *ret_same) {
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, 1024);
    TRY(open_beneath(disk->root, SYNC_DISK_OWN "/folder", O_RDONLY, &fd));
    TRY(file_read_fd(fd, &text));
    if (text.n == 0) return err_new(ERR_NOT_FOUND, "%s has an empty marker", disk->path);
    *ret_same = bytes_eq_str(buf_bytes(&text), disk->marker);
    return NULL;
}

/* A mount may have come or gone since: the folder is opened anew. */
static err_t *disk_present(void *ctx, bool first) {
    sync_folder_disk_t *disk = ctx;
    bool same = false;
    int root = open(disk->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return err_errno(errno, "%s", disk->path);
    fd_close(disk->root);
    disk->root = root;
    err_t *e = read_marker(disk, &same);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        if (!first)
            return err_recode(err_wrap(e, "%s is not the folder that is synced (its %s is gone)",
                                       disk->path, SYNC_DISK_OWN),
                              ERR_NOT_FOUND);
        err_free(e);
        return write_marker(disk);
    }
    TRY(e);
    if (!same)
        return err_new(ERR_NOT_FOUND, "%s is a folder that is synced from elsewhere", disk->path);
    return NULL;
}

/* ---- names ---- */

static bool is_same_at(const sync_folder_disk_t *disk, const char *name, const struct stat *made) {
    struct stat other;
    return fstatat(disk->root, name, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
           other.st_ino == made->st_ino && other.st_dev == made->st_dev;
}

/* Whether a file that is made there is found by another spelling of its name. */
static bool probe(const sync_folder_disk_t *disk) {
    static const char name[] = SYNC_DISK_OWN "/probe-\xc3\xa9";
    static const char *const others[] = {SYNC_DISK_OWN "/PROBE-\xc3\xa9",
                                         SYNC_DISK_OWN "/probe-e\xcc\x81"};
    struct stat made;
    bool folds = false;
    CLEANUP(fd_close)
    int fd = openat(disk->root, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &made) != 0) return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        folds = folds || is_same_at(disk, others[i], &made);
    (void)unlinkat(disk->root, name, 0);
    return folds;
}

/* Once for each folder that lies there. */
static bool disk_folds(void *ctx) {
    sync_folder_disk_t *disk = ctx;
    struct stat root;
    if (fstat(disk->root, &root) != 0) return false;
    if (disk->probed && disk->probed_device == root.st_dev && disk->probed_inode == root.st_ino)
        return disk->folds;
    disk->probed_device = root.st_dev;
    disk->probed_inode = root.st_ino;
    disk->probed = true;
    disk->folds = probe(disk);
    return disk->folds;
}

/* ---- reading ---- */

static err_t *disk_open(void *ctx, const char *path, sync_disk_file_t **ret_file) {
    const sync_folder_disk_t *disk = ctx;
    int fd = -1;
    /* Not to hang on a pipe that took the file's place. */
    TRY(open_beneath(disk->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd));
    if (sync_hollow(fd)) {
        fd_close(fd);
        return err_new(ERR_UNAVAILABLE, "%s has not been fetched yet", path);
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return sync_file_new(fd, ret_file);
}

static err_t *disk_file_stat(void *ctx, sync_disk_file_t *file, sync_stat_t *ret_stat) {
    struct stat state;
    if (fstat(file->fd, &state) != 0) return err_errno(errno, "a file's state");
    if (!sync_disk_stat_of(&state, ret_stat)) return err_new(ERR_BUSY, "it is no file any more");
    hide_stamp(ctx, ret_stat);
    return NULL;
}

void sync_disk_settle(const clk_t *clk, const sync_stat_t *stat) {
    int64_t written = stat->mtime * 1000 + stat->mtime_ns / 1000000;
    int64_t age = clk_unix_ms(clk) - written;
    if (age < 0 || age > TICK_MS) return;
    const struct timespec nap = {.tv_nsec = (TICK_MS - age + 1) * 1000 * 1000};
    (void)nanosleep(&nap, NULL);
}

static err_t *disk_settle(void *ctx, const sync_stat_t *stat) {
    const sync_folder_disk_t *disk = ctx;
    sync_disk_settle(disk->clk, stat);
    return NULL;
}

/* ---- writing ---- */

static err_t *disk_temp(void *ctx, const char *temp, sync_disk_file_t **ret_file) {
    const sync_folder_disk_t *disk = ctx;
    char path[PATH_MAX];
    TRY(own_path(temp, path, sizeof path));
    if (fault_io()) return err_errno(EIO, "%s", path);
    int fd = openat(disk->root, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_errno(errno, "%s/%s", disk->path, path);
    return sync_file_new(fd, ret_file);
}

static bool all_zero(bytes_t data) {
    return data.n && data.p[0] == 0 && memcmp(data.p, data.p + 1, data.n - 1) == 0;
}

static err_t *write_at(int fd, uint64_t offset, bytes_t data) {
    while (data.n) {
        if (fault_io()) return err_errno(ENOSPC, "writing a file");
        ssize_t put = pwrite(fd, data.p, data.n, (off_t)offset);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return err_errno(errno, "writing a file");
        data = bytes_from(data, (size_t)put);
        offset += (size_t)put;
    }
    return NULL;
}

/* Long runs of zeros are left out: finish() sets the length, and holes read as zeros. */
static err_t *disk_write(void *ctx, sync_disk_file_t *file, uint64_t offset, bytes_t data) {
    (void)ctx;
    while (data.n) {
        size_t n = data.n < SPARSE_BLOCK ? data.n : (size_t)SPARSE_BLOCK;
        bytes_t block = bytes_slice(data, 0, n);
        if (n == SPARSE_BLOCK && all_zero(block)) {
            data = bytes_from(data, n);
            offset += n;
            continue;
        }
        while (n < data.n && n + SPARSE_BLOCK <= data.n &&
               !all_zero(bytes_slice(data, n, SPARSE_BLOCK)))
            n += SPARSE_BLOCK;
        TRY(write_at(file->fd, offset, bytes_slice(data, 0, n)));
        data = bytes_from(data, n);
        offset += n;
    }
    return NULL;
}

static err_t *disk_finish(void *ctx, sync_disk_file_t *file, uint64_t size, uint32_t mode,
                          int64_t mtime, uint32_t mtime_ns) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = mtime_ns}};
    (void)ctx;
    times[1].tv_sec = mtime;
    if (ftruncate(file->fd, (off_t)size) != 0) return err_errno(errno, "a file's length");
    /* Whose files these are may differ: no set-user-id bits. */
    if (fchmod(file->fd, mode & 0777) != 0) return err_errno(errno, "a file's mode");
    if (futimens(file->fd, times) != 0) return err_errno(errno, "a file's time");
    if (fault_io()) return err_errno(EIO, "a file");
    return NULL; /* disk_lasting() is asked before it gets its name */
}

static err_t *disk_hollow(void *ctx, sync_disk_file_t *file, bool *ret_done) {
    (void)ctx;
    if (ftruncate(file->fd, 0) != 0) return err_errno(errno, "a file's length");
    return sync_hollow_mark(file->fd, ret_done);
}

static err_t *disk_flush(void *ctx, sync_disk_file_t *file) {
    (void)ctx;
    return sync_fd(file->fd, "a file");
}

/* And has not been touched since, not even by one who put the time back. */
static bool is_untouched(const sync_stat_t *now, const sync_stat_t *expect) {
    return sync_aside_expected(now, expect) && (!expect->stamp || now->stamp == expect->stamp);
}

static err_t *rename_new(int from_fd, const char *from, int to_fd, const char *to) {
    if (fault_io()) return err_errno(EIO, "%s", to);
    if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0) return NULL;
    if (errno == EEXIST) return err_new(ERR_EXISTS, "there is a %s already", to);
    if (errno != EINVAL && errno != ENOSYS) return err_errno(errno, "%s", to);
    /* A file system that can't: looked at first. */
    struct stat state;
    if (fstatat(to_fd, to, &state, AT_SYMLINK_NOFOLLOW) == 0)
        return err_new(ERR_EXISTS, "there is a %s already", to);
    return renameat(from_fd, from, to_fd, to) == 0 ? NULL : err_errno(errno, "%s", to);
}

static err_t *aside_path(const sync_stat_t *expect, uint64_t own_inode, char out[PATH_MAX]) {
    char name[SYNC_ASIDE_NAME];
    sync_aside_name(expect, own_inode, name);
    return own_path(name, out, PATH_MAX);
}

/* What lay there was changed in the last moment: back to its place with it. Should that have been
 * taken meanwhile, what is aside is found by sweep(). */
static err_t *put_back(const sync_folder_disk_t *disk, const char *aside, const char *temp,
                       uint64_t own_inode, int parent, const char *name) {
    sync_stat_t now;
    bool found = false;
    (void)renameat2(disk->root, aside, parent, name, RENAME_EXCHANGE);
    TRY(stat_at(disk->root, aside, &found, &now));
    if (found && now.inode == own_inode)
        (void)renameat2(disk->root, aside, disk->root, temp, RENAME_NOREPLACE);
    return err_new(ERR_BUSY, "%s has changed meanwhile", name);
}

/* What lies there is taken out and looked at, so that no change of the last moment is lost. */
static err_t *replace(const sync_folder_disk_t *disk, const char *temp, uint64_t own_inode,
                      int parent, const char *name, const sync_stat_t *expect) {
    char aside[PATH_MAX];
    sync_stat_t now;
    bool found = false;
    TRY(stat_at(parent, name, &found, &now));
    if (!found || !is_untouched(&now, expect))
        return err_new(ERR_BUSY, "%s has changed meanwhile", name);
    if (fault_io()) return err_errno(EIO, "%s", name);
    TRY(aside_path(expect, own_inode, aside));
    if (renameat(disk->root, temp, disk->root, aside) != 0) return err_errno(errno, "%s", aside);
    if (renameat2(disk->root, aside, parent, name, RENAME_EXCHANGE) != 0) {
        int why = errno;
        bool simple = why == EINVAL || why == ENOSYS;
        if (simple && renameat(disk->root, aside, parent, name) == 0) return NULL;
        if (simple) why = errno;
        (void)renameat(disk->root, aside, disk->root, temp);
        return err_errno(why, "%s", name);
    }
    TRY(stat_at(disk->root, aside, &found, &now));
    if (!found || !sync_aside_expected(&now, expect))
        return put_back(disk, aside, temp, own_inode, parent, name);
    return unlinkat(disk->root, aside, 0) == 0 ? NULL : err_errno(errno, "%s", aside);
}

/* Many files, one wait: what the file system has in memory goes to the disk. */
static err_t *disk_lasting(void *ctx) {
    const sync_folder_disk_t *disk = ctx;
    if (fault_io()) return err_errno(EIO, "%s", disk->path);
    return syncfs(disk->root) == 0 ? NULL : err_errno(errno, "%s", disk->path);
}

static err_t *disk_place(void *ctx, const char *temp, const char *path, const sync_stat_t *expect,
                         sync_stat_t *ret_placed) {
    const sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int parent = -1;
    const char *name = NULL;
    char from[PATH_MAX];
    sync_stat_t own;
    bool found = false;
    TRY(own_path(temp, from, sizeof from));
    TRY(open_parent(disk, path, &parent, &name));
    TRY(stat_at(disk->root, from, &found, &own));
    if (!found) return err_new(ERR_NOT_FOUND, "%s", from);
    if (expect) TRY(replace(disk, from, own.inode, parent, name, expect));
    else TRY(rename_new(disk->root, from, parent, name));
    *ret_placed = own;
    return NULL;
}

static err_t *disk_discard(void *ctx, const char *temp) {
    const sync_folder_disk_t *disk = ctx;
    char path[PATH_MAX];
    TRY(own_path(temp, path, sizeof path));
    if (unlinkat(disk->root, path, 0) != 0 && errno != ENOENT) return err_errno(errno, "%s", path);
    return NULL;
}

/* A change that a crash has left there comes back into the folder. */
static bool sweep_one(const sync_folder_disk_t *disk, int fd, const char *name) {
    char back[SYNC_ASIDE_NAME];
    sync_stat_t now;
    bool found = false;
    err_t *e = stat_at(fd, name, &found, &now);
    bool lost = !e && found && sync_aside_lost(name, &now, back);
    bool is_back = lost && renameat2(fd, name, disk->root, back, RENAME_NOREPLACE) == 0;
    if (!lost && !e && found) (void)unlinkat(fd, name, 0);
    err_free(e);
    return is_back;
}

static err_t *disk_sweep(void *ctx, bool (*keep)(void *arg, const char *temp), void *arg,
                         uint64_t *ret_back) {
    const sync_folder_disk_t *disk = ctx;
    uint64_t back = 0;
    int fd = -1;
    TRY(open_beneath(disk->root, SYNC_DISK_OWN, O_RDONLY | O_DIRECTORY, &fd));
    DIR *dir = fdopendir(fd);
    if (!dir) {
        fd_close(fd);
        return err_errno(errno, SYNC_DISK_OWN);
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, "folder") == 0 || (keep && keep(arg, entry->d_name)))
            continue;
        if (keep) back += sweep_one(disk, fd, entry->d_name);
        else (void)unlinkat(fd, entry->d_name, 0);
    }
    (void)closedir(dir);
    *ret_back = back;
    return NULL;
}

/* ---- the rest ---- */

/* Another spelling of its own name, where these are one: no other file has it. */
static bool is_respelled(int parent, const char *from, const char *to) {
    CLEANUP(buf_done) buf_t a;
    CLEANUP(buf_done) buf_t b;
    struct stat old, new;
    buf_init(&a, LIMIT_SYNC_FOLD);
    buf_init(&b, LIMIT_SYNC_FOLD);
    err_t *e = sync_name_fold(bytes_str(from), &a);
    if (!e) e = sync_name_fold(bytes_str(to), &b);
    bool one = !e && a.n && strcmp(from, to) != 0 && bytes_eq(buf_bytes(&a), buf_bytes(&b));
    err_free(e);
    return one && fstatat(parent, from, &old, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(parent, to, &new, AT_SYMLINK_NOFOLLOW) == 0 &&
           old.st_ino == new.st_ino &&old.st_dev == new.st_dev;
}

/*
 * File systems take a rename to another spelling for none. By way of a third name; what a crash
 * leaves there is the same file still, and gets its name with the next step.
 */
static err_t *respell(int parent, const char *from, const char *to) {
    char between[64];
    struct stat state;
    if (fstatat(parent, from, &state, AT_SYMLINK_NOFOLLOW) != 0)
        return err_errno(errno, "%s", from);
    (void)snprintf(between, sizeof between, "coffer-renaming-%llx",
                   (unsigned long long)state.st_ino);
    TRY(rename_new(parent, from, parent, between));
    err_t *e = rename_new(parent, between, parent, to);
    if (e) err_ignore(rename_new(parent, between, parent, from));
    return e;
}

static err_t *disk_rename(void *ctx, const char *from, const char *to) {
    sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int from_fd = -1;
    CLEANUP(fd_close) int to_fd = -1;
    const char *from_name = NULL, *to_name = NULL;
    TRY(open_parent(disk, from, &from_fd, &from_name));
    TRY(open_parent(disk, to, &to_fd, &to_name));
    bool beside =
        to_name - to == from_name - from && strncmp(from, to, (size_t)(from_name - from)) == 0;
    if (beside && disk_folds(disk) && is_respelled(from_fd, from_name, to_name))
        return respell(from_fd, from_name, to_name);
    return rename_new(from_fd, from_name, to_fd, to_name);
}

static err_t *disk_make_folder(void *ctx, const char *path, uint32_t mode) {
    const sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int parent = -1;
    const char *name = NULL;
    TRY(open_parent(disk, path, &parent, &name));
    if (fault_io()) return err_errno(EIO, "%s", path);
    if (mkdirat(parent, name, OWN_MODE) != 0) {
        if (errno == EEXIST) return err_new(ERR_EXISTS, "there is a %s already", path);
        return err_errno(errno, "%s", path);
    }
    /* The owner must be able to fill it. */
    if (fchmodat(parent, name, (mode & 0777) | OWN_MODE, 0) != 0)
        return err_errno(errno, "%s", path);
    return NULL;
}

static err_t *disk_make_link(void *ctx, const char *path, const char *target) {
    const sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int parent = -1;
    const char *name = NULL;
    TRY(open_parent(disk, path, &parent, &name));
    if (fault_io()) return err_errno(EIO, "%s", path);
    if (symlinkat(target, parent, name) != 0) {
        if (errno == EEXIST) return err_new(ERR_EXISTS, "there is a %s already", path);
        return err_errno(errno, "%s", path);
    }
    return NULL;
}

static err_t *disk_set_mode(void *ctx, const char *path, uint32_t mode) {
    const sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int fd = -1;
    char link[64];
    TRY(open_beneath(disk->root, path, O_PATH | O_NOFOLLOW, &fd));
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return chmod(link, mode & 0777) == 0 ? NULL : err_errno(errno, "%s", path);
}

/* Taken aside and looked at there, so that no change of the last moment is lost. */
static err_t *remove_file(const sync_folder_disk_t *disk, int parent, const char *name,
                          const sync_stat_t *expect) {
    char aside[PATH_MAX];
    sync_stat_t now;
    bool found = false;
    TRY(aside_path(expect, 0, aside));
    if (renameat2(parent, name, disk->root, aside, RENAME_NOREPLACE) != 0) {
        if (errno != EINVAL && errno != ENOSYS) return err_errno(errno, "%s", name);
        return unlinkat(parent, name, 0) == 0 ? NULL : err_errno(errno, "%s", name);
    }
    TRY(stat_at(disk->root, aside, &found, &now));
    if (found && sync_aside_expected(&now, expect))
        return unlinkat(disk->root, aside, 0) == 0 ? NULL : err_errno(errno, "%s", aside);
    (void)renameat2(disk->root, aside, parent, name, RENAME_NOREPLACE);
    return err_new(ERR_BUSY, "%s has changed meanwhile", name);
}

static err_t *disk_remove(void *ctx, const char *path, const sync_stat_t *expect) {
    const sync_folder_disk_t *disk = ctx;
    CLEANUP(fd_close) int parent = -1;
    const char *name = NULL;
    sync_stat_t now;
    bool found = false;
    TRY(open_parent(disk, path, &parent, &name));
    TRY(stat_at(parent, name, &found, &now));
    if (!found) return err_new(ERR_NOT_FOUND, "%s is not there", path);
    if (now.kind != expect->kind || (now.kind != SYNC_ENTRY_FOLDER && !is_untouched(&now, expect)))
        return err_new(ERR_BUSY, "%s has changed meanwhile", path);
    if (fault_io()) return err_errno(EIO, "%s", path);
    if (now.kind != SYNC_ENTRY_FOLDER) return remove_file(disk, parent, name, expect);
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return NULL;
    if (errno == ENOTEMPTY || errno == EEXIST)
        return err_new(ERR_BUSY, "%s has something else in it", path);
    return err_errno(errno, "%s", path);
}

/* ---- life ---- */

static void fill(sync_folder_disk_t *disk) {
    disk->disk = (sync_disk_t){.ctx = disk,
                               .present = disk_present,
                               .folds = disk_folds,
                               .list = disk_list,
                               .stat = disk_stat,
                               .read_link = sync_file_read_link,
                               .open = disk_open,
                               .file_stat = disk_file_stat,
                               .read = sync_file_read,
                               .close = sync_file_close,
                               .settle = disk_settle,
                               .temp = disk_temp,
                               .write = disk_write,
                               .finish = disk_finish,
                               .flush = disk_flush,
                               .lasting = disk_lasting,
                               .place = disk_place,
                               .discard = disk_discard,
                               .sweep = disk_sweep,
                               .rename = disk_rename,
                               .make_folder = disk_make_folder,
                               .make_link = disk_make_link,
                               .set_mode = disk_set_mode,
                               .remove = disk_remove};
}

err_t *sync_folder_disk_new(const char *path, const uint8_t marker[SYNC_NODE], const clk_t *clk,
                            sync_folder_disk_t **ret_disk) {
    CLEANUP(sync_folder_disk_free) sync_folder_disk_t *disk = mem_zalloc(sizeof *disk);
    CLEANUP(mem_free) char *hex = NULL;
    if (!disk) return err_nomem();
    disk->root = -1;
    disk->clk = clk;
    disk->path = mem_strdup(path);
    if (!disk->path) return err_nomem();
    TRY(text_hex_new(bytes_make(marker, SYNC_NODE), &hex));
    memcpy(disk->marker, hex, MARKER_TEXT);
    fill(disk);
    *ret_disk = STEAL(disk);
    return NULL;
}

void sync_folder_disk_hollow(sync_folder_disk_t *disk) { disk->disk.hollow = disk_hollow; }

void sync_folder_disk_free(sync_folder_disk_t *disk) {
    if (!disk) return;
    fd_close(disk->root);
    mem_free(disk->path);
    mem_free(disk);
}

const sync_disk_t *sync_folder_disk(sync_folder_disk_t *disk) { return &disk->disk; }
