/*
 * The loop: see loop.h.
 */
#include "program/mailgate/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/conf.h"
#include "program/mailgate/loop_internal.h"
#include "smtp/address.h"

enum { EVENTS = 256, TICK_MS = 1000, TIDY_MS = 5000, BACKLOG = 1024 };

void loop_touch(conn_t *c) {
    loop_t *loop = c->loop;
    c->deadline_ms = clk_mono_ms(loop->options.clk) + loop->options.conf->timeout_s * (int64_t)1000;
    if (loop->newest == c) return;
    if (c->before) c->before->after = c->after;
    else loop->oldest = c->after;
    c->after->before = c->before;
    c->before = loop->newest;
    c->after = NULL;
    loop->newest->after = c;
    loop->newest = c;
}

/* ---- listeners ---- */

/* Whether the recipient's domain is among ours. */
static bool accepts(void *arg, bytes_t address, smtp_status_t *ret_why) {
    const side_conf_t *side = arg;
    bytes_t list = side->domains, domain = BYTES_NONE;
    while (conf_list_next(&list, &domain))
        if (text_eq_fold(domain, smtp_domain(address))) return true;
    *ret_why = smtp_status(550, "5.7.1", "Mail for that domain is not taken here");
    return false;
}

static err_t *bind_to(const settings_listen_t *at, int *ret_fd) {
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(at->port)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(at->port)};
    bool v4 = inet_pton(AF_INET, at->address, &in.sin_addr) == 1;
    int on = 1;
    if (!v4 && inet_pton(AF_INET6, at->address, &in6.sin6_addr) != 1)
        return err_new(ERR_INVALID, "%s is no address to listen on", at->address);
    CLEANUP(fd_close)
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_errno(errno, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int failed = v4 ? bind(fd, (const struct sockaddr *)&in, sizeof in)
                    : bind(fd, (const struct sockaddr *)&in6, sizeof in6);
    if (failed || listen(fd, BACKLOG) != 0)
        return err_errno(errno, "cannot listen on %s port %u", at->address, at->port);
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

static err_t *watch(loop_t *loop, int fd, void *source) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = source}};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) != 0) return err_errno(errno, "epoll");
    return NULL;
}

static err_t *add_listener(loop_t *loop, side_t side) {
    const mailgate_conf_t *conf = loop->options.conf;
    const side_conf_t *s = &conf->sides[side];
    listener_t *l = &loop->listeners[side];
    *l = (listener_t){.source = SOURCE_LISTENER, .loop = loop, .side = side, .fd = -1};
    if (!s->listen.address[0]) return NULL;
    l->server = (smtp_server_t){
        .hostname = conf->hostname,
        .max_message =
            (uint64_t)(conf->max_message < conf->spool_max ? conf->max_message : conf->spool_max),
        .max_recipients = (size_t)conf->max_recipients,
        .starttls = s->tls == LISTEN_STARTTLS || s->tls == LISTEN_REQUIRED,
        .tls_required = s->tls == LISTEN_REQUIRED,
        .dsn = !s->next.lmtp,
        .accepts = s->domains.n ? accepts : NULL,
        .arg = (void *)(uintptr_t)s};
    TRY(bind_to(&s->listen, &l->fd));
    TRY(watch(loop, l->fd, l));
    log_line(loop->options.log, LOG_INFO, "listening on %s port %u for mail %s", s->listen.address,
             s->listen.port, side == SIDE_OUT ? "out" : "in");
    return NULL;
}

err_t *loop_new(const loop_options_t *options, loop_t **ret_loop) {
    CLEANUP(loop_free) loop_t *loop = mem_zalloc(sizeof *loop);
    if (!loop) return err_nomem();
    loop->options = *options;
    loop->wake_source = SOURCE_WAKE;
    loop->stop_source = SOURCE_STOP;
    for (size_t i = 0; i < SIDES; i++) loop->listeners[i].fd = -1;
    loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0 || loop->wake < 0) return err_errno(errno, "epoll");
    loop->scratch = mem_alloc(SCRATCH);
    if (!loop->scratch) return err_nomem();
    TRY(watch(loop, loop->wake, &loop->wake_source));
    TRY(add_listener(loop, SIDE_OUT));
    TRY(add_listener(loop, SIDE_IN));
    *ret_loop = STEAL(loop);
    return NULL;
}

