/*
 * The answering side: see server.h. Worker threads share one epoll; a channel is armed one-shot,
 * so one worker at a time reads from it, re-arms it and only then handles what it read.
 *
 * Locks: server->lock (the table), channel->lock (its queue and counters), never both at once
 * but in that order. A channel lives until table, workers and replies have let go of it.
 */
#include "ipc/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/frame.h"
#include "ipc/thread.h"

enum { WORKERS_MAX = 256, STOP_NUMBER = 0 };

/* An answer that its client was too slow to take. */
typedef struct queued {
    struct queued *next;
    size_t n;
    uint8_t message[];
} queued_t;

typedef struct served {
    rpc_server_t *server; /* not to be used once ended */
    struct served *next;  /* guarded by server->lock */
    uint64_t number;
    int fd;
    role_t role;
    atomic_uint refs;
    pthread_mutex_t lock;
    unsigned in_flight; /* requests read whose answers are not yet in the socket */
    queued_t *first, *last;
    bool paused; /* at the limit of in_flight: not reading */
    bool ended;
} served_t;

struct rpc_reply {
    served_t *channel; /* a reference */
    uint64_t id;
    uint16_t intent;
};

struct rpc_server {
    rpc_server_config_t config;
    int epoll, stop; /* stop: an eventfd that wakes all workers for good */
    pthread_mutex_t lock;
    served_t *channels;
    uint64_t last_number;
    bool stopping;
    pthread_t threads[WORKERS_MAX];
    unsigned thread_count;
};

static void served_unref(served_t *ch) {
    if (atomic_fetch_sub(&ch->refs, 1) > 1) return;
    for (queued_t *q = ch->first; q;) {
        queued_t *next = q->next;
        mem_wipe(q->message, q->n);
        mem_free(q);
        q = next;
    }
    fd_close(ch->fd);
    (void)pthread_mutex_destroy(&ch->lock);
    mem_free(ch);
}

static served_t *served_find(rpc_server_t *server, uint64_t number) {
    (void)pthread_mutex_lock(&server->lock);
    served_t *ch = server->channels;
    while (ch && ch->number != number) ch = ch->next;
    if (ch) atomic_fetch_add(&ch->refs, 1);
    (void)pthread_mutex_unlock(&server->lock);
    return ch;
}

/* Marks it ended; false if it was already. Afterwards nobody touches epoll or server for it. */
static bool served_mark_ended(served_t *ch) {
    (void)pthread_mutex_lock(&ch->lock);
    bool first = !ch->ended;
    ch->ended = true;
    if (first) {
        (void)epoll_ctl(ch->server->epoll, EPOLL_CTL_DEL, ch->fd, NULL);
        (void)shutdown(ch->fd, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&ch->lock);
    return first;
}

/* Takes the channel out of service and says so once. Takes why (NULL: an orderly end). The server
 * must be alive. */
static void served_end(rpc_server_t *server, served_t *ch, err_t *why) {
    if (!served_mark_ended(ch)) {
        err_free(why);
        return;
    }
    (void)pthread_mutex_lock(&server->lock);
    served_t **at = &server->channels;
    while (*at && *at != ch) at = &(*at)->next;
    bool listed = *at == ch;
    if (listed) *at = ch->next;
    (void)pthread_mutex_unlock(&server->lock);
    if (server->config.closed) server->config.closed(server->config.ctx, ch->role, ch->number, why);
    else err_free(why);
    if (listed) served_unref(ch);
}

/* With channel->lock: tells epoll what this channel wants now. */
static void served_arm(served_t *ch) {
    if (ch->ended) return;
    ch->paused = ch->in_flight >= LIMIT_FRAME_IN_FLIGHT;
    uint32_t wanted = (ch->paused ? 0U : (uint32_t)EPOLLIN) | (ch->first ? (uint32_t)EPOLLOUT : 0U);
    struct epoll_event event = {.events = wanted | (uint32_t)EPOLLONESHOT, .data.u64 = ch->number};
    (void)epoll_ctl(ch->server->epoll, EPOLL_CTL_MOD, ch->fd, &event);
}

static void served_arm_locking(served_t *ch) {
    (void)pthread_mutex_lock(&ch->lock);
    served_arm(ch);
    (void)pthread_mutex_unlock(&ch->lock);
}

/* With channel->lock: one request less is open. */
static void served_answered(served_t *ch) {
    ch->in_flight--;
    if (ch->paused && ch->in_flight < LIMIT_FRAME_IN_FLIGHT) served_arm(ch);
}

/* With channel->lock: keeps an answer for later. False without memory. */
static bool served_queue(served_t *ch, bytes_t head, bytes_t body) {
    queued_t *q = mem_alloc(sizeof *q + head.n + body.n);
    if (!q) return false;
    q->next = NULL;
    q->n = head.n + body.n;
    bytes_put(q->message, head);
    bytes_put(q->message + head.n, body);
    if (ch->last) ch->last->next = q;
    else ch->first = q;
    ch->last = q;
    served_arm(ch);
    return true;
}

/* Sends what waits, as far as the socket takes it. */
static void served_flush(served_t *ch) {
    (void)pthread_mutex_lock(&ch->lock);
    while (ch->first && !ch->ended) {
        queued_t *q = ch->first;
        bool sent = false;
        err_t *e = channel_try_send2(ch->fd, bytes_make(q->message, q->n), BYTES_NONE, &sent);
        if (!e && !sent) break;
        err_free(e); /* the peer is gone: reading says so as well */
        ch->first = q->next;
        if (!ch->first) ch->last = NULL;
        mem_wipe(q->message, q->n);
        mem_free(q);
        served_answered(ch);
    }
    (void)pthread_mutex_unlock(&ch->lock);
}

/* Answers with one frame, at once or when the client reads again. */
static void served_answer(served_t *ch, const frame_t *frame) {
    uint8_t header[FRAME_HEADER];
    bool sent = false;
    err_t *e = frame_header(frame, header);
    (void)pthread_mutex_lock(&ch->lock);
    bool at_once = !ch->first && !ch->ended;
    (void)pthread_mutex_unlock(&ch->lock);
    if (!e && at_once) e = channel_try_send2(ch->fd, BYTES_ARRAY(header), frame->body, &sent);
    (void)pthread_mutex_lock(&ch->lock);
    if (e || sent || ch->ended) {
        served_answered(ch);
    } else if (!served_queue(ch, BYTES_ARRAY(header), frame->body)) {
        /* Without memory for the answer the client must not wait for it: end its channel. The
         * workers see the end and report it. */
        (void)shutdown(ch->fd, SHUT_RDWR);
        served_answered(ch);
        served_arm(ch);
    }
    (void)pthread_mutex_unlock(&ch->lock);
    err_free(e);
}

static void answer_error(served_t *ch, uint16_t intent, uint64_t id, err_t *e) {
    static const uint8_t no_memory[] = {2, 0, 0, 0, 0}; /* frame.c's number of ERR_NOMEM, no text */
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, FRAME_ERROR_MAX);
    err_t *failed = frame_error_encode(e, &body);
    frame_t frame = {.kind = FRAME_ERROR,
                     .intent = intent,
                     .id = id,
                     .body = failed ? BYTES_ARRAY(no_memory) : buf_bytes(&body)};
    served_answer(ch, &frame);
    err_free(failed);
    err_free(e);
}

