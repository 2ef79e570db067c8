/*
 * See http_answer.h. coffer-courier's thread of watched mailboxes.
 */
#include "arrival/http_answer.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

void http_answer_init(http_answer_t *a) {
    *a = (http_answer_t){0};
    buf_init(&a->line, LIMIT_HTTP_ANSWER_LINE);
}

void http_answer_done(http_answer_t *a) {
    buf_done(&a->line);
    mem_free(a->cookie);
    a->cookie = NULL;
}

void http_answer_again(http_answer_t *a) {
    const char *name = a->cookie_name;
    char *cookie = STEAL(a->cookie);
    http_answer_done(a);
    http_answer_init(a);
    a->cookie_name = name;
    a->cookie = cookie;
}

bool http_answer_has_status(const http_answer_t *a) { return a->state > HTTP_ANSWER_FIELDS; }

/* ---- lines ---- */

/* RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ] */
static err_t *take_status(http_answer_t *a, bytes_t line) {
    uint64_t status = 0;
    bool starts =
        bytes_starts(line, BYTES_LIT("HTTP/1.1 ")) || bytes_starts(line, BYTES_LIT("HTTP/1.0 "));
    bytes_t digits = bytes_slice(line, 9, 3);
    err_t *e = starts && digits.n == 3 ? text_u64(digits, 999, &status) : NULL;
    if (e || status < 100) {
        err_free(e);
        return err_new(ERR_INVALID, "that is no HTTP server");
    }
    a->status = (unsigned)status;
    a->closes = line.p[7] == '0';
    a->state = HTTP_ANSWER_FIELDS;
    return NULL;
}

/* Whether a word of a list (RFC 9110 section 5.6.1) is in there, before any parameter. */
static bool lists(bytes_t value, bytes_t word) {
    bytes_t one;
    while (text_split(&value, ',', &one)) {
        one = text_trim(one);
        size_t n = 0;
        while (n < one.n && one.p[n] != ' ' && one.p[n] != ';') n++;
        if (text_eq_fold(bytes_slice(one, 0, n), word)) return true;
    }
    return false;
}

/* NAME=VALUE; attributes (RFC 6265 section 4.1). Only what may stand in a request is kept. */
static err_t *take_cookie(http_answer_t *a, bytes_t value) {
    bytes_t name = bytes_str(a->cookie_name);
    if (!name.n || !bytes_starts(value, name) || value.n <= name.n || value.p[name.n] != '=')
        return NULL;
    value = bytes_from(value, name.n + 1);
    value = bytes_slice(value, 0, bytes_find(value, ';'));
    bool fits = value.n > 0 && value.n <= LIMIT_HTTP_ANSWER_COOKIE;
    for (size_t i = 0; fits && i < value.n; i++)
        fits = value.p[i] > 0x20 && value.p[i] < 0x7f && value.p[i] != '"' && value.p[i] != ',';
    if (!fits) return NULL;
    char *copy = mem_strndup((const char *)value.p, value.n);
    if (!copy) return err_nomem();
    mem_free(a->cookie);
    a->cookie = copy;
    a->got_cookie = true;
    return NULL;
}

static err_t *take_length(http_answer_t *a, bytes_t value) {
    uint64_t left = 0;
    TRY_WRAP(err_recode(text_u64(value, INT64_MAX, &left), ERR_INVALID), "Content-Length");
    if (a->sized && left != a->left)
        return err_new(ERR_INVALID, "two lengths in one answer"); /* RFC 9112 section 6.3 */
    a->left = left;
    a->sized = true;
    return NULL;
}

static err_t *take_field(http_answer_t *a, bytes_t line) {
    size_t colon = bytes_find(line, ':');
    if (colon == 0 || colon == line.n)
        return err_new(ERR_INVALID, "a line without sense in a head");
    bytes_t name = bytes_slice(line, 0, colon), value = text_trim(bytes_from(line, colon + 1));
    uint64_t seconds = 0;
    if (text_eq_fold(name, BYTES_LIT("Content-Length"))) return take_length(a, value);
    if (text_eq_fold(name, BYTES_LIT("Set-Cookie"))) return take_cookie(a, value);
    if (text_eq_fold(name, BYTES_LIT("Transfer-Encoding"))) {
        if (!text_eq_fold(value, BYTES_LIT("chunked")))
            return err_new(ERR_INVALID, "an answer in another transfer encoding than chunked");
        a->chunked = true;
    } else if (text_eq_fold(name, BYTES_LIT("Content-Encoding"))) {
        if (!text_eq_fold(value, BYTES_LIT("identity")))
            return err_new(ERR_INVALID, "an answer that is compressed, which nobody asked for");
    } else if (text_eq_fold(name, BYTES_LIT("Connection"))) {
        if (lists(value, BYTES_LIT("close"))) a->closes = true;
        if (lists(value, BYTES_LIT("keep-alive"))) a->closes = false;
    } else if (text_eq_fold(name, BYTES_LIT("WWW-Authenticate"))) {
        a->basic = a->basic || lists(value, BYTES_LIT("Basic"));
        a->bearer = a->bearer || lists(value, BYTES_LIT("Bearer"));
    } else if (text_eq_fold(name, BYTES_LIT("Retry-After"))) {
        err_ignore(text_u64(value, LIMIT_EWS_PAUSE_S, &seconds)); /* or a date, or too long */
        a->retry_s = (int64_t)seconds;
    }
    return NULL;
}

