/*
 * Opening the mailbox's database, its schema and its statements: see db.h. In coffer-mailbox, which
 * links SQLCipher and never SQLite.
 */
#define SQLITE_HAS_CODEC 1
#include "box/db_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

/* Entry n brings the schema from version n to n+1; never changed once released. */
static const char *const migrations[] = {
    "CREATE TABLE folder ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " uidvalidity INTEGER NOT NULL,"
    " modseq INTEGER NOT NULL);"
    "CREATE TABLE message ("
    " id INTEGER PRIMARY KEY,"
    " folder INTEGER NOT NULL,"
    " uid INTEGER NOT NULL,"
    " flags INTEGER NOT NULL,"
    " date INTEGER NOT NULL," /* seconds */
    " size INTEGER NOT NULL,"
    " closed INTEGER NOT NULL,"
    " sender TEXT NOT NULL,"
    " recipients TEXT NOT NULL,"
    " subject TEXT NOT NULL,"
    " message_id TEXT NOT NULL,"
    " UNIQUE (folder, uid));"
    "CREATE TABLE body ("
    " id INTEGER PRIMARY KEY," /* message.id */
    " bytes BLOB NOT NULL);"
    "CREATE VIRTUAL TABLE words USING fts4("
    " sender, recipients, subject, text, tokenize=unicode61 \"remove_diacritics=1\");"
    "CREATE TABLE own_key ("
    " id INTEGER PRIMARY KEY,"
    " certificate BLOB NOT NULL UNIQUE,"
    " key BLOB NOT NULL);",
    "CREATE TABLE peer ("
    " address TEXT NOT NULL," /* lower case */
    " certificate BLOB NOT NULL,"
    " seen INTEGER NOT NULL," /* when its owner signed with it last, seconds */
    " UNIQUE (address, certificate));",
    "CREATE TABLE draft ("
    " message INTEGER PRIMARY KEY," /* message.id, to which it is a reply */
    " text TEXT NOT NULL);",
};

err_t *db_error(const box_db_t *db, int code, const char *what) {
    const char *why = db->handle ? sqlite3_errmsg(db->handle) : "";
    switch (code & 0xff) {
    case SQLITE_NOMEM: return err_nomem();
    case SQLITE_FULL: return err_new(ERR_FULL, "the mailbox: %s", what);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return err_new(ERR_VERIFY, "the mailbox does not open: %s", what);
    default: return err_new(ERR_IO, "the mailbox: %s: %s", what, why);
    }
}

/* ---- statements ---- */

err_t *db_use(box_db_t *db, const char *sql, row_t **ret_row) {
    size_t i = 0;
    if (!db->handle) return err_new(ERR_BUSY, "the mailbox was closed meanwhile");
    while (i < db->n && db->texts[i] != sql) i++;
    if (i == db->n) {
        if (db->n == STATEMENTS) return err_new(ERR_INTERNAL, "too many statements");
        int code = sqlite3_prepare_v2(db->handle, sql, -1, &db->prepared[i], NULL);
        if (code != SQLITE_OK) return db_error(db, code, "preparing");
        db->texts[db->n++] = sql;
    }
    db_reset(db->prepared[i]);
    *ret_row = db->prepared[i];
    return NULL;
}

void db_reset(row_t *row) {
    if (!row) return;
    (void)sqlite3_reset(row);
    (void)sqlite3_clear_bindings(row);
}

/* A value that could not be bound is NULL, which every column refuses. */
void db_i64(row_t *row, int at, int64_t value) { (void)sqlite3_bind_int64(row, at, value); }

void db_text(row_t *row, int at, bytes_t text) {
    (void)sqlite3_bind_text64(row, at, text.p ? (const char *)text.p : "", text.n, SQLITE_STATIC,
                              SQLITE_UTF8);
}

void db_blob(row_t *row, int at, bytes_t data) {
    (void)sqlite3_bind_blob64(row, at, data.p ? (const void *)data.p : "", data.n, SQLITE_STATIC);
}

err_t *db_step(box_db_t *db, row_t *row, bool *ret_row) {
    int code = sqlite3_step(row);
    if (code == SQLITE_ROW) {
        *ret_row = true;
        return NULL;
    }
    err_t *e = code == SQLITE_DONE ? NULL : db_error(db, code, "a statement");
    db_reset(row);
    if (!e) *ret_row = false;
    return e;
}

