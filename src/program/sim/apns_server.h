/*
 * The push stand-in's event loop: providers on one port, devices on another.
 */
#ifndef COFFER_SIM_APNS_SERVER_H
#define COFFER_SIM_APNS_SERVER_H

#include "program/sim/apns_h2.h"
#include "program/sim/sim.h"

typedef struct {
    const char *host;     /* numeric address for providers */
    uint16_t port;        /* 0: the kernel chooses */
    uint16_t device_port; /* on 127.0.0.1; 0: the kernel chooses */
    tls_server_t *tls;
    sim_out_t *out;
} apns_server_options_t;

/* Serves until SIGTERM or SIGINT, which must be blocked by the caller. */
err_t *apns_serve(apns_t *apns, const apns_server_options_t *options) WARN_UNUSED;

#endif
