/*
 * Officers' consent to a device that never got its person's mail keys: asked for when the keeper
 * refuses to deliver without it, handed on to the keeper when it was given. Who may consent, and
 * what they sign, is the business of src/escrow (consent.h). Private to src/device.
 */
#ifndef COFFER_DEVICE_MAIL_CONSENT_H
#define COFFER_DEVICE_MAIL_CONSENT_H

#include "device/device_internal.h"

/* What officers gave; in an arena. */
typedef struct {
    const char *id; /* NULL: nothing */
    bytes_t certificate;
    int64_t expires;
    const char *mailboxes; /* what they signed */
    bytes_t *signatures;   /* records cofferSG */
    size_t signatures_n;
} mail_consent_t;

/* What was given for this device, has not expired and is of the officers' set of today. */
err_t *mail_consent_find(devices_t *devices, db_conn_t *conn, arena_t *arena, const char *device_id,
                         mail_consent_t *ret_consent) WARN_UNUSED;
/*
 * Asks the officers, unless they are asked already about this very certificate, and tells them by
 * mail. *ret_until_ms: when the question ends; 0: the store knows no officers.
 */
err_t *mail_consent_ask(devices_t *devices, db_conn_t *conn, arena_t *arena, const char *device_id,
                        const char *person_id, bytes_t certificate,
                        int64_t *ret_until_ms) WARN_UNUSED;

#endif
