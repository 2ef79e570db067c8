/*
 * Rows of regions, their chains and devices: see sync_regions.h.
 */
#include "store/sync_regions.h"

#include "store/rows_internal.h"

#define REGION                                                                                     \
    "seq, region, person_id, created_ms, entries, root, root_hash, root_position, joins, used"
#define ENTRY  "region_seq, position, record, leaf, leaf_record, added_ms"
#define DEVICE "region_seq, device, person_id, name, state, roles, login, seen_ms"

static const row_column_t region_columns[] = {
    {ROW_I64, offsetof(db_sync_region_t, seq)},
    {ROW_BYTES, offsetof(db_sync_region_t, region)},
    {ROW_STR, offsetof(db_sync_region_t, person_id)},
    {ROW_I64, offsetof(db_sync_region_t, created_ms)},
    {ROW_I64, offsetof(db_sync_region_t, entries)},
    {ROW_I64, offsetof(db_sync_region_t, root)},
    {ROW_BYTES, offsetof(db_sync_region_t, root_hash)},
    {ROW_I64, offsetof(db_sync_region_t, root_position)},
    {ROW_I64, offsetof(db_sync_region_t, joins)},
    {ROW_I64, offsetof(db_sync_region_t, used)},
};
static const row_type_t region_type = ROW_TYPE(region_columns, db_sync_region_t);

static const row_column_t entry_columns[] = {
    {ROW_I64, offsetof(db_sync_entry_t, region_seq)},
    {ROW_I64, offsetof(db_sync_entry_t, position)},
    {ROW_BYTES, offsetof(db_sync_entry_t, record)},
    {ROW_I64, offsetof(db_sync_entry_t, leaf)},
    {ROW_BYTES, offsetof(db_sync_entry_t, leaf_record)},
    {ROW_I64, offsetof(db_sync_entry_t, added_ms)},
};
static const row_type_t entry_type = ROW_TYPE(entry_columns, db_sync_entry_t);

static const row_column_t device_columns[] = {
    {ROW_I64, offsetof(db_sync_device_t, region_seq)},
    {ROW_BYTES, offsetof(db_sync_device_t, device)},
    {ROW_STR, offsetof(db_sync_device_t, person_id)},
    {ROW_STR, offsetof(db_sync_device_t, name)},
    {ROW_I64, offsetof(db_sync_device_t, state)},
    {ROW_I64, offsetof(db_sync_device_t, roles)},
    {ROW_BYTES, offsetof(db_sync_device_t, login)},
    {ROW_I64, offsetof(db_sync_device_t, seen_ms)},
};
static const row_type_t device_type = ROW_TYPE(device_columns, db_sync_device_t);

/* ---- regions ---- */

err_t *db_sync_region_add(db_conn_t *conn, const db_sync_region_t *row, int64_t *ret_seq) {
    return row_number(conn,
                      "INSERT INTO sync_region (region, person_id, created_ms, entries, root,"
                      " root_hash, root_position, joins, used)"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING seq",
                      ret_seq, DB_BYTES(row->region), DB_STR(row->person_id),
                      DB_I64(row->created_ms), DB_I64(row->entries), DB_I64(row->root),
                      DB_BYTES(row->root_hash), DB_I64(row->root_position), DB_I64(row->joins),
                      DB_I64(row->used));
}

err_t *db_sync_region_find(db_conn_t *conn, arena_t *arena, bytes_t region,
                           db_sync_region_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &region_type,
                    "SELECT " REGION " FROM sync_region WHERE region = $1", ret_row, ret_found,
                    DB_BYTES(region));
}

err_t *db_sync_region_list(db_conn_t *conn, arena_t *arena, int64_t after, size_t limit,
                           db_sync_region_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &region_type,
                    "SELECT " REGION " FROM sync_region WHERE seq > $1 ORDER BY seq LIMIT $2",
                    ret_rows, ret_count, DB_I64(after), DB_I64((int64_t)limit));
}

err_t *db_sync_region_of_person(db_conn_t *conn, arena_t *arena, const char *person_id,
                                size_t limit, db_sync_region_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &region_type,
                    "SELECT " REGION " FROM sync_region WHERE seq IN"
                    " (SELECT region_seq FROM sync_device WHERE person_id = $1)"
                    " ORDER BY seq LIMIT $2",
                    ret_rows, ret_count, DB_STR(person_id), DB_I64((int64_t)limit));
}

