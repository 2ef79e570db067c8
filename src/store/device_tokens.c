/*
 * Rows of `device_token`: see device_tokens.h.
 */
#include "store/device_tokens.h"

#include "store/rows_internal.h"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_device_t, id)},
    {ROW_STR, offsetof(db_device_t, enrolment_key)},
    {ROW_STR, offsetof(db_device_t, state)},
};
static const row_type_t type = ROW_TYPE(columns, db_device_t);

err_t *db_device_tokens_set(db_conn_t *conn, const char *device_id, bytes_t hash, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO device_token (device_id, hash, created_ms) VALUES ($1, $2, $3)"
                   " ON CONFLICT (device_id) DO UPDATE SET hash = $2, created_ms = $3",
                   DB_STR(device_id), DB_BYTES(hash), DB_I64(now_ms));
}

err_t *db_device_tokens_find(db_conn_t *conn, arena_t *arena, bytes_t hash, db_device_t *ret_device,
                             bool *ret_found) {
    return row_find(conn, arena, &type,
                    "SELECT d.id, d.enrolment_key, d.state FROM device_token t"
                    " JOIN device d ON d.id = t.device_id WHERE t.hash = $1"
                    " AND NOT EXISTS (SELECT 1 FROM lease_bar b WHERE b.device_id = d.id)"
                    " AND NOT EXISTS (SELECT 1 FROM certificate c"
                    " WHERE c.fingerprint = d.identity AND c.revoked_ms <> 0)",
                    ret_device, ret_found, DB_BYTES(hash));
}

err_t *db_device_tokens_remove(db_conn_t *conn, const char *device_id) {
    return db_exec(conn, "DELETE FROM device_token WHERE device_id = $1", DB_STR(device_id));
}
