/*
 * Rows of `device` and `sealed_secret`.
 */
#ifndef COFFER_STORE_DEVICES_H
#define COFFER_STORE_DEVICES_H

#include "base/arena.h"
#include "store/certs.h"
#include "store/db.h"

typedef struct {
    const char *id;
    const char *enrolment_key; /* UDID or EnrollmentID */
    const char *udid;
    const char *serial_number;
    const char *product;
    const char *os_version;
    const char *build;
    const char *name;
    const char *person_id;
    const char *state; /* authenticated, enrolled, removed */
    bytes_t identity;  /* fingerprint of the pinned identity certificate */
    const char *topic;
    bytes_t push_token;
    const char *push_magic;
    const char *push_state;
    int64_t token_ms;
    const char *info; /* JSON */
    int64_t enrolled_ms;
    int64_t last_seen_ms;
    int64_t created_ms;
} db_device_t;

/*
 * Authenticate: inserts, or starts a re-enrolment of the row with this enrolment_key (state
 * authenticated, new identity, attributes, person; push token, magic and state emptied; id and
 * created_ms kept). *ret_id: the row's id, in the arena. ERR_EXISTS when the identity is pinned
 * to another device.
 */
err_t *db_devices_authenticate(db_conn_t *conn, arena_t *arena, const db_device_t *row,
                               const char **ret_id) WARN_UNUSED;
err_t *db_devices_by_id(db_conn_t *conn, arena_t *arena, const char *id, db_device_t *ret_row,
                        bool *ret_found) WARN_UNUSED;
err_t *db_devices_by_key(db_conn_t *conn, arena_t *arena, const char *enrolment_key,
                         db_device_t *ret_row, bool *ret_found) WARN_UNUSED;
/*
 * Who sends with this certificate, in one statement: of the certificate its fingerprint, serial,
 * profile, enrolment_id, dates and revocation; of the device that is pinned to it (*ret_pinned) its
 * id, enrolment_key, state, identity, last_seen_ms and info. Nothing else is filled in.
 */
err_t *db_devices_sender(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                         db_certificate_t *ret_certificate, bool *ret_found,
                         db_device_t *ret_device, bool *ret_pinned) WARN_UNUSED;
err_t *db_devices_by_identity(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                              db_device_t *ret_row, bool *ret_found) WARN_UNUSED;
/*
 * By id, or by UDID, serial number or name, as a person types it. ERR_EXISTS when several devices
 * answer to it.
 */
err_t *db_devices_find(db_conn_t *conn, arena_t *arena, const char *text, db_device_t *ret_row,
                       bool *ret_found) WARN_UNUSED;
/* In order of id after `after` (may be ""); `state` "" means all. */
err_t *db_devices_list(db_conn_t *conn, arena_t *arena, const char *state, const char *after,
                       size_t limit, db_device_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Ids of the person's devices that are not removed. */
err_t *db_devices_of_person(db_conn_t *conn, arena_t *arena, const char *person_id,
                            const char ***ret_ids, size_t *ret_count) WARN_UNUSED;
/* TokenUpdate: token, magic, topic; push_state ok; state enrolled (enrolled_ms set the first time).
 */
err_t *db_devices_set_token(db_conn_t *conn, const char *id, bytes_t token, const char *magic,
                            const char *topic, int64_t now_ms) WARN_UNUSED;
/* Pins the device to another identity certificate, by fingerprint. */
err_t *db_devices_set_identity(db_conn_t *conn, const char *id, bytes_t fingerprint) WARN_UNUSED;
err_t *db_devices_set_state(db_conn_t *conn, const char *id, const char *state) WARN_UNUSED;
/* Only if the push token did not change since `token_ms` (a 410 for an old token is ignored). */
err_t *db_devices_set_push_state(db_conn_t *conn, const char *id, const char *push_state,
                                 int64_t token_ms) WARN_UNUSED;
err_t *db_devices_touch(db_conn_t *conn, const char *id, int64_t now_ms) WARN_UNUSED;
/* From DeviceInformation: empty strings leave the column as it is. */
err_t *db_devices_set_info(db_conn_t *conn, const char *id, const char *name,
                           const char *os_version, const char *build, const char *product,
                           const char *info_json) WARN_UNUSED;
err_t *db_devices_count(db_conn_t *conn, const char *state, int64_t *ret_count) WARN_UNUSED;

typedef struct {
    const char *device_id;
    const char *kind;
    int64_t version;
    bytes_t sealed;
    int64_t created_ms;
} db_sealed_t;

err_t *db_sealed_put(db_conn_t *conn, const db_sealed_t *row) WARN_UNUSED;
/* The newest version. */
err_t *db_sealed_latest(db_conn_t *conn, arena_t *arena, const char *device_id, const char *kind,
                        db_sealed_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_sealed_get(db_conn_t *conn, arena_t *arena, const char *device_id, const char *kind,
                     int64_t version, db_sealed_t *ret_row, bool *ret_found) WARN_UNUSED;

#endif
