/*
 * Credentials in headers: Authorization Basic (RFC 7617) and Bearer (RFC 6750), and the Cookie
 * header (RFC 6265 section 4.2). Pure; the input is foreign.
 */
#ifndef COFFER_HTTP_AUTH_H
#define COFFER_HTTP_AUTH_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * Decodes "Basic <base64>" into name and password, appended to the buffers (make the second one
 * with buf_init_secret). Another scheme: *ret_found false. ERR_INVALID when malformed, not UTF-8
 * or with control characters.
 */
err_t *http_auth_basic(bytes_t authorization, buf_t *ret_name, buf_t *ret_password,
                       bool *ret_found) WARN_UNUSED;
/* The token of "Bearer <token>", borrowed. Another scheme: *ret_found false. */
err_t *http_auth_bearer(bytes_t authorization, bytes_t *ret_token, bool *ret_found) WARN_UNUSED;

/* The value of a cookie, borrowed, without quotes. ERR_INVALID when it is there twice. */
err_t *http_cookie_get(bytes_t cookie_header, const char *name, bytes_t *ret_value,
                       bool *ret_found) WARN_UNUSED;

#endif