/* ---- running ---- */

static void take_answers(loop_t *loop) {
    uint64_t count = 0;
    ssize_t n = read(loop->wake, &count, sizeof count);
    (void)n;
    for (job_t *job = workers_take(loop->workers); job;) {
        job_t *next = job->next;
        loop->jobs--;
        conn_answer(job->conn, job);
        job = next;
    }
}

static void bury(loop_t *loop) {
    while (loop->dead) {
        conn_t *c = loop->dead;
        loop->dead = c->next_dead;
        mem_free(c);
    }
}

static void take_timeouts(loop_t *loop) {
    int64_t now = clk_mono_ms(loop->options.clk);
    conn_t *last = loop->newest;
    for (conn_t *c = loop->oldest; c;) {
        conn_t *next = c == last ? NULL : c->after;
        if (c->deadline_ms <= now) conn_timeout(c);
        else if (!loop->lingering) break; /* those who linger wait less than the order says */
        c = next;
    }
}

static void begin_drain(loop_t *loop) {
    if (loop->draining) return;
    loop->draining = true;
    loop->drained_ms = clk_mono_ms(loop->options.clk) + LOOP_DRAIN_MS;
    for (size_t i = 0; i < SIDES; i++) {
        fd_close(loop->listeners[i].fd);
        loop->listeners[i].fd = -1;
    }
    for (conn_t *c = loop->oldest, *next = NULL; c; c = next) {
        next = c->after;
        conn_drain(c);
    }
}

static void take_event(loop_t *loop, const struct epoll_event *event) {
    source_t *source = event->data.ptr;
    switch (*source) {
    case SOURCE_LISTENER: conn_accept(loop, (const listener_t *)event->data.ptr); return;
    case SOURCE_WAKE: take_answers(loop); return;
    case SOURCE_STOP: begin_drain(loop); return;
    case SOURCE_CONN: break;
    }
    conn_t *c = event->data.ptr;
    if (c->fd < 0) return; /* closed in this round */
    if ((event->events & (EPOLLERR | EPOLLHUP)) && c->job_pending) {
        c->broken = true; /* nobody will read the answer */
        conn_close(c);
        return;
    }
    conn_step(c);
}

static bool is_over(const loop_t *loop) {
    if (!loop->draining) return false;
    return loop->jobs == 0 || clk_mono_ms(loop->options.clk) >= loop->drained_ms;
}

static err_t *serve(loop_t *loop) {
    struct epoll_event events[EVENTS];
    int64_t tidy_ms = 0;
    while (!is_over(loop)) {
        int n = epoll_wait(loop->epoll, events, EVENTS, TICK_MS);
        if (n < 0 && errno != EINTR) return err_errno(errno, "epoll");
        for (int i = 0; i < n; i++) take_event(loop, &events[i]);
        bury(loop);
        take_timeouts(loop);
        bury(loop);
        int64_t now = clk_mono_ms(loop->options.clk);
        if (now < tidy_ms) continue;
        tidy_ms = now + TIDY_MS;
        for (size_t i = 0; i < SIDES; i++)
            if (loop->options.deliver->hops[i]) nexthop_tidy(loop->options.deliver->hops[i]);
    }
    return NULL;
}

err_t *loop_run(loop_t *loop, int stop_fd) {
    TRY(watch(loop, stop_fd, &loop->stop_source));
    TRY(workers_start(loop->options.deliver, (size_t)loop->options.conf->workers, loop->wake,
                      &loop->workers));
    err_t *e = serve(loop);
    while (loop->oldest) {
        loop->oldest->broken = true;
        conn_close(loop->oldest);
    }
    bury(loop);
    workers_stop(loop->workers);
    return e;
}

void loop_free(loop_t *loop) {
    if (!loop) return;
    for (size_t i = 0; i < SIDES; i++) fd_close(loop->listeners[i].fd);
    fd_close(loop->epoll);
    fd_close(loop->wake);
    mem_free(loop->scratch);
    mem_free(loop);
}
