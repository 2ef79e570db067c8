/*
 * Rows of `api_token` (bearer tokens of the API, stored hashed) and `meta` (name -> value).
 */
#ifndef COFFER_STORE_TOKENS_H
#define COFFER_STORE_TOKENS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    bytes_t hash;
    const char *name;
    const char *role;
    int64_t created_ms;
    int64_t expires_ms; /* 0: never */
    int64_t last_used_ms;
    const char *person_id; /* whose it is, or "" */
    const char *maker;     /* person behind whoever made it, or "" */
    bool not_hers;         /* made without its person's password, by the instance's own token */
} db_token_t;

err_t *db_tokens_add(db_conn_t *conn, const db_token_t *row) WARN_UNUSED;
err_t *db_tokens_by_hash(db_conn_t *conn, arena_t *arena, bytes_t hash, db_token_t *ret_row,
                         bool *ret_found) WARN_UNUSED;
err_t *db_tokens_list(db_conn_t *conn, arena_t *arena, db_token_t **ret_rows,
                      size_t *ret_count) WARN_UNUSED;
/* How many are the person's. */
err_t *db_tokens_of_person(db_conn_t *conn, const char *person_id, int64_t *ret_count) WARN_UNUSED;
err_t *db_tokens_drop_expired(db_conn_t *conn, const char *person_id, int64_t now_ms) WARN_UNUSED;
/* Those that the person's own password gave. */
err_t *db_tokens_drop_own(db_conn_t *conn, const char *person_id, int64_t *ret_count) WARN_UNUSED;
err_t *db_tokens_remove(db_conn_t *conn, const char *name, bool *ret_found) WARN_UNUSED;

err_t *db_meta_set(db_conn_t *conn, const char *name, const char *value) WARN_UNUSED;
err_t *db_meta_get(db_conn_t *conn, arena_t *arena, const char *name, const char **ret_value,
                   bool *ret_found) WARN_UNUSED;

#endif
