/*
 * Rows of `lease_event`: what happened for a lease, so that its device may ask for the key back.
 */
#ifndef COFFER_STORE_LEASE_EVENTS_H
#define COFFER_STORE_LEASE_EVENTS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *device_id;
    const char *account;
    const char *event;
    int64_t created_ms;
    int64_t released_ms; /* the first time, or 0 */
} db_lease_event_t;

/* Once more: stays as it was. Drops the oldest that wait past `keep` of this lease. */
err_t *db_lease_events_add(db_conn_t *conn, const db_lease_event_t *row, int64_t keep) WARN_UNUSED;
err_t *db_lease_events_find(db_conn_t *conn, arena_t *arena, const char *device_id,
                            const char *account, const char *event, db_lease_event_t *ret_row,
                            bool *ret_found) WARN_UNUSED;
/* Those of a device that wait, oldest first. */
err_t *db_lease_events_list(db_conn_t *conn, arena_t *arena, const char *device_id, size_t limit,
                            db_lease_event_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* The first release; a later one changes nothing. */
err_t *db_lease_events_release(db_conn_t *conn, const db_lease_event_t *row,
                               int64_t now_ms) WARN_UNUSED;
/* `account` "": of all the device's leases. */
err_t *db_lease_events_forget(db_conn_t *conn, const char *device_id,
                              const char *account) WARN_UNUSED;
err_t *db_lease_events_purge(db_conn_t *conn, int64_t before_ms) WARN_UNUSED;

#endif
