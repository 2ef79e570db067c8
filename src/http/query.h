/*
 * Names and values in a raw query or an application/x-www-form-urlencoded body: pairs apart by
 * '&', name from value by the first '='. Pure; the input is foreign.
 */
#ifndef COFFER_HTTP_QUERY_H
#define COFFER_HTTP_QUERY_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

typedef enum {
    HTTP_PLUS_KEPT,  /* '+' is itself: base64 in a SCEP query (macOS leaves it bare) */
    HTTP_PLUS_SPACE, /* '+' is a space: what browsers send */
} http_plus_t;

/* Takes the next pair off `rest`, still encoded; skips empty ones. False at the end. */
bool http_query_next(bytes_t *rest, bytes_t *ret_name, bytes_t *ret_value);

/*
 * The value of `name`, decoded, appended to out. Not there: *ret_found false. ERR_INVALID if it
 * is there twice or badly encoded; ERR_LIMIT when out's maximum is exceeded.
 */
err_t *http_query_get(bytes_t query, const char *name, http_plus_t plus, buf_t *out,
                      bool *ret_found) WARN_UNUSED;
/* The same, not decoded and borrowed from query. */
err_t *http_query_get_raw(bytes_t query, const char *name, bytes_t *ret_value,
                          bool *ret_found) WARN_UNUSED;
/* A decimal number; *ret_value is `otherwise` when it is not there. ERR_INVALID above max. */
err_t *http_query_u64(bytes_t query, const char *name, uint64_t max, uint64_t otherwise,
                      uint64_t *ret_value) WARN_UNUSED;

#endif
