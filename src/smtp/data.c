/*
 * Dots: see data.h.
 */
#include "smtp/data.h"

#include "base/limits.h"

enum { AT_START, AFTER_DOT, AFTER_DOT_CR, IN_TEXT, AFTER_CR };

void smtp_undot_init(smtp_undot_t *undot) { *undot = (smtp_undot_t){.state = AT_START}; }

static unsigned text_state(smtp_undot_t *u, uint8_t c) {
    if (c == '\r') return AFTER_CR;
    if (c == '\n') u->bare = true;
    if (c == '\0') u->nul = true;
    if (c >= 0x80) u->eightbit = true;
    if (++u->line > LIMIT_SMTP_LINE) u->long_line = true;
    return IN_TEXT;
}

/* A byte behind a CR that stands in the text. */
static unsigned after_cr(smtp_undot_t *u, uint8_t c) {
    if (c == '\n') {
        u->line = 0;
        return AT_START;
    }
    u->bare = true;
    return text_state(u, c);
}

err_t *smtp_undot_feed(smtp_undot_t *u, bytes_t in, err_t *(*give)(void *arg, bytes_t data),
                       void *arg, size_t *ret_used, bool *ret_done) {
    size_t from = 0; /* what is not yet given on begins here */
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        switch (u->state) {
        case AT_START:
            if (c == '.') { /* dropped: the first of a stuffed line, or the end */
                if (i > from) TRY(give(arg, bytes_slice(in, from, i - from)));
                from = i + 1;
                u->state = AFTER_DOT;
            } else {
                u->state = text_state(u, c);
            }
            break;
        case AFTER_DOT:
            if (c == '\r') { /* held back until what follows is known */
                from = i + 1;
                u->state = AFTER_DOT_CR;
            } else {
                u->state = text_state(u, c);
            }
            break;
        case AFTER_DOT_CR:
            if (c == '\n') {
                *ret_used = i + 1;
                *ret_done = true;
                return NULL;
            }
            TRY(give(arg, BYTES_LIT("\r")));
            u->state = after_cr(u, c);
            break;
        case IN_TEXT: u->state = text_state(u, c); break;
        default: u->state = after_cr(u, c); break;
        }
    }
    if (in.n > from) TRY(give(arg, bytes_from(in, from)));
    *ret_used = in.n;
    *ret_done = false;
    return NULL;
}

err_t *smtp_dot_add(smtp_dot_t *dot, bytes_t data, buf_t *out) {
    while (data.n) {
        size_t n = 0;
        while (n < data.n && data.p[n] != '\r' && data.p[n] != '\n') n++;
        if (n < data.n) n++;
        if (!dot->begun && data.p[0] == '.') TRY(buf_add_byte(out, '.'));
        TRY(buf_add(out, bytes_slice(data, 0, n)));
        uint8_t before = n > 1 ? data.p[n - 2] : dot->last;
        dot->last = data.p[n - 1];
        dot->begun = dot->last != '\r' && dot->last != '\n';
        dot->open = dot->last != '\n' || before != '\r';
        data = bytes_from(data, n);
    }
    return NULL;
}

err_t *smtp_dot_end(smtp_dot_t *dot, buf_t *out) {
    if (dot->open) TRY(buf_add_str(out, dot->last == '\r' ? "\n" : "\r\n"));
    return buf_add_str(out, ".\r\n");
}
