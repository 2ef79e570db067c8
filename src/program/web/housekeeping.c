/*
 * coffer-web's own recurring work, on one thread: has the keeper sign the head of the audit
 * chain, and drops offers and challenges long expired.
 */
#include <pthread.h>

#include "base/mem.h"
#include "program/common/head.h"
#include "program/web/web.h"
#include "store/challenges.h"
#include "store/enrolments.h"
#include "store/scep.h"

enum {
    HEAD_EVERY_S = 10,              /* how old an unsigned entry may become */
    PURGE_EVERY = 360,              /* rounds between two purges: an hour */
    KEEP_EXPIRED_MS = 7 * 86400000, /* expired offers are kept so long, to explain a refusal */
};

struct housekeeping {
    web_t *web;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t wake;
    bool stop;
};

static err_t *purge(db_conn_t *conn, void *arg) {
    const int64_t *before_ms = arg;
    TRY(db_challenges_purge(conn, *before_ms));
    TRY(db_scep_pending_purge(conn, *before_ms));
    return db_enrolments_purge(conn, *before_ms);
}

static bool wait_or_stop(housekeeping_t *h) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += HEAD_EVERY_S;
    (void)pthread_mutex_lock(&h->lock);
    int timed_out = 0;
    while (!h->stop && !timed_out) timed_out = pthread_cond_timedwait(&h->wake, &h->lock, &until);
    bool stop = h->stop;
    (void)pthread_mutex_unlock(&h->lock);
    return stop;
}

static void *run(void *arg) {
    housekeeping_t *h = arg;
    web_t *web = h->web;
    for (unsigned round = 0;; round++) {
        bool stop = wait_or_stop(h);
        log_error(&web->log, LOG_WARNING, head_sign(web->db, &web->audit, web->keeper),
                  "signing the audit head");
        if (stop) return NULL;
        if (round % PURGE_EVERY != 0) continue;
        int64_t before_ms = clk_unix_ms(clk_real()) - KEEP_EXPIRED_MS;
        log_error(&web->log, LOG_WARNING, db_write(web->db, purge, &before_ms),
                  "dropping expired offers");
    }
}

err_t *housekeeping_start(web_t *web, housekeeping_t **ret_housekeeping) {
    housekeeping_t *h = mem_zalloc(sizeof *h);
    pthread_condattr_t attributes;
    if (!h) return err_nomem();
    h->web = web;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&h->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    int number = pthread_create(&h->thread, NULL, run, h);
    if (number) {
        mem_free(h);
        return err_errno(number, "cannot start the housekeeping thread");
    }
    *ret_housekeeping = h;
    return NULL;
}

void housekeeping_stop(housekeeping_t *h) {
    if (!h) return;
    (void)pthread_mutex_lock(&h->lock);
    h->stop = true;
    (void)pthread_cond_signal(&h->wake);
    (void)pthread_mutex_unlock(&h->lock);
    (void)pthread_join(h->thread, NULL);
    (void)pthread_mutex_destroy(&h->lock);
    (void)pthread_cond_destroy(&h->wake);
    mem_free(h);
}
