/*
 * Next hops: see nexthop.h. Called by the workers.
 */
#include "program/mailgate/nexthop.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "crypto/tls_stream.h"

enum {
    CONNECT_MS = 15000,
    KEEP_MS = 20000, /* servers under load close after less than a minute */
    KEPT_MAX = 64,
    CA_MAX = 1024 * 1024,
};

typedef struct link_conn link_conn_t;
struct link_conn {
    nexthop_t *nexthop;
    int fd;
    tls_stream_t *tls;
    smtp_link_t link;
    smtp_hop_t *hop;
    int64_t idle_since_ms;
    link_conn_t *next;
};

struct nexthop {
    const next_conf_t *conf;
    const clk_t *clk;
    counters_t *counters;
    tls_context_t *tls;
    smtp_hop_config_t hop_config;
    pthread_mutex_t lock;
    link_conn_t *kept; /* the latest first */
    size_t kept_n;
};

/* ---- bytes ---- */

static err_t *wait_for(int fd, short events, int timeout_ms, const char *what) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, timeout_ms);
        if (n > 0) return NULL;
        if (n == 0)
            return err_new(ERR_TIMEOUT, "the next hop %s for %d s", what, timeout_ms / 1000);
        if (errno != EINTR) return err_errno(errno, "poll");
    }
}

static err_t *wait_tls(link_conn_t *c, tls_state_t state, int timeout_ms, const char *what) {
    return wait_for(c->fd, state == TLS_WANT_WRITE ? POLLOUT : POLLIN, timeout_ms, what);
}

static err_t *gone(int number) {
    return err_new(ERR_UNAVAILABLE, "the next hop closed the connection%s%s", number ? ": " : "",
                   number ? strerror(number) : "");
}

static err_t *send_some(link_conn_t *c, bytes_t data, size_t *ret_n, tls_state_t *state) {
    if (c->tls) return tls_stream_write(c->tls, data, ret_n, state);
    if (fault_io()) return gone(EPIPE);
    ssize_t n = send(c->fd, data.p, data.n, MSG_NOSIGNAL);
    *ret_n = n > 0 ? (size_t)n : 0;
    *state = n >= 0 ? TLS_OK : TLS_WANT_WRITE;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return gone(errno);
    return NULL;
}

static err_t *link_send(void *ctx, bytes_t data) {
    link_conn_t *c = ctx;
    while (data.n) {
        size_t n = 0;
        tls_state_t state = TLS_OK;
        TRY(send_some(c, data, &n, &state));
        if (state == TLS_CLOSED) return gone(0);
        data = bytes_from(data, n);
        if (state != TLS_OK)
            TRY(wait_tls(c, state, c->nexthop->hop_config.command_ms, "took nothing"));
    }
    return NULL;
}

static err_t *recv_some(link_conn_t *c, uint8_t *p, size_t max, size_t *ret_n, tls_state_t *state) {
    if (c->tls) return tls_stream_read(c->tls, p, max, ret_n, state);
    if (fault_io()) return gone(ECONNRESET);
    ssize_t n = recv(c->fd, p, max, 0);
    *ret_n = n > 0 ? (size_t)n : 0;
    *state = n > 0 ? TLS_OK : n == 0 ? TLS_CLOSED : TLS_WANT_READ;
    if (n < 0 && errno != EAGAIN && errno != EINTR) return gone(errno);
    return NULL;
}

static err_t *link_recv(void *ctx, uint8_t *p, size_t max, int timeout_ms, size_t *ret_n) {
    link_conn_t *c = ctx;
    for (;;) {
        tls_state_t state = TLS_OK;
        TRY(recv_some(c, p, max, ret_n, &state));
        if (state == TLS_OK) return NULL;
        if (state == TLS_CLOSED) return gone(0);
        TRY(wait_tls(c, state, timeout_ms, "said nothing"));
    }
}

