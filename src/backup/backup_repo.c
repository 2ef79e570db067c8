/*
 * The directory of backups: see backup_repo.h. Blocking; one thread.
 */
#include "backup/backup_repo.h"

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
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"

#define SUFFIX ".coffer"

enum {
    HEX_ID = 2 * ESCROW_HASH,
    CHUNK_PATH = 3 + HEX_ID + 1,
    FANOUT = 256,
    FIRST_ROOM = 1024,
    SYNC_EACH = 512
};

struct backup_repo {
    char *dir;
    int lock_fd, chunks_fd, backups_fd;
    size_t puts;          /* chunks written since the last commit */
    bool touched[FANOUT]; /* directories they are in */
};

/* ---- opening ---- */

void backup_repo_free(backup_repo_t *repo) {
    if (!repo) return;
    fd_close(repo->lock_fd);
    fd_close(repo->chunks_fd);
    fd_close(repo->backups_fd);
    mem_free(repo->dir);
    mem_free(repo);
}

static err_t *open_dir(const char *dir, const char *name, bool create, int *ret_fd) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(dir, name, &path));
    if (create) TRY(file_mkdir(path, 0700));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return err_new(ERR_NOT_FOUND, "there are no backups in %s", dir);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    *ret_fd = fd;
    return NULL;
}

static err_t *take_lock(backup_repo_t *repo, backup_repo_mode_t mode) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(repo->dir, "lock", &path));
    int flags = mode == BACKUP_REPO_READ ? O_RDONLY : O_RDWR | O_CREAT;
    repo->lock_fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (repo->lock_fd < 0 && mode == BACKUP_REPO_READ) return NULL; /* a copy on a read-only disk */
    if (repo->lock_fd < 0) return err_errno(errno, "cannot open %s", path);
    if (flock(repo->lock_fd, (mode == BACKUP_REPO_READ ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
        return NULL;
    if (errno == EWOULDBLOCK) return err_new(ERR_BUSY, "another program works in %s", repo->dir);
    return err_errno(errno, "cannot lock %s", path);
}

err_t *backup_repo_open(const char *dir, backup_repo_mode_t mode, backup_repo_t **ret_repo) {
    CLEANUP(backup_repo_free) backup_repo_t *repo = mem_zalloc(sizeof *repo);
    if (!repo) return err_nomem();
    repo->lock_fd = repo->chunks_fd = repo->backups_fd = -1;
    repo->dir = mem_strdup(dir);
    if (!repo->dir) return err_nomem();
    bool create = mode == BACKUP_REPO_CREATE;
    if (create) TRY(file_mkdir(dir, 0700));
    TRY(open_dir(dir, "backups", create, &repo->backups_fd));
    TRY(open_dir(dir, "chunks", create, &repo->chunks_fd));
    TRY(take_lock(repo, mode));
    *ret_repo = STEAL(repo);
    return NULL;
}

const char *backup_repo_dir(const backup_repo_t *repo) { return repo->dir; }

/* ---- names ---- */

void backup_names_done(backup_names_t *names) {
    mem_free(names->names);
    *names = (backup_names_t){0};
}

bool backup_name_valid(const char *name) {
    size_t n = strlen(name);
    if (n == 0 || n >= BACKUP_NAME - sizeof SUFFIX) return false;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            c != '-')
            return false;
    }
    return true;
}

static int compare_names(const void *a, const void *b) { return strcmp(a, b); }

/* "NAME.coffer" without the end; false for anything else. */
static bool name_of(const char *file, char name[BACKUP_NAME]) {
    size_t n = strlen(file), end = sizeof SUFFIX - 1;
    if (n <= end || n - end >= BACKUP_NAME || strcmp(file + n - end, SUFFIX) != 0) return false;
    memcpy(name, file, n - end);
    name[n - end] = '\0';
    return backup_name_valid(name);
}

static void dir_close_p(DIR **dir) {
    if (*dir) (void)closedir(*dir);
}

