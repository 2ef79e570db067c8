/*
 * Rows of `profile` and `profile_assignment`: configuration profiles and who gets them.
 */
#ifndef COFFER_STORE_PROFILES_H
#define COFFER_STORE_PROFILES_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *identifier; /* PayloadIdentifier */
    const char *name;
    bytes_t content;
    int64_t created_ms;
    int64_t updated_ms;
} db_profile_t;

/* Adds or replaces by identifier; created_ms stays the first. */
err_t *db_profiles_put(db_conn_t *conn, const db_profile_t *row) WARN_UNUSED;
err_t *db_profiles_get(db_conn_t *conn, arena_t *arena, const char *identifier,
                       db_profile_t *ret_row, bool *ret_found) WARN_UNUSED;
/* By identifier; contents are left empty. */
err_t *db_profiles_list(db_conn_t *conn, arena_t *arena, db_profile_t **ret_rows,
                        size_t *ret_count) WARN_UNUSED;
/* Removes it and its assignments (two statements, one deed). */
err_t *db_profiles_remove(db_conn_t *conn, const char *identifier, bool *ret_found) WARN_UNUSED;
/* device_id "*" means every device. Repeating is fine. */
err_t *db_profiles_assign(db_conn_t *conn, const char *identifier, const char *device_id,
                          int64_t now_ms) WARN_UNUSED;
err_t *db_profiles_unassign(db_conn_t *conn, const char *identifier, const char *device_id,
                            bool *ret_found) WARN_UNUSED;
/* With contents: those assigned to this device or to "*". */
err_t *db_profiles_of_device(db_conn_t *conn, arena_t *arena, const char *device_id,
                             db_profile_t **ret_rows, size_t *ret_count) WARN_UNUSED;

#endif
