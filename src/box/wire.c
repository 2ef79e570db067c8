/*
 * Connections of the mail agent: see wire.h. In coffer-mailbox.
 */
#include "box/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/lookup.h"
#include "base/mem.h"

struct box_wire {
    int fd;
    char *host;
    tls_context_t *context; /* borrowed */
    tls_stream_t *tls;      /* NULL: plain */
    box_wait_t wait;
    int64_t asked_ms; /* when wait.go_on was asked last */
    uint64_t budget;
};

enum { ASK_MS = 200 };

void box_wire_free(box_wire_t *wire) {
    if (!wire) return;
    tls_stream_free(wire->tls);
    fd_close(wire->fd);
    mem_free(wire->host);
    mem_free(wire);
}

void box_wire_budget(box_wire_t *wire, uint64_t bytes) { wire->budget = bytes; }
int box_wire_fd(const box_wire_t *wire) { return wire->fd; }

/* Also between bytes that do come: a server that sends one now and then holds up nobody. */
static err_t *ask(box_wire_t *wire) {
    int64_t now = clk_mono_ms(wire->wait.clk);
    if (!wire->wait.go_on || now - wire->asked_ms < ASK_MS) return NULL;
    wire->asked_ms = now;
    return wire->wait.go_on(wire->wait.arg)
               ? NULL
               : err_new(ERR_BUSY, "%s is not waited for any more", wire->host);
}

static err_t *wait_for(box_wire_t *wire, int fd, short events, int64_t deadline) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        TRY(ask(wire));
        int64_t left = deadline - clk_mono_ms(wire->wait.clk);
        if (left <= 0) return err_new(ERR_TIMEOUT, "%s does not answer", wire->host);
        if (wire->wait.go_on && left > ASK_MS) left = ASK_MS;
        int n = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n > 0) return NULL;
        if (n < 0 && errno != EINTR) return err_errno(errno, "poll");
    }
}

static err_t *wait_state(box_wire_t *wire, tls_state_t state, int64_t deadline) {
    return wait_for(wire, wire->fd, state == TLS_WANT_WRITE ? POLLOUT : POLLIN, deadline);
}

err_t *box_wire_start_tls(box_wire_t *wire) {
    int64_t deadline = clk_mono_ms(wire->wait.clk) + wire->wait.timeout_ms;
    TRY(tls_stream_new(wire->context, wire->fd, wire->host, &wire->tls));
    for (tls_state_t state = TLS_WANT_READ;;) {
        TRY_WRAP(tls_stream_handshake(wire->tls, &state), "%s", wire->host);
        if (state == TLS_OK) return NULL;
        if (state == TLS_CLOSED) return err_new(ERR_UNAVAILABLE, "%s hung up", wire->host);
        TRY(wait_state(wire, state, deadline));
    }
}

/* ---- connecting ---- */

