/*
 * Rows of members of shares: see sync_members.h.
 */
#include "store/sync_members.h"

#include "store/rows_internal.h"

#define MEMBERS "region_seq, counter, hash, position, record, added_ms"

static const row_column_t members_columns[] = {
    {ROW_I64, offsetof(db_sync_members_t, region_seq)},
    {ROW_I64, offsetof(db_sync_members_t, counter)},
    {ROW_BYTES, offsetof(db_sync_members_t, hash)},
    {ROW_I64, offsetof(db_sync_members_t, position)},
    {ROW_BYTES, offsetof(db_sync_members_t, record)},
    {ROW_I64, offsetof(db_sync_members_t, added_ms)},
};
static const row_type_t members_type = ROW_TYPE(members_columns, db_sync_members_t);

err_t *db_sync_members_add(db_conn_t *conn, const db_sync_members_t *row) {
    return row_insert(conn,
                      "INSERT INTO sync_members (" MEMBERS ") VALUES ($1, $2, $3, $4, $5, $6)",
                      &members_type, row);
}

err_t *db_sync_members_newest(db_conn_t *conn, arena_t *arena, int64_t region_seq,
                              db_sync_members_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &members_type,
                    "SELECT " MEMBERS " FROM sync_members WHERE region_seq = $1"
                    " ORDER BY counter DESC LIMIT 1",
                    ret_row, ret_found, DB_I64(region_seq));
}

err_t *db_sync_members_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t after,
                            size_t limit, db_sync_members_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &members_type,
                    "SELECT " MEMBERS " FROM sync_members WHERE region_seq = $1 AND counter > $2"
                    " ORDER BY counter LIMIT $3",
                    ret_rows, ret_count, DB_I64(region_seq), DB_I64(after), DB_I64((int64_t)limit));
}

static const row_column_t home_columns[] = {
    {ROW_I64, offsetof(db_sync_region_t, seq)},
    {ROW_BYTES, offsetof(db_sync_region_t, region)},
    {ROW_I64, offsetof(db_sync_region_t, entries)},
};
static const row_type_t home_type = ROW_TYPE(home_columns, db_sync_region_t);

err_t *db_sync_homes_of(db_conn_t *conn, arena_t *arena, const char *person_id, size_t limit,
                        db_sync_region_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &home_type,
                    "SELECT seq, region, entries FROM sync_region WHERE person_id = $1"
                    " AND NOT EXISTS (SELECT 1 FROM sync_members m WHERE m.region_seq = seq)"
                    " ORDER BY seq LIMIT $2",
                    ret_rows, ret_count, DB_STR(person_id), DB_I64((int64_t)limit));
}
