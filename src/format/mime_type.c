/*
 * Content-Type and Content-Disposition with their parameters: RFC 2045 section 5.1, RFC 2183,
 * RFC 2231 sections 3 to 5. What is seen in the wild is read too: encoded words inside quotes,
 * values without quotes that need them, missing semicolons at the end. Any thread.
 */
#include "base/limits.h"
#include "base/text.h"
#include "format/mime_header.h"

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* White space and comments, nested ones too (RFC 5322 section 3.2.2). */
static void skip_space(bytes_t *rest) {
    size_t i = 0, depth = 0;
    for (; i < rest->n; i++) {
        uint8_t c = rest->p[i];
        if (c == '(') depth++;
        else if (depth && c == ')') depth--;
        else if (depth && c == '\\') i++;
        else if (!depth && !is_space(c)) break;
    }
    *rest = bytes_from(*rest, i);
}

static bool is_token(uint8_t c) {
    return c > ' ' && c != 127 && !strchr("()<>@,;:\\\"[]?=", (int)c);
}

static bytes_t take_token(bytes_t *rest, bool with_slash) {
    size_t n = 0;
    while (n < rest->n && is_token(rest->p[n]) && (with_slash || rest->p[n] != '/')) n++;
    bytes_t token = bytes_make(rest->p, n);
    *rest = bytes_from(*rest, n);
    return token;
}

/* A quoted string without its quotes and backslashes; folding inside is taken out. */
static err_t *take_quoted(bytes_t *rest, buf_t *out) {
    size_t i = 1;
    for (; i < rest->n && rest->p[i] != '"'; i++) {
        if (rest->p[i] == '\r' || rest->p[i] == '\n') continue;
        if (rest->p[i] == '\\' && i + 1 < rest->n) i++;
        TRY(buf_add_byte(out, rest->p[i]));
    }
    *rest = bytes_from(*rest, i + 1);
    return NULL;
}

/* A value: quoted, or all up to the next semicolon (tokens should be stricter, senders aren't). */
static err_t *take_value(bytes_t *rest, buf_t *out) {
    skip_space(rest);
    if (rest->n && rest->p[0] == '"') return take_quoted(rest, out);
    size_t n = bytes_find(*rest, ';');
    bytes_t value = text_trim(bytes_make(rest->p, n));
    size_t comment = bytes_find(value, '(');
    if (comment && comment < value.n) value = text_trim(bytes_make(value.p, comment));
    *rest = bytes_from(*rest, n);
    return mime_unfold(value, out);
}

/* A piece of a parameter as it stands: name*2*=... */
typedef struct {
    bytes_t name;
    bytes_t value;
    unsigned section; /* of a continued one */
    bool continued, extended;
} piece_t;

static err_t *read_name(arena_t *arena, bytes_t token, piece_t *piece) {
    bytes_t copy;
    uint64_t section;
    if (token.n && token.p[token.n - 1] == '*') {
        piece->extended = true;
        token.n--;
    }
    size_t star = bytes_find(token, '*');
    if (star < token.n) {
        err_t *e = text_u64(bytes_from(token, star + 1), LIMIT_MIME_PARAMETERS, &section);
        if (e) {
            err_free(e); /* a name that happens to have a star */
        } else {
            piece->continued = true;
            piece->section = (unsigned)section;
            token.n = star;
        }
    }
    TRY(arena_copy(arena, token, &copy));
    for (size_t i = 0; i < copy.n; i++)
        if (copy.p[i] >= 'A' && copy.p[i] <= 'Z') ((uint8_t *)copy.p)[i] |= 0x20;
    piece->name = copy;
    return NULL;
}

static err_t *read_pieces(arena_t *arena, bytes_t rest, piece_t *pieces, size_t *ret_n) {
    size_t n = 0;
    CLEANUP(buf_done) buf_t value;
    buf_init(&value, LIMIT_MIME_PARAMETER);
    for (skip_space(&rest); rest.n && n < LIMIT_MIME_PARAMETERS; skip_space(&rest)) {
        if (rest.p[0] == ';') {
            rest = bytes_from(rest, 1);
            continue;
        }
        bytes_t token = take_token(&rest, true);
        skip_space(&rest);
        if (!token.n || !rest.n || rest.p[0] != '=') {
            rest = bytes_from(rest, bytes_find(rest, ';')); /* no parameter: on to the next */
            continue;
        }
        rest = bytes_from(rest, 1);
        buf_clear(&value);
        TRY(take_value(&rest, &value));
        piece_t *piece = &pieces[n];
        *piece = (piece_t){0};
        TRY(read_name(arena, token, piece));
        TRY(arena_copy(arena, buf_bytes(&value), &piece->value));
        n++;
    }
    *ret_n = n;
    return NULL;
}

