/*
 * Content transfer encodings as streams (RFC 2045 section 6): base64 and quoted-printable, both
 * ways. Decoders take what is seen in the wild and say whether it was clean. Pure; a coder belongs
 * to one thread.
 */
#ifndef COFFER_FORMAT_TRANSFER_H
#define COFFER_FORMAT_TRANSFER_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "format/mime_header.h"

typedef struct {
    mime_encoding_t encoding;
    uint8_t carry[4]; /* base64: sextets of a group not complete; quoted: "=", "=X", "\r" */
    size_t carry_n;
    size_t spaces; /* quoted: white space at a line's end so far */
    bool padded;   /* base64: the end was seen */
    bool dirty;    /* bytes that the standard doesn't know were skipped, or the end is cut */
} transfer_decoder_t;

void transfer_decoder_init(transfer_decoder_t *d, mime_encoding_t encoding);
/* Appends what data decodes to: at most data.n + LIMIT_TRANSFER_CARRY bytes. */
err_t *transfer_decode(transfer_decoder_t *d, bytes_t data, buf_t *out) WARN_UNUSED;
/* Appends what was held back at the end. */
err_t *transfer_decode_end(transfer_decoder_t *d, buf_t *out) WARN_UNUSED;

typedef struct {
    uint8_t carry[57]; /* base64: bytes of a line not complete */
    size_t carry_n;
} transfer_encoder_t;

/* Base64 in lines of 76 characters ended by CRLF. Start with {0}. */
err_t *transfer_base64(transfer_encoder_t *e, bytes_t data, buf_t *out) WARN_UNUSED;
err_t *transfer_base64_end(transfer_encoder_t *e, buf_t *out) WARN_UNUSED;
/*
 * Appends text as quoted-printable with CRLF line ends, any line end read as one; safe as the
 * signed part of a message: spaces at line ends, "From " and lone dots are encoded (RFC 3156
 * section 3's care).
 */
err_t *transfer_quoted(bytes_t text, buf_t *out) WARN_UNUSED;

#endif
