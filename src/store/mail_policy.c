/*
 * Rows of the mail gateway's policy: see mail_policy.h.
 */
#include "store/mail_policy.h"

#include "store/rows_internal.h"

#define POLICY "name, settings, changed_by, changed_ms"

static const row_column_t policy_columns[] = {
    {ROW_STR, offsetof(db_mail_policy_t, name)},
    {ROW_STR, offsetof(db_mail_policy_t, settings)},
    {ROW_STR, offsetof(db_mail_policy_t, changed_by)},
    {ROW_I64, offsetof(db_mail_policy_t, changed_ms)},
};
static const row_type_t policy_type = ROW_TYPE(policy_columns, db_mail_policy_t);

err_t *db_mail_policy_put(db_conn_t *conn, const db_mail_policy_t *row) {
    return row_insert(conn,
                      "INSERT INTO mail_policy (" POLICY ") VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT (name) DO UPDATE SET settings = excluded.settings,"
                      " changed_by = excluded.changed_by, changed_ms = excluded.changed_ms",
                      &policy_type, row);
}

err_t *db_mail_policy_get(db_conn_t *conn, arena_t *arena, const char *name,
                          db_mail_policy_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &policy_type, "SELECT " POLICY " FROM mail_policy WHERE name = $1",
                    ret_row, ret_found, DB_STR(name));
}

err_t *db_mail_policy_remove(db_conn_t *conn, const char *name, bool *ret_found) {
    return row_change(conn, "DELETE FROM mail_policy WHERE name = $1", ret_found, DB_STR(name));
}

err_t *db_mail_policy_list(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                           db_mail_policy_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &policy_type,
                    "SELECT " POLICY " FROM mail_policy WHERE name > $1 ORDER BY name LIMIT $2",
                    ret_rows, ret_count, DB_STR(after), DB_I64((int64_t)limit));
}

err_t *db_mail_policy_of(db_conn_t *conn, arena_t *arena, const char *all, const char *domain,
                         const char *address, db_mail_policy_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &policy_type,
                    "SELECT " POLICY " FROM mail_policy WHERE name IN ($1, $2, $3)"
                    " ORDER BY CASE name WHEN $1 THEN 0 WHEN $2 THEN 1 ELSE 2 END",
                    ret_rows, ret_count, DB_STR(all), DB_STR(domain), DB_STR(address));
}

#define GATEWAY "email, person_id, signs, decrypts, fingerprint, not_after, changed_ms"

static const row_column_t gateway_columns[] = {
    {ROW_STR, offsetof(db_mail_gateway_t, email)},
    {ROW_STR, offsetof(db_mail_gateway_t, person_id)},
    {ROW_BOOL, offsetof(db_mail_gateway_t, signs)},
    {ROW_BOOL, offsetof(db_mail_gateway_t, decrypts)},
    {ROW_BYTES, offsetof(db_mail_gateway_t, fingerprint)},
    {ROW_I64, offsetof(db_mail_gateway_t, not_after)},
    {ROW_I64, offsetof(db_mail_gateway_t, changed_ms)},
};
static const row_type_t gateway_type = ROW_TYPE(gateway_columns, db_mail_gateway_t);

err_t *db_mail_gateway_put(db_conn_t *conn, const db_mail_gateway_t *row) {
    return row_insert(conn,
                      "INSERT INTO mail_gateway (" GATEWAY ") VALUES ($1, $2, $3, $4, $5, $6, $7)"
                      " ON CONFLICT (email) DO UPDATE SET person_id = excluded.person_id,"
                      " signs = excluded.signs, decrypts = excluded.decrypts,"
                      " fingerprint = excluded.fingerprint, not_after = excluded.not_after,"
                      " changed_ms = excluded.changed_ms",
                      &gateway_type, row);
}

err_t *db_mail_gateway_get(db_conn_t *conn, arena_t *arena, const char *email,
                           db_mail_gateway_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &gateway_type,
                    "SELECT " GATEWAY " FROM mail_gateway WHERE email = $1", ret_row, ret_found,
                    DB_STR(email));
}
