/*
 * Asks for checkpoints of the log of device chains: see client_sync.h.
 */
#include "keeper/client_sync.h"

#include "base/limits.h"
#include "ipc/frame.h"
#include "ipc/wire.h"

enum { ROOT = 32 };

err_t *keeper_sync_checkpoint(keeper_t *keeper, const keeper_tree_t *tree, uint64_t *ret_last,
                              buf_t *ret_note) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t note;
    uint64_t last = 0;
    buf_init(&body, FRAME_BODY_MAX);
    buf_init(&reply, FRAME_BODY_MAX);
    TRY(wire_put_str(&body, tree->origin));
    TRY(wire_put_u64(&body, tree->size));
    TRY(buf_add(&body, bytes_make(tree->root, ROOT)));
    TRY(wire_put_u64(&body, tree->old_size));
    TRY(wire_put_bytes(&body, tree->proof));
    TRY(keeper_call(keeper, KEEPER_SYNC_CHECKPOINT, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_u64(&r, &last));
    TRY(wire_get_bytes(&r, LIMIT_NOTE_BYTES, &note));
    TRY(wire_done(&r));
    TRY(buf_add(ret_note, note));
    *ret_last = last;
    return NULL;
}
