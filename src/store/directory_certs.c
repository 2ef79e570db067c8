/*
 * Rows of `directory_certificate`: see directory_certs.h.
 */
#include "store/directory_certs.h"

#include "store/rows_internal.h"

#define COLUMNS "fingerprint, external_id, bundle, published_ms"

static const row_column_t columns[] = {
    {ROW_BYTES, offsetof(db_directory_cert_t, fingerprint)},
    {ROW_STR, offsetof(db_directory_cert_t, external_id)},
    {ROW_BYTES, offsetof(db_directory_cert_t, bundle)},
    {ROW_I64, offsetof(db_directory_cert_t, published_ms)},
};
static const row_type_t row_type = ROW_TYPE(columns, db_directory_cert_t);

static const row_column_t fingerprint_column = {ROW_BYTES, 0};
static const row_type_t fingerprint_type = {&fingerprint_column, 1, sizeof(bytes_t)};

err_t *db_directory_certs_put(db_conn_t *conn, const db_directory_cert_t *row) {
    return row_insert(conn,
                      "INSERT INTO directory_certificate (" COLUMNS ") VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT (fingerprint) DO UPDATE SET external_id = excluded.external_id,"
                      " bundle = excluded.bundle, published_ms = excluded.published_ms",
                      &row_type, row);
}

err_t *db_directory_certs_get(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                              db_directory_cert_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &row_type,
                    "SELECT " COLUMNS " FROM directory_certificate WHERE fingerprint = $1", ret_row,
                    ret_found, DB_BYTES(fingerprint));
}

err_t *db_directory_certs_remove(db_conn_t *conn, bytes_t fingerprint) {
    return db_exec(conn, "DELETE FROM directory_certificate WHERE fingerprint = $1",
                   DB_BYTES(fingerprint));
}

err_t *db_directory_certs_count(db_conn_t *conn, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM directory_certificate", ret_count);
}

err_t *db_directory_certs_stale(db_conn_t *conn, arena_t *arena, int64_t now_s, bytes_t after,
                                size_t limit, bytes_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &fingerprint_type,
                    "SELECT d.fingerprint FROM directory_certificate d"
                    " JOIN certificate c ON c.fingerprint = d.fingerprint"
                    " LEFT JOIN person p ON p.id = c.person_id"
                    " WHERE d.fingerprint > $2 AND (c.revoked_ms <> 0 OR c.not_after <= $1"
                    " OR p.id IS NULL OR p.disabled = 1 OR p.external_id <> d.external_id)"
                    " ORDER BY d.fingerprint LIMIT $3",
                    ret_rows, ret_count, DB_I64(now_s), DB_BYTES(after), DB_I64((int64_t)limit));
}

err_t *db_directory_certs_missing(db_conn_t *conn, arena_t *arena, const char *source,
                                  const char *profile, int64_t now_s, bytes_t after, size_t limit,
                                  bytes_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &fingerprint_type,
                    "SELECT c.fingerprint FROM person p"
                    " JOIN certificate c ON c.person_id = p.id"
                    " LEFT JOIN directory_certificate d ON d.fingerprint = c.fingerprint"
                    " WHERE p.source = $1 AND p.disabled = 0 AND c.profile = $2"
                    " AND c.revoked_ms = 0 AND c.not_after > $3 AND d.fingerprint IS NULL"
                    " AND c.fingerprint > $4 ORDER BY c.fingerprint LIMIT $5",
                    ret_rows, ret_count, DB_STR(source), DB_STR(profile), DB_I64(now_s),
                    DB_BYTES(after), DB_I64((int64_t)limit));
}
