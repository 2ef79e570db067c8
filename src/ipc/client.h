/*
 * rpc_client_t: asks a serving process (mostly the keeper) over one channel, from many threads at
 * once. One reader thread of its own hands the replies to their waiters. Survives the restart of
 * the server: see rpc_client_replace. Thread-safe; its lock is client->lock.
 * Used by coffer-web, coffer-courier, coffer-mailgate, coffer.
 */
#ifndef COFFER_IPC_CLIENT_H
#define COFFER_IPC_CLIENT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct rpc_client rpc_client_t;

/*
 * fd: the channel, taken over also on failure; or -1, then calls wait for rpc_client_replace. The
 * reader thread starts at once, so enter the sandbox before.
 */
err_t *rpc_client_new(int fd, rpc_client_t **ret_client) WARN_UNUSED;
/* Ends the channel; waiting calls get ERR_UNAVAILABLE. No call may begin any more. Takes NULL. */
void rpc_client_free(rpc_client_t *client);

/*
 * Installs a fresh channel (taken over), e.g. after the server was restarted. What is waiting on
 * the old one gets ERR_UNAVAILABLE at once; what waits for a channel goes on.
 */
void rpc_client_replace(rpc_client_t *client, int fd);

/*
 * Asks and waits for the answer, which is appended to reply. At most LIMIT_FRAME_IN_FLIGHT calls
 * are with the server; more wait here. timeout_ms covers everything: waiting for a channel, for
 * room, for the answer.
 * The server's own error comes back with its code and text. Besides: ERR_TIMEOUT (the server may
 * still do it), ERR_UNAVAILABLE (the channel ended during the call, the server may have done it;
 * or there was no channel within the timeout), ERR_LIMIT (body or reply too long).
 */
err_t *rpc_call(rpc_client_t *client, uint16_t intent, bytes_t body, int timeout_ms,
                buf_t *reply) WARN_UNUSED;
/*
 * Sends an event and does not wait; nothing answers. A full or absent channel is
 * ERR_UNAVAILABLE. For wake-ups, where losing one is harmless.
 */
err_t *rpc_notify(rpc_client_t *client, uint16_t intent, bytes_t body) WARN_UNUSED;

DEFINE_CLEANUP(rpc_client_t, rpc_client_free)

#endif
