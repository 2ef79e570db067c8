/*
 * Check-in messages that bring or fetch tokens: the push token with the unlock token, and the
 * bootstrap token. Private to src/device.
 */
#ifndef COFFER_DEVICE_CHECKIN_TOKEN_H
#define COFFER_DEVICE_CHECKIN_TOKEN_H

#include "device/mdm_auth.h"
#include "device/mdm_message.h"

/* All borrowed. */
typedef struct {
    devices_t *devices;
    arena_t *arena;
    const mdm_checkin_t *message;
    const cert_t *cert;
    const char *peer;
} token_request_t;

err_t *token_update(const token_request_t *request, device_answer_t *answer) WARN_UNUSED;
err_t *token_set_bootstrap(const token_request_t *request, device_answer_t *answer) WARN_UNUSED;
err_t *token_get_bootstrap(const token_request_t *request, device_answer_t *answer) WARN_UNUSED;

#endif
