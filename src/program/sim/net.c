/*
 * HTTP as a device speaks it: see net.h. Main thread, blocking.
 */
#include "program/sim/net.h"

#include "base/text.h"

enum { QUOTE_MAX = 200 };

static err_code_t code_of(unsigned status) {
    if (status == 401 || status == 403) return ERR_DENIED;
    if (status == 404 || status == 410) return ERR_NOT_FOUND;
    if (status == 409 || status == 429) return ERR_BUSY;
    if (status == 503) return ERR_UNAVAILABLE;
    return ERR_INVALID;
}

/* The answer's first line if people can read it. */
static bytes_t quote(const http_response_t *response) {
    bytes_t body = buf_bytes(&response->body);
    bytes_t type = BYTES_NONE;
    if (http_response_header(response, "content-type", &type) &&
        bytes_starts(type, BYTES_LIT("text/html")))
        return BYTES_LIT("a page");
    bytes_t line = text_trim(bytes_slice(body, 0, bytes_find(body, '\n')));
    line = bytes_slice(line, 0, QUOTE_MAX);
    return text_printable(line) ? line : BYTES_LIT("(not text)");
}

err_t *net_do(http_client_t *client, const char *what, const char *method, const char *url,
              const char *const *headers, bytes_t body, http_response_t *response) {
    TRY_WRAP(http_client_do(client, method, url, headers, body, response), "%s", what);
    if (response->status >= 200 && response->status < 400) return NULL;
    bytes_t said = quote(response);
    return err_new(code_of(response->status), "%s: %s %s answers %u: %.*s", what, method, url,
                   response->status, (int)said.n, (const char *)said.p);
}

bool net_has_type(const http_response_t *response, const char *type) {
    err_t *e = net_need_type(response, type);
    bool has = !e;
    err_free(e);
    return has;
}

err_t *net_need_type(const http_response_t *response, const char *type) {
    bytes_t value = BYTES_NONE;
    if (!http_response_header(response, "content-type", &value))
        return err_new(ERR_VERIFY, "the answer has no Content-Type, %s is expected", type);
    bytes_t media = text_trim(bytes_slice(value, 0, bytes_find(value, ';')));
    if (!text_eq_fold(media, bytes_str(type)))
        return err_new(ERR_VERIFY, "the answer's Content-Type is %.*s, not %s", (int)media.n,
                       (const char *)media.p, type);
    return NULL;
}