static bool is_here(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static err_t *connect_one(box_wire_t *wire, const struct addrinfo *to) {
    int one = 1, problem = 0;
    socklen_t size = sizeof problem;
    wire->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (wire->fd < 0) return err_errno(errno, "socket");
    (void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(wire->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (connect(wire->fd, to->ai_addr, to->ai_addrlen) == 0) return NULL;
    if (errno != EINPROGRESS) problem = errno;
    else {
        TRY(wait_for(wire, wire->fd, POLLOUT, clk_mono_ms(wire->wait.clk) + wire->wait.timeout_ms));
        if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0) problem = errno;
    }
    if (!problem) return NULL;
    return err_recode(err_errno(problem, "cannot connect to %s", wire->host), ERR_UNAVAILABLE);
}

static err_t *find(box_wire_t *wire, const char *port, struct addrinfo **ret_list) {
    CLEANUP(lookup_free) lookup_t *lookup = NULL;
    int64_t deadline = clk_mono_ms(wire->wait.clk) + wire->wait.timeout_ms;
    TRY(lookup_start(wire->host, port, &lookup));
    TRY(wait_for(wire, lookup_fd(lookup), POLLIN, deadline));
    return lookup_take(lookup, ret_list);
}

static err_t *connect_any(box_wire_t *wire, const char *port, box_tls_t tls) {
    CLEANUP(lookup_list_free) struct addrinfo *list = NULL;
    TRY(find(wire, port, &list));
    err_t *e = err_new(ERR_UNAVAILABLE, "%s has no address", wire->host);
    for (const struct addrinfo *to = list; to; to = to->ai_next) {
        err_free(e);
        if (tls == BOX_PLAIN && !is_here(to->ai_addr))
            return err_new(ERR_DENIED, "without TLS only servers on this machine are spoken to");
        fd_close(wire->fd);
        wire->fd = -1;
        e = connect_one(wire, to);
        if (!e) return NULL;
    }
    return e;
}

err_t *box_wire_connect(const char *host, const char *port, box_tls_t tls,
                        tls_context_t *tls_context, const box_wait_t *wait, box_wire_t **ret_wire) {
    box_wire_t *made = mem_zalloc(sizeof *made);
    if (!made) return err_nomem();
    CLEANUP(box_wire_free) box_wire_t *wire = made;
    *made =
        (box_wire_t){.fd = -1, .context = tls_context, .wait = *wait, .budget = LIMIT_BOX_ANSWER};
    wire->host = mem_strdup(host);
    if (!wire->host) return err_nomem();
    if (fault_io()) return err_new(ERR_UNAVAILABLE, "cannot connect to %s", host);
    TRY(connect_any(wire, port, tls));
    if (tls == BOX_TLS) TRY(box_wire_start_tls(wire));
    *ret_wire = STEAL(wire);
    return NULL;
}

/* ---- bytes ---- */

static err_t *read_plain(box_wire_t *wire, uint8_t *p, size_t max, size_t *ret_n,
                         tls_state_t *ret_state) {
    ssize_t got = recv(wire->fd, p, max, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        *ret_state = TLS_WANT_READ;
        return NULL;
    }
    if (got < 0)
        return err_recode(err_errno(errno, "reading from %s", wire->host), ERR_UNAVAILABLE);
    *ret_n = (size_t)got;
    *ret_state = got ? TLS_OK : TLS_CLOSED;
    return NULL;
}

static err_t *read_some(box_wire_t *wire, uint8_t *p, size_t max, size_t *ret_n,
                        tls_state_t *ret_state) {
    size_t n = 0;
    if (!wire->budget) return err_new(ERR_LIMIT, "%s sends more than it was asked for", wire->host);
    if (max > wire->budget) max = (size_t)wire->budget;
    err_t *e = wire->tls ? tls_stream_read(wire->tls, p, max, &n, ret_state)
                         : read_plain(wire, p, max, &n, ret_state);
    if (e) return e;
    if (*ret_state == TLS_OK) wire->budget -= n;
    *ret_n = *ret_state == TLS_OK ? n : 0;
    return NULL;
}

err_t *box_wire_read(box_wire_t *wire, uint8_t *p, size_t max, size_t *ret_n) {
    int64_t deadline = clk_mono_ms(wire->wait.clk) + wire->wait.timeout_ms;
    for (tls_state_t state = TLS_WANT_READ;;) {
        TRY(ask(wire));
        TRY(read_some(wire, p, max, ret_n, &state));
        if (state == TLS_OK || state == TLS_CLOSED) return NULL;
        TRY(wait_state(wire, state, deadline));
    }
}

err_t *box_wire_read_now(box_wire_t *wire, uint8_t *p, size_t max, size_t *ret_n, bool *ret_end) {
    tls_state_t state = TLS_WANT_READ;
    TRY(read_some(wire, p, max, ret_n, &state));
    *ret_end = state == TLS_CLOSED;
    return NULL;
}

static err_t *write_some(box_wire_t *wire, bytes_t data, size_t *ret_n, tls_state_t *ret_state) {
    if (wire->tls) return tls_stream_write(wire->tls, data, ret_n, ret_state);
    ssize_t sent = send(wire->fd, data.p, data.n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return err_recode(err_errno(errno, "writing to %s", wire->host), ERR_UNAVAILABLE);
    *ret_state = sent < 0 ? TLS_WANT_WRITE : TLS_OK;
    *ret_n = sent < 0 ? 0 : (size_t)sent;
    return NULL;
}

err_t *box_wire_write(box_wire_t *wire, bytes_t data) {
    int64_t deadline = clk_mono_ms(wire->wait.clk) + wire->wait.timeout_ms;
    while (data.n) {
        tls_state_t state = TLS_WANT_WRITE;
        size_t n = 0;
        TRY(write_some(wire, data, &n, &state));
        if (state == TLS_OK) data = bytes_from(data, n);
        else TRY(wait_state(wire, state, deadline));
    }
    return NULL;
}
