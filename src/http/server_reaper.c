/*
 * Closes connections that do not get a request's headers through in time: see server_internal.h.
 * libmicrohttpd's own timeout looks at silence alone, and a byte now and then is not silence.
 *
 * connection_notify runs on the event threads, the reaper on a thread of its own. The lock guards
 * the list and keeps a socket open while it is shut down: libmicrohttpd closes it only after it
 * has told us. Connections whose headers are complete have no deadline, so a suspended one is never
 * touched.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/server_internal.h"

enum { REAPER_STACK = 512 * 1024, ROUNDS = 8 /* of the reaper within one deadline */ };

struct held {
    held_t *next, *previous;
    int fd;
    _Atomic int64_t deadline_ms; /* of the monotonic clock; INT64_MAX: none */
};

static int64_t deadline_from_now(const http_server_t *server) {
    return clk_mono_ms(server->config.clk) + (int64_t)server->config.head_s * 1000;
}

static void held_add(http_server_t *server, held_t *held) {
    pthread_mutex_lock(&server->reaper.lock);
    held->next = server->reaper.first;
    if (held->next) held->next->previous = held;
    server->reaper.first = held;
    pthread_mutex_unlock(&server->reaper.lock);
}

static void held_remove(http_server_t *server, held_t *held) {
    pthread_mutex_lock(&server->reaper.lock);
    if (held->next) held->next->previous = held->previous;
    if (held->previous) held->previous->next = held->next;
    else server->reaper.first = held->next;
    pthread_mutex_unlock(&server->reaper.lock);
    mem_free(held);
}

void connection_notify(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code) {
    listener_t *listener = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*context) held_remove(listener->server, *context);
        *context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *context = NULL;
    if (!info) return;
    held_t *held = mem_zalloc(sizeof *held);
    if (!held) { /* nobody would watch it */
        (void)shutdown(info->connect_fd, SHUT_RDWR);
        return;
    }
    held->fd = info->connect_fd;
    atomic_init(&held->deadline_ms, deadline_from_now(listener->server));
    held_add(listener->server, held);
    *context = held;
}

static held_t *held_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void reaper_headers_are_complete(struct MHD_Connection *connection) {
    held_t *held = held_of(connection);
    if (held) atomic_store(&held->deadline_ms, INT64_MAX);
}

void reaper_await_headers(const http_server_t *server, struct MHD_Connection *connection) {
    held_t *held = held_of(connection);
    if (held) atomic_store(&held->deadline_ms, deadline_from_now(server));
}

static void reap(http_server_t *server) {
    int64_t now = clk_mono_ms(server->config.clk);
    for (held_t *held = server->reaper.first; held; held = held->next)
        if (atomic_load(&held->deadline_ms) < now) (void)shutdown(held->fd, SHUT_RDWR);
}

/* Waits on the real clock, whatever clock the deadlines see. */
static void *reaper_main(void *arg) {
    http_server_t *server = arg;
    int64_t every_ms = (int64_t)server->config.head_s * 1000 / ROUNDS;
    pthread_mutex_lock(&server->reaper.lock);
    while (!server->reaper.stop) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + every_ms % 1000 * 1000000;
        until.tv_sec += (time_t)(every_ms / 1000 + ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        (void)pthread_cond_timedwait(&server->reaper.wake, &server->reaper.lock, &until);
        reap(server);
        bodies_age(&server->bodies, clk_mono_ms(server->config.clk));
    }
    pthread_mutex_unlock(&server->reaper.lock);
    return NULL;
}

void reaper_init(reaper_t *reaper) {
    pthread_condattr_t attr;
    pthread_mutex_init(&reaper->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&reaper->wake, &attr);
    pthread_condattr_destroy(&attr);
}

err_t *reaper_start(http_server_t *server) {
    sigset_t all, before;
    pthread_attr_t attr;
    int rc = fault_io() ? EAGAIN : pthread_attr_init(&attr);
    if (rc != 0) return err_errno(rc, "cannot start the thread that watches connections");
    (void)pthread_attr_setstacksize(&attr, REAPER_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the main thread */
    rc = pthread_create(&server->reaper.thread, &attr, reaper_main, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0) return err_errno(rc, "cannot start the thread that watches connections");
    server->reaper.runs = true;
    return NULL;
}

void reaper_stop(reaper_t *reaper) {
    if (!reaper->runs) return;
    pthread_mutex_lock(&reaper->lock);
    reaper->stop = true;
    pthread_cond_signal(&reaper->wake);
    pthread_mutex_unlock(&reaper->lock);
    pthread_join(reaper->thread, NULL);
    reaper->runs = false;
}

void reaper_done(reaper_t *reaper) {
    pthread_cond_destroy(&reaper->wake);
    pthread_mutex_destroy(&reaper->lock);
}
