/*
 * Header protection when a message is written (RFC 9788): which fields go where, the parameter that
 * says so, and the legacy display for mail programs that know nothing of it. Pure.
 */
#ifndef COFFER_MAIL_PROTECT_H
#define COFFER_MAIL_PROTECT_H

#include "format/mime.h"
#include "mail/writer.h"

typedef struct {
    buf_t outer;   /* the outer header */
    buf_t payload; /* protected fields, then HP-Outer */
    buf_t display; /* hidden fields that people see, "Name: value" lines in UTF-8; or none */
} protect_t;

/* One line from there on: each control character becomes a space. */
void protect_one_line(buf_t *text, size_t from);

void protect_init(protect_t *p);
void protect_done(protect_t *p);

/* Structural (Content-*, MIME-Version): describes the body (RFC 9788 section 1.6). */
bool protect_is_structural(bytes_t name);
/* Added on the way, or for no recipient's eyes (Bcc): never in the payload. */
bool protect_is_trace(bytes_t name);

/* Splits the fields of a message; MAIL_HEADERS_BARE: all go outside. */
err_t *protect_split(const mime_fields_t *fields, mail_headers_t policy, bool encrypted,
                     protect_t *p) WARN_UNUSED;
/* Appends a Content-Type value (folded as it came) with a parameter set anew. */
err_t *protect_parameter(bytes_t value, const char *name, const char *text, buf_t *out) WARN_UNUSED;

/* ---- Legacy display: protect_display.c ---- */

/* Whether it is a part that people read first: RFC 9788 section 5.2.2. */
bool protect_is_main(const mime_part_t *part);
bool protect_is_html(const mime_part_t *part);
/* Where in an HTML part's encoded beginning the display goes: behind <body>, or 0. */
size_t protect_html_place(bytes_t html);
/*
 * Appends the display, encoded to stand inside a part of that transfer encoding. In a charset that
 * isn't UTF-8 what isn't ASCII becomes "?".
 */
err_t *protect_display(bytes_t fields, bool html, bool utf8, mime_encoding_t encoding,
                       buf_t *out) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(protect_t, protect_done)

#endif
