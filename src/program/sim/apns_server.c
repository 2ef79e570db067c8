/*
 * The push stand-in's event loop: see apns_server.h. epoll, one thread, one event at a time: a
 * handler may close any other connection.
 */
#include "program/sim/apns_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { BACKLOG = 128, SOURCES_MAX = 20000 };

typedef enum { SOURCE_PROVIDERS, SOURCE_DEVICES, SOURCE_SIGNAL, SOURCE_H2, SOURCE_LINE } kind_t;

typedef struct source source_t;
struct source {
    kind_t kind;
    int fd; /* of the listeners and the signal */
    apns_h2_t *h2;
    apns_line_t *line;
    source_t *before, *after;
};

typedef struct {
    apns_t *apns;
    const apns_server_options_t *o;
    int epoll;
    source_t providers, devices, signals;
    source_t *open; /* connections */
    size_t open_n;
    bool stop;
} server_t;

static err_t *watch(const server_t *s, source_t *source, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0) return err_errno(errno, "epoll");
    return NULL;
}

static err_t *listen_at(const char *host, uint16_t port, int *ret_fd, uint16_t *ret_port) {
    CLEANUP(fd_close) int fd = -1;
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_four = inet_pton(AF_INET, host, &four.sin_addr) == 1;
    if (!is_four && inet_pton(AF_INET6, host, &six.sin6_addr) != 1)
        return err_new(ERR_USAGE, "%s is no numeric address", host);
    fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_errno(errno, "socket");
    int yes = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    int bound = is_four ? bind(fd, (const struct sockaddr *)&four, sizeof four)
                        : bind(fd, (const struct sockaddr *)&six, sizeof six);
    if (bound != 0 || listen(fd, BACKLOG) != 0) return err_errno(errno, "%s:%u", host, port);
    struct sockaddr_in6 name;
    socklen_t n = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &n) != 0) return err_errno(errno, "getsockname");
    *ret_port = ntohs(name.sin6_port); /* the port lies in the same place for IPv4 */
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

static void drop(server_t *s, source_t *source) {
    if (source->before) source->before->after = source->after;
    else s->open = source->after;
    if (source->after) source->after->before = source->before;
    s->open_n--;
    if (source->h2) apns_h2_free(source->h2);
    if (source->line) apns_line_drop(s->apns->lines, source->line);
    mem_free(source);
}

static err_t *open_source(server_t *s, kind_t kind, int fd, source_t **ret_source) {
    source_t *source = s->open_n < SOURCES_MAX ? mem_zalloc(sizeof *source) : NULL;
    if (!source) {
        fd_close(fd);
        return err_nomem();
    }
    source->kind = kind;
    err_t *e = kind == SOURCE_H2 ? apns_h2_new(s->apns, s->o->tls, fd, &source->h2)
                                 : apns_line_add(s->apns->lines, fd, &source->line);
    if (e) {
        mem_free(source);
        return e;
    }
    source->after = s->open;
    if (source->after) source->after->before = source;
    s->open = source;
    s->open_n++;
    *ret_source = source;
    return NULL;
}

static err_t *accept_one(server_t *s, const source_t *listener) {
    source_t *source = NULL;
    kind_t kind = listener->kind == SOURCE_PROVIDERS ? SOURCE_H2 : SOURCE_LINE;
    /* cppcheck-suppress nullPointer ; accept(2): no address is asked for */
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return NULL; /* gone again, or no descriptors: the next event tells */
    err_t *e = open_source(s, kind, fd, &source);
    if (!e) e = watch(s, source, fd, EPOLLIN);
    if (!e) return NULL;
    if (source) drop(s, source);
    err_free(e); /* that peer is lost, the others are served */
    return NULL;
}

static void step_h2(server_t *s, source_t *source) {
    bool open = false;
    err_t *e = apns_h2_step(source->h2, &open);
    if (e) {
        char text[400];
        sim_note(s->o->out, "apns.peer", "connection ended: %s", err_text(e, text, sizeof text));
        err_free(e);
        open = false;
    }
    if (!open) {
        drop(s, source);
        return;
    }
    uint32_t events = EPOLLIN | (apns_h2_wants_write(source->h2) ? EPOLLOUT : 0U);
    struct epoll_event event = {.events = events, .data.ptr = source};
    (void)epoll_ctl(s->epoll, EPOLL_CTL_MOD, apns_h2_fd(source->h2), &event);
}

static err_t *dispatch(server_t *s, source_t *source) {
    switch (source->kind) {
    case SOURCE_PROVIDERS:
    case SOURCE_DEVICES: return accept_one(s, source);
    case SOURCE_SIGNAL: s->stop = true; return NULL;
    case SOURCE_H2: step_h2(s, source); return NULL;
    case SOURCE_LINE:
        if (!apns_line_read(s->apns->lines, source->line, clk_unix(s->apns->clk))) drop(s, source);
        return NULL;
    }
    return NULL;
}

/* Stalled answers that are due; returns milliseconds until the next, -1 if there is none. */
static int run_due(server_t *s) {
    int64_t now = clk_mono_ms(s->apns->clk);
    int64_t next = INT64_MAX;
    for (source_t *source = s->open; source;) {
        source_t *after = source->after;
        int64_t due = source->h2 ? apns_h2_due(source->h2) : INT64_MAX;
        if (due <= now) step_h2(s, source);
        else if (due < next) next = due;
        source = after;
    }
    return next == INT64_MAX ? -1 : (int)(next - now);
}

static err_t *loop(server_t *s) {
    while (!s->stop) {
        struct epoll_event event;
        int n = epoll_wait(s->epoll, &event, 1, run_due(s));
        if (n < 0 && errno != EINTR) return err_errno(errno, "epoll");
        if (n == 1) TRY(dispatch(s, event.data.ptr));
    }
    return NULL;
}

static err_t *start(server_t *s) {
    sigset_t signals;
    uint16_t port = 0, device_port = 0;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->signals.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->epoll < 0 || s->signals.fd < 0) return err_errno(errno, "epoll");
    TRY(listen_at(s->o->host, s->o->port, &s->providers.fd, &port));
    TRY(listen_at("127.0.0.1", s->o->device_port, &s->devices.fd, &device_port));
    TRY(watch(s, &s->providers, s->providers.fd, EPOLLIN));
    TRY(watch(s, &s->devices, s->devices.fd, EPOLLIN));
    TRY(watch(s, &s->signals, s->signals.fd, EPOLLIN));
    sim_step(s->o->out, "apns.listening",
             "listening: push stand-in at https://%s:%u, devices at 127.0.0.1:%u", s->o->host, port,
             device_port);
    return NULL;
}

err_t *apns_serve(apns_t *apns, const apns_server_options_t *options) {
    server_t s = {.apns = apns,
                  .o = options,
                  .epoll = -1,
                  .providers = {.kind = SOURCE_PROVIDERS, .fd = -1},
                  .devices = {.kind = SOURCE_DEVICES, .fd = -1},
                  .signals = {.kind = SOURCE_SIGNAL, .fd = -1}};
    err_t *e = start(&s);
    if (!e) e = loop(&s);
    while (s.open) drop(&s, s.open);
    fd_close(s.providers.fd);
    fd_close(s.devices.fd);
    fd_close(s.signals.fd);
    fd_close(s.epoll);
    if (!e)
        sim_note(options->out, "apns.ended", "%llu pushes taken, %llu refused",
                 (unsigned long long)apns->pushes, (unsigned long long)apns->refused);
    return e;
}
