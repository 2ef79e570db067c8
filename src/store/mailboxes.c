/*
 * Rows of `mail_hook`, `mailbox` and what was heard of them: see mailboxes.h.
 */
#include "store/mailboxes.h"

#include "store/rows_internal.h"

/* ---- mail servers that tell ---- */

#define HOOK "name, hash, created_by, created_ms, heard_ms"

static const row_column_t hook_columns[] = {
    {ROW_STR, offsetof(db_mail_hook_t, name)},
    {ROW_BYTES, offsetof(db_mail_hook_t, hash)},
    {ROW_STR, offsetof(db_mail_hook_t, created_by)},
    {ROW_I64, offsetof(db_mail_hook_t, created_ms)},
    {ROW_I64, offsetof(db_mail_hook_t, heard_ms)},
};
static const row_type_t hook_type = ROW_TYPE(hook_columns, db_mail_hook_t);

err_t *db_mail_hooks_put(db_conn_t *conn, const db_mail_hook_t *row) {
    return row_insert(conn,
                      "INSERT INTO mail_hook (" HOOK ") VALUES ($1, $2, $3, $4, $5)"
                      " ON CONFLICT (name) DO UPDATE SET hash = $2, created_by = $3,"
                      " created_ms = $4",
                      &hook_type, row);
}

err_t *db_mail_hooks_find(db_conn_t *conn, arena_t *arena, bytes_t hash, db_mail_hook_t *ret_row,
                          bool *ret_found) {
    return row_find(conn, arena, &hook_type, "SELECT " HOOK " FROM mail_hook WHERE hash = $1",
                    ret_row, ret_found, DB_BYTES(hash));
}

err_t *db_mail_hooks_by_name(db_conn_t *conn, arena_t *arena, const char *name,
                             db_mail_hook_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &hook_type, "SELECT " HOOK " FROM mail_hook WHERE name = $1",
                    ret_row, ret_found, DB_STR(name));
}

err_t *db_mail_hooks_list(db_conn_t *conn, arena_t *arena, size_t limit, db_mail_hook_t **ret_rows,
                          size_t *ret_count) {
    return row_list(conn, arena, &hook_type,
                    "SELECT " HOOK " FROM mail_hook ORDER BY name LIMIT $1", ret_rows, ret_count,
                    DB_I64((int64_t)limit));
}

err_t *db_mail_hooks_heard(db_conn_t *conn, const char *name, int64_t now_ms) {
    return db_exec(conn, "UPDATE mail_hook SET heard_ms = $2 WHERE name = $1", DB_STR(name),
                   DB_I64(now_ms));
}

err_t *db_mail_hooks_remove(db_conn_t *conn, const char *name, bool *ret_found) {
    int64_t used = 0;
    TRY(row_number(conn,
                   "SELECT COUNT(*) FROM mailbox WHERE source IN ('hook:' || $1, 'graph:' || $1)",
                   &used, DB_STR(name)));
    if (used)
        return err_new(ERR_EXISTS, "%lld mailboxes are told of by it: remove them first",
                       (long long)used);
    TRY(db_exec(conn, "DELETE FROM mail_hook WHERE name = $1", DB_STR(name)));
    *ret_found = db_changes(conn) > 0;
    return NULL;
}

/* ---- mailboxes ---- */

#define BOX                                                                                        \
    "account, person_id, source, login, server, sealed, state, problem, event_ms, heard_ms,"       \
    " created_by, created_ms"

static const row_column_t box_columns[] = {
    {ROW_STR, offsetof(db_mailbox_t, account)},    {ROW_STR, offsetof(db_mailbox_t, person_id)},
    {ROW_STR, offsetof(db_mailbox_t, source)},     {ROW_STR, offsetof(db_mailbox_t, login)},
    {ROW_STR, offsetof(db_mailbox_t, server)},     {ROW_BYTES, offsetof(db_mailbox_t, sealed)},
    {ROW_STR, offsetof(db_mailbox_t, state)},      {ROW_STR, offsetof(db_mailbox_t, problem)},
    {ROW_I64, offsetof(db_mailbox_t, event_ms)},   {ROW_I64, offsetof(db_mailbox_t, heard_ms)},
    {ROW_STR, offsetof(db_mailbox_t, created_by)}, {ROW_I64, offsetof(db_mailbox_t, created_ms)},
};
static const row_type_t box_type = ROW_TYPE(box_columns, db_mailbox_t);

err_t *db_mailboxes_add(db_conn_t *conn, const db_mailbox_t *row) {
    return row_insert(conn,
                      "INSERT INTO mailbox (" BOX
                      ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                      &box_type, row);
}

err_t *db_mailboxes_find(db_conn_t *conn, arena_t *arena, const char *account,
                         db_mailbox_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &box_type, "SELECT " BOX " FROM mailbox WHERE account = $1",
                    ret_row, ret_found, DB_STR(account));
}

err_t *db_mailboxes_by_login(db_conn_t *conn, arena_t *arena, const char *source, const char *login,
                             db_mailbox_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &box_type,
                    "SELECT " BOX " FROM mailbox WHERE source = $1 AND login = $2 AND server = ''",
                    ret_row, ret_found, DB_STR(source), DB_STR(login));
}

