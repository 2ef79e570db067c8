/*
 * A device enrols over the air: portal, phases 1 to 3, SCEP twice, MDM check-in. Each step is
 * verified (verify.h, scep_client.h), told, and remembered before the next.
 */
#ifndef COFFER_SIM_DEVICE_ENROL_H
#define COFFER_SIM_DEVICE_ENROL_H

#include "http/client.h"
#include "program/sim/device_state.h"
#include "program/sim/sim.h"
#include "program/sim/verify.h"

typedef struct {
    sim_device_t *device;
    http_client_t *client;
    sim_out_t *out;
    const clk_t *clk;
    const rnd_t *rnd;
    const char *url; /* https://host:port */
    const char *user;
    bytes_t password;
    bool basic;       /* HTTP Basic instead of the form */
    bool old_factory; /* phase 2 signed with SHA-1, as real devices do */
} enrolment_t;

/* Portal and phase 1: logs in, fetches and verifies the offer, remembers it. */
err_t *enrol_offer(enrolment_t *e) WARN_UNUSED;
/* Phase 2 and its SCEP: STAGE_CERTIFIED. */
err_t *enrol_certify(enrolment_t *e) WARN_UNUSED;
/* Phase 3 and its SCEP: STAGE_CONFIGURED. */
err_t *enrol_configure(enrolment_t *e) WARN_UNUSED;

/* GetCACaps, GetCACert, PKCSReq with a fresh key (enrol_scep.c). `purpose` names it for people. */
err_t *enrol_scep(enrolment_t *e, const scep_terms_t *terms, const char *purpose,
                  credential_t *ret_credential) WARN_UNUSED;

#endif
