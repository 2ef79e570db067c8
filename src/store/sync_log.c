/*
 * Rows of the log of chain heads: see sync_log.h.
 */
#include "store/sync_log.h"

#include "store/rows_internal.h"

enum { HASH = 32 };

err_t *db_sync_log_add(db_conn_t *conn, int64_t level, int64_t number, bytes_t hash) {
    return db_exec(conn, "INSERT INTO sync_log_hash (level, number, hash) VALUES ($1, $2, $3)",
                   DB_I64(level), DB_I64(number), DB_BYTES(hash));
}

err_t *db_sync_log_read(db_conn_t *conn, arena_t *arena, int64_t level, int64_t from, size_t limit,
                        bytes_t *ret_hashes) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    uint8_t *hashes = NULL;
    size_t n = 0;
    TRY(arena_alloc(arena, limit * HASH + 1, &hashes));
    TRY(db_query(conn,
                 "SELECT hash FROM sync_log_hash WHERE level = $1 AND number >= $2"
                 " ORDER BY number LIMIT $3",
                 &stmt, DB_I64(level), DB_I64(from), DB_I64((int64_t)limit)));
    for (bool row = false;; n++) {
        TRY(db_step(stmt, &row));
        if (!row) break;
        bytes_t hash = db_col_bytes(stmt, 0);
        if (hash.n != HASH || n == limit) return err_new(ERR_INTERNAL, "a hash of the log");
        bytes_put(hashes + n * HASH, hash);
    }
    *ret_hashes = bytes_make(hashes, n * HASH);
    return NULL;
}

err_t *db_sync_log_size(db_conn_t *conn, int64_t *ret_size) {
    return row_number(
        conn, "SELECT COALESCE(MAX(number) + 1, 0) FROM sync_log_hash WHERE level = 0", ret_size);
}

err_t *db_sync_checkpoint_put(db_conn_t *conn, int64_t size, bytes_t note) {
    return db_exec(conn,
                   "INSERT INTO sync_checkpoint (id, size, note) VALUES (1, $1, $2)"
                   " ON CONFLICT (id) DO UPDATE SET size = excluded.size, note = excluded.note"
                   " WHERE sync_checkpoint.size <= excluded.size",
                   DB_I64(size), DB_BYTES(note));
}

err_t *db_sync_checkpoint_get(db_conn_t *conn, arena_t *arena, int64_t *ret_size,
                              bytes_t *ret_note) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, "SELECT size, note FROM sync_checkpoint WHERE id = 1", &stmt, &found));
    *ret_size = 0;
    if (!found) return NULL;
    TRY(arena_copy(arena, db_col_bytes(stmt, 1), ret_note));
    *ret_size = db_col_i64(stmt, 0);
    return NULL;
}
