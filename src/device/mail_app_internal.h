/*
 * Managed app configuration, inside src/device: see mail_app.h.
 */
#ifndef COFFER_DEVICE_MAIL_APP_INTERNAL_H
#define COFFER_DEVICE_MAIL_APP_INTERNAL_H

#include "device/device_internal.h"
#include "device/mdm_message.h"

/* In the transaction in which a device becomes enrolled; nothing if no program is configured. */
err_t *mail_app_begin(devices_t *devices, db_conn_t *conn, const char *device_id) WARN_UNUSED;

/* Whether the command is one of these. */
bool mail_app_is(const db_command_t *command);
/*
 * Outside a transaction, when the device fetches it: makes a token and puts it into the command;
 * the one before stays good beside it until the device has answered. Or ends the token. `out` must
 * be born secret; it stays empty if the command was called back meanwhile.
 */
err_t *mail_app_fill(devices_t *devices, const db_command_t *command, db_device_t *device,
                     bytes_t xml, buf_t *out) WARN_UNUSED;
/* In the transaction that takes the device's answer to the command of this UUID. */
err_t *mail_app_answered(db_conn_t *conn, const char *device_id, const char *uuid,
                         mdm_status_t status) WARN_UNUSED;

#endif
