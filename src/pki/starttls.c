/*
 * STARTTLS dialogues: see starttls.h. In the courier's probe threads.
 */
#include "pki/starttls.h"

#include <string.h>

#include "base/text.h"

void starttls_init(starttls_t *s, starttls_kind_t kind) { *s = (starttls_t){.kind = kind}; }

static err_t *refused(bytes_t line) {
    char shown[81];
    size_t n = line.n < sizeof shown - 1 ? line.n : sizeof shown - 1;
    for (size_t i = 0; i < n; i++)
        shown[i] = line.p[i] >= 0x20 && line.p[i] < 0x7f ? (char)line.p[i] : '?';
    shown[n] = '\0';
    return err_new(ERR_INVALID, "the server refused STARTTLS: %s", shown);
}

/* Replies are of three digits; a dash behind them means that more lines come. */
static err_t *smtp_line(starttls_t *s, bytes_t line, buf_t *out, bool *ret_ready) {
    static const char *const expected[] = {"220", "250", "220"};
    static const char *const answers[] = {"EHLO coffer.invalid\r\n", "STARTTLS\r\n"};
    if (line.n < 3 || !bytes_starts(line, bytes_str(expected[s->step]))) return refused(line);
    if (line.n > 3 && line.p[3] == '-') return NULL;
    if (s->step == 2) {
        *ret_ready = true;
        return NULL;
    }
    return buf_add_str(out, answers[s->step++]);
}

static err_t *imap_line(starttls_t *s, bytes_t line, buf_t *out, bool *ret_ready) {
    if (s->step == 0) {
        if (!bytes_starts(line, BYTES_LIT("* OK"))) return refused(line);
        s->step = 1;
        return buf_add_str(out, "a1 STARTTLS\r\n");
    }
    if (bytes_starts(line, BYTES_LIT("* "))) return NULL;
    if (!bytes_starts(line, BYTES_LIT("a1 OK"))) return refused(line);
    *ret_ready = true;
    return NULL;
}

static err_t *step_lines(starttls_t *s, bytes_t in, buf_t *out, bool *ret_ready) {
    for (size_t i = 0; i < in.n; i++) {
        if (*ret_ready)
            return err_new(ERR_INVALID, "the server sent something between STARTTLS and TLS");
        if (in.p[i] != '\n') {
            if (s->line_n == sizeof s->line) return err_new(ERR_LIMIT, "a line is too long");
            s->line[s->line_n++] = in.p[i];
            continue;
        }
        if (++s->lines > LIMIT_STARTTLS_LINES) return err_new(ERR_LIMIT, "too many lines");
        bytes_t line = text_trim(bytes_make(s->line, s->line_n));
        s->line_n = 0;
        TRY(s->kind == STARTTLS_SMTP ? smtp_line(s, line, out, ret_ready)
                                     : imap_line(s, line, out, ret_ready));
    }
    return NULL;
}

/* Header of a BER element with a definite length; 0: more bytes are needed. */
static size_t ber_header(bytes_t in, uint8_t tag, size_t *ret_length) {
    if (in.n < 2 || in.p[0] != tag) return 0;
    if (in.p[1] < 0x80) {
        *ret_length = in.p[1];
        return 2;
    }
    size_t bytes = in.p[1] & 0x7f, length = 0;
    if (bytes == 0 || bytes > 4 || in.n < 2 + bytes) return 0;
    for (size_t i = 0; i < bytes; i++) length = length << 8 | in.p[2 + i];
    *ret_length = length;
    return 2 + bytes;
}

/* LDAPMessage { messageID 1, extendedResp { resultCode success, ... } } */
static err_t *ldap_judge(bytes_t message) {
    size_t n = 0, at = ber_header(message, 0x02, &n);
    if (!at || n > message.n - at) return err_new(ERR_INVALID, "this is no LDAP");
    bytes_t response = bytes_from(message, at + n);
    at = ber_header(response, 0x78, &n);
    bytes_t result = bytes_from(response, at);
    if (!at || result.n < 3 || result.p[0] != 0x0a || result.p[1] != 1)
        return err_new(ERR_INVALID, "this is no answer to StartTLS");
    if (result.p[2] != 0)
        return err_new(ERR_INVALID, "the server refused StartTLS: LDAP result %u", result.p[2]);
    return NULL;
}

static err_t *step_ldap(starttls_t *s, bytes_t in, buf_t *out, bool *ret_ready) {
    static const char request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
                                  "1.3.6.1.4.1.1466.20037";
    if (s->step == 0) {
        s->step = 1;
        TRY(buf_add(out, bytes_make(request, sizeof request - 1)));
    }
    if (in.n > sizeof s->line - s->line_n) return err_new(ERR_LIMIT, "an answer is too long");
    bytes_put(s->line + s->line_n, in);
    s->line_n += in.n;
    bytes_t have = bytes_make(s->line, s->line_n);
    size_t length = 0, at = ber_header(have, 0x30, &length);
    if (have.n && have.p[0] != 0x30) return err_new(ERR_INVALID, "this is no LDAP");
    if (at && length > sizeof s->line - at) return err_new(ERR_LIMIT, "an answer is too long");
    if (!at || have.n < at + length)
        return have.n > 6 && !at ? err_new(ERR_INVALID, "this is no LDAP") : NULL;
    if (have.n > at + length)
        return err_new(ERR_INVALID, "the server sent something between StartTLS and TLS");
    TRY(ldap_judge(bytes_from(have, at)));
    *ret_ready = true;
    return NULL;
}

err_t *starttls_step(starttls_t *s, bytes_t in, buf_t *out, bool *ret_ready) {
    bool ready = false;
    switch (s->kind) {
    case STARTTLS_NONE: ready = true; break;
    case STARTTLS_SMTP:
    case STARTTLS_IMAP: TRY(step_lines(s, in, out, &ready)); break;
    case STARTTLS_LDAP: TRY(step_ldap(s, in, out, &ready)); break;
    }
    *ret_ready = ready;
    return NULL;
}
