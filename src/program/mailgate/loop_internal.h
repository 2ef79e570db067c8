/*
 * Private to mailgate: the loop and its connections.
 */
#ifndef COFFER_PROGRAM_MAILGATE_LOOP_INTERNAL_H
#define COFFER_PROGRAM_MAILGATE_LOOP_INTERNAL_H

#include "program/mailgate/loop.h"
#include "smtp/session.h"

enum { SCRATCH = 64 * 1024 };

/* What an epoll event belongs to: the first member of each. */
typedef enum { SOURCE_LISTENER, SOURCE_CONN, SOURCE_WAKE, SOURCE_STOP } source_t;

typedef struct {
    source_t source;
    loop_t *loop;
    side_t side;
    int fd;
    smtp_server_t server;
} listener_t;

/* How many connections an address has. */
typedef struct client client_t;
struct client {
    address_t address;
    size_t count;
    client_t *next;
};

typedef struct conn conn_t;
struct conn {
    source_t source;
    loop_t *loop;
    const listener_t *listener;
    int fd;
    uint32_t armed; /* epoll events asked for */
    bool handshaking, closing, lingering, broken, at_end;
    smtp_session_t session;
    tls_stream_t *tls;
    buf_t in;      /* read, not yet taken */
    buf_t out;     /* replies */
    size_t out_at; /* of them already sent */
    int64_t deadline_ms;
    uint64_t linger; /* bytes thrown away while lingering */
    client_t *client;
    char address[ADDRESS_TEXT];
    int spool_fd;
    uint64_t spool_size;
    job_t *unconfirmed;     /* answered; the client has not shown that it knows */
    bool job_pending;       /* a worker has its message */
    conn_t *before, *after; /* in the order of deadlines */
    conn_t *next_dead;
};

struct loop {
    loop_options_t options;
    workers_t *workers;
    int epoll, wake;
    source_t wake_source, stop_source;
    listener_t listeners[SIDES];
    conn_t *oldest, *newest;
    conn_t *dead; /* to be freed after this round of events */
    size_t conns, jobs, lingering;
    client_t *clients[4096];
    bool draining;
    int64_t drained_ms;
    uint8_t *scratch;
};

/* conn.c */
void conn_accept(loop_t *loop, const listener_t *listener);
/* Goes as far as it goes without waiting. */
void conn_step(conn_t *conn);
void conn_answer(conn_t *conn, job_t *job); /* the worker is done; takes the job over */
void conn_timeout(conn_t *conn);
void conn_close(conn_t *conn);
/* 421 for who is idle: the program ends. */
void conn_drain(conn_t *conn);
/* clients.c: false when the address has as many as it may. */
bool clients_enter(loop_t *loop, const address_t *address, client_t **ret_client);
void clients_leave(loop_t *loop, client_t *client);
/* loop.c: moves it to the end of the order. */
void loop_touch(conn_t *conn);

#endif
