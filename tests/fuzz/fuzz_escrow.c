/*
 * The records of escrow from strangers: what parses is written again as the very same bytes, and
 * no bytes crash.
 */
#include <stdlib.h>

#include "keeper/escrow_drill.h"
#include "keeper/escrow_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether writing gave back what was read; a record has one form. */
static void same(err_t *e, const buf_t *again, bytes_t record) {
    if (e || !bytes_eq(buf_bytes(again), record)) abort();
}

/* Each parser in turn: at most one takes the record. */
#define TRY_RECORD(type, parse, put)                                                               \
    do {                                                                                           \
        static type value;                                                                         \
        err_t *e = parse(record, &value);                                                          \
        if (!e) {                                                                                  \
            buf_clear(&again);                                                                     \
            same(put(&value, &again), &again, record);                                             \
        }                                                                                          \
        err_free(e);                                                                               \
    } while (0)

static void redeal(bytes_t record, buf_t *again) {
    static escrow_redeal_t value;
    err_t *e = escrow_redeal_parse(record, &value);
    if (!e) {
        buf_clear(again);
        same(escrow_redeal_put(&value, again), again, value.message);
        escrow_redeal_item_t item;
        for (size_t i = 0; i < value.count; i++)
            if (escrow_redeal_item(&value, i, &item)) abort();
    }
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bytes_t record = bytes_make(data, size);
    buf_t again;
    buf_init(&again, LIMIT_ESCROW_REDEAL);
    TRY_RECORD(escrow_blob_t, escrow_blob_parse, escrow_blob_put);
    TRY_RECORD(escrow_wrap_t, escrow_wrap_parse, escrow_wrap_put);
    TRY_RECORD(escrow_officer_file_t, escrow_officer_file_parse, escrow_officer_file_put);
    TRY_RECORD(escrow_set_t, escrow_set_parse, escrow_set_put);
    TRY_RECORD(escrow_share_t, escrow_share_parse, escrow_share_put);
    TRY_RECORD(escrow_request_t, escrow_request_parse, escrow_request_put);
    TRY_RECORD(escrow_approval_t, escrow_approval_parse, escrow_approval_put);
    TRY_RECORD(escrow_signature_t, escrow_signature_parse, escrow_signature_put);
    TRY_RECORD(escrow_drill_t, escrow_drill_parse, escrow_drill_put);
    TRY_RECORD(escrow_delivery_t, escrow_delivery_parse, escrow_delivery_put);
    redeal(record, &again);
    buf_done(&again);
    return 0;
}
