/*
 * Making a backup: see backup_make.h. Blocking; one thread.
 */
#include "backup/backup_make.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/backup_pack.h"
#include "backup/backup_walk.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "store/db_copy.h"

#define STORE_PATH "store/store.db"

enum { KEYS = 2 * ESCROW_KEY, ANSWER_MAX = 512 * 1024, PACKED_MAX = 2 * BACKUP_CHUNK };

typedef struct {
    const backup_make_t *make;
    backup_repo_t *repo;
    backup_known_t known;
    uint8_t id[ESCROW_ID], generation[ESCROW_ID];
    buf_t keys;
    backup_keys_t file_keys;
    db_copy_t *copy;
    char *copy_path;
    int instance_lock, store_fd;
    uint32_t vault_chunks;
    buf_t table, files; /* the list of files without its beginning */
    uint32_t files_n;
    backup_made_t made;
} work_t;

static void work_init(work_t *w, const backup_make_t *make) {
    *w = (work_t){.make = make, .instance_lock = -1, .store_fd = -1};
    buf_init_secret(&w->keys, KEYS);
    buf_init(&w->table, (size_t)LIMIT_BACKUP_CHUNKS * BACKUP_ENTRY);
    buf_init(&w->files, LIMIT_BACKUP_INDEX);
}

static void work_done(work_t *w) {
    if (w->copy_path && w->instance_lock >= 0) (void)unlink(w->copy_path);
    db_copy_free(w->copy);
    backup_repo_free(w->repo);
    backup_known_done(&w->known);
    backup_keys_done(&w->file_keys);
    buf_done(&w->keys);
    buf_done(&w->table);
    buf_done(&w->files);
    fd_close(w->store_fd);
    fd_close(w->instance_lock);
    mem_free(w->copy_path);
}
DEFINE_CLEANUP_VALUE(work_t, work_done)

/* ---- the moment ---- */

/* The copy of the store has one place; whoever holds the lock may remove what lies there. */
static err_t *lock_instance(work_t *w) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(w->make->instance, "store/backup.lock", &path));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int number = errno;
        fd_close(fd);
        if (number == EWOULDBLOCK)
            return err_new(ERR_BUSY, "another backup of %s is being made", w->make->instance);
        return err_errno(number, "cannot lock %s", path);
    }
    w->instance_lock = fd;
    return file_path(w->make->instance, "store/backup.tmp", &w->copy_path);
}

static err_t *open_repo(work_t *w) {
    CLEANUP(backup_names_done) backup_names_t names = {0};
    TRY(backup_repo_open(w->make->dir, BACKUP_REPO_CREATE, &w->repo));
    TRY(backup_repo_list(w->repo, &names));
    TRY(backup_repo_known(w->repo, &names, &w->known, w->generation));
    if (names.n == 0 || w->make->full) TRY(rnd_fill(w->make->rnd, w->generation, ESCROW_ID));
    return rnd_fill(w->make->rnd, w->id, ESCROW_ID);
}

/*
 * While nobody writes to the store the keeper begins to hold the vault's state: then every object
 * of the store is in the vault, and no head of the audit was signed that the store does not have.
 */
static err_t *hold(work_t *w) {
    const backup_source_t *source = &w->make->source;
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(w->make->instance, STORE_PATH, &path));
    (void)unlink(w->copy_path);
    TRY(db_copy_begin(path, &w->copy));
    err_t *e = source->begin(source->ctx, w->id, w->generation, &w->keys);
    db_copy_release(w->copy);
    if (e) return e;
    TRY(backup_keys_new(bytes_slice(buf_bytes(&w->keys), 0, ESCROW_KEY), &w->file_keys));
    TRY_WRAP(db_copy_run(w->copy, w->copy_path), "%s", path);
    db_copy_free(STEAL(w->copy));
    w->store_fd = open(w->copy_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (w->store_fd < 0) return err_errno(errno, "cannot open %s", w->copy_path);
    (void)unlink(w->copy_path);
    return NULL;
}

/* ---- chunks ---- */

static err_t *list_chunk(work_t *w, const backup_entry_t *entry) {
    w->made.chunks++;
    if (w->made.chunks > LIMIT_BACKUP_CHUNKS)
        return err_new(ERR_LIMIT, "the instance has more than %d chunks", LIMIT_BACKUP_CHUNKS);
    return backup_entry_put(entry, &w->table);
}

