/*
 * AWS Signature Version 4: see sigv4.h. Pure.
 */
#include "store/blob/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"

enum { CANONICAL_MAX = 64 * 1024, SECRET_MAX = 1024 };

#define ALGORITHM "AWS4-HMAC-SHA256"

const char *sigv4_time(int64_t unix_seconds, char out[SIGV4_TIME]) {
    char text[TEXT_TIME_SIZE];
    (void)text_time(unix_seconds, text);
    size_t n = 0;
    for (const char *c = text; *c && n + 1 < SIGV4_TIME; c++)
        if (*c != '-' && *c != ':') out[n++] = *c;
    out[n] = '\0';
    return out;
}

err_t *sigv4_path(bytes_t path, buf_t *out) {
    bytes_t rest = path;
    for (;;) {
        size_t slash = bytes_find(rest, '/');
        TRY(text_percent(bytes_slice(rest, 0, slash), out));
        if (slash == rest.n) return NULL;
        TRY(buf_add_byte(out, '/'));
        rest = bytes_from(rest, slash + 1);
    }
}

/* ---- query ---- */

typedef struct {
    char *name, *value; /* encoded */
} param_t;

typedef struct {
    param_t params[SIGV4_PARAMS_MAX];
    size_t n;
} params_t;

static void params_done(params_t *params) {
    for (size_t i = 0; i < params->n; i++) {
        mem_free(params->params[i].name);
        mem_free(params->params[i].value);
    }
}
DEFINE_CLEANUP_VALUE(params_t, params_done)

static err_t *encoded(const char *text, char **ret_text) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, CANONICAL_MAX);
    TRY(text_percent(bytes_str(text), &out));
    return buf_steal_str(&out, ret_text);
}

static int by_param(const void *a, const void *b) {
    const param_t *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->value, y->value);
}

err_t *sigv4_query(const sigv4_pair_t *query, size_t n, buf_t *out) {
    CLEANUP(params_done) params_t params = {.n = 0};
    if (n > SIGV4_PARAMS_MAX) return err_new(ERR_LIMIT, "too many parameters");
    for (size_t i = 0; i < n; i++) {
        params.n = i + 1;
        TRY(encoded(query[i].name, &params.params[i].name));
        TRY(encoded(query[i].value, &params.params[i].value));
    }
    if (n) qsort(params.params, n, sizeof params.params[0], by_param);
    for (size_t i = 0; i < n; i++)
        TRY(buf_printf(out, "%s%s=%s", i ? "&" : "", params.params[i].name,
                       params.params[i].value));
    return NULL;
}

/* ---- headers ---- */

typedef struct {
    char name[64]; /* lower case */
    const char *value;
    size_t place; /* in the request: several of one name keep their order */
} header_t;

static int by_header(const void *a, const void *b) {
    const header_t *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order) return order;
    return x->place < y->place ? -1 : 1;
}

static err_t *sort_headers(const sigv4_request_t *request, header_t *headers) {
    if (request->headers_n == 0 || request->headers_n > SIGV4_HEADERS_MAX)
        return err_new(ERR_LIMIT, "%zu headers to sign", request->headers_n);
    for (size_t i = 0; i < request->headers_n; i++) {
        const sigv4_pair_t *pair = &request->headers[i];
        if (strlen(pair->name) >= sizeof headers[i].name)
            return err_new(ERR_LIMIT, "a header's name is too long");
        for (const char *c = pair->value; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return err_new(ERR_INVALID, "a header with a control character");
        (void)snprintf(headers[i].name, sizeof headers[i].name, "%s", pair->name);
        text_lower(headers[i].name);
        headers[i].value = pair->value;
        headers[i].place = i;
    }
    qsort(headers, request->headers_n, sizeof headers[0], by_header);
    return NULL;
}

/* A value without blanks at its ends; runs of blanks inside become one. */
static err_t *add_value(const char *value, buf_t *out) {
    bytes_t text = text_trim(bytes_str(value));
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != ' ' || text.p[i - 1] != ' ') TRY(buf_add_byte(out, text.p[i]));
    return NULL;
}

