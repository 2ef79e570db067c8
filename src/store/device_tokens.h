/*
 * Rows of `device_token`: what a device's own program shows where it has no identity certificate;
 * and of `device_token_offer`: those that it was told and has not confirmed.
 */
#ifndef COFFER_STORE_DEVICE_TOKENS_H
#define COFFER_STORE_DEVICE_TOKENS_H

#include "store/devices.h"

/* Takes the place of the one before, and of all that were offered. */
err_t *db_device_tokens_set(db_conn_t *conn, const char *device_id, bytes_t hash,
                            int64_t now_ms) WARN_UNUSED;
/*
 * Beside the one that the device has, brought by this command: both are good, with as many earlier
 * offers as LIMIT_TOKEN_OFFERS allows.
 */
err_t *db_device_tokens_offer(db_conn_t *conn, const char *device_id, const char *command,
                              bytes_t hash, int64_t now_ms) WARN_UNUSED;
/* The device has done the command: what it brought last is its token, alone. */
err_t *db_device_tokens_taken(db_conn_t *conn, const char *device_id,
                              const char *command) WARN_UNUSED;
/* The device did not do it: what it brought last is nobody's. */
err_t *db_device_tokens_refused(db_conn_t *conn, const char *device_id,
                                const char *command) WARN_UNUSED;
/* Of the device its id, enrolment_key and state; nothing else is filled in. */
err_t *db_device_tokens_find(db_conn_t *conn, arena_t *arena, bytes_t hash, db_device_t *ret_device,
                             bool *ret_found) WARN_UNUSED;
/*
 * Whether what the device showed still speaks for it: the hash of a token, or the fingerprint of
 * the identity certificate.
 */
err_t *db_device_reach_holds(db_conn_t *conn, const char *device_id, bytes_t shown,
                             bool by_identity, bool *ret_holds) WARN_UNUSED;
err_t *db_device_tokens_remove(db_conn_t *conn, const char *device_id) WARN_UNUSED;

#endif
