/*
 * Rows of `app_push`: how a device's mail program is reached by the push service.
 */
#ifndef COFFER_STORE_APP_PUSHES_H
#define COFFER_STORE_APP_PUSHES_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *device_id;
    bytes_t token;
    int64_t release; /* 1: pushes bring the key of the event */
    int64_t token_ms;
} db_app_push_t;

/* Takes the place of the one before. */
/* One token leads to one device: it is the later one's. */
err_t *db_app_pushes_put(db_conn_t *conn, const db_app_push_t *row) WARN_UNUSED;
err_t *db_app_pushes_find(db_conn_t *conn, arena_t *arena, const char *device_id,
                          db_app_push_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Only one that was said no later than `until_ms`. */
/* Of all devices. */
err_t *db_app_pushes_clear(db_conn_t *conn) WARN_UNUSED;
err_t *db_app_pushes_remove(db_conn_t *conn, const char *device_id, int64_t until_ms) WARN_UNUSED;

#endif
