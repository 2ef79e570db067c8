/*
 * Strict DER: see der_internal.h. X.690 sections 8 and 10. Runs wherever foreign certificates,
 * requests and messages arrive; any process, any thread, pure.
 */
#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "crypto/der_internal.h"

enum { CONSTRUCTED = 0x20, CLASS = 0xc0, HIGH_TAG = 0x1f, HEAD_MAX = 6 };

bool der_next(bytes_t *rest, der_t *ret_element) {
    bytes_t b = *rest;
    if (b.n < 2 || (b.p[0] & HIGH_TAG) == HIGH_TAG || b.p[0] == 0) return false;
    size_t head = 2, length = b.p[1];
    if (length >= 0x80) {
        size_t octets = length & 0x7f;
        if (octets == 0 || octets > 4 || b.n - 2 < octets || b.p[2] == 0) return false;
        length = 0;
        for (size_t i = 0; i < octets; i++) length = length << 8 | b.p[2 + i];
        if (length < 0x80) return false;
        head += octets;
    }
    if (length > b.n - head) return false;
    *ret_element = (der_t){b.p[0], bytes_make(b.p + head, length), bytes_make(b.p, head + length)};
    *rest = bytes_make(b.p + head + length, b.n - head - length);
    return true;
}

bool der_take(bytes_t *rest, uint8_t tag, bytes_t *ret_content) {
    der_t element;
    bytes_t after = *rest;
    if (!der_at(after, tag) || !der_next(&after, &element)) return false;
    *ret_content = element.content;
    *rest = after;
    return true;
}

bool der_take_whole(bytes_t *rest, uint8_t tag, bytes_t *ret_whole) {
    der_t element;
    bytes_t after = *rest;
    if (!der_at(after, tag) || !der_next(&after, &element)) return false;
    *ret_whole = element.whole;
    *rest = after;
    return true;
}

bool der_take_octets(bytes_t *rest, bytes_t *ret_octets) {
    bytes_t after = *rest, bits;
    if (!der_take(&after, DER_BIT_STRING, &bits) || bits.n == 0 || bits.p[0] != 0) return false;
    *ret_octets = bytes_from(bits, 1);
    *rest = after;
    return true;
}

bool der_take_unsigned(bytes_t *rest, bytes_t *ret_magnitude) {
    bytes_t after = *rest, number;
    if (!der_take(&after, DER_INTEGER, &number) || number.n == 0 || number.p[0] & 0x80)
        return false;
    if (number.n > 1 && number.p[0] == 0) number = bytes_from(number, 1);
    *ret_magnitude = number;
    *rest = after;
    return true;
}

bool der_is_integer(bytes_t c) {
    if (c.n == 0) return false;
    if (c.n == 1) return true;
    return !(c.p[0] == 0x00 && !(c.p[1] & 0x80)) && !(c.p[0] == 0xff && (c.p[1] & 0x80));
}

/* Every subidentifier ends, and none begins with a padding octet. */
bool der_is_oid(bytes_t c) {
    if (c.n == 0 || c.p[c.n - 1] & 0x80) return false;
    for (size_t i = 0; i < c.n; i++)
        if (c.p[i] == 0x80 && (i == 0 || !(c.p[i - 1] & 0x80))) return false;
    return true;
}

bool der_is_bits(bytes_t c) {
    if (c.n == 0 || c.p[0] > 7 || (c.n == 1 && c.p[0])) return false;
    return c.p[0] == 0 || !(c.p[c.n - 1] & ((1U << c.p[0]) - 1));
}

/* A universal type's form. */
static bool check_universal(const der_t *e) {
    bytes_t c = e->content;
    switch (e->tag) {
    case DER_BOOLEAN: return c.n == 1 && (c.p[0] == 0 || c.p[0] == 0xff);
    case DER_INTEGER:
    case DER_ENUMERATED: return der_is_integer(c);
    case DER_BIT_STRING: return der_is_bits(c);
    case DER_NULL: return c.n == 0;
    case DER_OID: return der_is_oid(c);
    case DER_BMP: return c.n % 2 == 0;
    case DER_UNIVERSAL: return c.n % 4 == 0;
    case DER_OCTET_STRING:
    case DER_UTF8:
    case DER_NUMERIC:
    case DER_PRINTABLE:
    case DER_T61:
    case DER_IA5:
    case DER_UTC_TIME:
    case DER_GENERALIZED_TIME:
    case DER_SEQUENCE:
    case DER_SET: return true;
    default: break;
    }
    /* REAL, VisibleString and the like: rare, but DER; only known constructed types may be so. */
    return !(e->tag & CONSTRUCTED);
}

