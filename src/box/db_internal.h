/*
 * What db.c and db_rows.c share: statements of SQLCipher as err_t.
 */
#ifndef COFFER_BOX_DB_INTERNAL_H
#define COFFER_BOX_DB_INTERNAL_H

#include <sqlcipher/sqlite3.h>

#include "box/db.h"

enum { STATEMENTS = 40 };

struct box_db {
    sqlite3 *handle;
    const char *texts[STATEMENTS];
    sqlite3_stmt *prepared[STATEMENTS];
    size_t n;
};

typedef sqlite3_stmt row_t;

err_t *db_error(const box_db_t *db, int code, const char *what) WARN_UNUSED;
/* A statement by its (literal) text, prepared once, reset and without values. */
err_t *db_use(box_db_t *db, const char *sql, row_t **ret_row) WARN_UNUSED;
void db_i64(row_t *row, int at, int64_t value);
void db_text(row_t *row, int at, bytes_t text);
void db_blob(row_t *row, int at, bytes_t data);
/* *ret_row false: no more; it is reset then. */
err_t *db_step(box_db_t *db, row_t *row, bool *ret_row) WARN_UNUSED;
/* Runs it to its end. */
err_t *db_run(box_db_t *db, row_t *row) WARN_UNUSED;
bytes_t db_bytes(row_t *row, int at);
void db_reset(row_t *row);
static inline void db_reset_p(row_t **row) { db_reset(*row); }

#endif
