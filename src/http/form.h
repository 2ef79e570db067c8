/*
 * A form's fields, from an application/x-www-form-urlencoded body (WHATWG URL section 5.1).
 * Pure; the input is foreign.
 */
#ifndef COFFER_HTTP_FORM_H
#define COFFER_HTTP_FORM_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

enum { HTTP_FORM_FIELDS = 64 }; /* fields of one form */

typedef struct {
    bytes_t name;
    bytes_t value;
} http_field_t;

typedef struct {
    http_field_t fields[HTTP_FORM_FIELDS]; /* decoded, in the arena, NUL behind each */
    size_t n;
} http_form_t;

/* ERR_INVALID for bad encoding or a NUL, ERR_LIMIT for too many fields or a full arena. */
err_t *http_form_parse(arena_t *arena, bytes_t body, http_form_t *ret_form) WARN_UNUSED;
/* The value of `name`. ERR_INVALID when it is missing or there more than once. */
err_t *http_form_need(const http_form_t *form, const char *name, bytes_t *ret_value) WARN_UNUSED;
/* The first value of `name`, or none. */
bytes_t http_form_get(const http_form_t *form, const char *name);

#endif
