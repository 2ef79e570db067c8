/*
 * Rows of `command` and `command_result`: see commands.h. Statements say "open = 1" literally:
 * that is what lets them use the partial index, so that old results cost nothing.
 */
#include "store/commands.h"

#include "store/rows_internal.h"

#define COLUMNS_BUT_PAYLOAD                                                                        \
    "seq, uuid, device_id, request_type, state, secret_kind, secret_version, created_by, "         \
    "created_ms, sent_ms, done_ms, deliveries, error"
#define COLUMNS COLUMNS_BUT_PAYLOAD ", payload"

static const row_column_t columns[] = {
    {ROW_I64, offsetof(db_command_t, seq)},
    {ROW_STR, offsetof(db_command_t, uuid)},
    {ROW_STR, offsetof(db_command_t, device_id)},
    {ROW_STR, offsetof(db_command_t, request_type)},
    {ROW_STR, offsetof(db_command_t, state)},
    {ROW_STR, offsetof(db_command_t, secret_kind)},
    {ROW_I64, offsetof(db_command_t, secret_version)},
    {ROW_STR, offsetof(db_command_t, created_by)},
    {ROW_I64, offsetof(db_command_t, created_ms)},
    {ROW_I64, offsetof(db_command_t, sent_ms)},
    {ROW_I64, offsetof(db_command_t, done_ms)},
    {ROW_I64, offsetof(db_command_t, deliveries)},
    {ROW_STR, offsetof(db_command_t, error)},
    {ROW_BYTES, offsetof(db_command_t, payload)},
};
static const row_type_t command_type = ROW_TYPE(columns, db_command_t);
static const row_type_t brief_type = {columns, sizeof columns / sizeof columns[0] - 1,
                                      sizeof(db_command_t)};

err_t *db_commands_add(db_conn_t *conn, const db_command_t *row) {
    return db_exec(conn,
                   "INSERT INTO command (uuid, device_id, request_type, state, open, payload,"
                   " secret_kind, secret_version, created_by, created_ms, sent_ms, done_ms,"
                   " deliveries, error)"
                   " VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9, 0, 0, 0, '')",
                   DB_STR(row->uuid), DB_STR(row->device_id), DB_STR(row->request_type),
                   DB_STR(row->state ? row->state : "queued"), DB_BYTES(row->payload),
                   DB_TEXT(bytes_str(row->secret_kind)), DB_I64(row->secret_version),
                   DB_TEXT(bytes_str(row->created_by)), DB_I64(row->created_ms));
}

enum { LOOK_SEQ, LOOK_UUID, LOOK_TYPE, LOOK_STATE, LOOK_KIND, LOOK_VERSION, LOOK_PAYLOAD };

static err_t *look_next(db_stmt_t *stmt, arena_t *arena, db_queue_t *queue) {
    queue->found = true;
    queue->next = (db_command_t){.seq = db_col_i64(stmt, LOOK_SEQ),
                                 .secret_version = db_col_i64(stmt, LOOK_VERSION)};
    TRY(row_str(stmt, arena, LOOK_UUID, &queue->next.uuid));
    TRY(row_str(stmt, arena, LOOK_TYPE, &queue->next.request_type));
    TRY(row_str(stmt, arena, LOOK_KIND, &queue->next.secret_kind));
    return arena_copy(arena, db_col_bytes(stmt, LOOK_PAYLOAD), &queue->next.payload);
}

static err_t *look_row(db_stmt_t *stmt, arena_t *arena, const char *answered, db_queue_t *queue) {
    if (!queue->answered && bytes_eq_str(db_col_text(stmt, LOOK_UUID), answered)) {
        queue->answered = true;
        queue->answered_seq = db_col_i64(stmt, LOOK_SEQ);
        return row_str(stmt, arena, LOOK_TYPE, &queue->answered_type);
    }
    if (bytes_eq_str(db_col_text(stmt, LOOK_STATE), "not-now")) queue->not_now = true;
    else if (!queue->found) return look_next(stmt, arena, queue);
    return NULL;
}

err_t *db_commands_look(db_conn_t *conn, arena_t *arena, const char *device_id,
                        const char *answered, db_queue_t *ret_queue) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    db_queue_t queue = {.answered = false};
    TRY(db_query(conn,
                 "SELECT seq, uuid, request_type, state, secret_kind, secret_version, payload"
                 " FROM command WHERE device_id = $1 AND open = 1 ORDER BY seq",
                 &stmt, DB_STR(device_id)));
    for (bool row = false; !queue.found || (answered[0] && !queue.answered);) {
        TRY(db_step(stmt, &row));
        if (!row) break;
        TRY(look_row(stmt, arena, answered, &queue));
    }
    *ret_queue = queue;
    return NULL;
}

err_t *db_commands_mark_sent(db_conn_t *conn, int64_t seq, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE command SET state = 'sent', sent_ms = $2, deliveries = deliveries + 1"
                   " WHERE seq = $1 AND open = 1",
                   DB_I64(seq), DB_I64(now_ms));
}

err_t *db_commands_release(db_conn_t *conn, const char *device_id, int64_t *ret_count) {
    TRY(db_exec(conn,
                "UPDATE command SET state = 'queued'"
                " WHERE device_id = $1 AND open = 1 AND state = 'not-now'",
                DB_STR(device_id)));
    *ret_count = db_changes(conn);
    return NULL;
}

