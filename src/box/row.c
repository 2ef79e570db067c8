/*
 * A message's row: see row.h. In coffer-mailbox.
 */
#include "box/row.h"

#include "base/limits.h"
#include "base/text.h"
#include "format/mime_date.h"
#include "format/mime_header.h"
#include "mail/reader.h"

enum { VALUE_MAX = 4096 };

static bytes_t header_block(bytes_t message) {
    for (size_t at = 0; at < message.n && at < LIMIT_MIME_HEADER;) {
        size_t line = bytes_find(bytes_from(message, at), '\n');
        if (line == 0 || (line == 1 && message.p[at] == '\r')) return bytes_slice(message, 0, at);
        at += line + 1;
    }
    return bytes_slice(message, 0, LIMIT_MIME_HEADER);
}

/* A field's text on one line, decoded, valid UTF-8, without control characters, cut. */
static err_t *field_text(arena_t *arena, const mime_fields_t *fields, const char *name,
                         bytes_t *ret_text) {
    CLEANUP(buf_done) buf_t flat, text, clean;
    const mime_field_t *field = mime_field_find(fields, name, NULL);
    buf_init(&flat, LIMIT_MIME_HEADER);
    buf_init(&text, (size_t)LIMIT_MIME_HEADER * 4);
    buf_init(&clean, (size_t)LIMIT_MIME_HEADER * 16);
    if (!field) return NULL;
    TRY(mime_unfold(field->value, &flat));
    TRY(mime_words_decode(bytes_slice(buf_bytes(&flat), 0, VALUE_MAX), &text));
    TRY(text_defuse(buf_bytes(&text), false, &clean));
    return arena_copy(arena, text_trim(buf_bytes(&clean)), ret_text);
}

static err_t *read_fields(arena_t *arena, const mime_fields_t *fields, box_row_t *row) {
    const mime_field_t *date = mime_field_find(fields, "Date", NULL);
    const mime_field_t *type = mime_field_find(fields, "Content-Type", NULL);
    mime_type_t read = {0};
    TRY(field_text(arena, fields, "From", &row->sender));
    TRY(field_text(arena, fields, "To", &row->recipients));
    TRY(field_text(arena, fields, "Subject", &row->subject));
    TRY(field_text(arena, fields, "Message-ID", &row->message_id));
    if (date && !mime_date_read(date->value, &row->date)) row->date = 0;
    if (!type) return NULL;
    TRY(mime_type_read(arena, type->value, &read));
    row->closed = (bytes_eq_str(read.value, "application/pkcs7-mime") ||
                   bytes_eq_str(read.value, "application/x-pkcs7-mime")) &&
                  !text_eq_fold(mime_parameter(&read, "smime-type"), BYTES_LIT("signed-data"));
    return NULL;
}

/* ---- text of an open message ---- */

static err_t *on_data(void *arg, const mail_part_t *part, bytes_t data) {
    buf_t *text = arg;
    if (!bytes_eq_str(part->type, "text/plain")) return NULL;
    return buf_add(text, bytes_slice(data, 0, text->max - text->n));
}

static err_t *read_text(const rnd_t *rnd, bytes_t message, buf_t *text) {
    CLEANUP(mail_reader_free) mail_reader_t *reader = NULL;
    CLEANUP(buf_done) buf_t raw;
    const mail_verdict_t *verdict = NULL;
    buf_init(&raw, LIMIT_BOX_TEXT);
    const mail_reader_handler_t handler = {.part_data = on_data, .arg = &raw};
    const mail_reader_options_t options = {.rnd = rnd, .look = MAIL_LOOK_DECODE};
    TRY(mail_reader_new(&handler, &options, &reader));
    TRY(mail_reader_feed(reader, message));
    TRY(mail_reader_finish(reader, &verdict));
    if (verdict->envelopes_n) return NULL;
    return mime_charset_decode(BYTES_LIT("utf-8"), buf_bytes(&raw), text);
}

err_t *box_row_read(arena_t *arena, const rnd_t *rnd, bytes_t message, box_row_t *ret_row,
                    buf_t *text) {
    mime_fields_t fields = {0};
    box_row_t row = *ret_row;
    row.size = (int64_t)message.n;
    err_t *e = mime_fields_read(arena, header_block(message), &fields);
    if (!e) e = read_fields(arena, &fields, &row);
    if (!e && !row.closed) e = read_text(rnd, message, text);
    if (e && err_code(e) != ERR_NOMEM) { /* a stranger's message may be anything */
        err_free(e);
        e = NULL;
    }
    if (!e) *ret_row = row;
    return e;
}
