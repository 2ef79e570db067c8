/*
 * Work over many archived objects: dealing to the current officers, and wrapping by the current
 * storage key. One that is not as it should be is refused by itself and does not stop the others;
 * the log's entry counts both. Worker threads.
 */
#include <stdio.h>

#include "base/mem.h"
#include "keeper/escrow_seal.h"
#include "keeper/intent_escrow.h"

enum { SHARES_MAX = LIMIT_ESCROW_OFFICERS * 512, TEXT_MAX = 256 }; /* bytes */

typedef struct {
    const keeper_core_t *core;
    const escrow_dealing_t *dealing; /* or NULL: wrap */
    vault_escrow_t *done;            /* LIMIT_ESCROW_BATCH */
    size_t done_n, refused_n;
} batch_t;

/* What one object gives: shares or a wrap. */
static err_t *work(const batch_t *b, const escrow_object_t *object, const secret_t *dek,
                   buf_t *out) {
    if (b->dealing)
        return escrow_deal(object, &b->dealing->set, b->dealing->sealers, b->core->rnd, dek, out);
    const storage_t *storage = b->core->keys->storage;
    uint32_t number = storage_current(storage);
    const secret_t *key = NULL;
    TRY(storage_key(storage, number, &key));
    return escrow_wrap_seal(object, key, number, b->core->rnd, dek, out);
}

static err_t *do_one(batch_t *b, const escrow_object_t *object, bytes_t blob_hash, bytes_t wrap,
                     buf_t *out) {
    CLEANUP(secret_free) secret_t *dek = NULL;
    vault_escrow_t *record = &b->done[b->done_n];
    TRY(escrow_find_record(b->core, object, blob_hash, record));
    if (record->wrap == KEEPER_WRAP_NEVER)
        return err_new(ERR_DENIED, "only officers open this object");
    TRY(escrow_open_wrap(b->core, object, wrap, &dek));
    TRY(work(b, object, dek, out));
    b->done_n++;
    return NULL;
}

/* An answer's entry: true and bytes, or false, the error's code and its text. */
static err_t *put_one(batch_t *b, wire_reader_t *r, buf_t *out) {
    escrow_object_t object;
    bytes_t hash, wrap;
    CLEANUP(buf_done) buf_t made;
    char text[TEXT_MAX];
    buf_init(&made, SHARES_MAX);
    TRY(escrow_object_get(r, &object));
    TRY(wire_get_raw(r, ESCROW_HASH, &hash));
    TRY(wire_get_bytes(r, ESCROW_WRAP_SIZE, &wrap));
    err_t *e = do_one(b, &object, hash, wrap, &made);
    if (!e) {
        TRY(wire_put_bool(out, true));
        return wire_put_bytes(out, buf_bytes(&made));
    }
    bool fatal = err_code(e) == ERR_NOMEM || err_code(e) == ERR_IO;
    if (fatal) return e;
    b->refused_n++;
    uint8_t code = (uint8_t)err_code(e);
    (void)err_text(e, text, sizeof text);
    err_free(e);
    TRY(wire_put_bool(out, false));
    TRY(wire_put_u8(out, code));
    return wire_put_str(out, text);
}

static err_t *run(batch_t *b, const intent_call_t *call, intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    uint16_t n = 0;
    TRY(wire_get_u16(&r, &n));
    if (n == 0 || n > LIMIT_ESCROW_BATCH)
        return err_new(ERR_LIMIT, "a batch has 1 to %d objects", LIMIT_ESCROW_BATCH);
    TRY(wire_put_u16(&answer->body, n));
    for (size_t i = 0; i < n; i++) TRY(put_one(b, &r, &answer->body));
    return wire_done(&r);
}

err_t *intent_escrow_deal(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    CLEANUP(escrow_dealing_done) escrow_dealing_t dealing = {0};
    TRY(escrow_dealing_load(core, &dealing));
    if (!dealing.set.epoch) return err_new(ERR_NOT_FOUND, "there are no officers yet");
    CLEANUP(mem_free) vault_escrow_t *done = mem_array(LIMIT_ESCROW_BATCH, sizeof *done);
    if (!done) return err_nomem();
    batch_t b = {.core = core, .dealing = &dealing, .done = done};
    TRY(wire_put_u64(&answer->body, dealing.set.epoch));
    TRY(run(&b, call, answer));
    intent_about(answer, "epoch=%llu dealt=%zu refused=%zu", (unsigned long long)dealing.set.epoch,
                 b.done_n, b.refused_n);
    return vault_escrow_dealt(answer->op, b.done, b.done_n, dealing.set.epoch);
}

err_t *intent_escrow_rewrap(const keeper_core_t *core, const intent_call_t *call,
                            intent_answer_t *answer) {
    CLEANUP(mem_free) vault_escrow_t *done = mem_array(LIMIT_ESCROW_BATCH, sizeof *done);
    if (!done) return err_nomem();
    batch_t b = {.core = core, .done = done};
    TRY(run(&b, call, answer));
    intent_about(answer, "storage-key=%u wrapped=%zu refused=%zu",
                 storage_current(core->keys->storage), b.done_n, b.refused_n);
    return NULL;
}

/* ---- storage keys ---- */

err_t *intent_storage_key(const keeper_core_t *core, const intent_call_t *call,
                          intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    TRY(wire_done(&r));
    return wire_put_u32(&answer->body, storage_current(core->keys->storage));
}

err_t *intent_storage_key_new(const keeper_core_t *core, const intent_call_t *call,
                              intent_answer_t *answer) {
    wire_reader_t r = wire_reader(call->body);
    TRY(wire_done(&r));
    uint32_t number = storage_current(core->keys->storage) + 1;
    intent_about(answer, "number=%u", number);
    TRY(storage_add(core->keys->storage, number, core->rnd, answer->op));
    return wire_put_u32(&answer->body, number);
}
