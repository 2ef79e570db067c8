/*
 * Rows of `app_push`: see app_pushes.h.
 */
#include "store/app_pushes.h"

#include "store/rows_internal.h"

#define COLUMNS "device_id, token, release, token_ms"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_app_push_t, device_id)},
    {ROW_BYTES, offsetof(db_app_push_t, token)},
    {ROW_I64, offsetof(db_app_push_t, release)},
    {ROW_I64, offsetof(db_app_push_t, token_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_app_push_t);

err_t *db_app_pushes_put(db_conn_t *conn, const db_app_push_t *row) {
    TRY(db_exec(conn, "DELETE FROM app_push WHERE token = $1 AND device_id <> $2",
                DB_BYTES(row->token), DB_STR(row->device_id)));
    return row_insert(conn,
                      "INSERT INTO app_push (" COLUMNS ") VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT (device_id) DO UPDATE"
                      " SET token = $2, release = $3, token_ms = $4",
                      &type, row);
}

err_t *db_app_pushes_find(db_conn_t *conn, arena_t *arena, const char *device_id,
                          db_app_push_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &type, "SELECT " COLUMNS " FROM app_push WHERE device_id = $1",
                    ret_row, ret_found, DB_STR(device_id));
}

err_t *db_app_pushes_clear(db_conn_t *conn) { return db_exec(conn, "DELETE FROM app_push"); }

err_t *db_app_pushes_remove(db_conn_t *conn, const char *device_id, int64_t until_ms) {
    return db_exec(conn, "DELETE FROM app_push WHERE device_id = $1 AND token_ms <= $2",
                   DB_STR(device_id), DB_I64(until_ms));
}
