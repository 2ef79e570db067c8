/*
 * Escrow's background work, on one thread: has the key process deal what officers have no shares
 * of yet (a first set, a new set), forget leases of devices that are gone, wraps with a new storage
 * key what former ones wrap, and drills every month. What fails is logged and tried again.
 */
#include <pthread.h>

#include "base/mem.h"
#include "escrow/drill.h"
#include "escrow/leases.h"
#include "escrow/objects.h"
#include "escrow/rewrap.h"
#include "program/web/web.h"

enum {
    LOOK_EVERY_S = 5,       /* how long an object may wait to be dealt */
    DRILL_LOOK_EVERY = 120, /* looks between two questions whether a drill is due: ten minutes */
    REST_NS = 10000000,     /* between batches of wraps: devices and people come first */
    DRILL_ARENA = 256 * 1024 * 1024,
};

struct escrow_work {
    web_t *web;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool stop; /* set under lock */
};

static bool wait_or_stop(escrow_work_t *w) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY_S;
    (void)pthread_mutex_lock(&w->lock);
    int timed_out = 0;
    while (!w->stop && !timed_out) timed_out = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    (void)pthread_mutex_unlock(&w->lock);
    return w->stop;
}

/* A refused object stops nothing: the cursor went past it. */
static void deal(escrow_work_t *w) {
    objects_cursor_t cursor = {0};
    size_t total = 0;
    for (bool more = true; more && !w->stop;) {
        size_t count = 0;
        more = false;
        log_error(&w->web->log, LOG_WARNING,
                  objects_deal_some(w->web->escrow, &cursor, &count, &more), "dealing to officers");
        total += count;
    }
    if (total) log_line(&w->web->log, LOG_INFO, "dealt %zu escrow objects to officers", total);
}

static void end_leases(escrow_work_t *w) {
    size_t total = 0;
    for (bool more = true; more && !w->stop;) {
        size_t count = 0;
        more = false;
        log_error(&w->web->log, LOG_WARNING, leases_end_some(w->web->escrow, &count, &more),
                  "ending leases");
        total += count;
    }
    if (total) log_line(&w->web->log, LOG_INFO, "ended the leases of %zu devices", total);
}

static void rewrap(escrow_work_t *w) {
    size_t total = 0;
    for (bool more = true; more && !w->stop;) {
        size_t count = 0;
        more = false;
        log_error(&w->web->log, LOG_WARNING, rewrap_some(w->web->escrow, &count, &more),
                  "wrapping with the new storage key");
        total += count;
        if (more) (void)nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
    }
    if (total) log_line(&w->web->log, LOG_INFO, "wrapped %zu escrow objects anew", total);
}

static err_t *drill(web_t *web) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    drill_line_t *lines = NULL;
    size_t count = 0;
    int64_t failed = 0;
    bool due = false;
    TRY(drill_is_due(web->escrow, &due));
    if (!due) return NULL;
    TRY(arena_new(DRILL_ARENA, &arena));
    TRY(drill_run(web->escrow, "system", arena, DRILL_SAMPLE, &lines, &count, &failed));
    for (size_t i = 0; i < count; i++)
        log_line(&web->log, lines[i].failed ? LOG_ERROR : LOG_INFO,
                 "escrow drill kind=%s sampled=%lld failed=%lld", lines[i].kind,
                 (long long)lines[i].sampled, (long long)lines[i].failed);
    return NULL;
}

static void *run(void *arg) {
    escrow_work_t *w = arg;
    log_error(&w->web->log, LOG_ERROR, rewrap_adopt(w->web->escrow), "storage key");
    for (unsigned round = 0; !w->stop; round++) {
        end_leases(w);
        deal(w);
        rewrap(w);
        if (round % DRILL_LOOK_EVERY == 0)
            log_error(&w->web->log, LOG_ERROR, drill(w->web), "escrow drill");
        if (wait_or_stop(w)) break;
    }
    return NULL;
}

err_t *escrow_work_start(web_t *web, escrow_work_t **ret_work) {
    escrow_work_t *w = mem_zalloc(sizeof *w);
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
        return err_errno(number, "cannot start the escrow thread");
    }
    *ret_work = w;
    return NULL;
}

void escrow_work_stop(escrow_work_t *w) {
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
