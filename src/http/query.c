/*
 * Queries: see query.h. Pure; the input is foreign.
 */
#include "http/query.h"

#include "base/limits.h"
#include "base/text.h"

bool http_query_next(bytes_t *rest, bytes_t *ret_name, bytes_t *ret_value) {
    while (rest->n > 0) {
        size_t end = bytes_find(*rest, '&');
        bytes_t pair = bytes_make(rest->p, end);
        *rest = bytes_from(*rest, end + 1);
        if (pair.n == 0) continue;
        size_t equals = bytes_find(pair, '=');
        *ret_name = bytes_make(pair.p, equals);
        *ret_value = bytes_from(pair, equals + 1);
        return true;
    }
    return false;
}

/* Whether an encoded name is `name`; a badly encoded one is nobody's. */
static bool name_is(bytes_t encoded, const char *name, bool *ret_is, err_t **ret_error) {
    if (bytes_find(encoded, '%') == encoded.n && bytes_find(encoded, '+') == encoded.n) {
        *ret_is = bytes_eq_str(encoded, name);
        return true;
    }
    CLEANUP(buf_done) buf_t decoded;
    buf_init(&decoded, encoded.n);
    err_t *e = text_unpercent(encoded, true, &decoded);
    if (e && err_code(e) == ERR_NOMEM) {
        *ret_error = e;
        return false;
    }
    *ret_is = !e && bytes_eq_str(buf_bytes(&decoded), name);
    err_free(e);
    return true;
}

err_t *http_query_get_raw(bytes_t query, const char *name, bytes_t *ret_value, bool *ret_found) {
    bytes_t rest = query;
    bytes_t this_name;
    bytes_t this_value;
    bytes_t value = BYTES_NONE;
    bool found = false;
    while (http_query_next(&rest, &this_name, &this_value)) {
        bool is = false;
        err_t *e = NULL;
        if (!name_is(this_name, name, &is, &e)) return e;
        if (!is) continue;
        if (found) return err_new(ERR_INVALID, "\"%s\" is given twice", name);
        found = true;
        value = this_value;
    }
    if (found) *ret_value = value;
    *ret_found = found;
    return NULL;
}

err_t *http_query_get(bytes_t query, const char *name, http_plus_t plus, buf_t *out,
                      bool *ret_found) {
    bytes_t raw = BYTES_NONE;
    bool found = false;
    TRY(http_query_get_raw(query, name, &raw, &found));
    if (found)
        TRY_WRAP(text_unpercent(raw, plus == HTTP_PLUS_SPACE, out), "\"%s\" is badly encoded",
                 name);
    *ret_found = found;
    return NULL;
}

err_t *http_query_u64(bytes_t query, const char *name, uint64_t max, uint64_t otherwise,
                      uint64_t *ret_value) {
    bytes_t raw = BYTES_NONE;
    bool found = false;
    uint64_t value = otherwise;
    TRY(http_query_get_raw(query, name, &raw, &found));
    if (found) TRY_WRAP(text_u64(raw, max, &value), "\"%s\" is not a fitting number", name);
    *ret_value = value;
    return NULL;
}
