/*
 * Rows of `credential_hand`: who made a token, a password or an account of somebody else's, and
 * could so act as that person.
 */
#ifndef COFFER_STORE_HANDS_H
#define COFFER_STORE_HANDS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *person_id;
    const char *hand; /* another person's id */
    const char *what; /* account, password, token */
    int64_t created_ms;
} db_hand_t;

/* Nothing where hand is nobody or the person itself. The latest takes the place of one before. */
err_t *db_hands_add(db_conn_t *conn, const db_hand_t *row) WARN_UNUSED;
/*
 * Whether `hand` could act as the person: directly, or through others whose credentials went
 * through its hands.
 */
err_t *db_hands_reach(db_conn_t *conn, const char *person_id, const char *hand,
                      bool *ret_reach) WARN_UNUSED;
/* Ids of all who could, at most `limit`; in the arena. */
err_t *db_hands_of(db_conn_t *conn, arena_t *arena, const char *person_id, size_t limit,
                   const char ***ret_hands, size_t *ret_count) WARN_UNUSED;

#endif
