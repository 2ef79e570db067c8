/*
 * Encoded words (RFC 2047) and charsets. libc's iconv converts, but only from charsets on a list:
 * its other modules are loaded code that mail has no business to choose. Any thread.
 */
#include <errno.h>
#include <iconv.h>

#include "base/limits.h"
#include "base/text.h"
#include "format/mime_header.h"

enum { WORD_MAX = 1024 }; /* bytes of an encoded text; the standard says 75, senders don't listen */

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Names as mail writes them, and as iconv knows them. */
static const struct {
    const char *name, *iconv;
} charsets[] = {
    {"utf-16le", "UTF-16LE"},
    {"iso-8859-1", "WINDOWS-1252"}, /* as browsers do: C1 controls mean nothing in mail */
    {"latin1", "WINDOWS-1252"},
    {"us-ascii", "WINDOWS-1252"},
    {"ascii", "WINDOWS-1252"},
    {"windows-1252", "WINDOWS-1252"},
    {"cp1252", "WINDOWS-1252"},
    {"iso-8859-2", "ISO-8859-2"},
    {"iso-8859-3", "ISO-8859-3"},
    {"iso-8859-4", "ISO-8859-4"},
    {"iso-8859-5", "ISO-8859-5"},
    {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"},
    {"iso-8859-8", "ISO-8859-8"},
    {"iso-8859-9", "ISO-8859-9"},
    {"iso-8859-10", "ISO-8859-10"},
    {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"},
    {"iso-8859-15", "ISO-8859-15"},
    {"iso-8859-16", "ISO-8859-16"},
    {"windows-1250", "WINDOWS-1250"},
    {"windows-1251", "WINDOWS-1251"},
    {"windows-1253", "WINDOWS-1253"},
    {"windows-1254", "WINDOWS-1254"},
    {"windows-1255", "WINDOWS-1255"},
    {"windows-1256", "WINDOWS-1256"},
    {"windows-1257", "WINDOWS-1257"},
    {"windows-1258", "WINDOWS-1258"},
    {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},
    {"shift_jis", "SHIFT_JIS"},
    {"iso-2022-jp", "ISO-2022-JP"},
    {"euc-jp", "EUC-JP"},
    {"euc-kr", "EUC-KR"},
    {"ks_c_5601-1987", "EUC-KR"},
    {"gb2312", "GB18030"},
    {"gbk", "GB18030"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5"},
    {"tis-620", "TIS-620"},
};

/* UTF-8 with what isn't valid replaced, byte by byte. */
static err_t *add_utf8(bytes_t text, buf_t *out) {
    for (size_t i = 0; i < text.n;) {
        size_t n = text.p[i] < 0x80 ? 1 : text.p[i] < 0xe0 ? 2 : text.p[i] < 0xf0 ? 3 : 4;
        bytes_t one = bytes_slice(text, i, n);
        if (one.n == n && text_utf8_valid(one)) {
            TRY(buf_add(out, one));
            i += n;
        } else {
            TRY(buf_add_str(out, replacement));
            i++;
        }
    }
    return NULL;
}

static err_t *convert(iconv_t cd, bytes_t text, buf_t *out) {
    char *from = (char *)(uintptr_t)text.p;
    size_t left = text.n;
    while (left) {
        char chunk[512], *to = chunk;
        size_t room = sizeof chunk;
        size_t r = iconv(cd, &from, &left, &to, &room);
        int number = errno;
        TRY(buf_add(out, bytes_make(chunk, (size_t)(to - chunk))));
        if (r != (size_t)-1 || number == E2BIG) continue;
        TRY(buf_add_str(out, replacement)); /* EILSEQ, EINVAL: over this byte */
        from++;
        left--;
    }
    return NULL;
}

err_t *mime_charset_decode(bytes_t charset, bytes_t text, buf_t *out) {
    if (text_eq_fold(charset, BYTES_LIT("utf-8")) || text_eq_fold(charset, BYTES_LIT("utf8")))
        return add_utf8(text, out);
    for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++) {
        if (!text_eq_fold(charset, bytes_str(charsets[i].name))) continue;
        iconv_t cd = iconv_open("UTF-8", charsets[i].iconv);
        if (cd == (iconv_t)-1) break;
        err_t *e = convert(cd, text, out);
        (void)iconv_close(cd);
        return e;
    }
    return add_utf8(text, out);
}

typedef struct {
    bytes_t charset, text;
    bool base64;
    size_t n; /* bytes of the whole word */
} word_t;

/* =?charset?B?text?= at the beginning of text. RFC 2231 section 5 allows *language. */
static bool read_word(bytes_t text, word_t *ret_word) {
    word_t w;
    if (!bytes_starts(text, BYTES_LIT("=?"))) return false;
    bytes_t rest = bytes_from(text, 2);
    size_t n = bytes_find(rest, '?');
    if (!n || n + 2 >= rest.n || n > 64) return false;
    w.charset = bytes_make(rest.p, bytes_find(bytes_make(rest.p, n), '*'));
    uint8_t kind = (uint8_t)(rest.p[n + 1] | 0x20);
    if ((kind != 'b' && kind != 'q') || rest.p[n + 2] != '?') return false;
    w.base64 = kind == 'b';
    rest = bytes_from(rest, n + 3);
    rest = bytes_slice(rest, 0, WORD_MAX);
    for (n = 0; n + 1 < rest.n && !(rest.p[n] == '?' && rest.p[n + 1] == '='); n++)
        if (rest.p[n] == '\r' || rest.p[n] == '\n') return false;
    if (n + 1 >= rest.n) return false;
    w.text = bytes_make(rest.p, n);
    w.n = (size_t)(rest.p - text.p) + n + 2;
    *ret_word = w;
    return true;
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static err_t *decode_q(bytes_t text, buf_t *out) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '_') {
            c = ' ';
        } else if (c == '=' && i + 2 < text.n && hex_digit(text.p[i + 1]) >= 0 &&
                   hex_digit(text.p[i + 2]) >= 0) {
            c = (uint8_t)(hex_digit(text.p[i + 1]) * 16 + hex_digit(text.p[i + 2]));
            i += 2;
        }
        TRY(buf_add_byte(out, c));
    }
    return NULL;
}

