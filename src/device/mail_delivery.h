/*
 * A person's mail keys on their way to his devices: an InstallProfile command for each, whose
 * profile is made and encrypted to the device by the keeper when the device fetches it, with all
 * keys of that moment. The row of `mail_delivery` says how far it came; a device that fails gets
 * another command later. Private to src/device.
 */
#ifndef COFFER_DEVICE_MAIL_DELIVERY_H
#define COFFER_DEVICE_MAIL_DELIVERY_H

#include "device/mail_consent.h"
#include "store/mail_deliveries.h"

/* secret_kind of such a command. */
#define MAIL_DELIVERY_SECRET "mail-keys"

/* A command that a session is about to send. In the session's arena. */
typedef struct {
    bool picked;
    db_mail_delivery_t row;
    mail_consent_t consent; /* of officers, if they gave one */
    db_person_t person;     /* whose keys they are */
} mail_delivery_t;

/* In the transaction in which a device becomes enrolled: queues the first command, if there are
 * keys. */
err_t *mail_delivery_begin(devices_t *devices, db_conn_t *conn, arena_t *arena,
                           const char *device_id) WARN_UNUSED;
/* It is not managed any more. */
err_t *mail_delivery_end(devices_t *devices, db_conn_t *conn, const char *device_id) WARN_UNUSED;

/* Whether the command is one of these. */
bool mail_delivery_is(const db_command_t *command);
/* In the transaction that picks such a command for sending. */
err_t *mail_delivery_pick(devices_t *devices, db_conn_t *conn, arena_t *arena,
                          const char *device_id, mail_delivery_t *ret_delivery) WARN_UNUSED;
/*
 * After it: the command with the profile, encrypted to the identity with this fingerprint, which
 * the device spoke with. Appended to out. ERR_AUTH: an officer must agree first.
 */
err_t *mail_delivery_make(devices_t *devices, arena_t *arena, mail_delivery_t *delivery,
                          bytes_t fingerprint, const char *uuid, buf_t *out) WARN_UNUSED;
/*
 * The keeper refused; in the transaction that finishes the command. With ERR_AUTH the officers are
 * asked about the identity that the device spoke with.
 */
err_t *mail_delivery_refused(devices_t *devices, db_conn_t *conn, arena_t *arena,
                             mail_delivery_t *delivery, bytes_t fingerprint, err_code_t code,
                             const char *why) WARN_UNUSED;
/*
 * A device finished an InstallProfile: if it was one of these, notes it, and queues the next if
 * there is a newer key by now. `error`: why it failed, NULL for success.
 */
err_t *mail_delivery_done(devices_t *devices, db_conn_t *conn, arena_t *arena,
                          const char *device_id, const char *uuid, const char *error) WARN_UNUSED;

#endif
