/*
 * What a request carries: see request.h. Pure; the input is foreign.
 */
#include "http/request.h"

#include "base/limits.h"
#include "base/text.h"

bool http_request_header(const http_request_t *request, const char *name, bytes_t *ret_value) {
    for (size_t i = 0; i < request->headers_n; i++) {
        if (!text_eq_fold(request->headers[i].name, bytes_str(name))) continue;
        *ret_value = request->headers[i].value;
        return true;
    }
    return false;
}

err_t *http_request_header_once(const http_request_t *request, const char *name, bytes_t *ret_value,
                                bool *ret_found) {
    size_t found = 0;
    bytes_t value = BYTES_NONE;
    for (size_t i = 0; i < request->headers_n; i++) {
        if (!text_eq_fold(request->headers[i].name, bytes_str(name))) continue;
        value = request->headers[i].value;
        found++;
    }
    if (found > 1) return err_new(ERR_INVALID, "more than one %s header", name);
    if (found) *ret_value = value;
    *ret_found = found == 1;
    return NULL;
}

bytes_t http_request_param(const http_request_t *request, const char *name) {
    for (size_t i = 0; i < request->params_n; i++)
        if (bytes_eq_str(request->params[i].name, name)) return request->params[i].value;
    return BYTES_NONE;
}

bool http_request_is_type(const http_request_t *request, const char *type) {
    bytes_t value;
    if (!http_request_header(request, "Content-Type", &value)) return false;
    bytes_t media = text_trim(bytes_slice(value, 0, bytes_find(value, ';')));
    return text_eq_fold(media, bytes_str(type));
}

/* Cuts "http://host" off an absolute-form target, which a proxy may send. */
static bytes_t target_origin(bytes_t target) {
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        bytes_t scheme = bytes_str(schemes[i]);
        if (target.n < scheme.n || !text_eq_fold(bytes_slice(target, 0, scheme.n), scheme))
            continue;
        bytes_t rest = bytes_from(target, scheme.n);
        size_t end = 0;
        while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?') end++;
        return bytes_from(rest, end);
    }
    return target;
}

/* An encoded slash would move a segment's border between us and whoever stands before us. */
static bool has_encoded_slash(bytes_t raw) {
    for (size_t i = 0; i + 2 < raw.n; i++)
        if (raw.p[i] == '%' && raw.p[i + 1] == '2' && (raw.p[i + 2] == 'f' || raw.p[i + 2] == 'F'))
            return true;
    return false;
}

static err_t *path_check(bytes_t path) {
    if (path.n == 0 || path.p[0] != '/')
        return err_new(ERR_INVALID, "the path does not begin with a slash");
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] < 0x20 || path.p[i] == 0x7f)
            return err_new(ERR_INVALID, "the path has a control character");
    bytes_t rest = bytes_from(path, 1);
    bytes_t segment;
    while (text_split(&rest, '/', &segment)) {
        if (bytes_eq(segment, BYTES_LIT(".")) || bytes_eq(segment, BYTES_LIT("..")))
            return err_new(ERR_INVALID, "the path has a \"%.*s\" segment", (int)segment.n,
                           (const char *)segment.p);
    }
    return NULL;
}

err_t *http_target_parse(bytes_t target, buf_t *path_out, bytes_t *ret_raw_query) {
    bytes_t origin = target_origin(target);
    size_t mark = bytes_find(origin, '?');
    bytes_t raw_path = bytes_slice(origin, 0, mark);
    bytes_t query = bytes_from(origin, mark + 1);
    if (query.n > LIMIT_HTTP_QUERY) return err_new(ERR_LIMIT, "the query is too long");
    if (raw_path.n == 0 && origin.n != target.n) raw_path = BYTES_LIT("/");
    /* OCSP puts base64 into the path and encodes its slashes (RFC 6960 appendix A.1). */
    if (has_encoded_slash(raw_path) && !bytes_starts(raw_path, BYTES_LIT("/ocsp/")))
        return err_new(ERR_INVALID, "the path has an encoded slash");
    size_t before = path_out->n;
    TRY_WRAP(text_unpercent(raw_path, false, path_out), "the path is badly encoded");
    err_t *e = path_check(bytes_from(buf_bytes(path_out), before));
    if (e) {
        path_out->n = before;
        return e;
    }
    *ret_raw_query = query;
    return NULL;
}
