/*
 * Rows of `lease_event`: see lease_events.h.
 */
#include "store/lease_events.h"

#include "store/rows_internal.h"

#define COLUMNS "device_id, account, event, created_ms, released_ms"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_lease_event_t, device_id)},
    {ROW_STR, offsetof(db_lease_event_t, account)},
    {ROW_STR, offsetof(db_lease_event_t, event)},
    {ROW_I64, offsetof(db_lease_event_t, created_ms)},
    {ROW_I64, offsetof(db_lease_event_t, released_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_lease_event_t);

err_t *db_lease_events_add(db_conn_t *conn, const db_lease_event_t *row, int64_t keep) {
    TRY(row_insert(conn,
                   "INSERT INTO lease_event (" COLUMNS ") VALUES ($1, $2, $3, $4, $5)"
                   " ON CONFLICT (device_id, account, event) DO NOTHING",
                   &type, row));
    return db_exec(conn,
                   "DELETE FROM lease_event WHERE device_id = $1 AND account = $2 AND event IN"
                   " (SELECT event FROM lease_event WHERE device_id = $1 AND account = $2"
                   " ORDER BY created_ms DESC, event DESC LIMIT 1000 OFFSET $3)",
                   DB_STR(row->device_id), DB_STR(row->account), DB_I64(keep));
}

err_t *db_lease_events_find(db_conn_t *conn, arena_t *arena, const char *device_id,
                            const char *account, const char *event, db_lease_event_t *ret_row,
                            bool *ret_found) {
    return row_find(conn, arena, &type,
                    "SELECT " COLUMNS " FROM lease_event"
                    " WHERE device_id = $1 AND account = $2 AND event = $3",
                    ret_row, ret_found, DB_STR(device_id), DB_STR(account), DB_STR(event));
}

err_t *db_lease_events_list(db_conn_t *conn, arena_t *arena, const char *device_id, size_t limit,
                            db_lease_event_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT " COLUMNS " FROM lease_event WHERE device_id = $1 AND released_ms = 0"
                    " ORDER BY created_ms, event LIMIT $2",
                    ret_rows, ret_count, DB_STR(device_id), DB_I64((int64_t)limit));
}

err_t *db_lease_events_release(db_conn_t *conn, const db_lease_event_t *row, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE lease_event SET released_ms = $4 WHERE device_id = $1 AND account = $2"
                   " AND event = $3 AND released_ms = 0",
                   DB_STR(row->device_id), DB_STR(row->account), DB_STR(row->event),
                   DB_I64(now_ms));
}

err_t *db_lease_events_forget(db_conn_t *conn, const char *device_id, const char *account) {
    return db_exec(conn,
                   "DELETE FROM lease_event WHERE device_id = $1 AND ($2 = '' OR account = $2)",
                   DB_STR(device_id), DB_STR(account));
}

err_t *db_lease_events_purge(db_conn_t *conn, int64_t before_ms) {
    return db_exec(conn, "DELETE FROM lease_event WHERE created_ms < $1", DB_I64(before_ms));
}
