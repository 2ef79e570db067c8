/*
 * Rows of `enrolment`: see enrolments.h.
 */
#include "store/enrolments.h"

#include "store/rows_internal.h"

#define COLUMNS                                                                                    \
    "id, person_id, challenge_hash, state, udid, serial_number, product, os_version, created_ms, " \
    "expires_ms"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_enrolment_t, id)},
    {ROW_STR, offsetof(db_enrolment_t, person_id)},
    {ROW_BYTES, offsetof(db_enrolment_t, challenge_hash)},
    {ROW_STR, offsetof(db_enrolment_t, state)},
    {ROW_STR, offsetof(db_enrolment_t, udid)},
    {ROW_STR, offsetof(db_enrolment_t, serial_number)},
    {ROW_STR, offsetof(db_enrolment_t, product)},
    {ROW_STR, offsetof(db_enrolment_t, os_version)},
    {ROW_I64, offsetof(db_enrolment_t, created_ms)},
    {ROW_I64, offsetof(db_enrolment_t, expires_ms)},
};
static const row_type_t enrolment_type = ROW_TYPE(columns, db_enrolment_t);

err_t *db_enrolments_add(db_conn_t *conn, const db_enrolment_t *row) {
    return row_insert(conn,
                      "INSERT INTO enrolment (" COLUMNS ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                      &enrolment_type, row);
}

err_t *db_enrolments_by_challenge(db_conn_t *conn, arena_t *arena, bytes_t challenge_hash,
                                  db_enrolment_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &enrolment_type,
                    "SELECT " COLUMNS " FROM enrolment WHERE challenge_hash = $1", ret_row,
                    ret_found, DB_BYTES(challenge_hash));
}

err_t *db_enrolments_by_id(db_conn_t *conn, arena_t *arena, const char *id, db_enrolment_t *ret_row,
                           bool *ret_found) {
    return row_find(conn, arena, &enrolment_type, "SELECT " COLUMNS " FROM enrolment WHERE id = $1",
                    ret_row, ret_found, DB_STR(id));
}

err_t *db_enrolments_identify(db_conn_t *conn, const char *id, const char *udid,
                              const char *serial_number, const char *product,
                              const char *os_version, int64_t now_ms, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE enrolment SET state = 'identified', udid = $2, serial_number = $3,"
                      " product = $4, os_version = $5 WHERE id = $1 AND"
                      " ((state = 'offered' AND expires_ms > $6) OR"
                      " (state = 'identified' AND udid = $2))",
                      ret_changed, DB_STR(id), DB_STR(udid), DB_STR(serial_number), DB_STR(product),
                      DB_STR(os_version), DB_I64(now_ms));
}

err_t *db_enrolments_certified(db_conn_t *conn, const char *id) {
    return db_exec(
        conn, "UPDATE enrolment SET state = 'certified' WHERE id = $1 AND state = 'identified'",
        DB_STR(id));
}

err_t *db_enrolments_set_state(db_conn_t *conn, const char *id, const char *state) {
    return db_exec(conn, "UPDATE enrolment SET state = $2 WHERE id = $1", DB_STR(id),
                   DB_STR(state));
}

err_t *db_enrolments_purge(db_conn_t *conn, int64_t before_ms) {
    return db_exec(conn, "DELETE FROM enrolment WHERE state = 'offered' AND expires_ms < $1",
                   DB_I64(before_ms));
}