static err_t *link_secure(void *ctx) {
    link_conn_t *c = ctx;
    TRY(tls_stream_new(c->nexthop->tls, c->fd, c->nexthop->conf->name, &c->tls));
    for (;;) {
        tls_state_t state = TLS_OK;
        TRY(tls_stream_handshake(c->tls, &state));
        if (state == TLS_OK) return NULL;
        if (state == TLS_CLOSED) return gone(0);
        TRY(wait_tls(c, state, c->nexthop->hop_config.command_ms, "waited in the handshake"));
    }
}

/* ---- connecting ---- */

static void conn_free(link_conn_t *c) {
    if (!c) return;
    smtp_hop_free(c->hop);
    tls_stream_free(c->tls);
    fd_close(c->fd);
    mem_free(c);
}
DEFINE_CLEANUP(link_conn_t, conn_free)

static err_t *connect_to(const struct sockaddr *address, socklen_t size, int *ret_fd) {
    int number = 0, on = 1;
    socklen_t n = sizeof number;
    if (fault_io()) return err_errno(ECONNREFUSED, "connect");
    CLEANUP(fd_close)
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_errno(errno, "socket");
    if (connect(fd, address, size) != 0) {
        if (errno != EINPROGRESS && errno != EAGAIN)
            return err_recode(err_errno(errno, "connect"), ERR_UNAVAILABLE);
        TRY(wait_for(fd, POLLOUT, CONNECT_MS, "did not answer"));
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &n) != 0 || number)
            return err_recode(err_errno(number, "connect"), ERR_UNAVAILABLE);
    }
    if (address->sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

static err_t *connect_unix(const char *path, int *ret_fd) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof address.sun_path) return err_new(ERR_LIMIT, "%s is too long", path);
    memcpy(address.sun_path, path, n);
    return connect_to((const struct sockaddr *)&address, sizeof address, ret_fd);
}

/* All addresses of the name, in their order. */
static err_t *connect_any(const next_conf_t *conf, int *ret_fd) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    err_t *e = NULL;
    if (conf->path) return connect_unix(conf->path, ret_fd);
    if (!conf->verify) hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST; /* it is one: conf.c */
    int failed = getaddrinfo(conf->host, conf->port, &hints, &found);
    if (failed) return err_new(ERR_UNAVAILABLE, "%s: %s", conf->host, gai_strerror(failed));
    for (const struct addrinfo *a = found; a; a = a->ai_next) {
        err_free(e);
        e = connect_to(a->ai_addr, a->ai_addrlen, ret_fd);
        if (!e) break;
    }
    freeaddrinfo(found);
    return e;
}

static err_t *conn_new(nexthop_t *nexthop, link_conn_t **ret_conn) {
    CLEANUP(conn_free) link_conn_t *c = mem_zalloc(sizeof *c);
    if (!c) return err_nomem();
    c->nexthop = nexthop;
    c->fd = -1;
    c->link = (smtp_link_t){c, link_send, link_recv, link_secure};
    TRY_WRAP(connect_any(nexthop->conf, &c->fd), "next hop %s",
             nexthop->conf->path ? nexthop->conf->path : nexthop->conf->host);
    nexthop->counters->hop_connections++;
    if (nexthop->conf->implicit) TRY(link_secure(c));
    TRY(smtp_hop_open(&c->link, &nexthop->hop_config, &c->hop));
    *ret_conn = STEAL(c);
    return NULL;
}

/* ---- keeping ---- */

/* A kept connection must be silent: bytes or an end mean that the server is leaving. */
static bool is_alive(const link_conn_t *c) {
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    return poll(&p, 1, 0) == 0;
}

static link_conn_t *take_kept(nexthop_t *n) {
    (void)pthread_mutex_lock(&n->lock);
    link_conn_t *c = n->kept;
    if (c) {
        n->kept = c->next;
        n->kept_n--;
    }
    (void)pthread_mutex_unlock(&n->lock);
    return c;
}

static link_conn_t *take_alive(nexthop_t *n) {
    int64_t now = clk_mono_ms(n->clk);
    for (link_conn_t *c = NULL; (c = take_kept(n));) {
        if (now - c->idle_since_ms < KEEP_MS && is_alive(c)) return c;
        conn_free(c);
    }
    return NULL;
}

