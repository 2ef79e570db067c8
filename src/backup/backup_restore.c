/*
 * See backup_restore.h.
 */
#include "backup/backup_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/backup_pack.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"

enum { WALK_FDS = 16, MASTER_TEXT = 2 * ESCROW_KEY + 1 };

typedef struct {
    const backup_repo_t *repo;
    const backup_manifest_t *manifest;
    backup_secret_t secret;
    backup_keys_t vault_keys, file_keys;
    const char *to; /* NULL: only check */
    size_t next;    /* chunk in the list */
    buf_t index;
    backup_restored_t restored;
} work_t;

static void work_done(work_t *w) {
    backup_keys_done(&w->vault_keys);
    backup_keys_done(&w->file_keys);
    buf_done(&w->index);
}
DEFINE_CLEANUP_VALUE(work_t, work_done)

/* ---- a file ---- */

/* One that is being written, or only checked (fd -1). */
typedef struct {
    const char *path; /* inside the instance */
    int fd;
    uint64_t left; /* bytes */
    digest_t *digest;
} target_t;

static void target_done(target_t *t) {
    fd_close(t->fd);
    digest_free(t->digest);
}
DEFINE_CLEANUP_VALUE(target_t, target_done)

/* Directories before it are made: 0700, and 0755 for what is public. */
static err_t *make_parents(const work_t *w, const char *path) {
    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        CLEANUP(mem_free)
        char *parent = mem_printf("%s/%.*s", w->to, (int)(slash - path), path);
        if (!parent) return err_nomem();
        bool is_public = strncmp(path, "public/", 7) == 0;
        TRY(file_mkdir(parent, 0700));
        if (is_public && chmod(parent, 0755) != 0)
            return err_errno(errno, "cannot set the mode of %s", parent);
    }
    return NULL;
}

static err_t *target_open(const work_t *w, const char *path, uint32_t mode, uint64_t size,
                          target_t *t) {
    CLEANUP(mem_free) char *full = NULL;
    *t = (target_t){.path = path, .fd = -1, .left = size};
    TRY(digest_new(&t->digest));
    if (!w->to) return NULL;
    TRY(make_parents(w, path));
    TRY(file_path(w->to, path, &full));
    bool is_public = strncmp(path, "public/", 7) == 0;
    mode = is_public ? 0644 : (mode & 0700) | 0600;
    t->fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (t->fd < 0) return err_errno(errno, "cannot create %s", full);
    if (fchmod(t->fd, mode) != 0) return err_errno(errno, "cannot set the mode of %s", full);
    return NULL;
}

/* `hash` is the content's for files, NULL for the vault, whose chunks' keys follow from their ids.
 */
static err_t *write_chunk(work_t *w, const backup_keys_t *keys, const uint8_t *hash, target_t *t) {
    CLEANUP(buf_done) buf_t file, packed, content;
    backup_method_t method = BACKUP_STORED;
    backup_entry_t entry = backup_entry_get(w->manifest->table, w->next++);
    size_t n = t->left < BACKUP_CHUNK ? (size_t)t->left : BACKUP_CHUNK;
    buf_init(&file, BACKUP_CHUNK_FILE);
    buf_init_secret(&packed, BACKUP_CHUNK + 1);
    buf_init_secret(&content, BACKUP_CHUNK);
    TRY(backup_chunk_read(w->repo, &entry, &file));
    TRY(backup_chunk_open(keys, entry.id, hash ? hash : entry.id, buf_bytes(&file), &method,
                          &packed));
    TRY(backup_unpack(method, buf_bytes(&packed), n, &content));
    TRY(digest_update(t->digest, buf_bytes(&content)));
    if (t->fd >= 0) TRY(file_write_fd(t->fd, buf_bytes(&content)));
    t->left -= n;
    return NULL;
}

