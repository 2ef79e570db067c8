/*
 * Managed app configuration, inside src/device: see mail_app.h.
 */
#ifndef COFFER_DEVICE_MAIL_APP_INTERNAL_H
#define COFFER_DEVICE_MAIL_APP_INTERNAL_H

#include "device/device_internal.h"

/* In the transaction in which a device becomes enrolled; nothing if no program is configured. */
err_t *mail_app_begin(devices_t *devices, db_conn_t *conn, const char *device_id) WARN_UNUSED;

/* Whether the command is one of these. */
bool mail_app_is(const db_command_t *command);
/*
 * Outside a transaction, when the device fetches it: makes the device's token, which takes the
 * place of the one before, and puts it into the command; or ends the token. `out` must be born
 * secret.
 */
err_t *mail_app_fill(devices_t *devices, const db_command_t *command, db_device_t *device,
                     bytes_t xml, buf_t *out) WARN_UNUSED;

#endif
