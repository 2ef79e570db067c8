/*
 * Blobs in a directory: see disk.h. Temporary file, fsync, rename, fsync of the directory.
 * Blocking; any thread.
 */
#include "store/blob/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

enum { COPY_STEP = 64 * 1024, FAN_OUT = 256 };

#define MARK "coffer-blobs"
#define MARK_TEXT                                                                                  \
    "Blobs of Coffer. Their names are in its database; see docs/guides/file-stores.md.\n"

typedef struct {
    blob_store_t store;
    char *dir;
    char *tmp;
} disk_t;

/* ---- temporary files ---- */

err_t *blob_tmp_make(const char *dir, int *ret_fd, char **ret_path) {
    CLEANUP(mem_free) char *path = mem_printf("%s/XXXXXX", dir);
    if (!path) return err_nomem();
    CLEANUP(fd_close) int fd = fault_io() ? (errno = EIO, -1) : mkostemp(path, O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot make a file in %s", dir);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        err_t *e = err_errno(errno, "cannot lock a file in %s", dir);
        (void)unlink(path);
        return e;
    }
    *ret_path = STEAL(path);
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

/* Whoever writes a file has it locked: what can be locked was left behind by a crash. */
static bool remove_if_left(int dir_fd, const char *name) {
    CLEANUP(fd_close) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) return false;
    return unlinkat(dir_fd, name, 0) == 0;
}

static void dir_close(DIR *dir) {
    if (dir) (void)closedir(dir);
}
DEFINE_CLEANUP(DIR, dir_close)

err_t *blob_tmp_sweep(const char *dir, size_t *ret_removed) {
    CLEANUP(dir_close) DIR *open_dir = fault_io() ? (errno = EIO, NULL) : opendir(dir);
    if (!open_dir) return err_errno(errno, "cannot read the directory %s", dir);
    size_t removed = 0;
    for (const struct dirent *entry; (entry = readdir(open_dir));)
        if (entry->d_name[0] != '.' && remove_if_left(dirfd(open_dir), entry->d_name)) removed++;
    *ret_removed = removed;
    return NULL;
}

/* ---- writing ---- */

static err_t *sync_dir(const char *path) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open the directory %s", path);
    if (fault_io() || fsync(fd) != 0) return err_errno(errno, "cannot sync the directory %s", path);
    return NULL;
}

static char *fan_path(const disk_t *disk, const char *name) {
    return mem_printf("%s/%.2s", disk->dir, name);
}

static char *object_path(const disk_t *disk, const char *name) {
    return mem_printf("%s/%.2s/%s", disk->dir, name, name);
}

static err_t *make_fan(const disk_t *disk, const char *fan) {
    if (fault_io()) return err_errno(EIO, "cannot make the directory %s", fan);
    if (mkdir(fan, 0700) == 0) return sync_dir(disk->dir);
    if (errno == EEXIST) return NULL;
    return err_errno(errno, "cannot make the directory %s", fan);
}

static err_t *read_at(int fd, uint64_t offset, uint8_t *p, size_t n, size_t *ret_n) {
    size_t got = 0;
    while (got < n) {
        ssize_t step =
            fault_io() ? (errno = EIO, -1) : pread(fd, p + got, n - got, (off_t)(offset + got));
        if (step < 0 && errno == EINTR) continue;
        if (step < 0) return err_errno(errno, "read");
        if (step == 0) break;
        got += (size_t)step;
    }
    *ret_n = got;
    return NULL;
}

static err_t *copy(const blob_source_t *source, int to) {
    CLEANUP(mem_free) uint8_t *chunk = mem_alloc(COPY_STEP);
    if (!chunk) return err_nomem();
    for (uint64_t at = 0; at < source->size;) {
        size_t got = 0;
        TRY(read_at(source->fd, at, chunk, COPY_STEP, &got));
        if (got == 0)
            return err_new(ERR_IO, "the file ends before its %llu bytes",
                           (unsigned long long)source->size);
        TRY(file_write_fd(to, bytes_make(chunk, got)));
        at += got;
    }
    if (fault_io()) return err_errno(EIO, "sync");
    return fsync(to) == 0 ? NULL : err_errno(errno, "sync");
}

static err_t *move(const char *from, const char *to) {
    if (fault_io()) return err_errno(EIO, "cannot rename to %s", to);
    return rename(from, to) == 0 ? NULL : err_errno(errno, "cannot rename to %s", to);
}

