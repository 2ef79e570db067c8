/*
 * The keys that blobs lie under: derived from the storage keys and good for nothing else, so that
 * coffer-web seals gigabytes without asking. Decision 0028. Worker threads.
 */
#include "keeper/intent_blob.h"

#include "base/limits.h"
#include "crypto/kdf.h"

enum { BLOB_KEY = 32 };

#define LABEL "coffer/v1/blob-store"

static err_t *put_key(const keeper_core_t *core, uint32_t number, buf_t *out) {
    const secret_t *from = NULL;
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(storage_key(core->keys->storage, number, &from));
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(from), BYTES_LIT(LABEL), BLOB_KEY, &key));
    return wire_put_bytes(out, secret_bytes(key));
}

err_t *intent_blob_keys(const keeper_core_t *core, const intent_call_t *call,
                        intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    TRY(wire_done(&r));
    uint32_t current = storage_current(core->keys->storage);
    intent_about(answer, "storage-keys=%u", current);
    TRY(wire_put_u32(&answer->body, current));
    for (uint32_t number = 1; number <= current; number++)
        TRY(put_key(core, number, &answer->body));
    return NULL;
}
