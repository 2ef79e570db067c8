/*
 * The server's side of one connection of SMTP or LMTP (RFC 5321; RFC 2033 when the client says
 * LHLO; PIPELINING RFC 2920, 8BITMIME RFC 6152, SMTPUTF8 RFC 6531, SIZE RFC 1870, DSN RFC 3461,
 * ENHANCEDSTATUSCODES RFC 2034, STARTTLS RFC 3207, XFORWARD). Bytes go in, replies come out, and
 * events tell the caller what only he can do. Lines end with CR LF and nothing else. Pure: no
 * sockets; one thread at a time.
 */
#ifndef COFFER_SMTP_SESSION_H
#define COFFER_SMTP_SESSION_H

#include "smtp/command.h"
#include "smtp/data.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

/* What a listener offers; shared by its sessions, immutable, borrowed. */
typedef struct {
    const char *hostname; /* ours */
    uint64_t max_message; /* bytes */
    size_t max_recipients;
    bool starttls;     /* offered */
    bool tls_required; /* no mail without */
    bool dsn;          /* offered: the next hop understands it */
    /* Whether mail for this recipient is taken at all; false fills in why not. May be NULL. */
    bool (*accepts)(void *arg, bytes_t address, smtp_status_t *ret_why);
    void *arg;
} smtp_server_t;

/* Where the content goes; `conn` is smtp_session_init's. An error becomes a 4xx for the client:
 * ERR_FULL and ERR_LIMIT 452 4.3.1, others 451 4.3.0. */
typedef struct {
    err_t *(*begin)(void *conn, uint64_t size);
    err_t *(*give)(void *conn, bytes_t data);
} smtp_sink_t;

typedef enum {
    SMTP_NEEDS_INPUT, /* everything was taken */
    SMTP_WAITS,       /* a message is being delivered: give the input again after the answer */
    SMTP_FLUSH,       /* many replies: send them, then go on with the rest of the input */
    SMTP_SECURE,      /* send the replies, do the handshake, call smtp_session_secured */
    SMTP_MESSAGE,     /* a message is there: take the envelope, deliver, smtp_session_answer */
    SMTP_CLOSE,       /* send the replies, close */
} smtp_event_t;

typedef struct {
    const smtp_server_t *server;
    const smtp_sink_t *sink;
    void *conn;
    bool tls, may_forward, greeted, lmtp, esmtp;
    bool in_data, waiting, closed, skipping; /* skipping: the rest of a line that is too long */
    bool utf8_seen;                          /* in an address, before SMTPUTF8 was */
    unsigned errors;
    uint64_t taken; /* bytes of the message so far */
    smtp_undot_t undot;
    smtp_status_t *failure; /* why the message in DATA will be refused; owned */
    smtp_envelope_t *envelope;
    buf_t line; /* an unfinished command line */
} smtp_session_t;

/* `may_forward`: the client is believed about XFORWARD. */
void smtp_session_init(smtp_session_t *session, const smtp_server_t *server,
                       const smtp_sink_t *sink, void *conn, bool tls, bool may_forward);
void smtp_session_done(smtp_session_t *session);

/* 220, or with a refusal: the client is not wanted (554), or not now (421). */
err_t *smtp_session_greet(smtp_session_t *session, const smtp_status_t *refusal,
                          buf_t *out) WARN_UNUSED;
/*
 * Takes some of `in`; appends replies. An error (no memory, `out` is full) ends the connection.
 */
err_t *smtp_session_feed(smtp_session_t *session, bytes_t in, buf_t *out, size_t *ret_used,
                         smtp_event_t *ret_event) WARN_UNUSED;
/* After SMTP_SECURE: everything said before is forgotten (RFC 3207 section 4.2). */
void smtp_session_secured(smtp_session_t *session);
/* After SMTP_MESSAGE: the envelope, which becomes the caller's, and whether it has 8-bit bytes. */
smtp_envelope_t *smtp_session_take(smtp_session_t *session, bool *ret_eightbit);
/* Whether the client wants one answer a recipient (LMTP) or one for all. */
static inline bool smtp_session_is_lmtp(const smtp_session_t *session) { return session->lmtp; }
/* The answer: one status, or with LMTP one a recipient in their order. */
err_t *smtp_session_answer(smtp_session_t *session, const smtp_status_t *statuses, size_t n,
                           buf_t *out) WARN_UNUSED;
/* The client was silent for too long. */
err_t *smtp_session_timeout(smtp_session_t *session, buf_t *out) WARN_UNUSED;

#endif
