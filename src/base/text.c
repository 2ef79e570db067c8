/*
 * Text encodings and numbers: see text.h. Pure.
 */
#include "base/text.h"

#include <stdio.h>
#include <time.h>

#include "base/mem.h"

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

err_t *text_hex(bytes_t data, buf_t *out) {
    static const char digits[] = "0123456789abcdef";
    if (data.n > SIZE_MAX / 2) return err_new(ERR_LIMIT, "too long for hex");
    TRY(buf_reserve(out, data.n * 2));
    for (size_t i = 0; i < data.n; i++) {
        out->p[out->n++] = (uint8_t)digits[data.p[i] >> 4];
        out->p[out->n++] = (uint8_t)digits[data.p[i] & 15];
    }
    return NULL;
}

err_t *text_unhex(bytes_t hex, buf_t *out) {
    if (hex.n % 2) return err_new(ERR_INVALID, "hex text has an odd number of digits");
    TRY(buf_reserve(out, hex.n / 2));
    size_t before = out->n;
    for (size_t i = 0; i < hex.n; i += 2) {
        int high = hex_value(hex.p[i]);
        int low = hex_value(hex.p[i + 1]);
        if (high < 0 || low < 0) {
            out->n = before;
            return err_new(ERR_INVALID, "not a hex digit at position %zu", i);
        }
        out->p[out->n++] = (uint8_t)(high << 4 | low);
    }
    return NULL;
}

err_t *text_hex_new(bytes_t data, char **ret_hex) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, data.n * 2);
    TRY(text_hex(data, &out));
    return buf_steal_str(&out, ret_hex);
}

static err_t *base64(bytes_t data, const char *alphabet, bool pad, buf_t *out) {
    if (data.n > SIZE_MAX / 2) return err_new(ERR_LIMIT, "too long for base64");
    TRY(buf_reserve(out, (data.n + 2) / 3 * 4));
    for (size_t i = 0; i < data.n; i += 3) {
        size_t left = data.n - i;
        uint32_t v = (uint32_t)data.p[i] << 16;
        if (left > 1) v |= (uint32_t)data.p[i + 1] << 8;
        if (left > 2) v |= data.p[i + 2];
        out->p[out->n++] = (uint8_t)alphabet[v >> 18];
        out->p[out->n++] = (uint8_t)alphabet[v >> 12 & 63];
        if (left > 1) out->p[out->n++] = (uint8_t)alphabet[v >> 6 & 63];
        else if (pad) out->p[out->n++] = '=';
        if (left > 2) out->p[out->n++] = (uint8_t)alphabet[v & 63];
        else if (pad) out->p[out->n++] = '=';
    }
    return NULL;
}

err_t *text_base64(bytes_t data, buf_t *out) {
    return base64(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true,
                  out);
}

err_t *text_base64url(bytes_t data, buf_t *out) {
    return base64(data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false,
                  out);
}

/* What each character stands for, plus one: a device's signature is decoded with every message. */
static const uint8_t base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['-'] = 63,
    ['/'] = 64, ['_'] = 64,
};

static bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Whole groups of four symbols from the start of text, without blanks; returns how many bytes of
 * text they were. out has room. */
static size_t unbase64_groups(bytes_t text, buf_t *out) {
    size_t i = 0;
    for (; text.n - i >= 4; i += 4) {
        uint32_t a = base64_values[text.p[i]], b = base64_values[text.p[i + 1]];
        uint32_t c = base64_values[text.p[i + 2]], d = base64_values[text.p[i + 3]];
        if (!a || !b || !c || !d) break;
        uint32_t v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        out->p[out->n++] = (uint8_t)(v >> 16);
        out->p[out->n++] = (uint8_t)(v >> 8);
        out->p[out->n++] = (uint8_t)v;
    }
    return i;
}