static err_t *target_close(work_t *w, target_t *t, uint64_t size, const uint8_t *sha256) {
    uint8_t hash[ESCROW_HASH];
    TRY(digest_final(t->digest, hash));
    if (memcmp(hash, sha256, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "its content is not what was backed up");
    if (t->fd >= 0 && (fault_io() || fsync(t->fd) != 0)) return err_errno(errno, "cannot sync it");
    w->restored.files++;
    w->restored.bytes += size;
    return NULL;
}

/* ---- all files ---- */

static err_t *write_vault(work_t *w) {
    CLEANUP(target_done) target_t t = {.fd = -1};
    const backup_secret_t *s = &w->secret;
    if (backup_chunks_of(s->vault_size) != w->manifest->head.vault_chunks)
        return err_new(ERR_VERIFY, "it has another number of chunks");
    TRY(target_open(w, "vault/vault.db", 0600, s->vault_size, &t));
    while (w->next < w->manifest->head.vault_chunks) TRY(write_chunk(w, &w->vault_keys, NULL, &t));
    return target_close(w, &t, s->vault_size, s->vault_sha256);
}

static err_t *write_master(const work_t *w) {
    CLEANUP(buf_done) buf_t text;
    CLEANUP(mem_free) char *path = NULL;
    buf_init_secret(&text, MASTER_TEXT);
    TRY(text_hex(w->secret.master, &text));
    TRY(buf_add_byte(&text, '\n'));
    TRY(file_path(w->to, "vault/master.key", &path));
    return file_write(path, buf_bytes(&text), 0600);
}

static err_t *write_file(work_t *w, const char *path, const backup_file_t *file) {
    CLEANUP(target_done) target_t t = {.fd = -1};
    size_t chunks = file->hashes.n / ESCROW_HASH;
    if (strncmp(path, "vault/", 6) == 0 || strcmp(path, "vault") == 0)
        return err_new(ERR_VERIFY, "the vault has another place");
    if (chunks > w->manifest->table.n / BACKUP_ENTRY - w->next)
        return err_new(ERR_VERIFY, "the list of chunks is too short");
    TRY(target_open(w, path, file->mode, file->size, &t));
    for (size_t i = 0; i < chunks; i++)
        TRY(write_chunk(w, &w->file_keys, file->hashes.p + i * ESCROW_HASH, &t));
    return target_close(w, &t, file->size, file->sha256);
}

static err_t *write_files(work_t *w) {
    wire_reader_t r;
    uint32_t count = 0;
    TRY(backup_index_open(buf_bytes(&w->index), &r, &count));
    for (uint32_t i = 0; i < count; i++) {
        backup_file_t file;
        TRY(backup_file_get(&r, &file));
        CLEANUP(mem_free) char *path = mem_strndup((const char *)file.path.p, file.path.n);
        if (!path) return err_nomem();
        TRY_WRAP(write_file(w, path, &file), "%s", path);
    }
    TRY(wire_done(&r));
    if (w->next != w->manifest->table.n / BACKUP_ENTRY)
        return err_new(ERR_VERIFY, "the list of chunks is too long");
    return NULL;
}

static err_t *write_all(work_t *w) {
    static const char *const empty[] = {"run", "log", "store", "vault", "push", "tls"};
    for (size_t i = 0; w->to && i < sizeof empty / sizeof empty[0]; i++) {
        CLEANUP(mem_free) char *path = NULL;
        TRY(file_path(w->to, empty[i], &path));
        TRY(file_mkdir(path, 0700));
    }
    TRY_WRAP(write_vault(w), "vault/vault.db");
    if (w->to) TRY(write_master(w));
    return write_files(w);
}

/* ---- the directory ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static err_t *commit(const char *from, const char *to) {
    CLEANUP(fd_close) int fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", from);
    if (fault_io() || syncfs(fd) != 0) return err_errno(errno, "cannot flush %s", from);
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        return err_errno(errno, "cannot rename %s to %s", from, to);
    return NULL;
}

static err_t *open_keys(work_t *w, const secret_t *secret) {
    TRY(backup_secret_parse(secret_bytes(secret), &w->secret));
    TRY(backup_keys_new(w->secret.vault_key, &w->vault_keys));
    TRY(backup_keys_new(w->secret.files_key, &w->file_keys));
    return backup_stream_open(w->secret.index_key, w->manifest->index, &w->index);
}

/* "D/" and "D//" name D as well. */
static char *new_name(const char *to) {
    size_t n = strlen(to);
    while (n > 1 && to[n - 1] == '/') n--;
    return mem_printf("%.*s.new", (int)n, to);
}

static err_t *write_directory(work_t *w, const char *to) {
    struct stat st;
    CLEANUP(mem_free) char *from = new_name(to);
    if (!from) return err_nomem();
    if (lstat(to, &st) == 0) return err_new(ERR_EXISTS, "%s exists already", to);
    if (mkdir(from, 0700) != 0)
        return err_errno(
            errno, "cannot make %s (of a restore that was interrupted? then remove it)", from);
    w->to = from;
    err_t *e = write_all(w);
    if (!e) e = commit(from, to);
    if (e) (void)nftw(from, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
    w->to = NULL;
    return e;
}

err_t *backup_restore(const backup_repo_t *repo, const backup_manifest_t *manifest,
                      const secret_t *secret, const char *to, backup_restored_t *ret_restored) {
    CLEANUP(work_done) work_t w = {.repo = repo, .manifest = manifest};
    buf_init_secret(&w.index, LIMIT_BACKUP_INDEX);
    TRY(open_keys(&w, secret));
    if (to) TRY(write_directory(&w, to));
    else TRY(write_all(&w));
    *ret_restored = w.restored;
    return NULL;
}
