/*
 * Answers and the one map from errors to statuses: see reply.h. Worker threads.
 */
#include "http/reply.h"

#include <stdio.h>
#include <strings.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

void http_reply_init(http_reply_t *reply) {
    *reply = (http_reply_t){.status = 200, .file = -1};
    buf_init(&reply->body, LIMIT_HTTP_RESPONSE);
}

void http_reply_done(http_reply_t *reply) {
    for (size_t i = 0; i < reply->headers_n; i++) {
        if (reply->headers[i].fixed) continue;
        mem_free(reply->headers[i].name);
        mem_free(reply->headers[i].value);
    }
    reply->headers_n = 0;
    buf_done(&reply->body);
    fd_close(reply->file);
    reply->file = -1;
    http_stream_free(reply->stream);
    reply->stream = NULL;
}

void http_reply_clear(http_reply_t *reply) {
    http_reply_done(reply);
    http_reply_init(reply);
}

/* RFC 9110 section 5.6.2: token. */
static bool name_ok(const char *name) {
    static const char extra[] = "!#$%&'*+-.^_`|~";
    if (!*name) return false;
    for (; *name; name++) {
        bool alnum = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                     (*name >= '0' && *name <= '9');
        if (!alnum && !strchr(extra, *name)) return false;
    }
    return true;
}

static bool value_ok(const char *value) {
    for (; *value; value++)
        if ((unsigned char)*value < 0x20 || *value == 0x7f) return false;
    return true;
}

err_t *http_reply_header(http_reply_t *reply, const char *name, const char *value) {
    if (!name_ok(name) || !value_ok(value)) return err_new(ERR_INVALID, "not a header line");
    if (reply->headers_n == HTTP_REPLY_HEADERS)
        return err_new(ERR_LIMIT, "the reply has too many headers");
    http_reply_header_t header = {.name = mem_strdup(name), .value = mem_strdup(value)};
    if (!header.name || !header.value) {
        mem_free(header.name);
        mem_free(header.value);
        return err_nomem();
    }
    reply->headers[reply->headers_n++] = header;
    return NULL;
}

static http_reply_header_t *header_find(const http_reply_t *reply, const char *name) {
    for (size_t i = 0; i < reply->headers_n; i++)
        if (strcasecmp(reply->headers[i].name, name) == 0)
            return (http_reply_header_t *)&reply->headers[i];
    return NULL;
}

err_t *http_reply_set_header(http_reply_t *reply, const char *name, const char *value) {
    http_reply_header_t *header = header_find(reply, name);
    if (!header) return http_reply_header(reply, name, value);
    if (!value_ok(value)) return err_new(ERR_INVALID, "not a header line");
    if (header->fixed) return err_new(ERR_INTERNAL, "this header stands already");
    char *copy = mem_strdup(value);
    if (!copy) return err_nomem();
    mem_free(header->value);
    header->value = copy;
    return NULL;
}

const char *http_reply_get_header(const http_reply_t *reply, const char *name) {
    const http_reply_header_t *header = header_find(reply, name);
    return header ? header->value : NULL;
}

static void drop_body(http_reply_t *reply) {
    buf_done(&reply->body);
    fd_close(reply->file);
    reply->file = -1;
    http_stream_free(reply->stream);
    reply->stream = NULL;
}

err_t *http_reply_body(http_reply_t *reply, unsigned status, const char *type, buf_t *body) {
    if (body->n > LIMIT_HTTP_RESPONSE) return err_new(ERR_LIMIT, "the reply is too large");
    if (type) TRY(http_reply_set_header(reply, "Content-Type", type));
    drop_body(reply);
    reply->status = status;
    reply->body = *body;
    *body = (buf_t){.max = body->max, .secret = body->secret};
    return NULL;
}

err_t *http_reply_bytes(http_reply_t *reply, unsigned status, const char *type, bytes_t body) {
    CLEANUP(buf_done) buf_t copy;
    buf_init(&copy, LIMIT_HTTP_RESPONSE);
    TRY(buf_add(&copy, body));
    return http_reply_body(reply, status, type, &copy);
}

err_t *http_reply_text(http_reply_t *reply, unsigned status, const char *text) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, LIMIT_HTTP_RESPONSE);
    TRY(buf_printf(&body, "%s\n", text));
    return http_reply_body(reply, status, "text/plain; charset=utf-8", &body);
}

err_t *http_reply_empty(http_reply_t *reply, unsigned status) {
    drop_body(reply);
    reply->status = status;
    return NULL;
}

err_t *http_reply_file(http_reply_t *reply, unsigned status, const char *type, int fd,
                       uint64_t offset, uint64_t size) {
    err_t *e = type ? http_reply_set_header(reply, "Content-Type", type) : NULL;
    if (e) {
        fd_close(fd);
        return e;
    }
    drop_body(reply);
    reply->status = status;
    reply->file = fd;
    reply->file_offset = offset;
    reply->file_size = size;
    return NULL;
}

err_t *http_reply_stream(http_reply_t *reply, unsigned status, const char *type,
                         http_stream_t *stream) {
    if (type) TRY(http_reply_set_header(reply, "Content-Type", type));
    drop_body(reply);
    http_stream_hold(stream);
    reply->status = status;
    reply->stream = stream;
    return NULL;
}

