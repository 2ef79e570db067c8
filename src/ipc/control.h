/*
 * The child's side of its bond with cofferd: a control channel at descriptor 3. By it cofferd
 * hands over wires (channels to peers) and the child says that it is ready. Messages:
 *   child to cofferd: "ready"; or "off": coffer.conf does not want it, and it ends
 *   cofferd to child: u8 length, the peer's role name, and one descriptor
 * Used by every program that cofferd starts; spawn.h is the other side.
 */
#ifndef COFFER_IPC_CONTROL_H
#define COFFER_IPC_CONTROL_H

#include "base/err.h"
#include "ipc/role.h"

enum { CONTROL_FD = 3 };

typedef struct control control_t;

typedef struct {
    void *ctx;
    /* A fresh channel to `peer`, to be used instead of an earlier one. fd is the callee's. */
    void (*wire)(void *ctx, role_t peer, int fd);
    /* cofferd is gone (why NULL) or sent nonsense: the program should end in order. `why` is the
     * callee's. Called at most once. */
    void (*gone)(void *ctx, err_t *why);
} control_callbacks_t;

/* Looks for the control channel. ERR_USAGE "run me through cofferd" when there is none. Starts no
 * thread, so it can be called before the sandbox. */
err_t *control_open(control_t **ret_control) WARN_UNUSED;
/* The same on a descriptor of the caller's, which is taken over on success. */
err_t *control_open_fd(int fd, control_t **ret_control) WARN_UNUSED;
/* Joins the thread if there is one and closes the channel. Not from a callback. Takes NULL. */
void control_free(control_t *control);

/* Tells cofferd that this process serves. */
err_t *control_ready(control_t *control) WARN_UNUSED;
/* Or that it is not wanted: it ends then and is started again by SIGHUP alone. */
err_t *control_off(control_t *control) WARN_UNUSED;

/* Either: a thread of its own waits for messages and calls back (after the sandbox). */
err_t *control_start(control_t *control, const control_callbacks_t *callbacks) WARN_UNUSED;
/* Or: the caller polls this descriptor for input and then takes one message, which may wait. */
int control_fd(const control_t *control);
/* ERR_UNAVAILABLE: cofferd is gone. *ret_fd is the caller's. */
err_t *control_take(control_t *control, role_t *ret_peer, int *ret_fd) WARN_UNUSED;

DEFINE_CLEANUP(control_t, control_free)

#endif
