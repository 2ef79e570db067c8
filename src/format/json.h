/*
 * JSON (RFC 8259): a façade over jansson with limits, typed getters and builders that return
 * err_t. The type is jansson's own json_t, whose reference counts stay: "borrowed" below means
 * the reference is not counted, "takes" that the caller's reference is given away, also when
 * the call fails. Pure, no I/O. A value belongs to one thread.
 */
#ifndef COFFER_FORMAT_JSON_H
#define COFFER_FORMAT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * Seeds jansson's hash tables from the kernel's randomness. Each process calls it once before it
 * sandboxes itself; afterwards the random device may be out of reach.
 */
void jso_init(void);

/* Lifecycle. */

/*
 * Reads one object or array. ERR_INVALID with line and column for malformed text, invalid UTF-8,
 * \u0000 and duplicate members; ERR_LIMIT past LIMIT_JSON_BYTES or LIMIT_JSON_DEPTH. The caller
 * owns the value.
 */
err_t *jso_parse(bytes_t text, json_t **ret_json) WARN_UNUSED;
/* The same with a limit of one's own, for answers of our own servers. */
err_t *jso_parse_max(bytes_t text, size_t max, json_t **ret_json) WARN_UNUSED;
/* As jso_parse; it must be an object. */
err_t *jso_parse_object(bytes_t text, json_t **ret_object) WARN_UNUSED;
void jso_free(json_t *json); /* gives up one reference; takes NULL */

DEFINE_CLEANUP(json_t, jso_free)

/*
 * Reading. A member that is absent or null: ERR_INVALID if `required`, else success, and *ret_x
 * stays as it was, so preset the default. Of another type or out of bounds: ERR_INVALID, or
 * ERR_LIMIT for a text that is too long; the message names the member. What is returned is
 * borrowed from `object`; texts have a NUL behind them (not counted) and none inside.
 */
err_t *jso_get_string(const json_t *object, const char *key, size_t max, bool required,
                      bytes_t *ret_text) WARN_UNUSED;
/* Base64 or base64url text, decoded and appended to out, whose maximum holds. */
err_t *jso_get_base64(const json_t *object, const char *key, bool required, buf_t *out) WARN_UNUSED;
err_t *jso_get_int(const json_t *object, const char *key, int64_t min, int64_t max, bool required,
                   int64_t *ret_value) WARN_UNUSED;
err_t *jso_get_real(const json_t *object, const char *key, bool required,
                    double *ret_value) WARN_UNUSED; /* integers too */
err_t *jso_get_bool(const json_t *object, const char *key, bool required,
                    bool *ret_value) WARN_UNUSED;
err_t *jso_get_object(const json_t *object, const char *key, bool required,
                      json_t **ret_object) WARN_UNUSED;
/* At most `max` elements. */
err_t *jso_get_array(const json_t *object, const char *key, size_t max, bool required,
                     json_t **ret_array) WARN_UNUSED;
/* An RFC 3339 time as seconds since 1970 UTC. */
err_t *jso_get_time(const json_t *object, const char *key, bool required,
                    int64_t *ret_unix) WARN_UNUSED;
/* Element `index` of an array as text; ERR_INVALID if it is none, ERR_LIMIT if too long. */
err_t *jso_at_string(const json_t *array, size_t index, size_t max, bytes_t *ret_text) WARN_UNUSED;
/* Refuses (ERR_INVALID) members other than those named; the list ends with NULL. */
err_t *jso_only(const json_t *object, ...) WARN_UNUSED __attribute__((sentinel));

/* Building. ERR_INVALID for text that is not UTF-8 or has a NUL inside. */
err_t *jso_object(json_t **ret_object) WARN_UNUSED;
err_t *jso_array(json_t **ret_array) WARN_UNUSED;
err_t *jso_set(json_t *object, const char *key, json_t *value) WARN_UNUSED; /* takes value */
err_t *jso_set_string(json_t *object, const char *key, bytes_t text) WARN_UNUSED;
err_t *jso_set_str(json_t *object, const char *key, const char *text) WARN_UNUSED; /* NULL: null */
err_t *jso_set_base64(json_t *object, const char *key, bytes_t data) WARN_UNUSED;
err_t *jso_set_int(json_t *object, const char *key, int64_t value) WARN_UNUSED;
err_t *jso_set_real(json_t *object, const char *key, double value) WARN_UNUSED;
err_t *jso_set_bool(json_t *object, const char *key, bool value) WARN_UNUSED;
err_t *jso_set_null(json_t *object, const char *key) WARN_UNUSED;
err_t *jso_set_time(json_t *object, const char *key, int64_t unix_seconds) WARN_UNUSED;
/* A fresh object or array under `key`; borrowed from `object`. */
err_t *jso_set_object(json_t *object, const char *key, json_t **ret_object) WARN_UNUSED;
err_t *jso_set_array(json_t *object, const char *key, json_t **ret_array) WARN_UNUSED;
err_t *jso_add(json_t *array, json_t *value) WARN_UNUSED; /* takes value */
err_t *jso_add_string(json_t *array, bytes_t text) WARN_UNUSED;
err_t *jso_add_int(json_t *array, int64_t value) WARN_UNUSED;
err_t *jso_add_object(json_t *array, json_t **ret_object) WARN_UNUSED; /* borrowed from array */

/*
 * Appends the value to out: one line without spaces, or `pretty`: indented by two, with a final
 * line end. Members keep the order in which they were set, so the bytes are deterministic.
 */
err_t *jso_write(const json_t *json, bool pretty, buf_t *out) WARN_UNUSED;

#endif
