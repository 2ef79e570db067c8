/*
 * Rows of SCEP's transactions: see scep.h.
 */
#include "store/scep.h"

#include "base/limits.h"
#include "store/rows_internal.h"

static const row_column_t one_bytes[] = {{ROW_BYTES, 0}};
static const row_type_t bytes_type = ROW_TYPE(one_bytes, bytes_t);

/* ---- renewals ---- */

err_t *db_renewals_add(db_conn_t *conn, bytes_t fingerprint, bytes_t renewed_from, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO certificate_renewal (fingerprint, renewed_from, created_ms)"
                   " VALUES ($1, $2, $3)",
                   DB_BYTES(fingerprint), DB_BYTES(renewed_from), DB_I64(now_ms));
}

err_t *db_renewals_from(db_conn_t *conn, arena_t *arena, bytes_t fingerprint, bytes_t *ret_from,
                        bool *ret_found) {
    return row_find(conn, arena, &bytes_type,
                    "SELECT renewed_from FROM certificate_renewal WHERE fingerprint = $1", ret_from,
                    ret_found, DB_BYTES(fingerprint));
}

err_t *db_renewals_count(db_conn_t *conn, bytes_t renewed_from, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM certificate_renewal WHERE renewed_from = $1",
                      ret_count, DB_BYTES(renewed_from));
}

err_t *db_certificates_fingerprint(db_conn_t *conn, arena_t *arena, const char *issuer,
                                   const char *serial, bytes_t *ret_fingerprint, bool *ret_found) {
    return row_find(conn, arena, &bytes_type,
                    "SELECT fingerprint FROM certificate WHERE issuer = $1 AND serial = $2",
                    ret_fingerprint, ret_found, DB_STR(issuer), DB_STR(serial));
}

/* ---- waiting for approval ---- */

#define PENDING_COLUMNS                                                                            \
    "id, transaction_id, requester, state, reason, profile, subject, names, owner, enrolment_id, " \
    "person_id, udid, renewed_from, csr, peer, created_ms, expires_ms, decided_ms, decided_by"

static const row_column_t pending_columns[] = {
    {ROW_STR, offsetof(db_scep_pending_t, id)},
    {ROW_BYTES, offsetof(db_scep_pending_t, transaction_id)},
    {ROW_BYTES, offsetof(db_scep_pending_t, requester)},
    {ROW_STR, offsetof(db_scep_pending_t, state)},
    {ROW_STR, offsetof(db_scep_pending_t, reason)},
    {ROW_STR, offsetof(db_scep_pending_t, profile)},
    {ROW_STR, offsetof(db_scep_pending_t, subject)},
    {ROW_STR, offsetof(db_scep_pending_t, names)},
    {ROW_STR, offsetof(db_scep_pending_t, owner)},
    {ROW_STR, offsetof(db_scep_pending_t, enrolment_id)},
    {ROW_STR, offsetof(db_scep_pending_t, person_id)},
    {ROW_STR, offsetof(db_scep_pending_t, udid)},
    {ROW_BYTES, offsetof(db_scep_pending_t, renewed_from)},
    {ROW_BYTES, offsetof(db_scep_pending_t, csr)},
    {ROW_STR, offsetof(db_scep_pending_t, peer)},
    {ROW_I64, offsetof(db_scep_pending_t, created_ms)},
    {ROW_I64, offsetof(db_scep_pending_t, expires_ms)},
    {ROW_I64, offsetof(db_scep_pending_t, decided_ms)},
    {ROW_STR, offsetof(db_scep_pending_t, decided_by)},
};
static const row_type_t pending_type = ROW_TYPE(pending_columns, db_scep_pending_t);

err_t *db_scep_pending_add(db_conn_t *conn, const db_scep_pending_t *row) {
    return row_insert(conn,
                      "INSERT INTO scep_pending (" PENDING_COLUMNS ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
                      " $16, $17, $18, $19)",
                      &pending_type, row);
}

err_t *db_scep_pending_forget(db_conn_t *conn, bytes_t transaction_id, bytes_t requester,
                              int64_t now_ms) {
    return db_exec(conn,
                   "DELETE FROM scep_pending WHERE transaction_id = $1 AND requester = $2"
                   " AND (state IN ('denied', 'issued') OR expires_ms < $3)",
                   DB_BYTES(transaction_id), DB_BYTES(requester), DB_I64(now_ms));
}

err_t *db_scep_pending_get(db_conn_t *conn, arena_t *arena, bytes_t transaction_id,
                           bytes_t requester, db_scep_pending_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &pending_type,
                    "SELECT " PENDING_COLUMNS " FROM scep_pending"
                    " WHERE transaction_id = $1 AND requester = $2",
                    ret_row, ret_found, DB_BYTES(transaction_id), DB_BYTES(requester));
}

err_t *db_scep_pending_by_id(db_conn_t *conn, arena_t *arena, const char *id,
                             db_scep_pending_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &pending_type,
                    "SELECT " PENDING_COLUMNS " FROM scep_pending WHERE id = $1", ret_row,
                    ret_found, DB_STR(id));
}

