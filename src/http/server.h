/*
 * http_server_t: the HTTP/1.1 server (RFC 9112), plain and TLS, over libmicrohttpd.
 *
 * Threads: libmicrohttpd's event threads (a few) only move bytes. A complete request is
 * parked (its connection suspended) and put on a bounded queue; a pool of worker threads runs the
 * handlers, which may block, and wakes the connection with the reply. So RSA, disk and group
 * commit never hold up a socket. A full queue is answered 503 with Retry-After at once.
 *
 * A program may handle requests in steps (http_step_t) instead: those begin and end on the event
 * thread and hold no thread at all while they wait for the disk.
 *
 * Bodies are held to their route's limit while they stream in: a Content-Length above it is
 * answered 413 without reading (and without "100 Continue").
 */
#ifndef COFFER_HTTP_SERVER_H
#define COFFER_HTTP_SERVER_H

#include "base/bytes.h"
#include "base/clk.h"
#include "base/err.h"
#include "base/rnd.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/router.h"

typedef struct http_server http_server_t;

/* One address to listen on. Everything is borrowed during http_server_start. */
typedef struct {
    const char *address; /* "127.0.0.1", "::", "0.0.0.0", "::1"; "::" takes IPv4 too */
    uint16_t port;       /* 0: the kernel chooses, see http_server_port */
    unsigned tag;        /* 0..31, what routes name in their mask */
    bool tls;
    bytes_t cert_pem; /* the chain, leaf first */
    bytes_t key_pem;
    /*
     * Ask for a client certificate (never demand one). The CAs are named in the
     * CertificateRequest (RFC 8446 section 4.2.4); what comes is handed on unverified.
     */
    bool request_client_cert;
    bytes_t client_ca_pem;
    bool hsts; /* send Strict-Transport-Security */
} http_listener_t;

/* Called on the worker thread before the route's handler. With *ret_answered the handler is
 * skipped and `reply` sent. An error is answered as http_reply_error does. */
typedef err_t *(*http_before_t)(void *ctx, http_request_t *request, http_reply_t *reply,
                                bool *ret_answered);
/*
 * Called when the reply stands, for the log and the metrics: on the worker thread, or on an event
 * thread for a request that never came to a handler (unknown path, body too large, overload), so
 * it must not block. `e` (borrowed) is why the reply is an error, or NULL.
 */
typedef void (*http_after_t)(void *ctx, const http_request_t *request, const http_reply_t *reply,
                             const err_t *e);

/*
 * A request in steps, for what is short but waits. Called on an event thread, where it must not
 * block, for each complete request (`before` is not asked). *ret_next is HTTP_STEP_WORKER
 * beforehand: the request goes to `before` and its handler on a worker as all do. HTTP_STEP_DONE:
 * the reply stands. HTTP_STEP_WAIT: http_request_wake is or will be called for the request, exactly
 * once, by whatever thread; then this is called a second time, and may not wait again. In between,
 * the request stays as it is; request->state is for the program. An error is answered as a
 * handler's.
 */
typedef enum { HTTP_STEP_WORKER, HTTP_STEP_DONE, HTTP_STEP_WAIT } http_next_t;
typedef err_t *(*http_step_t)(void *ctx, http_request_t *request, http_reply_t *reply,
                              http_next_t *ret_next);
/* Ends the wait of a request; it may be gone when this returns. Any thread. */
void http_request_wake(http_request_t *request);

typedef struct {
    const http_listener_t *listeners;
    size_t listeners_n;
    const http_route_t *routes; /* borrowed until http_server_free */
    http_handler_t hashed;      /* bodies for this one are hashed as they come; or NULL */
    size_t routes_n;
    void *ctx;               /* handed to handlers and hooks */
    http_before_t before;    /* or NULL */
    http_after_t after;      /* or NULL */
    http_step_t step;        /* or NULL: all requests go to the workers */
    const char *json_prefix; /* of paths whose 404 and 405 are JSON, too; or NULL */
    const clk_t *clk;        /* NULL: the real one */
    const rnd_t *rnd;        /* NULL: the real one */
    unsigned workers;        /* handler threads; 0: 32 */
    unsigned queue;          /* requests that may wait for a worker; 0: 1024 */
    unsigned pollers;        /* event threads of each listener; 0: 2, TLS 4 */
    unsigned connections;    /* open at once on one listener; 0: LIMIT_HTTP_CONNECTIONS */
    unsigned per_address;    /* connections of one peer address; 0: LIMIT_HTTP_PER_ADDRESS */
    unsigned idle_s;         /* 0: LIMIT_HTTP_IDLE_S */
    /*
     * Seconds from the beginning of a connection, or the end of its last reply, until the headers
     * of a request must be complete; more than idle_s, or it cuts idle connections. 0:
     * LIMIT_HTTP_HEAD_S.
     */
    unsigned head_s;
} http_server_config_t;

typedef struct {
    uint64_t requests;   /* seen, with or without a handler */
    uint64_t overloaded; /* answered 503 because the queue was full */
    unsigned in_flight;  /* between first line and end of reply */
    unsigned waiting;    /* in the queue */
    unsigned running;    /* in a handler */
} http_server_stats_t;

/*
 * Opens the sockets and starts the threads; requests may arrive before this returns.
 * ERR_USAGE for a configuration that cannot be (bad pattern, key that does not fit), ERR_IO when
 * an address is taken.
 */
err_t *http_server_start(const http_server_config_t *config,
                         http_server_t **ret_server) WARN_UNUSED;
/* The port of the listeners[index], in host order. */
uint16_t http_server_port(const http_server_t *server, size_t index);
http_server_stats_t http_server_stats(http_server_t *server);
/*
 * Stops accepting, lets what is in flight finish for up to grace_ms, then answers what still
 * waits in the queue with 503 and closes. A handler that runs is always awaited. Idempotent.
 */
void http_server_stop(http_server_t *server, int64_t grace_ms);
/* Stops with no grace if it still runs; takes NULL. */
void http_server_free(http_server_t *server);

/*
 * Sets the allocator of the whole process for thousands of idle connections: few arenas, early
 * trimming. For a server program's main, before threads start.
 */
void http_tune_memory(void);

DEFINE_CLEANUP(http_server_t, http_server_free)

#endif
