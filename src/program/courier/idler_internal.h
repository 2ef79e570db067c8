/*
 * What idler.c (the thread, the list of mailboxes), idler_conn.c (the connection of one of them),
 * idler_imap.c, idler_ews.c (what is said on it) and idler_store.c share.
 */
#ifndef COFFER_PROGRAM_IDLER_INTERNAL_H
#define COFFER_PROGRAM_IDLER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "arrival/ews_watch.h"
#include "arrival/imap_watch.h"
#include "base/arena.h"
#include "program/courier/finder.h"
#include "program/courier/idler.h"
#include "store/mailboxes.h"

typedef enum {
    IDLER_RESTS,    /* until due_ms */
    IDLER_FINDS,    /* where the server is */
    IDLER_CONNECTS, /* TCP */
    IDLER_SHAKES,   /* TLS */
    IDLER_TALKS,
} idler_state_t;

typedef struct idler_conn idler_conn_t;

/* How a kind of server is spoken with. */
typedef struct {
    err_t *(*parse)(bytes_t text, mail_server_t *ret_server);
    /* A connection is about to be made. */
    err_t *(*begin)(idler_t *idler, idler_conn_t *c);
    /* It was made; what is to be said goes to c->out. NULL: the server speaks first. */
    err_t *(*connected)(idler_t *idler, idler_conn_t *c);
    err_t *(*input)(idler_t *idler, idler_conn_t *c, bytes_t data);
    /* All that came was read. c->again: another connection is to be made, at once. */
    err_t *(*waits)(idler_t *idler, idler_conn_t *c);
    /* Once a second, while it is watched. */
    err_t *(*look)(idler_t *idler, idler_conn_t *c, int64_t now);
    /* The connection ends; `gone`: the mailbox is not watched any more. */
    void (*end)(idler_conn_t *c, bool gone);
} idler_kind_t;

extern const idler_kind_t IDLER_IMAP, IDLER_EWS;

/* One mailbox. About 600 bytes and its TLS; at Exchange 1,300 more. */
struct idler_conn {
    idler_conn_t *next;
    const idler_kind_t *kind;
    char *account, *server, *login;
    int64_t created_ms; /* of its row: another one of this address is another mailbox */
    bool all;           /* of Exchange: all folders */
    bool seen;          /* in the list that is being read */
    bool watched;       /* the store knows */
    bool begun;         /* counted among those that are signing in */
    bool again;         /* at once, on another connection */
    idler_state_t state;
    unsigned attempts;
    int64_t due_ms;      /* what comes next, monotonic */
    int64_t deadline_ms; /* of what goes on */
    int64_t pause_ms;    /* the server wants to be left alone so long, before it is tried again */
    int64_t minute_ms;
    size_t minute_bytes;
    unsigned minute_asks;
    int64_t news_ms; /* the last news that were written */
    int fd;
    uint32_t events; /* what epoll waits for */
    tls_stream_t *tls;
    union {
        imap_watch_t imap;
        ews_watch_t *ews; /* lives on between connections; or NULL */
    } watch;
    buf_t out;
};

enum {
    IDLER_TALK_MS = 60 * 1000, /* a server's answer may take so long */
    IDLER_SHORT_MS = 1000,     /* between two news of one mailbox */
    IDLER_OUT_MAX = 32 * 1024,
    IDLER_ARENA = 64 * 1024,
};

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
    bool found; /* the finder has something new */
    finder_t finder;
};

static inline int64_t idler_now(const idler_t *idler) { return clk_mono_ms(idler->o.clk); }

/* ---- idler_conn.c ---- */

/* Looks at what is due; the fd was ready, or the time has come. Errors are its own. */
void idler_conn_step(idler_t *idler, idler_conn_t *c);
void idler_conn_tick(idler_t *idler, idler_conn_t *c, int64_t now);
void idler_conn_close(idler_t *idler, idler_conn_t *c);
void idler_conn_free(idler_t *idler, idler_conn_t *c);
/* It is signed in and waits. */
void idler_conn_settled(idler_t *idler, idler_conn_t *c);

/* ---- idler_store.c ---- */

typedef struct {
    db_mailbox_t box;
    db_mail_mark_t mark; /* of INBOX, if marked */
    bool marked;
} idler_row_t;

/* What the store knows. ERR_NOT_FOUND: it is not watched any more. */
err_t *idler_row(idler_t *idler, const idler_conn_t *c, arena_t *arena,
                 idler_row_t *ret_row) WARN_UNUSED;
/* The password, from the keeper; wipe it. */
err_t *idler_password(idler_t *idler, const idler_conn_t *c, buf_t *ret_password) WARN_UNUSED;
/* Says how it is; failures are logged. */
void idler_say(idler_t *idler, const idler_conn_t *c, const char *state, const char *problem);
/* The same inside a db_write. */
err_t *idler_write_state(db_conn_t *conn, const idler_t *idler, const idler_conn_t *c,
                         const char *state, const char *problem) WARN_UNUSED;

#endif
