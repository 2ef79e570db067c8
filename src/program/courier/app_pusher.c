/*
 * See app_pusher.h.
 */
#include "program/courier/app_pusher.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/mem.h"

enum { ROUND_MS = 1000, BACK_OFF_MS = 500 };

struct app_pusher {
    pusher_t *pusher;
    const log_t *log;
    pthread_t thread;
    _Atomic bool stop;
};

static void *run(void *arg) {
    app_pusher_t *p = arg;
    const struct timespec pause = {.tv_nsec = BACK_OFF_MS * 1000000L};
    while (!p->stop) {
        err_t *e = pusher_round(p->pusher, ROUND_MS);
        if (!e) continue;
        log_error(p->log, LOG_WARNING, e, "pushes to mail programs");
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

err_t *app_pusher_start(const pusher_options_t *options, app_pusher_t **ret_pusher) {
    app_pusher_t *p = mem_zalloc(sizeof *p);
    if (!p) return err_nomem();
    p->log = options->log;
    err_t *e = pusher_new(options, &p->pusher);
    int number = e ? 0 : pthread_create(&p->thread, NULL, run, p);
    if (number) e = err_errno(number, "cannot start the thread of pushes to mail programs");
    if (e) {
        pusher_free(p->pusher);
        mem_free(p);
        return e;
    }
    *ret_pusher = p;
    return NULL;
}

void app_pusher_wake(app_pusher_t *p) {
    if (p) pusher_wake(p->pusher);
}

void app_pusher_stop(app_pusher_t *p) {
    if (!p) return;
    p->stop = true;
    pusher_wake(p->pusher);
    (void)pthread_join(p->thread, NULL);
    pusher_free(p->pusher);
    mem_free(p);
}
