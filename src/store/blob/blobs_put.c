/*
 * Storing a blob on a quorum of stores: see blobs.h. What comes in is sealed on its way into a
 * spool file; only when it is whole and what its id says, stores see it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/blob/blobs_internal.h"
#include "store/blob/disk.h"

enum { STEP = 256 * 1024, EARLY = 1024 * 1024 };

struct blob_put {
    blobs_t *blobs;
    blob_id_t id;
    uint64_t incarnation, size;
    sealed_writer_t *writer;
    buf_t out;
    int fd;
    uint64_t written, started; /* bytes of the spool file; on their way to the disk */
    char *path;                /* of the spool file */
};

/* ---- begin ---- */

typedef struct {
    const blobs_t *blobs;
    bytes_t id;
    arena_t *arena;
    uint64_t fresh; /* an incarnation, if it needs a new one */
    int64_t now_ms;
    int64_t incarnation;
    bool present;
} begin_t;

static bool is_configured(const blobs_t *blobs, const char *store) {
    for (size_t i = 0; i < blobs->stores_n; i++)
        if (strcmp(blobs->stores[i]->name, store) == 0) return true;
    return false;
}

static err_t *count_good(db_conn_t *conn, begin_t *begin, size_t *ret_good) {
    db_replica_t *replicas = NULL;
    size_t n = 0, good = 0;
    TRY(db_replica_list(conn, begin->arena, begin->id, &replicas, &n));
    for (size_t i = 0; i < n; i++)
        if (replicas[i].state == DB_REPLICA_GOOD && is_configured(begin->blobs, replicas[i].store))
            good++;
    *ret_good = good;
    return NULL;
}

static err_t *begin_fn(db_conn_t *conn, void *arg) {
    begin_t *begin = arg;
    db_blob_t row;
    bool found = false;
    size_t good = 0;
    begin->incarnation = (int64_t)begin->fresh;
    begin->present = false;
    TRY(db_blob_find(conn, begin->arena, begin->id, &row, &found));
    if (!found) return db_blob_add(conn, begin->id, begin->incarnation, begin->now_ms);
    if (row.state == DB_BLOB_DELETING)
        return db_blob_reborn(conn, begin->id, begin->incarnation, begin->now_ms);
    begin->incarnation = row.incarnation;
    TRY(db_blob_touch(conn, begin->id, begin->now_ms));
    if (row.size < 0) return NULL;
    TRY(count_good(conn, begin, &good));
    begin->present = good >= begin->blobs->quorum;
    return NULL;
}

static err_t *begin_row(blobs_t *blobs, const blob_id_t *id, begin_t *ret_begin) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(BLOBS_ARENA, &arena));
    begin_t begin = {
        .blobs = blobs, .id = blob_id_bytes(id), .arena = arena, .now_ms = clk_unix_ms(blobs->clk)};
    TRY(rnd_fill(blobs->rnd, &begin.fresh, sizeof begin.fresh));
    TRY(db_write(blobs->db, begin_fn, &begin));
    *ret_begin = begin;
    return NULL;
}

err_t *blobs_put_new(blobs_t *blobs, const blob_id_t *id, uint64_t size, bool *ret_present,
                     blob_put_t **ret_put) {
    begin_t begin;
    if (size > LIMIT_BLOB) return err_new(ERR_LIMIT, "a blob may have %d bytes", LIMIT_BLOB);
    TRY(begin_row(blobs, id, &begin));
    if (begin.present) {
        *ret_present = true;
        return NULL;
    }
    CLEANUP(blob_put_free) blob_put_t *put = mem_zalloc(sizeof *put);
    if (!put) return err_nomem();
    *put = (blob_put_t){.blobs = blobs,
                        .id = *id,
                        .incarnation = (uint64_t)begin.incarnation,
                        .size = size,
                        .fd = -1};
    buf_init(&put->out, STEP + 2 * SEALED_CHUNK_WHOLE + SEALED_HEADER);
    TRY_WRAP(blob_tmp_make(blobs->spool, &put->fd, &put->path), "the spool of blobs");
    TRY(sealed_writer_new(blobs->keys, blobs->rnd, id, size, &put->writer));
    *ret_present = false;
    *ret_put = STEAL(put);
    return NULL;
}

