/*
 * Rows of `job`: the courier's durable work. Written in the transaction that makes the work
 * necessary, executed at least once.
 */
#ifndef COFFER_STORE_JOBS_H
#define COFFER_STORE_JOBS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq;
    const char *kind;
    const char *name;
    const char *payload; /* JSON */
    int64_t generation;
    int64_t due_ms;
    int64_t attempts;
    bool dead;
    const char *last_error;
    int64_t created_ms;
} db_job_t;

/*
 * Adds; an open job of the same (kind, name) coalesces: payload replaced, due_ms the earlier of
 * both, generation raised, attempts and dead reset.
 */
err_t *db_jobs_put(db_conn_t *conn, const char *kind, const char *name, const char *payload,
                   int64_t due_ms, int64_t now_ms) WARN_UNUSED;
/* Takes up to `limit` due ones of a kind, not leased, leasing them until lease_until_ms;
 * attempts + 1. */
err_t *db_jobs_take(db_conn_t *conn, arena_t *arena, const char *kind, int64_t now_ms,
                    int64_t lease_until_ms, size_t limit, db_job_t **ret_rows,
                    size_t *ret_count) WARN_UNUSED;
/* Removes it if its generation is still this one; else frees the lease so that it runs again. */
err_t *db_jobs_done(db_conn_t *conn, int64_t seq, int64_t generation) WARN_UNUSED;
/* Frees the lease; due again at due_ms (at once when coalesced meanwhile). */
err_t *db_jobs_retry(db_conn_t *conn, int64_t seq, int64_t generation, int64_t due_ms,
                     const char *why) WARN_UNUSED;
/* Gives up, keeping the row to be seen. */
err_t *db_jobs_bury(db_conn_t *conn, int64_t seq, int64_t generation, const char *why) WARN_UNUSED;
/* When the next one of a kind is due (lease ends count); *ret_found false: nothing waits. */
err_t *db_jobs_next_due(db_conn_t *conn, const char *kind, int64_t *ret_due_ms,
                        bool *ret_found) WARN_UNUSED;
err_t *db_jobs_list(db_conn_t *conn, arena_t *arena, size_t limit, db_job_t **ret_rows,
                    size_t *ret_count) WARN_UNUSED;
/* All of a kind that nobody works on any more. */
err_t *db_jobs_clear(db_conn_t *conn, const char *kind) WARN_UNUSED;
err_t *db_jobs_count(db_conn_t *conn, int64_t *ret_open, int64_t *ret_dead) WARN_UNUSED;

#endif
