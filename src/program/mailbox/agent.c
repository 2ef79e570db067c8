/*
 * The agent: one thread that waits for commands, for mail and for its lock timer. See mailbox.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/mailbox/mailbox.h"

enum {
    CLIENT_MS = 10 * 1000,       /* a client that says nothing */
    BACKOFF_FIRST_MS = 2 * 1000, /* after mail could not be had */
    BACKOFF_LAST_MS = 5 * 60 * 1000,
    LOOK_MS = 5 * 60 * 1000, /* between two looks without IDLE's word; servers drop IDLE after 30
                                minutes (RFC 2177) */
    HEAD = 4,
};

/* ---- commands ---- */

static err_t *receive(int fd, uint8_t *p, size_t n) {
    for (size_t at = 0; at < n;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, CLIENT_MS) <= 0) return err_new(ERR_TIMEOUT, "a client says nothing");
        ssize_t got = recv(fd, p + at, n - at, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return err_new(ERR_UNAVAILABLE, "a client hung up");
        at += (size_t)got;
    }
    return NULL;
}

static err_t *transmit(int fd, bytes_t data) {
    while (data.n) {
        ssize_t sent = send(fd, data.p, data.n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return err_new(ERR_UNAVAILABLE, "a client hung up");
        data = bytes_from(data, (size_t)sent);
    }
    return NULL;
}

/* Length (u32, big-endian) and JSON, both ways. */
static err_t *answer(int fd, bytes_t reply) {
    uint8_t head[HEAD];
    for (unsigned i = 0; i < HEAD; i++) head[i] = (uint8_t)(reply.n >> (24 - 8 * i));
    TRY(transmit(fd, BYTES_ARRAY(head)));
    return transmit(fd, reply);
}

static err_t *exchange(agent_t *agent, int *fd) {
    CLEANUP(buf_done) buf_t request, reply;
    uint8_t head[HEAD];
    buf_init_secret(&request, LIMIT_BOX_COMMAND);
    buf_init_secret(&reply, LIMIT_BOX_REPLY);
    TRY(receive(*fd, head, HEAD));
    size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (n > LIMIT_BOX_COMMAND) return err_new(ERR_LIMIT, "a command of %zu bytes", n);
    TRY(buf_reserve(&request, n));
    TRY(receive(*fd, request.p, n));
    request.n = n;
    TRY(commands_answer(agent, buf_bytes(&request), &reply));
    if (!agent->wiped || agent->asker >= 0) return answer(*fd, buf_bytes(&reply));
    agent->asker = *fd; /* it hears when all is done */
    *fd = -1;
    return NULL;
}

/* The directory is the owner's alone; who else came in has no business here. */
static bool is_owner(int fd) {
    struct ucred who = {0};
    socklen_t size = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 &&
           (who.uid == geteuid() || who.uid == 0);
}

void agent_serve(agent_t *agent) {
    struct sockaddr_storage from;
    socklen_t n = sizeof from;
    CLEANUP(fd_close)
    int fd = accept4(agent->listener, (struct sockaddr *)&from, &n, SOCK_CLOEXEC);
    if (fd < 0) return;
    if (!is_owner(fd)) return;
    struct timeval patience = {.tv_sec = CLIENT_MS / 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    log_error(agent->log, LOG_WARNING, exchange(agent, &fd), "command");
    if (agent->shut) agent_close(agent);
}

/* ---- time ---- */

void agent_tick(agent_t *agent) {
    if (!keybag_tick(agent->bag)) return;
    agent_close(agent);
    log_line(agent->log, LOG_INFO, "locked");
}

bool agent_unstopped(void *arg) {
    agent_t *agent = arg;
    struct pollfd signals = {.fd = agent->signals, .events = POLLIN};
    if (poll(&signals, 1, 0) > 0) agent->stop = true;
    return !agent->stop;
}

bool agent_go_on(void *arg) {
    agent_t *agent = arg;
    const box_db_t *had = agent->db;
    bool busy = agent->busy;
    if (agent->held == AGENT_HELD_MAX) return true;
    (void)agent_unstopped(agent);
    agent->held++;
    agent->busy = true;
    agent_tick(agent);
    if (!agent->shut) agent_serve(agent);
    agent->held--;
    agent->busy = busy;
    bool yields = agent->yields || agent->shut || agent->db != had || lease_over(agent);
    agent->yields = false;
    return !yields && !agent->stop && !agent->wiped;
}

static void note_failure(agent_t *agent, err_t *e) {
    agent_disconnect(agent);
    (void)err_text(e, agent->last_error, sizeof agent->last_error);
    agent->backoff_ms = agent->backoff_ms ? agent->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (agent->backoff_ms > BACKOFF_LAST_MS) agent->backoff_ms = BACKOFF_LAST_MS;
    agent->next_ms = clk_mono_ms(agent->clk) + agent->backoff_ms;
    log_error(agent->log, LOG_WARNING, e, "no mail for now");
}

static void look(agent_t *agent) {
    agent->busy = true;
    agent->want_sync = false;
    err_t *e = agent_look(agent);
    agent->busy = false;
    if (agent->shut) agent_close(agent);
    if (e) {
        note_failure(agent, e);
        return;
    }
    agent->last_error[0] = '\0';
    agent->backoff_ms = 0;
    agent->next_ms = clk_mono_ms(agent->clk) + LOOK_MS;
}

/* Before the first unlock nothing can be done: the log-in is in class C. */
static bool may_look(agent_t *agent) {
    keybag_state_t state;
    err_t *e = keybag_state(agent->bag, &state);
    if (e) {
        err_free(e);
        return false;
    }
    return state.first && !state.destroyed;
}

static int wait_ms(agent_t *agent, bool looks) {
    if (looks && agent->want_sync) return 0;
    int64_t left = looks ? agent->next_ms - clk_mono_ms(agent->clk) : LOOK_MS;
    int64_t due = keybag_due(agent->bag);
    int64_t lease = lease_due(agent);
    if (due >= 0 && due < left) left = due;
    if (looks && lease >= 0 && lease - clk_mono_ms(agent->clk) < left)
        left = lease - clk_mono_ms(agent->clk);
    if (left < 0) left = 0;
    return (int)(left > LOOK_MS ? LOOK_MS : left);
}

/* A server that is away costs the lease, not the mail: tried again at the next look. */
static void leave_lease(agent_t *agent) {
    agent->want_lease = false;
    err_t *e = lease_renew(agent);
    if (!e) return;
    log_error(agent->log, LOG_WARNING, e, "no lease");
    agent->lease_again = clk_mono_ms(agent->clk) + LOOK_MS;
}

static void look_or_listen(agent_t *agent, bool news, bool stream) {
    bool open = agent->db && !agent->leased;
    if (open && agent->lease_again && clk_mono_ms(agent->clk) >= agent->lease_again)
        agent->want_lease = true;
    if (open && agent->want_lease) leave_lease(agent);
    if (agent->shut) agent_close(agent);
    lease_step(agent, stream);
    if (news || agent->want_sync || clk_mono_ms(agent->clk) >= agent->next_ms) look(agent);
}

static err_t *step(agent_t *agent) {
    bool looks = may_look(agent);
    struct pollfd p[4] = {{.fd = agent->listener, .events = POLLIN},
                          {.fd = agent->signals, .events = POLLIN},
                          {.fd = agent->idling ? imap_fd(agent->imap) : -1, .events = POLLIN},
                          {.fd = lease_fd(agent), .events = POLLIN}};
    int n = poll(p, 4, wait_ms(agent, looks));
    if (n < 0 && errno != EINTR) return err_errno(errno, "poll");
    if (n < 0) return NULL;
    agent_tick(agent);
    if (p[1].revents) agent->stop = true;
    if (p[0].revents) agent_serve(agent);
    if (!agent->stop && !agent->wiped && may_look(agent))
        look_or_listen(agent, p[2].revents != 0, p[3].revents != 0);
    if (agent->shut) agent_close(agent);
    return NULL;
}

/* Nothing of the mailbox is in memory any more: the server is told, and then who asked for it. */
static err_t *end_wipe(agent_t *agent) {
    CLEANUP(buf_done) buf_t reply;
    buf_init(&reply, LIMIT_BOX_REPLY);
    TRY(commands_wiped(agent_end_lease(agent), &reply));
    return agent->asker < 0 ? NULL : answer(agent->asker, buf_bytes(&reply));
}

err_t *agent_run(agent_t *agent) {
    err_t *e = NULL;
    while (!e && !agent->stop && !agent->wiped) e = step(agent);
    box_stream_free(STEAL(agent->stream));
    agent_disconnect(agent);
    agent_close(agent);
    if (agent->wiped) log_error(agent->log, LOG_WARNING, end_wipe(agent), "the end of a wipe");
    fd_close(agent->asker);
    agent->asker = -1;
    secrets_done(&agent->last);
    return e;
}
