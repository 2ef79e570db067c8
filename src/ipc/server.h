/*
 * rpc_server_t: answers requests that arrive on any number of channels, with a fixed set of
 * worker threads. A request may be answered later and from any thread, so a group commit answers
 * all its requests after the commit. A client that does not read its replies holds up nobody:
 * they queue, and at LIMIT_FRAME_IN_FLIGHT unanswered or unread ones its requests wait in its own
 * socket. Thread-safe; locks: server->lock (table of channels), then channel->lock.
 * Used by coffer-keeper (and coffer-courier for wake-ups).
 */
#ifndef COFFER_IPC_SERVER_H
#define COFFER_IPC_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "ipc/role.h"

typedef struct rpc_server rpc_server_t;
typedef struct rpc_reply rpc_reply_t;

typedef struct {
    role_t role;      /* of the channel it came by */
    uint64_t channel; /* number of that channel, never used twice by one server */
    uint16_t intent;
    bytes_t body; /* borrowed: valid until the handler returns, then wiped */
} rpc_request_t;

typedef struct {
    void *ctx; /* given to the callbacks */
    /*
     * Called on a worker thread, many at once. Must see to it that rpc_reply_finish is called
     * exactly once for `reply`, now or later; reply is NULL for an event, which has no answer.
     */
    void (*handle)(void *ctx, const rpc_request_t *request, rpc_reply_t *reply);
    /*
     * Optional. A channel is gone: `why` is NULL at an orderly end, else what was wrong with it
     * (a malformed frame closes the channel). The callee owns why.
     */
    void (*closed)(void *ctx, role_t role, uint64_t channel, err_t *why);
    unsigned workers; /* threads; 0: one a core */
} rpc_server_config_t;

/* Starts the workers; there are no channels yet. Enter the sandbox before. */
err_t *rpc_server_new(const rpc_server_config_t *config, rpc_server_t **ret_server) WARN_UNUSED;
/* Stops reading requests and joins the workers; replies can still be finished. Idempotent; not
 * from a handler. */
void rpc_server_stop(rpc_server_t *server);
/* Stops if needed and closes all channels. Replies finished later are dropped. Takes NULL. */
void rpc_server_free(rpc_server_t *server);

/* Serves one more channel; fd is taken over also on failure. At any time. */
err_t *rpc_server_add(rpc_server_t *server, int fd, role_t role) WARN_UNUSED;

/*
 * Answers: with the error if e is not NULL (taken over), else with body (borrowed, at most
 * FRAME_BODY_MAX, copied; a longer one becomes ERR_LIMIT). Frees reply. Any thread; never waits. An
 * answer to a client that is gone is dropped.
 */
void rpc_reply_finish(rpc_reply_t *reply, err_t *e, bytes_t body);

DEFINE_CLEANUP(rpc_server_t, rpc_server_free)

#endif
