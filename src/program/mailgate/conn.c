/*
 * One client's connection: see loop_internal.h. All on the event thread.
 *
 * conn_step is the whole life: send what is to be said, shake hands, read, let the session take
 * it, and stop where something must be waited for. A message goes to a worker with what belongs to
 * it; until it is back nothing is read.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/mailgate/loop_internal.h"

enum { LINGER_MS = 5000, LINGER_MAX = 1024 * 1024 };

static bool is_confirmed_by_end(const conn_t *c) {
    int unsent = 0;
    return c->at_end && ioctl(c->fd, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

/* The client has heard the answer, or it may not have. */
static void confirm(conn_t *c, bool heard) {
    job_t *job = STEAL(c->unconfirmed);
    if (!job) return;
    if (heard && job->had_n) job->task = JOB_FORGET;
    else if (!heard && job->keys_n) {
        job->task = JOB_RECORD;
        deliver_hold(c->loop->options.deliver, job);
    } else {
        deliver_release(c->loop->options.deliver, job);
        job_free(c->loop->options.spool, job);
        return;
    }
    workers_give(c->loop->workers, job);
}

void conn_close(conn_t *c) {
    loop_t *loop = c->loop;
    if (c->fd < 0) return;
    confirm(c, !c->broken && c->out_at >= c->out.n && is_confirmed_by_end(c));
    tls_stream_free(STEAL(c->tls));
    fd_close(c->fd);
    c->fd = -1;
    clients_leave(loop, STEAL(c->client));
    loop->options.counters->connected--;
    loop->conns--;
    if (c->lingering) loop->lingering--;
    if (c->before) c->before->after = c->after;
    else loop->oldest = c->after;
    if (c->after) c->after->before = c->before;
    else loop->newest = c->before;
    gatespool_close(loop->options.spool, &c->spool_fd, &c->spool_size);
    smtp_session_done(&c->session);
    buf_done(&c->in);
    buf_done(&c->out);
    if (c->job_pending) return; /* freed when the job is back */
    c->next_dead = loop->dead;
    loop->dead = c;
}

/* ---- the session's content ---- */

static err_t *sink_begin(void *ctx, uint64_t size) {
    conn_t *c = ctx;
    const gatespool_t *spool = c->loop->options.spool;
    gatespool_close(spool, &c->spool_fd, &c->spool_size);
    if (size && spool->counters->spool_bytes + size > spool->max)
        return err_new(ERR_FULL, "the spool is full");
    return gatespool_open(spool, &c->spool_fd);
}

static err_t *sink_give(void *ctx, bytes_t data) {
    conn_t *c = ctx;
    err_t *e = gatespool_add(c->loop->options.spool, c->spool_fd, data, &c->spool_size);
    if (!e) return NULL;
    char text[200];
    log_line(c->loop->options.log, LOG_WARNING, "message of %s: %s", c->address,
             err_text(e, text, sizeof text));
    return e;
}

static const smtp_sink_t sink = {sink_begin, sink_give};

static err_t *submit(conn_t *c) {
    loop_t *loop = c->loop;
    job_t *job = mem_zalloc(sizeof *job);
    if (!job) return err_nomem();
    job->conn = c;
    job->side = c->listener->side;
    job->lmtp = smtp_session_is_lmtp(&c->session);
    job->stranger = job->side == SIDE_IN && !c->session.may_forward;
    job->envelope = smtp_session_take(&c->session, &job->eightbit);
    job->fd = c->spool_fd;
    job->size = c->spool_size;
    c->spool_fd = -1;
    c->spool_size = 0;
    memcpy(job->address, c->address, sizeof job->address);
    c->job_pending = true;
    loop->jobs++;
    loop->options.counters->messages++;
    workers_give(loop->workers, job);
    return NULL;
}

void conn_answer(conn_t *c, job_t *job) {
    c->job_pending = false;
    if (c->fd < 0) { /* the client didn't wait */
        c->unconfirmed = job;
        confirm(c, false);
        c->next_dead = c->loop->dead;
        c->loop->dead = c;
        return;
    }
    deliver_release(c->loop->options.deliver, job);
    gatespool_close(c->loop->options.spool, &job->fd, &job->size);
    err_t *e = job->statuses_n
                   ? smtp_session_answer(&c->session, job->statuses, job->statuses_n, &c->out)
                   : err_nomem();
    c->unconfirmed = job;
    if (e) {
        err_free(e);
        c->broken = true;
        conn_close(c);
        return;
    }
    loop_touch(c);
    if (c->loop->draining) conn_drain(c);
    else conn_step(c);
}

/* ---- bytes ---- */

