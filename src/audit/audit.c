/*
 * The chain: canonical bytes, hashes, appending, heads. See audit.h and docs/formats/audit.md.
 * Appending runs inside a db_write; nothing is remembered between entries, so a
 * savepoint that is rolled back takes its entries with it and leaves the chain whole.
 */
#include "audit/audit.h"

#include "audit/audit_internal.h"
#include "base/limits.h"
#include "base/text.h"
#include "crypto/digest.h"

#define ENTRY_DOMAIN "coffer/v1/audit-entry"

enum {
    CANONICAL_MAX = LIMIT_AUDIT_NODE + 3 * LIMIT_AUDIT_FIELD + LIMIT_AUDIT_DETAIL + 512,
    HEAD_FIELDS = 5,
};

_Static_assert(sizeof((audit_head_t *)0)->node == LIMIT_AUDIT_NODE + 1, "node and its NUL");
_Static_assert((int)AUDIT_HASH_SIZE == (int)DIGEST_SHA256_SIZE, "the chain's hash is SHA-256");

/* A field: its length in 4 bytes, most significant first, then its bytes. */
static err_t *add_field(buf_t *out, bytes_t field) {
    uint8_t length[4] = {(uint8_t)(field.n >> 24), (uint8_t)(field.n >> 16),
                         (uint8_t)(field.n >> 8), (uint8_t)field.n};
    TRY(buf_add(out, BYTES_ARRAY(length)));
    return buf_add(out, field);
}

