/*
 * The connection of one mailbox that is watched, whatever is said on it: see idler_internal.h. The
 * idler's thread.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/common/worker.h"
#include "program/courier/idler_internal.h"

enum { MINUTE_MS = 60 * 1000, PIECE = 16 * 1024, TEXT = 300 };

/* ---- the socket ---- */

void idler_conn_close(idler_t *idler, idler_conn_t *c) {
    if (c->begun) idler->beginning--;
    c->begun = false;
    tls_stream_free(c->tls);
    c->tls = NULL;
    fd_close(c->fd); /* leaves epoll, too */
    c->fd = -1;
    c->kind->end(c, false);
    buf_done(&c->out);
    buf_init_secret(&c->out, IDLER_OUT_MAX);
    c->state = IDLER_RESTS;
}

static void fail(idler_t *idler, idler_conn_t *c, err_t *e) {
    char text[TEXT];
    (void)err_text(e, text, sizeof text);
    bool refused = err_code(e) == ERR_AUTH;
    err_free(e);
    idler_conn_close(idler, c);
    if (c->attempts < UINT16_MAX) c->attempts++;
    /* A wrong password is not tried often: servers lock accounts. */
    int64_t attempts = refused && c->attempts < 5 ? 5 : c->attempts;
    c->due_ms = idler_now(idler) + work_backoff_ms(attempts, (uint8_t)(uintptr_t)c);
    if (c->attempts == 1 && !refused) c->due_ms = idler_now(idler) + IDLER_SHORT_MS;
    if (c->due_ms < idler_now(idler) + c->pause_ms) c->due_ms = idler_now(idler) + c->pause_ms;
    c->pause_ms = 0;
    c->watched = false;
    log_line(idler->o.log, LOG_INFO, "mailbox %s: %s", c->account, text);
    if (c->attempts > 1 || refused) idler_say(idler, c, "failed", text);
}

static err_t *want(idler_t *idler, idler_conn_t *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data = {.ptr = c}};
    if (c->events == events) return NULL;
    int op = c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (fault_io() || epoll_ctl(idler->epoll, op, c->fd, &event) != 0)
        return err_errno(errno, "epoll");
    c->events = events;
    return NULL;
}

/* *ret_place NULL: not known yet. */
static err_t *find(idler_t *idler, const idler_conn_t *c, mail_server_t *ret_server,
                   const finder_place_t **ret_place) {
    mail_server_t server;
    TRY(c->kind->parse(bytes_str(c->server), &server));
    *ret_server = server;
    return finder_ask(&idler->finder, &server, ret_place);
}

