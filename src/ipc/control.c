/*
 * The child's side of the control channel: see control.h. control_start's thread only receives;
 * control_ready may be called from any thread.
 */
#include "ipc/control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/mem.h"
#include "ipc/channel.h"
#include "ipc/thread.h"
#include "ipc/wire.h"

struct control {
    int fd;
    bool started;
    atomic_bool stopping;
    pthread_t thread;
    control_callbacks_t callbacks;
};

static bool is_channel(int fd) {
    int domain = 0, type = 0;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) return false;
    length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return false;
    return domain == AF_UNIX && type == SOCK_SEQPACKET;
}

err_t *control_open_fd(int fd, control_t **ret_control) {
    if (!is_channel(fd))
        return err_new(ERR_USAGE, "this program is started by cofferd: run me through cofferd");
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return err_errno(errno, "cannot keep the control channel from children");
    control_t *control = mem_zalloc(sizeof *control);
    if (!control) return err_nomem();
    control->fd = fd;
    *ret_control = control;
    return NULL;
}

err_t *control_open(control_t **ret_control) { return control_open_fd(CONTROL_FD, ret_control); }

void control_free(control_t *control) {
    if (!control) return;
    if (control->started) {
        atomic_store(&control->stopping, true);
        (void)shutdown(control->fd, SHUT_RD); /* wakes the thread */
        (void)pthread_join(control->thread, NULL);
    }
    fd_close(control->fd);
    mem_free(control);
}

err_t *control_ready(control_t *control) {
    TRY_WRAP(channel_send(control->fd, BYTES_LIT("ready")), "cannot report to cofferd");
    return NULL;
}

err_t *control_off(control_t *control) {
    TRY_WRAP(channel_send(control->fd, BYTES_LIT("off")), "cannot report to cofferd");
    return NULL;
}

int control_fd(const control_t *control) { return control->fd; }

static err_t *parse_wire(bytes_t message, role_t *ret_role) {
    wire_reader_t r = wire_reader(message);
    uint8_t length;
    bytes_t name = BYTES_NONE;
    TRY(wire_get_u8(&r, &length));
    TRY(wire_get_raw(&r, length, &name));
    TRY(wire_done(&r));
    if (!role_parse(name, ret_role)) return err_new(ERR_INVALID, "a peer of unknown role");
    return NULL;
}

err_t *control_take(control_t *control, role_t *ret_peer, int *ret_fd) {
    uint8_t message[1 + ROLE_NAME_MAX];
    size_t n = 0;
    int fd = -1;
    role_t peer = ROLE_KEEPER;
    TRY(channel_recv_fd(control->fd, message, sizeof message, &n, &fd));
    err_t *e = fd < 0 ? err_new(ERR_INVALID, "a wire without a descriptor")
                      : parse_wire(bytes_make(message, n), &peer);
    if (e) {
        fd_close(fd);
        return err_wrap(e, "message from cofferd");
    }
    *ret_peer = peer;
    *ret_fd = fd;
    return NULL;
}

static void *control_main(void *arg) {
    control_t *control = arg;
    for (;;) {
        role_t peer = ROLE_KEEPER;
        int fd = -1;
        err_t *e = control_take(control, &peer, &fd);
        if (!e) {
            control->callbacks.wire(control->callbacks.ctx, peer, fd);
            continue;
        }
        if (atomic_load(&control->stopping)) {
            err_free(e);
        } else {
            bool orderly = err_code(e) == ERR_UNAVAILABLE;
            if (orderly) err_free(STEAL(e));
            control->callbacks.gone(control->callbacks.ctx, e);
        }
        return NULL;
    }
}

err_t *control_start(control_t *control, const control_callbacks_t *callbacks) {
    control->callbacks = *callbacks;
    TRY(thread_start("control", control_main, control, &control->thread));
    control->started = true;
    return NULL;
}
