/*
 * Rows of `device_token`: what a device's own program shows where it has no identity certificate.
 */
#ifndef COFFER_STORE_DEVICE_TOKENS_H
#define COFFER_STORE_DEVICE_TOKENS_H

#include "store/devices.h"

/* Takes the place of the one before. */
err_t *db_device_tokens_set(db_conn_t *conn, const char *device_id, bytes_t hash,
                            int64_t now_ms) WARN_UNUSED;
/* Of the device its id, enrolment_key and state; nothing else is filled in. */
err_t *db_device_tokens_find(db_conn_t *conn, arena_t *arena, bytes_t hash, db_device_t *ret_device,
                             bool *ret_found) WARN_UNUSED;
err_t *db_device_tokens_remove(db_conn_t *conn, const char *device_id) WARN_UNUSED;

#endif
