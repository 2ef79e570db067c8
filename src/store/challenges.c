/*
 * Rows of `scep_challenge`: see challenges.h.
 */
#include "store/challenges.h"

#include "store/rows_internal.h"

#define COLUMNS                                                                                    \
    "hash, profile, subject, sans, enrolment_id, device_udid, created_by, created_ms, "            \
    "expires_ms, used_ms"

static const row_column_t columns[] = {
    {ROW_BYTES, offsetof(db_challenge_t, hash)},
    {ROW_STR, offsetof(db_challenge_t, profile)},
    {ROW_STR, offsetof(db_challenge_t, subject)},
    {ROW_STR, offsetof(db_challenge_t, sans)},
    {ROW_STR, offsetof(db_challenge_t, enrolment_id)},
    {ROW_STR, offsetof(db_challenge_t, device_udid)},
    {ROW_STR, offsetof(db_challenge_t, created_by)},
    {ROW_I64, offsetof(db_challenge_t, created_ms)},
    {ROW_I64, offsetof(db_challenge_t, expires_ms)},
    {ROW_I64, offsetof(db_challenge_t, used_ms)},
};
static const row_type_t challenge_type = ROW_TYPE(columns, db_challenge_t);

err_t *db_challenges_add(db_conn_t *conn, const db_challenge_t *row) {
    return row_insert(conn,
                      "INSERT INTO scep_challenge (" COLUMNS ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                      &challenge_type, row);
}

err_t *db_challenges_by_hash(db_conn_t *conn, arena_t *arena, bytes_t hash, db_challenge_t *ret_row,
                             bool *ret_found) {
    return row_find(conn, arena, &challenge_type,
                    "SELECT " COLUMNS " FROM scep_challenge WHERE hash = $1", ret_row, ret_found,
                    DB_BYTES(hash));
}

/* The check and the mark are one statement: of two at the same moment, one wins. */
err_t *db_challenges_use(db_conn_t *conn, bytes_t hash, int64_t now_ms, bool *ret_used) {
    return row_change(conn,
                      "UPDATE scep_challenge SET used_ms = $2"
                      " WHERE hash = $1 AND used_ms = 0 AND expires_ms > $2",
                      ret_used, DB_BYTES(hash), DB_I64(now_ms));
}

err_t *db_challenges_purge(db_conn_t *conn, int64_t before_ms) {
    return db_exec(conn, "DELETE FROM scep_challenge WHERE expires_ms < $1", DB_I64(before_ms));
}
