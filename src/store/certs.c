/*
 * Rows of `certificate` and `scep_transaction`: see certs.h.
 */
#include "store/certs.h"

#include "store/rows_internal.h"

#define COLUMNS                                                                                    \
    "fingerprint, issuer, serial, profile, subject, enrolment_id, person_id, spki_sha256, "        \
    "not_before, not_after, revoked_ms, der, created_ms"

static const row_column_t columns[] = {
    {ROW_BYTES, offsetof(db_certificate_t, fingerprint)},
    {ROW_STR, offsetof(db_certificate_t, issuer)},
    {ROW_STR, offsetof(db_certificate_t, serial)},
    {ROW_STR, offsetof(db_certificate_t, profile)},
    {ROW_STR, offsetof(db_certificate_t, subject)},
    {ROW_STR, offsetof(db_certificate_t, enrolment_id)},
    {ROW_STR, offsetof(db_certificate_t, person_id)},
    {ROW_BYTES, offsetof(db_certificate_t, spki_sha256)},
    {ROW_I64, offsetof(db_certificate_t, not_before)},
    {ROW_I64, offsetof(db_certificate_t, not_after)},
    {ROW_I64, offsetof(db_certificate_t, revoked_ms)},
    {ROW_BYTES, offsetof(db_certificate_t, der)},
    {ROW_I64, offsetof(db_certificate_t, created_ms)},
};
static const row_type_t certificate_type = ROW_TYPE(columns, db_certificate_t);

err_t *db_certificates_add(db_conn_t *conn, const db_certificate_t *row) {
    return row_insert(conn,
                      "INSERT INTO certificate (" COLUMNS ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                      &certificate_type, row);
}

err_t *db_certificates_by_fingerprint(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                                      db_certificate_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &certificate_type,
                    "SELECT " COLUMNS " FROM certificate WHERE fingerprint = $1", ret_row,
                    ret_found, DB_BYTES(fingerprint));
}

err_t *db_certificates_by_enrolment(db_conn_t *conn, arena_t *arena, const char *enrolment_id,
                                    db_certificate_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &certificate_type,
                    "SELECT " COLUMNS " FROM certificate WHERE enrolment_id = $1"
                    " ORDER BY created_ms DESC, not_after DESC LIMIT 1",
                    ret_row, ret_found, DB_STR(enrolment_id));
}

err_t *db_certificates_retire(db_conn_t *conn, bytes_t fingerprint, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE certificate SET revoked_ms = $2"
                   " WHERE fingerprint = $1 AND revoked_ms = 0",
                   DB_BYTES(fingerprint), DB_I64(now_ms));
}

err_t *db_certificates_count(db_conn_t *conn, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM certificate", ret_count);
}

err_t *db_scep_transactions_add(db_conn_t *conn, bytes_t transaction_id, bytes_t spki_sha256,
                                bytes_t fingerprint, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO scep_transaction"
                   " (transaction_id, spki_sha256, fingerprint, created_ms)"
                   " VALUES ($1, $2, $3, $4) ON CONFLICT (transaction_id, spki_sha256)"
                   " DO UPDATE SET fingerprint = excluded.fingerprint,"
                   " created_ms = excluded.created_ms",
                   DB_BYTES(transaction_id), DB_BYTES(spki_sha256), DB_BYTES(fingerprint),
                   DB_I64(now_ms));
}

err_t *db_scep_transactions_get(db_conn_t *conn, arena_t *arena, bytes_t transaction_id,
                                bytes_t spki_sha256, bytes_t *ret_fingerprint, bool *ret_found) {
    static const row_column_t column = {ROW_BYTES, 0};
    static const row_type_t type = {&column, 1, sizeof(bytes_t)};
    return row_find(conn, arena, &type,
                    "SELECT fingerprint FROM scep_transaction"
                    " WHERE transaction_id = $1 AND spki_sha256 = $2",
                    ret_fingerprint, ret_found, DB_BYTES(transaction_id), DB_BYTES(spki_sha256));
}