void blob_put_free(blob_put_t *put) {
    if (!put) return;
    if (put->path) (void)unlink(put->path);
    fd_close(put->fd);
    mem_free(put->path);
    sealed_writer_free(put->writer);
    buf_done(&put->out);
    mem_free(put);
}

/* ---- content ---- */

/* The disk begins at once: the wait in the end is for what is left. Only that one must succeed. */
static void start_writing(blob_put_t *put) {
    if (put->written - put->started < EARLY) return;
    (void)sync_file_range(put->fd, (off_t)put->started, (off_t)(put->written - put->started),
                          SYNC_FILE_RANGE_WRITE);
    put->started = put->written;
}

static err_t *flush(blob_put_t *put) {
    TRY_WRAP(file_write_fd(put->fd, buf_bytes(&put->out)), "the spool of blobs");
    put->written += put->out.n;
    start_writing(put);
    buf_clear(&put->out);
    return NULL;
}

err_t *blob_put_add(blob_put_t *put, bytes_t data) {
    while (data.n) {
        bytes_t step = bytes_slice(data, 0, STEP);
        TRY(sealed_writer_add(put->writer, step, &put->out));
        TRY(flush(put));
        data = bytes_from(data, step.n);
    }
    return NULL;
}

/* ---- to the stores ---- */

typedef struct {
    blobs_t *blobs;
    size_t place;
    const char *name;
    blob_source_t source;
    err_t *error;
    bool tried;
    bool threaded;
    pthread_t thread;
} job_t;

static void *job_run(void *arg) {
    job_t *job = arg;
    job->tried = true;
    job->error = blob_store_put(job->blobs->stores[job->place], job->name, &job->source);
    blobs_note(job->blobs, job->place, job->error);
    return NULL;
}

/* The first jobs side by side, one on this thread. */
static void run_wave(job_t *jobs, size_t n) {
    for (size_t i = 1; i < n; i++)
        jobs[i].threaded = pthread_create(&jobs[i].thread, NULL, job_run, &jobs[i]) == 0;
    (void)job_run(&jobs[0]);
    for (size_t i = 1; i < n; i++) {
        if (jobs[i].threaded) (void)pthread_join(jobs[i].thread, NULL);
        else (void)job_run(&jobs[i]);
    }
}

static size_t count_stored(const job_t *jobs, size_t n) {
    size_t stored = 0;
    for (size_t i = 0; i < n; i++)
        if (jobs[i].tried && !jobs[i].error) stored++;
    return stored;
}

/*
 * As many as the quorum needs, side by side; for each that fails the next one. The others get
 * theirs by repair, so that a put waits for no slow store that it does not need.
 */
static size_t run_jobs(const blobs_t *blobs, job_t *jobs) {
    run_wave(jobs, blobs->quorum);
    size_t stored = count_stored(jobs, blobs->quorum);
    for (size_t i = blobs->quorum; i < blobs->stores_n && stored < blobs->quorum; i++) {
        (void)job_run(&jobs[i]);
        if (!jobs[i].error) stored++;
    }
    return stored;
}

typedef struct {
    const blob_put_t *put;
    const job_t *jobs;
    int64_t now_ms, day_ms;                     /* for its age, and what people are told */
    err_t *(*also)(db_conn_t *conn, void *arg); /* or NULL */
    void *arg;
} commit_t;

static err_t *commit_fn(db_conn_t *conn, void *arg) {
    const commit_t *commit = arg;
    const blob_put_t *put = commit->put;
    int64_t incarnation = (int64_t)put->incarnation;
    bool changed = false;
    TRY(db_blob_stored(conn, blob_id_bytes(&put->id), incarnation, (int64_t)put->size,
                       commit->now_ms, &changed));
    if (!changed) return err_new(ERR_BUSY, "the blob was given up meanwhile: put it again");
    for (size_t i = 0; i < put->blobs->stores_n; i++) {
        const job_t *job = &commit->jobs[i];
        bool stored = job->tried && !job->error;
        db_replica_t row = {.blob_id = blob_id_bytes(&put->id),
                            .store = put->blobs->stores[job->place]->name,
                            .state = stored ? DB_REPLICA_GOOD : DB_REPLICA_MISSING,
                            .stored_ms = stored ? commit->day_ms : 0,
                            .tried_ms = job->tried ? commit->day_ms : 0};
        TRY(db_replica_put(conn, incarnation, &row));
    }
    return commit->also ? commit->also(conn, commit->arg) : NULL;
}

