/*
 * Rows of `sync_region`, `sync_entry` and `sync_device`: regions of synced files and their device
 * chains. The rules are in sync/service/. One statement a function; rows live in the caller's
 * arena.
 */
#ifndef COFFER_STORE_SYNC_REGIONS_H
#define COFFER_STORE_SYNC_REGIONS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq;
    bytes_t region;
    const char *person_id;
    int64_t created_ms;
    int64_t entries;       /* of the chain */
    int64_t root;          /* counter, 0: none */
    bytes_t root_hash;     /* empty: none */
    int64_t root_position; /* its author's place in the chain */
    int64_t joins;
    int64_t used; /* bytes */
} db_sync_region_t;

/* seq is not looked at. ERR_EXISTS. */
err_t *db_sync_region_add(db_conn_t *conn, const db_sync_region_t *row,
                          int64_t *ret_seq) WARN_UNUSED;
err_t *db_sync_region_find(db_conn_t *conn, arena_t *arena, bytes_t region,
                           db_sync_region_t *ret_row, bool *ret_found) WARN_UNUSED;
/* In order of seq, those after `after`. */
err_t *db_sync_region_list(db_conn_t *conn, arena_t *arena, int64_t after, size_t limit,
                           db_sync_region_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Those where a device of the person was ever added. */
err_t *db_sync_region_of_person(db_conn_t *conn, arena_t *arena, const char *person_id,
                                size_t limit, db_sync_region_t **ret_rows,
                                size_t *ret_count) WARN_UNUSED;
/* Compare and swap: *ret_changed false if the chain has other than `entries` entries now. */
err_t *db_sync_region_grow(db_conn_t *conn, int64_t seq, int64_t entries,
                           bool *ret_changed) WARN_UNUSED;
/* The same for roots: from counter - 1 to counter. */
err_t *db_sync_region_root(db_conn_t *conn, int64_t seq, int64_t counter, bytes_t hash,
                           int64_t position, bool *ret_changed) WARN_UNUSED;
err_t *db_sync_region_joined(db_conn_t *conn, int64_t seq) WARN_UNUSED;
/* `by` may be below zero. */
err_t *db_sync_region_use(db_conn_t *conn, int64_t seq, int64_t by) WARN_UNUSED;
/* Bytes of all of a person's regions. */
err_t *db_sync_region_used_by(db_conn_t *conn, const char *person_id,
                              int64_t *ret_bytes) WARN_UNUSED;

/* ---- chains ---- */

typedef struct {
    int64_t region_seq;
    int64_t position;
    bytes_t record;
    int64_t leaf; /* place in the log */
    bytes_t leaf_record;
    int64_t added_ms;
} db_sync_entry_t;

err_t *db_sync_entry_add(db_conn_t *conn, const db_sync_entry_t *row) WARN_UNUSED;
/* From `from` on, in order. */
err_t *db_sync_entry_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t from,
                          size_t limit, db_sync_entry_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* By their place in the log, from `from` on. */
err_t *db_sync_entry_leaves(db_conn_t *conn, arena_t *arena, int64_t from, size_t limit,
                            db_sync_entry_t **ret_rows, size_t *ret_count) WARN_UNUSED;

/* ---- devices ---- */

typedef struct {
    int64_t region_seq;
    bytes_t device;
    const char *person_id;
    const char *name;
    int64_t state; /* sync_device_state_t */
    int64_t roles;
    bytes_t login;
    int64_t seen_ms;
} db_sync_device_t;

/* Adds, or changes state and roles. */
err_t *db_sync_device_put(db_conn_t *conn, const db_sync_device_t *row) WARN_UNUSED;
err_t *db_sync_device_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t device,
                           db_sync_device_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_sync_device_list(db_conn_t *conn, arena_t *arena, int64_t region_seq,
                           db_sync_device_t **ret_rows, size_t *ret_count) WARN_UNUSED;
err_t *db_sync_device_seen(db_conn_t *conn, int64_t region_seq, bytes_t device,
                           int64_t now_ms) WARN_UNUSED;
/* Whether the person has or had a device there that is not ended. */
err_t *db_sync_device_of_person(db_conn_t *conn, int64_t region_seq, const char *person_id,
                                bool *ret_has) WARN_UNUSED;

#endif
