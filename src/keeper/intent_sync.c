/*
 * Checkpoints of the log of device chains (C2SP tlog-checkpoint): origin, size and root hash, as
 * a note signed by a key that follows from the first storage key and signs nothing else. What was
 * signed stands in the keeper's own log and in the vault: a tree that does not go on from the last
 * one gets no checkpoint, whoever asks. Workers.
 */
#include "keeper/intent_sync.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/kdf.h"
#include "crypto/note.h"
#include "keeper/vault_sync.h"

#define LABEL "coffer/v1/sync-log"

enum { SEED = 32 };

static err_t *log_key(const keeper_core_t *core, pkey_t **ret_key) {
    const secret_t *from = NULL;
    CLEANUP(secret_free) secret_t *seed = NULL;
    TRY(storage_key(core->keys->storage, 1, &from));
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(from), BYTES_LIT(LABEL), SEED, &seed));
    return pkey_from_raw_private(PKEY_ED25519, secret_bytes(seed), ret_key);
}

err_t *sync_log_public(const keeper_core_t *core, buf_t *out) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    TRY(log_key(core, &key));
    return pkey_public_der(key, out);
}

typedef struct {
    vault_tree_t tree;
    uint64_t old_size;
    bytes_t proof;
} checkpoint_t;

static err_t *get_checkpoint(const intent_call_t *call, checkpoint_t *c) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *origin = NULL;
    bytes_t root;
    TRY(intent_get_name(&r, LIMIT_NOTE_NAME, "origin", &origin));
    TRY(wire_get_u64(&r, &c->tree.size));
    TRY(wire_get_raw(&r, MERKLE_HASH, &root));
    TRY(wire_get_u64(&r, &c->old_size));
    TRY(wire_get_bytes(&r, MERKLE_PROOF_MAX * MERKLE_HASH, &c->proof));
    TRY(wire_done(&r));
    if (c->tree.size == 0 || c->tree.size > INT64_MAX) return err_new(ERR_INVALID, "no such tree");
    bytes_put(c->tree.origin, bytes_str(origin));
    bytes_put(c->tree.root, root);
    return NULL;
}

static err_t *sign_tree(const keeper_core_t *core, const vault_tree_t *tree, buf_t *note) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_NOTE_BYTES);
    TRY(log_key(core, &key));
    TRY(buf_printf(&text, "%s\n%llu\n", tree->origin, (unsigned long long)tree->size));
    TRY(text_base64(BYTES_ARRAY(tree->root), &text));
    TRY(buf_add_byte(&text, '\n'));
    return note_sign(key, tree->origin, buf_bytes(&text), note);
}

/* A proof from another tree than the last one: the answer says how large that is, and no more. */
err_t *intent_sync_checkpoint(const keeper_core_t *core, const intent_call_t *call,
                              intent_answer_t *answer) {
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(buf_done) buf_t note;
    checkpoint_t c = {0};
    buf_init(&note, LIMIT_NOTE_BYTES);
    TRY(get_checkpoint(call, &c));
    vault_tree_t last = c.tree;
    TRY(vault_sync_last(core->vault, &last));
    TRY(text_hex_new(BYTES_ARRAY(c.tree.root), &hex));
    intent_about(answer, "origin=%s size=%llu root=%s after=%llu", c.tree.origin,
                 (unsigned long long)c.tree.size, hex, (unsigned long long)c.old_size);
    TRY(wire_put_u64(&answer->body, last.size));
    if (last.size != c.old_size && last.size <= c.tree.size)
        return wire_put_bytes(&answer->body, BYTES_NONE);
    TRY(sign_tree(core, &c.tree, &note));
    TRY(vault_sync_put(answer->op, &c.tree, c.old_size, c.proof));
    return wire_put_bytes(&answer->body, buf_bytes(&note));
}
