/*
 * The vault's thin layer over SQLite: prepared statements that stay, bound values, one place that
 * turns result codes into errors. A sql_t belongs to one thread at a time.
 */
#ifndef COFFER_KEEPER_VAULT_SQL_H
#define COFFER_KEEPER_VAULT_SQL_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct sql sql_t;
typedef struct sql_stmt sql_stmt_t;

/* synchronous=FULL, WAL, temporary data in memory only. `create`: may make the file (0600). */
err_t *sql_open(const char *path, bool create, sql_t **ret_sql) WARN_UNUSED;
/* Finalizes its statements too. */
void sql_close(sql_t *sql);

/*
 * Has `done` told of each commit, on the thread that makes it, with the number of pages in the
 * journal; if it answers true, they are carried over to the database at once. Nothing else does it
 * then.
 */
void sql_watch(sql_t *sql, bool (*done)(void *arg, int pages), void *arg);
/*
 * Carries the journal's pages over to the database; *ret_pages: so many are there. `empty`: all,
 * and empties it; ERR_BUSY if somebody still reads old ones.
 */
err_t *sql_checkpoint(sql_t *sql, bool empty, int *ret_pages) WARN_UNUSED;

/* Statements without parameters and rows. */
err_t *sql_exec(sql_t *sql, const char *text) WARN_UNUSED;
/* Prepared once, owned by sql. */
err_t *sql_prepare(sql_t *sql, const char *text, sql_stmt_t **ret_stmt) WARN_UNUSED;

/* Parameters, first is 1; text and bytes are borrowed until sql_end. Failures show in sql_step. */
void sql_bind_i64(sql_stmt_t *stmt, int index, int64_t value);
void sql_bind_str(sql_stmt_t *stmt, int index, const char *value);
void sql_bind_bytes(sql_stmt_t *stmt, int index, bytes_t value);
/*
 * ERR_EXISTS for a uniqueness violation, ERR_FULL, ERR_BUSY, ERR_IO. The statement must be ended
 * by sql_end afterwards in every case.
 */
err_t *sql_step(sql_stmt_t *stmt, bool *ret_row) WARN_UNUSED;
/* Runs a statement that gives no rows, and ends it. */
err_t *sql_run(sql_stmt_t *stmt) WARN_UNUSED;
int64_t sql_i64(sql_stmt_t *stmt, int column);   /* columns from 0 */
bytes_t sql_bytes(sql_stmt_t *stmt, int column); /* borrowed until the next step */
/* Resets and unbinds. */
void sql_end(sql_stmt_t *stmt);
/*
 * A copy of the database as it is now, into a new file (0600), page by page, while others write on.
 * It is not flushed: it is read once and thrown away.
 */
typedef struct sql_copy sql_copy_t;
err_t *sql_copy_new(const char *from, const char *to, sql_copy_t **ret_copy) WARN_UNUSED;
/* So many pages more; *ret_left are still to come. */
err_t *sql_copy_step(sql_copy_t *copy, int pages, int *ret_left) WARN_UNUSED;
/* When none are left: runs statements on the copy; what they delete is overwritten in it. */
err_t *sql_copy_finish(sql_copy_t *copy, const char *text) WARN_UNUSED;
void sql_copy_free(sql_copy_t *copy); /* leaves the file; takes NULL */

/* For CLEANUP: ends a statement that is not NULL. */
static inline void sql_end_p(sql_stmt_t **stmt) {
    if (*stmt) sql_end(*stmt);
}

DEFINE_CLEANUP(sql_copy_t, sql_copy_free)

#endif
