/*
 * Background threads: see background.h.
 */
#include "program/web/background.h"

#include <pthread.h>
#include <time.h>

#include "base/mem.h"

struct background {
    web_t *web;
    void (*run)(background_t *background);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic bool stop; /* set under lock */
};

web_t *background_web(const background_t *b) { return b->web; }
const _Atomic bool *background_stopping(const background_t *b) { return &b->stop; }

bool background_wait(background_t *b, int64_t seconds) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    (void)pthread_mutex_lock(&b->lock);
    int timed_out = 0;
    while (!b->stop && !timed_out) timed_out = pthread_cond_timedwait(&b->wake, &b->lock, &until);
    (void)pthread_mutex_unlock(&b->lock);
    return b->stop;
}

static void *begin(void *arg) {
    background_t *b = arg;
    b->run(b);
    return NULL;
}

static void release(background_t *b) {
    (void)pthread_mutex_destroy(&b->lock);
    (void)pthread_cond_destroy(&b->wake);
    mem_free(b);
}

err_t *background_start(web_t *web, const char *what, void (*run)(background_t *background),
                        background_t **ret_background) {
    background_t *b = mem_zalloc(sizeof *b);
    pthread_condattr_t attributes;
    if (!b) return err_nomem();
    b->web = web;
    b->run = run;
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&b->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    int number = pthread_create(&b->thread, NULL, begin, b);
    if (number) {
        release(b);
        return err_errno(number, "cannot start the %s thread", what);
    }
    *ret_background = b;
    return NULL;
}

void background_stop(background_t *b) {
    if (!b) return;
    (void)pthread_mutex_lock(&b->lock);
    b->stop = true;
    (void)pthread_cond_signal(&b->wake);
    (void)pthread_mutex_unlock(&b->lock);
    (void)pthread_join(b->thread, NULL);
    release(b);
}
