/*
 * Message bodies: see wire.h. Pure; any process, any thread.
 */
#include "ipc/wire.h"

#include "base/mem.h"

static err_t *put_number(buf_t *out, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    return buf_add(out, bytes_make(bytes, size));
}

err_t *wire_put_u8(buf_t *out, uint8_t value) { return buf_add_byte(out, value); }
err_t *wire_put_u16(buf_t *out, uint16_t value) { return put_number(out, value, 2); }
err_t *wire_put_u32(buf_t *out, uint32_t value) { return put_number(out, value, 4); }
err_t *wire_put_u64(buf_t *out, uint64_t value) { return put_number(out, value, 8); }
/* Two's complement, which C17's conversion to unsigned gives. */
err_t *wire_put_i64(buf_t *out, int64_t value) { return put_number(out, (uint64_t)value, 8); }
err_t *wire_put_bool(buf_t *out, bool value) { return buf_add_byte(out, value ? 1 : 0); }

err_t *wire_put_bytes(buf_t *out, bytes_t value) {
    if (value.n > UINT32_MAX) return err_new(ERR_LIMIT, "a field of %zu bytes", value.n);
    /* Both or nothing: a reader must never see a length without its bytes. */
    TRY(buf_reserve(out, value.n + 4));
    TRY(wire_put_u32(out, (uint32_t)value.n));
    return buf_add(out, value);
}

err_t *wire_put_str(buf_t *out, const char *value) { return wire_put_bytes(out, bytes_str(value)); }

err_t *wire_get_raw(wire_reader_t *r, size_t n, bytes_t *ret_value) {
    if (n > r->rest.n)
        return err_new(ERR_INVALID, "message too short: %zu bytes wanted, %zu left", n, r->rest.n);
    *ret_value = bytes_slice(r->rest, 0, n);
    r->rest = bytes_from(r->rest, n);
    return NULL;
}

static err_t *get_number(wire_reader_t *r, size_t size, uint64_t *ret_value) {
    bytes_t field = BYTES_NONE;
    TRY(wire_get_raw(r, size, &field));
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) value = value << 8 | field.p[i];
    *ret_value = value;
    return NULL;
}

err_t *wire_get_u8(wire_reader_t *r, uint8_t *ret_value) {
    uint64_t value;
    TRY(get_number(r, 1, &value));
    *ret_value = (uint8_t)value;
    return NULL;
}

err_t *wire_get_u16(wire_reader_t *r, uint16_t *ret_value) {
    uint64_t value;
    TRY(get_number(r, 2, &value));
    *ret_value = (uint16_t)value;
    return NULL;
}

err_t *wire_get_u32(wire_reader_t *r, uint32_t *ret_value) {
    uint64_t value;
    TRY(get_number(r, 4, &value));
    *ret_value = (uint32_t)value;
    return NULL;
}

err_t *wire_get_u64(wire_reader_t *r, uint64_t *ret_value) { return get_number(r, 8, ret_value); }

err_t *wire_get_i64(wire_reader_t *r, int64_t *ret_value) {
    uint64_t value;
    TRY(get_number(r, 8, &value));
    *ret_value = (int64_t)value;
    return NULL;
}

err_t *wire_get_bool(wire_reader_t *r, bool *ret_value) {
    wire_reader_t ahead = *r;
    uint8_t value;
    TRY(wire_get_u8(&ahead, &value));
    if (value > 1) return err_new(ERR_INVALID, "a truth value of %u", value);
    *r = ahead;
    *ret_value = value == 1;
    return NULL;
}

err_t *wire_get_bytes(wire_reader_t *r, size_t max, bytes_t *ret_value) {
    wire_reader_t ahead = *r;
    uint32_t n;
    TRY(wire_get_u32(&ahead, &n));
    if (n > max) return err_new(ERR_LIMIT, "a field of %u bytes, at most %zu allowed", n, max);
    TRY(wire_get_raw(&ahead, n, ret_value));
    *r = ahead;
    return NULL;
}

err_t *wire_get_str(wire_reader_t *r, size_t max, char **ret_value) {
    wire_reader_t ahead = *r;
    bytes_t field = BYTES_NONE;
    TRY(wire_get_bytes(&ahead, max, &field));
    if (bytes_has_nul(field)) return err_new(ERR_INVALID, "a text with a NUL inside");
    char *text = mem_strndup(field.n ? (const char *)field.p : "", field.n);
    if (!text) return err_nomem();
    *r = ahead;
    *ret_value = text;
    return NULL;
}

err_t *wire_done(const wire_reader_t *r) {
    if (r->rest.n) return err_new(ERR_INVALID, "%zu bytes after the message's end", r->rest.n);
    return NULL;
}
