/*
 * Rows of recovery requests and answers: see recoveries.h.
 */
#include "store/recoveries.h"

#include "store/rows_internal.h"

#define RECOVERY                                                                                   \
    "seq, id, object_seq, kind, requester, recipient, reason, ticket, state, threshold,"           \
    " approvals, record, hash, rotation, created_ms, expires_ms, decided_ms, opening, received_ms"

static const row_column_t columns[] = {
    {ROW_I64, offsetof(db_recovery_t, seq)},         {ROW_STR, offsetof(db_recovery_t, id)},
    {ROW_I64, offsetof(db_recovery_t, object_seq)},  {ROW_STR, offsetof(db_recovery_t, kind)},
    {ROW_STR, offsetof(db_recovery_t, requester)},   {ROW_STR, offsetof(db_recovery_t, recipient)},
    {ROW_STR, offsetof(db_recovery_t, reason)},      {ROW_STR, offsetof(db_recovery_t, ticket)},
    {ROW_STR, offsetof(db_recovery_t, state)},       {ROW_I64, offsetof(db_recovery_t, threshold)},
    {ROW_I64, offsetof(db_recovery_t, approvals)},   {ROW_BYTES, offsetof(db_recovery_t, record)},
    {ROW_BYTES, offsetof(db_recovery_t, hash)},      {ROW_STR, offsetof(db_recovery_t, rotation)},
    {ROW_I64, offsetof(db_recovery_t, created_ms)},  {ROW_I64, offsetof(db_recovery_t, expires_ms)},
    {ROW_I64, offsetof(db_recovery_t, decided_ms)},  {ROW_STR, offsetof(db_recovery_t, opening)},
    {ROW_I64, offsetof(db_recovery_t, received_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_recovery_t);

err_t *db_recoveries_add(db_conn_t *conn, const db_recovery_t *row) {
    return db_exec(conn,
                   "INSERT INTO recovery (id, object_seq, kind, requester, recipient, reason,"
                   " ticket, state, threshold, approvals, record, hash, rotation, created_ms,"
                   " expires_ms, decided_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, 0,"
                   " $9, $10, '', $11, $12, 0)",
                   DB_STR(row->id), DB_I64(row->object_seq), DB_STR(row->kind),
                   DB_STR(row->requester), DB_STR(row->recipient), DB_STR(row->reason),
                   DB_STR(row->ticket), DB_I64(row->threshold), DB_BYTES(row->record),
                   DB_BYTES(row->hash), DB_I64(row->created_ms), DB_I64(row->expires_ms));
}

err_t *db_recoveries_get(db_conn_t *conn, arena_t *arena, const char *id, db_recovery_t *ret_row,
                         bool *ret_found) {
    return row_find(conn, arena, &type, "SELECT " RECOVERY " FROM recovery WHERE id = $1", ret_row,
                    ret_found, DB_STR(id));
}

err_t *db_recoveries_list(db_conn_t *conn, arena_t *arena, const char *state, int64_t before,
                          size_t limit, db_recovery_t **ret_rows, size_t *ret_count) {
    const char *sql = state[0] ? "SELECT " RECOVERY " FROM recovery WHERE state = $1"
                                 " AND ($2 = 0 OR seq < $2) ORDER BY seq DESC LIMIT $3"
                               : "SELECT " RECOVERY " FROM recovery WHERE ($1 = '' OR state = $1)"
                                 " AND ($2 = 0 OR seq < $2) ORDER BY seq DESC LIMIT $3";
    return row_list(conn, arena, &type, sql, ret_rows, ret_count, DB_STR(state), DB_I64(before),
                    DB_I64((int64_t)limit));
}

err_t *db_recoveries_of_object(db_conn_t *conn, arena_t *arena, int64_t object_seq, size_t limit,
                               db_recovery_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT " RECOVERY " FROM recovery WHERE object_seq = $1"
                    " ORDER BY seq DESC LIMIT $2",
                    ret_rows, ret_count, DB_I64(object_seq), DB_I64((int64_t)limit));
}

err_t *db_recoveries_count_waiting(db_conn_t *conn, int64_t now_ms, int64_t *ret_count) {
    return row_number(conn,
                      "SELECT COUNT(*) FROM recovery WHERE state = 'waiting' AND expires_ms > $1",
                      ret_count, DB_I64(now_ms));
}

err_t *db_recoveries_decide(db_conn_t *conn, const char *id, const char *state, int64_t now_ms,
                            bool *ret_changed) {
    return row_change(conn,
                      "UPDATE recovery SET state = $2, decided_ms = $3"
                      " WHERE id = $1 AND state = 'waiting'",
                      ret_changed, DB_STR(id), DB_STR(state), DB_I64(now_ms));
}

err_t *db_recoveries_set_rotation(db_conn_t *conn, const char *id, const char *rotation) {
    return db_exec(conn, "UPDATE recovery SET rotation = $2 WHERE id = $1", DB_STR(id),
                   DB_STR(rotation));
}

err_t *db_recoveries_set_opening(db_conn_t *conn, const char *id, const char *opening) {
    return db_exec(conn, "UPDATE recovery SET opening = $2 WHERE id = $1", DB_STR(id),
                   DB_STR(opening));
}

err_t *db_recoveries_set_received(db_conn_t *conn, const char *id, int64_t now_ms) {
    return db_exec(conn, "UPDATE recovery SET received_ms = $2 WHERE id = $1", DB_STR(id),
                   DB_I64(now_ms));
}

err_t *db_recoveries_wait_again(db_conn_t *conn, const char *id, int64_t threshold) {
    return db_exec(conn,
                   "UPDATE recovery SET state = 'waiting', decided_ms = 0, threshold = $2"
                   " WHERE id = $1 AND state = 'opened'",
                   DB_STR(id), DB_I64(threshold));
}

err_t *db_recoveries_last_opened(db_conn_t *conn, int64_t *ret_ms) {
    return row_number(
        conn, "SELECT COALESCE(MAX(decided_ms), 0) FROM recovery WHERE state = 'opened'", ret_ms);
}

/* ---- answers ---- */

static const row_column_t answer_columns[] = {
    {ROW_STR, offsetof(db_recovery_answer_t, recovery_id)},
    {ROW_STR, offsetof(db_recovery_answer_t, officer_id)},
    {ROW_STR, offsetof(db_recovery_answer_t, person_id)},
    {ROW_BOOL, offsetof(db_recovery_answer_t, approved)},
    {ROW_BYTES, offsetof(db_recovery_answer_t, record)},
    {ROW_STR, offsetof(db_recovery_answer_t, reason)},
    {ROW_I64, offsetof(db_recovery_answer_t, created_ms)},
    {ROW_BOOL, offsetof(db_recovery_answer_t, wrong)},
};
static const row_type_t answer_type = ROW_TYPE(answer_columns, db_recovery_answer_t);

err_t *db_recovery_answers_add(db_conn_t *conn, const db_recovery_answer_t *row) {
    TRY(row_insert(conn,
                   "INSERT INTO recovery_answer (recovery_id, officer_id, person_id, approved,"
                   " record, reason, created_ms, wrong) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                   &answer_type, row));
    if (!row->approved) return NULL;
    return db_exec(conn, "UPDATE recovery SET approvals = approvals + 1 WHERE id = $1",
                   DB_STR(row->recovery_id));
}

err_t *db_recovery_answers_wrong(db_conn_t *conn, const char *recovery_id, const char *officer_id,
                                 bool *ret_changed) {
    TRY(row_change(conn,
                   "UPDATE recovery_answer SET wrong = 1 WHERE recovery_id = $1"
                   " AND officer_id = $2 AND approved = 1 AND wrong = 0",
                   ret_changed, DB_STR(recovery_id), DB_STR(officer_id)));
    if (!*ret_changed) return NULL;
    return db_exec(conn, "UPDATE recovery SET approvals = approvals - 1 WHERE id = $1",
                   DB_STR(recovery_id));
}

err_t *db_recovery_answers_list(db_conn_t *conn, arena_t *arena, const char *recovery_id,
                                db_recovery_answer_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &answer_type,
                    "SELECT recovery_id, officer_id, person_id, approved, record, reason,"
                    " created_ms, wrong FROM recovery_answer WHERE recovery_id = $1"
                    " ORDER BY created_ms, officer_id",
                    ret_rows, ret_count, DB_STR(recovery_id));
}
