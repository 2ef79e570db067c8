/*
 * A terminal for the mailbox's interface: rows of text in, keys out. Plain ANSI (ECMA-48), UTF-8.
 * Nothing of a text steers the terminal: see text_defuse. One thread; one terminal a process.
 */
#ifndef COFFER_PROGRAM_MAILBOX_TUI_TERM_H
#define COFFER_PROGRAM_MAILBOX_TUI_TERM_H

#include <termios.h>

#include "base/buf.h"

typedef enum {
    KEY_NOTHING, /* none came in time */
    KEY_POINT,   /* a character */
    KEY_CONTROL, /* with Ctrl: point is the letter, lower case */
    KEY_ENTER,
    KEY_BACK, /* Backspace */
    KEY_ESCAPE,
    KEY_UP,
    KEY_DOWN,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_FIRST,
    KEY_LAST,
    KEY_OTHER,
    KEY_SIZE, /* the terminal has another size */
    KEY_OVER, /* it went away, or a signal asks to end */
} key_kind_t;

typedef struct {
    key_kind_t kind;
    uint32_t point;
} tui_key_t;

typedef struct {
    struct termios before;
    int signals; /* descriptor */
    unsigned rows, cols;
    unsigned row; /* the next to be drawn */
    buf_t out, in;
    bool raw;
} term_t;

typedef enum { ROW_PLAIN, ROW_BOLD, ROW_CHOSEN } row_style_t;

/* The whole screen, raw, until term_close, which puts everything back. ERR_USAGE: no terminal. */
err_t *term_open(term_t *term) WARN_UNUSED;
void term_close(term_t *term); /* also half-opened */
/* The next key; after timeout_ms KEY_NOTHING. */
err_t *term_key(term_t *term, int timeout_ms, tui_key_t *ret_key) WARN_UNUSED;

/* A new picture: rows from the top, cut at the right; then term_show. More rows than there are
 * are left out. */
void term_begin(term_t *term);
err_t *term_row(term_t *term, row_style_t style, bytes_t text) WARN_UNUSED;
err_t *term_printf(term_t *term, row_style_t style, const char *format, ...) WARN_UNUSED
    PRINTF_LIKE(3, 4);
err_t *term_show(term_t *term) WARN_UNUSED;
/* Rows left above the last `below` ones. */
unsigned term_left(const term_t *term, unsigned below);

/* Appends as much of a line as has room in `cols` columns, defused, tabs as spaces. Returns the
 * columns it takes in *ret_cols (may be NULL). In a UTF-8 locale. */
err_t *tui_clip(bytes_t text, unsigned cols, buf_t *out, unsigned *ret_cols) WARN_UNUSED;
/* Takes the next row of at most `cols` columns off a text: up to a line's end, or a space if there
 * is one. False at its end. */
bool tui_wrap(bytes_t *rest, unsigned cols, bytes_t *ret_row);
/* Appends a character as UTF-8. */
err_t *tui_put_point(uint32_t v, buf_t *out) WARN_UNUSED;
/* One key out of bytes that came; bytes it takes, 0: more are needed. Pure. */
size_t tui_decode(bytes_t in, tui_key_t *ret_key);

DEFINE_CLEANUP_VALUE(term_t, term_close)

#endif
