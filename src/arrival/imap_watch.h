/*
 * One mailbox at an IMAP server, watched for new mail: the client's side as a state machine (RFC
 * 9051, IDLE RFC 2177, NOTIFY RFC 5465, CONDSTORE and QRESYNC RFC 7162, SASL-IR RFC 4959). It signs
 * in, looks at INBOX without changing it (EXAMINE), asks only for UIDs and mod-sequences, never for
 * what a mail says, and waits. Where the server has NOTIFY, it is told of the other folders, too.
 * Bytes come in and go out; no sockets. The server is not trusted: lines, literals and numbers have
 * limits, and a lie about UIDs harms its own mailbox alone. Pure; one thread at a time.
 *
 * While it idles it holds no memory but the struct.
 */
#ifndef COFFER_ARRIVAL_IMAP_WATCH_H
#define COFFER_ARRIVAL_IMAP_WATCH_H

#include "arrival/hook.h"
#include "arrival/imap_folder.h"
#include "base/buf.h"

typedef enum {
    IMAP_GREETING,
    IMAP_CAPABILITY,
    IMAP_LOGIN,        /* the caller gives login and password: imap_watch_login */
    IMAP_AUTH,         /* sent; awaits the answer, or a "+" first */
    IMAP_CAPABILITY_2, /* what it can do for who is signed in */
    IMAP_ENABLE,
    IMAP_EXAMINE,
    IMAP_FETCH,
    IMAP_NOTIFY,
    IMAP_IDLE_ASKED,
    IMAP_IDLE, /* waits, on servers without IDLE too: imap_watch_look then */
    IMAP_DONE,
    IMAP_NOOP,
} imap_state_t;

typedef struct {
    imap_state_t state;
    bool idles, condstore, sasl_ir, auth_plain, login_disabled; /* what the server can do */
    bool qresync;   /* the server can say what changed since a mod-sequence */
    bool enabled;   /* and was told that we understand it */
    bool resyncs;   /* EXAMINE asked for that: what is new is what it shows */
    bool notifies;  /* the server tells of all folders, if it is asked to */
    bool notified;  /* it was asked */
    bool look;      /* it said that there is more */
    bool news;      /* more than was heard of: imap_watch_news */
    bool signed_in; /* once */
    bool known;     /* there is something to compare with */
    unsigned tag;
    unsigned lines; /* since the last command */
    uint32_t uidvalidity, uidnext, uid, fetched;
    int64_t modseq, since;  /* `since`: what EXAMINE was asked with */
    imap_folders_t folders; /* others than INBOX that it spoke of; the caller takes them */
    uint64_t literal;       /* bytes of a literal to be passed over */
    buf_t line;
    buf_t secret; /* what a "+" is answered with; wiped */
} imap_watch_t;

/* `from`: what was heard last of INBOX, its folder aside; uidvalidity 0: nothing yet. */
void imap_watch_init(imap_watch_t *w, const arrival_t *from);
void imap_watch_done(imap_watch_t *w);

/*
 * What the server said; what it is to be told is appended to `out`. Look at state (IMAP_LOGIN) and
 * news and folders afterwards. ERR_AUTH: it refuses login or password. ERR_INVALID, ERR_LIMIT: it
 * does not speak IMAP as it should. ERR_UNAVAILABLE: it said BYE, or NO to what we need.
 */
err_t *imap_watch_input(imap_watch_t *w, bytes_t data, buf_t *out) WARN_UNUSED;
/* In IMAP_LOGIN. `out` and w->secret have the password then: wipe them. ERR_INVALID for a login or
 * password that the server can't be told. */
err_t *imap_watch_login(imap_watch_t *w, const char *login, bytes_t password,
                        buf_t *out) WARN_UNUSED;
/* In IMAP_IDLE: looks whether there is more, in all folders, whatever the server said; and keeps
 * the connection from being cut (RFC 2177: every 29 minutes). Elsewhere nothing. */
err_t *imap_watch_look(imap_watch_t *w, buf_t *out) WARN_UNUSED;
/* Takes the news. */
arrival_t imap_watch_news(imap_watch_t *w);

#endif
