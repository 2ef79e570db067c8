/*
 * The bytes of message bodies between Coffer's processes: big-endian numbers and
 * length-prefixed runs. Pure; used by every process; no state but the buffers given.
 */
#ifndef COFFER_IPC_WIRE_H
#define COFFER_IPC_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* Writers append to out; ERR_LIMIT past out's maximum. */
err_t *wire_put_u8(buf_t *out, uint8_t value) WARN_UNUSED;
err_t *wire_put_u16(buf_t *out, uint16_t value) WARN_UNUSED;
err_t *wire_put_u32(buf_t *out, uint32_t value) WARN_UNUSED;
err_t *wire_put_u64(buf_t *out, uint64_t value) WARN_UNUSED;
err_t *wire_put_i64(buf_t *out, int64_t value) WARN_UNUSED;
err_t *wire_put_bool(buf_t *out, bool value) WARN_UNUSED;
/* u32 length in bytes, then the bytes. */
err_t *wire_put_bytes(buf_t *out, bytes_t value) WARN_UNUSED;
/* The same for a C string without its NUL; NULL is written as the empty string. */
err_t *wire_put_str(buf_t *out, const char *value) WARN_UNUSED;

/* Reads from the front of a borrowed message; what it hands out borrows from it too. */
typedef struct {
    bytes_t rest; /* not yet read */
} wire_reader_t;

static inline wire_reader_t wire_reader(bytes_t message) { return (wire_reader_t){message}; }

/* Readers advance on success only; ERR_INVALID when the message is too short. */
err_t *wire_get_u8(wire_reader_t *r, uint8_t *ret_value) WARN_UNUSED;
err_t *wire_get_u16(wire_reader_t *r, uint16_t *ret_value) WARN_UNUSED;
err_t *wire_get_u32(wire_reader_t *r, uint32_t *ret_value) WARN_UNUSED;
err_t *wire_get_u64(wire_reader_t *r, uint64_t *ret_value) WARN_UNUSED;
err_t *wire_get_i64(wire_reader_t *r, int64_t *ret_value) WARN_UNUSED;
/* ERR_INVALID for anything but 0 and 1. */
err_t *wire_get_bool(wire_reader_t *r, bool *ret_value) WARN_UNUSED;
/* At most `max` bytes (ERR_LIMIT beyond); borrowed from the message. */
err_t *wire_get_bytes(wire_reader_t *r, size_t max, bytes_t *ret_value) WARN_UNUSED;
/* Exactly `n` bytes with no length before them, e.g. a fixed-size key; borrowed. */
err_t *wire_get_raw(wire_reader_t *r, size_t n, bytes_t *ret_value) WARN_UNUSED;
/* A new C string of at most `max` bytes (mem_free it); ERR_INVALID with a NUL inside. */
err_t *wire_get_str(wire_reader_t *r, size_t max, char **ret_value) WARN_UNUSED;
/* Nothing may be left: ERR_INVALID for trailing bytes. */
err_t *wire_done(const wire_reader_t *r) WARN_UNUSED;

#endif
