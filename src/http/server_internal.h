/*
 * Inside the server: what server.c (lifecycle), server_listener.c (sockets, libmicrohttpd),
 * server_exchange.c (one request from first line to reply), server_pool.c (workers), stream.c
 * (replies that go on), server_bodies.c (memory of bodies) and server_reaper.c (connections too
 * slow) share.
 */
#ifndef COFFER_HTTP_SERVER_INTERNAL_H
#define COFFER_HTTP_SERVER_INTERNAL_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "crypto/digest.h"
#include "http/server.h"

typedef struct exchange exchange_t;

/* The bounded queue and its workers. One lock. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    exchange_t *first;
    exchange_t *last;
    unsigned waiting;
    unsigned running;
    unsigned room; /* how many may wait */
    bool closing;  /* nothing new; what waits is refused */
    pthread_t *threads;
    unsigned threads_n;
} pool_t;

/* A connection as the reaper sees it. */
typedef struct held held_t;

/* Shuts connections that take too long over a request's headers. One lock. */
typedef struct {
    pthread_mutex_t lock; /* guards first and stop */
    pthread_cond_t wake;
    held_t *first;
    bool stop;
    bool runs;
    pthread_t thread;
} reaper_t;

/* Memory of bodies that were, for those to come. One lock. */
typedef struct {
    uint8_t *p;
    size_t room;      /* bytes */
    int64_t since_ms; /* monotonic, when it was given back */
} body_t;
typedef struct {
    pthread_mutex_t lock;
    body_t kept[LIMIT_HTTP_KEPT_BODIES];
    size_t n;
} bodies_t;

typedef struct {
    http_server_t *server;
    struct MHD_Daemon *daemon;
    int socket; /* -1 while the daemon owns it, and once closed */
    uint16_t port;
    unsigned tag;
    bool tls;
    bool hsts;
    /* libmicrohttpd keeps the pointers; the key's bytes are wiped once it has parsed them. */
    char *cert_pem;
    char *key_pem;
    size_t key_size;
    char *client_ca_pem;
} listener_t;

struct http_server {
    http_server_config_t config; /* with the defaults filled in; its listeners are not kept */
    listener_t *listeners;
    size_t listeners_n;
    pool_t pool;
    bool pool_runs;
    reaper_t reaper;
    bodies_t bodies;
    bool stopped;
    char id_prefix[9];
    _Atomic uint64_t requests;
    _Atomic uint64_t overloaded;
    _Atomic size_t body_bytes; /* of all exchanges */
    atomic_bool draining;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t idle;
    unsigned in_flight;
    unsigned asleep;        /* of them: to be woken by http_request_wake */
    bool closing;           /* nobody goes to sleep any more */
    http_stream_t *streams; /* that go on */
    bool streams_end;       /* new ones end at once */
};

typedef enum {
    STAGE_HEADERS, /* event thread: nothing looked at yet */
    STAGE_BODY,    /* event thread: the body streams in */
    STAGE_WAITING, /* event thread: its first step is made, it awaits its wake */
    STAGE_PARKED,  /* worker: in the queue or in a handler */
    STAGE_ANSWERED /* event thread: the reply stands */
} stage_t;

/* One request. Belongs to the event thread, while parked to the worker. */
struct exchange {
    http_request_t request;
    http_reply_t reply;
    listener_t *listener;
    struct MHD_Connection *connection;
    struct MHD_Response *response;
    exchange_t *next; /* in the pool's queue */
    stage_t stage;
    atomic_bool woken;
    bool discard; /* refused already: the body is read to be thrown away */
    http_match_t match;
    char *target;
    buf_t path;
    buf_t body;
    digest_t *digest;   /* of a route that wants it */
    uint64_t announced; /* bytes of body; 0: not known */
    uint64_t received;  /* bytes of body */
    size_t counted;     /* of them in server->body_bytes */
    char peer[INET6_ADDRSTRLEN];
};

/* libmicrohttpd's callbacks; cls is the listener_t. */
void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result exchange_step(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **state);
void exchange_end(void *cls, struct MHD_Connection *connection, void **state,
                  enum MHD_RequestTerminationCode why);
/* On a worker: runs the handler (or refuses, when closing) and wakes the connection; x is gone
 * afterwards. */
void exchange_run(exchange_t *x, bool refuse);

/* libmicrohttpd's response, which takes over the reply's place; NULL without memory. */
struct MHD_Response *stream_response(http_server_t *server, struct MHD_Connection *connection,
                                     http_stream_t *stream);
/* Ends all streams; those that come later end at once. */
void http_streams_end(http_server_t *server);

/* Refuses to begin with steps from now on, and awaits those who sleep. */
void steps_stop(http_server_t *server);

err_t *pool_start(pool_t *pool, unsigned threads, unsigned room) WARN_UNUSED;
/* False when the queue is full or closing. */
bool pool_push(pool_t *pool, exchange_t *x);
/* Refuses what waits, awaits what runs, joins the threads. */
void pool_stop(pool_t *pool);
void pool_counts(pool_t *pool, unsigned *ret_waiting, unsigned *ret_running);

/* libmicrohttpd's callback at a connection's beginning and end; cls is the listener_t. */
void connection_notify(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code);
/* The deadline of a connection ends, or begins anew. On its event thread. */
void bodies_init(bodies_t *bodies);
void bodies_done(bodies_t *bodies);
/* Appends to a body of which so many bytes were announced (0: not known). */
err_t *bodies_add(bodies_t *bodies, buf_t *body, bytes_t data, uint64_t announced) WARN_UNUSED;
/* Keeps its memory or frees it; the body is empty then. */
void bodies_give(bodies_t *bodies, buf_t *body, int64_t now_ms);
/* Frees what nobody wanted for a while. */
void bodies_age(bodies_t *bodies, int64_t now_ms);

void reaper_headers_are_complete(struct MHD_Connection *connection);
void reaper_await_headers(const http_server_t *server, struct MHD_Connection *connection);
void reaper_init(reaper_t *reaper);
err_t *reaper_start(http_server_t *server) WARN_UNUSED;
/* After the listeners are gone; idempotent. */
void reaper_stop(reaper_t *reaper);
void reaper_done(reaper_t *reaper);

err_t *listener_open(listener_t *listener, const http_listener_t *config) WARN_UNUSED;
err_t *listener_start(listener_t *listener, const http_listener_t *config) WARN_UNUSED;
void listener_quiesce(listener_t *listener);
void listener_done(listener_t *listener);

#endif
