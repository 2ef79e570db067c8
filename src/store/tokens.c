/*
 * Rows of `api_token` and `meta`: see tokens.h.
 */
#include "store/tokens.h"

#include "store/rows_internal.h"

#define COLUMNS "hash, name, role, created_ms, expires_ms, last_used_ms, person_id, maker, not_hers"

static const row_column_t columns[] = {
    {ROW_BYTES, offsetof(db_token_t, hash)},     {ROW_STR, offsetof(db_token_t, name)},
    {ROW_STR, offsetof(db_token_t, role)},       {ROW_I64, offsetof(db_token_t, created_ms)},
    {ROW_I64, offsetof(db_token_t, expires_ms)}, {ROW_I64, offsetof(db_token_t, last_used_ms)},
    {ROW_STR, offsetof(db_token_t, person_id)},  {ROW_STR, offsetof(db_token_t, maker)},
    {ROW_BOOL, offsetof(db_token_t, not_hers)},
};
static const row_type_t token_type = ROW_TYPE(columns, db_token_t);

err_t *db_tokens_add(db_conn_t *conn, const db_token_t *row) {
    return row_insert(
        conn, "INSERT INTO api_token (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &token_type, row);
}

err_t *db_tokens_by_hash(db_conn_t *conn, arena_t *arena, bytes_t hash, db_token_t *ret_row,
                         bool *ret_found) {
    return row_find(conn, arena, &token_type, "SELECT " COLUMNS " FROM api_token WHERE hash = $1",
                    ret_row, ret_found, DB_BYTES(hash));
}

err_t *db_tokens_list(db_conn_t *conn, arena_t *arena, db_token_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &token_type, "SELECT " COLUMNS " FROM api_token ORDER BY name",
                    ret_rows, ret_count);
}

err_t *db_tokens_of_person(db_conn_t *conn, const char *person_id, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM api_token WHERE person_id = $1", ret_count,
                      DB_STR(person_id));
}

err_t *db_tokens_drop_expired(db_conn_t *conn, const char *person_id, int64_t now_ms) {
    return db_exec(conn,
                   "DELETE FROM api_token WHERE person_id = $1 AND expires_ms > 0"
                   " AND expires_ms < $2",
                   DB_STR(person_id), DB_I64(now_ms));
}

err_t *db_tokens_drop_own(db_conn_t *conn, const char *person_id, int64_t *ret_count) {
    TRY(db_exec(conn, "DELETE FROM api_token WHERE person_id = $1 AND maker = $1",
                DB_STR(person_id)));
    *ret_count = db_changes(conn);
    return NULL;
}

err_t *db_tokens_remove(db_conn_t *conn, const char *name, bool *ret_found) {
    return row_change(conn, "DELETE FROM api_token WHERE name = $1", ret_found, DB_STR(name));
}

err_t *db_meta_set(db_conn_t *conn, const char *name, const char *value) {
    return db_exec(conn,
                   "INSERT INTO meta (name, value) VALUES ($1, $2)"
                   " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                   DB_STR(name), DB_STR(value));
}

err_t *db_meta_get(db_conn_t *conn, arena_t *arena, const char *name, const char **ret_value,
                   bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, "SELECT value FROM meta WHERE name = $1", &stmt, &found, DB_STR(name)));
    if (found) TRY(row_str(stmt, arena, 0, ret_value));
    *ret_found = found;
    return NULL;
}
