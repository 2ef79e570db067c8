/*
 * The audit log: hash-chained entries, written in the same transaction as the deed, and heads
 * of the chains signed by the keeper. Each process has a chain of its own (`node`), so that
 * processes never wait for each other's. Format: docs/formats/audit.md (frozen version 1).
 */
#ifndef COFFER_AUDIT_AUDIT_H
#define COFFER_AUDIT_AUDIT_H

#include "base/buf.h"
#include "store/audit_rows.h"
#include "store/db.h"

#define AUDIT_HEAD_DOMAIN "coffer/v1/audit-head" /* what the keeper signs heads under */

/* Who writes: filled once at start; immutable afterwards, so any thread may use it. */
typedef struct {
    const char *node; /* borrowed, 1..LIMIT_AUDIT_NODE bytes, printable: "host1/web" */
    const clk_t *clk; /* borrowed */
} audit_t;

/*
 * Appends one entry to the node's chain, inside a db_write. `actor` who did it ("person:EMAIL",
 * "device:UDID", "system"), `action` a dotted verb ("device.lock"), `object` what to ("device:
 * UDID"; may be none), `detail_json` a JSON object as text (NULL: "{}"). ERR_LIMIT past
 * LIMIT_AUDIT_*; ERR_INVALID unless valid UTF-8. Never put a secret into an entry.
 */
err_t *audit_append(const audit_t *audit, db_conn_t *conn, bytes_t actor, bytes_t action,
                    bytes_t object, const char *detail_json) WARN_UNUSED;

/* SHA-256 of an entry's canonical bytes; row->hash is not looked at. */
err_t *audit_entry_hash(const audit_row_t *row, uint8_t ret_hash[AUDIT_HASH_SIZE]) WARN_UNUSED;

/* ---- heads: pending -> message -> (the keeper signs) -> store ------------------------------ */

typedef struct {
    char node[129]; /* LIMIT_AUDIT_NODE and NUL */
    int64_t seq;
    uint8_t hash[AUDIT_HASH_SIZE];
    int64_t unix_ms;                 /* when the signature was asked for */
    uint8_t key_id[AUDIT_HASH_SIZE]; /* SHA-256 of the public key; the asker fills it in */
} audit_head_t;

/*
 * The end of the node's chain, if it is newer than the last signed head (*ret_found). key_id is
 * left zero: fill it in before asking for the signature.
 */
err_t *audit_head_pending(const audit_t *audit, db_conn_t *conn, bool *ret_found,
                          audit_head_t *ret_head) WARN_UNUSED;
/* Appends the canonical bytes, to be signed with pkey_sign under AUDIT_HEAD_DOMAIN. */
err_t *audit_head_message(const audit_head_t *head, buf_t *out) WARN_UNUSED;
/* Reads canonical bytes back: the keeper checks what it signs. ERR_INVALID. */
err_t *audit_head_parse(bytes_t message, audit_head_t *ret_head) WARN_UNUSED;
/* Keeps a signed head, inside a db_write. ERR_EXISTS if this key signed this head already. */
err_t *audit_head_store(db_conn_t *conn, const audit_head_t *head, bytes_t signature) WARN_UNUSED;

#endif
