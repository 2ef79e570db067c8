/*
 * The command line's side of the agent's socket: see mailbox.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/mailbox/mailbox.h"

enum { HEAD = 4 };

err_t *agent_address(const char *dir, int *ret_fd, struct sockaddr_un *ret_address) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(fd_close) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "%s", dir);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/agent.sock", fd);
    *ret_address = address;
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

static err_t *connect_agent(const char *dir, int *ret_fd) {
    struct sockaddr_un address;
    CLEANUP(fd_close) int at = -1;
    TRY(agent_address(dir, &at, &address));
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_errno(errno, "socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return err_new(ERR_UNAVAILABLE,
                       "no agent serves %s; start one: coffer-mailbox --dir %s run", dir, dir);
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

bool agent_runs(const char *dir) {
    CLEANUP(fd_close) int fd = -1;
    err_t *e = connect_agent(dir, &fd);
    err_ignore(e);
    return fd >= 0;
}

static err_t *read_exactly(int fd, size_t n, buf_t *out) {
    TRY(buf_reserve(out, n));
    while (n) {
        ssize_t got = read(fd, out->p + out->n, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return err_new(ERR_UNAVAILABLE, "the agent hung up");
        out->n += (size_t)got;
        n -= (size_t)got;
    }
    return NULL;
}

err_t *client_ask(const char *dir, const json_t *request, json_t **ret_reply) {
    CLEANUP(buf_done) buf_t out, head, reply;
    CLEANUP(fd_close) int fd = -1;
    buf_init_secret(&out, LIMIT_BOX_COMMAND);
    buf_init(&head, HEAD);
    buf_init_secret(&reply, LIMIT_BOX_REPLY);
    TRY(jso_write(request, false, &out));
    TRY(connect_agent(dir, &fd));
    for (unsigned i = 0; i < HEAD; i++) TRY(buf_add_byte(&head, (uint8_t)(out.n >> (24 - 8 * i))));
    TRY(file_write_fd(fd, buf_bytes(&head)));
    TRY(file_write_fd(fd, buf_bytes(&out)));
    buf_clear(&head);
    TRY(read_exactly(fd, HEAD, &head));
    size_t n =
        (size_t)head.p[0] << 24 | (size_t)head.p[1] << 16 | (size_t)head.p[2] << 8 | head.p[3];
    if (n > LIMIT_BOX_REPLY) return err_new(ERR_LIMIT, "an answer of %zu bytes", n);
    TRY(read_exactly(fd, n, &reply));
    return jso_parse_max(buf_bytes(&reply), LIMIT_BOX_REPLY, ret_reply);
}
