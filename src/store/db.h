/*
 * db_t: the façade over the instance's database. SQL is written once, for SQLite and PostgreSQL:
 * parameters $1 .. $n, ON CONFLICT, RETURNING. db.c holds what both back ends share (queue,
 * group commit, hooks), db_sqlite.c speaks to SQLite.
 *
 * Durability: db_write returns success only after the COMMIT that holds its work is on disk.
 * Writes of one process go through one connection: one of the callers leads and runs many of them
 * in one transaction, each in a savepoint of its own. Reads run on a small pool of read-only
 * connections, each in a read transaction, and never wait for writers.
 *
 * Threads: db_write and db_read may be called from any thread; open the database after fork.
 * A db_conn_t and its statements belong to the one db_fn call they were handed to.
 */
#ifndef COFFER_STORE_DB_H
#define COFFER_STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clk.h"
#include "base/err.h"

typedef struct db db_t;
typedef struct db_conn db_conn_t;
typedef struct db_stmt db_stmt_t;

/* Zero stands for the default, so that (db_options_t){0} is a good choice. */
typedef struct {
    unsigned readers;   /* read-only connections at most, opened when first needed; default 4 */
    unsigned busy_ms;   /* how long to wait while another process writes; default 10,000 */
    unsigned max_pages; /* database pages at most, for tests of a full disk; default no limit */
    bool must_exist;    /* ERR_NOT_FOUND instead of making a new file */
    bool later;         /* db_write_later will be used: starts a thread for it */
} db_options_t;

/* Work inside a transaction. An error undoes what this call wrote, and nobody else's work. */
typedef err_t *(*db_fn)(db_conn_t *conn, void *arg);

/*
 * Opens (and makes, 0600) the database. `options` may be NULL.
 * `clk` is borrowed. ERR_IO, ERR_INVALID (not a database), ERR_FULL, ERR_BUSY.
 */
err_t *db_open(const char *path, const db_options_t *options, const clk_t *clk,
               db_t **ret_db) WARN_UNUSED;
/* Finishes the writes in the queue and closes. No other call may be running. Takes NULL. */
void db_close(db_t *db);

/*
 * Queues fn and waits until its group is on disk. fn runs once, on the thread of whichever caller
 * leads the group, and must not wait for anything (no network, no keeper, no db_write).
 * fn's own error comes back as it is. ERR_BUSY: LIMIT_DB_QUEUE writes wait already, or another
 * process kept the database longer than busy_ms. ERR_FULL, ERR_IO: nothing of the group was kept.
 */
err_t *db_write(db_t *db, db_fn fn, void *arg) WARN_UNUSED;
/*
 * The same for a caller that does not wait: queues fn and returns. Once its group is on disk, or
 * has failed, done(arg, error) is called on the thread that led it: short, no use of the database;
 * the error (NULL: it is on disk) is now done's. That may be before this returns. If this itself
 * fails, neither is called: ERR_BUSY, ERR_NOMEM; ERR_INTERNAL without options.later.
 */
err_t *db_write_later(db_t *db, db_fn fn, void (*done)(void *arg, err_t *error),
                      void *arg) WARN_UNUSED;
/*
 * Runs fn on the calling thread with a read-only connection: one consistent state of the
 * database. Waits for a free connection; must not be nested.
 */
err_t *db_read(db_t *db, db_fn fn, void *arg) WARN_UNUSED;

/*
 * A number that differs from an earlier one if anybody, this process or another, has committed
 * since; only such numbers of one db_t compare. Read before db_read it says how long what was read
 * may be kept: while it is the same. Costs a few microseconds.
 */
err_t *db_version(db_t *db, uint64_t *ret_version) WARN_UNUSED;

/*
 * Has fn(arg) called, on the leading caller's thread, once the group is on disk, before db_write
 * returns; the same fn and arg only once a group. Dropped if this db_fn call or the group fails. fn
 * must be short and must not use the database. ERR_INTERNAL in db_read.
 */
err_t *db_after_commit(db_conn_t *conn, void (*fn)(void *arg), void *arg) WARN_UNUSED;

/* The clock given to db_open. */
const clk_t *db_clk(const db_conn_t *conn);

/* ---- values --------------------------------------------------------------------------- */

typedef enum { DB_TYPE_NULL, DB_TYPE_I64, DB_TYPE_TEXT, DB_TYPE_BYTES } db_type_t;

typedef struct {
    db_type_t type;
    int64_t i64;
    bytes_t bytes; /* borrowed until the statement is done */
} db_value_t;

static inline db_value_t db_value_null(void) { return (db_value_t){.type = DB_TYPE_NULL}; }
static inline db_value_t db_value_i64(int64_t value) {
    return (db_value_t){.type = DB_TYPE_I64, .i64 = value};
}
static inline db_value_t db_value_text(bytes_t text) {
    return (db_value_t){.type = DB_TYPE_TEXT, .bytes = text};
}
static inline db_value_t db_value_bytes(bytes_t bytes) {
    return (db_value_t){.type = DB_TYPE_BYTES, .bytes = bytes};
}
static inline db_value_t db_value_str(const char *text) {
    return text ? db_value_text(bytes_str(text)) : db_value_null();
}

