/*
 * SOCK_SEQPACKET channels: see channel.h and unix(7). Any process, any thread.
 */
#include "ipc/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clk.h"
#include "base/fault.h"
#include "base/file.h"

enum {
    CHANNEL_BUFFER = 1024 * 1024, /* bytes wanted for each direction: a few of the longest frames */
    CHANNEL_OVERHEAD = 1024,      /* bytes that the kernel may keep for itself around a message */
    CHANNEL_FDS = 4,              /* room for descriptors, so that a surplus is seen and closed */
};

/* The kernel takes twice the value, capped by the sysctl unless we may force it. */
static err_t *grow_buffer(int fd, int option, int forced, const char *sysctl) {
    int size = CHANNEL_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size) != 0 &&
        setsockopt(fd, SOL_SOCKET, option, &size, sizeof size) != 0)
        return err_errno(errno, "cannot size a channel's buffer");
    socklen_t length = sizeof size;
    if (getsockopt(fd, SOL_SOCKET, option, &size, &length) != 0)
        return err_errno(errno, "cannot ask for a channel's buffer size");
    if (size < LIMIT_FRAME_BYTES + CHANNEL_OVERHEAD)
        return err_new(ERR_LIMIT,
                       "the kernel allows a channel only %d bytes, %d are needed: "
                       "raise it with sysctl -w %s=%d",
                       size, LIMIT_FRAME_BYTES + CHANNEL_OVERHEAD, sysctl, CHANNEL_BUFFER);
    return NULL;
}

static err_t *grow_buffers(int fd) {
    TRY(grow_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, "net.core.wmem_max"));
    return grow_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, "net.core.rmem_max");
}

