/*
 * See ca_rows.h. For people who look now and then: these count rows.
 */
#include "store/ca_rows.h"

#include "store/rows_internal.h"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_ca_profile_t, profile)},
    {ROW_I64, offsetof(db_ca_profile_t, count)},
    {ROW_I64, offsetof(db_ca_profile_t, last_ends)},
};
static const row_type_t type = ROW_TYPE(columns, db_ca_profile_t);

err_t *db_ca_profiles(db_conn_t *conn, arena_t *arena, const char *issuer, int64_t now_s,
                      db_ca_profile_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT profile, COUNT(*), MAX(not_after) FROM certificate WHERE issuer = $1"
                    " AND not_after >= $2 AND revoked_ms = 0 GROUP BY profile ORDER BY profile",
                    ret_rows, ret_count, DB_STR(issuer), DB_I64(now_s));
}

err_t *db_ca_devices(db_conn_t *conn, const char *issuer, int64_t *ret_count) {
    return row_number(conn,
                      "SELECT COUNT(*) FROM device d JOIN certificate c ON c.fingerprint ="
                      " d.identity WHERE d.state = 'enrolled' AND c.issuer = $1",
                      ret_count, DB_STR(issuer));
}

err_t *db_ca_devices_since(db_conn_t *conn, int64_t since_ms, int64_t *ret_count) {
    return row_number(conn,
                      "SELECT COUNT(*) FROM device d JOIN certificate c ON c.fingerprint ="
                      " d.identity JOIN enrolment e ON e.id = c.enrolment_id"
                      " WHERE d.state = 'enrolled' AND e.created_ms >= $1",
                      ret_count, DB_I64(since_ms));
}
