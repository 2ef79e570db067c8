/*
 * One mailbox at its IMAP server: see idler_internal.h. The idler's thread.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "arrival/record.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "keeper/client_mailbox.h"
#include "program/common/worker.h"
#include "program/courier/idler_internal.h"

enum {
    TALK_MS = 60 * 1000, /* a server's answer may take so long */
    SHORT_MS = 1000,     /* between two news of one mailbox */
    MINUTE_MS = 60 * 1000,
    FOUND_MS = 300 * 1000, /* an address is used so long */
    OUT_MAX = 32 * 1024,
    PIECE = 16 * 1024,
    ARENA = 64 * 1024,
    TEXT = 300,
};

static int64_t now_of(const idler_t *idler) { return clk_mono_ms(idler->o.clk); }

static void fail(idler_t *idler, idler_conn_t *c, err_t *e);

/* ---- what the store knows ---- */

typedef struct {
    idler_t *idler;
    idler_conn_t *c;
    arena_t *arena;
    db_mailbox_t box;
    db_mail_mark_t mark;
    bool found, marked;
    arrival_t arrival;
    const char *state, *problem;
} row_job_t;

static err_t *read_row(db_conn_t *conn, void *arg) {
    row_job_t *job = arg;
    TRY(db_mailboxes_find(conn, job->arena, job->c->account, &job->box, &job->found));
    return db_mailbox_folders_find(conn, job->arena, job->c->account, "INBOX", &job->mark,
                                   &job->marked);
}

static err_t *write_state(db_conn_t *conn, void *arg) {
    const row_job_t *job = arg;
    return db_mailboxes_heard(conn, job->c->account, job->state, job->problem,
                              clk_unix_ms(job->idler->o.clk));
}

static void say_state(idler_t *idler, idler_conn_t *c, const char *state, const char *problem) {
    row_job_t job = {.idler = idler, .c = c, .state = state, .problem = problem};
    log_error(idler->o.log, LOG_WARNING, db_write(idler->o.db, write_state, &job), "mailbox %s",
              c->account);
}

static err_t *write_news(db_conn_t *conn, void *arg) {
    row_job_t *job = arg;
    arrival_end_t end;
    bool found = false;
    TRY(db_mailboxes_find(conn, job->arena, job->c->account, &job->box, &found));
    if (!found) return NULL;
    return arrival_record(conn, job->arena, &job->box, &job->arrival,
                          clk_unix_ms(job->idler->o.clk), &end);
}

/* What it knows now, so that a new connection begins there. The first time is no news. */
static err_t *write_settled(db_conn_t *conn, void *arg) {
    const row_job_t *job = arg;
    TRY(write_state(conn, arg));
    if (job->c->watch.news) return NULL; /* comes with them */
    const db_mail_mark_t mark = {.account = job->c->account,
                                 .folder = "INBOX",
                                 .uidvalidity = job->arrival.uidvalidity,
                                 .uid = job->arrival.uid,
                                 .modseq = job->arrival.modseq};
    return db_mailbox_folders_put(conn, &mark);
}

/* Of the other folders, in one transaction. What we asked for is compared with what was known. */
static err_t *write_folders(db_conn_t *conn, void *arg) {
    row_job_t *job = arg;
    int64_t now = clk_unix_ms(job->idler->o.clk);
    for (const imap_folder_t *f = job->c->watch.folders.first; f; f = f->next) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        arrival_end_t end;
        bool found = false;
        TRY(arena_new(ARENA, &arena));
        TRY(db_mailboxes_find(conn, arena, job->c->account, &job->box, &found));
        if (!found) return NULL;
        if (f->asked) TRY(arrival_settle(conn, arena, &job->box, &f->arrival, now, &end));
        else if (f->arrival.uid)
            TRY(arrival_record(conn, arena, &job->box, &f->arrival, now, &end));
    }
    return NULL;
}

static err_t *take_news(idler_t *idler, idler_conn_t *c) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    int64_t now = now_of(idler);
    bool news = c->watch.news, folders = c->watch.folders.first && c->watched;
    if ((!news && !folders) || now - c->news_ms < SHORT_MS) return NULL; /* the tick takes it */
    c->news_ms = now;
    TRY(arena_new(ARENA, &arena));
    row_job_t job = {.idler = idler, .c = c, .arena = arena};
    if (folders) {
        TRY(db_write(idler->o.db, write_folders, &job));
        imap_folders_done(&c->watch.folders);
    }
    if (!news) return NULL;
    job.arrival = imap_watch_news(&c->watch);
    return db_write(idler->o.db, write_news, &job);
}

