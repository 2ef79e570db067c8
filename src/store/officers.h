/*
 * Rows of `officer`, `officer_set`, `officer_set_signature` and `redeal`: who can recover, by which
 * set, and how far re-dealing to a new set came.
 */
#ifndef COFFER_STORE_OFFICERS_H
#define COFFER_STORE_OFFICERS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *id;
    const char *person_id;
    const char *label;
    bytes_t fingerprint;
    bytes_t record;
    int64_t removed_ms;
    const char *created_by;
    int64_t created_ms;
} db_officer_t;

/* ERR_EXISTS when the key was handed in before. */
err_t *db_officers_add(db_conn_t *conn, const db_officer_t *row) WARN_UNUSED;
err_t *db_officers_get(db_conn_t *conn, arena_t *arena, const char *id, db_officer_t *ret_row,
                       bool *ret_found) WARN_UNUSED;
/* All, the oldest first: tens, not thousands. */
err_t *db_officers_list(db_conn_t *conn, arena_t *arena, db_officer_t **ret_rows,
                        size_t *ret_count) WARN_UNUSED;
err_t *db_officers_remove(db_conn_t *conn, const char *id, int64_t now_ms,
                          bool *ret_changed) WARN_UNUSED;

typedef struct {
    int64_t epoch;
    bytes_t record;
    bytes_t hash;
    int64_t threshold;
    int64_t officers;
    const char *state; /* proposed, active, former */
    const char *created_by;
    int64_t created_ms;
    int64_t activated_ms;
} db_officer_set_t;

/* ERR_EXISTS when the epoch is taken. */
err_t *db_officer_sets_add(db_conn_t *conn, const db_officer_set_t *row) WARN_UNUSED;
err_t *db_officer_sets_get(db_conn_t *conn, arena_t *arena, int64_t epoch,
                           db_officer_set_t *ret_row, bool *ret_found) WARN_UNUSED;
/* The one in this state, the newest. */
err_t *db_officer_sets_in_state(db_conn_t *conn, arena_t *arena, const char *state,
                                db_officer_set_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Newest first. */
err_t *db_officer_sets_list(db_conn_t *conn, arena_t *arena, size_t limit,
                            db_officer_set_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* It becomes the active one, the one before a former one. */
err_t *db_officer_sets_activate(db_conn_t *conn, int64_t epoch, int64_t now_ms) WARN_UNUSED;
/* Drops a proposal with its signatures. */
err_t *db_officer_sets_drop(db_conn_t *conn, int64_t epoch, bool *ret_changed) WARN_UNUSED;

typedef struct {
    const char *officer_id;
    bytes_t record;
    int64_t created_ms;
} db_set_signature_t;

/* ERR_EXISTS when this officer signed already. */
err_t *db_set_signatures_add(db_conn_t *conn, int64_t epoch,
                             const db_set_signature_t *row) WARN_UNUSED;
/* In the order in which they came. */
err_t *db_set_signatures_list(db_conn_t *conn, arena_t *arena, int64_t epoch,
                              db_set_signature_t **ret_rows, size_t *ret_count) WARN_UNUSED;

typedef struct {
    int64_t to_epoch;
    int64_t dealer;
    const char *officer_id;
    int64_t last_seq;
    int64_t done;
    int64_t updated_ms;
} db_redeal_t;

err_t *db_redeals_add(db_conn_t *conn, const db_redeal_t *row) WARN_UNUSED;
/* In ascending order of dealer. */
err_t *db_redeals_list(db_conn_t *conn, arena_t *arena, int64_t to_epoch, db_redeal_t **ret_rows,
                       size_t *ret_count) WARN_UNUSED;
/* Moves a dealer on; *ret_changed false: it isn't at `from_seq` (any more). */
err_t *db_redeals_advance(db_conn_t *conn, int64_t to_epoch, int64_t dealer, int64_t from_seq,
                          int64_t to_seq, int64_t count, int64_t now_ms,
                          bool *ret_changed) WARN_UNUSED;
err_t *db_redeals_drop(db_conn_t *conn, int64_t to_epoch) WARN_UNUSED;

/* Shares handed to the officer for drills on this day (days since 1970). */
err_t *db_officer_samples_get(db_conn_t *conn, const char *officer_id, int64_t day,
                              int64_t *ret_objects) WARN_UNUSED;
/* So many more; an earlier day's are forgotten. */
err_t *db_officer_samples_add(db_conn_t *conn, const char *officer_id, int64_t day,
                              int64_t objects) WARN_UNUSED;

/* An officer of the set says that what was dealt to it opens. ERR_EXISTS: said already. */
err_t *db_redeal_proofs_add(db_conn_t *conn, int64_t to_epoch, const char *officer_id,
                            int64_t now_ms) WARN_UNUSED;
err_t *db_redeal_proofs_count(db_conn_t *conn, int64_t to_epoch, int64_t *ret_count) WARN_UNUSED;
err_t *db_redeal_proofs_drop(db_conn_t *conn, int64_t to_epoch) WARN_UNUSED;

#endif
