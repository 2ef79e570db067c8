/*
 * Rows of `audit_entry` and `audit_head`: see audit_rows.h.
 */
#include "store/audit_rows.h"

#define ENTRY_COLUMNS "node, seq, unix_ms, actor, action, object, detail, prev_hash, hash"
#define HEAD_COLUMNS  "node, seq, hash, unix_ms, key_id, signature"

err_t *audit_rows_insert(db_conn_t *conn, const audit_row_t *row) {
    return db_exec(conn,
                   "INSERT INTO audit_entry (" ENTRY_COLUMNS ")"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                   DB_TEXT(row->node), DB_I64(row->seq), DB_I64(row->unix_ms), DB_TEXT(row->actor),
                   DB_TEXT(row->action), DB_TEXT(row->object), DB_TEXT(row->detail),
                   DB_BYTES(row->prev_hash), DB_BYTES(row->hash));
}

err_t *audit_rows_last(db_conn_t *conn, bytes_t node, int64_t *ret_seq,
                       uint8_t ret_hash[AUDIT_HASH_SIZE]) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT seq, hash FROM audit_entry WHERE node = $1 ORDER BY seq DESC LIMIT 1",
                     &stmt, &found, DB_TEXT(node)));
    bytes_t hash = found ? db_col_bytes(stmt, 1) : BYTES_NONE;
    if (found && hash.n != AUDIT_HASH_SIZE)
        return err_new(ERR_VERIFY, "the last audit entry has a hash of %zu bytes", hash.n);
    memset(ret_hash, 0, AUDIT_HASH_SIZE);
    if (found) memcpy(ret_hash, hash.p, AUDIT_HASH_SIZE);
    *ret_seq = found ? db_col_i64(stmt, 0) : 0;
    return NULL;
}

static err_t *each_entry(db_stmt_t *stmt, audit_row_fn fn, void *arg) {
    for (bool more = false;;) {
        TRY(db_step(stmt, &more));
        if (!more) return NULL;
        audit_row_t row = {
            .node = db_col_text(stmt, 0),
            .seq = db_col_i64(stmt, 1),
            .unix_ms = db_col_i64(stmt, 2),
            .actor = db_col_text(stmt, 3),
            .action = db_col_text(stmt, 4),
            .object = db_col_text(stmt, 5),
            .detail = db_col_text(stmt, 6),
            .prev_hash = db_col_bytes(stmt, 7),
            .hash = db_col_bytes(stmt, 8),
        };
        TRY(fn(&row, arg));
    }
}

err_t *audit_rows_each(db_conn_t *conn, audit_row_fn fn, void *arg) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query(conn, "SELECT " ENTRY_COLUMNS " FROM audit_entry ORDER BY node, seq", &stmt));
    return each_entry(stmt, fn, arg);
}

err_t *audit_rows_recent(db_conn_t *conn, int64_t before, unsigned limit, audit_row_fn fn,
                         void *arg) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query(conn,
                 "SELECT " ENTRY_COLUMNS " FROM audit_entry WHERE unix_ms < $1"
                 " ORDER BY unix_ms DESC, node DESC, seq DESC LIMIT $2",
                 &stmt, DB_I64(before), DB_I64(limit)));
    return each_entry(stmt, fn, arg);
}

err_t *audit_heads_insert(db_conn_t *conn, const audit_head_row_t *row) {
    return db_exec(conn,
                   "INSERT INTO audit_head (" HEAD_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)",
                   DB_TEXT(row->node), DB_I64(row->seq), DB_BYTES(row->hash), DB_I64(row->unix_ms),
                   DB_BYTES(row->key_id), DB_BYTES(row->signature));
}

err_t *audit_heads_last(db_conn_t *conn, bytes_t node, int64_t *ret_seq) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, "SELECT seq FROM audit_head WHERE node = $1 ORDER BY seq DESC LIMIT 1",
                     &stmt, &found, DB_TEXT(node)));
    *ret_seq = found ? db_col_i64(stmt, 0) : 0;
    return NULL;
}

err_t *audit_heads_at(db_conn_t *conn, bytes_t node, int64_t seq, audit_head_row_fn fn, void *arg) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query(conn,
                 "SELECT " HEAD_COLUMNS " FROM audit_head WHERE node = $1 AND seq = $2"
                 " ORDER BY key_id",
                 &stmt, DB_TEXT(node), DB_I64(seq)));
    for (bool more = false;;) {
        TRY(db_step(stmt, &more));
        if (!more) return NULL;
        audit_head_row_t row = {
            .node = db_col_text(stmt, 0),
            .seq = db_col_i64(stmt, 1),
            .hash = db_col_bytes(stmt, 2),
            .unix_ms = db_col_i64(stmt, 3),
            .key_id = db_col_bytes(stmt, 4),
            .signature = db_col_bytes(stmt, 5),
        };
        TRY(fn(&row, arg));
    }
}