static err_t *add_headers(const header_t *headers, size_t n, buf_t *out) {
    for (size_t i = 0; i < n; i++) {
        bool again = i > 0 && strcmp(headers[i].name, headers[i - 1].name) == 0;
        if (again) TRY(buf_add_byte(out, ','));
        else TRY(buf_printf(out, "%s%s:", i ? "\n" : "", headers[i].name));
        TRY(add_value(headers[i].value, out));
    }
    return buf_add_byte(out, '\n');
}

static err_t *add_signed(const header_t *headers, size_t n, buf_t *out) {
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(headers[i].name, headers[i - 1].name) != 0)
            TRY(buf_printf(out, "%s%s", i ? ";" : "", headers[i].name));
    return NULL;
}

err_t *sigv4_canonical(const sigv4_request_t *request, buf_t *out) {
    header_t headers[SIGV4_HEADERS_MAX];
    TRY(sort_headers(request, headers));
    TRY(buf_printf(out, "%s\n%s\n", request->method, request->path));
    TRY(sigv4_query(request->query, request->query_n, out));
    TRY(buf_add_byte(out, '\n'));
    TRY(add_headers(headers, request->headers_n, out));
    TRY(buf_add_byte(out, '\n'));
    TRY(add_signed(headers, request->headers_n, out));
    return buf_printf(out, "\n%s", request->payload_sha256);
}

/* ---- signing ---- */

/* kSigning = HMAC(HMAC(HMAC(HMAC("AWS4" secret, date), region), service), "aws4_request"). */
static err_t *signing_key(const sigv4_request_t *request, const char *date, uint8_t key[32]) {
    CLEANUP(buf_done) buf_t secret;
    buf_init_secret(&secret, SECRET_MAX);
    TRY(buf_add_str(&secret, "AWS4"));
    TRY(buf_add(&secret, request->secret_key));
    uint8_t step[32];
    err_t *e = digest_hmac_sha256(buf_bytes(&secret), bytes_make(date, 8), step);
    if (!e) e = digest_hmac_sha256(BYTES_ARRAY(step), bytes_str(request->region), key);
    if (!e) e = digest_hmac_sha256(bytes_make(key, 32), bytes_str(request->service), step);
    if (!e) e = digest_hmac_sha256(BYTES_ARRAY(step), BYTES_LIT("aws4_request"), key);
    mem_wipe(step, sizeof step);
    return e;
}

static err_t *string_to_sign(const sigv4_request_t *request, const char *scope, const char *time,
                             buf_t *out) {
    CLEANUP(buf_done) buf_t canonical;
    buf_init(&canonical, CANONICAL_MAX);
    uint8_t hash[32];
    TRY(sigv4_canonical(request, &canonical));
    TRY(digest_sha256(buf_bytes(&canonical), hash));
    TRY(buf_printf(out, ALGORITHM "\n%s\n%s\n", time, scope));
    return text_hex(BYTES_ARRAY(hash), out);
}

static err_t *sign(const sigv4_request_t *request, const char *scope, const char *time,
                   uint8_t signature[32]) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, CANONICAL_MAX);
    uint8_t key[32];
    TRY(string_to_sign(request, scope, time, &text));
    err_t *e = signing_key(request, time, key);
    if (!e) e = digest_hmac_sha256(BYTES_ARRAY(key), buf_bytes(&text), signature);
    mem_wipe(key, sizeof key);
    return e;
}

err_t *sigv4_authorization(const sigv4_request_t *request, buf_t *out) {
    char time[SIGV4_TIME];
    uint8_t signature[32];
    header_t headers[SIGV4_HEADERS_MAX];
    (void)sigv4_time(request->time, time);
    CLEANUP(mem_free)
    char *scope = mem_printf("%.8s/%s/%s/aws4_request", time, request->region, request->service);
    if (!scope) return err_nomem();
    TRY(sign(request, scope, time, signature));
    TRY(sort_headers(request, headers));
    TRY(buf_printf(out, ALGORITHM " Credential=%s/%s,SignedHeaders=", request->access_key, scope));
    TRY(add_signed(headers, request->headers_n, out));
    TRY(buf_add_str(out, ",Signature="));
    return text_hex(BYTES_ARRAY(signature), out);
}
