/*
 * One message between Coffer's processes: a 16-byte header and a body, in one SOCK_SEQPACKET
 * packet of at most LIMIT_FRAME_BYTES. All numbers are big-endian:
 *   magic u32 'COFF' | version u8 = 1 | kind u8 | intent u16 | request id u64 | body
 * Pure; used by every process.
 */
#ifndef COFFER_IPC_FRAME_H
#define COFFER_IPC_FRAME_H

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

typedef enum {
    FRAME_REQUEST = 1, /* wants exactly one reply or error with its id */
    FRAME_REPLY = 2,   /* the body is the intent's answer */
    FRAME_ERROR = 3,   /* the body is an error: code u8, message str */
    FRAME_EVENT = 4,   /* wants no answer; its id is 0 */
} frame_kind_t;

enum {
    FRAME_HEADER = 16,                                 /* bytes */
    FRAME_BODY_MAX = LIMIT_FRAME_BYTES - FRAME_HEADER, /* bytes */
    FRAME_ERROR_MAX = 1 + 4 + LIMIT_FRAME_ERROR,       /* bytes of an error's body */
};

typedef struct {
    frame_kind_t kind;
    uint16_t intent; /* what is asked; the meaning belongs to the room that serves it */
    uint64_t id;     /* chosen by the asking side; the answer repeats it */
    bytes_t body;    /* borrowed */
} frame_t;

/* Writes only the header of `frame`. ERR_LIMIT if its body is too long for one frame. */
err_t *frame_header(const frame_t *frame, uint8_t ret_header[FRAME_HEADER]) WARN_UNUSED;
/* Appends header and body to out. ERR_LIMIT if it does not fit out or one frame. */
err_t *frame_encode(const frame_t *frame, buf_t *out) WARN_UNUSED;
/* The body borrows from message. ERR_INVALID: not a frame; ERR_LIMIT: too long. */
err_t *frame_decode(bytes_t message, frame_t *ret_frame) WARN_UNUSED;

/* Appends e's code and its text (the chain of sentences, no source places; cut to
 * LIMIT_FRAME_ERROR bytes). Does not take e. out must have room for FRAME_ERROR_MAX. */
err_t *frame_error_encode(const err_t *e, buf_t *out) WARN_UNUSED;
/* Makes the error again, with the same code. The result is the caller's. ERR_INVALID: malformed. */
err_t *frame_error_decode(bytes_t body, err_t **ret_error) WARN_UNUSED;

#endif