/* ---- the socket ---- */

void idler_conn_close(idler_t *idler, idler_conn_t *c) {
    if (c->begun) idler->beginning--;
    c->begun = false;
    tls_stream_free(c->tls);
    c->tls = NULL;
    fd_close(c->fd); /* leaves epoll, too */
    c->fd = -1;
    imap_watch_done(&c->watch);
    c->watch = (imap_watch_t){0};
    buf_done(&c->out);
    buf_init_secret(&c->out, OUT_MAX);
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
    c->due_ms = now_of(idler) + work_backoff_ms(attempts, (uint8_t)(uintptr_t)c);
    if (c->attempts == 1 && !refused) c->due_ms = now_of(idler) + SHORT_MS;
    c->watched = false;
    log_line(idler->o.log, LOG_INFO, "mailbox %s: %s", c->account, text);
    if (c->attempts > 1 || refused) say_state(idler, c, "failed", text);
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

/* Blocks for a look-up now and then: of few servers, and not often. */
static err_t *find_address(idler_t *idler, const char *name, const imap_server_t *server,
                           idler_address_t **ret_address) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int64_t now = now_of(idler);
    for (size_t i = 0; i < IDLER_ADDRESSES; i++) {
        idler_address_t *a = &idler->addresses[i];
        if (a->until_ms > now && strcmp(a->server, name) == 0) {
            *ret_address = a;
            return NULL;
        }
    }
    int failed = getaddrinfo(server->host, server->port, &hints, &found);
    if (failed)
        return err_new(ERR_UNAVAILABLE, "cannot find %s: %s", server->host, gai_strerror(failed));
    idler_address_t *a = &idler->addresses[idler->next_address++ % IDLER_ADDRESSES];
    (void)snprintf(a->server, sizeof a->server, "%s", name);
    memcpy(&a->address, found->ai_addr, found->ai_addrlen);
    a->size = found->ai_addrlen;
    a->until_ms = now + FOUND_MS;
    freeaddrinfo(found);
    *ret_address = a;
    return NULL;
}

static err_t *begin(idler_t *idler, idler_conn_t *c) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    imap_server_t server;
    idler_address_t *address = NULL;
    arrival_t from = {.folder = "INBOX"};
    int on = 1;
    TRY(arena_new(ARENA, &arena));
    row_job_t job = {.idler = idler, .c = c, .arena = arena};
    TRY(db_read(idler->o.db, read_row, &job));
    if (!job.found) return err_new(ERR_NOT_FOUND, "it is not watched any more");
    if (job.marked)
        from = (arrival_t){"INBOX", job.mark.uidvalidity, job.mark.uid, job.mark.modseq};
    imap_watch_init(&c->watch, &from);
    buf_done(&c->out);
    buf_init_secret(&c->out, OUT_MAX);
    TRY(imap_server_parse(bytes_str(c->server), &server));
    TRY(find_address(idler, c->server, &server, &address));
    c->fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return err_errno(errno, "cannot make a socket");
    (void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->events = 0;
    c->state = IDLER_CONNECTS;
    c->deadline_ms = now_of(idler) + TALK_MS;
    if (connect(c->fd, (const struct sockaddr *)&address->address, address->size) != 0 &&
        errno != EINPROGRESS)
        return err_errno(errno, "cannot connect");
    if (server.tls) TRY(tls_stream_new(idler->tls, c->fd, server.host, &c->tls));
    return want(idler, c, EPOLLOUT);
}

static err_t *finish_connect(idler_t *idler, idler_conn_t *c) {
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0) number = errno;
    if (number) {
        for (size_t i = 0; i < IDLER_ADDRESSES; i++) /* perhaps it has moved */
            if (strcmp(idler->addresses[i].server, c->server) == 0)
                idler->addresses[i].until_ms = 0;
        return err_errno(number, "cannot connect");
    }
    c->state = c->tls ? IDLER_SHAKES : IDLER_TALKS;
    return want(idler, c, EPOLLIN);
}

static err_t *shake(idler_t *idler, idler_conn_t *c) {
    tls_state_t state = TLS_OK;
    TRY(tls_stream_handshake(c->tls, &state));
    if (state == TLS_CLOSED) return err_new(ERR_UNAVAILABLE, "the server closed the connection");
    if (state == TLS_OK) c->state = IDLER_TALKS;
    return want(idler, c, state == TLS_WANT_WRITE ? EPOLLOUT : EPOLLIN);
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
    buf_init_secret(&c->out, OUT_MAX);
    return want(idler, c, EPOLLIN);
}

