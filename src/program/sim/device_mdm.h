/*
 * A device speaks MDM: check-in messages and command sessions (Apple device management
 * reference). Messages are signed (Mdm-Signature) when the MDM payload says SignMessage; the
 * client certificate is offered on TLS otherwise.
 */
#ifndef COFFER_SIM_DEVICE_MDM_H
#define COFFER_SIM_DEVICE_MDM_H

#include "http/client.h"
#include "program/sim/device_answer.h"
#include "program/sim/device_state.h"
#include "program/sim/sim.h"

typedef struct {
    sim_device_t *device;
    http_client_t *client;
    sim_out_t *out;
    const rnd_t *rnd;
    const clk_t *clk;
    faults_t faults; /* how it misbehaves */
} mdm_t;

/* A client that trusts the device's roots, with its MDM identity if that is what TLS wants. */
err_t *mdm_client(const sim_device_t *device, http_client_t **ret_client) WARN_UNUSED;

/* Authenticate, then TokenUpdate with fresh push and unlock tokens: STAGE_ENROLLED. */
err_t *mdm_authenticate(mdm_t *m) WARN_UNUSED;
err_t *mdm_token_update(mdm_t *m) WARN_UNUSED;
/* CheckOut: STAGE_GONE. */
err_t *mdm_check_out(mdm_t *m) WARN_UNUSED;

/*
 * One session: Idle, then obeys until the server has no more. *ret_obeyed counts commands. An
 * erase leaves the device at STAGE_NEW, the removal of the enrolment profile at STAGE_GONE.
 */
err_t *mdm_session(mdm_t *m, unsigned *ret_obeyed) WARN_UNUSED;

#endif