err_t *db_scep_pending_list(db_conn_t *conn, arena_t *arena, const char *state, const char *after,
                            size_t limit, db_scep_pending_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &pending_type,
                    "SELECT " PENDING_COLUMNS " FROM scep_pending"
                    " WHERE id > $1 AND ($2 = '' OR state = $2) ORDER BY id LIMIT $3",
                    ret_rows, ret_count, DB_STR(after), DB_STR(state), DB_I64((int64_t)limit));
}

err_t *db_scep_pending_count(db_conn_t *conn, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM scep_pending WHERE state = 'waiting'", ret_count);
}

err_t *db_scep_pending_decide(db_conn_t *conn, const char *id, const char *state,
                              const char *reason, const char *by, int64_t now_ms,
                              bool *ret_changed) {
    return row_change(conn,
                      "UPDATE scep_pending SET state = $2, reason = $3, decided_by = $4,"
                      " decided_ms = $5 WHERE id = $1 AND state = 'waiting' AND expires_ms > $5",
                      ret_changed, DB_STR(id), DB_STR(state), DB_STR(reason), DB_STR(by),
                      DB_I64(now_ms));
}

err_t *db_scep_pending_issued(db_conn_t *conn, const char *id, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE scep_pending SET state = 'issued' WHERE id = $1"
                      " AND state = 'approved'",
                      ret_changed, DB_STR(id));
}

err_t *db_scep_pending_purge(db_conn_t *conn, int64_t before_ms) {
    return db_exec(conn, "DELETE FROM scep_pending WHERE expires_ms < $1", DB_I64(before_ms));
}

/* ---- the trace ---- */

#define TRACE_COLUMNS                                                                              \
    "unix_ms, about, peer, transaction_id, message, signer, subject, algorithms, profile, "        \
    "enrolment_id, udid, outcome, fail_info, problem, next, serial"

static const row_column_t trace_columns[] = {
    {ROW_I64, offsetof(db_scep_trace_t, unix_ms)},
    {ROW_STR, offsetof(db_scep_trace_t, about)},
    {ROW_STR, offsetof(db_scep_trace_t, peer)},
    {ROW_STR, offsetof(db_scep_trace_t, transaction_id)},
    {ROW_STR, offsetof(db_scep_trace_t, message)},
    {ROW_STR, offsetof(db_scep_trace_t, signer)},
    {ROW_STR, offsetof(db_scep_trace_t, subject)},
    {ROW_STR, offsetof(db_scep_trace_t, algorithms)},
    {ROW_STR, offsetof(db_scep_trace_t, profile)},
    {ROW_STR, offsetof(db_scep_trace_t, enrolment_id)},
    {ROW_STR, offsetof(db_scep_trace_t, udid)},
    {ROW_STR, offsetof(db_scep_trace_t, outcome)},
    {ROW_STR, offsetof(db_scep_trace_t, fail_info)},
    {ROW_STR, offsetof(db_scep_trace_t, problem)},
    {ROW_STR, offsetof(db_scep_trace_t, next)},
    {ROW_STR, offsetof(db_scep_trace_t, serial)},
    {ROW_I64, offsetof(db_scep_trace_t, seq)},
};
static const row_type_t trace_type = ROW_TYPE(trace_columns, db_scep_trace_t);
/* Without seq, which the database gives. */
static const row_type_t trace_new_type = {
    trace_columns, sizeof trace_columns / sizeof trace_columns[0] - 1, sizeof(db_scep_trace_t)};

err_t *db_scep_trace_add(db_conn_t *conn, const db_scep_trace_t *row) {
    TRY(row_insert(conn,
                   "INSERT INTO scep_trace (" TRACE_COLUMNS ")"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
                   " $16)",
                   &trace_new_type, row));
    TRY(db_exec(conn,
                "DELETE FROM scep_trace WHERE about = $1 AND seq <= (SELECT seq FROM scep_trace"
                " WHERE about = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2)",
                DB_STR(row->about), DB_I64(LIMIT_SCEP_TRACE_EACH)));
    return db_exec(conn,
                   "DELETE FROM scep_trace WHERE seq <= (SELECT MAX(seq) FROM scep_trace) - $1",
                   DB_I64(LIMIT_SCEP_TRACE));
}

err_t *db_scep_trace_list(db_conn_t *conn, arena_t *arena, const char *enrolment_id,
                          const char *udid, const char *text, int64_t before, size_t limit,
                          db_scep_trace_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &trace_type,
                    "SELECT " TRACE_COLUMNS ", seq FROM scep_trace WHERE seq < $4 AND"
                    " (($1 = '' AND $2 = '' AND $3 = '') OR ($1 <> '' AND enrolment_id = $1)"
                    " OR ($2 <> '' AND udid = $2)"
                    " OR ($3 <> '' AND (transaction_id = $3 OR about = $3)))"
                    " ORDER BY seq DESC LIMIT $5",
                    ret_rows, ret_count, DB_STR(enrolment_id), DB_STR(udid), DB_STR(text),
                    DB_I64(before), DB_I64((int64_t)limit));
}
