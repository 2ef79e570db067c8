/*
 * SQLite for the vault: see vault_sql.h. The keeper links no store: it must be able to run on a
 * host of its own with nothing but its vault (decision 0013 says what it links).
 */
#include "keeper/vault_sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

enum { STATEMENTS = 64, BUSY_MS = 5000 };

struct sql {
    sqlite3 *db;
    sql_stmt_t *statements[STATEMENTS];
    size_t count;
    bool (*watch)(void *arg, int pages);
    void *watch_arg;
};

struct sql_stmt {
    sql_t *sql;
    sqlite3_stmt *stmt;
    bool bind_failed;
};

static err_code_t code_of(int rc) {
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_FULL: return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_BUSY;
    case SQLITE_CONSTRAINT: return ERR_EXISTS;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ERR_VERIFY;
    default: return ERR_IO;
    }
}

static err_t *sql_error(const sql_t *sql, int rc, const char *doing) {
    if ((rc & 0xff) == SQLITE_NOMEM) return err_nomem();
    return err_new(code_of(rc), "vault database: cannot %s: %s (%d)", doing,
                   sql->db ? sqlite3_errmsg(sql->db) : sqlite3_errstr(rc), rc);
}

err_t *sql_exec(sql_t *sql, const char *text) {
    if (fault_io()) return err_new(ERR_IO, "vault database: input/output error");
    int rc = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? NULL : sql_error(sql, rc, text);
}

/* SQLite would make it readable for all; its -wal and -shm take the mode over. */
static err_t *create_file(const char *path) {
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_errno(errno, "cannot create %s", path) : NULL;
}

err_t *sql_open(const char *path, bool create, sql_t **ret_sql) {
    sql_t *sql = mem_zalloc(sizeof *sql);
    if (!sql) return err_nomem();
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    err_t *e = create ? create_file(path) : NULL;
    if (e) {
        mem_free(sql);
        return e;
    }
    int rc = sqlite3_open_v2(path, &sql->db, flags, NULL);
    if (rc != SQLITE_OK) e = sql_error(sql, rc, path);
    if (!e) (void)sqlite3_busy_timeout(sql->db, BUSY_MS);
    if (!e) (void)sqlite3_extended_result_codes(sql->db, 1);
    if (!e)
        e = sql_exec(sql, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-1024;"
                          "PRAGMA wal_autocheckpoint=2000; PRAGMA secure_delete=ON;"
                          "PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON;");
    if (e) {
        sql_close(sql);
        return e;
    }
    *ret_sql = sql;
    return NULL;
}

void sql_close(sql_t *sql) {
    if (!sql) return;
    for (size_t i = 0; i < sql->count; i++) {
        (void)sqlite3_finalize(sql->statements[i]->stmt);
        mem_free(sql->statements[i]);
    }
    (void)sqlite3_close(sql->db);
    mem_free(sql);
}

err_t *sql_prepare(sql_t *sql, const char *text, sql_stmt_t **ret_stmt) {
    if (sql->count == STATEMENTS) return err_new(ERR_INTERNAL, "too many vault statements");
    sql_stmt_t *stmt = mem_zalloc(sizeof *stmt);
    if (!stmt) return err_nomem();
    stmt->sql = sql;
    int rc = sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt->stmt, NULL);
    if (rc != SQLITE_OK) {
        mem_free(stmt);
        return sql_error(sql, rc, text);
    }
    sql->statements[sql->count++] = stmt;
    *ret_stmt = stmt;
    return NULL;
}

void sql_bind_i64(sql_stmt_t *stmt, int index, int64_t value) {
    if (sqlite3_bind_int64(stmt->stmt, index, value) != SQLITE_OK) stmt->bind_failed = true;
}

void sql_bind_str(sql_stmt_t *stmt, int index, const char *value) {
    if (sqlite3_bind_text(stmt->stmt, index, value, -1, SQLITE_STATIC) != SQLITE_OK)
        stmt->bind_failed = true;
}

void sql_bind_bytes(sql_stmt_t *stmt, int index, bytes_t value) {
    const void *p = value.n ? (const void *)value.p : "";
    if (sqlite3_bind_blob64(stmt->stmt, index, p, value.n, SQLITE_STATIC) != SQLITE_OK)
        stmt->bind_failed = true;
}

