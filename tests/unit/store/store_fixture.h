/*
 * A database in a directory of its own, for the tests of src/store and src/audit.
 */
#ifndef COFFER_TESTS_STORE_FIXTURE_H
#define COFFER_TESTS_STORE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/migrate.h"

typedef struct {
    char dir[64];
    char path[96];
    clk_fake_t clk;
    db_t *db;
} fixture_t;

static inline void fixture_dir(fixture_t *f) {
    *f = (fixture_t){.dir = "/tmp/coffer-store-XXXXXX"};
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/store.db", f->dir);
    clk_fake_init(&f->clk, 1700000000000);
}

static inline void fixture_open(fixture_t *f, const db_options_t *options) {
    fixture_dir(f);
    assert_ok(db_open(f->path, options, &f->clk.clk, &f->db));
}

/* With all of Coffer's tables. */
static inline void fixture_migrated(fixture_t *f) {
    fixture_open(f, NULL);
    unsigned applied = 0;
    assert_ok(migrate_run(f->db, &applied));
}

static inline void fixture_done(fixture_t *f) {
    db_close(f->db);
    f->db = NULL;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", f->path, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->dir);
}

static inline err_t *fixture_script_fn(db_conn_t *conn, void *arg) {
    return db_script(conn, *(const char **)arg);
}

static inline err_t *fixture_script(db_t *db, const char *sql) {
    return db_write(db, fixture_script_fn, &sql);
}

/* The number that a query without parameters gives. */
typedef struct {
    const char *sql;
    int64_t number;
} fixture_number_t;

static inline err_t *fixture_number_fn(db_conn_t *conn, void *arg) {
    fixture_number_t *n = arg;
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, n->sql, &stmt, &found));
    n->number = found ? db_col_i64(stmt, 0) : -1;
    return NULL;
}

static inline int64_t fixture_number(db_t *db, const char *sql) {
    fixture_number_t n = {.sql = sql};
    assert_ok(db_read(db, fixture_number_fn, &n));
    return n.number;
}

#endif
