/*
 * Checkpoints of the log of device chains (C2SP tlog-checkpoint): origin, size and root hash, as
 * a note signed by a key that follows from the first storage key and signs nothing else. What was
 * signed stands in the keeper's own log, so that two trees of one size would be seen. Workers.
 */
#include "keeper/intent_sync.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/kdf.h"
#include "crypto/note.h"

#define LABEL "coffer/v1/sync-log"

enum { SEED = 32, ROOT = 32 };

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

err_t *intent_sync_checkpoint(const keeper_core_t *core, const intent_call_t *call,
                              intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    CLEANUP(mem_free) char *origin = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(buf_done) buf_t text, note;
    uint64_t size = 0;
    bytes_t root;
    buf_init(&text, LIMIT_NOTE_BYTES);
    buf_init(&note, LIMIT_NOTE_BYTES);
    TRY(intent_get_name(&r, LIMIT_NOTE_NAME, "origin", &origin));
    TRY(wire_get_u64(&r, &size));
    TRY(wire_get_raw(&r, ROOT, &root));
    TRY(wire_done(&r));
    TRY(text_hex_new(root, &hex));
    intent_about(answer, "origin=%s size=%llu root=%s", origin, (unsigned long long)size, hex);
    TRY(log_key(core, &key));
    TRY(buf_printf(&text, "%s\n%llu\n", origin, (unsigned long long)size));
    TRY(text_base64(root, &text));
    TRY(buf_add_byte(&text, '\n'));
    TRY(note_sign(key, origin, buf_bytes(&text), &note));
    return wire_put_bytes(&answer->body, buf_bytes(&note));
}
