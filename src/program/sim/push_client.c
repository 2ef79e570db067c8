/*
 * A device's line to the push stand-in: see push_client.h. Main thread, blocking.
 */
#include "program/sim/push_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { LINE_BYTES = 1024, REGISTER_MS = 5000 };

struct push_client {
    int fd;
    size_t n;    /* bytes held */
    size_t used; /* of them, returned already */
    char line[LINE_BYTES];
};

void push_client_free(push_client_t *client) {
    if (!client) return;
    fd_close(client->fd);
    mem_free(client);
}

static err_t *dial(const char *host, uint16_t port, int *ret_fd) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    bool is_four = inet_pton(AF_INET, host, &four.sin_addr) == 1;
    if (!is_four && inet_pton(AF_INET6, host, &six.sin6_addr) != 1)
        return err_new(ERR_USAGE, "%s is no numeric address", host);
    int fd = socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_errno(errno, "socket");
    int done = is_four ? connect(fd, (const struct sockaddr *)&four, sizeof four)
                       : connect(fd, (const struct sockaddr *)&six, sizeof six);
    if (done != 0) {
        err_t *e =
            err_recode(err_errno(errno, "push stand-in at %s:%u", host, port), ERR_UNAVAILABLE);
        fd_close(fd);
        return e;
    }
    *ret_fd = fd;
    return NULL;
}

/* The next whole line; none when the time is up. */
static err_t *next_line(push_client_t *c, int timeout_ms, bytes_t *ret_line) {
    memmove(c->line, c->line + c->used, c->n - c->used);
    c->n -= c->used;
    c->used = 0;
    for (;;) {
        bytes_t held = bytes_make(c->line, c->n);
        size_t end = bytes_find(held, '\n');
        if (end < held.n) {
            c->used = end + 1;
            *ret_line = bytes_slice(held, 0, end);
            return NULL;
        }
        if (c->n == sizeof c->line) return err_new(ERR_INVALID, "the push stand-in sends no lines");
        struct pollfd poll_fd = {.fd = c->fd, .events = POLLIN};
        int ready = poll(&poll_fd, 1, timeout_ms);
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0) {
            *ret_line = BYTES_NONE;
            return NULL;
        }
        ssize_t got = read(c->fd, c->line + c->n, sizeof c->line - c->n);
        if (got <= 0) return err_new(ERR_UNAVAILABLE, "the push stand-in hung up");
        c->n += (size_t)got;
    }
}

err_t *push_client_open(const char *host, uint16_t port, bytes_t token,
                        push_client_t **ret_client) {
    CLEANUP(buf_done) buf_t hello;
    CLEANUP(push_client_free) push_client_t *c = mem_zalloc(sizeof *c);
    bytes_t line = BYTES_NONE;
    buf_init(&hello, LINE_BYTES);
    if (!c) return err_nomem();
    c->fd = -1;
    TRY(buf_add_str(&hello, "TOKEN "));
    TRY(text_hex(token, &hello));
    TRY(buf_add_byte(&hello, '\n'));
    TRY(dial(host, port, &c->fd));
    TRY(file_write_fd(c->fd, buf_bytes(&hello)));
    TRY(next_line(c, REGISTER_MS, &line));
    if (!bytes_eq_str(line, "OK"))
        return err_new(ERR_UNAVAILABLE, "the push stand-in does not take the token");
    *ret_client = STEAL(c);
    return NULL;
}

err_t *push_client_wait(push_client_t *client, int timeout_ms, bytes_t *ret_magic) {
    bytes_t line = BYTES_NONE;
    TRY(next_line(client, timeout_ms, &line));
    if (!line.p) {
        *ret_magic = BYTES_NONE;
        return NULL;
    }
    if (!bytes_starts(line, BYTES_LIT("PUSH ")))
        return err_new(ERR_INVALID, "the push stand-in says something else than PUSH");
    *ret_magic = bytes_from(line, 5);
    return NULL;
}
