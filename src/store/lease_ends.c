/*
 * Rows of `lease_end`: see lease_ends.h.
 */
#include "store/lease_ends.h"

#include "store/rows_internal.h"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_lease_end_t, device_id)},
    {ROW_STR, offsetof(db_lease_end_t, reason)},
    {ROW_I64, offsetof(db_lease_end_t, since_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_lease_end_t);

err_t *db_lease_ends_add(db_conn_t *conn, const char *device_id, const char *reason,
                         int64_t now_ms) {
    TRY(db_exec(conn,
                "INSERT INTO lease_bar (device_id, reason, since_ms) VALUES ($1, $2, $3)"
                " ON CONFLICT (device_id) DO UPDATE SET reason = $2, since_ms = $3",
                DB_STR(device_id), DB_STR(reason), DB_I64(now_ms)));
    return db_exec(conn,
                   "INSERT INTO lease_end (device_id, reason, since_ms) VALUES ($1, $2, $3)"
                   " ON CONFLICT (device_id) DO UPDATE SET reason = $2, since_ms ="
                   " CASE WHEN since_ms < $3 THEN $3 ELSE since_ms + 1 END",
                   DB_STR(device_id), DB_STR(reason), DB_I64(now_ms));
}

err_t *db_lease_ends_list(db_conn_t *conn, arena_t *arena, size_t limit, db_lease_end_t **ret_rows,
                          size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT device_id, reason, since_ms FROM lease_end"
                    " ORDER BY since_ms, device_id LIMIT $1",
                    ret_rows, ret_count, DB_I64((int64_t)limit));
}

err_t *db_lease_ends_remove(db_conn_t *conn, const db_lease_end_t *row, bool *ret_changed) {
    return row_change(conn, "DELETE FROM lease_end WHERE device_id = $1 AND since_ms = $2",
                      ret_changed, DB_STR(row->device_id), DB_I64(row->since_ms));
}

err_t *db_lease_ends_bar(db_conn_t *conn, arena_t *arena, const char *device_id,
                         const char **ret_reason, bool *ret_ending) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    const char *reason = NULL;
    bool found = false;
    int64_t ending = 0;
    TRY(db_query_row(conn, "SELECT reason FROM lease_bar WHERE device_id = $1", &stmt, &found,
                     DB_STR(device_id)));
    if (found) TRY(row_str(stmt, arena, 0, &reason));
    TRY(row_number(conn, "SELECT COUNT(*) FROM lease_end WHERE device_id = $1", &ending,
                   DB_STR(device_id)));
    *ret_reason = reason;
    *ret_ending = ending > 0;
    return NULL;
}

err_t *db_lease_ends_anew(db_conn_t *conn, const char *device_id, int64_t now_ms) {
    TRY(db_lease_ends_add(conn, device_id, "enrolled anew", now_ms));
    return db_exec(conn, "DELETE FROM lease_bar WHERE device_id = $1", DB_STR(device_id));
}