err_t *channel_pair(int ret_ends[2]) {
    int ends[2];
    if (fault_io() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(errno, "cannot make a channel");
    err_t *e = grow_buffers(ends[0]);
    if (!e) e = grow_buffers(ends[1]);
    if (e) {
        fd_close(ends[0]);
        fd_close(ends[1]);
        return e;
    }
    ret_ends[0] = ends[0];
    ret_ends[1] = ends[1];
    return NULL;
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags) {
    for (;;) {
        ssize_t sent =
            fault_io() ? (errno = EPIPE, -1) : sendmsg(fd, message, flags | MSG_NOSIGNAL);
        if (sent >= 0 || errno != EINTR) return sent;
    }
}

static bool would_block(int number) { return number == EAGAIN || number == EWOULDBLOCK; }

/* Sends one message; false in *ret_sent only if it would have to wait and must not. */
static err_t *send_parts(int fd, bytes_t head, bytes_t body, int flags, bool *ret_sent) {
    if (head.n > LIMIT_FRAME_BYTES || body.n > LIMIT_FRAME_BYTES - head.n)
        return err_new(ERR_LIMIT, "a message of more than %d bytes", LIMIT_FRAME_BYTES);
    if (head.n + body.n == 0) return err_new(ERR_INTERNAL, "an empty message"); /* looks like EOF */
    struct iovec parts[2] = {{.iov_base = (void *)(uintptr_t)head.p, .iov_len = head.n},
                             {.iov_base = (void *)(uintptr_t)body.p, .iov_len = body.n}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = send_message(fd, &message, flags);
    if (sent < 0 && would_block(errno)) {
        *ret_sent = false;
        return NULL;
    }
    if (sent < 0) return err_errno(errno, "the channel's peer is gone");
    *ret_sent = true;
    return NULL;
}

/* A socket's patience is real time, whatever clock a test plays. */
static int64_t now_ms(void) { return clk_mono_ms(clk_real()); }

/* Until the descriptor is ready; ERR_TIMEOUT at the deadline (of now_ms) unless forever. */
static err_t *wait_for(int fd, short events, int64_t deadline, bool forever) {
    for (;;) {
        int64_t left = forever ? -1 : deadline - now_ms();
        if (!forever && left <= 0) return err_new(ERR_TIMEOUT, "the channel's buffer stayed full");
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, (int)(left > INT32_MAX ? INT32_MAX : left));
        if (n > 0) return NULL; /* an error shows at the next call */
        if (n < 0 && errno != EINTR) return err_errno(errno, "poll");
    }
}

static err_t *send_waiting(int fd, bytes_t head, bytes_t body, int64_t deadline, bool forever) {
    for (;;) {
        bool sent = false;
        TRY(send_parts(fd, head, body, MSG_DONTWAIT, &sent));
        if (sent) return NULL;
        TRY(wait_for(fd, POLLOUT, deadline, forever));
    }
}

err_t *channel_send2(int fd, bytes_t head, bytes_t body) {
    return send_waiting(fd, head, body, 0, true);
}

err_t *channel_send(int fd, bytes_t message) { return channel_send2(fd, message, BYTES_NONE); }

err_t *channel_try_send2(int fd, bytes_t head, bytes_t body, bool *ret_sent) {
    return send_parts(fd, head, body, MSG_DONTWAIT, ret_sent);
}

err_t *channel_send2_within(int fd, bytes_t head, bytes_t body, int timeout_ms) {
    return send_waiting(fd, head, body, now_ms() + timeout_ms, false);
}

/* Control data of a received message: its descriptors, at most CHANNEL_FDS. */
typedef union {
    struct cmsghdr align;
    char room[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
} control_room_t;

static size_t take_fds(struct msghdr *message, int fds[CHANNEL_FDS]) {
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here && count < CHANNEL_FDS; i++)
            memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return count;
}

static err_t *judge(const struct msghdr *message, size_t fd_count, size_t fds_allowed) {
    if (message->msg_flags & MSG_TRUNC)
        return err_new(ERR_INVALID, "a message longer than allowed here");
    if ((message->msg_flags & MSG_CTRUNC) || fd_count > fds_allowed)
        return err_new(ERR_INVALID, "a message with unexpected descriptors");
    return NULL;
}

/* *ret_got false: nothing there and flags say not to wait. ret_fd NULL: no descriptor allowed. */
static err_t *receive(int fd, uint8_t *room, size_t size, int flags, size_t *ret_n, int *ret_fd,
                      bool *ret_got) {
    struct iovec part = {.iov_base = room, .iov_len = size};
    control_room_t control;
    struct msghdr message;
    ssize_t got;
    bool reset = false;
    do {
        message = (struct msghdr){.msg_iov = &part,
                                  .msg_iovlen = 1,
                                  .msg_control = control.room,
                                  .msg_controllen = sizeof control.room};
        got = fault_io() ? (errno = EPIPE, -1) : recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
        /* The peer ended without reading all of ours: Linux says so once, before what it sent. */
        if (got < 0 && errno == ECONNRESET && !reset) reset = true, errno = EINTR;
    } while (got < 0 && errno == EINTR);
    if (got < 0 && would_block(errno)) {
        *ret_got = false;
        return NULL;
    }
    if (got < 0) return err_errno(errno, "cannot receive from the channel");
    int fds[CHANNEL_FDS];
    size_t fd_count = take_fds(&message, fds);
    err_t *e = judge(&message, fd_count, ret_fd ? 1 : 0);
    if (!e && got == 0) e = err_new(ERR_UNAVAILABLE, "the channel's peer has closed it");
    if (e) {
        for (size_t i = 0; i < fd_count; i++) fd_close(fds[i]);
        return e;
    }
    *ret_n = (size_t)got;
    if (ret_fd) *ret_fd = fd_count ? fds[0] : -1;
    *ret_got = true;
    return NULL;
}

static err_t *receive_waiting(int fd, uint8_t *room, size_t size, size_t *ret_n, int *ret_fd) {
    for (;;) {
        bool got = false;
        TRY(receive(fd, room, size, 0, ret_n, ret_fd, &got));
        if (got) return NULL;
        TRY(wait_for(fd, POLLIN, 0, true)); /* the descriptor was set non-blocking */
    }
}

err_t *channel_recv(int fd, uint8_t *room, size_t size, size_t *ret_n) {
    return receive_waiting(fd, room, size, ret_n, NULL);
}

err_t *channel_try_recv(int fd, uint8_t *room, size_t size, size_t *ret_n, bool *ret_got) {
    return receive(fd, room, size, MSG_DONTWAIT, ret_n, NULL, ret_got);
}

err_t *channel_send_fd(int fd, bytes_t message, int passed_fd) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)message.p, .iov_len = message.n};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.room,
                            .msg_controllen = sizeof control.room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &passed_fd, sizeof(int));
    ssize_t sent = send_message(fd, &header, MSG_DONTWAIT);
    if (sent < 0 && would_block(errno)) return err_new(ERR_BUSY, "the channel's buffer is full");
    if (sent < 0) return err_errno(errno, "cannot pass a descriptor");
    return NULL;
}

err_t *channel_recv_fd(int fd, uint8_t *room, size_t size, size_t *ret_n, int *ret_fd) {
    return receive_waiting(fd, room, size, ret_n, ret_fd);
}
