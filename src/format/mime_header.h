/*
 * Header fields of messages and parts: RFC 5322 section 2.2 (fields, folding), RFC 2045 section 5
 * and RFC 2183 (Content-Type, Content-Disposition), RFC 2231 (parameters continued and encoded),
 * RFC 2047 (encoded words). Tolerant of what is seen in the wild, and it says where it was. Pure.
 */
#ifndef COFFER_FORMAT_MIME_HEADER_H
#define COFFER_FORMAT_MIME_HEADER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

typedef struct {
    bytes_t name;  /* as written, without the colon */
    bytes_t value; /* behind the colon, folded as it came, without the last line end */
    bytes_t whole; /* name to line end, all inclusive */
} mime_field_t;

/* A block of fields. Borrows from the bytes it was read from. */
typedef struct {
    mime_field_t *at;
    size_t n;
    bool odd; /* a line that is no field was left out */
} mime_fields_t;

/* Splits a header block (without the empty line). ERR_LIMIT past LIMIT_MIME_HEADERS fields. */
err_t *mime_fields_read(arena_t *arena, bytes_t block, mime_fields_t *ret_fields) WARN_UNUSED;
/* The first of that name, any case; NULL if there is none. *ret_n (may be NULL): how many. */
const mime_field_t *mime_field_find(const mime_fields_t *fields, const char *name, size_t *ret_n);
/* Appends the value on one line: line ends taken out, white space at both ends cut. */
err_t *mime_unfold(bytes_t value, buf_t *out) WARN_UNUSED;

/* A value with parameters. Texts are the arena's; type is in lower case. */
typedef struct {
    bytes_t name;  /* lower case, without *0* and the like */
    bytes_t value; /* UTF-8, decoded (RFC 2231; RFC 2047 inside quotes, as is seen) */
} mime_parameter_t;

typedef struct {
    bytes_t value; /* "text/plain", "attachment"; none if it can't be read */
    mime_parameter_t *at;
    size_t n;
} mime_type_t;

/* Reads Content-Type or Content-Disposition. Bad syntax gives what could be read. */
err_t *mime_type_read(arena_t *arena, bytes_t value, mime_type_t *ret_type) WARN_UNUSED;
bytes_t mime_parameter(const mime_type_t *type, const char *name); /* none if absent */

typedef enum {
    MIME_ENCODING_IDENTITY, /* 7bit, 8bit, binary or nothing */
    MIME_ENCODING_BASE64,
    MIME_ENCODING_QUOTED,
    MIME_ENCODING_UNKNOWN, /* must be read as application/octet-stream (RFC 2045 section 6.4) */
} mime_encoding_t;
mime_encoding_t mime_encoding_read(bytes_t value);

/* Appends the text of an unstructured value as UTF-8, encoded words decoded (RFC 2047 section 6).
 */
err_t *mime_words_decode(bytes_t value, buf_t *out) WARN_UNUSED;
/* Appends text in a charset as UTF-8; unknown charsets and bad bytes give U+FFFD, never an error.
 */
err_t *mime_charset_decode(bytes_t charset, bytes_t text, buf_t *out) WARN_UNUSED;

#endif
