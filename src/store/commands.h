/*
 * Rows of `command` and `command_result`: the queue of each device, first in, first out.
 */
#ifndef COFFER_STORE_COMMANDS_H
#define COFFER_STORE_COMMANDS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq;
    const char *uuid;
    const char *device_id;
    const char *request_type;
    const char *state; /* queued, sent, not-now, acknowledged, error, format-error, cancelled */
    bytes_t payload;
    const char *secret_kind;
    int64_t secret_version;
    const char *created_by;
    int64_t created_ms;
    int64_t sent_ms;
    int64_t done_ms;
    int64_t deliveries;
    const char *error; /* JSON or "" */
} db_command_t;

err_t *db_commands_add(db_conn_t *conn, const db_command_t *row) WARN_UNUSED;
/* A device's open commands as its answer finds them. */
typedef struct {
    bool answered; /* the one it names is open */
    int64_t answered_seq;
    const char *answered_type;
    bool found;        /* there is another that is queued or sent: the first of them */
    db_command_t next; /* seq, uuid, request_type, payload and secret_* only */
    bool not_now;      /* if there is no next: some other waits for the next session */
} db_queue_t;

/* `answered`: the uuid that the device names, or "". One look at the queue, not at its history. */
err_t *db_commands_look(db_conn_t *conn, arena_t *arena, const char *device_id,
                        const char *answered, db_queue_t *ret_queue) WARN_UNUSED;
err_t *db_commands_mark_sent(db_conn_t *conn, int64_t seq, int64_t now_ms) WARN_UNUSED;
/* A new session begins: not-now becomes queued. *ret_count rows changed. */
err_t *db_commands_release(db_conn_t *conn, const char *device_id, int64_t *ret_count) WARN_UNUSED;
err_t *db_commands_mark_not_now(db_conn_t *conn, int64_t seq) WARN_UNUSED;
/*
 * Final state from the device's answer; only an open command changes. *ret_found false: it is
 * finished already.
 */
err_t *db_commands_finish(db_conn_t *conn, int64_t seq, const char *state, const char *error,
                          int64_t now_ms, bool *ret_found) WARN_UNUSED;
err_t *db_commands_get(db_conn_t *conn, arena_t *arena, const char *uuid, db_command_t *ret_row,
                       bool *ret_found) WARN_UNUSED;
/* Newest first; `only_open`. Payloads are left empty. */
err_t *db_commands_list(db_conn_t *conn, arena_t *arena, const char *device_id, bool only_open,
                        size_t limit, db_command_t **ret_rows, size_t *ret_count) WARN_UNUSED;
err_t *db_commands_count_open(db_conn_t *conn, const char *device_id,
                              int64_t *ret_count) WARN_UNUSED;
/* An open command of this type, e.g. to refuse a second EraseDevice. */
err_t *db_commands_open_of_type(db_conn_t *conn, arena_t *arena, const char *device_id,
                                const char *request_type, db_command_t *ret_row,
                                bool *ret_found) WARN_UNUSED;
/* Cancels one open command not yet sent (or sent, when `even_sent`). */
err_t *db_commands_cancel(db_conn_t *conn, const char *device_id, const char *uuid, bool even_sent,
                          int64_t now_ms, bool *ret_found) WARN_UNUSED;
/* Cancels all open ones (re-enrolment, CheckOut). */
err_t *db_commands_cancel_all(db_conn_t *conn, const char *device_id, int64_t now_ms,
                              int64_t *ret_count) WARN_UNUSED;
/* The same of those with this secret_kind: a later one has made them needless. */
err_t *db_commands_cancel_kind(db_conn_t *conn, const char *device_id, const char *secret_kind,
                               int64_t now_ms, int64_t *ret_count) WARN_UNUSED;

/* Keeps the device's answer as it came; a repeated one is ignored. */
err_t *db_results_put(db_conn_t *conn, const char *uuid, bytes_t body, int64_t now_ms) WARN_UNUSED;
err_t *db_results_get(db_conn_t *conn, arena_t *arena, const char *uuid, bytes_t *ret_body,
                      int64_t *ret_received_ms, bool *ret_found) WARN_UNUSED;

#endif
