/*
 * buf_t: a growing output buffer that states its maximum at birth. Exceeding it is ERR_LIMIT,
 * and what was in it stays. `buf_init` does not allocate. Not thread-safe.
 */
#ifndef COFFER_BASE_BUF_H
#define COFFER_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

typedef struct {
    uint8_t *p;
    size_t n;    /* bytes used */
    size_t room; /* bytes allocated */
    size_t max;  /* bytes allowed */
    bool secret; /* wiped before it is freed or moved */
} buf_t;

void buf_init(buf_t *b, size_t max);
/* A buffer that wipes its memory whenever it lets go of it. */
void buf_init_secret(buf_t *b, size_t max);
void buf_done(buf_t *b);
void buf_clear(buf_t *b); /* keeps the memory */

static inline bytes_t buf_bytes(const buf_t *b) { return bytes_make(b->p, b->n); }

err_t *buf_reserve(buf_t *b, size_t more) WARN_UNUSED;
err_t *buf_add(buf_t *b, bytes_t data) WARN_UNUSED;
err_t *buf_add_str(buf_t *b, const char *text) WARN_UNUSED;
err_t *buf_add_byte(buf_t *b, uint8_t byte) WARN_UNUSED;
err_t *buf_printf(buf_t *b, const char *format, ...) WARN_UNUSED PRINTF_LIKE(2, 3);
/* Appends `text` with & < > " ' escaped, for XML and HTML. */
err_t *buf_add_xml(buf_t *b, bytes_t text) WARN_UNUSED;
/* NUL-terminates beyond n (not counted) and returns it; owned by b, valid until it changes. */
err_t *buf_cstr(buf_t *b, const char **ret_text) WARN_UNUSED;
/* Hands the memory over (mem_free it); b is empty afterwards. Never NULL on success. */
err_t *buf_steal(buf_t *b, uint8_t **ret_p, size_t *ret_n) WARN_UNUSED;
/* Hands it over as a C string; ERR_INVALID if it has a NUL inside. */
err_t *buf_steal_str(buf_t *b, char **ret_text) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(buf_t, buf_done)

#endif
