/*
 * Signing the head of an audit chain. The keeper links no store and so not the audit room; the
 * bytes are those of docs/formats/audit.md, and a test compares both writers. Worker threads.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/intent.h"

#define HEAD_DOMAIN "coffer/v1/audit-head"

enum { MESSAGE_MAX = 1024, SIGNATURE_MAX = 1024, HASH_SIZE = 32 }; /* bytes */

/* Every field is a length of 4 bytes and its bytes; a number is a field of 8. */
static err_t *put_number(buf_t *out, int64_t value) {
    TRY(wire_put_u32(out, 8));
    return wire_put_i64(out, value);
}

err_t *intent_audit_message(const char *node, int64_t seq, bytes_t hash, int64_t unix_ms,
                            bytes_t key_id, buf_t *out) {
    TRY(wire_put_str(out, node));
    TRY(put_number(out, seq));
    TRY(wire_put_bytes(out, hash));
    TRY(put_number(out, unix_ms));
    return wire_put_bytes(out, key_id);
}

/* A chain's name ends with its program: "host1/web". Each signs for its own alone. */
static err_t *check_node(const char *node, role_t role) {
    const char *slash = strrchr(node, '/');
    if (!slash || strcmp(slash + 1, role_name(role)) != 0)
        return err_new(ERR_DENIED, "%s may not have heads of the chain %s signed", role_name(role),
                       node);
    return NULL;
}

err_t *intent_sign_audit_head(const keeper_core_t *core, const intent_call_t *call,
                              intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *node = NULL;
    int64_t seq = 0, unix_ms = 0;
    bytes_t hash;
    TRY(intent_get_name(&r, LIMIT_AUDIT_NODE, "node", &node));
    TRY(wire_get_i64(&r, &seq));
    TRY(wire_get_raw(&r, HASH_SIZE, &hash));
    TRY(wire_get_i64(&r, &unix_ms));
    TRY(wire_done(&r));
    if (seq < 1 || unix_ms < 0) return err_new(ERR_INVALID, "no such audit head");
    /* the hash too: what was signed can be compared with an export later */
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(hash, &hex));
    intent_about(answer, "node=%s seq=%lld hash=%s", node, (long long)seq, hex);
    TRY(check_node(node, call->role));
    CLEANUP(buf_done) buf_t message, signature;
    buf_init(&message, MESSAGE_MAX);
    buf_init(&signature, SIGNATURE_MAX);
    TRY(intent_audit_message(node, seq, hash, unix_ms, BYTES_ARRAY(core->keys->audit_key_id),
                             &message));
    TRY(pkey_sign(core->keys->audit_key, HEAD_DOMAIN, buf_bytes(&message), &signature));
    TRY(wire_put_bytes(&answer->body, buf_bytes(&signature)));
    answer->op->head.seq = seq;
    memcpy(answer->op->head.hash, hash.p, sizeof answer->op->head.hash);
    answer->op->head.node = STEAL(node);
    return NULL;
}
