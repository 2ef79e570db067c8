/*
 * Growing output buffer: see buf.h.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

enum { BUF_FIRST = 64 };

void buf_init(buf_t *b, size_t max) { *b = (buf_t){.max = max}; }

void buf_init_secret(buf_t *b, size_t max) { *b = (buf_t){.max = max, .secret = true}; }

void buf_done(buf_t *b) {
    if (b->secret) mem_wipe(b->p, b->room);
    mem_free(b->p);
    *b = (buf_t){.max = b->max, .secret = b->secret};
}

void buf_clear(buf_t *b) {
    if (b->secret) mem_wipe(b->p, b->room);
    b->n = 0;
}

err_t *buf_reserve(buf_t *b, size_t more) {
    if (more > b->max || b->n > b->max - more)
        return err_new(ERR_LIMIT, "%zu bytes do not fit the limit of %zu", b->n + more, b->max);
    size_t need = b->n + more + 1; /* one for the NUL of buf_cstr */
    if (need <= b->room) return NULL;
    size_t room = b->room ? b->room : BUF_FIRST;
    while (room < need) room = room > SIZE_MAX / 2 ? need : room * 2;
    if (room > b->max + 1) room = b->max + 1;
    uint8_t *p = NULL;
    if (b->secret) { /* realloc would leave a copy behind */
        p = mem_alloc(room);
        if (!p) return err_nomem();
        if (b->n) memcpy(p, b->p, b->n);
        mem_wipe(b->p, b->room);
        mem_free(b->p);
    } else {
        p = mem_resize(b->p, room);
        if (!p) return err_nomem();
    }
    b->p = p;
    b->room = room;
    return NULL;
}

err_t *buf_add(buf_t *b, bytes_t data) {
    TRY(buf_reserve(b, data.n));
    bytes_put(b->p + b->n, data);
    b->n += data.n;
    return NULL;
}

err_t *buf_add_str(buf_t *b, const char *text) { return buf_add(b, bytes_str(text)); }

err_t *buf_add_byte(buf_t *b, uint8_t byte) { return buf_add(b, bytes_make(&byte, 1)); }

err_t *buf_printf(buf_t *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    err_t *e =
        length < 0 ? err_new(ERR_INTERNAL, "vsnprintf failed") : buf_reserve(b, (size_t)length);
    if (!e) {
        (void)vsnprintf((char *)b->p + b->n, (size_t)length + 1, format, again);
        b->n += (size_t)length;
    }
    va_end(again);
    return e;
}

err_t *buf_add_xml(buf_t *b, bytes_t text) {
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *escape = NULL;
        switch (text.p[i]) {
        case '&': escape = "&amp;"; break;
        case '<': escape = "&lt;"; break;
        case '>': escape = "&gt;"; break;
        case '"': escape = "&quot;"; break;
        case '\'': escape = "&#39;"; break;
        default: break;
        }
        if (!escape) continue;
        TRY(buf_add(b, bytes_slice(text, from, i - from)));
        TRY(buf_add_str(b, escape));
        from = i + 1;
    }
    return buf_add(b, bytes_from(text, from));
}

err_t *buf_cstr(buf_t *b, const char **ret_text) {
    TRY(buf_reserve(b, 0));
    b->p[b->n] = '\0';
    *ret_text = (const char *)b->p;
    return NULL;
}

err_t *buf_steal(buf_t *b, uint8_t **ret_p, size_t *ret_n) {
    TRY(buf_reserve(b, 0));
    b->p[b->n] = '\0';
    *ret_p = b->p;
    *ret_n = b->n;
    *b = (buf_t){.max = b->max, .secret = b->secret};
    return NULL;
}

err_t *buf_steal_str(buf_t *b, char **ret_text) {
    if (bytes_has_nul(buf_bytes(b))) return err_new(ERR_INVALID, "text has a NUL byte inside");
    uint8_t *p = NULL;
    size_t n = 0;
    TRY(buf_steal(b, &p, &n));
    *ret_text = (char *)p;
    return NULL;
}
