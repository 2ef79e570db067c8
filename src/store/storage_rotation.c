/*
 * Rows of `storage_rotation`: see storage_rotation.h.
 */
#include "store/storage_rotation.h"

#include "store/rows_internal.h"

#define COLUMNS "number, actor, last_seq, done, refused, started_ms, updated_ms, finished_ms"

static const row_column_t columns[] = {
    {ROW_I64, offsetof(db_storage_rotation_t, number)},
    {ROW_STR, offsetof(db_storage_rotation_t, actor)},
    {ROW_I64, offsetof(db_storage_rotation_t, last_seq)},
    {ROW_I64, offsetof(db_storage_rotation_t, done)},
    {ROW_I64, offsetof(db_storage_rotation_t, refused)},
    {ROW_I64, offsetof(db_storage_rotation_t, started_ms)},
    {ROW_I64, offsetof(db_storage_rotation_t, updated_ms)},
    {ROW_I64, offsetof(db_storage_rotation_t, finished_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_storage_rotation_t);

err_t *db_storage_rotation_add(db_conn_t *conn, int64_t number, const char *actor, int64_t now_ms) {
    TRY(db_exec(conn, "UPDATE storage_rotation SET finished_ms = $1 WHERE finished_ms = 0",
                DB_I64(now_ms)));
    return db_exec(conn,
                   "INSERT INTO storage_rotation (" COLUMNS ")"
                   " VALUES ($1, $2, 0, 0, 0, $3, $3, 0)",
                   DB_I64(number), DB_STR(actor), DB_I64(now_ms));
}

err_t *db_storage_rotation_latest(db_conn_t *conn, arena_t *arena, db_storage_rotation_t *ret_row,
                                  bool *ret_found) {
    return row_find(conn, arena, &type,
                    "SELECT " COLUMNS " FROM storage_rotation WHERE number > $1"
                    " ORDER BY number DESC LIMIT 1",
                    ret_row, ret_found, DB_I64(0));
}

err_t *db_storage_rotation_move(db_conn_t *conn, int64_t number, int64_t last_seq, int64_t done,
                                int64_t refused, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE storage_rotation SET last_seq = $2, done = done + $3,"
                   " refused = refused + $4, updated_ms = $5"
                   " WHERE number = $1 AND finished_ms = 0 AND last_seq < $2",
                   DB_I64(number), DB_I64(last_seq), DB_I64(done), DB_I64(refused), DB_I64(now_ms));
}

err_t *db_storage_rotation_finish(db_conn_t *conn, int64_t number, int64_t now_ms,
                                  bool *ret_changed) {
    return row_change(conn,
                      "UPDATE storage_rotation SET finished_ms = $2, updated_ms = $2"
                      " WHERE number = $1 AND finished_ms = 0",
                      ret_changed, DB_I64(number), DB_I64(now_ms));
}
