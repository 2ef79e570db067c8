/*
 * A thread for one kind of job: see worker.h.
 */
#include "program/common/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"

enum {
    ROUND_ARENA = 8 * 1024 * 1024, /* bytes for the rows of one batch */
    BATCH = 16,
    IDLE_MS = 1000, /* jobs are written by other processes too: look this often */
    BACKOFF_MIN_MS = 30 * 1000,
    BACKOFF_MAX_MS = 3600 * 1000,
    SPREAD = 256,
};

struct worker {
    db_t *db;
    const log_t *log;
    const clk_t *clk;
    worker_kind_t kind;
    pthread_t thread;
    pthread_mutex_t lock; /* guards woken and stop */
    pthread_cond_t changed;
    bool woken, stop;
};

void work_failed(work_result_t *result, work_end_t end, err_t *e) {
    char text[WORK_WHY];
    result->end = end;
    (void)snprintf(result->why, sizeof result->why, "%s", err_text(e, text, sizeof text));
    err_free(e);
}

int64_t work_backoff_ms(int64_t attempts, uint8_t salt) {
    int64_t wait = BACKOFF_MIN_MS;
    for (int64_t i = 1; i < attempts && wait < BACKOFF_MAX_MS; i++) wait *= 2;
    if (wait > BACKOFF_MAX_MS) wait = BACKOFF_MAX_MS;
    return wait + wait / 4 * salt / SPREAD;
}

typedef struct {
    worker_t *worker;
    arena_t *arena;
    db_job_t *jobs;
    size_t count;
    int64_t due_ms;
} batch_t;

static err_t *find_due(db_conn_t *conn, void *arg) {
    batch_t *batch = arg;
    bool found = false;
    TRY(db_jobs_next_due(conn, batch->worker->kind.kind, &batch->due_ms, &found));
    if (!found) batch->due_ms = INT64_MAX;
    return NULL;
}

static err_t *take(db_conn_t *conn, void *arg) {
    batch_t *batch = arg;
    const worker_kind_t *kind = &batch->worker->kind;
    int64_t now = clk_unix_ms(batch->worker->clk);
    return db_jobs_take(conn, batch->arena, kind->kind, now, now + kind->lease_ms,
                        kind->batch ? kind->batch : BATCH, &batch->jobs, &batch->count);
}

typedef struct {
    worker_t *worker;
    const db_job_t *job;
    work_result_t result;
} settle_t;

static err_t *settle(db_conn_t *conn, void *arg) {
    const settle_t *s = arg;
    const db_job_t *job = s->job;
    const worker_kind_t *kind = &s->worker->kind;
    if (kind->settled) TRY(kind->settled(kind->ctx, conn, job, &s->result));
    switch (s->result.end) {
    case WORK_DONE: return db_jobs_done(conn, job->seq, job->generation);
    case WORK_BURY: return db_jobs_bury(conn, job->seq, job->generation, s->result.why);
    case WORK_RETRY: break;
    }
    int64_t wait =
        s->result.wait_ms ? s->result.wait_ms : work_backoff_ms(job->attempts, (uint8_t)job->seq);
    return db_jobs_retry(conn, job->seq, job->generation, clk_unix_ms(s->worker->clk) + wait,
                         s->result.why);
}

static bool is_stopping(worker_t *worker) {
    (void)pthread_mutex_lock(&worker->lock);
    bool stop = worker->stop;
    (void)pthread_mutex_unlock(&worker->lock);
    return stop;
}

/* What is not done for the stop stays leased, and is taken again when that ends. */
static err_t *work_batch(worker_t *worker, const batch_t *batch) {
    const worker_kind_t *kind = &worker->kind;
    for (size_t i = 0; i < batch->count && !is_stopping(worker); i++) {
        settle_t s = {.worker = worker, .job = &batch->jobs[i]};
        kind->work(kind->ctx, s.job, &s.result);
        bool spent = kind->attempts && s.job->attempts >= kind->attempts;
        if (s.result.end == WORK_RETRY && spent) s.result.end = WORK_BURY;
        if (s.result.end != WORK_DONE)
            log_line(worker->log, LOG_WARNING, "%s job %s: %s%s", kind->kind, s.job->name,
                     s.result.why, s.result.end == WORK_RETRY ? ", will try again" : ", given up");
        TRY(db_write(worker->db, settle, &s));
    }
    return NULL;
}

static err_t *worker_round(worker_t *worker, int64_t *ret_wait_ms) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    batch_t batch = {.worker = worker};
    TRY(db_read(worker->db, find_due, &batch));
    int64_t now = clk_unix_ms(worker->clk);
    *ret_wait_ms = batch.due_ms > now ? batch.due_ms - now : 0;
    if (*ret_wait_ms) return NULL;
    TRY(arena_new(ROUND_ARENA, &arena));
    batch.arena = arena;
    TRY(db_write(worker->db, take, &batch));
    return work_batch(worker, &batch);
}

/* Until woken, or the time is over; true: stop. */
static bool wait_for_work(worker_t *worker, int64_t wait_ms) {
    struct timespec until;
    if (wait_ms > IDLE_MS) wait_ms = IDLE_MS;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&worker->lock);
    int ended = 0;
    while (!worker->stop && !worker->woken && !ended && wait_ms > 0)
        ended = pthread_cond_timedwait(&worker->changed, &worker->lock, &until);
    worker->woken = false;
    bool stop = worker->stop;
    (void)pthread_mutex_unlock(&worker->lock);
    return stop;
}

static void *run(void *arg) {
    worker_t *worker = arg;
    int64_t wait_ms = 0;
    while (!wait_for_work(worker, wait_ms)) {
        err_t *e = worker_round(worker, &wait_ms);
        if (!e) continue;
        log_error(worker->log, LOG_WARNING, e, "%s jobs", worker->kind.kind);
        wait_ms = IDLE_MS;
    }
    return NULL;
}

err_t *worker_start(db_t *db, const log_t *log, const clk_t *clk, const worker_kind_t *kind,
                    worker_t **ret_worker) {
    pthread_condattr_t attributes;
    worker_t *worker = mem_zalloc(sizeof *worker);
    if (!worker) return err_nomem();
    worker->db = db;
    worker->log = log;
    worker->clk = clk;
    worker->kind = *kind;
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&worker->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    int number = pthread_create(&worker->thread, NULL, run, worker);
    if (number) {
        mem_free(worker);
        return err_errno(number, "cannot start the thread for %s jobs", kind->kind);
    }
    *ret_worker = worker;
    return NULL;
}

void worker_wake(worker_t *worker) {
    if (!worker) return;
    (void)pthread_mutex_lock(&worker->lock);
    worker->woken = true;
    (void)pthread_cond_signal(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
}

void worker_stop(worker_t *worker) {
    if (!worker) return;
    (void)pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    (void)pthread_cond_signal(&worker->changed);
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_join(worker->thread, NULL);
    (void)pthread_mutex_destroy(&worker->lock);
    (void)pthread_cond_destroy(&worker->changed);
    mem_free(worker);
}
