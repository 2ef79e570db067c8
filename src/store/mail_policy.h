/*
 * Rows of `mail_policy` and `mail_gateway`: rules of the mail gateway, and what the keeper was told
 * of them. One statement a function; rows' strings live in the caller's arena.
 */
#ifndef COFFER_STORE_MAIL_POLICY_H
#define COFFER_STORE_MAIL_POLICY_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *name; /* "*", "example.org", "a@example.org", "to:example.com" */
    const char *settings;
    const char *changed_by;
    int64_t changed_ms;
} db_mail_policy_t;

err_t *db_mail_policy_put(db_conn_t *conn, const db_mail_policy_t *row) WARN_UNUSED;
err_t *db_mail_policy_get(db_conn_t *conn, arena_t *arena, const char *name,
                          db_mail_policy_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_mail_policy_remove(db_conn_t *conn, const char *name, bool *ret_found) WARN_UNUSED;
/* In order of name, those after `after` (may be ""). */
err_t *db_mail_policy_list(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                           db_mail_policy_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Those of these three names, the least telling first: * before a domain before an address. */
err_t *db_mail_policy_of(db_conn_t *conn, arena_t *arena, const char *all, const char *domain,
                         const char *address, db_mail_policy_t **ret_rows,
                         size_t *ret_count) WARN_UNUSED;

typedef struct {
    const char *email;
    const char *person_id;
    bool signs, decrypts;
    bytes_t fingerprint;
    int64_t not_after;
    int64_t changed_ms;
} db_mail_gateway_t;

err_t *db_mail_gateway_put(db_conn_t *conn, const db_mail_gateway_t *row) WARN_UNUSED;
err_t *db_mail_gateway_get(db_conn_t *conn, arena_t *arena, const char *email,
                           db_mail_gateway_t *ret_row, bool *ret_found) WARN_UNUSED;

#endif
