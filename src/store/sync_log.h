/*
 * Rows of `sync_log_hash` and `sync_checkpoint`: the Merkle tree of the log of chain heads, and
 * its newest signed checkpoint.
 */
#ifndef COFFER_STORE_SYNC_LOG_H
#define COFFER_STORE_SYNC_LOG_H

#include "base/arena.h"
#include "store/db.h"

err_t *db_sync_log_add(db_conn_t *conn, int64_t level, int64_t number, bytes_t hash) WARN_UNUSED;
/* Up to `limit` hashes of a level from `from` on, one behind the other, in the arena. */
err_t *db_sync_log_read(db_conn_t *conn, arena_t *arena, int64_t level, int64_t from, size_t limit,
                        bytes_t *ret_hashes) WARN_UNUSED;
/* Leaves. */
err_t *db_sync_log_size(db_conn_t *conn, int64_t *ret_size) WARN_UNUSED;

err_t *db_sync_checkpoint_put(db_conn_t *conn, int64_t size, bytes_t note) WARN_UNUSED;
/* *ret_size 0: none yet. */
err_t *db_sync_checkpoint_get(db_conn_t *conn, arena_t *arena, int64_t *ret_size,
                              bytes_t *ret_note) WARN_UNUSED;

#endif