err_t *http_reply_redirect(http_reply_t *reply, const char *location) {
    TRY(http_reply_set_header(reply, "Location", location));
    return http_reply_empty(reply, 303);
}

err_t *http_reply_cookie(http_reply_t *reply, const char *name, const char *value,
                         int64_t max_age_s, bool secure) {
    if (!name_ok(name) || strpbrk(value, " \",;\\")) return err_new(ERR_INVALID, "not a cookie");
    char age[48] = "";
    if (max_age_s != 0)
        (void)snprintf(age, sizeof age, "; Max-Age=%lld",
                       (long long)(max_age_s < 0 ? 0 : max_age_s));
    CLEANUP(mem_free)
    char *line = mem_printf("%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s", name, value, age,
                            secure ? "; Secure" : "");
    if (!line) return err_nomem();
    return http_reply_header(reply, "Set-Cookie", line);
}

unsigned http_status(err_code_t code) {
    switch (code) {
    case ERR_INVALID:
    case ERR_USAGE: return 400;
    case ERR_AUTH: return 401;
    case ERR_DENIED:
    case ERR_VERIFY: return 403;
    case ERR_NOT_FOUND: return 404;
    case ERR_EXISTS: return 409;
    case ERR_LIMIT: return 413;
    case ERR_BUSY: return 429;
    case ERR_NOMEM:
    case ERR_UNAVAILABLE: return 503;
    case ERR_TIMEOUT: return 504;
    case ERR_FULL: return 507;
    case ERR_INTERNAL:
    case ERR_IO: return 500;
    }
    return 500;
}

const char *http_status_text(unsigned status) {
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 507: return "Insufficient Storage";
    default: return status < 400 ? "Done" : "Error";
    }
}

/* RFC 8259 section 7. What is not UTF-8 becomes '?': error texts quote foreign input. */
static err_t *add_json_string(buf_t *out, const char *text) {
    bool utf8 = text_utf8_valid(bytes_str(text));
    TRY(buf_add_byte(out, '"'));
    for (; *text; text++) {
        uint8_t c = (uint8_t)*text;
        if (c == '"' || c == '\\') {
            TRY(buf_printf(out, "\\%c", c));
        } else if (c < 0x20 || c == 0x7f || (c > 0x7f && !utf8)) {
            TRY(buf_add_str(out, c < 0x20 ? " " : "?"));
        } else {
            TRY(buf_add_byte(out, c));
        }
    }
    return buf_add_byte(out, '"');
}

static err_t *error_body(const char *code, const char *message, const char *id, bool json,
                         buf_t *out) {
    if (!json) return buf_printf(out, "%s\n", message);
    TRY(buf_add_str(out, "{\"error\": {\"code\": "));
    TRY(add_json_string(out, code));
    TRY(buf_add_str(out, ", \"message\": "));
    TRY(add_json_string(out, message));
    TRY(buf_add_str(out, ", \"request\": "));
    TRY(add_json_string(out, id));
    return buf_add_str(out, "}}\n");
}

/* How much the caller is told: all where the input is his, one sentence where it would teach an
 * attacker, nothing where the fault is ours. */
static void error_message(const err_t *e, unsigned status, const char *id, char *out, size_t size) {
    if (status >= 500) (void)snprintf(out, size, "%s (request %s)", http_status_text(status), id);
    else if (err_code(e) == ERR_AUTH || err_code(e) == ERR_VERIFY)
        (void)snprintf(out, size, "%s", err_message(e));
    else (void)err_text(e, out, size);
}

static err_t *error_fill(http_reply_t *reply, const err_t *e, const char *id, bool json) {
    char message[1024];
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, LIMIT_HTTP_RESPONSE);
    unsigned status = http_status(err_code(e));
    error_message(e, status, id, message, sizeof message);
    TRY(error_body(err_code_name(err_code(e)), message, id, json, &body));
    TRY(http_reply_body(reply, status, json ? "application/json" : "text/plain; charset=utf-8",
                        &body));
    if (status == 429 || status == 503) TRY(http_reply_header(reply, "Retry-After", "2"));
    return NULL;
}

void http_reply_error(http_reply_t *reply, const err_t *e, const char *request_id, bool json) {
    http_reply_clear(reply);
    err_t *failed = error_fill(reply, e, request_id ? request_id : "-", json);
    if (failed) {
        http_reply_clear(reply);
        reply->status = http_status(err_code(e));
    }
    err_free(failed);
}

/* Without a copy: most replies have these and nothing else. */
static err_t *add_fixed(http_reply_t *reply, const char *name, const char *value) {
    if (reply->headers_n == HTTP_REPLY_HEADERS)
        return err_new(ERR_LIMIT, "the reply has too many headers");
    reply->headers[reply->headers_n++] = (http_reply_header_t){
        .name = (char *)(uintptr_t)name, .value = (char *)(uintptr_t)value, .fixed = true};
    return NULL;
}

err_t *http_reply_security(http_reply_t *reply, bool hsts) {
    static const char *const defaults[][2] = {
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
    };
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
        if (!header_find(reply, defaults[i][0]))
            TRY(add_fixed(reply, defaults[i][0], defaults[i][1]));
    if (hsts && !header_find(reply, "Strict-Transport-Security"))
        TRY(add_fixed(reply, "Strict-Transport-Security", "max-age=31536000"));
    return NULL;
}