/* The word's bytes. Bad base64 leaves what came before it out: it is shown as it stands. */
static err_t *word_bytes(const word_t *w, buf_t *out, bool *ret_good) {
    *ret_good = true;
    if (!w->base64) return decode_q(w->text, out);
    err_t *e = text_unbase64(w->text, out);
    if (!e) return NULL;
    if (err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    *ret_good = false;
    return NULL;
}

/* White space between two encoded words is not shown (RFC 2047 section 6.2). */
static size_t space_between_words(bytes_t text) {
    word_t w;
    size_t n = 0;
    while (n < text.n &&
           (text.p[n] == ' ' || text.p[n] == '\t' || text.p[n] == '\r' || text.p[n] == '\n'))
        n++;
    return n && read_word(bytes_from(text, n), &w) ? n : 0;
}

/* A run of words in one charset: a character may be cut between two of them. */
static err_t *decode_run(bytes_t *text, buf_t *out) {
    word_t w, next;
    bool good = true;
    CLEANUP(buf_done) buf_t bytes;
    buf_init(&bytes, LIMIT_MIME_HEADER);
    if (!read_word(*text, &w)) return NULL;
    bytes_t charset = w.charset, whole = *text;
    for (next = w; good;) {
        TRY(word_bytes(&next, &bytes, &good));
        *text = bytes_from(*text, next.n);
        size_t space = space_between_words(*text);
        if (!read_word(bytes_from(*text, space), &next) || !text_eq_fold(next.charset, charset)) {
            *text = bytes_from(*text, space);
            break;
        }
        *text = bytes_from(*text, space);
    }
    if (!good)
        return buf_add(
            out, bytes_make(whole.p, (size_t)(text->p ? text->p - whole.p : (ptrdiff_t)whole.n)));
    return mime_charset_decode(charset, buf_bytes(&bytes), out);
}

err_t *mime_words_decode(bytes_t value, buf_t *out) {
    word_t w;
    CLEANUP(buf_done) buf_t line;
    buf_init(&line, LIMIT_MIME_HEADER);
    TRY(mime_unfold(value, &line));
    bytes_t rest = buf_bytes(&line);
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && !(rest.p[n] == '=' && read_word(bytes_from(rest, n), &w))) n++;
        TRY(add_utf8(bytes_make(rest.p, n), out));
        rest = bytes_from(rest, n);
        if (rest.n) TRY(decode_run(&rest, out));
    }
    return NULL;
}
