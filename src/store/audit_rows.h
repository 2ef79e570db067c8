/*
 * The rows of tables audit_entry and audit_head: one statement per function. What the hashes
 * mean is src/audit's business. Appending belongs in the same db_write as the deed.
 */
#ifndef COFFER_STORE_AUDIT_ROWS_H
#define COFFER_STORE_AUDIT_ROWS_H

#include "store/db.h"

enum { AUDIT_HASH_SIZE = 32 };

/* All borrowed. In a callback: valid until it returns. */
typedef struct {
    bytes_t node; /* the chain: host and process, "host1/web" */
    int64_t seq;  /* from 1, without gaps within a node */
    int64_t unix_ms;
    bytes_t actor;
    bytes_t action;
    bytes_t object;
    bytes_t detail; /* JSON text */
    bytes_t prev_hash;
    bytes_t hash;
} audit_row_t;

typedef struct {
    bytes_t node;
    int64_t seq;
    bytes_t hash;
    int64_t unix_ms;
    bytes_t key_id; /* SHA-256 of the signing key's SubjectPublicKeyInfo */
    bytes_t signature;
} audit_head_row_t;

typedef err_t *(*audit_row_fn)(const audit_row_t *row, void *arg);
typedef err_t *(*audit_head_row_fn)(const audit_head_row_t *row, void *arg);

err_t *audit_rows_insert(db_conn_t *conn, const audit_row_t *row) WARN_UNUSED;
/* The newest entry of a node; *ret_seq 0 and a hash of zeros when there is none. */
err_t *audit_rows_last(db_conn_t *conn, bytes_t node, int64_t *ret_seq,
                       uint8_t ret_hash[AUDIT_HASH_SIZE]) WARN_UNUSED;
/* All entries by node and seq; stops at fn's first error and returns it. */
err_t *audit_rows_each(db_conn_t *conn, audit_row_fn fn, void *arg) WARN_UNUSED;
/* The newest `limit` entries before unix_ms `before` over all nodes, newest first. */
err_t *audit_rows_recent(db_conn_t *conn, int64_t before, unsigned limit, audit_row_fn fn,
                         void *arg) WARN_UNUSED;

err_t *audit_heads_insert(db_conn_t *conn, const audit_head_row_t *row) WARN_UNUSED;
/* seq of the newest signed head of a node, 0 without one. */
err_t *audit_heads_last(db_conn_t *conn, bytes_t node, int64_t *ret_seq) WARN_UNUSED;
/* The heads of one (node, seq): several after a change of keys. */
err_t *audit_heads_at(db_conn_t *conn, bytes_t node, int64_t seq, audit_head_row_fn fn,
                      void *arg) WARN_UNUSED;

#endif
