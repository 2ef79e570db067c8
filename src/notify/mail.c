/*
 * Composing mails: see mail.h. RFC 5322, RFC 2045 section 6.7, RFC 2047. In the courier's mail
 * thread.
 */
#include "notify/mail.h"

#include <stdio.h>
#include <time.h>

#include "base/limits.h"
#include "base/text.h"
#include "crypto/digest.h"

enum {
    LINE_MAX_CHARS = 76, /* RFC 2045: of a quoted-printable line; RFC 2047: of an encoded word */
    WORD_BYTES = 42,     /* make 56 characters of base64, 68 with =?UTF-8?B? and ?= */
    LOCAL_PART_MAX = 64, /* RFC 5321 section 4.5.3.1.1 */
    ID_BYTES = 16,       /* of a digest, in the Message-ID */
};

static bool is_control(uint8_t c) { return c < 0x20 || c == 0x7f; }

static bool is_atom(uint8_t c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return c && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL;
}

static bool is_domain(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.';
}

/* Not empty, no dot at an end, no two in a row. */
static bool dots_fit(bytes_t part) {
    if (part.n == 0 || part.p[0] == '.' || part.p[part.n - 1] == '.') return false;
    for (size_t i = 1; i < part.n; i++)
        if (part.p[i] == '.' && part.p[i - 1] == '.') return false;
    return true;
}

err_t *mail_address_check(const char *address) {
    bytes_t all = bytes_str(address);
    size_t at = bytes_find(all, '@');
    bytes_t local = bytes_slice(all, 0, at), domain = bytes_from(all, at + 1);
    bool fits = all.n <= LIMIT_EMAIL && local.n <= LOCAL_PART_MAX && dots_fit(local) &&
                dots_fit(domain) && domain.p[0] != '-';
    for (size_t i = 0; fits && i < local.n; i++) fits = is_atom(local.p[i]);
    for (size_t i = 0; fits && i < domain.n; i++) fits = is_domain(domain.p[i]);
    if (!fits) return err_new(ERR_INVALID, "this is no mail address: %.*s", 80, address);
    return NULL;
}

const char *mail_date(int64_t unix_seconds, char out[MAIL_DATE_SIZE]) {
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    time_t seconds = (time_t)unix_seconds;
    if (!gmtime_r(&seconds, &tm) || tm.tm_year < -1899 || tm.tm_year > 8099) {
        seconds = 0;
        (void)gmtime_r(&seconds, &tm);
    }
    (void)snprintf(out, MAIL_DATE_SIZE, "%s, %02d %s %04d %02d:%02d:%02d +0000",
                   days[(unsigned)tm.tm_wday % 7], tm.tm_mday, months[(unsigned)tm.tm_mon % 12],
                   tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out;
}

/* ---- headers ---- */

/* Printable ASCII that nobody takes for an encoded word. */
static bool is_plain(bytes_t text) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] >= 0x7f || text.p[i] < 0x20) return false;
        if (text.p[i] == '=' && i + 1 < text.n && text.p[i + 1] == '?') return false;
    }
    return true;
}

/* Folds before a space when the line would become too long; a word too long for a line of its own
 * isn't plain. */
static err_t *fold_plain(buf_t *out, bytes_t text, size_t column) {
    while (text.n) {
        size_t word = 1; /* with the space before it */
        while (word < text.n && text.p[word] != ' ') word++;
        if (column + word > LINE_MAX_CHARS && text.p[0] == ' ') {
            TRY(buf_add_str(out, "\r\n"));
            column = 0;
        }
        TRY(buf_add(out, bytes_slice(text, 0, word)));
        column += word;
        text = bytes_from(text, word);
    }
    return NULL;
}

static bool has_long_word(bytes_t text) {
    size_t word = 0;
    for (size_t i = 0; i < text.n; i++) {
        word = text.p[i] == ' ' ? 0 : word + 1;
        if (word > LINE_MAX_CHARS / 2) return true;
        /* A line of spaces alone would end the header for some readers. */
        if (text.p[i] == ' ' && (i == 0 || text.p[i - 1] == ' ')) return true;
    }
    return text.n > 0 && text.p[text.n - 1] == ' ';
}

/* How many bytes from the start make whole characters, at most WORD_BYTES. */
static size_t word_bytes(bytes_t text) {
    if (text.n <= WORD_BYTES) return text.n;
    size_t n = WORD_BYTES;
    while (n > 1 && (text.p[n] & 0xc0) == 0x80) n--;
    return n;
}

static err_t *encode_words(buf_t *out, bytes_t text) {
    for (bool first = true; text.n; first = false) {
        size_t n = word_bytes(text);
        if (!first) TRY(buf_add_str(out, "\r\n "));
        TRY(buf_add_str(out, "=?UTF-8?B?"));
        TRY(text_base64(bytes_slice(text, 0, n), out));
        TRY(buf_add_str(out, "?="));
        text = bytes_from(text, n);
    }
    return NULL;
}

