/*
 * Keys of names, by utf8proc: see name.h. Pure; any thread.
 */
#include "sync/name.h"

#include <utf8proc.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

/* Code points of a name; folding gives at most three for one, decomposing up to four of each. */
enum { POINTS_MAX = LIMIT_SYNC_FILE_NAME * 12 };

static err_t *encode(const utf8proc_int32_t *points, size_t n, buf_t *out) {
    size_t before = out->n;
    for (size_t i = 0; i < n; i++) {
        utf8proc_uint8_t text[4];
        utf8proc_ssize_t size = utf8proc_encode_char(points[i], text);
        err_t *e = buf_add(out, bytes_make(text, (size_t)size));
        if (e) {
            out->n = before;
            return e;
        }
    }
    return NULL;
}

err_t *sync_name_fold(bytes_t name, buf_t *out) {
    static const utf8proc_option_t fold = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD;
    if (name.n == 0 || name.n > LIMIT_SYNC_FILE_NAME || !text_utf8_valid(name)) return NULL;
    CLEANUP(mem_free) utf8proc_int32_t *points = mem_array(POINTS_MAX + 1, sizeof *points);
    if (!points) return err_nomem();
    utf8proc_ssize_t n =
        utf8proc_decompose(name.p, (utf8proc_ssize_t)name.n, points, POINTS_MAX, fold);
    if (n < 0 || n > POINTS_MAX) return NULL; /* a code point that Unicode has not assigned */
    n = utf8proc_normalize_utf32(points, n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0) return NULL;
    return encode(points, (size_t)n, out);
}
