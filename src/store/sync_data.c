/*
 * Rows of data packages and their parts: see sync_data.h.
 */
#include "store/sync_data.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/blob_rows.h"
#include "store/rows_internal.h"

#define DATA "seq, region_seq, root, size, held, since_ms"
#define PART "part, blob_id, header, leaves"

static const row_column_t data_columns[] = {
    {ROW_I64, offsetof(db_sync_data_t, seq)},    {ROW_I64, offsetof(db_sync_data_t, region_seq)},
    {ROW_BYTES, offsetof(db_sync_data_t, root)}, {ROW_I64, offsetof(db_sync_data_t, size)},
    {ROW_I64, offsetof(db_sync_data_t, held)},   {ROW_I64, offsetof(db_sync_data_t, since_ms)},
};
static const row_type_t data_type = ROW_TYPE(data_columns, db_sync_data_t);

static const row_column_t part_columns[] = {
    {ROW_I64, offsetof(db_sync_part_t, part)},
    {ROW_BYTES, offsetof(db_sync_part_t, blob_id)},
    {ROW_BYTES, offsetof(db_sync_part_t, header)},
    {ROW_BYTES, offsetof(db_sync_part_t, leaves)},
};
static const row_type_t part_type = ROW_TYPE(part_columns, db_sync_part_t);

/*
 * The region's number is in it: a region may hold bytes that another one has too, and neither's end
 * may be the other's.
 */
static err_t *owner_of(int64_t region_seq, bytes_t root, char ret_owner[LIMIT_BLOB_OWNER + 1]) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(root, &hex));
    int n = snprintf(ret_owner, LIMIT_BLOB_OWNER + 1, "sync:%lld:%s", (long long)region_seq, hex);
    if (n < 0 || n > LIMIT_BLOB_OWNER) return err_new(ERR_INTERNAL, "the owner of a blob");
    return NULL;
}

err_t *db_sync_data_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t root,
                         db_sync_data_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &data_type,
                    "SELECT " DATA " FROM sync_data WHERE region_seq = $1 AND root = $2", ret_row,
                    ret_found, DB_I64(region_seq), DB_BYTES(root));
}

err_t *db_sync_data_add(db_conn_t *conn, const db_sync_data_t *row, int64_t *ret_seq) {
    return row_number(conn,
                      "INSERT INTO sync_data (region_seq, root, size, held, since_ms)"
                      " VALUES ($1, $2, $3, $4, $5) RETURNING seq",
                      ret_seq, DB_I64(row->region_seq), DB_BYTES(row->root), DB_I64(row->size),
                      DB_I64(row->held), DB_I64(row->since_ms));
}

err_t *db_sync_data_grew(db_conn_t *conn, int64_t seq, int64_t now_ms) {
    return db_exec(conn, "UPDATE sync_data SET held = held + 1, since_ms = $2 WHERE seq = $1",
                   DB_I64(seq), DB_I64(now_ms));
}

err_t *db_sync_data_remove(db_conn_t *conn, const db_sync_data_t *row, int64_t now_ms) {
    char owner[LIMIT_BLOB_OWNER + 1];
    TRY(owner_of(row->region_seq, row->root, owner));
    TRY(db_blob_disown(conn, owner, now_ms));
    TRY(db_exec(conn, "DELETE FROM sync_part WHERE data_seq = $1", DB_I64(row->seq)));
    return db_exec(conn, "DELETE FROM sync_data WHERE seq = $1", DB_I64(row->seq));
}

err_t *db_sync_data_rename(db_conn_t *conn, arena_t *arena, const db_sync_data_t *row, bytes_t root,
                           int64_t now_ms) {
    char before[LIMIT_BLOB_OWNER + 1], after[LIMIT_BLOB_OWNER + 1];
    db_sync_part_t *parts = NULL;
    size_t n = 0;
    TRY(owner_of(row->region_seq, row->root, before));
    TRY(owner_of(row->region_seq, root, after));
    TRY(db_sync_part_list(conn, arena, row->seq, &parts, &n));
    for (size_t i = 0; i < n; i++) TRY(db_blob_own(conn, parts[i].blob_id, after));
    TRY(db_blob_disown(conn, before, now_ms));
    return db_exec(conn, "UPDATE sync_data SET root = $2 WHERE seq = $1", DB_I64(row->seq),
                   DB_BYTES(root));
}

