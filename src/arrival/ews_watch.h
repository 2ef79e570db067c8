/*
 * One mailbox at Exchange's web services, watched for new mail: the client's side of a streaming
 * subscription ([MS-OXWSNTIF]; SOAP 1.1 over HTTP/1.1) as a state machine. It subscribes
 * (Subscribe), then asks for the stream (GetStreamingEvents), which the server ends after half an
 * hour at most, and asks again. It never asks for what a mail says. Each request carries name and
 * password, so the caller gives them each time. Bytes come in and go out; no sockets. The server is
 * not trusted: what it says has limits, and it harms its own mailbox alone. Pure; one thread at a
 * time.
 *
 * A subscription outlives its connection: on the next one, what happened meanwhile comes. Where the
 * server has lost it, or notifications, that is an event without a message (`missed`).
 */
#ifndef COFFER_ARRIVAL_EWS_WATCH_H
#define COFFER_ARRIVAL_EWS_WATCH_H

#include "arrival/ews_answer.h"
#include "arrival/http_answer.h"
#include "arrival/mail_server.h"

typedef enum {
    EWS_ASKS,       /* the caller gives name and password: ews_watch_ask */
    EWS_SUBSCRIBES, /* sent; awaits the answer */
    EWS_ASKED,      /* for the stream; awaits its first words */
    EWS_STREAMS,    /* waits for mail */
} ews_state_t;

typedef struct {
    ews_state_t state;
    bool known;         /* it was watched before: what happened since is news */
    bool missed;        /* notifications were lost; the caller takes it */
    bool renewed;       /* made anew since the last stream that spoke */
    bool closes;        /* the server ends the connection: ask on another one */
    int64_t pause_s;    /* a busy server wants to be left alone so long */
    char *subscription; /* or NULL: none; mem_free */
    http_answer_t http;
    ews_answer_t answer; /* its news: the caller takes them with ews_answer_took */
} ews_watch_t;

/* Whom to ask for what; all borrowed. */
typedef struct {
    const mail_server_t *server;
    const char *account; /* the mailbox's address */
    const char *login;
    bytes_t password;
    bool all; /* all folders of who signs in, not only the mailbox's inbox */
} ews_request_t;

enum { EWS_MINUTES = 30 }; /* a stream lives so long (the protocol's limit) */

/* It must not move in memory until ews_watch_done. `known`: it was watched once before. */
void ews_watch_init(ews_watch_t *w, bool known);
void ews_watch_done(ews_watch_t *w);
/* A new connection; subscription, cookie and news stay. */
void ews_watch_connected(ews_watch_t *w);

/* In EWS_ASKS. `out` has the password then: wipe it. ERR_INVALID for a login or password that the
 * server can't be told. */
err_t *ews_watch_ask(ews_watch_t *w, const ews_request_t *request, buf_t *out) WARN_UNUSED;
/*
 * What the server said. Look at state (EWS_ASKS), `closes`, `missed` and the news afterwards.
 * ERR_AUTH: it refuses name or password. ERR_UNAVAILABLE: it refuses what we need, or is busy
 * (`pause_s`). ERR_INVALID, ERR_LIMIT: it does not speak as it should.
 */
err_t *ews_watch_input(ews_watch_t *w, bytes_t data) WARN_UNUSED;

#endif
