/*
 * Content transfer encodings: see transfer.h. The base64 loops are written for speed, they see
 * every byte of every mail: four characters by four table look-ups, checked once a group.
 */
#include "format/transfer.h"
#include "base/limits.h"

/* Value of a base64 character, 64 for padding, 65 for white space, 66 for anything else. */
enum { PAD = 64, SPACE = 65, BAD = 66 };
static const uint8_t value_of[256] = {
#define B4(a)  a, a, a, a
#define B16(a) B4(a), B4(a), B4(a), B4(a)
    BAD, BAD, BAD,   BAD,      BAD,      BAD,      BAD,      BAD,      BAD,      SPACE,    SPACE,
    BAD, BAD, SPACE, BAD,      BAD,      B16(BAD), SPACE,    BAD,      BAD,      BAD,      BAD,
    BAD, BAD, BAD,   BAD,      BAD,      BAD,      62,       BAD,      BAD,      BAD,      63,
    52,  53,  54,    55,       56,       57,       58,       59,       60,       61,       BAD,
    BAD, BAD, PAD,   BAD,      BAD,      BAD,      0,        1,        2,        3,        4,
    5,   6,   7,     8,        9,        10,       11,       12,       13,       14,       15,
    16,  17,  18,    19,       20,       21,       22,       23,       24,       25,       BAD,
    BAD, BAD, BAD,   BAD,      BAD,      26,       27,       28,       29,       30,       31,
    32,  33,  34,    35,       36,       37,       38,       39,       40,       41,       42,
    43,  44,  45,    46,       47,       48,       49,       50,       51,       BAD,      BAD,
    BAD, BAD, BAD,   B16(BAD), B16(BAD), B16(BAD), B16(BAD), B16(BAD), B16(BAD), B16(BAD), B16(BAD),
};
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void transfer_decoder_init(transfer_decoder_t *d, mime_encoding_t encoding) {
    *d = (transfer_decoder_t){.encoding = encoding};
}

/* One character at a time: at edges, line ends and oddities. */
static uint8_t *base64_step(transfer_decoder_t *d, uint8_t c, uint8_t *to) {
    uint8_t v = value_of[c];
    if (v == SPACE) return to;
    if (v == PAD) {
        d->padded = true; /* the group that ends here is written at the end */
        return to;
    }
    if (v == BAD) {
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

static err_t *decode_base64(transfer_decoder_t *d, bytes_t data, buf_t *out) {
    TRY(buf_reserve(out, data.n / 4 * 3 + 6));
    uint8_t *to = out->p + out->n;
    const uint8_t *p = data.p, *end = data.p + data.n;
    while (p < end) {
        while (end - p >= 4 && !d->carry_n && !d->padded) {
            uint32_t a = value_of[p[0]], b = value_of[p[1]], c = value_of[p[2]], e = value_of[p[3]];
            if ((a | b | c | e) >= PAD) break;
            uint32_t group = a << 18 | b << 12 | c << 6 | e;
            to[0] = (uint8_t)(group >> 16);
            to[1] = (uint8_t)(group >> 8);
            to[2] = (uint8_t)group;
            to += 3;
            p += 4;
        }
        if (p < end) to = base64_step(d, *p++, to);
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
        to[0] = (uint8_t)letters[group >> 18];
        to[1] = (uint8_t)letters[group >> 12 & 63];
        to[2] = (uint8_t)letters[group >> 6 & 63];
        to[3] = (uint8_t)letters[group & 63];
    }
    if (n) {
        uint32_t group = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
        to[0] = (uint8_t)letters[group >> 18];
        to[1] = (uint8_t)letters[group >> 12 & 63];
        to[2] = n == 2 ? (uint8_t)letters[group >> 6 & 63] : '=';
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