void rpc_reply_finish(rpc_reply_t *reply, err_t *e, bytes_t body) {
    served_t *ch = reply->channel;
    if (!e && body.n > FRAME_BODY_MAX)
        e = err_new(ERR_LIMIT, "an answer of %zu bytes, at most %d allowed", body.n,
                    FRAME_BODY_MAX);
    if (e) {
        answer_error(ch, reply->intent, reply->id, e);
    } else {
        frame_t frame = {
            .kind = FRAME_REPLY, .intent = reply->intent, .id = reply->id, .body = body};
        served_answer(ch, &frame);
    }
    mem_free(reply);
    served_unref(ch);
}

/* Gives one request to the handler. */
static void handle_frame(rpc_server_t *server, served_t *ch, const frame_t *frame) {
    rpc_request_t request = {
        .role = ch->role, .channel = ch->number, .intent = frame->intent, .body = frame->body};
    if (frame->kind == FRAME_EVENT) {
        server->config.handle(server->config.ctx, &request, NULL);
        return;
    }
    rpc_reply_t *reply = mem_alloc(sizeof *reply);
    if (!reply) {
        answer_error(ch, frame->intent, frame->id, err_nomem());
        return;
    }
    *reply = (rpc_reply_t){.channel = ch, .id = frame->id, .intent = frame->intent};
    atomic_fetch_add(&ch->refs, 1);
    server->config.handle(server->config.ctx, &request, reply);
}

/* Counts a request in before the channel is armed again. False if reading is paused: somebody
 * must answer first. */
static bool may_read(served_t *ch) {
    (void)pthread_mutex_lock(&ch->lock);
    bool may = !ch->ended && ch->in_flight < LIMIT_FRAME_IN_FLIGHT;
    (void)pthread_mutex_unlock(&ch->lock);
    return may;
}

static void count_and_arm(served_t *ch, const frame_t *frame) {
    (void)pthread_mutex_lock(&ch->lock);
    if (frame->kind == FRAME_REQUEST) ch->in_flight++;
    served_arm(ch);
    (void)pthread_mutex_unlock(&ch->lock);
}

/* Takes one message and handles it; the channel is armed again as early as possible. */
static void serve_one(rpc_server_t *server, served_t *ch, uint8_t *room) {
    size_t n = 0;
    bool got = false;
    frame_t frame;
    err_t *e = channel_try_recv(ch->fd, room, LIMIT_FRAME_BYTES, &n, &got);
    if (!e && !got) {
        served_arm_locking(ch);
        return;
    }
    if (e && err_code(e) == ERR_UNAVAILABLE) {
        err_free(e);
        served_end(server, ch, NULL);
        return;
    }
    if (!e) e = frame_decode(bytes_make(room, n), &frame);
    if (!e && frame.kind != FRAME_REQUEST && frame.kind != FRAME_EVENT)
        e = err_new(ERR_INVALID, "a frame that is neither request nor event");
    if (e) {
        served_end(server, ch, e);
    } else {
        count_and_arm(ch, &frame);
        handle_frame(server, ch, &frame);
    }
    mem_wipe(room, n); /* requests may carry secrets */
}

