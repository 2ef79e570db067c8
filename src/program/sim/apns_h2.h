/*
 * One provider's connection to the push stand-in: HTTP/2 (RFC 9113) by nghttp2 over a TLS
 * connection. Driven by the event loop in apns_server.c; one thread.
 */
#ifndef COFFER_SIM_APNS_H2_H
#define COFFER_SIM_APNS_H2_H

#include "base/clk.h"
#include "crypto/tls_server.h"
#include "program/sim/apns_check.h"
#include "program/sim/apns_lines.h"
#include "program/sim/apns_script.h"

typedef struct apns_h2 apns_h2_t;

/* What connections share; outlives them. */
typedef struct {
    apns_script_t script;
    apns_lines_t *lines;
    const clk_t *clk;
    int log; /* descriptor for one JSON line a request, or -1 */
    uint64_t pushes, refused;
} apns_t;

/* Takes fd over. */
err_t *apns_h2_new(apns_t *apns, tls_server_t *tls, int fd, apns_h2_t **ret_conn) WARN_UNUSED;
void apns_h2_free(apns_h2_t *conn); /* closes; takes NULL */
int apns_h2_fd(const apns_h2_t *conn);

/* Moves bytes as far as the socket lets. *ret_open false: free it. */
err_t *apns_h2_step(apns_h2_t *conn, bool *ret_open) WARN_UNUSED;
/* Whether it waits for the socket to take bytes. */
bool apns_h2_wants_write(const apns_h2_t *conn);
/* When a stalled answer is due (monotonic milliseconds); INT64_MAX if none. */
int64_t apns_h2_due(const apns_h2_t *conn);

DEFINE_CLEANUP(apns_h2_t, apns_h2_free)

#endif
