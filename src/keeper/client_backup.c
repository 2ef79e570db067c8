/*
 * The asking half of backups: see client_backup.h. Any program but the keeper, any thread.
 */
#include "keeper/client_backup.h"

#include "ipc/frame.h"
#include "keeper/escrow_codec.h"

static void body_init(buf_t *body) { buf_init_secret(body, FRAME_BODY_MAX); }

err_t *keeper_backup_begin(keeper_t *keeper, const uint8_t id[ESCROW_ID],
                           const uint8_t generation[ESCROW_ID], buf_t *ret_keys) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(record_put_raw(&body, id, ESCROW_ID));
    TRY(record_put_raw(&body, generation, ESCROW_ID));
    TRY(keeper_call_once(keeper, KEEPER_BACKUP_BEGIN, &body, &reply));
    if (reply.n != 2 * ESCROW_KEY) return err_new(ERR_INTERNAL, "the keeper's answer is no keys");
    return buf_add(ret_keys, buf_bytes(&reply));
}

err_t *keeper_backup_copy(keeper_t *keeper, const uint8_t id[ESCROW_ID], uint32_t *ret_left) {
    CLEANUP(buf_done) buf_t body, reply;
    body_init(&body);
    body_init(&reply);
    TRY(record_put_raw(&body, id, ESCROW_ID));
    TRY(keeper_call(keeper, KEEPER_BACKUP_COPY, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    return wire_get_u32(&r, ret_left);
}

err_t *keeper_backup_read(keeper_t *keeper, const uint8_t id[ESCROW_ID], uint32_t first,
                          buf_t *ret_chunks) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(record_put_raw(&body, id, ESCROW_ID));
    TRY(wire_put_u32(&body, first));
    return keeper_call(keeper, KEEPER_BACKUP_READ, &body, ret_chunks);
}

err_t *keeper_backup_finish(keeper_t *keeper, const backup_head_t *head, buf_t *ret_head) {
    CLEANUP(buf_done) buf_t body;
    body_init(&body);
    TRY(record_put_raw(&body, head->id, ESCROW_ID));
    TRY(record_put_text(&body, LIMIT_BACKUP_LABEL, true, "label", head->label));
    TRY(wire_put_u32(&body, head->file_chunks));
    TRY(record_put_raw(&body, head->table_hash, ESCROW_HASH));
    TRY(wire_put_u64(&body, head->index_size));
    TRY(record_put_raw(&body, head->index_hash, ESCROW_HASH));
    return keeper_call_once(keeper, KEEPER_BACKUP_FINISH, &body, ret_head);
}
