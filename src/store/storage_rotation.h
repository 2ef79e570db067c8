/*
 * Rows of `storage_rotation`: what became of the wraps since the keeper has a new storage key.
 */
#ifndef COFFER_STORE_STORAGE_ROTATION_H
#define COFFER_STORE_STORAGE_ROTATION_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    int64_t number; /* of the storage key */
    const char *actor;
    int64_t last_seq; /* objects up to this one are done */
    int64_t done, refused;
    int64_t started_ms, updated_ms;
    int64_t finished_ms; /* 0: it goes on */
} db_storage_rotation_t;

/* Begins one; earlier ones are finished by that, since it does their work. ERR_EXISTS. */
err_t *db_storage_rotation_add(db_conn_t *conn, int64_t number, const char *actor,
                               int64_t now_ms) WARN_UNUSED;
/* The latest. */
err_t *db_storage_rotation_latest(db_conn_t *conn, arena_t *arena, db_storage_rotation_t *ret_row,
                                  bool *ret_found) WARN_UNUSED;
/* Went on to last_seq; `done` and `refused` more. Never goes back. */
err_t *db_storage_rotation_move(db_conn_t *conn, int64_t number, int64_t last_seq, int64_t done,
                                int64_t refused, int64_t now_ms) WARN_UNUSED;
/* *ret_changed false: it was finished already. */
err_t *db_storage_rotation_finish(db_conn_t *conn, int64_t number, int64_t now_ms,
                                  bool *ret_changed) WARN_UNUSED;

#endif