static void keep(nexthop_t *n, link_conn_t *c) {
    if (!smtp_hop_usable(c->hop)) {
        conn_free(c);
        return;
    }
    c->idle_since_ms = clk_mono_ms(n->clk);
    (void)pthread_mutex_lock(&n->lock);
    bool room = n->kept_n < KEPT_MAX;
    if (room) {
        c->next = n->kept;
        n->kept = c;
        n->kept_n++;
    }
    (void)pthread_mutex_unlock(&n->lock);
    if (room) return;
    smtp_hop_quit(c->hop);
    conn_free(c);
}

void nexthop_tidy(nexthop_t *n) {
    int64_t now = clk_mono_ms(n->clk);
    link_conn_t *old = NULL;
    (void)pthread_mutex_lock(&n->lock);
    link_conn_t **at = &n->kept;
    while (*at && now - (*at)->idle_since_ms < KEEP_MS) at = &(*at)->next;
    old = *at; /* the latest are first, so all behind it are older still */
    *at = NULL;
    for (const link_conn_t *c = old; c; c = c->next) n->kept_n--;
    (void)pthread_mutex_unlock(&n->lock);
    while (old) {
        link_conn_t *next = old->next;
        smtp_hop_quit(old->hop);
        conn_free(old);
        old = next;
    }
}

/* ---- use ---- */

err_t *nexthop_deliver(nexthop_t *n, const smtp_mail_t *mail, nexthop_rewind_t rewind,
                       smtp_status_t *statuses, bool *ret_dsn) {
    bool begun = false;
    link_conn_t *c = take_alive(n);
    for (size_t i = 0; i < mail->rcpts_n; i++) statuses[i] = (smtp_status_t){0};
    if (c) {
        err_t *e = smtp_hop_deliver(c->hop, mail, statuses, &begun);
        *ret_dsn = smtp_hop_has_dsn(c->hop);
        keep(n, c);
        if (!e || begun) return e;
        err_free(e);
        TRY(rewind(mail->arg));
    }
    TRY(conn_new(n, &c));
    err_t *e = smtp_hop_deliver(c->hop, mail, statuses, &begun);
    *ret_dsn = smtp_hop_has_dsn(c->hop);
    keep(n, c);
    return e;
}

static err_t *load_ca(const settings_t *settings, const char *file, buf_t *pem) {
    CLEANUP(mem_free) char *path = NULL;
    if (!file[0]) return NULL;
    TRY(settings_path(settings, file, &path));
    return file_read(path, pem);
}

err_t *nexthop_new(const settings_t *settings, const mailgate_conf_t *conf, side_t side,
                   const clk_t *clk, counters_t *counters, nexthop_t **ret_nexthop) {
    CLEANUP(nexthop_free) nexthop_t *n = mem_zalloc(sizeof *n);
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, CA_MAX);
    if (!n) return err_nomem();
    (void)pthread_mutex_init(&n->lock, NULL);
    n->conf = &conf->sides[side].next;
    n->clk = clk;
    n->counters = counters;
    n->hop_config = (smtp_hop_config_t){.hostname = conf->hostname,
                                        .lmtp = n->conf->lmtp,
                                        .starttls = n->conf->verify && !n->conf->implicit,
                                        .command_ms = (int)conf->next_timeout_s * 1000,
                                        .delivery_ms = (int)conf->delivery_timeout_s * 1000};
    if (n->conf->verify) {
        TRY_WRAP(load_ca(settings, n->conf->ca, &pem), "[mailgate] next hop's CA");
        TRY(tls_context_client(buf_bytes(&pem), &n->tls));
    }
    *ret_nexthop = STEAL(n);
    return NULL;
}

void nexthop_free(nexthop_t *n) {
    if (!n) return;
    for (link_conn_t *c = NULL; (c = take_kept(n));) {
        smtp_hop_quit(c->hop);
        conn_free(c);
    }
    tls_context_free(n->tls);
    (void)pthread_mutex_destroy(&n->lock);
    mem_free(n);
}
