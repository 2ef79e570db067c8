/*
 * Rows of `escrow_object`, `escrow_share` and `escrow_drill`: ciphertext of what can be recovered,
 * a million of them, and the proofs that samples still open. Lists go in pages by `seq`.
 */
#ifndef COFFER_STORE_ESCROW_H
#define COFFER_STORE_ESCROW_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t seq; /* not for add */
    const char *id;
    const char *kind;
    const char *owner;
    const char *device_id;
    int64_t version;
    const char *label;
    const char *state; /* current, former */
    bool officers_only;
    int64_t epoch;
    bytes_t spki;
    const char *created_by;
    int64_t created_ms;
    int64_t verified_ms;
    int64_t revealed_ms;
    bytes_t certificates; /* from here on only of db_escrow_get, db_escrow_whole */
    bytes_t blob;
    bytes_t wrap;
} db_escrow_t;

/*
 * Adds one version and makes the ones before it former. *ret_seq is its number. ERR_EXISTS when
 * this version is there.
 */
err_t *db_escrow_add(db_conn_t *conn, const db_escrow_t *row, int64_t *ret_seq) WARN_UNUSED;
/* `version` 0: the current one. */
err_t *db_escrow_get(db_conn_t *conn, arena_t *arena, const char *id, int64_t version,
                     db_escrow_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_escrow_by_seq(db_conn_t *conn, arena_t *arena, int64_t seq, db_escrow_t *ret_row,
                        bool *ret_found) WARN_UNUSED;
/* All versions, the newest first; without certificates, blob, wrap. */
err_t *db_escrow_versions(db_conn_t *conn, arena_t *arena, const char *id, size_t limit,
                          db_escrow_t **ret_rows, size_t *ret_count) WARN_UNUSED;

/* Texts are never NULL: "" is any. */
typedef struct {
    const char *kind;
    const char *owner;
    const char *device_id;
    bool former; /* former versions too */
} db_escrow_filter_t;

/* In order of seq after `after`; without certificates, blob, wrap. */
err_t *db_escrow_list(db_conn_t *conn, arena_t *arena, const db_escrow_filter_t *filter,
                      int64_t after, size_t limit, db_escrow_t **ret_rows,
                      size_t *ret_count) WARN_UNUSED;
/* Whole rows dealt to this epoch, after `after`: what is dealt anew, or was never dealt. */
err_t *db_escrow_of_epoch(db_conn_t *conn, arena_t *arena, int64_t epoch, bool officers_only,
                          int64_t after, size_t limit, db_escrow_t **ret_rows,
                          size_t *ret_count) WARN_UNUSED;
/* Whole rows that have a wrap, after `after`. */
err_t *db_escrow_wrapped(db_conn_t *conn, arena_t *arena, int64_t after, size_t limit,
                         db_escrow_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* The newest epoch below this one that objects are dealt to; *ret_found false: none. */
err_t *db_escrow_older_epoch(db_conn_t *conn, int64_t epoch, bool officers_only, int64_t *ret_epoch,
                             bool *ret_found) WARN_UNUSED;
err_t *db_escrow_count_epoch(db_conn_t *conn, int64_t epoch, bool officers_only,
                             int64_t *ret_count) WARN_UNUSED;
/* The first object of the kind at this place of the sequence or behind it: for samples. */
err_t *db_escrow_next_of_kind(db_conn_t *conn, arena_t *arena, const char *kind, int64_t from,
                              db_escrow_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_escrow_max_seq(db_conn_t *conn, int64_t *ret_seq) WARN_UNUSED;

err_t *db_escrow_set_epoch(db_conn_t *conn, int64_t seq, int64_t epoch) WARN_UNUSED;
/* For all officers-only objects of the epoch with from < seq <= to: dealt to `to_epoch` now. The
 * shares of the old epoch stay until db_escrow_drop_kept. */
err_t *db_escrow_move_epoch(db_conn_t *conn, int64_t from_epoch, int64_t to_epoch, int64_t from_seq,
                            int64_t to_seq, int64_t *ret_count) WARN_UNUSED;
/* Back again: officers-only objects of `to_epoch` that have shares of `from_epoch` still. */
err_t *db_escrow_move_back(db_conn_t *conn, int64_t from_epoch, int64_t to_epoch) WARN_UNUSED;
/* Officers-only objects of the epoch that have shares of an earlier one still; those opened since
 * this time alone. */
err_t *db_escrow_count_kept(db_conn_t *conn, int64_t epoch, int64_t opened_ms,
                            int64_t *ret_count) WARN_UNUSED;
/* The earlier shares of these objects, for good. */
err_t *db_escrow_drop_kept(db_conn_t *conn, int64_t epoch) WARN_UNUSED;
err_t *db_escrow_set_wrap(db_conn_t *conn, int64_t seq, bytes_t wrap) WARN_UNUSED;
err_t *db_escrow_set_verified(db_conn_t *conn, int64_t seq, int64_t now_ms) WARN_UNUSED;
err_t *db_escrow_set_revealed(db_conn_t *conn, int64_t seq, int64_t now_ms) WARN_UNUSED;

/* For the report: a line a kind. */
typedef struct {
    const char *kind;
    int64_t objects, undealt, officers_only, former;
    int64_t last_revealed_ms, last_verified_ms;
} db_escrow_kind_t;
err_t *db_escrow_kinds(db_conn_t *conn, arena_t *arena, db_escrow_kind_t **ret_rows,
                       size_t *ret_count) WARN_UNUSED;

/* ---- shares ---- */

typedef struct {
    int64_t object_seq;
    int64_t epoch;
    int64_t officer;
    int64_t dealer;
    bytes_t record;
} db_escrow_share_t;

/* Replaces what was there of the same dealer. */
err_t *db_escrow_shares_put(db_conn_t *conn, const db_escrow_share_t *row) WARN_UNUSED;
/* An officer's, in order of dealer. */
err_t *db_escrow_shares_of(db_conn_t *conn, arena_t *arena, int64_t object_seq, int64_t epoch,
                           int64_t officer, db_escrow_share_t **ret_rows,
                           size_t *ret_count) WARN_UNUSED;
/* Those of all epochs but this one. */
err_t *db_escrow_shares_drop_others(db_conn_t *conn, int64_t object_seq, int64_t epoch) WARN_UNUSED;
/* Everything dealt to an epoch to objects that are not (yet) dealt to it. */
err_t *db_escrow_shares_drop_unfinished(db_conn_t *conn, int64_t epoch) WARN_UNUSED;
err_t *db_escrow_shares_count(db_conn_t *conn, int64_t object_seq, int64_t epoch,
                              int64_t *ret_officers) WARN_UNUSED;

/* ---- drills ---- */

typedef struct {
    int64_t seq;
    const char *kind;
    int64_t sampled, opened, failed;
    const char *failures;
    const char *actor;
    int64_t created_ms;
} db_escrow_drill_t;

err_t *db_escrow_drills_add(db_conn_t *conn, const db_escrow_drill_t *row) WARN_UNUSED;
/* The only one of its kind from now on: earlier ones are in the audit. */
err_t *db_escrow_drills_replace(db_conn_t *conn, const db_escrow_drill_t *row) WARN_UNUSED;
/* The newest of each kind. */
err_t *db_escrow_drills_latest(db_conn_t *conn, arena_t *arena, db_escrow_drill_t **ret_rows,
                               size_t *ret_count) WARN_UNUSED;
/* Newest first. */
err_t *db_escrow_drills_list(db_conn_t *conn, arena_t *arena, size_t limit,
                             db_escrow_drill_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* When the last drill of any kind of object was; 0: never. Officers' own don't count. */
err_t *db_escrow_drills_last(db_conn_t *conn, int64_t *ret_ms) WARN_UNUSED;

#endif
