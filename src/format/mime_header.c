/*
 * Fields, folding, transfer encodings: see mime_header.h. Runs in coffer, mailgate, mailbox; any
 * thread.
 */
#include "format/mime_header.h"
#include "base/limits.h"
#include "base/text.h"

static bytes_t cut_line_end(bytes_t line) {
    if (line.n && line.p[line.n - 1] == '\n') line.n--;
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    return line;
}

/* A field's name: printable ASCII without colon; white space before the colon is obsolete syntax
 * (RFC 5322 section 4.5.8) and taken. */
static bool split_field(bytes_t whole, mime_field_t *ret_field) {
    size_t colon = bytes_find(whole, ':');
    if (colon == whole.n) return false;
    bytes_t name = bytes_make(whole.p, colon);
    while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t')) name.n--;
    if (!name.n) return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 127) return false;
    *ret_field = (mime_field_t){name, cut_line_end(bytes_from(whole, colon + 1)), whole};
    return true;
}

/* The next field with the lines that continue it. */
static bytes_t take_folded(bytes_t *rest) {
    size_t n = 0;
    do {
        bytes_t behind = bytes_from(*rest, n);
        size_t line = bytes_find(behind, '\n');
        n += line == behind.n ? line : line + 1;
    } while (n < rest->n && (rest->p[n] == ' ' || rest->p[n] == '\t'));
    bytes_t whole = bytes_make(rest->p, n);
    *rest = bytes_from(*rest, n);
    return whole;
}

err_t *mime_fields_read(arena_t *arena, bytes_t block, mime_fields_t *ret_fields) {
    mime_fields_t fields = {0};
    size_t n = 0;
    for (bytes_t rest = block; rest.n; n++) {
        if (n == LIMIT_MIME_HEADERS)
            return err_new(ERR_LIMIT, "more than %d header fields", LIMIT_MIME_HEADERS);
        take_folded(&rest);
    }
    if (n) TRY(arena_alloc(arena, n * sizeof *fields.at, &fields.at));
    for (bytes_t rest = block; rest.n;)
        if (split_field(take_folded(&rest), &fields.at[fields.n])) fields.n++;
        else fields.odd = true;
    *ret_fields = fields;
    return NULL;
}

const mime_field_t *mime_field_find(const mime_fields_t *fields, const char *name, size_t *ret_n) {
    const mime_field_t *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < fields->n; i++) {
        if (!text_eq_fold(fields->at[i].name, bytes_str(name))) continue;
        if (!first) first = &fields->at[i];
        n++;
    }
    if (ret_n) *ret_n = n;
    return first;
}

err_t *mime_unfold(bytes_t value, buf_t *out) {
    value = text_trim(value);
    while (value.n) {
        size_t n = 0;
        while (n < value.n && value.p[n] != '\r' && value.p[n] != '\n') n++;
        TRY(buf_add(out, bytes_make(value.p, n)));
        while (n < value.n && (value.p[n] == '\r' || value.p[n] == '\n')) n++;
        value = bytes_from(value, n);
    }
    return NULL;
}

mime_encoding_t mime_encoding_read(bytes_t value) {
    static const struct {
        const char *name;
        mime_encoding_t encoding;
    } known[] = {
        {"7bit", MIME_ENCODING_IDENTITY},           {"8bit", MIME_ENCODING_IDENTITY},
        {"binary", MIME_ENCODING_IDENTITY},         {"base64", MIME_ENCODING_BASE64},
        {"quoted-printable", MIME_ENCODING_QUOTED},
    };
    value = text_trim(value);
    size_t n = 0; /* a comment or rubbish may stand behind the token */
    while (n < value.n && value.p[n] > ' ' && value.p[n] != '(' && value.p[n] != ';') n++;
    value.n = n;
    if (!n) return MIME_ENCODING_IDENTITY;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_eq_fold(value, bytes_str(known[i].name))) return known[i].encoding;
    return MIME_ENCODING_UNKNOWN;
}