err_t *mail_header(buf_t *out, const char *name, bytes_t text) {
    CLEANUP(buf_done) buf_t clean;
    buf_init(&clean, text.n + 1);
    TRY(buf_add(&clean, text));
    for (size_t i = 0; i < clean.n; i++)
        if (is_control(clean.p[i])) clean.p[i] = ' ';
    bytes_t safe = buf_bytes(&clean);
    TRY(buf_printf(out, "%s: ", name));
    if (is_plain(safe) && !has_long_word(safe)) TRY(fold_plain(out, safe, strlen(name) + 2));
    else TRY(encode_words(out, safe));
    return buf_add_str(out, "\r\n");
}

/* ---- body ---- */

static bool stands_for_itself(uint8_t c, bool last) {
    if (c == ' ' || c == '\t') return !last;
    return c > 0x20 && c < 0x7f && c != '=';
}

static err_t *quote_line(buf_t *out, bytes_t line) {
    size_t column = 0;
    /* mbox readers split at this, some servers at a lone dot */
    bool guard = bytes_starts(line, BYTES_LIT("From ")) || bytes_starts(line, BYTES_LIT("."));
    for (size_t i = 0; i < line.n; i++) {
        bool plain = stands_for_itself(line.p[i], i + 1 == line.n) && !(guard && i == 0);
        size_t need = plain ? 1 : 3;
        if (column + need > LINE_MAX_CHARS - 1) {
            TRY(buf_add_str(out, "=\r\n"));
            column = 0;
        }
        if (plain) TRY(buf_add_byte(out, line.p[i]));
        else TRY(buf_printf(out, "=%02X", line.p[i]));
        column += need;
    }
    return buf_add_str(out, "\r\n");
}

err_t *mail_quoted_printable(buf_t *out, bytes_t text) {
    bytes_t line;
    if (text.n && text.p[text.n - 1] == '\n') text.n--;
    while (text_split(&text, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        TRY(quote_line(out, line));
    }
    return NULL;
}

/* ---- the whole ---- */

static err_t *message_id(const mail_t *mail, buf_t *out) {
    CLEANUP(buf_done) buf_t what;
    uint8_t digest[DIGEST_SHA256_SIZE];
    bytes_t from = bytes_str(mail->from);
    bytes_t domain = bytes_from(from, bytes_find(from, '@') + 1);
    buf_init(&what, LIMIT_NOTICE_KEY + LIMIT_EMAIL + 1);
    TRY(buf_printf(&what, "%s\n%s", mail->key, mail->to));
    TRY(digest_sha256(buf_bytes(&what), digest));
    TRY(buf_add_str(out, "Message-ID: <coffer-"));
    TRY(text_hex(bytes_make(digest, ID_BYTES), out));
    return buf_printf(out, "@%.*s>\r\n", (int)domain.n, (const char *)domain.p);
}

static err_t *from_header(const mail_t *mail, buf_t *out) {
    if (!mail->from_name[0]) return buf_printf(out, "From: <%s>\r\n", mail->from);
    CLEANUP(buf_done) buf_t name;
    buf_init(&name, LIMIT_NOTICE_SUBJECT * 8);
    /* Always encoded: a phrase has more rules than a text, and encoded words keep them all. */
    TRY(buf_add_str(&name, mail->from_name));
    for (size_t i = 0; i < name.n; i++)
        if (is_control(name.p[i])) name.p[i] = ' ';
    TRY(buf_add_str(out, "From: "));
    TRY(encode_words(out, buf_bytes(&name)));
    return buf_printf(out, "\r\n <%s>\r\n", mail->from);
}

err_t *mail_compose(const mail_t *mail, buf_t *out) {
    char date[MAIL_DATE_SIZE];
    TRY_WRAP(mail_address_check(mail->from), "sender");
    TRY_WRAP(mail_address_check(mail->to), "recipient");
    if (!text_utf8_valid(bytes_str(mail->subject)) || !text_utf8_valid(bytes_str(mail->text)) ||
        !text_utf8_valid(bytes_str(mail->from_name)))
        return err_new(ERR_INVALID, "a mail's text is not UTF-8");
    TRY(from_header(mail, out));
    TRY(buf_printf(out, "To: <%s>\r\n", mail->to));
    TRY(mail_header(out, "Subject", bytes_str(mail->subject)));
    TRY(buf_printf(out, "Date: %s\r\n", mail_date(mail->date, date)));
    TRY(message_id(mail, out));
    TRY(buf_add_str(out, "MIME-Version: 1.0\r\n"
                         "Content-Type: text/plain; charset=utf-8\r\n"
                         "Content-Transfer-Encoding: quoted-printable\r\n"
                         "Auto-Submitted: auto-generated\r\n\r\n")); /* RFC 3834 section 5 */
    return mail_quoted_printable(out, bytes_str(mail->text));
}
