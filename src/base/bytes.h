/*
 * bytes_t: a borrowed run of bytes, passed by value, never assumed NUL-ended. It owns nothing:
 * whoever made the memory keeps it alive.
 */
#ifndef COFFER_BASE_BYTES_H
#define COFFER_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *p;
    size_t n; /* bytes */
} bytes_t;

#define BYTES_NONE ((bytes_t){NULL, 0})
/* A string literal without its NUL. */
#define BYTES_LIT(literal) ((bytes_t){(const uint8_t *)(literal), sizeof(literal) - 1})
/* A whole array. */
#define BYTES_ARRAY(array) ((bytes_t){(const uint8_t *)(array), sizeof(array)})

static inline bytes_t bytes_make(const void *p, size_t n) {
    return (bytes_t){(const uint8_t *)p, n};
}
/* A C string without its NUL; NULL gives none. */
static inline bytes_t bytes_str(const char *text) {
    return text ? bytes_make(text, strlen(text)) : BYTES_NONE;
}
static inline bool bytes_eq(bytes_t a, bytes_t b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool bytes_eq_str(bytes_t a, const char *text) {
    return bytes_eq(a, bytes_str(text));
}
/* Copies it to `to`, which has room for it. memcpy() must not see the NULL of an empty run. */
static inline void bytes_put(void *to, bytes_t from) {
    if (from.n) memcpy(to, from.p, from.n);
}
/* From `from` to the end; none if out of range. */
static inline bytes_t bytes_from(bytes_t b, size_t from) {
    return from >= b.n ? BYTES_NONE : bytes_make(b.p + from, b.n - from);
}
/* At most `n` bytes from `from`. */
static inline bytes_t bytes_slice(bytes_t b, size_t from, size_t n) {
    bytes_t rest = bytes_from(b, from);
    return bytes_make(rest.p, rest.n < n ? rest.n : n);
}
static inline bool bytes_starts(bytes_t b, bytes_t prefix) {
    return b.n >= prefix.n && bytes_eq(bytes_make(b.p, prefix.n), prefix);
}
/* Position of the first `needle` byte, or b.n. */
static inline size_t bytes_find(bytes_t b, uint8_t needle) {
    const uint8_t *hit = b.n ? memchr(b.p, needle, b.n) : NULL;
    return hit ? (size_t)(hit - b.p) : b.n;
}
/* Whether it has a NUL inside (such a run must not become a C string). */
static inline bool bytes_has_nul(bytes_t b) { return bytes_find(b, 0) != b.n; }

/* Equal in time that depends on the lengths only. For secrets, tokens, MACs. */
bool bytes_eq_ct(bytes_t a, bytes_t b);

#endif