err_t *db_commands_mark_not_now(db_conn_t *conn, int64_t seq) {
    return db_exec(conn, "UPDATE command SET state = 'not-now' WHERE seq = $1 AND open = 1",
                   DB_I64(seq));
}

err_t *db_commands_finish(db_conn_t *conn, int64_t seq, const char *state, const char *error,
                          int64_t now_ms, bool *ret_found) {
    return row_change(conn,
                      "UPDATE command SET state = $2, open = 0, error = $3, done_ms = $4"
                      " WHERE seq = $1 AND open = 1",
                      ret_found, DB_I64(seq), DB_STR(state), DB_TEXT(bytes_str(error)),
                      DB_I64(now_ms));
}

err_t *db_commands_get(db_conn_t *conn, arena_t *arena, const char *uuid, db_command_t *ret_row,
                       bool *ret_found) {
    return row_find(conn, arena, &command_type, "SELECT " COLUMNS " FROM command WHERE uuid = $1",
                    ret_row, ret_found, DB_STR(uuid));
}

err_t *db_commands_list(db_conn_t *conn, arena_t *arena, const char *device_id, bool only_open,
                        size_t limit, db_command_t **ret_rows, size_t *ret_count) {
    const char *sql = only_open ? "SELECT " COLUMNS_BUT_PAYLOAD " FROM command"
                                  " WHERE device_id = $1 AND open = 1 ORDER BY seq DESC LIMIT $2"
                                : "SELECT " COLUMNS_BUT_PAYLOAD " FROM command"
                                  " WHERE device_id = $1 ORDER BY seq DESC LIMIT $2";
    return row_list(conn, arena, &brief_type, sql, ret_rows, ret_count, DB_STR(device_id),
                    DB_I64((int64_t)limit));
}

err_t *db_commands_count_open(db_conn_t *conn, const char *device_id, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM command WHERE device_id = $1 AND open = 1",
                      ret_count, DB_STR(device_id));
}

err_t *db_commands_open_of_type(db_conn_t *conn, arena_t *arena, const char *device_id,
                                const char *request_type, db_command_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &command_type,
                    "SELECT " COLUMNS " FROM command WHERE device_id = $1 AND open = 1"
                    " AND request_type = $2 ORDER BY seq LIMIT 1",
                    ret_row, ret_found, DB_STR(device_id), DB_STR(request_type));
}

err_t *db_commands_cancel(db_conn_t *conn, const char *device_id, const char *uuid, bool even_sent,
                          int64_t now_ms, bool *ret_found) {
    return row_change(conn,
                      "UPDATE command SET state = 'cancelled', open = 0, done_ms = $4"
                      " WHERE uuid = $2 AND device_id = $1 AND open = 1"
                      " AND ($3 = 1 OR state <> 'sent')",
                      ret_found, DB_STR(device_id), DB_STR(uuid), DB_I64(even_sent),
                      DB_I64(now_ms));
}

err_t *db_commands_cancel_all(db_conn_t *conn, const char *device_id, int64_t now_ms,
                              int64_t *ret_count) {
    TRY(db_exec(conn,
                "UPDATE command SET state = 'cancelled', open = 0, done_ms = $2"
                " WHERE device_id = $1 AND open = 1",
                DB_STR(device_id), DB_I64(now_ms)));
    *ret_count = db_changes(conn);
    return NULL;
}

err_t *db_commands_cancel_kind(db_conn_t *conn, const char *device_id, const char *secret_kind,
                               int64_t now_ms, int64_t *ret_count) {
    TRY(db_exec(conn,
                "UPDATE command SET state = 'cancelled', open = 0, done_ms = $3"
                " WHERE device_id = $1 AND secret_kind = $2 AND open = 1",
                DB_STR(device_id), DB_STR(secret_kind), DB_I64(now_ms)));
    *ret_count = db_changes(conn);
    return NULL;
}

/* ---- results ---------------------------------------------------------------------------- */

err_t *db_results_put(db_conn_t *conn, const char *uuid, bytes_t body, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO command_result (uuid, received_ms, body) VALUES ($1, $2, $3)"
                   " ON CONFLICT (uuid) DO NOTHING",
                   DB_STR(uuid), DB_I64(now_ms), DB_BYTES(body));
}

typedef struct {
    int64_t received_ms;
    bytes_t body;
} result_row_t;

err_t *db_results_get(db_conn_t *conn, arena_t *arena, const char *uuid, bytes_t *ret_body,
                      int64_t *ret_received_ms, bool *ret_found) {
    static const row_column_t result_columns[] = {
        {ROW_I64, offsetof(result_row_t, received_ms)},
        {ROW_BYTES, offsetof(result_row_t, body)},
    };
    static const row_type_t type = ROW_TYPE(result_columns, result_row_t);
    result_row_t row = {0};
    bool found = false;
    TRY(row_find(conn, arena, &type, "SELECT received_ms, body FROM command_result WHERE uuid = $1",
                 &row, &found, DB_STR(uuid)));
    if (found) {
        *ret_body = row.body;
        *ret_received_ms = row.received_ms;
    }
    *ret_found = found;
    return NULL;
}