#define UNCLAIMED                                                                                  \
    " NOT EXISTS (SELECT 1 FROM sync_package p WHERE p.region_seq = d.region_seq"                  \
    " AND p.root = d.root) AND NOT EXISTS (SELECT 1 FROM sync_link_root r WHERE r.root = d.root)"

err_t *db_sync_data_unclaimed(db_conn_t *conn, arena_t *arena, int64_t before_ms, int64_t after,
                              size_t limit, db_sync_data_t **ret_rows, size_t *ret_count,
                              int64_t *ret_last) {
    int64_t last = 0;
    TRY(row_number(conn,
                   "SELECT CASE WHEN COUNT(*) < $2 THEN 0 ELSE MAX(x.seq) END FROM"
                   " (SELECT seq FROM sync_data WHERE seq > $1 ORDER BY seq LIMIT $2) x",
                   &last, DB_I64(after), DB_I64((int64_t)limit)));
    TRY(row_list(conn, arena, &data_type,
                 "SELECT " DATA " FROM sync_data d WHERE d.seq > $1 AND d.seq <= $2"
                 " AND d.since_ms < $3 AND" UNCLAIMED " ORDER BY d.seq",
                 ret_rows, ret_count, DB_I64(after), DB_I64(last ? last : INT64_MAX),
                 DB_I64(before_ms)));
    *ret_last = last;
    return NULL;
}

err_t *db_sync_data_is_unclaimed(db_conn_t *conn, const db_sync_data_t *row, bool *ret_is) {
    int64_t n = 0;
    TRY(row_number(conn,
                   "SELECT COUNT(*) FROM sync_data d WHERE d.seq = $1 AND d.root = $2"
                   " AND d.since_ms = $3 AND" UNCLAIMED,
                   &n, DB_I64(row->seq), DB_BYTES(row->root), DB_I64(row->since_ms)));
    *ret_is = n > 0;
    return NULL;
}

err_t *db_sync_part_add(db_conn_t *conn, int64_t region_seq, bytes_t root, int64_t data_seq,
                        const db_sync_part_t *row, bool *ret_new) {
    char owner[LIMIT_BLOB_OWNER + 1];
    TRY(row_change(conn,
                   "INSERT INTO sync_part (data_seq, part, blob_id, header, leaves)"
                   " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (data_seq, part) DO NOTHING",
                   ret_new, DB_I64(data_seq), DB_I64(row->part), DB_BYTES(row->blob_id),
                   DB_BYTES(row->header), DB_BYTES(row->leaves)));
    if (!*ret_new) return NULL;
    TRY(owner_of(region_seq, root, owner));
    return db_blob_own(conn, row->blob_id, owner);
}

err_t *db_sync_part_drop(db_conn_t *conn, int64_t data_seq, int64_t part, bytes_t unless,
                         bool *ret_dropped) {
    return row_change(conn,
                      "DELETE FROM sync_part WHERE data_seq = $1 AND part = $2 AND blob_id <> $3",
                      ret_dropped, DB_I64(data_seq), DB_I64(part), DB_BYTES(unless));
}

err_t *db_sync_part_find(db_conn_t *conn, arena_t *arena, int64_t data_seq, int64_t part,
                         db_sync_part_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &part_type,
                    "SELECT " PART " FROM sync_part WHERE data_seq = $1 AND part = $2", ret_row,
                    ret_found, DB_I64(data_seq), DB_I64(part));
}

err_t *db_sync_part_list(db_conn_t *conn, arena_t *arena, int64_t data_seq,
                         db_sync_part_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &part_type,
                    "SELECT " PART " FROM sync_part WHERE data_seq = $1 ORDER BY part", ret_rows,
                    ret_count, DB_I64(data_seq));
}

err_t *db_sync_data_state(db_conn_t *conn, int64_t data_seq, db_sync_data_state_t *ret_state) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT COALESCE(MIN(x.good), 0), COALESCE(MIN(x.verified), 0) FROM"
                     " (SELECT COUNT(r.store) AS good, COALESCE(MIN(r.verified_ms), 0) AS verified"
                     " FROM sync_part p LEFT JOIN blob_replica r ON r.blob_id = p.blob_id"
                     " AND r.state = 1 WHERE p.data_seq = $1 GROUP BY p.part) x",
                     &stmt, &found, DB_I64(data_seq)));
    if (!found) return err_new(ERR_INTERNAL, "a sum without a row");
    *ret_state = (db_sync_data_state_t){db_col_i64(stmt, 0), db_col_i64(stmt, 1)};
    return NULL;
}
