/*
 * The row of `sync_clock`: how far the clock was by which synced files become old.
 */
#ifndef COFFER_STORE_SYNC_CLOCK_H
#define COFFER_STORE_SYNC_CLOCK_H

#include "store/db.h"

/* 0: it never went, and there is nothing whose age it could tell. A store from before there was
 * this clock: when its newest blob came, since none of them may be older than it is. */
err_t *db_sync_clock_get(db_conn_t *conn, int64_t *ret_ms) WARN_UNUSED;
/* Unless it was further already. */
err_t *db_sync_clock_put(db_conn_t *conn, int64_t ms) WARN_UNUSED;

#endif
