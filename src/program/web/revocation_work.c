/*
 * Revocation's background work, on one thread: issues lists that are due or that a revocation made
 * old, and signs OCSP statuses ahead. What fails is logged and tried again.
 */
#include <pthread.h>

#include "base/mem.h"
#include "program/web/web.h"

enum {
    LOOK_EVERY_S = 5,   /* how long a list may miss a revocation */
    SIGN_EVERY = 60,    /* looks between two walks through all certificates: five minutes */
    PURGE_EVERY = 1440, /* two hours */
};

struct revocation_work {
    web_t *web;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool stop; /* set under lock */
};

static bool wait_or_stop(revocation_work_t *w) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY_S;
    (void)pthread_mutex_lock(&w->lock);
    int timed_out = 0;
    while (!w->stop && !timed_out) timed_out = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    (void)pthread_mutex_unlock(&w->lock);
    return w->stop;
}

static void *run(void *arg) {
    revocation_work_t *w = arg;
    web_t *web = w->web;
    for (unsigned round = 0; !w->stop; round++) {
        err_t *e = crl_issue_due(web->revoker, &w->stop);
        if (w->stop) {
            err_free(e); /* the next start does it */
            break;
        }
        log_error(&web->log, LOG_WARNING, e, "issuing revocation lists");
        size_t count = 0;
        if (round % SIGN_EVERY == 0)
            log_error(&web->log, LOG_WARNING, ocsp_sign_due(web->revoker, &w->stop, &count),
                      "signing OCSP statuses");
        if (count) log_line(&web->log, LOG_INFO, "signed %zu OCSP statuses", count);
        if (round % PURGE_EVERY == PURGE_EVERY - 1)
            log_error(&web->log, LOG_WARNING, ocsp_purge(web->revoker), "dropping OCSP statuses");
        if (wait_or_stop(w)) break;
    }
    return NULL;
}

err_t *revocation_work_start(web_t *web, revocation_work_t **ret_work) {
    revocation_work_t *w = mem_zalloc(sizeof *w);
    pthread_condattr_t attributes;
    if (!w) return err_nomem();
    w->web = web;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    int number = pthread_create(&w->thread, NULL, run, w);
    if (number) {
        mem_free(w);
        return err_errno(number, "cannot start the revocation thread");
    }
    *ret_work = w;
    return NULL;
}

void revocation_work_stop(revocation_work_t *w) {
    if (!w) return;
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->wake);
    mem_free(w);
}
