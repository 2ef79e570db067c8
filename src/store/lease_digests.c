/*
 * Rows of `lease_digest`: see lease_digests.h.
 */
#include "store/lease_digests.h"

#include "store/rows_internal.h"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_lease_digest_t, person_id)},
    {ROW_STR, offsetof(db_lease_digest_t, email)},
    {ROW_STR, offsetof(db_lease_digest_t, person)},
    {ROW_STR, offsetof(db_lease_digest_t, device_id)},
    {ROW_STR, offsetof(db_lease_digest_t, device)},
    {ROW_STR, offsetof(db_lease_digest_t, account)},
    {ROW_I64, offsetof(db_lease_digest_t, count)},
    {ROW_I64, offsetof(db_lease_digest_t, first_ms)},
    {ROW_I64, offsetof(db_lease_digest_t, last_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_lease_digest_t);

err_t *db_lease_digests_count(db_conn_t *conn, const char *device_id, const char *account,
                              int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO lease_digest (device_id, account, count, first_ms, last_ms)"
                   " VALUES ($1, $2, 1, $3, $3) ON CONFLICT (device_id, account) DO UPDATE"
                   " SET count = lease_digest.count + 1, last_ms = $3",
                   DB_STR(device_id), DB_STR(account), DB_I64(now_ms));
}

err_t *db_lease_digests_list(db_conn_t *conn, arena_t *arena, const char *after_person,
                             size_t limit, db_lease_digest_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT p.id, p.email, p.name, d.id, d.name, l.account, l.count, l.first_ms,"
                    " l.last_ms FROM lease_digest l JOIN device d ON d.id = l.device_id"
                    " JOIN person p ON p.id = d.person_id WHERE p.id > $1"
                    " ORDER BY p.id, l.account, d.id LIMIT $2",
                    ret_rows, ret_count, DB_STR(after_person), DB_I64((int64_t)limit));
}

err_t *db_lease_digests_remove(db_conn_t *conn, const char *device_id, const char *account) {
    return db_exec(conn, "DELETE FROM lease_digest WHERE device_id = $1 AND account = $2",
                   DB_STR(device_id), DB_STR(account));
}

err_t *db_lease_digests_purge(db_conn_t *conn, int64_t before_ms) {
    return db_exec(conn, "DELETE FROM lease_digest WHERE first_ms < $1", DB_I64(before_ms));
}
