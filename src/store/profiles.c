/*
 * Rows of `profile` and `profile_assignment`: see profiles.h.
 */
#include "store/profiles.h"

#include "store/rows_internal.h"

#define COLUMNS_BUT_CONTENT "identifier, name, created_ms, updated_ms"
#define COLUMNS             COLUMNS_BUT_CONTENT ", content"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_profile_t, identifier)}, {ROW_STR, offsetof(db_profile_t, name)},
    {ROW_I64, offsetof(db_profile_t, created_ms)}, {ROW_I64, offsetof(db_profile_t, updated_ms)},
    {ROW_BYTES, offsetof(db_profile_t, content)},
};
static const row_type_t profile_type = ROW_TYPE(columns, db_profile_t);
static const row_type_t brief_type = {columns, sizeof columns / sizeof columns[0] - 1,
                                      sizeof(db_profile_t)};

err_t *db_profiles_put(db_conn_t *conn, const db_profile_t *row) {
    return row_insert(conn,
                      "INSERT INTO profile (" COLUMNS ") VALUES ($1, $2, $3, $4, $5)"
                      " ON CONFLICT (identifier) DO UPDATE SET name = excluded.name,"
                      " content = excluded.content, updated_ms = excluded.updated_ms",
                      &profile_type, row);
}

err_t *db_profiles_get(db_conn_t *conn, arena_t *arena, const char *identifier,
                       db_profile_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &profile_type,
                    "SELECT " COLUMNS " FROM profile WHERE identifier = $1", ret_row, ret_found,
                    DB_STR(identifier));
}

err_t *db_profiles_list(db_conn_t *conn, arena_t *arena, db_profile_t **ret_rows,
                        size_t *ret_count) {
    return row_list(conn, arena, &brief_type,
                    "SELECT " COLUMNS_BUT_CONTENT " FROM profile ORDER BY identifier", ret_rows,
                    ret_count);
}

err_t *db_profiles_remove(db_conn_t *conn, const char *identifier, bool *ret_found) {
    TRY(db_exec(conn, "DELETE FROM profile_assignment WHERE identifier = $1", DB_STR(identifier)));
    return row_change(conn, "DELETE FROM profile WHERE identifier = $1", ret_found,
                      DB_STR(identifier));
}

err_t *db_profiles_assign(db_conn_t *conn, const char *identifier, const char *device_id,
                          int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO profile_assignment (identifier, device_id, created_ms)"
                   " VALUES ($1, $2, $3) ON CONFLICT (identifier, device_id) DO NOTHING",
                   DB_STR(identifier), DB_STR(device_id), DB_I64(now_ms));
}

err_t *db_profiles_unassign(db_conn_t *conn, const char *identifier, const char *device_id,
                            bool *ret_found) {
    return row_change(conn,
                      "DELETE FROM profile_assignment WHERE identifier = $1 AND device_id = $2",
                      ret_found, DB_STR(identifier), DB_STR(device_id));
}

err_t *db_profiles_of_device(db_conn_t *conn, arena_t *arena, const char *device_id,
                             db_profile_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &profile_type,
                    "SELECT " COLUMNS " FROM profile WHERE identifier IN"
                    " (SELECT identifier FROM profile_assignment"
                    " WHERE device_id = $1 OR device_id = '*') ORDER BY identifier",
                    ret_rows, ret_count, DB_STR(device_id));
}