static err_t *too_few(const blob_put_t *put, job_t *jobs, size_t stored) {
    err_t *why = NULL;
    bool full = true;
    for (size_t i = 0; i < put->blobs->stores_n; i++) {
        if (!jobs[i].error) continue;
        full = full && err_code(jobs[i].error) == ERR_FULL;
        err_free(why);
        why = STEAL(jobs[i].error);
    }
    if (!why) return err_new(ERR_INTERNAL, "too few stores");
    why = err_recode(why, full ? ERR_FULL : ERR_UNAVAILABLE);
    return err_wrap(why, "only %zu of %zu stores took the blob, %zu must", stored,
                    put->blobs->stores_n, put->blobs->quorum);
}

static void make_jobs(blob_put_t *put, const char *name, const uint8_t sha256[32], job_t *jobs) {
    blobs_t *blobs = put->blobs;
    size_t order[LIMIT_BLOB_STORES];
    bool given = false;
    blobs_order(blobs, order);
    for (size_t i = 0; i < blobs->stores_n; i++) {
        jobs[i] = (job_t){.blobs = blobs, .place = order[i], .name = name};
        jobs[i].source = (blob_source_t){.fd = put->fd, .size = sealed_size(put->size)};
        memcpy(jobs[i].source.sha256, sha256, 32);
        /* One may have the file itself; the others read it by its descriptor. */
        if (!given && strcmp(blobs->stores[order[i]]->kind, "disk") == 0) {
            jobs[i].source.path = put->path;
            given = true;
        }
    }
}

err_t *blob_put_end(blob_put_t *put) { return blob_put_end_with(put, NULL, NULL); }

err_t *blob_put_end_with(blob_put_t *put, err_t *(*also)(db_conn_t *conn, void *arg), void *arg) {
    uint8_t sha256[32];
    char name[BLOB_OBJECT_NAME];
    job_t jobs[LIMIT_BLOB_STORES];
    TRY(sealed_writer_end(put->writer, &put->out, sha256));
    TRY(flush(put));
    if (fault_io() || fsync(put->fd) != 0) return err_errno(errno, "the spool of blobs");
    (void)blob_object_name(&put->id, put->incarnation, name);
    make_jobs(put, name, sha256, jobs);
    size_t stored = run_jobs(put->blobs, jobs);
    err_t *e = NULL;
    if (stored < put->blobs->quorum) {
        e = too_few(put, jobs, stored);
    } else {
        commit_t commit = {put,  jobs, clk_unix_ms(put->blobs->clk), clk_unix_ms(put->blobs->day),
                           also, arg};
        e = db_write(put->blobs->db, commit_fn, &commit);
    }
    for (size_t i = 0; i < put->blobs->stores_n; i++) err_free(jobs[i].error);
    return e;
}

/* A bucket is told the hash of what it gets; directories are not. */
static bool needs_hash(const blobs_t *blobs) {
    for (size_t i = 0; i < blobs->stores_n; i++)
        if (strcmp(blobs->stores[i]->kind, "disk") != 0) return true;
    return false;
}

static err_t *put_all(blobs_t *blobs, const blob_id_t *id, bytes_t content, bool known,
                      blob_put_t **ret_put) {
    CLEANUP(blob_put_free) blob_put_t *put = NULL;
    bool present = false;
    TRY(blobs_put_new(blobs, id, content.n, &present, &put));
    if (!present) {
        sealed_writer_lean(put->writer, known, !needs_hash(blobs));
        TRY(blob_put_add(put, content));
    }
    *ret_put = STEAL(put);
    return NULL;
}

err_t *blobs_put(blobs_t *blobs, const blob_id_t *id, bytes_t content) {
    CLEANUP(blob_put_free) blob_put_t *put = NULL;
    TRY(put_all(blobs, id, content, false, &put));
    return put ? blob_put_end(put) : NULL;
}

err_t *blobs_put_begin(blobs_t *blobs, const blob_id_t *id, bytes_t content, blob_put_t **ret_put) {
    return put_all(blobs, id, content, true, ret_put);
}
