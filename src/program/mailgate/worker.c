/*
 * Workers: see worker.h.
 */
#include "program/mailgate/worker.h"

#include <unistd.h>

#include "base/mem.h"
#include "ipc/thread.h"

struct workers {
    deliver_t *deliver;
    int wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t work;
    job_t *first, *last; /* to do */
    job_t *done;
    bool stop;
    size_t n;
    pthread_t threads[256];
};

static void give_back(workers_t *w, job_t *job) {
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&w->lock);
    job->next = w->done;
    w->done = job;
    (void)pthread_mutex_unlock(&w->lock);
    ssize_t n = write(w->wake_fd, &one, sizeof one);
    (void)n; /* full: it will wake anyway */
}

static job_t *next_job(workers_t *w) {
    (void)pthread_mutex_lock(&w->lock);
    while (!w->first && !w->stop) (void)pthread_cond_wait(&w->work, &w->lock);
    job_t *job = w->first;
    if (job) w->first = job->next;
    if (!w->first) w->last = NULL;
    (void)pthread_mutex_unlock(&w->lock);
    return job;
}

static void *work(void *arg) {
    workers_t *w = arg;
    for (job_t *job = NULL; (job = next_job(w));) {
        if (job->task != JOB_DELIVER) {
            deliver_settle(w->deliver, job);
            job_free(w->deliver->spool, job);
            continue;
        }
        log_error(w->deliver->log, LOG_ERROR, deliver_run(w->deliver, job), "no answer");
        give_back(w, job);
    }
    return NULL;
}

err_t *workers_start(deliver_t *deliver, size_t n, int wake_fd, workers_t **ret_workers) {
    workers_t *w = mem_zalloc(sizeof *w);
    if (!w) return err_nomem();
    w->deliver = deliver;
    w->wake_fd = wake_fd;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->work, NULL);
    for (size_t i = 0; i < n && i < sizeof w->threads / sizeof w->threads[0]; i++) {
        err_t *e = thread_start("deliver", work, w, &w->threads[i]);
        if (e) {
            workers_stop(w);
            return e;
        }
        w->n++;
    }
    *ret_workers = w;
    return NULL;
}

void workers_stop(workers_t *w) {
    if (!w) return;
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_broadcast(&w->work);
    (void)pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->n; i++) (void)pthread_join(w->threads[i], NULL);
    for (job_t *job = w->done; job;) {
        job_t *next = job->next;
        job->task = JOB_RECORD; /* nobody is left to hear the answer */
        deliver_settle(w->deliver, job);
        job_free(w->deliver->spool, job);
        job = next;
    }
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

void workers_give(workers_t *w, job_t *job) {
    job->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    if (w->last) w->last->next = job;
    else w->first = job;
    w->last = job;
    (void)pthread_cond_signal(&w->work);
    (void)pthread_mutex_unlock(&w->lock);
}

job_t *workers_take(workers_t *w) {
    (void)pthread_mutex_lock(&w->lock);
    job_t *done = STEAL(w->done);
    (void)pthread_mutex_unlock(&w->lock);
    return done;
}
