/*
 * Messages between processes: see frame.h. Pure; any process, any thread.
 */
#include "ipc/frame.h"

#include <string.h>

#include "base/mem.h"
#include "ipc/wire.h"

enum { FRAME_MAGIC = 0x434F4646, FRAME_VERSION = 1 }; /* "COFF" */

static void store_be(uint8_t *p, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) p[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

err_t *frame_header(const frame_t *frame, uint8_t ret_header[FRAME_HEADER]) {
    if (frame->body.n > FRAME_BODY_MAX)
        return err_new(ERR_LIMIT, "a message body of %zu bytes, at most %d fit one frame",
                       frame->body.n, FRAME_BODY_MAX);
    store_be(ret_header, FRAME_MAGIC, 4);
    ret_header[4] = FRAME_VERSION;
    ret_header[5] = (uint8_t)frame->kind;
    store_be(ret_header + 6, frame->intent, 2);
    store_be(ret_header + 8, frame->id, 8);
    return NULL;
}

err_t *frame_encode(const frame_t *frame, buf_t *out) {
    uint8_t header[FRAME_HEADER];
    TRY(frame_header(frame, header));
    TRY(buf_reserve(out, FRAME_HEADER + frame->body.n));
    TRY(buf_add(out, BYTES_ARRAY(header)));
    return buf_add(out, frame->body);
}

err_t *frame_decode(bytes_t message, frame_t *ret_frame) {
    if (message.n > LIMIT_FRAME_BYTES)
        return err_new(ERR_LIMIT, "a frame of %zu bytes, at most %d allowed", message.n,
                       LIMIT_FRAME_BYTES);
    wire_reader_t r = wire_reader(message);
    uint32_t magic;
    uint8_t version, kind;
    uint16_t intent;
    uint64_t id;
    TRY_WRAP(wire_get_u32(&r, &magic), "frame header");
    TRY_WRAP(wire_get_u8(&r, &version), "frame header");
    TRY_WRAP(wire_get_u8(&r, &kind), "frame header");
    TRY_WRAP(wire_get_u16(&r, &intent), "frame header");
    TRY_WRAP(wire_get_u64(&r, &id), "frame header");
    if (magic != FRAME_MAGIC) return err_new(ERR_INVALID, "not a frame: magic %08x", magic);
    if (version != FRAME_VERSION) return err_new(ERR_INVALID, "frame version %u", version);
    if (kind < FRAME_REQUEST || kind > FRAME_EVENT)
        return err_new(ERR_INVALID, "frame of kind %u", kind);
    if (kind == FRAME_EVENT && id != 0) return err_new(ERR_INVALID, "an event with a request id");
    *ret_frame = (frame_t){.kind = (frame_kind_t)kind, .intent = intent, .id = id, .body = r.rest};
    return NULL;
}

/* Numbers of the wire, which stay when the enumeration grows in the middle. 0 is never used. */
static const struct {
    err_code_t code;
    uint8_t number;
} error_numbers[] = {
    {ERR_INTERNAL, 1},     {ERR_NOMEM, 2},    {ERR_IO, 3},        {ERR_INVALID, 4},
    {ERR_USAGE, 5},        {ERR_LIMIT, 6},    {ERR_NOT_FOUND, 7}, {ERR_EXISTS, 8},
    {ERR_AUTH, 9},         {ERR_DENIED, 10},  {ERR_VERIFY, 11},   {ERR_BUSY, 12},
    {ERR_UNAVAILABLE, 13}, {ERR_TIMEOUT, 14}, {ERR_FULL, 15},
};
enum { ERROR_NUMBERS = sizeof error_numbers / sizeof error_numbers[0] };

static uint8_t number_of(err_code_t code) {
    for (size_t i = 0; i < ERROR_NUMBERS; i++)
        if (error_numbers[i].code == code) return error_numbers[i].number;
    return error_numbers[0].number;
}

err_t *frame_error_encode(const err_t *e, buf_t *out) {
    char text[LIMIT_FRAME_ERROR];
    TRY(buf_reserve(out, FRAME_ERROR_MAX));
    TRY(wire_put_u8(out, number_of(err_code(e))));
    return wire_put_str(out, err_text(e, text, sizeof text));
}

err_t *frame_error_decode(bytes_t body, err_t **ret_error) {
    wire_reader_t r = wire_reader(body);
    uint8_t number;
    CLEANUP(mem_free) char *text = NULL;
    TRY_WRAP(wire_get_u8(&r, &number), "error reply");
    TRY_WRAP(wire_get_str(&r, LIMIT_FRAME_ERROR, &text), "error reply");
    TRY_WRAP(wire_done(&r), "error reply");
    for (size_t i = 0; i < ERROR_NUMBERS; i++)
        if (error_numbers[i].number == number) {
            *ret_error = err_new(error_numbers[i].code, "%s", text);
            return NULL;
        }
    return err_new(ERR_INVALID, "error reply of unknown code %u", number);
}
