/*
 * A device's line to the push stand-in: plain TCP, lines. "TOKEN hex" is answered "OK", then
 * "PUSH magic" comes for each push.
 */
#ifndef COFFER_SIM_PUSH_CLIENT_H
#define COFFER_SIM_PUSH_CLIENT_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct push_client push_client_t;

/* Connects and registers. ERR_UNAVAILABLE if nobody listens. */
err_t *push_client_open(const char *host, uint16_t port, bytes_t token,
                        push_client_t **ret_client) WARN_UNUSED;
void push_client_free(push_client_t *client); /* takes NULL */
/* Waits for a push up to timeout_ms (-1: for ever). *ret_magic is borrowed until the next call;
 * none when the time is up. ERR_UNAVAILABLE when the line breaks. */
err_t *push_client_wait(push_client_t *client, int timeout_ms, bytes_t *ret_magic) WARN_UNUSED;

DEFINE_CLEANUP(push_client_t, push_client_free)

#endif