/* A number is a field of 8 bytes, most significant first. */
static err_t *add_number(buf_t *out, int64_t number) {
    uint8_t bytes[8];
    for (size_t i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
    return add_field(out, BYTES_ARRAY(bytes));
}

static err_t *add_entry(buf_t *out, const audit_row_t *row) {
    TRY(buf_add_str(out, ENTRY_DOMAIN));
    TRY(buf_add_byte(out, 0));
    TRY(add_field(out, row->node));
    TRY(add_number(out, row->seq));
    TRY(add_number(out, row->unix_ms));
    TRY(add_field(out, row->actor));
    TRY(add_field(out, row->action));
    TRY(add_field(out, row->object));
    TRY(add_field(out, row->detail));
    return add_field(out, row->prev_hash);
}

err_t *audit_entry_hash(const audit_row_t *row, uint8_t ret_hash[AUDIT_HASH_SIZE]) {
    CLEANUP(buf_done) buf_t canonical;
    buf_init(&canonical, CANONICAL_MAX);
    TRY(add_entry(&canonical, row));
    return digest_sha256(buf_bytes(&canonical), ret_hash);
}

err_t *audit_text_check(const char *what, bytes_t text, size_t least, size_t most) {
    if (text.n < least) return err_new(ERR_INVALID, "audit %s is empty", what);
    if (text.n > most)
        return err_new(ERR_LIMIT, "audit %s has %zu bytes, at most %zu", what, text.n, most);
    if (!text_utf8_valid(text) || bytes_has_nul(text))
        return err_new(ERR_INVALID, "audit %s is not clean UTF-8", what);
    return NULL;
}

err_t *audit_row_check(const audit_row_t *row) {
    TRY(audit_text_check("node", row->node, 1, LIMIT_AUDIT_NODE));
    TRY(audit_text_check("actor", row->actor, 1, LIMIT_AUDIT_FIELD));
    TRY(audit_text_check("action", row->action, 1, LIMIT_AUDIT_FIELD));
    TRY(audit_text_check("object", row->object, 0, LIMIT_AUDIT_FIELD));
    return audit_text_check("detail", row->detail, 1, LIMIT_AUDIT_DETAIL);
}

err_t *audit_append(const audit_t *audit, db_conn_t *conn, bytes_t actor, bytes_t action,
                    bytes_t object, const char *detail_json) {
    uint8_t prev_hash[AUDIT_HASH_SIZE];
    uint8_t hash[AUDIT_HASH_SIZE];
    audit_row_t row = {
        .node = bytes_str(audit->node),
        .unix_ms = clk_unix_ms(audit->clk),
        .actor = actor,
        .action = action,
        .object = object,
        .detail = bytes_str(detail_json ? detail_json : "{}"),
        .prev_hash = BYTES_ARRAY(prev_hash),
        .hash = BYTES_ARRAY(hash),
    };
    TRY(audit_row_check(&row));
    int64_t last = 0;
    TRY(audit_rows_last(conn, row.node, &last, prev_hash));
    row.seq = last + 1;
    TRY(audit_entry_hash(&row, hash));
    TRY_WRAP(audit_rows_insert(conn, &row), "audit entry %lld of %s", (long long)row.seq,
             audit->node);
    return NULL;
}

/* ---- heads ------------------------------------------------------------------------------ */

err_t *audit_head_pending(const audit_t *audit, db_conn_t *conn, bool *ret_found,
                          audit_head_t *ret_head) {
    bytes_t node = bytes_str(audit->node);
    TRY(audit_text_check("node", node, 1, LIMIT_AUDIT_NODE));
    audit_head_t head = {.unix_ms = clk_unix_ms(audit->clk)};
    int64_t signed_seq = 0;
    TRY(audit_rows_last(conn, node, &head.seq, head.hash));
    TRY(audit_heads_last(conn, node, &signed_seq));
    bytes_put(head.node, node);
    *ret_found = head.seq > signed_seq;
    if (*ret_found) *ret_head = head;
    return NULL;
}

err_t *audit_head_message(const audit_head_t *head, buf_t *out) {
    TRY(add_field(out, bytes_str(head->node)));
    TRY(add_number(out, head->seq));
    TRY(add_field(out, BYTES_ARRAY(head->hash)));
    TRY(add_number(out, head->unix_ms));
    return add_field(out, BYTES_ARRAY(head->key_id));
}

static int64_t read_number(bytes_t field) {
    uint64_t number = 0;
    for (size_t i = 0; i < field.n; i++) number = number << 8 | field.p[i];
    return (int64_t)number;
}

err_t *audit_head_parse(bytes_t message, audit_head_t *ret_head) {
    bytes_t fields[HEAD_FIELDS];
    for (size_t i = 0; i < HEAD_FIELDS; i++) {
        if (message.n < 4) return err_new(ERR_INVALID, "audit head is cut short");
        size_t n = (size_t)read_number(bytes_slice(message, 0, 4));
        message = bytes_from(message, 4);
        if (n > message.n) return err_new(ERR_INVALID, "audit head is cut short");
        fields[i] = bytes_slice(message, 0, n);
        message = bytes_from(message, n);
    }
    if (message.n) return err_new(ERR_INVALID, "audit head has bytes left over");
    TRY(audit_text_check("node", fields[0], 1, LIMIT_AUDIT_NODE));
    if (fields[1].n != 8 || fields[2].n != AUDIT_HASH_SIZE || fields[3].n != 8 ||
        fields[4].n != AUDIT_HASH_SIZE)
        return err_new(ERR_INVALID, "audit head has a field of the wrong size");
    audit_head_t head = {.seq = read_number(fields[1]), .unix_ms = read_number(fields[3])};
    if (head.seq < 1) return err_new(ERR_INVALID, "audit head has no such sequence number");
    bytes_put(head.node, fields[0]);
    memcpy(head.hash, fields[2].p, AUDIT_HASH_SIZE);
    memcpy(head.key_id, fields[4].p, AUDIT_HASH_SIZE);
    *ret_head = head;
    return NULL;
}

err_t *audit_head_store(db_conn_t *conn, const audit_head_t *head, bytes_t signature) {
    audit_head_row_t row = {
        .node = bytes_str(head->node),
        .seq = head->seq,
        .hash = BYTES_ARRAY(head->hash),
        .unix_ms = head->unix_ms,
        .key_id = BYTES_ARRAY(head->key_id),
        .signature = signature,
    };
    return audit_heads_insert(conn, &row);
}
