/*
 * Rows of joins and deliveries: see sync_joins.h.
 */
#include "store/sync_joins.h"

#include "store/rows_internal.h"

#define JOIN                                                                                       \
    "seq, region_seq, device, person_id, card, commitment, approver, m, position, n, created_ms,"  \
    " expires_ms"
#define DELIVERY "region_seq, recipient, epoch, record"

static const row_column_t join_columns[] = {
    {ROW_I64, offsetof(db_sync_join_t, seq)},
    {ROW_I64, offsetof(db_sync_join_t, region_seq)},
    {ROW_BYTES, offsetof(db_sync_join_t, device)},
    {ROW_STR, offsetof(db_sync_join_t, person_id)},
    {ROW_BYTES, offsetof(db_sync_join_t, card)},
    {ROW_BYTES, offsetof(db_sync_join_t, commitment)},
    {ROW_BYTES, offsetof(db_sync_join_t, approver)},
    {ROW_BYTES, offsetof(db_sync_join_t, m)},
    {ROW_I64, offsetof(db_sync_join_t, position)},
    {ROW_BYTES, offsetof(db_sync_join_t, n)},
    {ROW_I64, offsetof(db_sync_join_t, created_ms)},
    {ROW_I64, offsetof(db_sync_join_t, expires_ms)},
};
static const row_type_t join_type = ROW_TYPE(join_columns, db_sync_join_t);

static const row_column_t delivery_columns[] = {
    {ROW_I64, offsetof(db_sync_delivery_t, region_seq)},
    {ROW_BYTES, offsetof(db_sync_delivery_t, recipient)},
    {ROW_I64, offsetof(db_sync_delivery_t, epoch)},
    {ROW_BYTES, offsetof(db_sync_delivery_t, record)},
};
static const row_type_t delivery_type = ROW_TYPE(delivery_columns, db_sync_delivery_t);

err_t *db_sync_join_add(db_conn_t *conn, const db_sync_join_t *row, int64_t *ret_seq) {
    return row_number(conn,
                      "INSERT INTO sync_join (region_seq, device, person_id, card, commitment,"
                      " approver, m, position, n, created_ms, expires_ms)"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING seq",
                      ret_seq, DB_I64(row->region_seq), DB_BYTES(row->device),
                      DB_STR(row->person_id), DB_BYTES(row->card), DB_BYTES(row->commitment),
                      DB_BYTES(row->approver), DB_BYTES(row->m), DB_I64(row->position),
                      DB_BYTES(row->n), DB_I64(row->created_ms), DB_I64(row->expires_ms));
}

err_t *db_sync_join_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t seq,
                         db_sync_join_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &join_type,
                    "SELECT " JOIN " FROM sync_join WHERE region_seq = $1 AND seq = $2", ret_row,
                    ret_found, DB_I64(region_seq), DB_I64(seq));
}

err_t *db_sync_join_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, const char *person_id,
                         int64_t now_ms, size_t limit, db_sync_join_t **ret_rows,
                         size_t *ret_count) {
    return row_list(conn, arena, &join_type,
                    "SELECT " JOIN " FROM sync_join WHERE region_seq = $1 AND expires_ms > $2"
                    " AND ($3 = '' OR person_id = $3) ORDER BY seq LIMIT $4",
                    ret_rows, ret_count, DB_I64(region_seq), DB_I64(now_ms), DB_STR(person_id),
                    DB_I64((int64_t)limit));
}

err_t *db_sync_join_answer(db_conn_t *conn, int64_t seq, bytes_t approver, bytes_t m,
                           int64_t position, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE sync_join SET approver = $2, m = $3, position = $4"
                      " WHERE seq = $1 AND LENGTH(approver) = 0",
                      ret_changed, DB_I64(seq), DB_BYTES(approver), DB_BYTES(m), DB_I64(position));
}

err_t *db_sync_join_open(db_conn_t *conn, int64_t seq, bytes_t n, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE sync_join SET n = $2 WHERE seq = $1 AND LENGTH(approver) > 0"
                      " AND LENGTH(n) = 0",
                      ret_changed, DB_I64(seq), DB_BYTES(n));
}

err_t *db_sync_join_remove(db_conn_t *conn, int64_t seq) {
    return db_exec(conn, "DELETE FROM sync_join WHERE seq = $1", DB_I64(seq));
}

err_t *db_sync_join_purge(db_conn_t *conn, int64_t before_ms) {
    return db_exec(conn, "DELETE FROM sync_join WHERE expires_ms < $1", DB_I64(before_ms));
}

err_t *db_sync_delivery_put(db_conn_t *conn, const db_sync_delivery_t *row) {
    return row_insert(conn,
                      "INSERT INTO sync_delivery (" DELIVERY ") VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT (region_seq, recipient, epoch) DO UPDATE SET"
                      " record = excluded.record",
                      &delivery_type, row);
}

err_t *db_sync_delivery_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t recipient,
                             size_t limit, db_sync_delivery_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &delivery_type,
                    "SELECT " DELIVERY " FROM sync_delivery WHERE region_seq = $1"
                    " AND recipient = $2 ORDER BY epoch DESC LIMIT $3",
                    ret_rows, ret_count, DB_I64(region_seq), DB_BYTES(recipient),
                    DB_I64((int64_t)limit));
}
