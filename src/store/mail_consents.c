/*
 * Rows of `mail_consent` and `mail_consent_answer`: see mail_consents.h.
 */
#include "store/mail_consents.h"

#include "store/rows_internal.h"

#define CONSENT                                                                                    \
    "seq, id, device_id, person_id, certificate, epoch, expires, state, consents, created_ms,"     \
    " decided_ms, mailboxes"

static const row_column_t columns[] = {
    {ROW_I64, offsetof(db_mail_consent_t, seq)},
    {ROW_STR, offsetof(db_mail_consent_t, id)},
    {ROW_STR, offsetof(db_mail_consent_t, device_id)},
    {ROW_STR, offsetof(db_mail_consent_t, person_id)},
    {ROW_BYTES, offsetof(db_mail_consent_t, certificate)},
    {ROW_I64, offsetof(db_mail_consent_t, epoch)},
    {ROW_I64, offsetof(db_mail_consent_t, expires)},
    {ROW_STR, offsetof(db_mail_consent_t, state)},
    {ROW_I64, offsetof(db_mail_consent_t, consents)},
    {ROW_I64, offsetof(db_mail_consent_t, created_ms)},
    {ROW_I64, offsetof(db_mail_consent_t, decided_ms)},
    {ROW_STR, offsetof(db_mail_consent_t, mailboxes)},
};
static const row_type_t type = ROW_TYPE(columns, db_mail_consent_t);

err_t *db_mail_consents_add(db_conn_t *conn, const db_mail_consent_t *row) {
    return db_exec(conn,
                   "INSERT INTO mail_consent (id, device_id, person_id, certificate, epoch,"
                   " expires, state, consents, created_ms, decided_ms, mailboxes)"
                   " VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, $7, 0, $8)",
                   DB_STR(row->id), DB_STR(row->device_id), DB_STR(row->person_id),
                   DB_BYTES(row->certificate), DB_I64(row->epoch), DB_I64(row->expires),
                   DB_I64(row->created_ms), DB_STR(row->mailboxes));
}

err_t *db_mail_consents_get(db_conn_t *conn, arena_t *arena, const char *id,
                            db_mail_consent_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &type, "SELECT " CONSENT " FROM mail_consent WHERE id = $1",
                    ret_row, ret_found, DB_STR(id));
}

err_t *db_mail_consents_of_device(db_conn_t *conn, arena_t *arena, const char *device_id,
                                  const char *state, db_mail_consent_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &type,
                    "SELECT " CONSENT " FROM mail_consent WHERE device_id = $1 AND state = $2"
                    " ORDER BY seq DESC LIMIT 1",
                    ret_row, ret_found, DB_STR(device_id), DB_STR(state));
}

err_t *db_mail_consents_list(db_conn_t *conn, arena_t *arena, const char *state, int64_t before,
                             size_t limit, db_mail_consent_t **ret_rows, size_t *ret_count) {
    const char *sql = state[0] ? "SELECT " CONSENT " FROM mail_consent WHERE state = $1"
                                 " AND ($2 = 0 OR seq < $2) ORDER BY seq DESC LIMIT $3"
                               : "SELECT " CONSENT " FROM mail_consent WHERE $1 = ''"
                                 " AND ($2 = 0 OR seq < $2) ORDER BY seq DESC LIMIT $3";
    return row_list(conn, arena, &type, sql, ret_rows, ret_count, DB_STR(state), DB_I64(before),
                    DB_I64((int64_t)limit));
}

err_t *db_mail_consents_decide(db_conn_t *conn, const char *id, const char *from, const char *to,
                               int64_t now_ms, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE mail_consent SET state = $3, decided_ms = $4"
                      " WHERE id = $1 AND state = $2",
                      ret_changed, DB_STR(id), DB_STR(from), DB_STR(to), DB_I64(now_ms));
}

err_t *db_mail_consents_void(db_conn_t *conn, const char *device_id, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE mail_consent SET state = 'void', decided_ms = $2 WHERE device_id = $1"
                   " AND state IN ('waiting', 'given')",
                   DB_STR(device_id), DB_I64(now_ms));
}

/* ---- answers ---- */

static const row_column_t answer_columns[] = {
    {ROW_STR, offsetof(db_mail_consent_answer_t, consent_id)},
    {ROW_STR, offsetof(db_mail_consent_answer_t, officer_id)},
    {ROW_STR, offsetof(db_mail_consent_answer_t, person_id)},
    {ROW_BOOL, offsetof(db_mail_consent_answer_t, approved)},
    {ROW_BYTES, offsetof(db_mail_consent_answer_t, record)},
    {ROW_STR, offsetof(db_mail_consent_answer_t, reason)},
    {ROW_I64, offsetof(db_mail_consent_answer_t, created_ms)},
};
static const row_type_t answer_type = ROW_TYPE(answer_columns, db_mail_consent_answer_t);

err_t *db_mail_consent_answers_add(db_conn_t *conn, const db_mail_consent_answer_t *row) {
    TRY(row_insert(conn,
                   "INSERT INTO mail_consent_answer (consent_id, officer_id, person_id, approved,"
                   " record, reason, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                   &answer_type, row));
    if (!row->approved) return NULL;
    return db_exec(conn, "UPDATE mail_consent SET consents = consents + 1 WHERE id = $1",
                   DB_STR(row->consent_id));
}

err_t *db_mail_consent_answers_list(db_conn_t *conn, arena_t *arena, const char *consent_id,
                                    db_mail_consent_answer_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &answer_type,
                    "SELECT consent_id, officer_id, person_id, approved, record, reason, created_ms"
                    " FROM mail_consent_answer WHERE consent_id = $1"
                    " ORDER BY created_ms, officer_id",
                    ret_rows, ret_count, DB_STR(consent_id));
}
