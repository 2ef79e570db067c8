/*
 * Where the channels go that cofferd hands a program: for every child of cofferd but the keeper.
 */
#ifndef COFFER_PROGRAM_COMMON_PEERS_H
#define COFFER_PROGRAM_COMMON_PEERS_H

#include "base/log.h"
#include "ipc/client.h"
#include "ipc/control.h"
#include "ipc/server.h"

/* Of a peer the program asks, is asked by, or has nothing to do with (NULL: closed). */
typedef struct {
    const log_t *log;
    rpc_client_t *keeper, *courier, *mailgate;
    rpc_server_t *web; /* answers what coffer-web asks */
} peers_t;

/*
 * Takes channels from now on, on a thread of `control`: the newest of a peer replaces the one
 * before. When cofferd is gone the process gets SIGTERM. `peers` is the caller's, for as long as
 * `control` lives.
 */
err_t *peers_start(peers_t *peers, control_t *control) WARN_UNUSED;

#endif
