/*
 * Who sent an MDM message. Private to src/device.
 */
#ifndef COFFER_DEVICE_MDM_AUTH_H
#define COFFER_DEVICE_MDM_AUTH_H

#include "device/device_internal.h"

/*
 * The certificate that vouches for the message: the signer of Mdm-Signature (a detached CMS over
 * the exact body), or else the TLS client certificate. Says nothing about whether it is ours.
 * ERR_DENIED if there is neither, ERR_VERIFY if the signature doesn't hold.
 */
err_t *mdm_auth_certificate(const devices_t *devices, const device_request_t *request,
                            cert_t **ret_cert) WARN_UNUSED;

/*
 * The same, for a message of at most `max` bytes, and an arena for its rows (arena_free): what
 * every message begins with. ERR_LIMIT.
 */
err_t *mdm_auth_open(const devices_t *devices, const device_request_t *request, size_t max,
                     cert_t **ret_cert, arena_t **ret_arena) WARN_UNUSED;

typedef struct {
    bool ours;  /* an identity of this organisation, valid now */
    bool found; /* a device is pinned to it, or to one that it was renewed from */
    db_certificate_t row;
    db_device_t device;
} mdm_sender_t;

/* Inside a transaction; rows lie in the arena. A foreign certificate is no error: ours is false. */
err_t *mdm_auth_sender(const devices_t *devices, db_conn_t *conn, arena_t *arena,
                       const cert_t *cert, mdm_sender_t *ret_sender) WARN_UNUSED;
/*
 * Pins the device to the identity it now uses, if that is a renewed one: from here on the former
 * one does not speak for it. Not before the device has shown that it has the new one, so that a
 * reply that was lost locks nobody out. Inside db_write, for a sender that mdm_auth_is accepted.
 */
err_t *mdm_auth_follow(const devices_t *devices, db_conn_t *conn,
                       const mdm_sender_t *sender) WARN_UNUSED;
/* Whether the message comes from an enrolled device under its own name. */
bool mdm_auth_is(const mdm_sender_t *sender, const char *key);

#endif
