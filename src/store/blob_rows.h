/*
 * Rows of stored_blob, blob_replica, blob_owner, blob_scrub and blob_place. The states of a blob
 * and who may change them are told in blob/blobs.h; each change here names the states it starts
 * from, so that two at once cannot both win.
 */
#ifndef COFFER_STORE_BLOB_ROWS_H
#define COFFER_STORE_BLOB_ROWS_H

#include "base/arena.h"
#include "store/db.h"

typedef enum {
    DB_BLOB_WRITING = 1,   /* somebody stores it; there may be objects */
    DB_BLOB_STORED = 2,    /* on a quorum of stores */
    DB_BLOB_CONDEMNED = 3, /* nobody needs it; a put or an owner saves it */
    DB_BLOB_DELETING = 4,  /* its objects are being removed; it never comes back as what it was */
} db_blob_state_t;

typedef enum {
    DB_REPLICA_GOOD = 1,
    DB_REPLICA_MISSING = 2,
    DB_REPLICA_DAMAGED = 3
} db_replica_state_t;

typedef struct {
    bytes_t id;
    int64_t incarnation; /* the bits of an unsigned number */
    int64_t size;
    int64_t state; /* db_blob_state_t */
    int64_t since_ms;
} db_blob_t;

typedef struct {
    bytes_t blob_id;
    const char *store;
    int64_t state; /* db_replica_state_t */
    int64_t stored_ms, verified_ms, tried_ms;
} db_replica_t;

/* ---- blobs ---- */

err_t *db_blob_find(db_conn_t *conn, arena_t *arena, bytes_t id, db_blob_t *ret_row,
                    bool *ret_found) WARN_UNUSED;
/* A new one, being written. ERR_EXISTS. */
err_t *db_blob_add(db_conn_t *conn, bytes_t id, int64_t incarnation, int64_t now_ms) WARN_UNUSED;
/* It is wanted again: its time starts anew, and a condemned one is stored again. */
err_t *db_blob_touch(db_conn_t *conn, bytes_t id, int64_t now_ms) WARN_UNUSED;
/* One that is being deleted begins a new life, without replicas, under another incarnation. */
err_t *db_blob_reborn(db_conn_t *conn, bytes_t id, int64_t incarnation, int64_t now_ms) WARN_UNUSED;
/* Stored. *ret_changed false: meanwhile it was given up. */
err_t *db_blob_stored(db_conn_t *conn, bytes_t id, int64_t incarnation, int64_t size,
                      int64_t now_ms, bool *ret_changed) WARN_UNUSED;
/* Up to `limit` that are stored (or condemned), their ids after `after`, in order. */
err_t *db_blob_list(db_conn_t *conn, arena_t *arena, bytes_t after, size_t limit,
                    db_blob_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Blobs and bytes in a state. */
err_t *db_blob_count(db_conn_t *conn, db_blob_state_t state, int64_t *ret_blobs,
                     int64_t *ret_bytes) WARN_UNUSED;

/* ---- collection ---- */

/* Condemns up to `limit` without owner whose time began before `before_ms`. */
err_t *db_blob_condemn(db_conn_t *conn, int64_t before_ms, int64_t now_ms, size_t limit,
                       int64_t *ret_count) WARN_UNUSED;
/* Of those condemned before `before_ms` up to `limit` go on to be deleted. */
err_t *db_blob_give_up(db_conn_t *conn, int64_t before_ms, int64_t now_ms, size_t limit,
                       int64_t *ret_count) WARN_UNUSED;
/* Those that are being deleted. */
err_t *db_blob_list_deleting(db_conn_t *conn, arena_t *arena, bytes_t after, size_t limit,
                             db_blob_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Its objects are gone. Touches nothing if it began a new life. */
err_t *db_blob_deleted(db_conn_t *conn, bytes_t id, int64_t incarnation,
                       bool *ret_changed) WARN_UNUSED;

/* ---- owners ---- */

/*
 * `owner` (up to LIMIT_BLOB_OWNER bytes: "version:...") needs the blob from this transaction on.
 * Again is fine. ERR_NOT_FOUND: the blob is not stored, or given up: it must be put (again).
 */
err_t *db_blob_own(db_conn_t *conn, bytes_t id, const char *owner) WARN_UNUSED;
/* The owner needs none any more. What nobody else needs is collected after the grace period. */
err_t *db_blob_disown(db_conn_t *conn, const char *owner, int64_t now_ms) WARN_UNUSED;
err_t *db_blob_owners(db_conn_t *conn, bytes_t id, int64_t *ret_count) WARN_UNUSED;

/* ---- replicas ---- */

/* Puts or replaces, if the blob still is that incarnation. */
err_t *db_replica_put(db_conn_t *conn, int64_t incarnation, const db_replica_t *row) WARN_UNUSED;
/* Read and found right, or not: leaves stored_ms and tried_ms as they are. */
err_t *db_replica_seen(db_conn_t *conn, bytes_t id, int64_t incarnation, const char *store,
                       db_replica_state_t state, int64_t verified_ms) WARN_UNUSED;
err_t *db_replica_tried(db_conn_t *conn, bytes_t id, const char *store, int64_t now_ms) WARN_UNUSED;
err_t *db_replica_list(db_conn_t *conn, arena_t *arena, bytes_t id, db_replica_t **ret_rows,
                       size_t *ret_count) WARN_UNUSED;
/* Stored blobs with a replica that is not good and was not tried since `before_ms`, or, by a
 * clock that was wrong, after now. */
err_t *db_replica_due(db_conn_t *conn, arena_t *arena, int64_t before_ms, int64_t now_ms,
                      size_t limit, db_blob_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Replicas of a store in a state, of blobs that are stored. */
err_t *db_replica_count(db_conn_t *conn, const char *store, db_replica_state_t state,
                        int64_t *ret_count) WARN_UNUSED;
/* When the good replica of a store that was verified longest ago was; 0: one never was, or none. */
err_t *db_replica_oldest(db_conn_t *conn, const char *store, int64_t *ret_verified_ms) WARN_UNUSED;

/* ---- scrub ---- */

typedef struct {
    int64_t number;
    bytes_t position;
    int64_t checked, bytes, bad, lost;
    int64_t started_ms, finished_ms;
} db_blob_scrub_t;

err_t *db_blob_scrub_latest(db_conn_t *conn, arena_t *arena, db_blob_scrub_t *ret_row,
                            bool *ret_found) WARN_UNUSED;
/* Begins the one of this number. ERR_EXISTS. */
err_t *db_blob_scrub_add(db_conn_t *conn, int64_t number, int64_t now_ms) WARN_UNUSED;
/* Went on to row->position; the counters are added. */
err_t *db_blob_scrub_move(db_conn_t *conn, const db_blob_scrub_t *row) WARN_UNUSED;
err_t *db_blob_scrub_finish(db_conn_t *conn, int64_t number, int64_t now_ms) WARN_UNUSED;

/* ---- places ---- */

/* Whether a store was ever used. */
err_t *db_blob_place_find(db_conn_t *conn, arena_t *arena, const char *store,
                          const char **ret_swept_to, bool *ret_found) WARN_UNUSED;
err_t *db_blob_place_add(db_conn_t *conn, const char *store, int64_t now_ms) WARN_UNUSED;
/* When the first store was first used; 0: none was. */
err_t *db_blob_place_since(db_conn_t *conn, int64_t *ret_since_ms) WARN_UNUSED;
err_t *db_blob_place_swept(db_conn_t *conn, const char *store, const char *swept_to,
                           int64_t now_ms) WARN_UNUSED;

#endif