err_t *sql_step(sql_stmt_t *stmt, bool *ret_row) {
    if (stmt->bind_failed) return err_nomem();
    if (fault_io()) return err_new(ERR_IO, "vault database: input/output error");
    int rc = sqlite3_step(stmt->stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return sql_error(stmt->sql, rc, "run a statement");
    *ret_row = rc == SQLITE_ROW;
    return NULL;
}

err_t *sql_run(sql_stmt_t *stmt) {
    bool row = false;
    err_t *e = sql_step(stmt, &row);
    sql_end(stmt);
    return e;
}

int64_t sql_i64(sql_stmt_t *stmt, int column) { return sqlite3_column_int64(stmt->stmt, column); }

bytes_t sql_bytes(sql_stmt_t *stmt, int column) {
    const void *p = sqlite3_column_blob(stmt->stmt, column);
    int n = sqlite3_column_bytes(stmt->stmt, column);
    return p && n > 0 ? bytes_make(p, (size_t)n) : BYTES_NONE;
}

void sql_end(sql_stmt_t *stmt) {
    (void)sqlite3_reset(stmt->stmt);
    (void)sqlite3_clear_bindings(stmt->stmt);
    stmt->bind_failed = false;
}

/* ---- the journal ---- */

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages) {
    sql_t *sql = arg;
    if (sql->watch(sql->watch_arg, pages))
        (void)sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return SQLITE_OK;
}

void sql_watch(sql_t *sql, bool (*done)(void *arg, int pages), void *arg) {
    sql->watch = done;
    sql->watch_arg = arg;
    (void)sqlite3_wal_hook(sql->db, on_wal, sql);
}

err_t *sql_checkpoint(sql_t *sql, bool empty, int *ret_pages) {
    int log = 0, carried = 0;
    int rc = sqlite3_wal_checkpoint_v2(
        sql->db, NULL, empty ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &log,
        &carried);
    if (rc != SQLITE_OK) return sql_error(sql, rc, "carry the journal over");
    *ret_pages = carried > 0 ? carried : 0;
    return NULL;
}

/* ---- copies ---- */

struct sql_copy {
    sql_t *from;
    sqlite3 *to;
    sqlite3_backup *backup;
};

/* The source stays in one read transaction, so the copy is of one moment. */
static err_t *pin(sql_t *sql) {
    return sql_exec(sql, "BEGIN; SELECT count(*) FROM sqlite_schema;");
}

static err_t *open_target(const char *path, sql_copy_t *copy) {
    TRY(create_file(path));
    int rc = sqlite3_open_v2(path, &copy->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(copy->to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;", NULL, NULL,
                          NULL);
    if (rc != SQLITE_OK) return err_new(code_of(rc), "cannot open %s (%d)", path, rc);
    copy->backup = sqlite3_backup_init(copy->to, "main", copy->from->db, "main");
    if (!copy->backup)
        return err_new(ERR_IO, "cannot copy the vault: %s", sqlite3_errmsg(copy->to));
    return NULL;
}

err_t *sql_copy_new(const char *from, const char *to, sql_copy_t **ret_copy) {
    CLEANUP(sql_copy_free) sql_copy_t *copy = mem_zalloc(sizeof *copy);
    if (!copy) return err_nomem();
    TRY(sql_open(from, false, &copy->from));
    TRY(pin(copy->from));
    TRY(open_target(to, copy));
    *ret_copy = STEAL(copy);
    return NULL;
}

err_t *sql_copy_step(sql_copy_t *copy, int pages, int *ret_left) {
    if (fault_io()) return err_new(ERR_IO, "vault database: input/output error");
    int rc = sqlite3_backup_step(copy->backup, pages);
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        return err_new(code_of(rc), "cannot copy the vault: %s (%d)", sqlite3_errstr(rc), rc);
    *ret_left = rc == SQLITE_DONE ? 0 : sqlite3_backup_remaining(copy->backup);
    return NULL;
}

err_t *sql_copy_finish(sql_copy_t *copy, const char *text) {
    /* The copied header says WAL; nothing beside the copy is to lie there. */
    static const char alone[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY;"
                                "PRAGMA secure_delete=ON;";
    int rc = sqlite3_backup_finish(copy->backup);
    copy->backup = NULL;
    if (rc == SQLITE_OK) rc = sqlite3_exec(copy->to, alone, NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(copy->to, text, NULL, NULL, NULL);
    if (rc == SQLITE_OK) return NULL;
    return err_new(code_of(rc), "cannot finish the copy of the vault: %s (%d)",
                   sqlite3_errmsg(copy->to), rc);
}

void sql_copy_free(sql_copy_t *copy) {
    if (!copy) return;
    if (copy->backup) (void)sqlite3_backup_finish(copy->backup);
    (void)sqlite3_close(copy->to);
    sql_close(copy->from);
    mem_free(copy);
}
