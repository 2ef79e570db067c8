/*
 * Rows of `sync_quota`, `sync_hold` and `sync_wipe`: what administrators say of synced files.
 */
#ifndef COFFER_STORE_SYNC_ADMIN_H
#define COFFER_STORE_SYNC_ADMIN_H

#include "base/arena.h"
#include "store/db.h"

/* ---- quotas ---- */

/* Below zero: the configuration's again. */
err_t *db_sync_quota_put(db_conn_t *conn, const char *person_id, int64_t bytes) WARN_UNUSED;
/* *ret_found false: the configuration's. */
err_t *db_sync_quota_get(db_conn_t *conn, const char *person_id, int64_t *ret_bytes,
                         bool *ret_found) WARN_UNUSED;

/* ---- holds ---- */

typedef struct {
    int64_t seq;
    bytes_t region;        /* empty: all of the person's */
    const char *person_id; /* "": the region's */
    const char *reason;
    const char *actor;
    int64_t created_ms;
} db_sync_hold_t;

err_t *db_sync_hold_add(db_conn_t *conn, const db_sync_hold_t *row, int64_t *ret_seq) WARN_UNUSED;
err_t *db_sync_hold_list(db_conn_t *conn, arena_t *arena, size_t limit, db_sync_hold_t **ret_rows,
                         size_t *ret_count) WARN_UNUSED;
err_t *db_sync_hold_remove(db_conn_t *conn, int64_t seq, bool *ret_found) WARN_UNUSED;

/* ---- wipes ---- */

typedef struct {
    bytes_t id;
    int64_t region_seq;
    bytes_t device;
    const char *actor;
    int64_t asked_ms, done_ms;
    int64_t files;
    int64_t at_s;
    bytes_t signature;
} db_sync_wipe_t;

/* ERR_EXISTS: the device has one. */
err_t *db_sync_wipe_add(db_conn_t *conn, const db_sync_wipe_t *row) WARN_UNUSED;
err_t *db_sync_wipe_find(db_conn_t *conn, arena_t *arena, int64_t region_seq, bytes_t device,
                         db_sync_wipe_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_sync_wipe_done(db_conn_t *conn, const db_sync_wipe_t *row, bool *ret_changed) WARN_UNUSED;

/* ---- what there is ---- */

typedef struct {
    int64_t regions, people, devices; /* devices: active ones */
    int64_t packages, versions;       /* in the trees; dropped and kept */
    int64_t bytes, version_bytes;     /* the same, of data */
    int64_t used;                     /* all, with what is on its way */
} db_sync_usage_t;

err_t *db_sync_usage(db_conn_t *conn, db_sync_usage_t *ret_usage) WARN_UNUSED;

#endif
