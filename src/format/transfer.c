/*
 * Content transfer encodings: see transfer.h. The base64 loops are written for speed, they see
 * every byte of every mail: tables that hold a character's bits where they belong, one check for
 * two groups of four.
 */
#include <endian.h>

#include "base/limits.h"
#include "format/base64_tables.h"
#include "format/transfer.h"

void transfer_decoder_init(transfer_decoder_t *d, mime_encoding_t encoding) {
    *d = (transfer_decoder_t){.encoding = encoding};
}

/* One character at a time: at edges, line ends and oddities. */
static uint8_t *base64_step(transfer_decoder_t *d, uint8_t c, uint8_t *to) {
    uint8_t v = base64_values[c];
    if (v == BASE64_SPACE) return to;
    if (v == BASE64_PAD) {
        d->padded = true; /* the group that ends here is written at the end */
        return to;
    }
    if (v == BASE64_BAD) {
        d->dirty = true; /* RFC 2045 section 6.8: to be skipped */
        return to;
    }
    if (d->padded && d->carry_n) { /* padding in the midst: two encodings put together */
        d->dirty = true;
        if (d->carry_n >= 2) *to++ = (uint8_t)(d->carry[0] << 2 | d->carry[1] >> 4);
        if (d->carry_n == 3) *to++ = (uint8_t)(d->carry[1] << 4 | d->carry[2] >> 2);
        d->carry_n = 0;
    }
    d->padded = false;
    d->carry[d->carry_n++] = v;
    if (d->carry_n < 4) return to;
    *to++ = (uint8_t)(d->carry[0] << 2 | d->carry[1] >> 4);
    *to++ = (uint8_t)(d->carry[1] << 4 | d->carry[2] >> 2);
    *to++ = (uint8_t)(d->carry[2] << 6 | d->carry[3]);
    d->carry_n = 0;
    return to;
}

/* A group's 24 bits, or a value of BASE64_NONE and more. */
static uint32_t group_of(const uint8_t *p) {
    return base64_places[0][p[0]] | base64_places[1][p[1]] | base64_places[2][p[2]] |
           base64_places[3][p[3]];
}

/* Whole groups of a line, as far as they go; writes up to two bytes beyond. */
static uint8_t *decode_groups(const uint8_t **p, const uint8_t *end, uint8_t *to) {
    const uint8_t *from = *p;
    for (; end - from >= 8; from += 8, to += 6) {
        uint32_t a = group_of(from), b = group_of(from + 4);
        if ((a | b) >= BASE64_NONE) break;
        uint64_t both = htobe64((uint64_t)a << 40 | (uint64_t)b << 16);
        memcpy(to, &both, sizeof both);
    }
    for (; end - from >= 4; from += 4, to += 3) {
        uint32_t a = group_of(from);
        if (a >= BASE64_NONE) break;
        to[0] = (uint8_t)(a >> 16);
        to[1] = (uint8_t)(a >> 8);
        to[2] = (uint8_t)a;
    }
    *p = from;
    return to;
}

