/*
 * Rows of signature packages and roots: see sync_packages.h.
 */
#include "store/sync_packages.h"

#include "store/rows_internal.h"

#define PACKAGE "region_seq, package, root, size, record, state, since_ms"
#define ROOT    "region_seq, counter, record, change, added_ms"

static const row_column_t package_columns[] = {
    {ROW_I64, offsetof(db_sync_package_t, region_seq)},
    {ROW_BYTES, offsetof(db_sync_package_t, package)},
    {ROW_BYTES, offsetof(db_sync_package_t, root)},
    {ROW_I64, offsetof(db_sync_package_t, size)},
    {ROW_BYTES, offsetof(db_sync_package_t, record)},
    {ROW_I64, offsetof(db_sync_package_t, state)},
    {ROW_I64, offsetof(db_sync_package_t, since_ms)},
};
static const row_type_t package_type = ROW_TYPE(package_columns, db_sync_package_t);

static const row_column_t root_columns[] = {
    {ROW_I64, offsetof(db_sync_root_t, region_seq)}, {ROW_I64, offsetof(db_sync_root_t, counter)},
    {ROW_BYTES, offsetof(db_sync_root_t, record)},   {ROW_BYTES, offsetof(db_sync_root_t, change)},
    {ROW_I64, offsetof(db_sync_root_t, added_ms)},
};
static const row_type_t root_type = ROW_TYPE(root_columns, db_sync_root_t);

err_t *db_sync_package_state(db_conn_t *conn, int64_t region_seq, bytes_t package,
                             int64_t *ret_state) {
    return row_number(conn,
                      "SELECT COALESCE(MAX(state), 0) FROM sync_package"
                      " WHERE region_seq = $1 AND package = $2",
                      ret_state, DB_I64(region_seq), DB_BYTES(package));
}

err_t *db_sync_package_put(db_conn_t *conn, const db_sync_package_t *row, bool *ret_new) {
    int64_t state = 0;
    TRY(db_sync_package_state(conn, row->region_seq, row->package, &state));
    *ret_new = state == 0;
    if (!state)
        return row_insert(conn,
                          "INSERT INTO sync_package (" PACKAGE ")"
                          " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                          &package_type, row);
    return db_exec(conn,
                   "UPDATE sync_package SET since_ms = $3"
                   " WHERE region_seq = $1 AND package = $2 AND state <> 2",
                   DB_I64(row->region_seq), DB_BYTES(row->package), DB_I64(row->since_ms));
}

err_t *db_sync_package_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t package,
                            db_sync_package_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &package_type,
                    "SELECT " PACKAGE " FROM sync_package WHERE region_seq = $1 AND package = $2",
                    ret_row, ret_found, DB_I64(region_seq), DB_BYTES(package));
}

err_t *db_sync_package_enter(db_conn_t *conn, int64_t region_seq, bytes_t package, int64_t now_ms,
                             bool *ret_changed) {
    return row_change(conn,
                      "UPDATE sync_package SET state = 2, since_ms = $3"
                      " WHERE region_seq = $1 AND package = $2 AND state <> 2",
                      ret_changed, DB_I64(region_seq), DB_BYTES(package), DB_I64(now_ms));
}

err_t *db_sync_package_drop(db_conn_t *conn, int64_t region_seq, bytes_t package, int64_t now_ms,
                            bool *ret_changed) {
    return row_change(conn,
                      "UPDATE sync_package SET state = 3, since_ms = $3"
                      " WHERE region_seq = $1 AND package = $2 AND state = 2",
                      ret_changed, DB_I64(region_seq), DB_BYTES(package), DB_I64(now_ms));
}

err_t *db_sync_package_due(db_conn_t *conn, arena_t *arena, int64_t put_ms, int64_t dropped_ms,
                           size_t limit, db_sync_package_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &package_type,
                    "SELECT p.region_seq, p.package, p.root, p.size, '', p.state, p.since_ms"
                    " FROM sync_package p JOIN sync_region r ON r.seq = p.region_seq"
                    " WHERE ((p.state = 1 AND p.since_ms < $1) OR"
                    " (p.state = 3 AND p.since_ms < $2))"
                    " AND NOT EXISTS (SELECT 1 FROM sync_hold h WHERE h.region = r.region"
                    " OR (h.person_id <> '' AND h.person_id = r.person_id))"
                    " ORDER BY p.since_ms LIMIT $3",
                    ret_rows, ret_count, DB_I64(put_ms), DB_I64(dropped_ms),
                    DB_I64((int64_t)limit));
}

err_t *db_sync_package_remove(db_conn_t *conn, const db_sync_package_t *row, bool *ret_removed) {
    return row_change(conn,
                      "DELETE FROM sync_package WHERE region_seq = $1 AND package = $2"
                      " AND state <> 2 AND since_ms = $3 AND NOT EXISTS"
                      " (SELECT 1 FROM sync_region r JOIN sync_hold h ON h.region = r.region"
                      " OR (h.person_id <> '' AND h.person_id = r.person_id) WHERE r.seq = $1)",
                      ret_removed, DB_I64(row->region_seq), DB_BYTES(row->package),
                      DB_I64(row->since_ms));
}

err_t *db_sync_package_of_root(db_conn_t *conn, int64_t region_seq, bytes_t root,
                               int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM sync_package WHERE region_seq = $1 AND root = $2",
                      ret_count, DB_I64(region_seq), DB_BYTES(root));
}

err_t *db_sync_root_add(db_conn_t *conn, const db_sync_root_t *row) {
    return row_insert(conn, "INSERT INTO sync_root (" ROOT ") VALUES ($1, $2, $3, $4, $5)",
                      &root_type, row);
}

err_t *db_sync_root_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t counter,
                         db_sync_root_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &root_type,
                    "SELECT " ROOT " FROM sync_root WHERE region_seq = $1 AND counter = $2",
                    ret_row, ret_found, DB_I64(region_seq), DB_I64(counter));
}
