/*
 * Rows of `enrolment`: one over-the-air enrolment from the portal to the identity certificate.
 */
#ifndef COFFER_STORE_ENROLMENTS_H
#define COFFER_STORE_ENROLMENTS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *id;
    const char *person_id;
    bytes_t challenge_hash; /* SHA-256 */
    const char *state;      /* offered, identified, certified, delivered */
    const char *udid;
    const char *serial_number;
    const char *product;
    const char *os_version;
    int64_t created_ms;
    int64_t expires_ms;
} db_enrolment_t;

err_t *db_enrolments_add(db_conn_t *conn, const db_enrolment_t *row) WARN_UNUSED;
err_t *db_enrolments_by_challenge(db_conn_t *conn, arena_t *arena, bytes_t challenge_hash,
                                  db_enrolment_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_enrolments_by_id(db_conn_t *conn, arena_t *arena, const char *id, db_enrolment_t *ret_row,
                           bool *ret_found) WARN_UNUSED;
/*
 * Phase 2: offered -> identified with the device's attributes, only if it is still offered and
 * not expired at now_ms (or already identified with the same udid: a repeated POST).
 * *ret_changed tells whether it was.
 */
err_t *db_enrolments_identify(db_conn_t *conn, const char *id, const char *udid,
                              const char *serial_number, const char *product,
                              const char *os_version, int64_t now_ms,
                              bool *ret_changed) WARN_UNUSED;
/* identified -> certified; the certificates that come after phase 3 change nothing. */
err_t *db_enrolments_certified(db_conn_t *conn, const char *id) WARN_UNUSED;
err_t *db_enrolments_set_state(db_conn_t *conn, const char *id, const char *state) WARN_UNUSED;
/* Deletes offers never taken that expired before `before_ms`. */
err_t *db_enrolments_purge(db_conn_t *conn, int64_t before_ms) WARN_UNUSED;

#endif
