/*
 * Dates: see mime_date.h. Any thread.
 */
#include <time.h>

#include "base/text.h"
#include "format/mime_date.h"

/* The next word: letters, digits, signs and colons; comments and commas are passed over. */
static bytes_t next_word(bytes_t *rest) {
    size_t i = 0, depth = 0, n = 0;
    for (; i < rest->n; i++) {
        uint8_t c = rest->p[i];
        if (c == '(') depth++;
        else if (c == ')' && depth) depth--;
        else if (!depth && c > ' ' && c != ',') break;
    }
    while (i + n < rest->n && rest->p[i + n] > ' ' && rest->p[i + n] != ',' &&
           rest->p[i + n] != '(')
        n++;
    bytes_t word = bytes_slice(*rest, i, n);
    *rest = bytes_from(*rest, i + n);
    return word;
}

static bool number(bytes_t text, size_t digits, int max, int *ret_value) {
    int value = 0;
    if (!text.n || text.n > digits) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        value = value * 10 + text.p[i] - '0';
    }
    *ret_value = value;
    return value <= max;
}

static bool month(bytes_t word, int *ret_month) {
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int i = 0; i < 12 && word.n == 3; i++)
        if (text_eq_fold(word, bytes_make(names + 3 * i, 3))) {
            *ret_month = i;
            return true;
        }
    return false;
}

static bool clock_time(bytes_t word, struct tm *tm) {
    bytes_t part;
    if (!text_split(&word, ':', &part) || !number(part, 2, 23, &tm->tm_hour)) return false;
    if (!text_split(&word, ':', &part) || !number(part, 2, 59, &tm->tm_min)) return false;
    return !text_split(&word, ':', &part) || number(part, 2, 60, &tm->tm_sec);
}

/* Minutes east of Greenwich; unknown names count as none (RFC 5322 section 4.3). */
static bool zone(bytes_t word, int *ret_minutes) {
    static const struct {
        const char *name;
        int hours;
    } names[] = {{"edt", -4}, {"est", -5}, {"cdt", -5}, {"cst", -6},
                 {"mdt", -6}, {"mst", -7}, {"pdt", -7}, {"pst", -8}};
    int value;
    *ret_minutes = 0;
    if (word.n == 5 && (word.p[0] == '+' || word.p[0] == '-')) {
        if (!number(bytes_from(word, 1), 4, 9999, &value)) return false;
        *ret_minutes = (value / 100 * 60 + value % 100) * (word.p[0] == '-' ? -1 : 1);
        return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_eq_fold(word, bytes_str(names[i].name))) *ret_minutes = names[i].hours * 60;
    return true;
}

bool mime_date_read(bytes_t value, int64_t *ret_unix) {
    struct tm tm = {0};
    int year, minutes;
    bytes_t word = next_word(&value);
    if (word.n && (word.p[0] < '0' || word.p[0] > '9'))
        word = next_word(&value); /* the day's name */
    if (!number(word, 2, 31, &tm.tm_mday) || !month(next_word(&value), &tm.tm_mon)) return false;
    word = next_word(&value);
    if (!number(word, 4, 9999, &year)) return false;
    if (word.n == 2) year += year < 50 ? 2000 : 1900;
    if (word.n == 3) year += 1900;
    tm.tm_year = year - 1900;
    if (!clock_time(next_word(&value), &tm) || !zone(next_word(&value), &minutes)) return false;
    *ret_unix = (int64_t)timegm(&tm) - (int64_t)minutes * 60;
    return true;
}
