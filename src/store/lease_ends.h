/*
 * Rows of `lease_end`: devices whose leases the keeper is to forget; and of `lease_bar`: devices
 * that may have none until they enrol anew.
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

/* Bars it, too. Once more for the same device: the reason of the last event, and a later time. */
err_t *db_lease_ends_add(db_conn_t *conn, const char *device_id, const char *reason,
                         int64_t now_ms) WARN_UNUSED;
/* Oldest first. */
err_t *db_lease_ends_list(db_conn_t *conn, arena_t *arena, size_t limit, db_lease_end_t **ret_rows,
                          size_t *ret_count) WARN_UNUSED;
/* It was done as it was listed. *ret_changed false: there is a later one meanwhile. */
err_t *db_lease_ends_remove(db_conn_t *conn, const db_lease_end_t *row,
                            bool *ret_changed) WARN_UNUSED;

/*
 * Why the device may have no leases, in the arena; NULL if it may. *ret_ending: the keeper has
 * still to forget former ones.
 */
err_t *db_lease_ends_bar(db_conn_t *conn, arena_t *arena, const char *device_id,
                         const char **ret_reason, bool *ret_ending) WARN_UNUSED;
/* The device enrolled anew: what it had ends, and it may have leases again. */
err_t *db_lease_ends_anew(db_conn_t *conn, const char *device_id, int64_t now_ms) WARN_UNUSED;

#endif
