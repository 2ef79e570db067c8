/*
 * Rows of `scep_challenge`: one-time SCEP challenge passwords, stored hashed.
 */
#ifndef COFFER_STORE_CHALLENGES_H
#define COFFER_STORE_CHALLENGES_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    bytes_t hash; /* SHA-256 */
    const char *profile;
    const char *subject;
    const char *sans;
    const char *enrolment_id;
    const char *device_udid;
    const char *created_by;
    int64_t created_ms;
    int64_t expires_ms;
    int64_t used_ms; /* 0: not used */
} db_challenge_t;

err_t *db_challenges_add(db_conn_t *conn, const db_challenge_t *row) WARN_UNUSED;
err_t *db_challenges_by_hash(db_conn_t *conn, arena_t *arena, bytes_t hash, db_challenge_t *ret_row,
                             bool *ret_found) WARN_UNUSED;
/* Consumes it: *ret_used is false when it was used before, expired or unknown. */
err_t *db_challenges_use(db_conn_t *conn, bytes_t hash, int64_t now_ms, bool *ret_used) WARN_UNUSED;
err_t *db_challenges_purge(db_conn_t *conn, int64_t before_ms) WARN_UNUSED;

#endif
