/*
 * Rows of `mail_delivery`: see mail_deliveries.h.
 */
#include "store/mail_deliveries.h"

#include "store/rows_internal.h"

#define BEFORE                                                                                     \
    "device_id, person_id, state, why, command_uuid, wanted_seq, sent_seq, sent_keys, held_seq,"   \
    " held_keys, "
#define AFTER ", certificate, tries, due_ms, changed_ms"
#define ALL   BEFORE "profile" AFTER
#define LEAN  BEFORE "'' AS profile" AFTER

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_mail_delivery_t, device_id)},
    {ROW_STR, offsetof(db_mail_delivery_t, person_id)},
    {ROW_STR, offsetof(db_mail_delivery_t, state)},
    {ROW_STR, offsetof(db_mail_delivery_t, why)},
    {ROW_STR, offsetof(db_mail_delivery_t, command_uuid)},
    {ROW_I64, offsetof(db_mail_delivery_t, wanted_seq)},
    {ROW_I64, offsetof(db_mail_delivery_t, sent_seq)},
    {ROW_I64, offsetof(db_mail_delivery_t, sent_keys)},
    {ROW_I64, offsetof(db_mail_delivery_t, held_seq)},
    {ROW_I64, offsetof(db_mail_delivery_t, held_keys)},
    {ROW_BYTES, offsetof(db_mail_delivery_t, profile)},
    {ROW_BYTES, offsetof(db_mail_delivery_t, certificate)},
    {ROW_I64, offsetof(db_mail_delivery_t, tries)},
    {ROW_I64, offsetof(db_mail_delivery_t, due_ms)},
    {ROW_I64, offsetof(db_mail_delivery_t, changed_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_mail_delivery_t);

err_t *db_mail_deliveries_want(db_conn_t *conn, const char *person_id, int64_t key_seq,
                               int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO mail_delivery (" ALL ") SELECT id, person_id, 'due', '', '', $2, 0,"
                   " 0, 0, 0, $4, $4, 0, $3, $3 FROM device"
                   " WHERE person_id = $1 AND state = 'enrolled'"
                   " ON CONFLICT (device_id) DO UPDATE SET state = 'due', why = '',"
                   " wanted_seq = excluded.wanted_seq, tries = 0, due_ms = excluded.due_ms,"
                   " changed_ms = excluded.changed_ms",
                   DB_STR(person_id), DB_I64(key_seq), DB_I64(now_ms), DB_BYTES(BYTES_NONE));
}

err_t *db_mail_deliveries_newest(db_conn_t *conn, const char *person_id, int64_t *ret_seq) {
    return row_number(conn,
                      "SELECT COALESCE(MAX(seq), 0) FROM escrow_object WHERE owner = $1"
                      " AND kind = 'smime-key' AND officers_only = 0",
                      ret_seq, DB_STR(person_id));
}

err_t *db_mail_deliveries_put(db_conn_t *conn, const db_mail_delivery_t *row) {
    return row_insert(conn,
                      "INSERT INTO mail_delivery (" ALL ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8,"
                      " $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (device_id) DO UPDATE SET"
                      " person_id = $2, state = $3, why = $4, command_uuid = $5, wanted_seq = $6,"
                      " sent_seq = $7, sent_keys = $8, held_seq = $9, held_keys = $10,"
                      " profile = $11, certificate = $12, tries = $13, due_ms = $14,"
                      " changed_ms = $15",
                      &type, row);
}

err_t *db_mail_deliveries_get(db_conn_t *conn, arena_t *arena, const char *device_id,
                              db_mail_delivery_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &type, "SELECT " ALL " FROM mail_delivery WHERE device_id = $1",
                    ret_row, ret_found, DB_STR(device_id));
}

err_t *db_mail_deliveries_due(db_conn_t *conn, arena_t *arena, const char *person_id,
                              int64_t now_ms, size_t limit, db_mail_delivery_t **ret_rows,
                              size_t *ret_count) {
    const char *sql = person_id[0]
                          ? "SELECT " LEAN " FROM mail_delivery WHERE person_id = $1 AND due_ms > 0"
                            " AND due_ms <= $2 ORDER BY device_id LIMIT $3"
                          : "SELECT " LEAN " FROM mail_delivery WHERE $1 = '' AND due_ms > 0"
                            " AND due_ms <= $2 ORDER BY due_ms LIMIT $3";
    return row_list(conn, arena, &type, sql, ret_rows, ret_count, DB_STR(person_id), DB_I64(now_ms),
                    DB_I64((int64_t)limit));
}

err_t *db_mail_deliveries_list(db_conn_t *conn, arena_t *arena, const char *person_id,
                               bool unfinished, const char *after, size_t limit,
                               db_mail_delivery_t **ret_rows, size_t *ret_count) {
    const char *sql =
        person_id[0] ? "SELECT " LEAN " FROM mail_delivery WHERE person_id = $1 AND device_id > $2"
                       " AND ($3 = 0 OR held_seq < wanted_seq) ORDER BY device_id LIMIT $4"
                     : "SELECT " LEAN " FROM mail_delivery WHERE $1 = '' AND device_id > $2"
                       " AND ($3 = 0 OR held_seq < wanted_seq) ORDER BY device_id LIMIT $4";
    return row_list(conn, arena, &type, sql, ret_rows, ret_count, DB_STR(person_id), DB_STR(after),
                    DB_I64(unfinished), DB_I64((int64_t)limit));
}

err_t *db_mail_deliveries_again(db_conn_t *conn, const char *person_id, int64_t now_ms,
                                bool *ret_changed) {
    return row_change(conn,
                      "UPDATE mail_delivery SET state = 'due', why = '', held_seq = 0, tries = 0,"
                      " due_ms = $2, changed_ms = $2 WHERE person_id = $1",
                      ret_changed, DB_STR(person_id), DB_I64(now_ms));
}

err_t *db_mail_deliveries_due_now(db_conn_t *conn, const char *device_id, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE mail_delivery SET state = 'due', why = '', tries = 0, due_ms = $2,"
                   " changed_ms = $2 WHERE device_id = $1",
                   DB_STR(device_id), DB_I64(now_ms));
}

err_t *db_mail_deliveries_denied(db_conn_t *conn, const char *device_id, const char *why,
                                 int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE mail_delivery SET state = 'refused', why = $2, due_ms = 0,"
                   " changed_ms = $3 WHERE device_id = $1",
                   DB_STR(device_id), DB_STR(why), DB_I64(now_ms));
}

err_t *db_mail_deliveries_remove(db_conn_t *conn, const char *device_id) {
    return db_exec(conn, "DELETE FROM mail_delivery WHERE device_id = $1", DB_STR(device_id));
}
