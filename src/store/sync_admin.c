/*
 * Rows of quotas, holds and wipes: see sync_admin.h.
 */
#include "store/sync_admin.h"

#include "store/rows_internal.h"

#define HOLD "seq, region, person_id, reason, actor, created_ms"
#define WIPE "id, region_seq, device, actor, asked_ms, done_ms, files, at_s, signature"

static const row_column_t hold_columns[] = {
    {ROW_I64, offsetof(db_sync_hold_t, seq)},       {ROW_BYTES, offsetof(db_sync_hold_t, region)},
    {ROW_STR, offsetof(db_sync_hold_t, person_id)}, {ROW_STR, offsetof(db_sync_hold_t, reason)},
    {ROW_STR, offsetof(db_sync_hold_t, actor)},     {ROW_I64, offsetof(db_sync_hold_t, created_ms)},
};
static const row_type_t hold_type = ROW_TYPE(hold_columns, db_sync_hold_t);

static const row_column_t wipe_columns[] = {
    {ROW_BYTES, offsetof(db_sync_wipe_t, id)},
    {ROW_I64, offsetof(db_sync_wipe_t, region_seq)},
    {ROW_BYTES, offsetof(db_sync_wipe_t, device)},
    {ROW_STR, offsetof(db_sync_wipe_t, actor)},
    {ROW_I64, offsetof(db_sync_wipe_t, asked_ms)},
    {ROW_I64, offsetof(db_sync_wipe_t, done_ms)},
    {ROW_I64, offsetof(db_sync_wipe_t, files)},
    {ROW_I64, offsetof(db_sync_wipe_t, at_s)},
    {ROW_BYTES, offsetof(db_sync_wipe_t, signature)},
};
static const row_type_t wipe_type = ROW_TYPE(wipe_columns, db_sync_wipe_t);

err_t *db_sync_quota_put(db_conn_t *conn, const char *person_id, int64_t bytes) {
    if (bytes < 0)
        return db_exec(conn, "DELETE FROM sync_quota WHERE person_id = $1", DB_STR(person_id));
    return db_exec(conn,
                   "INSERT INTO sync_quota (person_id, bytes) VALUES ($1, $2)"
                   " ON CONFLICT (person_id) DO UPDATE SET bytes = excluded.bytes",
                   DB_STR(person_id), DB_I64(bytes));
}

err_t *db_sync_quota_get(db_conn_t *conn, const char *person_id, int64_t *ret_bytes,
                         bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query_row(conn, "SELECT bytes FROM sync_quota WHERE person_id = $1", &stmt, ret_found,
                     DB_STR(person_id)));
    if (*ret_found) *ret_bytes = db_col_i64(stmt, 0);
    return NULL;
}

err_t *db_sync_hold_add(db_conn_t *conn, const db_sync_hold_t *row, int64_t *ret_seq) {
    return row_number(conn,
                      "INSERT INTO sync_hold (region, person_id, reason, actor, created_ms)"
                      " VALUES ($1, $2, $3, $4, $5) RETURNING seq",
                      ret_seq, DB_BYTES(row->region), DB_STR(row->person_id), DB_STR(row->reason),
                      DB_STR(row->actor), DB_I64(row->created_ms));
}

err_t *db_sync_hold_list(db_conn_t *conn, arena_t *arena, size_t limit, db_sync_hold_t **ret_rows,
                         size_t *ret_count) {
    return row_list(conn, arena, &hold_type, "SELECT " HOLD " FROM sync_hold ORDER BY seq LIMIT $1",
                    ret_rows, ret_count, DB_I64((int64_t)limit));
}

err_t *db_sync_hold_remove(db_conn_t *conn, int64_t seq, bool *ret_found) {
    return row_change(conn, "DELETE FROM sync_hold WHERE seq = $1", ret_found, DB_I64(seq));
}

err_t *db_sync_wipe_add(db_conn_t *conn, const db_sync_wipe_t *row) {
    return row_insert(
        conn, "INSERT INTO sync_wipe (" WIPE ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        &wipe_type, row);
}

err_t *db_sync_wipe_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t device,
                         db_sync_wipe_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &wipe_type,
                    "SELECT " WIPE " FROM sync_wipe WHERE region_seq = $1 AND device = $2", ret_row,
                    ret_found, DB_I64(region_seq), DB_BYTES(device));
}

err_t *db_sync_wipe_done(db_conn_t *conn, const db_sync_wipe_t *row, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE sync_wipe SET done_ms = $2, files = $3, at_s = $4, signature = $5"
                      " WHERE id = $1 AND done_ms = 0",
                      ret_changed, DB_BYTES(row->id), DB_I64(row->done_ms), DB_I64(row->files),
                      DB_I64(row->at_s), DB_BYTES(row->signature));
}

static err_t *packages_in(db_conn_t *conn, int64_t state, int64_t *ret_n, int64_t *ret_bytes) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM sync_package WHERE state = $1",
                     &stmt, &found, DB_I64(state)));
    if (!found) return err_new(ERR_INTERNAL, "a sum without a row");
    *ret_n = db_col_i64(stmt, 0);
    *ret_bytes = db_col_i64(stmt, 1);
    return NULL;
}

err_t *db_sync_usage(db_conn_t *conn, db_sync_usage_t *ret_usage) {
    db_sync_usage_t u = {0};
    TRY(row_number(conn, "SELECT COUNT(*) FROM sync_region", &u.regions));
    TRY(row_number(conn, "SELECT COUNT(DISTINCT person_id) FROM sync_region", &u.people));
    TRY(row_number(conn, "SELECT COUNT(*) FROM sync_device WHERE state = 1", &u.devices));
    TRY(row_number(conn, "SELECT COALESCE(SUM(used), 0) FROM sync_region", &u.used));
    TRY(packages_in(conn, 2, &u.packages, &u.bytes));
    TRY(packages_in(conn, 3, &u.versions, &u.version_bytes));
    *ret_usage = u;
    return NULL;
}