static err_t *dir_open(int at, const char *name, DIR **ret_dir) {
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return err_errno(errno, "cannot open the directory %s", name);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        fd_close(fd);
        return err_errno(errno, "cannot read the directory %s", name);
    }
    *ret_dir = dir;
    return NULL;
}

err_t *backup_repo_list(const backup_repo_t *repo, backup_names_t *ret_names) {
    CLEANUP(backup_names_done) backup_names_t names = {0};
    CLEANUP(dir_close) DIR *dir = NULL;
    TRY(dir_open(repo->backups_fd, ".", &dir));
    names.names = mem_array(LIMIT_BACKUP_KEPT, BACKUP_NAME);
    if (!names.names) return err_nomem();
    for (struct dirent *item; (item = readdir(dir));) {
        char name[BACKUP_NAME];
        if (!name_of(item->d_name, name)) continue;
        if (names.n == LIMIT_BACKUP_KEPT)
            return err_new(ERR_LIMIT, "more than %d backups in %s", LIMIT_BACKUP_KEPT, repo->dir);
        memcpy(names.names[names.n++], name, sizeof name);
    }
    qsort(names.names, names.n, BACKUP_NAME, compare_names);
    *ret_names = names;
    names = (backup_names_t){0};
    return NULL;
}

/* ---- backups' files ---- */

static err_t *backup_path(const backup_repo_t *repo, const char *name, char **ret_path) {
    if (!backup_name_valid(name)) return err_new(ERR_USAGE, "\"%s\" is no backup's name", name);
    char *path = mem_printf("%s/backups/%s" SUFFIX, repo->dir, name);
    if (!path) return err_nomem();
    *ret_path = path;
    return NULL;
}

err_t *backup_file_read(const char *path, buf_t *file, backup_manifest_t *ret_manifest) {
    buf_clear(file);
    TRY(file_read(path, file));
    TRY_WRAP(backup_manifest_parse(buf_bytes(file), ret_manifest), "%s", path);
    return NULL;
}

err_t *backup_repo_read(const backup_repo_t *repo, const char *name, buf_t *file,
                        backup_manifest_t *ret_manifest) {
    CLEANUP(mem_free) char *path = NULL;
    backup_manifest_t manifest;
    TRY(backup_path(repo, name, &path));
    TRY(backup_file_read(path, file, &manifest));
    TRY_WRAP(backup_manifest_verify(&manifest), "%s", path);
    *ret_manifest = manifest;
    return NULL;
}

static err_t *sync_directory(const backup_repo_t *repo, unsigned number) {
    char name[3];
    (void)snprintf(name, sizeof name, "%02x", number);
    CLEANUP(fd_close)
    int fd = openat(repo->chunks_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fault_io() || fsync(fd) != 0)
        return err_errno(errno, "cannot sync %s/chunks/%s", repo->dir, name);
    return NULL;
}

/* A few chunks were flushed one by one; of many the whole file system is flushed, once. */
static err_t *flush(const backup_repo_t *repo) {
    if (repo->puts > SYNC_EACH) {
        if (fault_io() || syncfs(repo->chunks_fd) != 0)
            return err_errno(errno, "cannot flush %s", repo->dir);
        return NULL;
    }
    for (unsigned i = 0; i < FANOUT; i++)
        if (repo->touched[i]) TRY(sync_directory(repo, i));
    if (fault_io() || fsync(repo->chunks_fd) != 0)
        return err_errno(errno, "cannot sync %s/chunks", repo->dir);
    return NULL;
}

err_t *backup_repo_commit(backup_repo_t *repo, const char *name, bytes_t file) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(backup_path(repo, name, &path));
    TRY(flush(repo));
    TRY(file_write(path, file, 0600));
    repo->puts = 0;
    memset(repo->touched, 0, sizeof repo->touched);
    return NULL;
}

