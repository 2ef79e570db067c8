/*
 * What every API handler needs: bodies, pages, times, parameters.
 */
#include "program/web/api.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "http/query.h"

err_t *api_send(http_reply_t *reply, unsigned status, const json_t *json) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, LIMIT_HTTP_RESPONSE);
    TRY(jso_write(json, false, &out));
    TRY(buf_add_byte(&out, '\n'));
    return http_reply_body(reply, status, "application/json", &out);
}

err_t *api_body(const http_request_t *request, json_t **ret_object) {
    if (request->body.n == 0) return jso_object(ret_object);
    return jso_parse_object(request->body, ret_object);
}

err_t *api_page(http_request_t *request, const char **ret_after, size_t *ret_limit) {
    CLEANUP(buf_done) buf_t after;
    bool found = false;
    uint64_t limit = LIMIT_LIST_PAGE;
    bytes_t copy;
    buf_init(&after, LIMIT_NAME * 2);
    TRY(http_query_get(request->raw_query, "after", HTTP_PLUS_KEPT, &after, &found));
    TRY(http_query_u64(request->raw_query, "limit", LIMIT_LIST_PAGE, LIMIT_LIST_PAGE, &limit));
    TRY(arena_copy(request->arena, buf_bytes(&after), &copy));
    *ret_after = (const char *)copy.p;
    *ret_limit = limit ? (size_t)limit : 1;
    return NULL;
}

err_t *api_page_seq(http_request_t *request, int64_t start, int64_t *ret_after, size_t *ret_limit) {
    const char *text = NULL;
    uint64_t after = (uint64_t)start;
    TRY(api_page(request, &text, ret_limit));
    if (text[0]) TRY_WRAP(text_u64(bytes_str(text), INT64_MAX, &after), "after");
    *ret_after = (int64_t)after;
    return NULL;
}

err_t *api_set_next(json_t *object, size_t count, size_t limit, int64_t last) {
    char next[24];
    if (count == 0 || count < limit) return NULL;
    (void)snprintf(next, sizeof next, "%lld", (long long)last);
    return jso_set_str(object, "next", next);
}

err_t *api_set_ms(json_t *object, const char *name, int64_t unix_ms) {
    if (unix_ms == 0) return jso_set_null(object, name);
    return jso_set_time(object, name, unix_ms / 1000);
}

err_t *api_set_cert(json_t *object, const cert_t *cert) {
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, 2 * LIMIT_CERTIFICATE_BYTES);
    TRY(cert_pem(cert, &pem));
    TRY(jso_set_str(object, "subject", cert_subject(cert)));
    TRY(jso_set_str(object, "issuer", cert_issuer(cert)));
    TRY(jso_set_str(object, "serial", cert_serial_hex(cert)));
    TRY(jso_set_str(object, "sha256", cert_sha256_hex(cert)));
    TRY(jso_set_time(object, "not_before", cert_not_before(cert)));
    TRY(jso_set_time(object, "not_after", cert_not_after(cert)));
    return jso_set_string(object, "pem", buf_bytes(&pem));
}

err_t *api_param(http_request_t *request, const char *name, const char **ret_text) {
    bytes_t value = http_request_param(request, name), copy;
    if (value.n == 0 || value.n > LIMIT_NAME * 2 || !text_printable(value))
        return err_new(ERR_INVALID, "the path's %s is malformed", name);
    TRY(arena_copy(request->arena, value, &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

err_t *api_flag(const http_request_t *request, const char *name, bool *ret_flag) {
    CLEANUP(buf_done) buf_t value;
    bool found = false;
    buf_init(&value, 16);
    TRY(http_query_get(request->raw_query, name, HTTP_PLUS_KEPT, &value, &found));
    bytes_t v = buf_bytes(&value);
    *ret_flag =
        found && (bytes_eq_str(v, "1") || bytes_eq_str(v, "true") || bytes_eq_str(v, "yes"));
    return NULL;
}
