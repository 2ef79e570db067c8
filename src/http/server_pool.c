/*
 * The server's worker threads and their bounded queue: see server_internal.h. The lock guards the
 * queue and the counts; handlers run outside it.
 */
#include <errno.h>
#include <signal.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/server_internal.h"

enum { WORKER_STACK = 512 * 1024 }; /* bytes; only touched pages cost memory */

/* `ran`: the caller has finished the one it took before. */
static exchange_t *take(pool_t *pool, bool ran, bool *ret_refuse) {
    pthread_mutex_lock(&pool->lock);
    if (ran) pool->running--;
    while (!pool->first && !pool->closing) pthread_cond_wait(&pool->work, &pool->lock);
    exchange_t *x = pool->first;
    if (x) {
        pool->first = x->next;
        if (!pool->first) pool->last = NULL;
        x->next = NULL;
        pool->waiting--;
        pool->running++;
    }
    *ret_refuse = pool->closing;
    pthread_mutex_unlock(&pool->lock);
    return x;
}

static void *worker(void *arg) {
    pool_t *pool = arg;
    bool refuse = false;
    exchange_t *x = NULL;
    for (bool ran = false; (x = take(pool, ran, &refuse)); ran = true) exchange_run(x, refuse);
    return NULL;
}

/* Signals belong to the main thread. */
static int thread_start(pthread_t *thread, void *pool) {
    sigset_t all;
    sigset_t before;
    pthread_attr_t attr;
    if (fault_io()) return EAGAIN;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) return rc;
    (void)pthread_attr_setstacksize(&attr, WORKER_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(thread, &attr, worker, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

err_t *pool_start(pool_t *pool, unsigned threads, unsigned room) {
    *pool = (pool_t){.room = room};
    pool->threads = mem_array(threads, sizeof *pool->threads);
    if (!pool->threads) return err_nomem();
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    for (unsigned i = 0; i < threads; i++) {
        int rc = thread_start(&pool->threads[i], pool);
        if (rc != 0) {
            pool_stop(pool);
            return err_errno(rc, "cannot start a worker thread");
        }
        pool->threads_n++;
    }
    return NULL;
}

bool pool_push(pool_t *pool, exchange_t *x) {
    pthread_mutex_lock(&pool->lock);
    bool fits = !pool->closing && pool->waiting < pool->room;
    if (fits) {
        x->next = NULL;
        if (pool->last) pool->last->next = x;
        else pool->first = x;
        pool->last = x;
        pool->waiting++;
    }
    pthread_mutex_unlock(&pool->lock);
    /* After the lock is free: whoever wakes wants it at once. The pool outlives its listeners. */
    if (fits) pthread_cond_signal(&pool->work);
    return fits;
}

void pool_stop(pool_t *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads_n; i++) pthread_join(pool->threads[i], NULL);
    pool->threads_n = 0;
    mem_free(pool->threads);
    pool->threads = NULL;
}

void pool_counts(pool_t *pool, unsigned *ret_waiting, unsigned *ret_running) {
    pthread_mutex_lock(&pool->lock);
    *ret_waiting = pool->waiting;
    *ret_running = pool->running;
    pthread_mutex_unlock(&pool->lock);
}