err_t *backup_repo_remove(const backup_repo_t *repo, const char *name) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(backup_path(repo, name, &path));
    if (fault_io() || unlink(path) != 0) return err_errno(errno, "cannot remove %s", path);
    if (fault_io() || fsync(repo->backups_fd) != 0)
        return err_errno(errno, "cannot sync %s", repo->dir);
    return NULL;
}

/* ---- chunks ---- */

/* "3f/3f9a..." */
static void chunk_path(const uint8_t *id, char path[CHUNK_PATH]) {
    static const char digits[] = "0123456789abcdef";
    path[0] = digits[id[0] >> 4];
    path[1] = digits[id[0] & 15];
    path[2] = '/';
    for (size_t i = 0; i < ESCROW_HASH; i++) {
        path[3 + 2 * i] = digits[id[i] >> 4];
        path[4 + 2 * i] = digits[id[i] & 15];
    }
    path[3 + HEX_ID] = '\0';
}

static err_t *create_chunk(const backup_repo_t *repo, const char *path, int *ret_fd) {
    char parent[3] = {path[0], path[1], '\0'};
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    int fd = fault_io() ? (errno = EIO, -1) : openat(repo->chunks_fd, path, flags, 0600);
    if (fd < 0 && errno == ENOENT) {
        if (mkdirat(repo->chunks_fd, parent, 0700) != 0 && errno != EEXIST)
            return err_errno(errno, "cannot make %s/chunks/%s", repo->dir, parent);
        fd = openat(repo->chunks_fd, path, flags, 0600);
    }
    if (fd < 0) return err_errno(errno, "cannot create %s/chunks/%s", repo->dir, path);
    *ret_fd = fd;
    return NULL;
}

err_t *backup_chunk_put(backup_repo_t *repo, const uint8_t id[ESCROW_HASH], bytes_t file) {
    char path[CHUNK_PATH];
    CLEANUP(fd_close) int fd = -1;
    chunk_path(id, path);
    TRY(create_chunk(repo, path, &fd));
    TRY_WRAP(file_write_fd(fd, file), "cannot write %s/chunks/%s", repo->dir, path);
    repo->touched[id[0]] = true;
    if (repo->puts++ >= SYNC_EACH) return NULL;
    if (fault_io() || fdatasync(fd) != 0)
        return err_errno(errno, "cannot sync %s/chunks/%s", repo->dir, path);
    return NULL;
}