err_t *db_run(box_db_t *db, row_t *row) {
    bool more = true;
    while (more) TRY(db_step(db, row, &more));
    return NULL;
}

bytes_t db_bytes(row_t *row, int at) {
    const void *p = sqlite3_column_blob(row, at);
    int n = sqlite3_column_bytes(row, at);
    return bytes_make(p, p && n > 0 ? (size_t)n : 0);
}

/* ---- opening ---- */

static err_t *execute(box_db_t *db, const char *sql) {
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? NULL : db_error(db, code, "setting up");
}

/* As a raw key: no derivation, for it is random. */
static err_t *give_key(box_db_t *db, const secret_t *key) {
    CLEANUP(buf_done) buf_t text;
    buf_init_secret(&text, 2 * BOX_DB_KEY + 8);
    TRY(buf_add_str(&text, "x'"));
    TRY(text_hex(secret_bytes(key), &text));
    TRY(buf_add_str(&text, "'"));
    int code = sqlite3_key(db->handle, text.p, (int)text.n);
    return code == SQLITE_OK ? NULL : db_error(db, code, "the key");
}

static err_t *get_version(box_db_t *db, int64_t *ret_version) {
    row_t *row = NULL;
    bool found = false;
    TRY(db_use(db, "PRAGMA user_version", &row));
    TRY(db_step(db, row, &found));
    *ret_version = found ? sqlite3_column_int64(row, 0) : 0;
    db_reset(row);
    return NULL;
}

static err_t *migrate(box_db_t *db) {
    const int64_t newest = sizeof migrations / sizeof migrations[0];
    int64_t version = 0;
    TRY(get_version(db, &version));
    if (version < 0 || version > newest)
        return err_new(ERR_USAGE, "the mailbox is of a newer coffer-mailbox");
    for (; version < newest; version++) {
        char set[64];
        (void)snprintf(set, sizeof set, "PRAGMA user_version = %lld", (long long)version + 1);
        TRY(box_db_begin(db));
        err_t *e = execute(db, migrations[version]);
        if (!e) e = execute(db, set);
        if (!e) e = box_db_commit(db);
        if (e) {
            box_db_rollback(db);
            return e;
        }
    }
    return NULL;
}

static err_t *set_up(box_db_t *db, const secret_t *key) {
    TRY(give_key(db, key));
    TRY(execute(db, "PRAGMA cipher_page_size = 4096"));
    TRY(execute(db, "PRAGMA cipher_memory_security = ON"));
    TRY(execute(db, "PRAGMA temp_store = MEMORY"));
    TRY(execute(db, "PRAGMA cache_size = -4096"));
    TRY(execute(db, "PRAGMA journal_mode = WAL"));
    TRY(execute(db, "PRAGMA synchronous = FULL"));
    return migrate(db);
}

err_t *box_db_open(const char *path, const secret_t *key, box_db_t **ret_db) {
    box_db_t *made = mem_zalloc(sizeof *made);
    if (!made) return err_nomem();
    CLEANUP(box_db_close) box_db_t *db = made;
    if (secret_size(key) != BOX_DB_KEY) return err_new(ERR_USAGE, "a database key has 32 bytes");
    int code = sqlite3_open_v2(
        path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) return db_error(db, code, path);
    (void)sqlite3_busy_timeout(db->handle, 5000);
    TRY(set_up(db, key));
    *ret_db = STEAL(db);
    return NULL;
}

void box_db_shut(box_db_t *db) {
    for (size_t i = 0; i < db->n; i++) (void)sqlite3_finalize(db->prepared[i]);
    (void)sqlite3_close_v2(db->handle);
    db->n = 0;
    db->handle = NULL;
}

void box_db_close(box_db_t *db) {
    if (!db) return;
    box_db_shut(db);
    mem_free(db);
}

err_t *box_db_begin(box_db_t *db) {
    row_t *row = NULL;
    TRY(db_use(db, "BEGIN IMMEDIATE", &row));
    return db_run(db, row);
}

err_t *box_db_commit(box_db_t *db) {
    row_t *row = NULL;
    TRY(db_use(db, "COMMIT", &row));
    return db_run(db, row);
}

void box_db_rollback(box_db_t *db) {
    if (db->handle && !sqlite3_get_autocommit(db->handle)) err_ignore(execute(db, "ROLLBACK"));
}
