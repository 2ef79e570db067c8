/*
 * Devices that ask for something of their own, outside of MDM: who is it? For coffer-web's routes
 * of leases; any worker thread.
 */
#ifndef COFFER_DEVICE_CALLER_H
#define COFFER_DEVICE_CALLER_H

#include "device/device.h"

typedef struct {
    const char *device_id; /* in the arena */
    const char *actor;     /* "device:..." for the audit, in the arena */
    bool by_identity;      /* showed its identity certificate, not a token */
    uint8_t shown[32];     /* SHA-256 of the certificate or token: see db_device_reach_holds */
} device_caller_t;

/*
 * By the identity certificate that TLS saw (DER), as in MDM, or else by the device's token,
 * which is worth nothing when the identity is revoked or on hold.
 * Whatever is wrong with either, a device that is not enrolled included, is one ERR_AUTH in the
 * same words.
 */
err_t *devices_caller(devices_t *devices, arena_t *arena, bytes_t client_cert, bytes_t token,
                      device_caller_t *ret_caller) WARN_UNUSED;
/*
 * In the caller's transaction: what a device reaches apart from management ends, with its leases,
 * its token and the pushes to its mail program, until it enrols anew.
 */
err_t *device_end_reach(db_conn_t *conn, const char *device_id, const char *reason,
                        int64_t now_ms) WARN_UNUSED;
/* The same for all devices of a person who left. */
err_t *device_end_reach_of(db_conn_t *conn, arena_t *arena, const char *person_id,
                           const char *reason, int64_t now_ms) WARN_UNUSED;
/*
 * A token for a program of the device (id, UDID, serial number or name) that can't use its
 * identity; takes the place of the one before and ends when the device enrols anew. ERR_DENIED if
 * it is not enrolled. Appended to ret_token, which should be wiped (buf_init_secret).
 */
err_t *devices_token_make(devices_t *devices, const char *device, const char *actor,
                          buf_t *ret_token) WARN_UNUSED;
/*
 * One that this command brings to the device (id), good beside the one before until the device
 * has answered. *ret_open false, and no token: the command was called back meanwhile.
 */
err_t *devices_token_offer(devices_t *devices, const char *device_id, const char *command,
                           const char *actor, bool *ret_open, buf_t *ret_token) WARN_UNUSED;

#endif
