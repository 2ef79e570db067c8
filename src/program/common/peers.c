/*
 * See peers.h.
 */
#include "program/common/peers.h"

#include <signal.h>
#include <unistd.h>

#include "base/file.h"

static void replace(rpc_client_t *client, int fd) {
    if (client) rpc_client_replace(client, fd);
    else fd_close(fd);
}

static void on_wire(void *ctx, role_t peer, int fd) {
    peers_t *peers = ctx;
    switch (peer) {
    case ROLE_KEEPER: replace(peers->keeper, fd); return;
    case ROLE_COURIER: replace(peers->courier, fd); return;
    case ROLE_MAILGATE: replace(peers->mailgate, fd); return;
    case ROLE_WEB:
        if (peers->web)
            log_error(peers->log, LOG_WARNING, rpc_server_add(peers->web, fd, peer),
                      "channel from coffer-web");
        else fd_close(fd);
        return;
    case ROLE_COMMAND: fd_close(fd); return;
    }
}

static void on_gone(void *ctx, err_t *why) {
    peers_t *peers = ctx;
    log_error(peers->log, LOG_ERROR, why, "control channel");
    (void)kill(getpid(), SIGTERM);
}

err_t *peers_start(peers_t *peers, control_t *control) {
    return control_start(control, &(control_callbacks_t){peers, on_wire, on_gone});
}
