/*
 * The asking half of client_device_secret.h. Any program but the keeper, any thread.
 */
#include "keeper/client_device_secret.h"

#include "ipc/frame.h"

static void body_init(buf_t *body) { buf_init_secret(body, FRAME_BODY_MAX); }

static err_t *put_kept(const keeper_kept_t *kept, buf_t *body) {
    TRY(wire_put_bool(body, kept != NULL));
    if (!kept) return NULL;
    TRY(escrow_object_put(&kept->object, body));
    TRY(wire_put_bytes(body, kept->blob));
    TRY(wire_put_bytes(body, kept->wrap));
    return wire_put_bytes(body, kept->certificate);
}

err_t *keeper_receiver_make(keeper_t *keeper, const escrow_object_t *object,
                            keeper_archived_t *ret_archived) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(escrow_object_put(object, &body));
    TRY(keeper_call_once(keeper, KEEPER_RECEIVER_MAKE, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    return keeper_archived_get(&r, ret_archived);
}

err_t *keeper_secret_take(keeper_t *keeper, const keeper_taking_t *taking, bool *ret_same,
                          keeper_archived_t *ret_archived) {
    CLEANUP(buf_done) buf_t body, reply;
    bool same = false;
    body_init(&body);
    body_init(&reply);
    TRY(escrow_object_put(&taking->object, &body));
    TRY(wire_put_bytes(&body, taking->secret));
    TRY(put_kept(taking->to, &body));
    TRY(put_kept(taking->previous, &body));
    TRY(keeper_call_once(keeper, KEEPER_SECRET_TAKE, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bool(&r, &same));
    if (same) TRY(wire_done(&r));
    else TRY(keeper_archived_get(&r, ret_archived));
    *ret_same = same;
    return NULL;
}

err_t *keeper_secret_prove(keeper_t *keeper, const keeper_kept_t *kept,
                           const uint8_t nonce[KEEPER_PROOF], uint8_t ret_proof[KEEPER_PROOF]) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t proof;
    body_init(&body);
    body_init(&reply);
    TRY(put_kept(kept, &body));
    TRY(buf_add(&body, bytes_make(nonce, KEEPER_PROOF)));
    TRY(keeper_call(keeper, KEEPER_SECRET_PROVE, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_raw(&r, KEEPER_PROOF, &proof));
    TRY(wire_done(&r));
    memcpy(ret_proof, proof.p, KEEPER_PROOF);
    return NULL;
}
