/*
 * Rows of `sync_package` and `sync_root`: the versions that devices signed, and the roots that say
 * which of them are a region.
 */
#ifndef COFFER_STORE_SYNC_PACKAGES_H
#define COFFER_STORE_SYNC_PACKAGES_H

#include "base/arena.h"
#include "store/db.h"

typedef enum {
    DB_SYNC_PUT = 1,     /* no root added it yet */
    DB_SYNC_LIVE = 2,    /* in the tree */
    DB_SYNC_DROPPED = 3, /* was */
} db_sync_package_state_t;

typedef struct {
    int64_t region_seq;
    bytes_t package;
    bytes_t root;
    int64_t size;
    bytes_t record;
    int64_t state; /* db_sync_package_state_t */
    int64_t since_ms;
} db_sync_package_t;

/* One that is there and not in the tree: its time starts anew. *ret_new: it was not there. */
err_t *db_sync_package_put(db_conn_t *conn, const db_sync_package_t *row,
                           bool *ret_new) WARN_UNUSED;
err_t *db_sync_package_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t package,
                            db_sync_package_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Its state alone; 0: not there. */
err_t *db_sync_package_state(db_conn_t *conn, int64_t region_seq, bytes_t package,
                             int64_t *ret_state) WARN_UNUSED;
/* Into the tree, unless it is there already; out of it. *ret_changed false: it is not where it
 * should be. */
err_t *db_sync_package_enter(db_conn_t *conn, int64_t region_seq, bytes_t package, int64_t now_ms,
                             bool *ret_changed) WARN_UNUSED;
err_t *db_sync_package_drop(db_conn_t *conn, int64_t region_seq, bytes_t package, int64_t now_ms,
                            bool *ret_changed) WARN_UNUSED;
/*
 * Up to `limit` that are to go, oldest first: put before put_ms and never added, or dropped before
 * dropped_ms; none of a region or person that is held. Without records.
 */
err_t *db_sync_package_due(db_conn_t *conn, arena_t *arena, int64_t put_ms, int64_t dropped_ms,
                           size_t limit, db_sync_package_t **ret_rows,
                           size_t *ret_count) WARN_UNUSED;
/* Unless it is in the tree, changed since it was listed, or held now. */
err_t *db_sync_package_remove(db_conn_t *conn, const db_sync_package_t *row,
                              bool *ret_removed) WARN_UNUSED;
/* Packages that have this data. */
err_t *db_sync_package_of_root(db_conn_t *conn, int64_t region_seq, bytes_t root,
                               int64_t *ret_count) WARN_UNUSED;

/* ---- roots ---- */

typedef struct {
    int64_t region_seq;
    int64_t counter;
    bytes_t record, change;
    int64_t added_ms;
} db_sync_root_t;

/* ERR_EXISTS. */
err_t *db_sync_root_add(db_conn_t *conn, const db_sync_root_t *row) WARN_UNUSED;
err_t *db_sync_root_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t counter,
                         db_sync_root_t *ret_row, bool *ret_found) WARN_UNUSED;

#endif
