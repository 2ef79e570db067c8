/*
 * The modes of coffer-sim load, each in its file.
 */
#ifndef COFFER_SIM_LOAD_MODES_H
#define COFFER_SIM_LOAD_MODES_H

#include "http/client.h"
#include "program/sim/load_devices.h"
#include "program/sim/sim.h"

/* What every mode is given; borrowed. */
typedef struct {
    const char *url;        /* of the SCEP service, or https://host:port */
    const char *state;      /* directory */
    const char *challenges; /* file */
    const char *topic;
    size_t devices, cycles, keys;
    unsigned concurrency;
    cert_list_t roots;
    http_client_config_t http;
    sim_out_t out;
} load_arguments_t;

/* Certificates by SCEP, kept for the other modes. */
err_t *load_mode_scep(const load_arguments_t *a) WARN_UNUSED;
/* Authenticate and TokenUpdate of every device. */
err_t *load_mode_checkin(const load_arguments_t *a) WARN_UNUSED;
/* Idle, command, Acknowledged, until the queue is empty; `cycles` times for each device. */
err_t *load_mode_mdm(const load_arguments_t *a) WARN_UNUSED;

#endif
