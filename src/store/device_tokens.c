/*
 * Rows of `device_token` and `device_token_offer`: see device_tokens.h.
 */
#include "store/device_tokens.h"

#include "base/limits.h"
#include "store/rows_internal.h"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_device_t, id)},
    {ROW_STR, offsetof(db_device_t, enrolment_key)},
    {ROW_STR, offsetof(db_device_t, state)},
};
static const row_type_t type = ROW_TYPE(columns, db_device_t);

/* Also used to see whether a token still holds: $1 is its hash. */
#define HAS_TOKEN                                                                                  \
    "d.id IN (SELECT device_id FROM device_token WHERE hash = $1"                                  \
    " UNION ALL SELECT device_id FROM device_token_offer WHERE hash = $1)"                         \
    " AND NOT EXISTS (SELECT 1 FROM lease_bar b WHERE b.device_id = d.id)"                         \
    " AND NOT EXISTS (SELECT 1 FROM certificate c"                                                 \
    " WHERE c.fingerprint = d.identity AND c.revoked_ms <> 0)"

static err_t *remove_offers(db_conn_t *conn, const char *device_id) {
    return db_exec(conn, "DELETE FROM device_token_offer WHERE device_id = $1", DB_STR(device_id));
}

err_t *db_device_tokens_set(db_conn_t *conn, const char *device_id, bytes_t hash, int64_t now_ms) {
    TRY(remove_offers(conn, device_id));
    return db_exec(conn,
                   "INSERT INTO device_token (device_id, hash, created_ms) VALUES ($1, $2, $3)"
                   " ON CONFLICT (device_id) DO UPDATE SET hash = $2, created_ms = $3",
                   DB_STR(device_id), DB_BYTES(hash), DB_I64(now_ms));
}

err_t *db_device_tokens_offer(db_conn_t *conn, const char *device_id, const char *command,
                              bytes_t hash, int64_t now_ms) {
    TRY(db_exec(conn,
                "INSERT INTO device_token_offer (device_id, command, hash, created_ms)"
                " VALUES ($1, $2, $3, $4)",
                DB_STR(device_id), DB_STR(command), DB_BYTES(hash), DB_I64(now_ms)));
    return db_exec(conn,
                   "DELETE FROM device_token_offer WHERE device_id = $1 AND seq NOT IN"
                   " (SELECT seq FROM device_token_offer WHERE device_id = $1"
                   " ORDER BY seq DESC LIMIT $2)",
                   DB_STR(device_id), DB_I64(LIMIT_TOKEN_OFFERS));
}

err_t *db_device_tokens_taken(db_conn_t *conn, const char *device_id, const char *command) {
    bool changed = false;
    TRY(row_change(conn,
                   "INSERT INTO device_token (device_id, hash, created_ms)"
                   " SELECT device_id, hash, created_ms FROM device_token_offer"
                   " WHERE device_id = $1 AND command = $2 ORDER BY seq DESC LIMIT 1"
                   " ON CONFLICT (device_id) DO UPDATE SET hash = excluded.hash,"
                   " created_ms = excluded.created_ms",
                   &changed, DB_STR(device_id), DB_STR(command)));
    return changed ? remove_offers(conn, device_id) : NULL;
}

err_t *db_device_tokens_refused(db_conn_t *conn, const char *device_id, const char *command) {
    return db_exec(conn,
                   "DELETE FROM device_token_offer WHERE seq = (SELECT MAX(seq)"
                   " FROM device_token_offer WHERE device_id = $1 AND command = $2)",
                   DB_STR(device_id), DB_STR(command));
}

err_t *db_device_tokens_find(db_conn_t *conn, arena_t *arena, bytes_t hash, db_device_t *ret_device,
                             bool *ret_found) {
    return row_find(conn, arena, &type,
                    "SELECT d.id, d.enrolment_key, d.state FROM device d WHERE " HAS_TOKEN,
                    ret_device, ret_found, DB_BYTES(hash));
}

err_t *db_device_reach_holds(db_conn_t *conn, const char *device_id, bytes_t shown,
                             bool by_identity, bool *ret_holds) {
    int64_t count = 0;
    TRY(by_identity
            ? row_number(conn,
                         "SELECT COUNT(*) FROM device d WHERE d.id = $2 AND d.state = 'enrolled'"
                         " AND EXISTS (SELECT 1 FROM certificate c WHERE c.fingerprint = $1"
                         " AND c.revoked_ms = 0)",
                         &count, DB_BYTES(shown), DB_STR(device_id))
            : row_number(conn,
                         "SELECT COUNT(*) FROM device d WHERE d.id = $2 AND d.state = 'enrolled'"
                         " AND " HAS_TOKEN,
                         &count, DB_BYTES(shown), DB_STR(device_id)));
    *ret_holds = count > 0;
    return NULL;
}

err_t *db_device_tokens_remove(db_conn_t *conn, const char *device_id) {
    TRY(remove_offers(conn, device_id));
    return db_exec(conn, "DELETE FROM device_token WHERE device_id = $1", DB_STR(device_id));
}