static const backup_entry_t *find_known(const work_t *w, const uint8_t *id) {
    const backup_entry_t *entry = backup_known_find(&w->known, id);
    return entry && backup_chunk_there(w->repo, entry) ? entry : NULL;
}

static err_t *put_chunk(work_t *w, const uint8_t *id, bytes_t file) {
    backup_entry_t entry = {.size = (uint32_t)file.n};
    memcpy(entry.id, id, ESCROW_HASH);
    TRY(digest_sha256(file, entry.sha256));
    TRY(backup_chunk_put(w->repo, id, file));
    TRY(backup_known_put(&w->known, &entry)); /* the same content may come again */
    w->made.new_chunks++;
    w->made.written += file.n;
    return list_chunk(w, &entry);
}

static err_t *take_vault(work_t *w, bytes_t answer) {
    wire_reader_t r = wire_reader(answer);
    while (r.rest.n) {
        bytes_t id, file;
        TRY(wire_get_raw(&r, ESCROW_HASH, &id));
        TRY(wire_get_bytes(&r, BACKUP_CHUNK_FILE, &file));
        const backup_entry_t *known = find_known(w, id.p);
        if (known) TRY(list_chunk(w, known));
        else TRY(put_chunk(w, id.p, file));
        w->vault_chunks++;
        w->made.bytes += BACKUP_CHUNK;
    }
    return NULL;
}

static err_t *read_vault(work_t *w) {
    const backup_source_t *source = &w->make->source;
    CLEANUP(buf_done) buf_t answer;
    buf_init(&answer, ANSWER_MAX);
    for (uint32_t left = 1; left;) TRY(source->copy(source->ctx, w->id, &left));
    for (uint32_t before = UINT32_MAX; before != w->vault_chunks;) {
        before = w->vault_chunks;
        buf_clear(&answer);
        TRY(source->read(source->ctx, w->id, w->vault_chunks, &answer));
        TRY(take_vault(w, buf_bytes(&answer)));
    }
    return NULL;
}

static err_t *take_content(work_t *w, bytes_t content, buf_t *hashes) {
    CLEANUP(buf_done) buf_t packed, file;
    uint8_t hash[ESCROW_HASH], id[ESCROW_HASH];
    backup_method_t method = BACKUP_STORED;
    buf_init_secret(&packed, PACKED_MAX);
    buf_init(&file, BACKUP_CHUNK_FILE);
    TRY(digest_sha256(content, hash));
    TRY(backup_chunk_id(&w->file_keys, hash, id));
    TRY(buf_add(hashes, BYTES_ARRAY(hash)));
    const backup_entry_t *known = find_known(w, id);
    if (known) return list_chunk(w, known);
    TRY(backup_pack(content, &method, &packed));
    TRY(backup_chunk_seal(&w->file_keys, id, hash, method, buf_bytes(&packed), w->make->rnd,
                          &file));
    return put_chunk(w, id, buf_bytes(&file));
}

/* ---- files ---- */