/* Percent-encoded bytes; a lone percent sign stands for itself. */
static err_t *unpercent(bytes_t text, buf_t *out) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned byte = 0;
        size_t digits = 0;
        for (; text.p[i] == '%' && digits < 2 && i + 1 + digits < text.n; digits++) {
            uint8_t c = (uint8_t)(text.p[i + 1 + digits] | 0x20);
            if (c >= '0' && c <= '9') byte = byte * 16 + c - '0';
            else if (c >= 'a' && c <= 'f') byte = byte * 16 + c - 'a' + 10u;
            else break;
        }
        TRY(buf_add_byte(out, digits == 2 ? (uint8_t)byte : text.p[i]));
        if (digits == 2) i += 2;
    }
    return NULL;
}

static const piece_t *find_section(const piece_t *pieces, size_t n, bytes_t name,
                                   unsigned section) {
    for (size_t i = 0; i < n; i++)
        if (pieces[i].continued && pieces[i].section == section && bytes_eq(pieces[i].name, name))
            return &pieces[i];
    return NULL;
}

/* charset'language'text: RFC 2231 section 4. */
static void split_charset(bytes_t *value, bytes_t *ret_charset) {
    size_t first = bytes_find(*value, '\'');
    size_t second = first + 1 + bytes_find(bytes_from(*value, first + 1), '\'');
    if (first >= value->n || second >= value->n) return;
    *ret_charset = bytes_make(value->p, first);
    *value = bytes_from(*value, second + 1);
}

/* The bytes of a parameter whose first piece is given, and their charset (none: as they stand). */
static err_t *join(const piece_t *pieces, size_t n, const piece_t *first, buf_t *out,
                   bytes_t *ret_charset) {
    const piece_t *piece = first;
    for (unsigned section = 0; piece; piece = find_section(pieces, n, first->name, ++section)) {
        bytes_t value = piece->value;
        if (piece == first && piece->extended) split_charset(&value, ret_charset);
        if (piece->extended) TRY(unpercent(value, out));
        else TRY(buf_add(out, value));
        if (!first->continued) break;
    }
    return NULL;
}

static err_t *finish(arena_t *arena, const piece_t *pieces, size_t n, const piece_t *first,
                     mime_parameter_t *parameter) {
    bytes_t charset = BYTES_NONE;
    CLEANUP(buf_done) buf_t joined, text;
    buf_init(&joined, LIMIT_MIME_PARAMETER);
    buf_init(&text, (size_t)LIMIT_MIME_PARAMETER * 4);
    TRY(join(pieces, n, first, &joined, &charset));
    if (charset.n) TRY(mime_charset_decode(charset, buf_bytes(&joined), &text));
    else TRY(mime_words_decode(buf_bytes(&joined), &text));
    parameter->name = first->name;
    return arena_copy(arena, buf_bytes(&text), &parameter->value);
}

static err_t *read_parameters(arena_t *arena, bytes_t rest, mime_type_t *type) {
    piece_t pieces[LIMIT_MIME_PARAMETERS];
    size_t n;
    TRY(read_pieces(arena, rest, pieces, &n));
    if (n) TRY(arena_alloc(arena, n * sizeof *type->at, &type->at));
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].continued && pieces[i].section != 0) continue;
        /* RFC 2231 section 4 forms win over a plain one of the same name; else the first. */
        bool beaten = false;
        for (size_t j = 0; j < n && !beaten; j++) {
            bool special = pieces[j].extended || pieces[j].continued;
            if (j == i || !bytes_eq(pieces[j].name, pieces[i].name)) continue;
            if (pieces[j].continued && pieces[j].section != 0) continue;
            bool special_i = pieces[i].extended || pieces[i].continued;
            beaten = special == special_i ? j < i : special;
        }
        if (!beaten) TRY(finish(arena, pieces, n, &pieces[i], &type->at[type->n++]));
    }
    return NULL;
}

err_t *mime_type_read(arena_t *arena, bytes_t value, mime_type_t *ret_type) {
    mime_type_t type = {0};
    bytes_t rest = value, name;
    skip_space(&rest);
    bytes_t token = take_token(&rest, true);
    TRY(arena_copy(arena, token, &name));
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] >= 'A' && name.p[i] <= 'Z') ((uint8_t *)name.p)[i] |= 0x20;
    type.value = name;
    TRY(read_parameters(arena, rest, &type));
    *ret_type = type;
    return NULL;
}

bytes_t mime_parameter(const mime_type_t *type, const char *name) {
    for (size_t i = 0; i < type->n; i++)
        if (bytes_eq_str(type->at[i].name, name)) return type->at[i].value;
    return BYTES_NONE;
}
