/*
 * Rows of `recovery` and `recovery_answer`: requests to reveal an escrow object, and what each
 * officer said to them.
 */
#ifndef COFFER_STORE_RECOVERIES_H
#define COFFER_STORE_RECOVERIES_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq; /* not for add */
    const char *id;
    int64_t object_seq;
    const char *kind;
    const char *requester; /* person id */
    const char *recipient;
    const char *reason;
    const char *ticket;
    const char *state; /* waiting, denied, opened */
    int64_t threshold;
    int64_t approvals;
    bytes_t record;
    bytes_t hash;
    const char *rotation;
    int64_t created_ms;
    int64_t expires_ms;
    int64_t decided_ms;
    const char *opening; /* hex of the hash of what who opened it must show; or "" */
    int64_t received_ms; /* it arrived there; 0: not that we know */
} db_recovery_t;

err_t *db_recoveries_add(db_conn_t *conn, const db_recovery_t *row) WARN_UNUSED;
err_t *db_recoveries_get(db_conn_t *conn, arena_t *arena, const char *id, db_recovery_t *ret_row,
                         bool *ret_found) WARN_UNUSED;
/* Newest first, those with a seq below `before` (0: from the newest); state "": all. */
err_t *db_recoveries_list(db_conn_t *conn, arena_t *arena, const char *state, int64_t before,
                          size_t limit, db_recovery_t **ret_rows, size_t *ret_count) WARN_UNUSED;
err_t *db_recoveries_of_object(db_conn_t *conn, arena_t *arena, int64_t object_seq, size_t limit,
                               db_recovery_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Waiting and not expired at now_ms. */
err_t *db_recoveries_count_waiting(db_conn_t *conn, int64_t now_ms, int64_t *ret_count) WARN_UNUSED;
/* From waiting to this state; *ret_changed false: it isn't waiting any more. */
err_t *db_recoveries_decide(db_conn_t *conn, const char *id, const char *state, int64_t now_ms,
                            bool *ret_changed) WARN_UNUSED;
err_t *db_recoveries_set_rotation(db_conn_t *conn, const char *id,
                                  const char *rotation) WARN_UNUSED;
err_t *db_recoveries_set_opening(db_conn_t *conn, const char *id, const char *opening) WARN_UNUSED;
err_t *db_recoveries_set_received(db_conn_t *conn, const char *id, int64_t now_ms) WARN_UNUSED;
/* An opened one waits again, for `threshold` approvals. */
err_t *db_recoveries_wait_again(db_conn_t *conn, const char *id, int64_t threshold) WARN_UNUSED;
/* When anything was last revealed; 0: never. */
err_t *db_recoveries_last_opened(db_conn_t *conn, int64_t *ret_ms) WARN_UNUSED;

typedef struct {
    const char *recovery_id;
    const char *officer_id;
    const char *person_id;
    bool approved;
    bytes_t record;
    const char *reason;
    int64_t created_ms;
    bool wrong; /* an approval that did not hold where it was opened; false in add */
} db_recovery_answer_t;

/* Counts an approval in its request too. ERR_EXISTS when this officer answered already. */
err_t *db_recovery_answers_add(db_conn_t *conn, const db_recovery_answer_t *row) WARN_UNUSED;
/* An approval does not count any more; *ret_changed false: there is none that counts. */
err_t *db_recovery_answers_wrong(db_conn_t *conn, const char *recovery_id, const char *officer_id,
                                 bool *ret_changed) WARN_UNUSED;
/* In the order in which they came. */
err_t *db_recovery_answers_list(db_conn_t *conn, arena_t *arena, const char *recovery_id,
                                db_recovery_answer_t **ret_rows, size_t *ret_count) WARN_UNUSED;

#endif