err_t *db_sync_region_grow(db_conn_t *conn, int64_t seq, int64_t entries, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE sync_region SET entries = entries + 1"
                      " WHERE seq = $1 AND entries = $2",
                      ret_changed, DB_I64(seq), DB_I64(entries));
}

err_t *db_sync_region_root(db_conn_t *conn, int64_t seq, int64_t counter, bytes_t hash,
                           int64_t position, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE sync_region SET root = $2, root_hash = $3, root_position = $4"
                      " WHERE seq = $1 AND root = $2 - 1",
                      ret_changed, DB_I64(seq), DB_I64(counter), DB_BYTES(hash), DB_I64(position));
}

err_t *db_sync_region_joined(db_conn_t *conn, int64_t seq) {
    return db_exec(conn, "UPDATE sync_region SET joins = joins + 1 WHERE seq = $1", DB_I64(seq));
}

err_t *db_sync_region_use(db_conn_t *conn, int64_t seq, int64_t by) {
    return db_exec(conn, "UPDATE sync_region SET used = used + $2 WHERE seq = $1", DB_I64(seq),
                   DB_I64(by));
}

err_t *db_sync_region_used_by(db_conn_t *conn, const char *person_id, int64_t *ret_bytes) {
    return row_number(conn, "SELECT COALESCE(SUM(used), 0) FROM sync_region WHERE person_id = $1",
                      ret_bytes, DB_STR(person_id));
}

/* ---- chains ---- */

err_t *db_sync_entry_add(db_conn_t *conn, const db_sync_entry_t *row) {
    return row_insert(conn, "INSERT INTO sync_entry (" ENTRY ") VALUES ($1, $2, $3, $4, $5, $6)",
                      &entry_type, row);
}

err_t *db_sync_entry_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t from,
                          size_t limit, db_sync_entry_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &entry_type,
                    "SELECT " ENTRY " FROM sync_entry WHERE region_seq = $1 AND position >= $2"
                    " ORDER BY position LIMIT $3",
                    ret_rows, ret_count, DB_I64(region_seq), DB_I64(from), DB_I64((int64_t)limit));
}

err_t *db_sync_entry_leaves(db_conn_t *conn, arena_t *arena, int64_t from, size_t limit,
                            db_sync_entry_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &entry_type,
                    "SELECT " ENTRY " FROM sync_entry WHERE leaf >= $1 ORDER BY leaf LIMIT $2",
                    ret_rows, ret_count, DB_I64(from), DB_I64((int64_t)limit));
}

/* ---- devices ---- */

err_t *db_sync_device_put(db_conn_t *conn, const db_sync_device_t *row) {
    return row_insert(conn,
                      "INSERT INTO sync_device (" DEVICE ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
                      " ON CONFLICT (region_seq, device) DO UPDATE SET state = excluded.state,"
                      " roles = excluded.roles",
                      &device_type, row);
}

err_t *db_sync_device_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t device,
                           db_sync_device_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &device_type,
                    "SELECT " DEVICE " FROM sync_device WHERE region_seq = $1 AND device = $2",
                    ret_row, ret_found, DB_I64(region_seq), DB_BYTES(device));
}

err_t *db_sync_device_list(db_conn_t *conn, arena_t *arena, int64_t region_seq,
                           db_sync_device_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &device_type,
                    "SELECT " DEVICE " FROM sync_device WHERE region_seq = $1"
                    " ORDER BY state, name, device",
                    ret_rows, ret_count, DB_I64(region_seq));
}

err_t *db_sync_device_seen(db_conn_t *conn, int64_t region_seq, bytes_t device, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE sync_device SET seen_ms = $3 WHERE region_seq = $1 AND device = $2",
                   DB_I64(region_seq), DB_BYTES(device), DB_I64(now_ms));
}

err_t *db_sync_device_of_person(db_conn_t *conn, int64_t region_seq, const char *person_id,
                                bool *ret_has) {
    int64_t n = 0;
    TRY(row_number(conn,
                   "SELECT COUNT(*) FROM sync_device WHERE region_seq = $1 AND person_id = $2"
                   " AND state < 2",
                   &n, DB_I64(region_seq), DB_STR(person_id)));
    *ret_has = n > 0;
    return NULL;
}