bool der_check(bytes_t der) {
    bytes_t open[LIMIT_DER_DEPTH]; /* what is left of each constructed element */
    size_t depth = 0;
    bytes_t rest = der;
    do {
        der_t e;
        if (!der_next(&rest, &e)) return false;
        if ((e.tag & CLASS) == 0 && !check_universal(&e)) return false;
        if (depth == 0 && rest.n) return false;
        if (e.tag & CONSTRUCTED) {
            if (depth == LIMIT_DER_DEPTH) return false;
            open[depth++] = rest;
            rest = e.content;
        }
        while (rest.n == 0 && depth) rest = open[--depth];
    } while (rest.n);
    return true;
}

int der_compare(bytes_t a, bytes_t b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order) return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

/* Writes a head; returns its size in octets. */
static size_t write_head(uint8_t out[HEAD_MAX], uint8_t tag, size_t length) {
    out[0] = tag;
    if (length < 0x80) {
        out[1] = (uint8_t)length;
        return 2;
    }
    size_t octets = length > 0xffffff ? 4 : length > 0xffff ? 3 : length > 0xff ? 2 : 1;
    out[1] = (uint8_t)(0x80 | octets);
    for (size_t i = 0; i < octets; i++) out[2 + i] = (uint8_t)(length >> 8 * (octets - 1 - i));
    return 2 + octets;
}

err_t *der_put_head(buf_t *out, uint8_t tag, size_t length) {
    uint8_t head[HEAD_MAX];
    if (length > UINT32_MAX) return err_new(ERR_LIMIT, "DER element of %zu bytes", length);
    return buf_add(out, bytes_make(head, write_head(head, tag, length)));
}

err_t *der_put(buf_t *out, uint8_t tag, bytes_t content) {
    TRY(der_put_head(out, tag, content.n));
    return buf_add(out, content);
}

err_t *der_put_unsigned(buf_t *out, bytes_t magnitude) {
    while (magnitude.n > 1 && magnitude.p[0] == 0) magnitude = bytes_from(magnitude, 1);
    size_t sign = magnitude.n == 0 || magnitude.p[0] & 0x80 ? 1 : 0;
    TRY(der_put_head(out, DER_INTEGER, magnitude.n + sign));
    if (sign) TRY(buf_add_byte(out, 0));
    return buf_add(out, magnitude);
}

err_t *der_put_octets(buf_t *out, bytes_t octets) {
    TRY(der_put_head(out, DER_BIT_STRING, octets.n + 1));
    TRY(buf_add_byte(out, 0)); /* no unused bits */
    return buf_add(out, octets);
}

err_t *der_put_time(buf_t *out, int64_t unix_seconds) {
    struct tm tm;
    time_t seconds = (time_t)unix_seconds;
    if (!gmtime_r(&seconds, &tm) || tm.tm_year < 50 || tm.tm_year > 9999 - 1900)
        return err_new(ERR_USAGE, "time %lld can't be encoded", (long long)unix_seconds);
    bool utc = tm.tm_year < 150;
    char text[64];
    int n = snprintf(text, sizeof text, "%04d%02d%02d%02d%02d%02dZ", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (n != 15) return err_new(ERR_INTERNAL, "time of %d characters", n);
    size_t from = utc ? 2 : 0; /* UTCTime leaves the century out */
    return der_put(out, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME,
                   bytes_make(text + from, 15 - from));
}

err_t *der_insert(buf_t *out, size_t at, bytes_t data) {
    size_t n = out->n - at;
    TRY(buf_reserve(out, data.n));
    memmove(out->p + at + data.n, out->p + at, n);
    bytes_put(out->p + at, data);
    out->n += data.n;
    return NULL;
}

err_t *der_enclose(buf_t *out, size_t start, uint8_t tag) {
    uint8_t head[HEAD_MAX];
    size_t n = out->n - start;
    if (n > UINT32_MAX) return err_new(ERR_LIMIT, "DER element of %zu bytes", n);
    return der_insert(out, start, bytes_make(head, write_head(head, tag, n)));
}
