/*
 * SQLite behind the façade: see db.h. With db_copy.c the only file that includes <sqlite3.h>.
 * Write-ahead log, synchronous=FULL: a commit is on disk before it is acknowledged. A connection is
 * used by one thread at a time, which is why SQLite's own mutexes are off for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/text.h"
#include "store/db_internal.h"

enum {
    BUSY_STEP_US = 1000,       /* between two tries while another process writes */
    WRITER_CACHE_KIB = 8192,   /* page cache: a small organisation's rows and index roots */
    READER_CACHE_KIB = 1024,   /* and the kernel caches the file once for all of them */
    WAL_KEEP_BYTES = 16 << 20, /* what stays of a write-ahead log that grew larger */
};

static err_code_t code_of(int rc) {
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return ERR_EXISTS;
    default: break;
    }
    switch (rc & 0xff) {
    case SQLITE_FULL: return ERR_FULL;
    case SQLITE_CONSTRAINT: return ERR_INVALID;
    case SQLITE_NOTADB: return ERR_INVALID;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_BUSY;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return ERR_IO;
    case SQLITE_TOOBIG: return ERR_LIMIT;
    case SQLITE_NOMEM: return ERR_NOMEM;
    default: return ERR_INTERNAL;
    }
}

/* SQLite's messages name tables and columns, never values. */
static err_t *sqlite_error(sqlite3 *handle, int rc) {
    if ((rc & 0xff) == SQLITE_NOMEM) return err_nomem();
    const char *text = handle ? sqlite3_errmsg(handle) : sqlite3_errstr(rc);
    if ((rc & 0xff) == SQLITE_CORRUPT)
        return err_new(ERR_INTERNAL,
                       "the database is damaged (%s): stop all programs, keep a copy, and restore "
                       "the newest backup",
                       text);
    if ((rc & 0xff) == SQLITE_BUSY)
        return err_new(ERR_BUSY, "another process is writing to the database");
    return err_new(code_of(rc), "database: %s (%d)", text, rc);
}

/*
 * Called by SQLite while another process holds the lock. Short even steps rather than SQLite's
 * growing ones: a process that commits without pause leaves only short gaps.
 */
static int on_busy(void *arg, int tries) {
    (void)tries;
    db_conn_t *conn = arg;
    if (conn->busy_waited >= conn->busy_max) return 0;
    struct timespec step = {.tv_sec = 0, .tv_nsec = BUSY_STEP_US * 1000L};
    (void)nanosleep(&step, NULL);
    conn->busy_waited += BUSY_STEP_US;
    return 1;
}