static err_t *begin(idler_t *idler, idler_conn_t *c, const mail_server_t *server,
                    const finder_place_t *place) {
    int on = 1;
    buf_done(&c->out);
    buf_init_secret(&c->out, IDLER_OUT_MAX);
    TRY(c->kind->begin(idler, c));
    c->fd = socket(place->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return err_errno(errno, "cannot make a socket");
    (void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->events = 0;
    c->state = IDLER_CONNECTS;
    c->deadline_ms = idler_now(idler) + IDLER_TALK_MS;
    if (connect(c->fd, (const struct sockaddr *)&place->address, place->size) != 0 &&
        errno != EINPROGRESS)
        return err_errno(errno, "cannot connect");
    if (server->tls) TRY(tls_stream_new(idler->tls, c->fd, server->host, &c->tls));
    return want(idler, c, EPOLLOUT);
}

/* Only so many sign in at once; who waits for an address is none of them. */
static err_t *find_and_begin(idler_t *idler, idler_conn_t *c) {
    mail_server_t server;
    const finder_place_t *place = NULL;
    TRY(find(idler, c, &server, &place));
    if (!place) return NULL;
    c->begun = true;
    idler->beginning++;
    return begin(idler, c, &server, place);
}

static err_t *receive(idler_conn_t *c, uint8_t piece[PIECE], size_t *ret_n, tls_state_t *state) {
    if (c->tls) return tls_stream_read(c->tls, piece, PIECE, ret_n, state);
    ssize_t n = recv(c->fd, piece, PIECE, 0);
    *ret_n = n > 0 ? (size_t)n : 0;
    *state = n > 0 ? TLS_OK : n == 0 ? TLS_CLOSED : TLS_WANT_READ;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return err_errno(errno, "the connection broke");
    return NULL;
}

static err_t *send_piece(idler_conn_t *c, bytes_t data, size_t *ret_n, tls_state_t *state) {
    if (c->tls) return tls_stream_write(c->tls, data, ret_n, state);
    ssize_t n = send(c->fd, data.p, data.n, MSG_NOSIGNAL);
    *ret_n = n > 0 ? (size_t)n : 0;
    *state = n >= 0 ? TLS_OK : TLS_WANT_WRITE;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return err_errno(errno, "the connection broke");
    return NULL;
}

/* The buffer goes back to nothing: most of the time there is nothing to say. */
static err_t *send_out(idler_t *idler, idler_conn_t *c) {
    tls_state_t state = TLS_OK;
    size_t sent = 0;
    while (sent < c->out.n && state == TLS_OK) {
        size_t n = 0;
        TRY(send_piece(c, bytes_from(buf_bytes(&c->out), sent), &n, &state));
        sent += n;
    }
    if (sent < c->out.n) {
        memmove(c->out.p, c->out.p + sent, c->out.n - sent);
        c->out.n -= sent;
        return want(idler, c, state == TLS_WANT_READ ? EPOLLIN : EPOLLIN | EPOLLOUT);
    }
    buf_done(&c->out);
    buf_init_secret(&c->out, IDLER_OUT_MAX);
    return want(idler, c, EPOLLIN);
}

static err_t *start_talk(idler_t *idler, idler_conn_t *c) {
    c->state = IDLER_TALKS;
    if (c->kind->connected) TRY(c->kind->connected(idler, c));
    return c->out.n ? send_out(idler, c) : want(idler, c, EPOLLIN);
}

static err_t *shake(idler_t *idler, idler_conn_t *c) {
    tls_state_t state = TLS_OK;
    TRY(tls_stream_handshake(c->tls, &state));
    if (state == TLS_CLOSED) return err_new(ERR_UNAVAILABLE, "the server closed the connection");
    if (state == TLS_OK) return start_talk(idler, c);
    return want(idler, c, state == TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN);
}

static err_t *finish_connect(idler_t *idler, idler_conn_t *c) {
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
    if (number) {
        mail_server_t server; /* perhaps it has moved */
        TRY(c->kind->parse(bytes_str(c->server), &server));
        finder_forget(&idler->finder, &server);
        return err_errno(number, "cannot connect");
    }
    if (!c->tls) return start_talk(idler, c);
    c->state = IDLER_SHAKES;
    return shake(idler, c);
}

/* ---- talk ---- */

void idler_conn_settled(idler_t *idler, idler_conn_t *c) {
    c->watched = true;
    c->attempts = 0;
    if (c->begun) idler->beginning--;
    c->begun = false;
}

static err_t *count_bytes(idler_t *idler, idler_conn_t *c, size_t n) {
    int64_t now = idler_now(idler);
    if (now - c->minute_ms > MINUTE_MS) {
        c->minute_ms = now;
        c->minute_bytes = 0;
        c->minute_asks = 0;
    }
    c->minute_bytes += n;
    if (c->minute_bytes <= LIMIT_IMAP_MINUTE) return NULL;
    return err_new(ERR_LIMIT, "the server says more than %d bytes a minute", LIMIT_IMAP_MINUTE);
}

/* At once, for this one ended as it should. */
static err_t *again(idler_t *idler, idler_conn_t *c) {
    idler_conn_close(idler, c);
    c->again = c->watched = false;
    c->due_ms = idler_now(idler);
    return NULL;
}

static err_t *talk(idler_t *idler, idler_conn_t *c) {
    uint8_t piece[PIECE];
    for (tls_state_t state = TLS_OK; state == TLS_OK && !c->again;) {
        size_t n = 0;
        TRY(receive(c, piece, &n, &state));
        if (state == TLS_CLOSED)
            return err_new(ERR_UNAVAILABLE, "the server closed the connection");
        TRY(count_bytes(idler, c, n));
        TRY(c->kind->input(idler, c, bytes_make(piece, n)));
    }
    TRY(c->kind->waits(idler, c));
    return c->again ? again(idler, c) : send_out(idler, c);
}

static err_t *step(idler_t *idler, idler_conn_t *c) {
    switch (c->state) {
    case IDLER_RESTS:
    case IDLER_FINDS: return NULL;
    case IDLER_CONNECTS: return finish_connect(idler, c);
    case IDLER_SHAKES: return shake(idler, c);
    case IDLER_TALKS: return talk(idler, c);
    }
    return NULL;
}

void idler_conn_step(idler_t *idler, idler_conn_t *c) {
    err_t *e = step(idler, c);
    if (e) fail(idler, c, e);
}

static err_t *look(idler_t *idler, idler_conn_t *c, int64_t now) {
    TRY(c->kind->look(idler, c, now));
    return c->out.n ? send_out(idler, c) : NULL;
}

static err_t *tick(idler_t *idler, idler_conn_t *c, int64_t now) {
    if (c->state == IDLER_RESTS && now < c->due_ms) return NULL;
    if (c->state == IDLER_RESTS) {
        c->state = IDLER_FINDS;
        c->deadline_ms = now + IDLER_TALK_MS;
    }
    if (c->state == IDLER_FINDS) TRY(find_and_begin(idler, c));
    if (now > c->deadline_ms) return err_new(ERR_TIMEOUT, "the server says nothing");
    return c->watched ? look(idler, c, now) : NULL;
}

void idler_conn_tick(idler_t *idler, idler_conn_t *c, int64_t now) {
    err_t *e = tick(idler, c, now);
    if (e) fail(idler, c, e);
}

void idler_conn_free(idler_t *idler, idler_conn_t *c) {
    if (c->kind) {
        idler_conn_close(idler, c);
        c->kind->end(c, true);
    }
    buf_done(&c->out);
    mem_free(c->account);
    mem_free(c->server);
    mem_free(c->login);
    mem_free(c);
}
