/*
 * What idler.c (the thread, the list of mailboxes) and idler_conn.c (one of them) share.
 */
#ifndef COFFER_PROGRAM_IDLER_INTERNAL_H
#define COFFER_PROGRAM_IDLER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "arrival/imap_server.h"
#include "arrival/imap_watch.h"
#include "base/limits.h"
#include "program/courier/idler.h"
#include "store/mailboxes.h"

typedef enum {
    IDLER_RESTS,    /* until due_ms */
    IDLER_CONNECTS, /* TCP */
    IDLER_SHAKES,   /* TLS */
    IDLER_TALKS,
} idler_state_t;

/* One mailbox. About 500 bytes and its TLS. */
typedef struct idler_conn idler_conn_t;
struct idler_conn {
    idler_conn_t *next;
    char *account, *server, *login;
    int64_t created_ms; /* of its row: another one of this address is another mailbox */
    bool seen;          /* in the list that is being read */
    bool watched;       /* the store knows */
    bool begun;         /* counted among those that are signing in */
    idler_state_t state;
    unsigned attempts;
    int64_t due_ms;      /* what comes next, monotonic */
    int64_t deadline_ms; /* of what goes on */
    int64_t minute_ms;
    size_t minute_bytes;
    int64_t news_ms; /* the last news that were written */
    int fd;
    uint32_t events; /* what epoll waits for */
    tls_stream_t *tls;
    imap_watch_t watch;
    buf_t out;
};

enum { IDLER_ADDRESSES = 16 };

/* Where a server was found last. */
typedef struct {
    char server[LIMIT_MAILBOX_SERVER + 1];
    struct sockaddr_storage address;
    socklen_t size;
    int64_t until_ms;
} idler_address_t;

struct idler {
    idler_options_t o;
    tls_context_t *tls;
    int epoll, wake_fd;
    pthread_t thread;
    atomic_bool stop, woken;
    /* the thread's own */
    idler_conn_t *first;
    size_t count, beginning;
    int64_t list_ms;
    idler_address_t addresses[IDLER_ADDRESSES];
    unsigned next_address;
};

/* Looks at what is due; the fd was ready, or the time has come. Errors are its own. */
void idler_conn_step(idler_t *idler, idler_conn_t *c);
void idler_conn_tick(idler_t *idler, idler_conn_t *c, int64_t now);
void idler_conn_close(idler_t *idler, idler_conn_t *c);
void idler_conn_free(idler_t *idler, idler_conn_t *c);

#endif