static err_t *run_script(db_conn_t *conn, const char *sql) {
    int rc = sqlite3_exec(conn->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? NULL : sqlite_error(conn->handle, rc);
}

static err_t *configure(db_conn_t *conn, const db_options_t *options) {
    TRY(run_script(conn, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                         "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;"));
    CLEANUP(buf_done) buf_t sql;
    buf_init(&sql, 512);
    if (conn->writable) {
        TRY(run_script(conn, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"));
        TRY(buf_printf(&sql, "PRAGMA journal_size_limit = %d;", WAL_KEEP_BYTES));
    }
    TRY(buf_printf(&sql, "PRAGMA cache_size = -%d;",
                   conn->writable ? WRITER_CACHE_KIB : READER_CACHE_KIB));
    if (options->max_pages)
        TRY(buf_printf(&sql, "PRAGMA max_page_count = %u;", options->max_pages));
    const char *text = NULL;
    TRY(buf_cstr(&sql, &text));
    return run_script(conn, text);
}

/* Makes the file ourselves, so that it and the log files beside it are for the owner only. */
static err_t *make_file(const char *path) {
    if (fault_io()) return err_new(ERR_IO, "cannot create %s", path);
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST) return err_errno(errno, "cannot create %s", path);
    return NULL;
}

static err_t *sqlite_open(db_conn_t *conn, const char *path, const db_options_t *options) {
    if (conn->writable && options->must_exist && !file_exists(path))
        return err_new(ERR_NOT_FOUND, "there is no such file");
    if (conn->writable && !options->must_exist) TRY(make_file(path));
    if (fault_io()) return err_new(ERR_IO, "database input/output error");
    /*
     * Before SQLite's first use, refused afterwards: its own count of memory, which nobody asks
     * for, would lock a mutex at every allocation.
     */
    if (conn->writable) (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int flags = conn->writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    sqlite3 *handle = NULL;
    int rc =
        sqlite3_open_v2(path, &handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    conn->handle = handle; /* also when opening failed: closing releases it */
    if (rc != SQLITE_OK) return sqlite_error(handle, rc);
    (void)sqlite3_busy_handler(handle, on_busy, conn);
    return configure(conn, options);
}

static void sqlite_close(db_conn_t *conn) {
    (void)sqlite3_close_v2(conn->handle);
    conn->handle = NULL;
}

static bool sqlite_in_transaction(const db_conn_t *conn) {
    return !sqlite3_get_autocommit(conn->handle);
}

static void sqlite_rollback(db_conn_t *conn) {
    if (!sqlite_in_transaction(conn)) return;
    (void)sqlite3_exec(conn->handle, "ROLLBACK", NULL, NULL, NULL);
}

static int64_t sqlite_changes(const db_conn_t *conn) { return sqlite3_changes64(conn->handle); }

/* $n is a name to SQLite, numbered by first appearance: we keep where each n went. */
static err_t *map_parameters(db_stmt_t *stmt) {
    int count = sqlite3_bind_parameter_count(stmt->handle);
    for (int i = 1; i <= count; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt->handle, i);
        uint64_t n = 0;
        err_t *e = name && name[0] == '$'
                       ? text_u64(bytes_str(name + 1), LIMIT_DB_PARAMETERS, &n)
                       : err_new(ERR_INTERNAL, "parameters are written $1, $2, ...");
        if (e || n == 0 || i > LIMIT_DB_PARAMETERS) {
            err_free(e);
            return err_new(ERR_INTERNAL, "bad parameter %s in: %.200s", name ? name : "?",
                           stmt->sql);
        }
        stmt->position[n] = (uint8_t)i;
        if (n > stmt->parameters) stmt->parameters = (unsigned)n;
    }
    return NULL;
}

static err_t *sqlite_prepare(db_stmt_t *stmt, const char *sql) {
    sqlite3_stmt *handle = NULL;
    const char *tail = NULL;
    int rc =
        sqlite3_prepare_v3(stmt->conn->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, &tail);
    if (rc != SQLITE_OK) {
        err_t *e = sqlite_error(stmt->conn->handle, rc);
        return err_wrap(e, "prepare: %.300s", sql);
    }
    stmt->handle = handle;
    if (!handle || text_trim(bytes_str(tail)).n != 0)
        return err_new(ERR_INTERNAL, "not exactly one statement: %.200s", sql);
    return map_parameters(stmt);
}

static void sqlite_finalize(db_stmt_t *stmt) { (void)sqlite3_finalize(stmt->handle); }

static void sqlite_reset(db_stmt_t *stmt) {
    (void)sqlite3_reset(stmt->handle); /* repeats the error that step reported already */
    (void)sqlite3_clear_bindings(stmt->handle);
}

static err_t *sqlite_bind(db_stmt_t *stmt, unsigned position, db_value_t value) {
    int at = (int)position;
    const void *p = value.bytes.n ? value.bytes.p : (const uint8_t *)"";
    int rc = SQLITE_INTERNAL;
    switch (value.type) {
    case DB_TYPE_NULL: rc = sqlite3_bind_null(stmt->handle, at); break;
    case DB_TYPE_I64: rc = sqlite3_bind_int64(stmt->handle, at, value.i64); break;
    case DB_TYPE_TEXT:
        rc = sqlite3_bind_text64(stmt->handle, at, p, value.bytes.n, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case DB_TYPE_BYTES:
        rc = sqlite3_bind_blob64(stmt->handle, at, p, value.bytes.n, SQLITE_STATIC);
        break;
    }
    return rc == SQLITE_OK ? NULL : sqlite_error(stmt->conn->handle, rc);
}

static err_t *sqlite_step(db_stmt_t *stmt, bool *ret_row) {
    int rc = sqlite3_step(stmt->handle);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return sqlite_error(stmt->conn->handle, rc);
    *ret_row = rc == SQLITE_ROW;
    return NULL;
}

static int64_t sqlite_col_i64(db_stmt_t *stmt, unsigned n) {
    return sqlite3_column_int64(stmt->handle, (int)n);
}

static bytes_t sqlite_col_text(db_stmt_t *stmt, unsigned n) {
    const unsigned char *p = sqlite3_column_text(stmt->handle, (int)n);
    return bytes_make(p, p ? (size_t)sqlite3_column_bytes(stmt->handle, (int)n) : 0);
}

static bytes_t sqlite_col_bytes(db_stmt_t *stmt, unsigned n) {
    const void *p = sqlite3_column_blob(stmt->handle, (int)n);
    return bytes_make(p, p ? (size_t)sqlite3_column_bytes(stmt->handle, (int)n) : 0);
}

static bool sqlite_col_null(db_stmt_t *stmt, unsigned n) {
    return sqlite3_column_type(stmt->handle, (int)n) == SQLITE_NULL;
}

const db_backend_t db_sqlite_backend = {
    .begin_write = "BEGIN IMMEDIATE",
    .begin_read = "BEGIN",
    .version = "PRAGMA data_version",
    .has_table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1",
    .word_bytes = "BLOB",
    .word_identity = "INTEGER PRIMARY KEY AUTOINCREMENT",
    .open = sqlite_open,
    .close = sqlite_close,
    .rollback = sqlite_rollback,
    .in_transaction = sqlite_in_transaction,
    .changes = sqlite_changes,
    .script = run_script,
    .prepare = sqlite_prepare,
    .finalize = sqlite_finalize,
    .reset = sqlite_reset,
    .bind = sqlite_bind,
    .step = sqlite_step,
    .col_i64 = sqlite_col_i64,
    .col_text = sqlite_col_text,
    .col_bytes = sqlite_col_bytes,
    .col_null = sqlite_col_null,
};
