/*
 * Rows of `sync_data` and `sync_part`: data packages that came, or come, in parts, each of which is
 * a blob. A data package owns its blobs from the transaction on that notes a part.
 */
#ifndef COFFER_STORE_SYNC_DATA_H
#define COFFER_STORE_SYNC_DATA_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq;
    int64_t region_seq;
    bytes_t root;
    int64_t size;     /* bytes of the package */
    int64_t held;     /* parts */
    int64_t since_ms; /* last part */
} db_sync_data_t;

err_t *db_sync_data_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t root,
                         db_sync_data_t *ret_row, bool *ret_found) WARN_UNUSED;
/* ERR_EXISTS. */
err_t *db_sync_data_add(db_conn_t *conn, const db_sync_data_t *row, int64_t *ret_seq) WARN_UNUSED;
/* One more part. */
err_t *db_sync_data_grew(db_conn_t *conn, int64_t seq, int64_t now_ms) WARN_UNUSED;
/* With its parts; its blobs are disowned. */
err_t *db_sync_data_remove(db_conn_t *conn, const db_sync_data_t *row, int64_t now_ms) WARN_UNUSED;
/* It gets this root, which no other one of the region has; its blobs with it. */
err_t *db_sync_data_rename(db_conn_t *conn, arena_t *arena, const db_sync_data_t *row, bytes_t root,
                           int64_t now_ms) WARN_UNUSED;
/*
 * Of the `limit` with a number above `after` those that no package and no link names and that
 * did not grow since before_ms. *ret_last: the last number looked at, 0 at the end: begin again.
 */
err_t *db_sync_data_unclaimed(db_conn_t *conn, arena_t *arena, int64_t before_ms, int64_t after,
                              size_t limit, db_sync_data_t **ret_rows, size_t *ret_count,
                              int64_t *ret_last) WARN_UNUSED;
/* Whether it still is one of these. */
err_t *db_sync_data_is_unclaimed(db_conn_t *conn, const db_sync_data_t *row,
                                 bool *ret_is) WARN_UNUSED;

typedef struct {
    int64_t part;
    bytes_t blob_id;
    bytes_t header; /* of part 0, else empty */
    bytes_t leaves; /* 32 bytes each */
} db_sync_part_t;

/* Notes it and owns its blob: ERR_NOT_FOUND if that is not stored. *ret_new false: it was there. */
err_t *db_sync_part_add(db_conn_t *conn, int64_t region_seq, bytes_t root, int64_t data_seq,
                        const db_sync_part_t *row, bool *ret_new) WARN_UNUSED;
/* The part, if it is another blob than this one. */
err_t *db_sync_part_drop(db_conn_t *conn, int64_t data_seq, int64_t part, bytes_t unless,
                         bool *ret_dropped) WARN_UNUSED;
err_t *db_sync_part_find(db_conn_t *conn, arena_t *arena, int64_t data_seq, int64_t part,
                         db_sync_part_t *ret_row, bool *ret_found) WARN_UNUSED;
/* In order. */
err_t *db_sync_part_list(db_conn_t *conn, arena_t *arena, int64_t data_seq,
                         db_sync_part_t **ret_rows, size_t *ret_count) WARN_UNUSED;

/* The least over its parts. */
typedef struct {
    int64_t replicas;    /* good ones */
    int64_t verified_ms; /* the longest ago of any; 0: one never was */
} db_sync_data_state_t;

err_t *db_sync_data_state(db_conn_t *conn, int64_t data_seq,
                          db_sync_data_state_t *ret_state) WARN_UNUSED;

#endif
