/*
 * Internet messages read as a stream: RFC 5322 fields, RFC 2045/2046 structure. Bytes go in as they
 * arrive, events come out; memory is bounded for a message of any size. Byte-exact: what a
 * signature covers is handed on untouched, from the first header byte of a part to before the line
 * end that belongs to the boundary behind it (RFC 2046 section 5.1.1), also if lines end in bare
 * LF. Pure; a reader belongs to one thread.
 */
#ifndef COFFER_FORMAT_MIME_H
#define COFFER_FORMAT_MIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "format/mime_header.h"

/* What is odd about a part; a reader goes on, whoever judges may not. */
typedef enum {
    MIME_ODD_NO_BOUNDARY = 1 << 0,     /* multipart without a usable boundary: read as a leaf */
    MIME_ODD_UNCLOSED = 1 << 1,        /* multipart without its closing boundary */
    MIME_ODD_BARE_LF = 1 << 2,         /* a line of its own that ends in LF alone */
    MIME_ODD_NUL = 1 << 3,             /* a NUL in its own bytes */
    MIME_ODD_8BIT = 1 << 4,            /* a byte above 127 in its own bytes */
    MIME_ODD_LONG_LINE = 1 << 5,       /* a line of more than 998 bytes (RFC 5322 section 2.1.1) */
    MIME_ODD_HEADER = 1 << 6,          /* a header line that is no field */
    MIME_ODD_ENCODED_MULTI = 1 << 7,   /* composite with a transfer encoding: read as a leaf */
    MIME_ODD_DUPLICATE_FIELD = 1 << 8, /* Content-Type or Content-Transfer-Encoding twice */
} mime_odd_t;

enum { MIME_PATH_SIZE = 128 };

/* A part while it is read; owned by the reader, gone after its end event. */
typedef struct mime_part {
    struct mime_part *parent;  /* NULL: the message itself */
    unsigned depth;            /* 0: the message itself */
    unsigned index;            /* among its siblings, from 1 */
    char path[MIME_PATH_SIZE]; /* "1", "1.2", "1.2.1": unique, stable */
    mime_fields_t fields;
    mime_type_t type; /* never empty: "text/plain" when nothing is said (RFC 2045 section 5.2) */
    mime_encoding_t encoding;
    bool multipart;  /* its body is read as parts */
    bool message;    /* message/rfc822 or global: its body is read as a message */
    unsigned odd;    /* of mime_odd_t; complete at the end event */
    uint64_t offset; /* of its first byte in the message */
    uint64_t body;   /* of the first byte of its body */
    uint64_t end;    /* behind its last byte; set at the end event */
    void *user;      /* the handler's */
} mime_part_t;

/*
 * All may be NULL. An error stops the reader and comes back from mime_feed.
 * raw: every byte of the part, headers, body, parts inside and all, in order (see begin).
 */
typedef struct {
    /* Headers are read. Sets *ret_raw to be given raw bytes of this part. */
    err_t *(*begin)(void *arg, mime_part_t *part, bool *ret_raw);
    /* Bytes of a leaf's body, still transfer-encoded. */
    err_t *(*body)(void *arg, mime_part_t *part, bytes_t data);
    err_t *(*raw)(void *arg, mime_part_t *part, bytes_t data);
    err_t *(*end)(void *arg, mime_part_t *part);
    void *arg;
    /* What is odd about bytes of bodies (NUL, 8-bit, line ends) isn't looked for. */
    bool blind;
} mime_handler_t;

typedef struct mime_reader mime_reader_t;

/* handler is borrowed. */
err_t *mime_reader_new(const mime_handler_t *handler, mime_reader_t **ret_reader) WARN_UNUSED;
void mime_reader_free(mime_reader_t *reader); /* takes NULL; gives no events */

/*
 * Takes the next bytes. ERR_LIMIT past LIMIT_MIME_DEPTH, LIMIT_MIME_PARTS, LIMIT_MIME_HEADER,
 * LIMIT_MIME_HEADERS; or what a handler returned. No further call after an error.
 */
err_t *mime_feed(mime_reader_t *reader, bytes_t data) WARN_UNUSED;
/* The message is at its end: closes what is open, outermost last. */
err_t *mime_finish(mime_reader_t *reader) WARN_UNUSED;

DEFINE_CLEANUP(mime_reader_t, mime_reader_free)

#endif