static void arm(conn_t *c, uint32_t events) {
    if (c->armed == events) return;
    struct epoll_event event = {.events = events, .data = {.ptr = c}};
    c->armed = events;
    (void)epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void arm_tls(conn_t *c, tls_state_t state) {
    arm(c, state == TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN);
}

/* Sends some. False: nothing more can be done now (armed), or the connection is closed. */
static bool flush(conn_t *c) {
    while (c->out_at < c->out.n) {
        bytes_t rest = bytes_from(buf_bytes(&c->out), c->out_at);
        size_t n = 0;
        tls_state_t state = TLS_OK;
        err_t *e = NULL;
        if (c->tls) {
            e = tls_stream_write(c->tls, rest, &n, &state);
        } else {
            ssize_t sent = fault_io() ? -1 : send(c->fd, rest.p, rest.n, MSG_NOSIGNAL);
            n = sent > 0 ? (size_t)sent : 0;
            if (sent < 0 && errno != EAGAIN) e = err_errno(errno, "send");
            else if (sent < 0) state = TLS_WANT_WRITE;
        }
        if (e || state == TLS_CLOSED) {
            err_free(e);
            c->broken = true;
            conn_close(c);
            return false;
        }
        c->out_at += n;
        if (state == TLS_OK) continue;
        arm_tls(c, state);
        return false;
    }
    if (c->out.room) { /* an idle connection keeps no buffers */
        buf_done(&c->out);
        buf_init(&c->out, LIMIT_SMTP_OUT);
    }
    c->out_at = 0;
    return true;
}

static bool handshake(conn_t *c) {
    tls_state_t state = TLS_OK;
    err_t *e = tls_stream_handshake(c->tls, &state);
    if (e || state == TLS_CLOSED) {
        log_error(c->loop->options.log, LOG_INFO, e, "TLS with %s", c->address);
        c->broken = true;
        conn_close(c);
        return false;
    }
    if (state != TLS_OK) {
        arm_tls(c, state);
        return false;
    }
    c->handshaking = false;
    loop_touch(c);
    return true;
}

static bool begin_tls(conn_t *c) {
    err_t *e = tls_stream_new(c->loop->options.tls, c->fd, NULL, &c->tls);
    if (e) {
        log_error(c->loop->options.log, LOG_WARNING, e, "TLS with %s", c->address);
        c->broken = true;
        conn_close(c);
        return false;
    }
    c->handshaking = true;
    return true;
}

/* Into the loop's scratch. *ret_n 0: wait (armed), or closed. */
static bool receive(conn_t *c, size_t *ret_n) {
    tls_state_t state = TLS_OK;
    err_t *e = NULL;
    *ret_n = 0;
    if (c->tls && !c->lingering) {
        e = tls_stream_read(c->tls, c->loop->scratch, SCRATCH, ret_n, &state);
    } else {
        ssize_t n = fault_io() ? -1 : recv(c->fd, c->loop->scratch, SCRATCH, 0);
        if (n > 0) *ret_n = (size_t)n;
        if (n == 0) state = TLS_CLOSED;
        if (n < 0 && errno == EAGAIN) state = TLS_WANT_READ;
        else if (n < 0) e = err_errno(errno, "recv");
    }
    if (!e && state == TLS_OK) return true;
    if (!e && state != TLS_CLOSED) {
        arm_tls(c, state);
        return false;
    }
    c->at_end = !e;
    c->broken = e != NULL;
    err_free(e);
    conn_close(c);
    return false;
}

/* ---- steps ---- */

/* The last reply must not be lost by a reset: RFC 1122 section 4.2.2.13. */
static void linger(conn_t *c) {
    size_t n = 0;
    if (!c->lingering) {
        tls_stream_free(STEAL(c->tls)); /* close_notify */
        (void)shutdown(c->fd, SHUT_WR);
        c->lingering = true;
        c->loop->lingering++;
        loop_touch(c);
        c->deadline_ms = clk_mono_ms(c->loop->options.clk) + LINGER_MS;
    }
    while (receive(c, &n)) {
        c->linger += n;
        if (c->linger < LINGER_MAX) continue;
        c->broken = true;
        conn_close(c);
        return;
    }
}

/* Lets the session take `in`; keeps the rest. False: stop here. */
static bool take(conn_t *c, bytes_t in, bool kept) {
    size_t used = 0;
    smtp_event_t event = SMTP_NEEDS_INPUT;
    err_t *e = smtp_session_feed(&c->session, in, &c->out, &used, &event);
    if (!e && kept) {
        memmove(c->in.p, c->in.p + used, c->in.n - used);
        c->in.n -= used;
        if (c->in.n == 0) {
            buf_done(&c->in);
            buf_init(&c->in, SCRATCH);
        }
    } else if (!e) {
        e = buf_add(&c->in, bytes_from(in, used));
    }
    if (!e && event == SMTP_MESSAGE) e = submit(c);
    if (e) {
        log_error(c->loop->options.log, LOG_WARNING, e, "connection of %s", c->address);
        c->broken = true;
        conn_close(c);
        return false;
    }
    if (event == SMTP_CLOSE) c->closing = true;
    if (event == SMTP_SECURE) {
        if (!flush(c)) { /* 25 bytes into an empty socket: only a broken one refuses */
            if (c->fd >= 0) conn_close(c);
            return false;
        }
        if (!begin_tls(c)) return false;
        smtp_session_secured(&c->session);
    }
    return true;
}

void conn_step(conn_t *c) {
    while (c->fd >= 0) {
        size_t n = 0;
        if (c->handshaking) {
            if (!handshake(c)) return;
            continue;
        }
        if (!c->lingering && !flush(c)) return;
        if (c->closing) {
            linger(c);
            return;
        }
        if (c->job_pending) {
            arm(c, 0);
            return;
        }
        if (c->in.n) {
            if (!take(c, buf_bytes(&c->in), true)) return;
            continue;
        }
        if (!receive(c, &n)) return;
        confirm(c, true);
        loop_touch(c);
        if (!take(c, bytes_make(c->loop->scratch, n), false)) return;
    }
}

void conn_timeout(conn_t *c) {
    if (c->job_pending) { /* the worker has limits of its own */
        loop_touch(c);
        return;
    }
    if (c->lingering || c->closing || c->handshaking || c->out_at < c->out.n) {
        c->broken = true;
        conn_close(c);
        return;
    }
    c->closing = true;
    err_ignore(smtp_session_timeout(&c->session, &c->out));
    conn_step(c);
}

void conn_drain(conn_t *c) {
    if (c->job_pending) return;
    c->closing = true;
    if (!c->handshaking && !c->lingering)
        err_ignore(buf_printf(&c->out, "421 4.3.2 %s closes\r\n", c->loop->options.conf->hostname));
    if (c->handshaking) conn_close(c);
    else conn_step(c);
}

/* ---- the beginning ---- */

static bool is_wanted(loop_t *loop, const listener_t *l, const address_t *address,
                      client_t **client, smtp_status_t *ret_refusal) {
    const mailgate_conf_t *conf = loop->options.conf;
    if (!networks_have(&conf->sides[l->side].clients, address)) {
        *ret_refusal = smtp_status(554, "5.7.1", "%s: you are not served here", conf->hostname);
        return false;
    }
    if (loop->conns >= (size_t)conf->connections || !clients_enter(loop, address, client)) {
        *ret_refusal = smtp_status(421, "4.7.0", "%s: too many connections", conf->hostname);
        return false;
    }
    return true;
}

static void turn_away(loop_t *loop, int fd, const char *address, const smtp_status_t *refusal) {
    char line[700];
    int n = snprintf(line, sizeof line, "%u %s %s\r\n", refusal->code, refusal->enhanced,
                     refusal->text);
    if (n > 0) (void)send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    loop->options.counters->turned_away++;
    log_line(loop->options.log, LOG_INFO, "turned away client=%s: %u", address, refusal->code);
}

static conn_t *conn_new(loop_t *loop, const listener_t *l, int fd, const address_t *address,
                        client_t *client, const char *text) {
    conn_t *c = mem_zalloc(sizeof *c);
    if (!c) return NULL;
    const side_conf_t *side = &loop->options.conf->sides[l->side];
    c->source = SOURCE_CONN;
    c->loop = loop;
    c->listener = l;
    c->fd = fd;
    c->spool_fd = -1;
    c->client = client;
    (void)snprintf(c->address, sizeof c->address, "%s", text);
    buf_init(&c->in, SCRATCH);
    buf_init(&c->out, LIMIT_SMTP_OUT);
    smtp_session_init(&c->session, &l->server, &sink, c, side->tls == LISTEN_IMPLICIT,
                      networks_have(&side->forwarders, address));
    c->before = loop->newest;
    if (loop->newest) loop->newest->after = c;
    else loop->oldest = c;
    loop->newest = c;
    loop->conns++;
    loop->options.counters->connected++;
    return c;
}

static bool start(conn_t *c) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};
    c->armed = EPOLLIN;
    if (epoll_ctl(c->loop->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0) return false;
    err_t *e = smtp_session_greet(&c->session, NULL, &c->out);
    if (!e && c->session.tls && !begin_tls(c)) return true; /* closed already */
    err_free(e);
    return !e;
}

void conn_accept(loop_t *loop, const listener_t *l) {
    enum { AT_ONCE = 64 };
    for (int i = 0; i < AT_ONCE; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof peer;
        address_t address;
        char text[ADDRESS_TEXT] = "";
        client_t *client = NULL;
        smtp_status_t refusal;
        int on = 1;
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        loop->options.counters->connections++;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!address_of(&peer, &address, text)) {
            fd_close(fd);
            continue;
        }
        if (!is_wanted(loop, l, &address, &client, &refusal)) {
            turn_away(loop, fd, text, &refusal);
            fd_close(fd);
            continue;
        }
        conn_t *c = conn_new(loop, l, fd, &address, client, text);
        if (!c) {
            clients_leave(loop, client);
            fd_close(fd);
            continue;
        }
        loop_touch(c);
        if (!start(c)) conn_close(c);
        else conn_step(c);
    }
}