#define DB_NULL         db_value_null()
#define DB_I64(value)   db_value_i64(value)
#define DB_TEXT(bytes)  db_value_text(bytes)  /* UTF-8; none is the empty text */
#define DB_BYTES(bytes) db_value_bytes(bytes) /* none is the empty run of bytes */
#define DB_STR(text)    db_value_str(text)    /* a C string; NULL is SQL's NULL */
/* The value, or SQL's NULL unless `present`. */
#define DB_IF(present, value) ((present) ? (value) : db_value_null())

/* ---- statements ------------------------------------------------------------------------ */

/*
 * Prepares (from the connection's cache) one statement and binds the values to $1, $2, ...:
 *   CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
 *   TRY(db_query(conn, "SELECT name FROM person WHERE id = $1", &stmt, DB_STR(id)));
 *   for (bool row;;) { TRY(db_step(stmt, &row)); if (!row) break; ... }
 * As many values as parameters, or none at all and db_bind_* afterwards; else ERR_INTERNAL.
 */
#define db_query(conn, sql, ret_stmt, ...)                                                         \
    db_query_values((conn), (sql), (ret_stmt), DB_VALUES(__VA_ARGS__))
/* The same and the first step: *ret_found tells whether there is a row. */
#define db_query_row(conn, sql, ret_stmt, ret_found, ...)                                          \
    db_query_row_values((conn), (sql), (ret_stmt), (ret_found), DB_VALUES(__VA_ARGS__))
/* Runs a statement to its end, ignoring rows. See db_changes. */
#define db_exec(conn, sql, ...) db_exec_values((conn), (sql), DB_VALUES(__VA_ARGS__))

/* The values behind one that does not count, so that there may be none. */
#define DB_VALUES(...)                                                                             \
    (sizeof((const db_value_t[]){db_value_null(), ##__VA_ARGS__}) / sizeof(db_value_t)) - 1,       \
        ((const db_value_t[]){db_value_null(), ##__VA_ARGS__}) + 1

err_t *db_query_values(db_conn_t *conn, const char *sql, db_stmt_t **ret_stmt, size_t count,
                       const db_value_t *values) WARN_UNUSED;
err_t *db_query_row_values(db_conn_t *conn, const char *sql, db_stmt_t **ret_stmt, bool *ret_found,
                           size_t count, const db_value_t *values) WARN_UNUSED;
err_t *db_exec_values(db_conn_t *conn, const char *sql, size_t count,
                      const db_value_t *values) WARN_UNUSED;

/* Binds one parameter, `n` from 1; bytes are borrowed until db_stmt_done. */
err_t *db_bind(db_stmt_t *stmt, unsigned n, db_value_t value) WARN_UNUSED;
static inline err_t *db_bind_i64(db_stmt_t *stmt, unsigned n, int64_t value) {
    return db_bind(stmt, n, db_value_i64(value));
}
static inline err_t *db_bind_text(db_stmt_t *stmt, unsigned n, bytes_t text) {
    return db_bind(stmt, n, db_value_text(text));
}
static inline err_t *db_bind_bytes(db_stmt_t *stmt, unsigned n, bytes_t bytes) {
    return db_bind(stmt, n, db_value_bytes(bytes));
}
static inline err_t *db_bind_null(db_stmt_t *stmt, unsigned n) {
    return db_bind(stmt, n, db_value_null());
}

/*
 * Next row. ERR_EXISTS: a unique or primary key is taken. ERR_INVALID: another constraint
 * (foreign key, CHECK, NOT NULL). ERR_FULL, ERR_IO, ERR_BUSY, ERR_INTERNAL (corrupt, bad SQL).
 */
err_t *db_step(db_stmt_t *stmt, bool *ret_row) WARN_UNUSED;
/* Gives the statement back to the cache; every query needs it. Takes NULL. */
void db_stmt_done(db_stmt_t *stmt);

/* Column `n` from 0 of the current row; bytes are borrowed until the next step or done. */
int64_t db_col_i64(db_stmt_t *stmt, unsigned n);   /* 0 for NULL */
bytes_t db_col_text(db_stmt_t *stmt, unsigned n);  /* none for NULL */
bytes_t db_col_bytes(db_stmt_t *stmt, unsigned n); /* none for NULL */
bool db_col_null(db_stmt_t *stmt, unsigned n);
static inline bool db_col_bool(db_stmt_t *stmt, unsigned n) { return db_col_i64(stmt, n) != 0; }
/* A new C string (mem_free), NULL for NULL. ERR_INVALID if it has a NUL inside. */
err_t *db_col_str(db_stmt_t *stmt, unsigned n, char **ret_text) WARN_UNUSED;
/* A copy of the bytes (mem_free), {NULL, 0} for NULL; never NULL otherwise. */
err_t *db_col_copy(db_stmt_t *stmt, unsigned n, uint8_t **ret_p, size_t *ret_n) WARN_UNUSED;

/* Rows the last INSERT, UPDATE or DELETE of this connection touched. */
int64_t db_changes(const db_conn_t *conn);

/*
 * Runs a script of several statements without parameters, for migrations. The words BYTES and
 * IDENTITY (an automatic primary key) become what the back end calls them.
 */
err_t *db_script(db_conn_t *conn, const char *sql) WARN_UNUSED;

DEFINE_CLEANUP(db_t, db_close)
DEFINE_CLEANUP(db_stmt_t, db_stmt_done)

#endif
