/*
 * The server's life: see server.h. Start, stop and free run on the owner's thread; the threads
 * they start are in server_pool.c and in libmicrohttpd.
 */
#include "http/server.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "http/server_internal.h"

enum { WORKERS = 32, QUEUE = 1024, LAST_WORDS_MS = 2000 };

static void config_defaults(http_server_config_t *c) {
    if (!c->clk) c->clk = clk_real();
    if (!c->rnd) c->rnd = rnd_real();
    if (!c->workers) c->workers = WORKERS;
    if (!c->queue) c->queue = QUEUE;
    if (!c->connections) c->connections = LIMIT_HTTP_CONNECTIONS;
    if (!c->per_address) c->per_address = LIMIT_HTTP_PER_ADDRESS;
    if (!c->idle_s) c->idle_s = LIMIT_HTTP_IDLE_S;
    if (!c->head_s) c->head_s = LIMIT_HTTP_HEAD_S;
    c->listeners = NULL;
    c->listeners_n = 0;
}

static err_t *id_prefix(http_server_t *server) {
    uint8_t random[4];
    TRY(rnd_fill(server->config.rnd, random, sizeof random));
    (void)snprintf(server->id_prefix, sizeof server->id_prefix, "%02x%02x%02x%02x", random[0],
                   random[1], random[2], random[3]);
    return NULL;
}

static err_t *server_open(http_server_t *server, const http_server_config_t *config) {
    server->listeners = mem_array(config->listeners_n, sizeof *server->listeners);
    if (!server->listeners) return err_nomem();
    server->listeners_n = config->listeners_n;
    for (size_t i = 0; i < config->listeners_n; i++) {
        const http_listener_t *wanted = &config->listeners[i];
        server->listeners[i] = (listener_t){.server = server,
                                            .socket = -1,
                                            .tag = wanted->tag,
                                            .tls = wanted->tls,
                                            .hsts = wanted->hsts && wanted->tls};
    }
    for (size_t i = 0; i < config->listeners_n; i++) {
        if (config->listeners[i].tag >= 32) return err_new(ERR_USAGE, "a listener's tag is 0..31");
        TRY(listener_open(&server->listeners[i], &config->listeners[i]));
    }
    TRY(id_prefix(server));
    TRY(pool_start(&server->pool, server->config.workers, server->config.queue));
    server->pool_runs = true;
    TRY(reaper_start(server));
    for (size_t i = 0; i < config->listeners_n; i++)
        TRY(listener_start(&server->listeners[i], &config->listeners[i]));
    return NULL;
}

err_t *http_server_start(const http_server_config_t *config, http_server_t **ret_server) {
    if (config->listeners_n == 0) return err_new(ERR_USAGE, "nowhere to listen");
    TRY(http_router_check(config->routes, config->routes_n));
    CLEANUP(http_server_free) http_server_t *server = mem_zalloc(sizeof *server);
    if (!server) return err_nomem();
    server->config = *config;
    config_defaults(&server->config);
    pthread_mutex_init(&server->lock, NULL);
    reaper_init(&server->reaper);
    bodies_init(&server->bodies);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->idle, &attr);
    pthread_condattr_destroy(&attr);
    TRY(server_open(server, config));
    *ret_server = STEAL(server);
    return NULL;
}

uint16_t http_server_port(const http_server_t *server, size_t index) {
    return index < server->listeners_n ? server->listeners[index].port : 0;
}

http_server_stats_t http_server_stats(http_server_t *server) {
    http_server_stats_t stats = {.requests = atomic_load(&server->requests),
                                 .overloaded = atomic_load(&server->overloaded)};
    pthread_mutex_lock(&server->lock);
    stats.in_flight = server->in_flight;
    pthread_mutex_unlock(&server->lock);
    if (server->pool_runs) pool_counts(&server->pool, &stats.waiting, &stats.running);
    return stats;
}

/* Waits on the real clock, whatever clock the handlers see. */
static void await_idle(http_server_t *server, int64_t ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&server->lock);
    int rc = 0;
    while (server->in_flight > 0 && rc == 0)
        rc = pthread_cond_timedwait(&server->idle, &server->lock, &until);
    pthread_mutex_unlock(&server->lock);
}

void http_server_stop(http_server_t *server, int64_t grace_ms) {
    if (server->stopped) return;
    server->stopped = true;
    atomic_store(&server->draining, true);
    for (size_t i = 0; i < server->listeners_n; i++) listener_quiesce(&server->listeners[i]);
    http_streams_end(server);
    if (grace_ms > 0) await_idle(server, grace_ms);
    /* No connection may stay suspended when libmicrohttpd stops, so the workers go first. */
    steps_stop(server);
    if (server->pool_runs) pool_stop(&server->pool);
    /* Replies that stand still go out; who is only half through a request is cut off. */
    if (grace_ms > 0) await_idle(server, grace_ms < LAST_WORDS_MS ? grace_ms : LAST_WORDS_MS);
    for (size_t i = 0; i < server->listeners_n; i++) listener_done(&server->listeners[i]);
    reaper_stop(&server->reaper);
}

void http_server_free(http_server_t *server) {
    if (!server) return;
    http_server_stop(server, 0);
    if (server->pool_runs) {
        pthread_cond_destroy(&server->pool.work);
        pthread_mutex_destroy(&server->pool.lock);
    }
    reaper_done(&server->reaper);
    bodies_done(&server->bodies);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->lock);
    mem_free(server->listeners);
    mem_free(server);
}

void http_tune_memory(void) {
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_TRIM_THRESHOLD, 512 * 1024);
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}
