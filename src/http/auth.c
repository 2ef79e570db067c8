/*
 * Credentials in headers: see auth.h. Pure; the input is foreign.
 */
#include "http/auth.h"

#include "base/text.h"

/* What follows "<scheme> " (RFC 9110 section 11.4: any case, one or more spaces). */
static bool scheme_rest(bytes_t authorization, const char *scheme, bytes_t *ret_rest) {
    bytes_t value = text_trim(authorization);
    bytes_t name = bytes_str(scheme);
    if (value.n <= name.n || value.p[name.n] != ' ') return false;
    if (!text_eq_fold(bytes_slice(value, 0, name.n), name)) return false;
    *ret_rest = text_trim(bytes_from(value, name.n));
    return true;
}

err_t *http_auth_basic(bytes_t authorization, buf_t *ret_name, buf_t *ret_password,
                       bool *ret_found) {
    bytes_t encoded;
    if (!scheme_rest(authorization, "Basic", &encoded)) {
        *ret_found = false;
        return NULL;
    }
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, encoded.n + 4); /* text_unbase64 reserves in whole groups */
    TRY_WRAP(text_unbase64(encoded, &plain), "Authorization: Basic is malformed");
    bytes_t both = buf_bytes(&plain);
    size_t colon = bytes_find(both, ':');
    /* RFC 7617 section 2: no control characters, and the first colon ends the name. */
    if (colon == both.n || !text_printable(both))
        return err_new(ERR_INVALID, "Authorization: Basic is malformed");
    size_t before = ret_name->n;
    TRY(buf_add(ret_name, bytes_make(both.p, colon)));
    err_t *e = buf_add(ret_password, bytes_from(both, colon + 1));
    if (e) {
        ret_name->n = before;
        return e;
    }
    *ret_found = true;
    return NULL;
}

/* RFC 6750 section 2.1: b64token. */
static bool token_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~' || c == '+' || c == '/' || c == '=';
}

err_t *http_auth_bearer(bytes_t authorization, bytes_t *ret_token, bool *ret_found) {
    bytes_t token;
    if (!scheme_rest(authorization, "Bearer", &token)) {
        *ret_found = false;
        return NULL;
    }
    if (token.n == 0) return err_new(ERR_INVALID, "Authorization: Bearer is malformed");
    for (size_t i = 0; i < token.n; i++)
        if (!token_byte(token.p[i]))
            return err_new(ERR_INVALID, "Authorization: Bearer is malformed");
    *ret_token = token;
    *ret_found = true;
    return NULL;
}

err_t *http_cookie_get(bytes_t cookie_header, const char *name, bytes_t *ret_value,
                       bool *ret_found) {
    bytes_t rest = cookie_header;
    bytes_t pair;
    bytes_t value = BYTES_NONE;
    bool found = false;
    while (text_split(&rest, ';', &pair)) {
        pair = text_trim(pair);
        size_t equals = bytes_find(pair, '=');
        if (equals == pair.n || !bytes_eq_str(text_trim(bytes_slice(pair, 0, equals)), name))
            continue;
        if (found) return err_new(ERR_INVALID, "the cookie \"%s\" is there twice", name);
        value = text_trim(bytes_from(pair, equals + 1));
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = bytes_slice(value, 1, value.n - 2);
        found = true;
    }
    if (found) *ret_value = value;
    *ret_found = found;
    return NULL;
}
