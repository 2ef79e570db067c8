/*
 * Rows of `sync_join` and `sync_delivery`: devices that want into a region, and keys on their way
 * to devices.
 */
#ifndef COFFER_STORE_SYNC_JOINS_H
#define COFFER_STORE_SYNC_JOINS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq;
    int64_t region_seq;
    bytes_t device;
    const char *person_id;
    bytes_t card, commitment;
    bytes_t approver; /* empty: not answered */
    bytes_t m;
    int64_t position;
    bytes_t n; /* empty: not opened */
    int64_t created_ms, expires_ms;
} db_sync_join_t;

err_t *db_sync_join_add(db_conn_t *conn, const db_sync_join_t *row, int64_t *ret_seq) WARN_UNUSED;
err_t *db_sync_join_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t seq,
                         db_sync_join_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Those that end after now_ms; `person_id` "": of all. */
err_t *db_sync_join_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, const char *person_id,
                         int64_t now_ms, size_t limit, db_sync_join_t **ret_rows,
                         size_t *ret_count) WARN_UNUSED;
/* *ret_changed false: it was answered, or opened, before. */
err_t *db_sync_join_answer(db_conn_t *conn, int64_t seq, bytes_t approver, bytes_t m,
                           int64_t position, bool *ret_changed) WARN_UNUSED;
err_t *db_sync_join_open(db_conn_t *conn, int64_t seq, bytes_t n, bool *ret_changed) WARN_UNUSED;
err_t *db_sync_join_remove(db_conn_t *conn, int64_t seq) WARN_UNUSED;
err_t *db_sync_join_purge(db_conn_t *conn, int64_t before_ms) WARN_UNUSED;

/* ---- deliveries ---- */

typedef struct {
    int64_t region_seq;
    bytes_t recipient;
    int64_t epoch;
    bytes_t record;
} db_sync_delivery_t;

/* Replaces one of the same epoch. */
err_t *db_sync_delivery_put(db_conn_t *conn, const db_sync_delivery_t *row) WARN_UNUSED;
/* Newest epoch first. */
err_t *db_sync_delivery_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t recipient,
                             size_t limit, db_sync_delivery_t **ret_rows,
                             size_t *ret_count) WARN_UNUSED;

#endif