bool backup_chunk_there(const backup_repo_t *repo, const backup_entry_t *entry) {
    char path[CHUNK_PATH];
    struct stat st;
    chunk_path(entry->id, path);
    return fstatat(repo->chunks_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == (off_t)entry->size;
}

err_t *backup_chunk_read(const backup_repo_t *repo, const backup_entry_t *entry, buf_t *out) {
    char path[CHUNK_PATH];
    uint8_t hash[ESCROW_HASH];
    chunk_path(entry->id, path);
    buf_clear(out);
    CLEANUP(fd_close) int fd = openat(repo->chunks_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return err_new(ERR_NOT_FOUND, "the chunk chunks/%s is missing", path);
    if (fd < 0) return err_errno(errno, "cannot open %s/chunks/%s", repo->dir, path);
    err_t *e = file_read_fd(fd, out);
    if (e && err_code(e) != ERR_LIMIT) return err_wrap(e, "chunks/%s", path);
    err_free(e);
    TRY(digest_sha256(buf_bytes(out), hash));
    if (e || out->n != entry->size || memcmp(hash, entry->sha256, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the chunk chunks/%s was changed", path);
    return NULL;
}

/* ---- what is known ---- */

void backup_known_done(backup_known_t *known) {
    mem_free(known->entries);
    *known = (backup_known_t){0};
}

/* Where the id is, or the free place for it; there is one. */
static size_t place(const backup_entry_t *entries, size_t room, const uint8_t *id) {
    size_t at = 0;
    memcpy(&at, id, sizeof at);
    for (at &= room - 1; entries[at].size && memcmp(entries[at].id, id, ESCROW_HASH) != 0;)
        at = (at + 1) & (room - 1);
    return at;
}

static err_t *grow(backup_known_t *known) {
    size_t room = known->room ? 2 * known->room : FIRST_ROOM;
    backup_entry_t *entries = mem_array(room, sizeof *entries);
    if (!entries) return err_nomem();
    for (size_t i = 0; i < known->room; i++)
        if (known->entries[i].size)
            entries[place(entries, room, known->entries[i].id)] = known->entries[i];
    mem_free(known->entries);
    known->entries = entries;
    known->room = room;
    return NULL;
}

err_t *backup_known_put(backup_known_t *known, const backup_entry_t *entry) {
    if (entry->size == 0) return err_new(ERR_INVALID, "a chunk without content");
    if (2 * (known->n + 1) > known->room) TRY(grow(known));
    size_t at = place(known->entries, known->room, entry->id);
    if (!known->entries[at].size) known->n++;
    known->entries[at] = *entry;
    return NULL;
}

err_t *backup_known_add(backup_known_t *known, bytes_t table) {
    for (size_t i = 0; i < table.n / BACKUP_ENTRY; i++) {
        backup_entry_t entry = backup_entry_get(table, i);
        TRY(backup_known_put(known, &entry));
    }
    return NULL;
}

const backup_entry_t *backup_known_find(const backup_known_t *known, const uint8_t *id) {
    if (!known->n) return NULL;
    size_t at = place(known->entries, known->room, id);
    return known->entries[at].size ? &known->entries[at] : NULL;
}

err_t *backup_repo_known(const backup_repo_t *repo, const backup_names_t *names,
                         backup_known_t *ret_known, uint8_t ret_generation[ESCROW_ID]) {
    CLEANUP(backup_known_done) backup_known_t known = {0};
    CLEANUP(buf_done) buf_t file;
    backup_manifest_t manifest;
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    for (size_t i = 0; i < names->n; i++) {
        TRY(backup_repo_read(repo, names->names[i], &file, &manifest));
        TRY(backup_known_add(&known, manifest.table));
        memcpy(ret_generation, manifest.head.generation, ESCROW_ID);
    }
    *ret_known = known;
    known = (backup_known_t){0};
    return NULL;
}

/* ---- sweeping ---- */

static bool is_wanted(const backup_known_t *known, const char *name) {
    uint8_t id[ESCROW_HASH];
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, ESCROW_HASH);
    err_t *e = strlen(name) == HEX_ID ? text_unhex(bytes_str(name), &raw) : NULL;
    bool whole = !e && raw.n == ESCROW_HASH;
    err_free(e);
    if (!whole) return false;
    memcpy(id, raw.p, ESCROW_HASH);
    return backup_known_find(known, id) != NULL;
}

static err_t *sweep_one(DIR *dir, const backup_known_t *known, uint64_t *removed, uint64_t *bytes) {
    for (struct dirent *item; (item = readdir(dir));) {
        struct stat st;
        if (item->d_name[0] == '.' || is_wanted(known, item->d_name)) continue;
        if (fstatat(dirfd(dir), item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (fault_io() || unlinkat(dirfd(dir), item->d_name, 0) != 0)
            return err_errno(errno, "cannot remove the chunk %s", item->d_name);
        *removed += 1;
        *bytes += (uint64_t)st.st_size;
    }
    return NULL;
}

err_t *backup_repo_sweep(const backup_repo_t *repo, const backup_known_t *known,
                         uint64_t *ret_removed, uint64_t *ret_bytes) {
    uint64_t removed = 0, bytes = 0;
    for (unsigned i = 0; i < FANOUT; i++) {
        CLEANUP(dir_close) DIR *dir = NULL;
        char name[3];
        struct stat st;
        (void)snprintf(name, sizeof name, "%02x", i);
        if (fstatat(repo->chunks_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        TRY(dir_open(repo->chunks_fd, name, &dir));
        TRY(sweep_one(dir, known, &removed, &bytes));
    }
    *ret_removed = removed;
    *ret_bytes = bytes;
    return NULL;
}