/* ---- talk ---- */

static err_t *log_in(idler_t *idler, idler_conn_t *c) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t password;
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    TRY(arena_new(ARENA, &arena));
    row_job_t job = {.idler = idler, .c = c, .arena = arena};
    TRY(db_read(idler->o.db, read_row, &job));
    if (!job.found) return err_new(ERR_NOT_FOUND, "it is not watched any more");
    const keeper_mailbox_t mailbox = {c->account, c->server, c->login};
    TRY(keeper_mailbox_open(idler->o.keeper, &mailbox, job.box.sealed, &password));
    return imap_watch_login(&c->watch, c->login, buf_bytes(&password), &c->out);
}

/* It waits for mail: all is well. */
static err_t *settle(idler_t *idler, idler_conn_t *c) {
    row_job_t job = {.idler = idler, .c = c, .state = "watched", .problem = ""};
    c->deadline_ms = INT64_MAX;
    if (c->watched) return NULL;
    c->watched = true;
    c->attempts = 0;
    if (c->begun) idler->beginning--;
    c->begun = false;
    c->due_ms = now_of(idler) + idler->o.reconcile_s * 1000;
    job.arrival = (arrival_t){"INBOX", c->watch.uidvalidity, c->watch.uid, c->watch.modseq};
    return db_write(idler->o.db, write_settled, &job);
}

static err_t *count_bytes(idler_t *idler, idler_conn_t *c, size_t n) {
    int64_t now = now_of(idler);
    if (now - c->minute_ms > MINUTE_MS) {
        c->minute_ms = now;
        c->minute_bytes = 0;
    }
    c->minute_bytes += n;
    if (c->minute_bytes <= LIMIT_IMAP_MINUTE) return NULL;
    return err_new(ERR_LIMIT, "the server says more than %d bytes a minute", LIMIT_IMAP_MINUTE);
}

static err_t *talk(idler_t *idler, idler_conn_t *c) {
    uint8_t piece[PIECE];
    for (tls_state_t state = TLS_OK; state == TLS_OK;) {
        size_t n = 0;
        imap_state_t before = c->watch.state;
        TRY(receive(c, piece, &n, &state));
        if (state == TLS_CLOSED)
            return err_new(ERR_UNAVAILABLE, "the server closed the connection");
        TRY(count_bytes(idler, c, n));
        TRY(imap_watch_input(&c->watch, bytes_make(piece, n), &c->out));
        if (c->watch.state == IMAP_LOGIN) TRY(log_in(idler, c));
        if (c->watch.state != before) c->deadline_ms = now_of(idler) + TALK_MS;
    }
    if (c->watch.state == IMAP_IDLE) TRY(settle(idler, c));
    TRY(take_news(idler, c));
    return send_out(idler, c);
}

static err_t *step(idler_t *idler, idler_conn_t *c) {
    switch (c->state) {
    case IDLER_RESTS: return NULL;
    case IDLER_CONNECTS: TRY(finish_connect(idler, c)); return c->tls ? shake(idler, c) : NULL;
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
    TRY(take_news(idler, c));
    if (now < c->due_ms) return NULL;
    c->due_ms = now + idler->o.reconcile_s * 1000;
    if (c->watch.state != IMAP_IDLE) return NULL;
    c->deadline_ms = now + TALK_MS;
    TRY(imap_watch_look(&c->watch, &c->out));
    return send_out(idler, c);
}

void idler_conn_tick(idler_t *idler, idler_conn_t *c, int64_t now) {
    err_t *e = NULL;
    if (c->state == IDLER_RESTS) {
        if (now < c->due_ms) return;
        c->begun = true;
        idler->beginning++;
        e = begin(idler, c);
    } else if (now > c->deadline_ms) {
        e = err_new(ERR_TIMEOUT, "the server says nothing");
    } else if (c->watched) {
        e = look(idler, c, now);
    }
    if (e) fail(idler, c, e);
}

void idler_conn_free(idler_t *idler, idler_conn_t *c) {
    idler_conn_close(idler, c);
    buf_done(&c->out);
    mem_free(c->account);
    mem_free(c->server);
    mem_free(c->login);
    mem_free(c);
}
