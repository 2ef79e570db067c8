/*
 * Rows of `mail_event`, and what devices were told and given: see mailboxes.h.
 */
#include "store/mailboxes.h"
#include "store/rows_internal.h"

#define EVENT "seq, device_id, account, event, folder, uidvalidity, uid, modseq, created_ms"

static const row_column_t columns[] = {
    {ROW_I64, offsetof(db_mail_event_t, seq)},
    {ROW_STR, offsetof(db_mail_event_t, device_id)},
    {ROW_STR, offsetof(db_mail_event_t, account)},
    {ROW_STR, offsetof(db_mail_event_t, event)},
    {ROW_STR, offsetof(db_mail_event_t, folder)},
    {ROW_I64, offsetof(db_mail_event_t, uidvalidity)},
    {ROW_I64, offsetof(db_mail_event_t, uid)},
    {ROW_I64, offsetof(db_mail_event_t, modseq)},
    {ROW_I64, offsetof(db_mail_event_t, created_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_mail_event_t);

typedef struct {
    const char *id;
} device_id_t;

static const row_column_t id_columns[] = {{ROW_STR, offsetof(device_id_t, id)}};
static const row_type_t id_type = ROW_TYPE(id_columns, device_id_t);

err_t *db_mail_devices(db_conn_t *conn, arena_t *arena, const char *account, size_t limit,
                       const char ***ret_ids, size_t *ret_count) {
    device_id_t *rows = NULL;
    const char **ids = NULL;
    size_t count = 0;
    TRY(row_list(conn, arena, &id_type,
                 "SELECT d.id FROM mailbox m JOIN device d ON d.person_id = m.person_id"
                 " WHERE m.account = $1 AND m.person_id <> '' AND d.state = 'enrolled'"
                 " AND NOT EXISTS (SELECT 1 FROM lease_bar b WHERE b.device_id = d.id)"
                 " AND NOT EXISTS (SELECT 1 FROM certificate c"
                 " WHERE c.fingerprint = d.identity AND c.revoked_ms <> 0)"
                 " ORDER BY d.id LIMIT $2",
                 &rows, &count, DB_STR(account), DB_I64((int64_t)limit)));
    TRY(arena_alloc(arena, (count + 1) * sizeof *ids, &ids));
    for (size_t i = 0; i < count; i++) ids[i] = rows[i].id;
    *ret_ids = ids;
    *ret_count = count;
    return NULL;
}

err_t *db_mail_events_add(db_conn_t *conn, const db_mail_event_t *row) {
    return db_exec(conn,
                   "INSERT INTO mail_event (device_id, account, event, folder, uidvalidity, uid,"
                   " modseq, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                   DB_STR(row->device_id), DB_STR(row->account), DB_STR(row->event),
                   DB_STR(row->folder), DB_I64(row->uidvalidity), DB_I64(row->uid),
                   DB_I64(row->modseq), DB_I64(row->created_ms));
}

err_t *db_mail_events_after(db_conn_t *conn, arena_t *arena, int64_t seq, size_t limit,
                            db_mail_event_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT " EVENT " FROM mail_event WHERE seq > $1 ORDER BY seq LIMIT $2",
                    ret_rows, ret_count, DB_I64(seq), DB_I64((int64_t)limit));
}

err_t *db_mail_events_of(db_conn_t *conn, arena_t *arena, const char *device_id, int64_t seq,
                         int64_t last, size_t limit, db_mail_event_t **ret_rows,
                         size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT " EVENT " FROM mail_event WHERE device_id = $1 AND seq > $2"
                    " AND seq <= $3 ORDER BY seq LIMIT $4",
                    ret_rows, ret_count, DB_STR(device_id), DB_I64(seq), DB_I64(last),
                    DB_I64((int64_t)limit));
}

err_t *db_mail_events_span(db_conn_t *conn, int64_t *ret_first, int64_t *ret_last) {
    TRY(row_number(conn, "SELECT COALESCE(MIN(seq), 0) FROM mail_event", ret_first));
    return row_number(conn, "SELECT COALESCE(MAX(seq), 0) FROM mail_event", ret_last);
}

/* The last one stays, so that its number is known. */
err_t *db_mail_events_purge(db_conn_t *conn, int64_t before_ms) {
    return db_exec(conn,
                   "DELETE FROM mail_event WHERE created_ms < $1"
                   " AND seq < (SELECT MAX(seq) FROM mail_event)",
                   DB_I64(before_ms));
}

/* ---- what came of it ---- */

static const row_column_t release_columns[] = {
    {ROW_STR, offsetof(db_mail_release_t, device_id)},
    {ROW_STR, offsetof(db_mail_release_t, account)},
    {ROW_STR, offsetof(db_mail_release_t, event)},
    {ROW_I64, offsetof(db_mail_release_t, released_ms)},
};
static const row_type_t release_type = ROW_TYPE(release_columns, db_mail_release_t);

err_t *db_mail_releases(db_conn_t *conn, arena_t *arena, const char *account, size_t limit,
                        db_mail_release_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &release_type,
                    "SELECT device_id, account, event, released_ms FROM lease_event"
                    " WHERE account = $1 AND released_ms > 0 ORDER BY released_ms DESC, event"
                    " LIMIT $2",
                    ret_rows, ret_count, DB_STR(account), DB_I64((int64_t)limit));
}

err_t *db_mail_releases_count(db_conn_t *conn, const char *account, int64_t since_ms,
                              int64_t *ret_count) {
    return row_number(conn,
                      "SELECT COUNT(*) FROM lease_event WHERE account = $1 AND released_ms >= $2"
                      " AND released_ms > 0",
                      ret_count, DB_STR(account), DB_I64(since_ms));
}
