/*
 * Looking at watched sources: see probe.h.
 */
#include "program/courier/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/tls_peek.h"
#include "pki/starttls.h"

enum { PIECE = 8192, OUT_MAX = 64 * 1024 };

typedef struct {
    const clk_t *clk;
    int64_t deadline_ms;
    int fd;
    size_t received;
} link_t;

static err_t *probe_file(const char *path, cert_facts_t *facts, size_t *ret_count) {
    CLEANUP(buf_done) buf_t content;
    struct stat st;
    buf_init(&content, LIMIT_WATCH_BYTES);
    if (stat(path, &st) != 0) return err_errno(errno, "%s", path);
    if (!S_ISREG(st.st_mode)) return err_new(ERR_INVALID, "%s is no file", path);
    TRY(file_read(path, &content));
    return cert_facts_file(buf_bytes(&content), LIMIT_WATCH_CERTIFICATES, facts, ret_count);
}

static err_t *await(const link_t *link, short events) {
    for (;;) {
        int64_t left = link->deadline_ms - clk_mono_ms(link->clk);
        struct pollfd fd = {.fd = link->fd, .events = events};
        if (left <= 0) return err_new(ERR_TIMEOUT, "no answer in time");
        int n = poll(&fd, 1, (int)left);
        if (n > 0) return NULL;
        if (n < 0 && errno != EINTR) return err_errno(errno, "poll");
    }
}

static err_t *send_out(link_t *link, buf_t *out) {
    bytes_t rest = buf_bytes(out);
    while (rest.n) {
        ssize_t n = send(link->fd, rest.p, rest.n, MSG_NOSIGNAL);
        if (n > 0) rest = bytes_from(rest, (size_t)n);
        else if (n < 0 && errno == EAGAIN) TRY(await(link, POLLOUT));
        else if (n < 0 && errno != EINTR) return err_errno(errno, "the connection broke");
    }
    buf_clear(out);
    return NULL;
}

static err_t *receive(link_t *link, uint8_t piece[PIECE], size_t *ret_n) {
    for (;;) {
        TRY(await(link, POLLIN));
        ssize_t n = recv(link->fd, piece, PIECE, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n < 0) return err_errno(errno, "the connection broke");
        if (n == 0) return err_new(ERR_UNAVAILABLE, "the server closed the connection");
        link->received += (size_t)n;
        if (link->received > LIMIT_WATCH_BYTES)
            return err_new(ERR_LIMIT, "the server sent more than %d bytes", LIMIT_WATCH_BYTES);
        *ret_n = (size_t)n;
        return NULL;
    }
}

static err_t *speak(link_t *link, const watch_target_t *target, cert_facts_t *facts,
                    size_t *ret_count) {
    CLEANUP(tls_peek_free) tls_peek_t *peek = NULL;
    CLEANUP(buf_done) buf_t out;
    starttls_t plain;
    uint8_t piece[PIECE];
    size_t n = 0;
    bool ready = false, done = false;
    buf_init(&out, OUT_MAX);
    starttls_init(&plain, target->starttls);
    for (;;) {
        TRY(starttls_step(&plain, bytes_make(piece, n), &out, &ready));
        TRY(send_out(link, &out));
        if (ready) break;
        TRY(receive(link, piece, &n));
    }
    TRY(tls_peek_new(target->is_name ? target->host : NULL, &peek));
    for (n = 0;;) {
        TRY(tls_peek_step(peek, bytes_make(piece, n), &out, &done));
        TRY(send_out(link, &out));
        if (done) return tls_peek_facts(peek, LIMIT_WATCH_CERTIFICATES, facts, ret_count);
        TRY(receive(link, piece, &n));
    }
}

static err_t *finish_connect(const link_t *link) {
    int number = 0;
    socklen_t size = sizeof number;
    TRY(await(link, POLLOUT));
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
    return number ? err_errno(number, "cannot connect") : NULL;
}

static err_t *try_address(link_t *link, const struct addrinfo *a) {
    link->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) return err_errno(errno, "cannot make a socket");
    if (connect(link->fd, a->ai_addr, a->ai_addrlen) == 0) return NULL;
    return errno == EINPROGRESS ? finish_connect(link) : err_errno(errno, "cannot connect");
}

static err_t *probe_tls(const watch_target_t *target, const clk_t *clk, cert_facts_t *facts,
                        size_t *ret_count) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    char port[8];
    link_t link = {.clk = clk, .deadline_ms = clk_mono_ms(clk) + LIMIT_WATCH_PROBE_MS, .fd = -1};
    (void)snprintf(port, sizeof port, "%u", target->port);
    int failed = getaddrinfo(target->host, port, &hints, &found);
    if (failed)
        return err_new(ERR_UNAVAILABLE, "cannot find %s: %s", target->host, gai_strerror(failed));
    err_t *e = err_new(ERR_UNAVAILABLE, "%s has no address", target->host);
    for (const struct addrinfo *a = found; a; a = a->ai_next) {
        err_free(e);
        e = try_address(&link, a);
        if (!e) break;
        fd_close(link.fd);
        link.fd = -1;
    }
    freeaddrinfo(found);
    if (!e) e = speak(&link, target, facts, ret_count);
    fd_close(link.fd);
    return e;
}

err_t *probe_target(const watch_target_t *target, const clk_t *clk, cert_facts_t *facts,
                    size_t *ret_count) {
    switch (target->kind) {
    case WATCH_FILE: return probe_file(target->path, facts, ret_count);
    case WATCH_TLS: return probe_tls(target, clk, facts, ret_count);
    case WATCH_LDAP: break;
    }
    return err_new(ERR_INTERNAL, "an unknown kind of target");
}