static err_t *copy_and_move(const disk_t *disk, const blob_source_t *source, const char *path) {
    CLEANUP(mem_free) char *tmp = NULL;
    CLEANUP(fd_close) int fd = -1;
    TRY(blob_tmp_make(disk->tmp, &fd, &tmp));
    err_t *e = copy(source, fd);
    if (!e) e = move(tmp, path);
    if (e) (void)unlink(tmp);
    return e;
}

/* Whether the source may be renamed: it says so, and lies on our file system. */
static bool may_take(const disk_t *disk, const blob_source_t *source) {
    struct stat ours, theirs;
    return source->path && stat(disk->tmp, &ours) == 0 && fstat(source->fd, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev;
}

static err_t *disk_put(blob_store_t *store, const char *name, const blob_source_t *source) {
    const disk_t *disk = (const disk_t *)store;
    CLEANUP(mem_free) char *fan = fan_path(disk, name);
    CLEANUP(mem_free) char *path = object_path(disk, name);
    if (!fan || !path) return err_nomem();
    TRY(make_fan(disk, fan));
    if (may_take(disk, source)) TRY(move(source->path, path));
    else TRY(copy_and_move(disk, source, path));
    return sync_dir(fan);
}

/* ---- reading ---- */

static err_t *open_object(const disk_t *disk, const char *name, int *ret_fd) {
    CLEANUP(mem_free) char *path = object_path(disk, name);
    if (!path) return err_nomem();
    int fd = fault_io() ? (errno = EIO, -1) : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    *ret_fd = fd;
    return NULL;
}

static err_t *disk_get(blob_store_t *store, const char *name, uint64_t offset, size_t n,
                       buf_t *out) {
    CLEANUP(fd_close) int fd = -1;
    size_t got = 0;
    TRY(open_object((const disk_t *)store, name, &fd));
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(errno, "cannot look at %s", name);
    uint64_t size = (uint64_t)st.st_size;
    if (offset >= size) return NULL;
    if (n > size - offset) n = (size_t)(size - offset);
    TRY(buf_reserve(out, n));
    TRY_WRAP(read_at(fd, offset, out->p + out->n, n, &got), "cannot read %s", name);
    out->n += got;
    return NULL;
}

static err_t *disk_look(blob_store_t *store, const char *name, bool *ret_found,
                        uint64_t *ret_size) {
    CLEANUP(mem_free) char *path = object_path((const disk_t *)store, name);
    if (!path) return err_nomem();
    struct stat st;
    bool found = !fault_io() ? stat(path, &st) == 0 : (errno = EIO, false);
    if (!found && errno != ENOENT) return err_errno(errno, "cannot look at %s", path);
    *ret_found = found;
    if (found) *ret_size = (uint64_t)st.st_size;
    return NULL;
}

static err_t *disk_remove(blob_store_t *store, const char *name) {
    const disk_t *disk = (const disk_t *)store;
    CLEANUP(mem_free) char *fan = fan_path(disk, name);
    CLEANUP(mem_free) char *path = object_path(disk, name);
    if (!fan || !path) return err_nomem();
    if (fault_io()) return err_errno(EIO, "cannot remove %s", path);
    if (unlink(path) != 0) {
        if (errno == ENOENT) return NULL;
        return err_errno(errno, "cannot remove %s", path);
    }
    return sync_dir(fan);
}

/* ---- listing ---- */

typedef struct {
    char (*names)[BLOB_OBJECT_NAME];
    size_t n, room;
} names_t;

static void names_done(names_t *names) { mem_free(names->names); }
DEFINE_CLEANUP_VALUE(names_t, names_done)

static err_t *names_add(names_t *names, const char *name) {
    if (names->n == LIMIT_BLOB_FAN)
        return err_new(ERR_LIMIT, "more than %d objects in one directory", LIMIT_BLOB_FAN);
    if (names->n == names->room) {
        size_t room = names->room ? 2 * names->room : 64;
        void *more = mem_resize(names->names, room * BLOB_OBJECT_NAME);
        if (!more) return err_nomem();
        names->names = more;
        names->room = room;
    }
    memcpy(names->names[names->n++], name, BLOB_OBJECT_NAME);
    return NULL;
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static err_t *read_fan(DIR *dir, const char *prefix, const char *after, names_t *names) {
    size_t prefix_n = strlen(prefix);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        blob_id_t id;
        uint64_t incarnation = 0;
        if (!blob_object_parse(bytes_str(entry->d_name), &id, &incarnation)) continue;
        if (strncmp(entry->d_name, prefix, prefix_n) != 0) continue;
        if (strcmp(entry->d_name, after) > 0) TRY(names_add(names, entry->d_name));
    }
    if (names->n) qsort(names->names, names->n, BLOB_OBJECT_NAME, by_name);
    return NULL;
}

typedef struct {
    const char *prefix, *after;
    size_t max, given;
    blob_each_fn each;
    void *arg;
    bool more;
} listing_t;

static err_t *give(DIR *dir, const names_t *names, listing_t *listing) {
    for (size_t i = 0; i < names->n; i++) {
        struct stat st;
        if (fstatat(dirfd(dir), names->names[i], &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue; /* removed meanwhile */
            return err_errno(errno, "cannot look at %s", names->names[i]);
        }
        if (listing->given == listing->max) {
            listing->more = true;
            return NULL;
        }
        blob_entry_t entry = {names->names[i], (uint64_t)st.st_size, st.st_mtime};
        TRY(listing->each(listing->arg, &entry));
        listing->given++;
    }
    return NULL;
}

static err_t *list_fan(const disk_t *disk, unsigned fan, listing_t *listing) {
    char digits[3];
    (void)snprintf(digits, sizeof digits, "%02x", fan & 0xff);
    size_t common = strlen(listing->prefix) < 2 ? strlen(listing->prefix) : 2;
    if (strncmp(digits, listing->prefix, common) != 0) return NULL;
    if (strncmp(digits, listing->after, 2) < 0) return NULL;
    CLEANUP(mem_free) char *path = mem_printf("%s/%s", disk->dir, digits);
    if (!path) return err_nomem();
    CLEANUP(dir_close) DIR *dir = fault_io() ? (errno = EIO, NULL) : opendir(path);
    if (!dir) return errno == ENOENT ? NULL : err_errno(errno, "cannot read %s", path);
    CLEANUP(names_done) names_t names = {0};
    TRY(read_fan(dir, listing->prefix, listing->after, &names));
    return give(dir, &names, listing);
}

static err_t *disk_list(blob_store_t *store, const char *prefix, const char *after, size_t max,
                        blob_each_fn each, void *arg, bool *ret_more) {
    listing_t listing = {.prefix = prefix, .after = after, .max = max, .each = each, .arg = arg};
    for (unsigned fan = 0; fan < FAN_OUT && !listing.more; fan++)
        TRY(list_fan((const disk_t *)store, fan, &listing));
    *ret_more = listing.more;
    return NULL;
}

/* ---- lifecycle ---- */

static void disk_free(blob_store_t *store) {
    disk_t *disk = (disk_t *)store;
    mem_free(disk->dir);
    mem_free(disk->tmp);
    mem_free(disk);
}

static const blob_store_ops_t disk_ops = {disk_put,    disk_get,  disk_look,
                                          disk_remove, disk_list, disk_free};

/* The mark says that this is the store, and not the empty place where it was mounted. */
static err_t *check_mark(const disk_t *disk, bool must_exist) {
    CLEANUP(mem_free) char *mark = mem_printf("%s/" MARK, disk->dir);
    if (!mark) return err_nomem();
    if (file_exists(mark)) return NULL;
    if (must_exist)
        return err_new(ERR_NOT_FOUND,
                       "%s is not a store of blobs (no file " MARK "): is it mounted?", disk->dir);
    TRY(file_mkdir(disk->dir, 0700));
    return file_write(mark, BYTES_LIT(MARK_TEXT), 0600);
}

err_t *blob_disk_open(const char *name, const char *dir, bool must_exist,
                      blob_store_t **ret_store) {
    disk_t *disk = mem_zalloc(sizeof *disk);
    if (!disk) return err_nomem();
    disk->store.ops = &disk_ops;
    disk->store.kind = "disk";
    CLEANUP(blob_store_free) blob_store_t *store = &disk->store;
    store->name = mem_strdup(name);
    disk->dir = mem_strdup(dir);
    disk->tmp = mem_printf("%s/tmp", dir);
    if (!store->name || !disk->dir || !disk->tmp) return err_nomem();
    size_t removed = 0;
    TRY_WRAP(check_mark(disk, must_exist), "store %s", name);
    TRY_WRAP(file_mkdir(disk->tmp, 0700), "store %s", name);
    TRY_WRAP(blob_tmp_sweep(disk->tmp, &removed), "store %s", name);
    *ret_store = STEAL(store);
    return NULL;
}

const char *blob_disk_tmp(const blob_store_t *store) { return ((const disk_t *)store)->tmp; }