err_t *db_mailboxes_list(db_conn_t *conn, arena_t *arena, const char *source, const char *after,
                         size_t limit, db_mailbox_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &box_type,
                    "SELECT " BOX " FROM mailbox WHERE account > $1 AND ($2 = '' OR source = $2)"
                    " ORDER BY account LIMIT $3",
                    ret_rows, ret_count, DB_STR(after), DB_STR(source), DB_I64((int64_t)limit));
}

err_t *db_mailboxes_watched(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                            db_mailbox_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &box_type,
                    "SELECT " BOX " FROM mailbox WHERE account > $1"
                    " AND source IN ('imap', 'ews', '" MAILBOX_EWS_ALL "')"
                    " ORDER BY account LIMIT $2",
                    ret_rows, ret_count, DB_STR(after), DB_I64((int64_t)limit));
}

err_t *db_mailboxes_remove(db_conn_t *conn, const char *account, bool *ret_found) {
    TRY(db_exec(conn, "DELETE FROM mailbox_wait WHERE account = $1", DB_STR(account)));
    TRY(db_exec(conn, "DELETE FROM mailbox_folder WHERE account = $1", DB_STR(account)));
    TRY(db_exec(conn, "DELETE FROM mailbox WHERE account = $1", DB_STR(account)));
    *ret_found = db_changes(conn) > 0;
    return NULL;
}

err_t *db_mailboxes_heard(db_conn_t *conn, const char *account, const char *state,
                          const char *problem, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE mailbox SET state = $2, problem = $3, heard_ms = $4 WHERE account = $1",
                   DB_STR(account), DB_STR(state), DB_STR(problem), DB_I64(now_ms));
}

err_t *db_mailboxes_login(db_conn_t *conn, const char *account, const char *login) {
    return db_exec(conn,
                   "UPDATE mailbox SET login = $2, state = 'waiting', problem = ''"
                   " WHERE account = $1",
                   DB_STR(account), DB_STR(login));
}

err_t *db_mailboxes_told(db_conn_t *conn, const char *account, int64_t now_ms) {
    return db_exec(conn, "UPDATE mailbox SET event_ms = $2 WHERE account = $1", DB_STR(account),
                   DB_I64(now_ms));
}

err_t *db_mailboxes_count(db_conn_t *conn, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM mailbox", ret_count);
}

/* ---- what was heard of a folder ---- */

static const row_column_t mark_columns[] = {
    {ROW_STR, offsetof(db_mail_mark_t, account)},     {ROW_STR, offsetof(db_mail_mark_t, folder)},
    {ROW_I64, offsetof(db_mail_mark_t, uidvalidity)}, {ROW_I64, offsetof(db_mail_mark_t, uid)},
    {ROW_I64, offsetof(db_mail_mark_t, modseq)},      {ROW_I64, offsetof(db_mail_mark_t, due_ms)},
};
static const row_type_t folder_type = {mark_columns, 5, sizeof(db_mail_mark_t)};
static const row_type_t wait_type = ROW_TYPE(mark_columns, db_mail_mark_t);

err_t *db_mailbox_folders_find(db_conn_t *conn, arena_t *arena, const char *account,
                               const char *folder, db_mail_mark_t *ret_mark, bool *ret_found) {
    return row_find(conn, arena, &folder_type,
                    "SELECT account, folder, uidvalidity, uid, modseq FROM mailbox_folder"
                    " WHERE account = $1 AND folder = $2",
                    ret_mark, ret_found, DB_STR(account), DB_STR(folder));
}

err_t *db_mailbox_folders_put(db_conn_t *conn, const db_mail_mark_t *mark) {
    return row_insert(conn,
                      "INSERT INTO mailbox_folder (account, folder, uidvalidity, uid, modseq)"
                      " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, folder)"
                      " DO UPDATE SET uidvalidity = $3, uid = $4, modseq = $5",
                      &folder_type, mark);
}

err_t *db_mailbox_folders_count(db_conn_t *conn, const char *account, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM mailbox_folder WHERE account = $1", ret_count,
                      DB_STR(account));
}

err_t *db_mailbox_waits_put(db_conn_t *conn, const db_mail_mark_t *mark) {
    return row_insert(conn,
                      "INSERT INTO mailbox_wait (account, folder, uidvalidity, uid, modseq, due_ms)"
                      " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account)"
                      " DO UPDATE SET folder = $2, uidvalidity = $3, uid = $4, modseq = $5",
                      &wait_type, mark);
}

err_t *db_mailbox_waits_due(db_conn_t *conn, arena_t *arena, int64_t now_ms, int64_t latest_ms,
                            size_t limit, db_mail_mark_t **ret_marks, size_t *ret_count) {
    return row_list(conn, arena, &wait_type,
                    "SELECT account, folder, uidvalidity, uid, modseq, due_ms FROM mailbox_wait"
                    " WHERE due_ms <= $1 OR due_ms > $2 ORDER BY due_ms LIMIT $3",
                    ret_marks, ret_count, DB_I64(now_ms), DB_I64(latest_ms),
                    DB_I64((int64_t)limit));
}

err_t *db_mailbox_waits_remove(db_conn_t *conn, const char *account) {
    return db_exec(conn, "DELETE FROM mailbox_wait WHERE account = $1", DB_STR(account));
}

err_t *db_mailbox_waits_next(db_conn_t *conn, int64_t *ret_due_ms, bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query_row(conn, "SELECT due_ms FROM mailbox_wait ORDER BY due_ms LIMIT 1", &stmt,
                     ret_found));
    if (*ret_found) *ret_due_ms = db_col_i64(stmt, 0);
    return NULL;
}
