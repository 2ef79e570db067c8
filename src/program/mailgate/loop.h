/*
 * The event thread: listeners and all clients' connections, with epoll. It moves bytes and parses;
 * what blocks is a worker's. An idle client costs a descriptor and a few hundred bytes.
 */
#ifndef COFFER_PROGRAM_MAILGATE_LOOP_H
#define COFFER_PROGRAM_MAILGATE_LOOP_H

#include "crypto/tls_stream.h"
#include "program/mailgate/worker.h"

typedef struct loop loop_t;

typedef struct {
    const mailgate_conf_t *conf;
    deliver_t *deliver;
    tls_context_t *tls; /* NULL: no TLS is offered */
    log_t *log;
    counters_t *counters;
    const gatespool_t *spool;
    const clk_t *clk;
} loop_options_t;

/* Binds and listens. Everything borrowed. */
err_t *loop_new(const loop_options_t *options, loop_t **ret_loop) WARN_UNUSED;
/* Serves until `stop_fd` is readable, then lets what is being delivered end, for at most
 * LOOP_DRAIN_MS. */
err_t *loop_run(loop_t *loop, int stop_fd) WARN_UNUSED;
void loop_free(loop_t *loop); /* takes NULL */

enum { LOOP_DRAIN_MS = 8000 };

DEFINE_CLEANUP(loop_t, loop_free)

#endif
