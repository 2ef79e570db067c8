/*
 * Frames and error replies from a hostile peer: what decodes must encode to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "ipc/frame.h"
#include "ipc/role.h"
#include "ipc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const frame_t *frame, bytes_t message) {
    CLEANUP(buf_done) buf_t again;
    buf_init(&again, LIMIT_FRAME_BYTES);
    err_t *e = frame_encode(frame, &again);
    if (e || !bytes_eq(buf_bytes(&again), message)) abort();
}

/* Reads the body as a row of fields, whatever they mean. */
static void walk(bytes_t body) {
    wire_reader_t r = wire_reader(body);
    for (;;) {
        size_t before = r.rest.n;
        bytes_t field = BYTES_NONE;
        int64_t number = 0;
        bool truth = false;
        err_t *e = wire_get_bytes(&r, 4096, &field);
        if (e) err_free(e), e = wire_get_bool(&r, &truth);
        if (e) err_free(e), e = wire_get_i64(&r, &number);
        err_free(e);
        if (r.rest.n == before) return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    frame_t frame;
    bytes_t message = bytes_make(data, size);
    err_t *e = frame_decode(message, &frame);
    if (e) {
        err_free(e);
        return 0;
    }
    check_same(&frame, message);
    walk(frame.body);
    err_t *answer = NULL;
    e = frame_error_decode(frame.body, &answer);
    err_free(e);
    err_free(answer);
    return 0;
}
