/*
 * Replies: see reply.h.
 */
#include "smtp/reply.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"

smtp_status_t smtp_status(unsigned code, const char *enhanced, const char *format, ...) {
    smtp_status_t s = {.code = code};
    va_list args;
    (void)snprintf(s.enhanced, sizeof s.enhanced, "%s", enhanced);
    va_start(args, format);
    (void)vsnprintf(s.text, sizeof s.text, format, args);
    va_end(args);
    for (char *p = s.text; *p; p++)
        if (*p < ' ' || *p > '~') *p = '?';
    return s;
}

err_t *smtp_status_write(const smtp_status_t *s, buf_t *out) {
    return buf_printf(out, "%03u %s%s%s\r\n", s->code, s->enhanced, s->enhanced[0] ? " " : "",
                      s->text);
}

void smtp_reply_init(smtp_reply_t *reply) {
    *reply = (smtp_reply_t){0};
    buf_init(&reply->line, LIMIT_SMTP_REPLY_LINE);
    buf_init(&reply->text, LIMIT_SMTP_REPLY);
}

void smtp_reply_done(smtp_reply_t *reply) {
    buf_done(&reply->line);
    buf_done(&reply->text);
}

void smtp_reply_clear(smtp_reply_t *reply) {
    buf_clear(&reply->line);
    buf_clear(&reply->text);
    reply->code = reply->lines = 0;
}

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* One line without its end. */
static err_t *take_line(smtp_reply_t *r, bytes_t line, bool *ret_last) {
    bool good = line.n >= 3 && line.p[0] >= '2' && line.p[0] <= '5' && is_digit(line.p[1]) &&
                is_digit(line.p[2]);
    if (!good || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
        return err_new(ERR_INVALID, "what came is no reply of SMTP");
    unsigned code = (line.p[0] - '0') * 100U + (line.p[1] - '0') * 10U + (line.p[2] - '0');
    if (r->lines && code != r->code)
        return err_new(ERR_INVALID, "one reply has the codes %u and %u", r->code, code);
    r->code = code;
    r->lines++;
    TRY(buf_add(&r->text, bytes_from(line, 4)));
    TRY(buf_add_byte(&r->text, '\n'));
    *ret_last = line.n == 3 || line.p[3] == ' ';
    return NULL;
}

err_t *smtp_reply_feed(smtp_reply_t *r, bytes_t in, size_t *ret_used, bool *ret_done) {
    size_t used = 0;
    bool last = false;
    while (used < in.n && !last) {
        bytes_t rest = bytes_from(in, used);
        size_t end = bytes_find(rest, '\n');
        TRY_WRAP(buf_add(&r->line, bytes_slice(rest, 0, end)), "reply");
        if (end == rest.n) {
            used = in.n;
            break;
        }
        used += end + 1;
        bytes_t line = buf_bytes(&r->line);
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        TRY(take_line(r, line, &last));
        buf_clear(&r->line);
    }
    *ret_used = used;
    *ret_done = last;
    return NULL;
}

/* "5.7.1" at the front of a line: RFC 2034 section 4. Its length, 0 if there is none. */
static size_t enhanced_length(bytes_t line, unsigned code) {
    size_t n = bytes_find(line, ' '), dots = 0;
    if (n < 5 || n >= sizeof((smtp_status_t *)NULL)->enhanced || line.p[0] != code / 100 + '0')
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (line.p[i] == '.') dots++;
        else if (!is_digit(line.p[i])) return 0;
        if (line.p[i] == '.' && line.p[i - 1] == '.') return 0;
    }
    return dots == 2 && line.p[1] == '.' && line.p[n - 1] != '.' ? n : 0;
}

smtp_status_t smtp_reply_status(const smtp_reply_t *r) {
    smtp_status_t s = {.code = r->code};
    bytes_t rest = buf_bytes(&r->text), line = BYTES_NONE;
    size_t at = 0;
    bool first = true;
    while (text_split(&rest, '\n', &line)) {
        size_t n = enhanced_length(line, r->code);
        if (n && first) memcpy(s.enhanced, line.p, n);
        if (n) line = bytes_from(line, n + 1);
        if (!first && line.n && at + 1 < sizeof s.text) s.text[at++] = ' ';
        for (size_t i = 0; i < line.n && at + 1 < sizeof s.text; i++)
            s.text[at++] = line.p[i] >= ' ' && line.p[i] <= '~' ? (char)line.p[i] : '?';
        first = false;
    }
    return s;
}
