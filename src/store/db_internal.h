/*
 * For the files of the façade (db.c, db_stmt.c, db_sqlite.c) and migrate.c only: what a
 * connection and a statement are, and what a back end must provide.
 */
#ifndef COFFER_STORE_DB_INTERNAL_H
#define COFFER_STORE_DB_INTERNAL_H

#include "base/limits.h"
#include "store/db.h"

enum { DB_BUCKETS = 256 }; /* of the statement cache; a power of two */

typedef struct {
    void (*fn)(void *arg);
    void *arg;
} db_hook_t;

typedef struct db_backend db_backend_t;

struct db_conn {
    const db_backend_t *backend;
    db_t *db;
    void *handle; /* the back end's connection */
    bool writable;
    db_stmt_t *buckets[DB_BUCKETS]; /* the statement cache */
    unsigned cached;
    db_stmt_t *open;     /* statements in use */
    db_hook_t *hooks;    /* to be called after the commit */
    size_t hook_count;   /* in use */
    size_t hook_room;    /* allocated */
    db_conn_t *next;     /* in the pool of idle readers */
    int64_t busy_waited; /* microseconds of the current wait for another process */
    int64_t busy_max;    /* microseconds */
};

struct db_stmt {
    db_conn_t *conn;
    void *handle; /* the back end's statement */
    char *sql;    /* owned: key of the cache */
    uint32_t hash;
    unsigned parameters;                       /* highest $n */
    uint8_t position[LIMIT_DB_PARAMETERS + 1]; /* $n -> the back end's number, 0: not used */
    bool cached;
    bool in_use;
    db_stmt_t *next;      /* in its bucket */
    db_stmt_t *next_open; /* in conn->open */
};

/* What a kind of database provides. Errors already carry the façade's codes. */
struct db_backend {
    const char *begin_write; /* SQL */
    const char *begin_read;
    const char *version;   /* SQL whose number changes when another connection commits */
    const char *has_table; /* SQL that gives a row if table $1 exists */
    const char *word_bytes;
    const char *word_identity;

    err_t *(*open)(db_conn_t *conn, const char *path, const db_options_t *options);
    void (*close)(db_conn_t *conn);
    /* Undoes the open transaction, whatever state it is in; never fails. */
    void (*rollback)(db_conn_t *conn);
    bool (*in_transaction)(const db_conn_t *conn);
    int64_t (*changes)(const db_conn_t *conn);
    err_t *(*script)(db_conn_t *conn, const char *sql);

    /* Fills handle, parameters and position. */
    err_t *(*prepare)(db_stmt_t *stmt, const char *sql);
    void (*finalize)(db_stmt_t *stmt);
    void (*reset)(db_stmt_t *stmt);
    err_t *(*bind)(db_stmt_t *stmt, unsigned position, db_value_t value);
    err_t *(*step)(db_stmt_t *stmt, bool *ret_row);
    int64_t (*col_i64)(db_stmt_t *stmt, unsigned n);
    bytes_t (*col_text)(db_stmt_t *stmt, unsigned n);
    bytes_t (*col_bytes)(db_stmt_t *stmt, unsigned n);
    bool (*col_null)(db_stmt_t *stmt, unsigned n);
};

extern const db_backend_t db_sqlite_backend;

/* Ends statements still in use; ERR_INTERNAL if there were any (a db_stmt_done is missing). */
err_t *db_stmt_end_all(db_conn_t *conn) WARN_UNUSED;
/* Frees the cache, before the connection closes. */
void db_stmt_drop_all(db_conn_t *conn);
err_t *db_has_table(db_conn_t *conn, const char *name, bool *ret_found) WARN_UNUSED;

#endif
