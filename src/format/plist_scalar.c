/*
 * The text forms of a property list's numbers, dates and strings, independent of the locale that
 * some library may have set. Pure; any process, any thread.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/text.h"
#include "format/plist_internal.h"

enum { REAL_TEXT_MAX = 128 }; /* bytes of a number's text; exact doubles need about 60 */

static int digit_value(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

err_t *plist_integer_parse(bytes_t text, uint64_t *ret_bits, bool *ret_negative) {
    text = text_trim(text);
    bool minus = text.n && text.p[0] == '-';
    if (minus || (text.n && text.p[0] == '+')) text = bytes_from(text, 1);
    int base = 10;
    if (text.n > 2 && text.p[0] == '0' && (text.p[1] == 'x' || text.p[1] == 'X')) {
        base = 16;
        text = bytes_from(text, 2);
    }
    if (text.n == 0) return err_new(ERR_INVALID, "an integer without digits");
    uint64_t value = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = digit_value(text.p[i]);
        if (digit >= base) return err_new(ERR_INVALID, "not an integer");
        if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return err_new(ERR_INVALID, "the integer does not fit 64 bits");
    }
    if (minus && value > (uint64_t)INT64_MAX + 1)
        return err_new(ERR_INVALID, "the integer does not fit 64 bits");
    *ret_bits = minus ? 0 - value : value;
    *ret_negative = minus && value != 0;
    return NULL;
}

static bool is_named_real(const char *text) {
    if (*text == '+' || *text == '-') text++;
    return strcasecmp(text, "nan") == 0 || strcasecmp(text, "inf") == 0 ||
           strcasecmp(text, "infinity") == 0;
}

err_t *plist_real_parse(bytes_t text, double *ret_value) {
    char copy[REAL_TEXT_MAX + 1];
    text = text_trim(text);
    if (text.n == 0 || text.n > REAL_TEXT_MAX || bytes_has_nul(text))
        return err_new(ERR_INVALID, "not a real number");
    bytes_put(copy, text);
    copy[text.n] = '\0';
    bool named = is_named_real(copy);
    if (!named && strspn(copy, "0123456789+-.eE") != text.n)
        return err_new(ERR_INVALID, "not a real number");
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return err_nomem();
    char *end = NULL;
    double value = strtod_l(copy, &end, c);
    freelocale(c);
    if (end == copy || *end) return err_new(ERR_INVALID, "not a real number");
    if (!named && isinf(value)) return err_new(ERR_INVALID, "the real number is out of range");
    *ret_value = value;
    return NULL;
}

err_t *plist_real_write(double value, buf_t *out) {
    char text[REAL_TEXT_MAX];
    if (isnan(value)) return buf_add_str(out, "nan");
    if (isinf(value)) return buf_add_str(out, value > 0 ? "+infinity" : "-infinity");
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return err_nomem();
    locale_t before = uselocale(c);
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    (void)uselocale(before);
    freelocale(c);
    return buf_add_str(out, text);
}

static bool two_digits(const uint8_t *p, int *ret) {
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') return false;
    *ret = (p[0] - '0') * 10 + (p[1] - '0');
    return true;
}

err_t *plist_date_parse(bytes_t text, int64_t *ret_unix) {
    text = text_trim(text);
    static const char shape[] = "0000-00-00T00:00:00Z";
    int century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    bool ok = text.n == sizeof shape - 1;
    for (size_t i = 0; ok && i < text.n; i++)
        if (shape[i] != '0') ok = text.p[i] == (uint8_t)shape[i];
    ok = ok && two_digits(text.p, &century) && two_digits(text.p + 2, &year) &&
         two_digits(text.p + 5, &month) && two_digits(text.p + 8, &day) &&
         two_digits(text.p + 11, &hour) && two_digits(text.p + 14, &minute) &&
         two_digits(text.p + 17, &second);
    if (!ok) return err_new(ERR_INVALID, "a date is written 2026-11-22T04:19:00Z");
    struct tm tm = {.tm_year = century * 100 + year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    time_t t = timegm(&tm); /* normalises: 30 February becomes 2 March */
    if (tm.tm_mon != month - 1 || tm.tm_mday != day || tm.tm_hour != hour || tm.tm_min != minute ||
        tm.tm_sec != second)
        return err_new(ERR_INVALID, "no such date");
    *ret_unix = (int64_t)t;
    return NULL;
}

err_t *plist_date_write(int64_t unix_seconds, buf_t *out) {
    time_t t = (time_t)unix_seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        return err_new(ERR_INVALID, "a date outside of the years 0 to 9999");
    return buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                      tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

err_t *plist_check_text(bytes_t text) {
    if (!text_utf8_valid(text)) return err_new(ERR_INVALID, "text is not UTF-8");
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
            return err_new(ERR_INVALID, "text has the control character 0x%02x", c);
        if (c == 0xEF && text.n - i >= 3 && text.p[i + 1] == 0xBF && text.p[i + 2] >= 0xBE)
            return err_new(ERR_INVALID, "text has a character that XML excludes");
    }
    return NULL;
}
