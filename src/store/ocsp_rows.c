/*
 * Rows of `ocsp_status` and `ocsp_responder`: see ocsp_rows.h.
 */
#include "store/ocsp_rows.h"

#include "store/rows_internal.h"

/* Columns from `n` on, as in SIGNED; a status that doesn't fit is as good as none. */
static void read_signed(db_stmt_t *stmt, unsigned n, db_ocsp_status_t *s) {
    bytes_t responder = db_col_bytes(stmt, n + 5), signature = db_col_bytes(stmt, n + 6);
    *s = (db_ocsp_status_t){.status = db_col_i64(stmt, n),
                            .reason = db_col_i64(stmt, n + 1),
                            .revoked_at = db_col_i64(stmt, n + 2),
                            .this_update = db_col_i64(stmt, n + 3),
                            .next_update = db_col_i64(stmt, n + 4)};
    if (responder.n != sizeof s->responder || !signature.n || signature.n > sizeof s->signature)
        return;
    bytes_put(s->responder, responder);
    bytes_put(s->signature, signature);
    s->signature_n = signature.n;
}

#define SIGNED                                                                                     \
    "o.status, o.reason, o.revoked_at, o.this_update, o.next_update, o.responder, o.signature"

err_t *db_ocsp_get(db_conn_t *conn, const char *issuer, const char *serial,
                   db_ocsp_known_t *ret_known) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    db_ocsp_known_t known = {0};
    TRY(db_query_row(conn,
                     "SELECT c.revoked_ms, COALESCE(r.reason, 0), " SIGNED " FROM certificate c"
                     " LEFT JOIN revocation r ON c.revoked_ms <> 0 AND r.fingerprint ="
                     " c.fingerprint LEFT JOIN ocsp_status o ON o.issuer = c.issuer AND"
                     " o.serial = c.serial WHERE c.issuer = $1 AND c.serial = $2",
                     &stmt, &known.found, DB_STR(issuer), DB_STR(serial)));
    if (known.found) {
        known.revoked_ms = db_col_i64(stmt, 0);
        known.reason = db_col_i64(stmt, 1);
        read_signed(stmt, 2, &known.signed_status);
    }
    *ret_known = known;
    return NULL;
}

/* Only while the certificate's status is still the one that was signed. */
err_t *db_ocsp_put(db_conn_t *conn, const char *issuer, const char *serial,
                   const db_ocsp_status_t *s) {
    return db_exec(conn,
                   "INSERT INTO ocsp_status (issuer, serial, status, reason, revoked_at,"
                   " this_update, next_update, responder, signature)"
                   " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM certificate"
                   " WHERE issuer = $1 AND serial = $2 AND revoked_ms / 1000 = $5"
                   " ON CONFLICT (issuer, serial) DO UPDATE SET status = excluded.status,"
                   " reason = excluded.reason, revoked_at = excluded.revoked_at,"
                   " this_update = excluded.this_update, next_update = excluded.next_update,"
                   " responder = excluded.responder, signature = excluded.signature",
                   DB_STR(issuer), DB_STR(serial), DB_I64(s->status), DB_I64(s->reason),
                   DB_I64(s->revoked_at), DB_I64(s->this_update), DB_I64(s->next_update),
                   DB_BYTES(BYTES_ARRAY(s->responder)),
                   DB_BYTES(bytes_make(s->signature, s->signature_n)));
}

err_t *db_ocsp_drop(db_conn_t *conn, const char *issuer, const char *serial) {
    return db_exec(conn, "DELETE FROM ocsp_status WHERE issuer = $1 AND serial = $2",
                   DB_STR(issuer), DB_STR(serial));
}

err_t *db_ocsp_due(db_conn_t *conn, arena_t *arena, const char *issuer, const char *after,
                   int64_t now_s, int64_t before_s, size_t limit, db_ocsp_due_t *rows,
                   size_t *ret_count, const char **ret_last) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query(conn,
                 "SELECT c.serial, c.not_after, c.revoked_ms, COALESCE(r.reason, 0),"
                 " COALESCE(o.next_update, 0) FROM certificate c"
                 " LEFT JOIN revocation r ON c.revoked_ms <> 0 AND r.fingerprint = c.fingerprint"
                 " LEFT JOIN ocsp_status o ON o.issuer = c.issuer AND o.serial = c.serial"
                 " WHERE c.issuer = $1 AND c.serial > $2 ORDER BY c.serial LIMIT $3",
                 &stmt, DB_STR(issuer), DB_STR(after), DB_I64((int64_t)limit)));
    size_t seen = 0, count = 0;
    const char *last = "";
    for (bool row = false;; seen++) {
        TRY(db_step(stmt, &row));
        if (!row) break;
        bool due = db_col_i64(stmt, 1) >= now_s && db_col_i64(stmt, 4) < before_s;
        if (!due && seen + 1 < limit) continue;
        TRY(row_str(stmt, arena, 0, &last));
        if (due) rows[count++] = (db_ocsp_due_t){last, db_col_i64(stmt, 2), db_col_i64(stmt, 3)};
    }
    *ret_count = count;
    *ret_last = seen == limit ? last : "";
    return NULL;
}

err_t *db_ocsp_responders_put(db_conn_t *conn, bytes_t fingerprint, bytes_t der,
                              int64_t not_after) {
    return db_exec(conn,
                   "INSERT INTO ocsp_responder (fingerprint, der, not_after) VALUES ($1, $2, $3)"
                   " ON CONFLICT (fingerprint) DO NOTHING",
                   DB_BYTES(fingerprint), DB_BYTES(der), DB_I64(not_after));
}

err_t *db_ocsp_responders_get(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                              bytes_t *ret_der, bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, "SELECT der FROM ocsp_responder WHERE fingerprint = $1", &stmt, &found,
                     DB_BYTES(fingerprint)));
    if (found) TRY(arena_copy(arena, db_col_bytes(stmt, 0), ret_der));
    *ret_found = found;
    return NULL;
}

err_t *db_ocsp_purge(db_conn_t *conn, int64_t before_s) {
    TRY(db_exec(conn, "DELETE FROM ocsp_status WHERE next_update < $1", DB_I64(before_s)));
    return db_exec(conn, "DELETE FROM ocsp_responder WHERE not_after < $1", DB_I64(before_s));
}