static err_t *decode_base64(transfer_decoder_t *d, bytes_t data, buf_t *out) {
    TRY(buf_reserve(out, data.n / 4 * 3 + 8));
    uint8_t *to = out->p + out->n;
    const uint8_t *p = data.p, *end = data.p + data.n;
    while (p < end) {
        if (!d->carry_n && !d->padded) to = decode_groups(&p, end, to);
        if (end - p >= 2 && p[0] == '\r' && p[1] == '\n') p += 2;
        else if (p < end) to = base64_step(d, *p++, to);
    }
    out->n = (size_t)(to - out->p);
    return NULL;
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What stood before an escape that is none is text after all (RFC 2045 section 6.7). */
static err_t *give_carry(transfer_decoder_t *d, buf_t *out) {
    size_t n = d->carry_n;
    d->carry_n = 0;
    d->dirty = true;
    return buf_add(out, bytes_make(d->carry, n));
}

/* White space before a line end is not content; elsewhere it is. Which kind it was matters little
 * enough to be remembered as spaces. */
static err_t *give_spaces(transfer_decoder_t *d, buf_t *out) {
    for (; d->spaces; d->spaces--) TRY(buf_add_byte(out, ' '));
    return NULL;
}

static err_t *quoted_escape(transfer_decoder_t *d, uint8_t c, buf_t *out) {
    if (d->carry_n == 1) { /* behind "=" */
        if (c == '\n') {   /* soft line end */
            d->carry_n = 0;
            return NULL;
        }
        if (c == '\r' || c == ' ' || c == '\t') return NULL; /* until the line end */
        if (hex_digit(c) < 0) {
            TRY(give_carry(d, out));
            return buf_add_byte(out, c);
        }
        d->carry[d->carry_n++] = c;
        return NULL;
    }
    if (hex_digit(c) < 0) {
        TRY(give_carry(d, out));
        return buf_add_byte(out, c);
    }
    uint8_t byte = (uint8_t)(hex_digit(d->carry[1]) * 16 + hex_digit(c));
    d->carry_n = 0;
    return buf_add_byte(out, byte);
}

static err_t *decode_quoted(transfer_decoder_t *d, bytes_t data, buf_t *out) {
    for (size_t i = 0; i < data.n; i++) {
        uint8_t c = data.p[i];
        if (d->carry_n) {
            TRY(quoted_escape(d, c, out));
            continue;
        }
        if (c == ' ' || c == '\t') {
            if (d->spaces == LIMIT_TRANSFER_SPACES) TRY(give_spaces(d, out));
            d->spaces++;
            continue;
        }
        if (c == '\r' || c == '\n') d->spaces = 0;
        else TRY(give_spaces(d, out));
        if (c == '=') {
            d->carry[d->carry_n++] = c;
            continue;
        }
        size_t n = 1; /* the run up to the next special byte */
        while (i + n < data.n && data.p[i + n] > ' ' && data.p[i + n] != '=' && c > ' ') n++;
        TRY(buf_add(out, bytes_make(data.p + i, n)));
        i += n - 1;
    }
    return NULL;
}

err_t *transfer_decode(transfer_decoder_t *d, bytes_t data, buf_t *out) {
    if (!data.n) return NULL;
    if (d->encoding == MIME_ENCODING_BASE64) return decode_base64(d, data, out);
    if (d->encoding == MIME_ENCODING_QUOTED) return decode_quoted(d, data, out);
    return buf_add(out, data);
}

err_t *transfer_decode_end(transfer_decoder_t *d, buf_t *out) {
    size_t n = d->carry_n;
    d->carry_n = 0;
    if (d->encoding == MIME_ENCODING_QUOTED && n) {
        d->dirty = true;
        return n == 2 ? buf_add(out, bytes_make(d->carry, n)) : NULL;
    }
    if (d->encoding != MIME_ENCODING_BASE64 || !n) return NULL;
    if (n == 1 || !d->padded) d->dirty = true;
    if (n >= 2) TRY(buf_add_byte(out, (uint8_t)(d->carry[0] << 2 | d->carry[1] >> 4)));
    if (n == 3) TRY(buf_add_byte(out, (uint8_t)(d->carry[1] << 4 | d->carry[2] >> 2)));
    return NULL;
}

/* A line of at most 57 bytes; out has room. */
static void encode_line(const uint8_t *p, size_t n, buf_t *out) {
    uint8_t *to = out->p + out->n;
    for (; n >= 3; p += 3, n -= 3, to += 4) {
        uint32_t group = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        memcpy(to, base64_pairs[group >> 12], 2);
        memcpy(to + 2, base64_pairs[group & 4095], 2);
    }
    if (n) {
        uint32_t group = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
        memcpy(to, base64_pairs[group >> 12], 2);
        to[2] = n == 2 ? (uint8_t)base64_pairs[group & 4095][0] : '=';
        to[3] = '=';
        to += 4;
    }
    *to++ = '\r';
    *to++ = '\n';
    out->n = (size_t)(to - out->p);
}

err_t *transfer_base64(transfer_encoder_t *e, bytes_t data, buf_t *out) {
    TRY(buf_reserve(out, (data.n / sizeof e->carry + 2) * 78));
    while (data.n) {
        if (!e->carry_n && data.n >= sizeof e->carry) {
            encode_line(data.p, sizeof e->carry, out);
            data = bytes_from(data, sizeof e->carry);
            continue;
        }
        size_t n = sizeof e->carry - e->carry_n;
        if (n > data.n) n = data.n;
        memcpy(e->carry + e->carry_n, data.p, n);
        e->carry_n += n;
        data = bytes_from(data, n);
        if (e->carry_n < sizeof e->carry) return NULL;
        encode_line(e->carry, sizeof e->carry, out);
        e->carry_n = 0;
    }
    return NULL;
}

err_t *transfer_base64_end(transfer_encoder_t *e, buf_t *out) {
    if (!e->carry_n) return NULL;
    TRY(buf_reserve(out, 78));
    encode_line(e->carry, e->carry_n, out);
    e->carry_n = 0;
    return NULL;
}

static err_t *quoted_line(bytes_t line, buf_t *out) {
    static const char hex[] = "0123456789ABCDEF";
    size_t column = 0;
    for (size_t i = 0; i < line.n; i++) {
        uint8_t c = line.p[i];
        bool last = i + 1 == line.n;
        bool escape = c == '=' || c > 126 || (c < ' ' && c != '\t') ||
                      (last && (c == ' ' || c == '\t')) ||
                      (!i && (c == 'F' || c == '.' || c == '-'));
        size_t width = escape ? 3 : 1;
        if (column + width > (last ? 76 : 75)) {
            TRY(buf_add_str(out, "=\r\n"));
            column = 0;
        }
        if (escape) {
            TRY(buf_add_byte(out, '='));
            TRY(buf_add_byte(out, (uint8_t)hex[c >> 4]));
            TRY(buf_add_byte(out, (uint8_t)hex[c & 15]));
        } else {
            TRY(buf_add_byte(out, c));
        }
        column += width;
    }
    return NULL;
}

err_t *transfer_quoted(bytes_t text, buf_t *out) {
    while (text.n) {
        size_t n = bytes_find(text, '\n');
        bytes_t line = bytes_make(text.p, n);
        bool ended = n < text.n;
        if (ended && n && line.p[n - 1] == '\r') line.n--;
        TRY(quoted_line(line, out));
        if (ended) TRY(buf_add_str(out, "\r\n"));
        text = bytes_from(text, ended ? n + 1 : n);
    }
    return NULL;
}
