/*
 * Rows of `lease_end`: devices whose leases the keeper is to forget.
 */
#ifndef COFFER_STORE_LEASE_ENDS_H
#define COFFER_STORE_LEASE_ENDS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *device_id;
    const char *reason;
    int64_t since_ms;
} db_lease_end_t;

/* Once more for the same device: the reason of the last event, and a later time. */
err_t *db_lease_ends_add(db_conn_t *conn, const char *device_id, const char *reason,
                         int64_t now_ms) WARN_UNUSED;
/* Oldest first. */
err_t *db_lease_ends_list(db_conn_t *conn, arena_t *arena, size_t limit, db_lease_end_t **ret_rows,
                          size_t *ret_count) WARN_UNUSED;
/* It was done as it was listed. *ret_changed false: there is a later one meanwhile. */
err_t *db_lease_ends_remove(db_conn_t *conn, const db_lease_end_t *row,
                            bool *ret_changed) WARN_UNUSED;

#endif
