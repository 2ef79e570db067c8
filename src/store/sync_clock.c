/*
 * The row of the clock of synced files: see sync_clock.h.
 */
#include "store/sync_clock.h"

#include "store/rows_internal.h"

err_t *db_sync_clock_get(db_conn_t *conn, int64_t *ret_ms) {
    return row_number(conn,
                      "SELECT COALESCE((SELECT now_ms FROM sync_clock WHERE id = $1),"
                      " (SELECT MAX(since_ms) FROM stored_blob), 0)",
                      ret_ms, DB_I64(1));
}

err_t *db_sync_clock_put(db_conn_t *conn, int64_t ms) {
    return db_exec(conn,
                   "INSERT INTO sync_clock (id, now_ms) VALUES (1, $1) ON CONFLICT (id) DO UPDATE"
                   " SET now_ms = excluded.now_ms WHERE excluded.now_ms > sync_clock.now_ms",
                   DB_I64(ms));
}
