/*
 * Rows of `job`: see jobs.h. A lease is a time: while it runs, due_ms is its end, so that one index
 * says what is next; when its holder dies, the job becomes due by itself. A generation tells
 * whether a job was coalesced while somebody worked on it; then it is due again at once.
 */
#include "store/jobs.h"

#include "store/rows_internal.h"

#define COLUMNS                                                                                    \
    "seq, kind, name, payload, generation, due_ms, attempts, dead, last_error, created_ms"

static const row_column_t columns[] = {
    {ROW_I64, offsetof(db_job_t, seq)},        {ROW_STR, offsetof(db_job_t, kind)},
    {ROW_STR, offsetof(db_job_t, name)},       {ROW_STR, offsetof(db_job_t, payload)},
    {ROW_I64, offsetof(db_job_t, generation)}, {ROW_I64, offsetof(db_job_t, due_ms)},
    {ROW_I64, offsetof(db_job_t, attempts)},   {ROW_BOOL, offsetof(db_job_t, dead)},
    {ROW_STR, offsetof(db_job_t, last_error)}, {ROW_I64, offsetof(db_job_t, created_ms)},
};
static const row_type_t job_type = ROW_TYPE(columns, db_job_t);

/* A dead job's old time says nothing; a leased one keeps its lease; else the earlier of both. */
err_t *db_jobs_put(db_conn_t *conn, const char *kind, const char *name, const char *payload,
                   int64_t due_ms, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO job (kind, name, payload, generation, due_ms, lease_until_ms,"
                   " attempts, dead, last_error, created_ms)"
                   " VALUES ($1, $2, $3, 1, $4, 0, 0, 0, '', $5)"
                   " ON CONFLICT (kind, name) DO UPDATE SET payload = excluded.payload,"
                   " due_ms = CASE WHEN job.dead = 0 AND (job.lease_until_ms > $5"
                   " OR job.due_ms < excluded.due_ms) THEN job.due_ms ELSE excluded.due_ms END,"
                   " generation = job.generation + 1, attempts = 0, dead = 0",
                   DB_STR(kind), DB_STR(name), DB_TEXT(bytes_str(payload)), DB_I64(due_ms),
                   DB_I64(now_ms));
}

err_t *db_jobs_take(db_conn_t *conn, arena_t *arena, const char *kind, int64_t now_ms,
                    int64_t lease_until_ms, size_t limit, db_job_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &job_type,
                    "UPDATE job SET lease_until_ms = $2, due_ms = $2, attempts = attempts + 1"
                    " WHERE seq IN (SELECT seq FROM job WHERE kind = $4 AND dead = 0"
                    " AND due_ms <= $1"
                    " ORDER BY due_ms LIMIT $3)"
                    " RETURNING " COLUMNS,
                    ret_rows, ret_count, DB_I64(now_ms), DB_I64(lease_until_ms),
                    DB_I64((int64_t)limit), DB_STR(kind));
}

err_t *db_jobs_done(db_conn_t *conn, int64_t seq, int64_t generation) {
    bool removed = false;
    TRY(row_change(conn, "DELETE FROM job WHERE seq = $1 AND generation = $2", &removed,
                   DB_I64(seq), DB_I64(generation)));
    if (removed) return NULL;
    return db_exec(conn, "UPDATE job SET lease_until_ms = 0, due_ms = 0 WHERE seq = $1",
                   DB_I64(seq));
}

err_t *db_jobs_clear(db_conn_t *conn, const char *kind) {
    return db_exec(conn, "DELETE FROM job WHERE kind = $1", DB_STR(kind));
}

err_t *db_jobs_retry(db_conn_t *conn, int64_t seq, int64_t generation, int64_t due_ms,
                     const char *why) {
    return db_exec(conn,
                   "UPDATE job SET lease_until_ms = 0, last_error = $4,"
                   " due_ms = CASE WHEN generation = $2 THEN $3 ELSE 0 END"
                   " WHERE seq = $1",
                   DB_I64(seq), DB_I64(generation), DB_I64(due_ms), DB_TEXT(bytes_str(why)));
}

err_t *db_jobs_bury(db_conn_t *conn, int64_t seq, int64_t generation, const char *why) {
    return db_exec(conn,
                   "UPDATE job SET lease_until_ms = 0, last_error = $3,"
                   " due_ms = 0, dead = CASE WHEN generation = $2 THEN 1 ELSE dead END"
                   " WHERE seq = $1",
                   DB_I64(seq), DB_I64(generation), DB_TEXT(bytes_str(why)));
}

err_t *db_jobs_next_due(db_conn_t *conn, const char *kind, int64_t *ret_due_ms, bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool row = false;
    TRY(db_query_row(conn, "SELECT MIN(due_ms) FROM job WHERE kind = $1 AND dead = 0", &stmt, &row,
                     DB_STR(kind)));
    bool found = row && !db_col_null(stmt, 0);
    if (found) *ret_due_ms = db_col_i64(stmt, 0);
    *ret_found = found;
    return NULL;
}

err_t *db_jobs_list(db_conn_t *conn, arena_t *arena, size_t limit, db_job_t **ret_rows,
                    size_t *ret_count) {
    return row_list(conn, arena, &job_type, "SELECT " COLUMNS " FROM job ORDER BY seq LIMIT $1",
                    ret_rows, ret_count, DB_I64((int64_t)limit));
}

err_t *db_jobs_count(db_conn_t *conn, int64_t *ret_open, int64_t *ret_dead) {
    int64_t open = 0;
    TRY(row_number(conn, "SELECT COUNT(*) FROM job WHERE dead = 0", &open));
    TRY(row_number(conn, "SELECT COUNT(*) FROM job WHERE dead = 1", ret_dead));
    *ret_open = open;
    return NULL;
}