/* BACKUP_CHUNK bytes, or what is left of the file. */
static err_t *read_chunk(int fd, uint8_t *p, size_t *ret_n) {
    size_t n = 0;
    while (n < BACKUP_CHUNK) {
        ssize_t got = fault_io() ? (errno = EIO, -1) : read(fd, p + n, BACKUP_CHUNK - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(errno, "read");
        if (got == 0) break;
        n += (size_t)got;
    }
    *ret_n = n;
    return NULL;
}

static err_t *read_content(work_t *w, int fd, backup_file_t *file, buf_t *hashes) {
    CLEANUP(digest_free) digest_t *digest = NULL;
    uint8_t *content = mem_alloc(BACKUP_CHUNK);
    if (!content) return err_nomem();
    err_t *e = digest_new(&digest);
    for (size_t n = BACKUP_CHUNK; !e && n == BACKUP_CHUNK;) {
        e = read_chunk(fd, content, &n);
        if (!e && n) e = digest_update(digest, bytes_make(content, n));
        if (!e && n) e = take_content(w, bytes_make(content, n), hashes);
        if (!e) file->size += n;
    }
    mem_wipe(content, BACKUP_CHUNK);
    mem_free(content);
    return e ? e : digest_final(digest, file->sha256);
}

static err_t *take_file(work_t *w, int fd, const char *path) {
    CLEANUP(buf_done) buf_t hashes;
    struct stat st;
    buf_init(&hashes, LIMIT_BACKUP_INDEX);
    if (fstat(fd, &st) != 0) return err_errno(errno, "cannot look at %s", path);
    backup_file_t file = {
        .path = bytes_str(path), .mode = st.st_mode & 0777, .modified = st.st_mtime};
    TRY_WRAP(read_content(w, fd, &file, &hashes), "cannot read %s", path);
    file.hashes = buf_bytes(&hashes);
    w->files_n++;
    w->made.files++;
    w->made.bytes += file.size;
    return backup_file_put(&file, &w->files);
}

static err_t *read_files(work_t *w) {
    CLEANUP(backup_walk_done) backup_walk_t walk = {0};
    TRY(backup_walk(w->make->instance, &walk));
    w->made.skipped = walk.skipped;
    for (size_t i = 0; i < walk.n; i++) {
        CLEANUP(mem_free) char *path = NULL;
        TRY(file_path(w->make->instance, walk.paths[i], &path));
        CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT) continue; /* gone since the walk */
        if (fd < 0) return err_errno(errno, "cannot open %s", path);
        TRY(take_file(w, fd, walk.paths[i]));
    }
    return take_file(w, w->store_fd, STORE_PATH);
}

/* ---- the end ---- */

static err_t *make_index(const work_t *w, buf_t *out) {
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, LIMIT_BACKUP_INDEX);
    TRY(backup_index_begin(w->files_n, &plain));
    TRY(buf_add(&plain, buf_bytes(&w->files)));
    return backup_stream_seal(bytes_from(buf_bytes(&w->keys), ESCROW_KEY), w->make->rnd,
                              buf_bytes(&plain), out);
}

/* By the keeper's time, so that names sort as backups were made. */
static err_t *make_name(work_t *w, bytes_t record) {
    backup_head_t head;
    struct tm tm;
    TRY_WRAP(backup_head_parse(record, &head), "the keeper's answer");
    TRY(backup_head_verify(&head));
    time_t created = (time_t)(head.created / 1000);
    if (!gmtime_r(&created, &tm)) return err_new(ERR_INTERNAL, "no such time");
    (void)snprintf(w->made.name, sizeof w->made.name,
                   "%04d%02d%02dT%02d%02d%02d%03dZ-%02x%02x%02x%02x", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                   (int)(head.created % 1000), w->id[0], w->id[1], w->id[2], w->id[3]);
    return NULL;
}

static err_t *finish(work_t *w) {
    const backup_source_t *source = &w->make->source;
    CLEANUP(buf_done) buf_t index, record, file;
    backup_head_t head = {.file_chunks = (uint32_t)w->made.chunks - w->vault_chunks};
    buf_init(&index, LIMIT_BACKUP_INDEX);
    buf_init(&record, LIMIT_BACKUP_HEAD);
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    memcpy(head.id, w->id, ESCROW_ID);
    (void)snprintf(head.label, sizeof head.label, "%s", w->make->label);
    TRY(make_index(w, &index));
    head.index_size = index.n;
    TRY(digest_sha256(buf_bytes(&index), head.index_hash));
    TRY(digest_sha256(buf_bytes(&w->table), head.table_hash));
    TRY(source->finish(source->ctx, &head, &record));
    TRY(make_name(w, buf_bytes(&record)));
    TRY(wire_put_bytes(&file, buf_bytes(&record)));
    TRY(buf_add(&file, buf_bytes(&w->table)));
    TRY(buf_add(&file, buf_bytes(&index)));
    w->made.written += file.n;
    return backup_repo_commit(w->repo, w->made.name, buf_bytes(&file));
}

err_t *backup_make(const backup_make_t *make, backup_made_t *ret_made) {
    CLEANUP(work_done) work_t w;
    work_init(&w, make);
    TRY(lock_instance(&w));
    TRY(open_repo(&w));
    TRY(hold(&w));
    TRY(read_vault(&w));
    TRY(read_files(&w));
    TRY(finish(&w));
    *ret_made = w.made;
    return NULL;
}
