/*
 * Statements of the façade, whatever the back end: cache, values, columns. See db.h.
 * Runs on the thread that has the connection.
 */
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "store/db_internal.h"

/* FNV-1a; texts of statements are ours, so nobody can aim at collisions. */
static uint32_t hash_text(const char *text) {
    uint32_t h = 2166136261U;
    for (const char *p = text; *p; p++) h = (h ^ (uint8_t)*p) * 16777619U;
    return h;
}

static void stmt_free(db_stmt_t *stmt) {
    if (!stmt) return;
    if (stmt->handle) stmt->conn->backend->finalize(stmt);
    mem_free(stmt->sql);
    mem_free(stmt);
}
DEFINE_CLEANUP(db_stmt_t, stmt_free)

static err_t *stmt_new(db_conn_t *conn, const char *sql, uint32_t hash, db_stmt_t **ret_stmt) {
    CLEANUP(stmt_free) db_stmt_t *stmt = mem_zalloc(sizeof *stmt);
    if (!stmt) return err_nomem();
    stmt->conn = conn;
    stmt->hash = hash;
    stmt->sql = mem_strdup(sql);
    if (!stmt->sql) return err_nomem();
    TRY(conn->backend->prepare(stmt, sql));
    *ret_stmt = STEAL(stmt);
    return NULL;
}

/* A statement not in use, from the cache or new. */
static err_t *stmt_get(db_conn_t *conn, const char *sql, db_stmt_t **ret_stmt) {
    uint32_t hash = hash_text(sql);
    db_stmt_t **bucket = &conn->buckets[hash % DB_BUCKETS];
    bool taken = false; /* a nested use of the same text gets a statement of its own */
    for (db_stmt_t *s = *bucket; s; s = s->next) {
        if (s->hash != hash || strcmp(s->sql, sql) != 0) continue;
        taken = s->in_use;
        if (taken) break;
        *ret_stmt = s;
        return NULL;
    }
    db_stmt_t *made = NULL;
    TRY(stmt_new(conn, sql, hash, &made));
    if (!taken && conn->cached < LIMIT_DB_STATEMENTS) {
        made->cached = true;
        made->next = *bucket;
        *bucket = made;
        conn->cached++;
    }
    *ret_stmt = made;
    return NULL;
}

void db_stmt_done(db_stmt_t *stmt) {
    if (!stmt || !stmt->in_use) return;
    db_conn_t *conn = stmt->conn;
    for (db_stmt_t **p = &conn->open; *p; p = &(*p)->next_open) {
        if (*p != stmt) continue;
        *p = stmt->next_open;
        break;
    }
    stmt->in_use = false;
    if (stmt->cached) conn->backend->reset(stmt);
    else stmt_free(stmt);
}

err_t *db_stmt_end_all(db_conn_t *conn) {
    if (!conn->open) return NULL;
    err_t *e = err_new(ERR_INTERNAL, "statement left open: %.200s", conn->open->sql);
    while (conn->open) db_stmt_done(conn->open);
    return e;
}

void db_stmt_drop_all(db_conn_t *conn) {
    while (conn->open) db_stmt_done(conn->open);
    for (size_t i = 0; i < DB_BUCKETS; i++) {
        while (conn->buckets[i]) {
            db_stmt_t *next = conn->buckets[i]->next;
            stmt_free(conn->buckets[i]);
            conn->buckets[i] = next;
        }
    }
    conn->cached = 0;
}

err_t *db_bind(db_stmt_t *stmt, unsigned n, db_value_t value) {
    if (n == 0 || n > stmt->parameters || stmt->position[n] == 0)
        return err_new(ERR_INTERNAL, "no parameter $%u in: %.200s", n, stmt->sql);
    return stmt->conn->backend->bind(stmt, stmt->position[n], value);
}

err_t *db_query_values(db_conn_t *conn, const char *sql, db_stmt_t **ret_stmt, size_t count,
                       const db_value_t *values) {
    db_stmt_t *got = NULL;
    TRY(stmt_get(conn, sql, &got));
    got->in_use = true;
    got->next_open = conn->open;
    conn->open = got;
    CLEANUP(db_stmt_done) db_stmt_t *stmt = got;
    if (count != 0 && count != stmt->parameters)
        return err_new(ERR_INTERNAL, "%zu values for %u parameters in: %.200s", count,
                       stmt->parameters, sql);
    for (size_t i = 0; i < count; i++) TRY(db_bind(stmt, (unsigned)i + 1, values[i]));
    *ret_stmt = STEAL(stmt);
    return NULL;
}

err_t *db_query_row_values(db_conn_t *conn, const char *sql, db_stmt_t **ret_stmt, bool *ret_found,
                           size_t count, const db_value_t *values) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query_values(conn, sql, &stmt, count, values));
    TRY(db_step(stmt, ret_found));
    *ret_stmt = STEAL(stmt);
    return NULL;
}

err_t *db_exec_values(db_conn_t *conn, const char *sql, size_t count, const db_value_t *values) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query_values(conn, sql, &stmt, count, values));
    bool row = true;
    while (row) TRY(db_step(stmt, &row));
    return NULL;
}

err_t *db_step(db_stmt_t *stmt, bool *ret_row) {
    if (fault_io()) return err_new(ERR_IO, "database input/output error");
    return stmt->conn->backend->step(stmt, ret_row);
}

int64_t db_col_i64(db_stmt_t *stmt, unsigned n) { return stmt->conn->backend->col_i64(stmt, n); }
bytes_t db_col_text(db_stmt_t *stmt, unsigned n) { return stmt->conn->backend->col_text(stmt, n); }
bytes_t db_col_bytes(db_stmt_t *stmt, unsigned n) {
    return stmt->conn->backend->col_bytes(stmt, n);
}
bool db_col_null(db_stmt_t *stmt, unsigned n) { return stmt->conn->backend->col_null(stmt, n); }

err_t *db_col_str(db_stmt_t *stmt, unsigned n, char **ret_text) {
    if (db_col_null(stmt, n)) {
        *ret_text = NULL;
        return NULL;
    }
    bytes_t text = db_col_text(stmt, n);
    if (bytes_has_nul(text)) return err_new(ERR_INVALID, "column %u has a NUL inside", n);
    char *copy = mem_strndup(text.n ? (const char *)text.p : "", text.n);
    if (!copy) return err_nomem();
    *ret_text = copy;
    return NULL;
}

err_t *db_col_copy(db_stmt_t *stmt, unsigned n, uint8_t **ret_p, size_t *ret_n) {
    if (db_col_null(stmt, n)) {
        *ret_p = NULL;
        *ret_n = 0;
        return NULL;
    }
    bytes_t bytes = db_col_bytes(stmt, n);
    uint8_t *copy = mem_alloc(bytes.n + 1);
    if (!copy) return err_nomem();
    bytes_put(copy, bytes);
    *ret_p = copy;
    *ret_n = bytes.n;
    return NULL;
}

int64_t db_changes(const db_conn_t *conn) { return conn->backend->changes(conn); }

err_t *db_has_table(db_conn_t *conn, const char *name, bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    return db_query_row(conn, conn->backend->has_table, &stmt, ret_found, DB_STR(name));
}