/* The head has ended: what its body is like (RFC 9112 section 6.3). 1xx is only a word before. */
static err_t *end_head(http_answer_t *a) {
    if (a->status < 200) {
        if (a->status == 101) return err_new(ERR_INVALID, "another protocol, unasked");
        a->state = HTTP_ANSWER_STATUS;
        return NULL;
    }
    if (a->status == 204 || a->status == 304) a->state = HTTP_ANSWER_DONE;
    else if (a->chunked) a->state = HTTP_ANSWER_SIZE;
    else if (a->sized) a->state = a->left ? HTTP_ANSWER_LENGTH : HTTP_ANSWER_DONE;
    else {
        a->state = HTTP_ANSWER_OPEN;
        a->closes = true;
    }
    return NULL;
}

/* RFC 9112 section 7.1: hexadecimal digits, and extensions that mean nothing to us. */
static err_t *take_size(http_answer_t *a, bytes_t line) {
    uint64_t size = 0;
    size_t n = 0;
    for (; n < line.n; n++) {
        uint8_t c = line.p[n];
        unsigned digit = 0;
        if (c >= '0' && c <= '9') digit = c - '0';
        else if (c >= 'a' && c <= 'f') digit = c - 'a' + 10U;
        else if (c >= 'A' && c <= 'F') digit = c - 'A' + 10U;
        else break;
        if (size >> 56) return err_new(ERR_INVALID, "a chunk without measure");
        size = size << 4 | digit;
    }
    bytes_t rest = text_trim(bytes_from(line, n));
    if (n == 0 || (rest.n && rest.p[0] != ';'))
        return err_new(ERR_INVALID, "a chunk without a size");
    a->left = size;
    a->lines = 0;
    a->state = size ? HTTP_ANSWER_CHUNK : HTTP_ANSWER_TRAILER;
    return NULL;
}

static err_t *take_line(http_answer_t *a, bytes_t line) {
    if (++a->lines > LIMIT_HTTP_ANSWER_LINES)
        return err_new(ERR_LIMIT, "an answer with more than %d lines", LIMIT_HTTP_ANSWER_LINES);
    switch (a->state) {
    case HTTP_ANSWER_STATUS: return take_status(a, line);
    case HTTP_ANSWER_FIELDS: return line.n ? take_field(a, line) : end_head(a);
    case HTTP_ANSWER_SIZE: return take_size(a, line);
    case HTTP_ANSWER_BREAK:
        if (line.n) return err_new(ERR_INVALID, "a chunk longer than it says");
        a->state = HTTP_ANSWER_SIZE;
        return NULL;
    case HTTP_ANSWER_TRAILER:
        if (line.n == 0) a->state = HTTP_ANSWER_DONE;
        return NULL;
    case HTTP_ANSWER_LENGTH:
    case HTTP_ANSWER_CHUNK:
    case HTTP_ANSWER_OPEN:
    case HTTP_ANSWER_DONE: break;
    }
    return NULL;
}

static err_t *input_line(http_answer_t *a, bytes_t *data) {
    size_t n = bytes_find(*data, '\n');
    TRY(buf_add(&a->line, bytes_slice(*data, 0, n)));
    bool whole = n < data->n;
    *data = bytes_from(*data, n + 1);
    if (!whole) return NULL;
    bytes_t line = buf_bytes(&a->line);
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    TRY(take_line(a, line));
    buf_done(&a->line); /* nothing is held while it waits */
    buf_init(&a->line, LIMIT_HTTP_ANSWER_LINE);
    return NULL;
}

err_t *http_answer_input(http_answer_t *a, bytes_t *data, bytes_t *ret_body) {
    *ret_body = BYTES_NONE;
    switch (a->state) {
    case HTTP_ANSWER_STATUS:
    case HTTP_ANSWER_FIELDS:
    case HTTP_ANSWER_SIZE:
    case HTTP_ANSWER_BREAK:
    case HTTP_ANSWER_TRAILER: return input_line(a, data);
    case HTTP_ANSWER_LENGTH:
    case HTTP_ANSWER_CHUNK:
        *ret_body = bytes_slice(*data, 0, a->left < data->n ? (size_t)a->left : data->n);
        *data = bytes_from(*data, ret_body->n);
        a->left -= ret_body->n;
        if (a->left == 0)
            a->state = a->state == HTTP_ANSWER_CHUNK ? HTTP_ANSWER_BREAK : HTTP_ANSWER_DONE;
        return NULL;
    case HTTP_ANSWER_OPEN:
        *ret_body = *data;
        *data = BYTES_NONE;
        return NULL;
    case HTTP_ANSWER_DONE: break;
    }
    return NULL;
}
