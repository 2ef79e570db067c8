/*
 * Rows of sync_members: the signed records of who is in a share (sync/share.h), newest last.
 */
#ifndef COFFER_STORE_SYNC_MEMBERS_H
#define COFFER_STORE_SYNC_MEMBERS_H

#include "base/arena.h"
#include "store/db.h"
#include "store/sync_regions.h"

typedef struct {
    int64_t region_seq, counter;
    bytes_t hash;
    int64_t position;
    bytes_t record;
    int64_t added_ms;
} db_sync_members_t;

/* ERR_EXISTS: there is one of this number. */
err_t *db_sync_members_add(db_conn_t *conn, const db_sync_members_t *row) WARN_UNUSED;
err_t *db_sync_members_newest(db_conn_t *conn, arena_t *arena, int64_t region_seq,
                              db_sync_members_t *ret_row, bool *ret_found) WARN_UNUSED;
/* In order, those after `after`. */
err_t *db_sync_members_list(db_conn_t *conn, arena_t *arena, int64_t region_seq, int64_t after,
                            size_t limit, db_sync_members_t **ret_rows,
                            size_t *ret_count) WARN_UNUSED;
/* Regions that the person made and that are no shares, oldest first. */
err_t *db_sync_homes_of(db_conn_t *conn, arena_t *arena, const char *person_id, size_t limit,
                        db_sync_region_t **ret_rows, size_t *ret_count) WARN_UNUSED;

#endif
