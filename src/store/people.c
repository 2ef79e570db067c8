/*
 * Rows of `person`: see people.h.
 */
#include "store/people.h"

#include "store/rows_internal.h"

#define COLUMNS                                                                                    \
    "id, email, name, role, password_hash, disabled, failures, retry_after_ms, created_ms, "       \
    "source, external_id, left_ms"

static const row_column_t columns[] = {
    {ROW_STR, offsetof(db_person_t, id)},
    {ROW_STR, offsetof(db_person_t, email)},
    {ROW_STR, offsetof(db_person_t, name)},
    {ROW_STR, offsetof(db_person_t, role)},
    {ROW_STR, offsetof(db_person_t, password_hash)},
    {ROW_BOOL, offsetof(db_person_t, disabled)},
    {ROW_I64, offsetof(db_person_t, failures)},
    {ROW_I64, offsetof(db_person_t, retry_after_ms)},
    {ROW_I64, offsetof(db_person_t, created_ms)},
    {ROW_STR, offsetof(db_person_t, source)},
    {ROW_STR, offsetof(db_person_t, external_id)},
    {ROW_I64, offsetof(db_person_t, left_ms)},
};
static const row_type_t person_type = ROW_TYPE(columns, db_person_t);

err_t *db_people_add(db_conn_t *conn, const db_person_t *row) {
    return row_insert(conn,
                      "INSERT INTO person (" COLUMNS ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                      &person_type, row);
}

err_t *db_people_by_email(db_conn_t *conn, arena_t *arena, const char *email, db_person_t *ret_row,
                          bool *ret_found) {
    return row_find(conn, arena, &person_type, "SELECT " COLUMNS " FROM person WHERE email = $1",
                    ret_row, ret_found, DB_STR(email));
}

typedef struct {
    arena_t *arena;
    const char *email;
    db_person_t person;
    bool found;
} by_email_t;

static err_t *read_by_email(db_conn_t *conn, void *arg) {
    by_email_t *job = arg;
    return db_people_by_email(conn, job->arena, job->email, &job->person, &job->found);
}

err_t *db_people_find(db_t *db, arena_t *arena, const char *email, db_person_t *ret_row,
                      bool *ret_found) {
    by_email_t job = {.arena = arena, .email = email};
    TRY(db_read(db, read_by_email, &job));
    *ret_row = job.person;
    *ret_found = job.found;
    return NULL;
}

err_t *db_people_by_id(db_conn_t *conn, arena_t *arena, const char *id, db_person_t *ret_row,
                       bool *ret_found) {
    return row_find(conn, arena, &person_type, "SELECT " COLUMNS " FROM person WHERE id = $1",
                    ret_row, ret_found, DB_STR(id));
}

err_t *db_people_list(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                      db_person_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &person_type,
                    "SELECT " COLUMNS " FROM person WHERE email > $1 ORDER BY email LIMIT $2",
                    ret_rows, ret_count, DB_STR(after), DB_I64((int64_t)limit));
}

err_t *db_people_admins(db_conn_t *conn, arena_t *arena, size_t limit, db_person_t **ret_rows,
                        size_t *ret_count) {
    return row_list(conn, arena, &person_type,
                    "SELECT " COLUMNS " FROM person WHERE role = 'admin' AND disabled = 0"
                    " ORDER BY email LIMIT $1",
                    ret_rows, ret_count, DB_I64((int64_t)limit));
}

err_t *db_people_set_disabled(db_conn_t *conn, const char *email, bool disabled, bool *ret_found) {
    return row_change(conn, "UPDATE person SET disabled = $2, left_ms = 0 WHERE email = $1",
                      ret_found, DB_STR(email), DB_I64(disabled));
}

err_t *db_people_set_password(db_conn_t *conn, const char *id, const char *hash) {
    return db_exec(conn, "UPDATE person SET password_hash = $2 WHERE id = $1", DB_STR(id),
                   DB_STR(hash));
}

err_t *db_people_login_failed(db_conn_t *conn, const char *id, int64_t failures,
                              int64_t retry_after_ms) {
    return db_exec(conn, "UPDATE person SET failures = $2, retry_after_ms = $3 WHERE id = $1",
                   DB_STR(id), DB_I64(failures), DB_I64(retry_after_ms));
}

err_t *db_people_login_ok(db_conn_t *conn, const char *id) {
    return db_exec(conn, "UPDATE person SET failures = 0, retry_after_ms = 0 WHERE id = $1",
                   DB_STR(id));
}

err_t *db_people_by_external_id(db_conn_t *conn, arena_t *arena, const char *source,
                                const char *external_id, db_person_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &person_type,
                    "SELECT " COLUMNS " FROM person"
                    " WHERE source = $1 AND external_id = $2 AND external_id <> ''",
                    ret_row, ret_found, DB_STR(source), DB_STR(external_id));
}

err_t *db_people_of_source(db_conn_t *conn, arena_t *arena, const char *source, const char *after,
                           size_t limit, db_person_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &person_type,
                    "SELECT " COLUMNS " FROM person WHERE source = $1 AND external_id > $2"
                    " AND external_id <> '' ORDER BY external_id LIMIT $3",
                    ret_rows, ret_count, DB_STR(source), DB_STR(after), DB_I64((int64_t)limit));
}

err_t *db_people_import(db_conn_t *conn, const db_person_t *row) {
    return db_exec(conn,
                   "UPDATE person SET email = $2, name = $3, role = $4, external_id = $5,"
                   " disabled = $6, left_ms = $7 WHERE id = $1",
                   DB_STR(row->id), DB_STR(row->email), DB_STR(row->name), DB_STR(row->role),
                   DB_STR(row->external_id), DB_I64(row->disabled), DB_I64(row->left_ms));
}