static void serve_event(rpc_server_t *server, const struct epoll_event *event, uint8_t *room) {
    served_t *ch = served_find(server, event->data.u64);
    if (!ch) return;
    if (event->events & EPOLLOUT) served_flush(ch);
    if (may_read(ch)) serve_one(server, ch, room);
    else if (event->events & (EPOLLHUP | EPOLLERR)) served_end(server, ch, NULL);
    else served_arm_locking(ch);
    served_unref(ch);
}

typedef struct {
    rpc_server_t *server;
    uint8_t *room;
} worker_t;

static void *worker_main(void *arg) {
    worker_t *worker = arg;
    rpc_server_t *server = worker->server;
    for (;;) {
        struct epoll_event event;
        int n = epoll_wait(server->epoll, &event, 1, -1); /* one: the others are for the others */
        if (n < 0 && errno != EINTR) break;
        if (n == 1 && event.data.u64 == STOP_NUMBER) break;
        if (n == 1) serve_event(server, &event, worker->room);
    }
    mem_free(worker->room);
    mem_free(worker);
    return NULL;
}

static err_t *worker_start(rpc_server_t *server) {
    worker_t *worker = mem_alloc(sizeof *worker);
    if (!worker) return err_nomem();
    *worker = (worker_t){.server = server, .room = mem_alloc(LIMIT_FRAME_BYTES)};
    err_t *e = worker->room ? thread_start("rpc-worker", worker_main, worker,
                                           &server->threads[server->thread_count])
                            : err_nomem();
    if (e) {
        mem_free(worker->room);
        mem_free(worker);
        return e;
    }
    server->thread_count++;
    return NULL;
}

static unsigned worker_count(unsigned wanted) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = wanted ? wanted : cores > 0 ? (unsigned)cores : 1;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static err_t *server_start(rpc_server_t *server) {
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll < 0) return err_errno(errno, "cannot make an epoll");
    server->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->stop < 0) return err_errno(errno, "cannot make an eventfd");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = STOP_NUMBER};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->stop, &event) != 0)
        return err_errno(errno, "cannot watch an eventfd");
    unsigned count = worker_count(server->config.workers);
    while (server->thread_count < count) TRY(worker_start(server));
    return NULL;
}

err_t *rpc_server_new(const rpc_server_config_t *config, rpc_server_t **ret_server) {
    CLEANUP(rpc_server_free) rpc_server_t *server = mem_zalloc(sizeof *server);
    if (!server) return err_nomem();
    server->config = *config;
    server->epoll = server->stop = -1;
    (void)pthread_mutex_init(&server->lock, NULL);
    TRY_WRAP(server_start(server), "cannot start the server");
    *ret_server = STEAL(server);
    return NULL;
}

void rpc_server_stop(rpc_server_t *server) {
    (void)pthread_mutex_lock(&server->lock);
    server->stopping = true;
    (void)pthread_mutex_unlock(&server->lock);
    if (server->stop >= 0) (void)eventfd_write(server->stop, 1);
    while (server->thread_count) (void)pthread_join(server->threads[--server->thread_count], NULL);
}

void rpc_server_free(rpc_server_t *server) {
    if (!server) return;
    rpc_server_stop(server);
    while (server->channels) {
        served_t *ch = server->channels;
        server->channels = ch->next;
        (void)served_mark_ended(ch);
        served_unref(ch);
    }
    fd_close(server->stop);
    fd_close(server->epoll);
    (void)pthread_mutex_destroy(&server->lock);
    mem_free(server);
}

err_t *rpc_server_add(rpc_server_t *server, int fd, role_t role) {
    served_t *ch = mem_zalloc(sizeof *ch);
    if (!ch) {
        fd_close(fd);
        return err_nomem();
    }
    ch->server = server;
    ch->fd = fd;
    ch->role = role;
    (void)pthread_mutex_init(&ch->lock, NULL);
    atomic_init(&ch->refs, 1);
    (void)pthread_mutex_lock(&server->lock);
    ch->number = ++server->last_number; /* STOP_NUMBER is never given */
    struct epoll_event event = {.events = (uint32_t)EPOLLIN | (uint32_t)EPOLLONESHOT,
                                .data.u64 = ch->number};
    err_t *e = server->stopping ? err_new(ERR_UNAVAILABLE, "the server is stopping") : NULL;
    /* Workers look the number up under this lock, so the event cannot come before its entry. */
    if (!e && epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        e = err_errno(errno, "cannot watch a channel");
    if (!e) {
        ch->next = server->channels;
        server->channels = ch;
    }
    (void)pthread_mutex_unlock(&server->lock);
    if (e) served_unref(ch);
    return e;
}