err_t *text_unbase64(bytes_t text, buf_t *out) {
    TRY(buf_reserve(out, text.n / 4 * 3 + 3));
    size_t before = out->n;
    uint32_t v = 0;
    size_t symbols = 0, padding = 0;
    for (size_t i = unbase64_groups(text, out); i < text.n; i++) {
        uint8_t c = text.p[i];
        if (is_space(c)) continue;
        int value = (int)base64_values[c] - 1;
        if (c == '=') {
            padding++;
        } else if (value < 0 || padding) {
            out->n = before;
            return err_new(ERR_INVALID, "not base64 at position %zu", i);
        } else {
            v = v << 6 | (uint32_t)value;
            if (++symbols % 4 == 0) {
                out->p[out->n++] = (uint8_t)(v >> 16);
                out->p[out->n++] = (uint8_t)(v >> 8);
                out->p[out->n++] = (uint8_t)v;
            }
        }
    }
    size_t tail = symbols % 4;
    if (tail == 1 || padding > 2 || (padding && (tail + padding) != 4)) {
        out->n = before;
        return err_new(ERR_INVALID, "base64 text is cut short");
    }
    if (tail == 2) out->p[out->n++] = (uint8_t)(v >> 4);
    if (tail == 3) {
        out->p[out->n++] = (uint8_t)(v >> 10);
        out->p[out->n++] = (uint8_t)(v >> 2);
    }
    return NULL;
}

err_t *text_unpercent(bytes_t text, bool plus_is_space, buf_t *out) {
    TRY(buf_reserve(out, text.n));
    size_t before = out->n;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '%') {
            int high = i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
            int low = i + 2 < text.n ? hex_value(text.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                out->n = before;
                return err_new(ERR_INVALID, "broken percent-encoding at position %zu", i);
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out->p[out->n++] = c;
    }
    return NULL;
}

err_t *text_percent(bytes_t text, buf_t *out) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) TRY(buf_add_byte(out, c));
        else TRY(buf_printf(out, "%%%02X", c));
    }
    return NULL;
}

err_t *text_u64(bytes_t text, uint64_t max, uint64_t *ret_value) {
    uint64_t value = 0;
    if (text.n == 0) return err_new(ERR_INVALID, "a number is missing");
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return err_new(ERR_INVALID, "not a whole number");
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return err_new(ERR_INVALID, "the number is too large");
        value = value * 10 + digit;
    }
    if (value > max)
        return err_new(ERR_INVALID, "the number is larger than %llu", (unsigned long long)max);
    *ret_value = value;
    return NULL;
}

err_t *text_i64(bytes_t text, int64_t *ret_value) {
    bool negative = text.n > 0 && text.p[0] == '-';
    uint64_t value = 0;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    TRY(text_u64(negative ? bytes_from(text, 1) : text, limit, &value));
    if (negative) *ret_value = value == limit ? INT64_MIN : -(int64_t)value;
    else *ret_value = (int64_t)value;
    return NULL;
}

/* Length of the UTF-8 sequence at `at`, its code point in *ret; 0 if malformed (RFC 3629). */
static size_t utf8_at(bytes_t t, size_t at, uint32_t *ret) {
    uint8_t c = t.p[at];
    size_t n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (n == 0 || at + n > t.n) return 0;
    uint32_t v = n == 1 ? c : (uint32_t)c & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((t.p[at + i] & 0xC0) != 0x80) return 0;
        v = v << 6 | (t.p[at + i] & 0x3Fu);
    }
    if ((n == 3 && v < 0x800) || (n == 4 && (v < 0x10000 || v > 0x10FFFF))) return 0;
    if (v >= 0xD800 && v <= 0xDFFF) return 0;
    *ret = v;
    return n;
}

/* Marks, embeddings, overrides and isolates of Unicode's UAX 9: a name with them can look like
 * another one. */
static bool turns_direction(uint32_t v) {
    return v == 0x061C || v == 0x200E || v == 0x200F || (v >= 0x202A && v <= 0x202E) ||
           (v >= 0x2066 && v <= 0x2069);
}

static bool utf8_check(bytes_t text, bool printable) {
    for (size_t i = 0; i < text.n;) {
        uint32_t v = 0;
        size_t n = utf8_at(text, i, &v);
        if (n == 0) return false;
        if (printable && (v < 0x20 || (v >= 0x7F && v < 0xA0) || turns_direction(v))) return false;
        i += n;
    }
    return true;
}

