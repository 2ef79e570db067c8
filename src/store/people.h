/*
 * Rows of `person`. One statement a function; rows' strings live in the caller's arena.
 */
#ifndef COFFER_STORE_PEOPLE_H
#define COFFER_STORE_PEOPLE_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *id;
    const char *email; /* lower case */
    const char *name;
    const char *role;
    const char *password_hash;
    bool disabled;
    int64_t failures;
    int64_t retry_after_ms;
    int64_t created_ms;
    const char *source;      /* "": made here; "ldap" */
    const char *external_id; /* in the source, or "" */
    int64_t left_ms;         /* disabled since the source has them no more; 0: not */
} db_person_t;

/* ERR_EXISTS when the address is taken. */
err_t *db_people_add(db_conn_t *conn, const db_person_t *row) WARN_UNUSED;
err_t *db_people_by_email(db_conn_t *conn, arena_t *arena, const char *email, db_person_t *ret_row,
                          bool *ret_found) WARN_UNUSED;
/* The same in a transaction of its own. */
err_t *db_people_find(db_t *db, arena_t *arena, const char *email, db_person_t *ret_row,
                      bool *ret_found) WARN_UNUSED;
err_t *db_people_by_id(db_conn_t *conn, arena_t *arena, const char *id, db_person_t *ret_row,
                       bool *ret_found) WARN_UNUSED;
/* In order of email, those after `after` (may be ""); at most `limit`; array in the arena. */
err_t *db_people_list(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                      db_person_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Those with the role admin who are not disabled, in order of email. */
err_t *db_people_admins(db_conn_t *conn, arena_t *arena, size_t limit, db_person_t **ret_rows,
                        size_t *ret_count) WARN_UNUSED;
/* An administrator's wish: it stands whatever a source says. */
err_t *db_people_set_disabled(db_conn_t *conn, const char *email, bool disabled,
                              bool *ret_found) WARN_UNUSED;
err_t *db_people_set_password(db_conn_t *conn, const char *id, const char *hash) WARN_UNUSED;
/* After a failed log-in. */
err_t *db_people_login_failed(db_conn_t *conn, const char *id, int64_t failures,
                              int64_t retry_after_ms) WARN_UNUSED;
/* After a good one: failures = 0. */
err_t *db_people_login_ok(db_conn_t *conn, const char *id) WARN_UNUSED;

/* ---- people of a source ---- */

err_t *db_people_by_external_id(db_conn_t *conn, arena_t *arena, const char *source,
                                const char *external_id, db_person_t *ret_row,
                                bool *ret_found) WARN_UNUSED;
/* In order of external id, those after `after`. */
err_t *db_people_of_source(db_conn_t *conn, arena_t *arena, const char *source, const char *after,
                           size_t limit, db_person_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Takes over email, name, role, external_id, disabled and left_ms. ERR_EXISTS: the address. */
err_t *db_people_import(db_conn_t *conn, const db_person_t *row) WARN_UNUSED;

#endif