bool text_utf8_valid(bytes_t text) { return utf8_check(text, false); }
bool text_printable(bytes_t text) { return utf8_check(text, true); }

bool text_next(bytes_t *rest, uint32_t *ret_point) {
    if (!rest->n) return false;
    size_t n = utf8_at(*rest, 0, ret_point);
    if (!n) *ret_point = 0xFFFD;
    *rest = bytes_from(*rest, n ? n : 1);
    return true;
}

err_t *text_defuse(bytes_t text, bool lines, buf_t *out) {
    uint32_t v = 0;
    for (bytes_t rest = text, before = text; text_next(&rest, &v); before = rest) {
        bool control = v < 0x20 || (v >= 0x7F && v < 0xA0);
        if (turns_direction(v)) continue;
        if (v == 0xFFFD) TRY(buf_add_str(out, "\xEF\xBF\xBD"));
        else if (control && !(lines && (v == '\n' || v == '\t'))) TRY(buf_add_byte(out, ' '));
        else TRY(buf_add(out, bytes_slice(before, 0, before.n - rest.n)));
    }
    return NULL;
}

static uint8_t fold(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

bool text_eq_fold(bytes_t a, bytes_t b) {
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (fold(a.p[i]) != fold(b.p[i])) return false;
    return true;
}

void text_lower(char *text) {
    for (; *text; text++) *text = (char)fold((uint8_t)*text);
}

bytes_t text_trim(bytes_t text) {
    while (text.n && is_space(text.p[0])) text = bytes_from(text, 1);
    while (text.n && is_space(text.p[text.n - 1])) text.n--;
    return text;
}

bool text_split(bytes_t *rest, uint8_t separator, bytes_t *ret_field) {
    if (!rest->p) return false;
    size_t at = bytes_find(*rest, separator);
    *ret_field = bytes_make(rest->p, at);
    *rest = at < rest->n ? bytes_make(rest->p + at + 1, rest->n - at - 1) : BYTES_NONE;
    return true;
}

const char *text_time(int64_t unix_seconds, char out[TEXT_TIME_SIZE]) {
    time_t t = (time_t)unix_seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        memcpy(out, "-", 2);
    return out;
}

err_t *text_parse_time(bytes_t text, int64_t *ret_unix_seconds) {
    char copy[TEXT_TIME_SIZE];
    struct tm tm = {0};
    if (text.n != TEXT_TIME_SIZE - 1)
        return err_new(ERR_INVALID, "a time is written 2026-11-22T04:19:00Z");
    bytes_put(copy, text);
    copy[text.n] = '\0';
    const char *end = strptime(copy, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end) return err_new(ERR_INVALID, "a time is written 2026-11-22T04:19:00Z");
    *ret_unix_seconds = (int64_t)timegm(&tm);
    return NULL;
}

err_t *text_duration(bytes_t text, int64_t *ret_seconds) {
    uint64_t value = 0;
    int64_t unit = 0;
    if (text.n < 2) return err_new(ERR_INVALID, "a duration is written 90s, 15m, 12h, 30d or 2y");
    switch (text.p[text.n - 1]) {
    case 's': unit = 1; break;
    case 'm': unit = 60; break;
    case 'h': unit = 3600; break;
    case 'd': unit = 86400; break;
    case 'y': unit = 365 * 86400; break;
    default: return err_new(ERR_INVALID, "a duration is written 90s, 15m, 12h, 30d or 2y");
    }
    TRY(text_u64(bytes_make(text.p, text.n - 1), 1000000, &value));
    *ret_seconds = (int64_t)value * unit;
    return NULL;
}

const char *text_uuid(const uint8_t random[16], char out[TEXT_UUID_SIZE]) {
    uint8_t b[16];
    memcpy(b, random, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0F) | 0x40); /* version 4, RFC 4122 section 4.4 */
    b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
    (void)snprintf(out, TEXT_UUID_SIZE,
                   "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
    return out;
}
