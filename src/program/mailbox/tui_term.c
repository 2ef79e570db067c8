/*
 * The terminal: see tui_term.h. In coffer-mailbox tui.
 */
#include "program/mailbox/tui_term.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <wchar.h>

#include "base/file.h"
#include "base/text.h"

enum {
    PICTURE_MAX = 1024 * 1024,
    INPUT_MAX = 4096,
    ROW_MAX = 64 * 1024,
    LEAST_ROWS = 6,
    LEAST_COLS = 20,
    MOST = 1000, /* rows and columns of a terminal that is believed */
    ESCAPE_MS = 50,
    TAB = 4,
    REPLACEMENT = 0xFFFD
};

/* ---- text ---- */

err_t *tui_put_point(uint32_t v, buf_t *out) {
    uint8_t b[4];
    size_t n = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; v >>= 6) b[i] = (uint8_t)(0x80 | (v & 0x3F));
    b[0] = n == 1 ? (uint8_t)v : (uint8_t)((0xF00U >> n & 0xFF) | v);
    return buf_add(out, bytes_make(b, n));
}

/* Columns of a character; *v changes if it can't be shown. */
static unsigned width_of(uint32_t *v) {
    if (*v == '\t') {
        *v = ' ';
        return TAB;
    }
    if (*v < 0x20 || (*v >= 0x7F && *v < 0xA0)) *v = ' ';
    int width = wcwidth((wchar_t)*v);
    if (width < 0) *v = REPLACEMENT;
    return width < 0 ? 1 : (unsigned)width;
}

static bool is_hidden(uint32_t v) { /* as text_defuse leaves out */
    return v == 0x061C || v == 0x200E || v == 0x200F || (v >= 0x202A && v <= 0x202E) ||
           (v >= 0x2066 && v <= 0x2069) || v == '\r';
}

err_t *tui_clip(bytes_t text, unsigned cols, buf_t *out, unsigned *ret_cols) {
    unsigned used = 0;
    uint32_t v = 0;
    while (text_next(&text, &v)) {
        if (is_hidden(v)) continue;
        bool tab = v == '\t';
        unsigned width = width_of(&v);
        if (used + width > cols) break;
        for (unsigned i = 0; i < (tab ? width : 1); i++) TRY(tui_put_point(v, out));
        used += width;
    }
    if (ret_cols) *ret_cols = used;
    return NULL;
}

bool tui_wrap(bytes_t *rest, unsigned cols, bytes_t *ret_row) {
    bytes_t line = bytes_slice(*rest, 0, bytes_find(*rest, '\n')), at = line;
    unsigned used = 0;
    size_t space = 0;
    uint32_t v = 0;
    if (!rest->n) return false;
    for (bytes_t before = at; text_next(&at, &v); before = at) {
        unsigned width = is_hidden(v) ? 0 : width_of(&v);
        if (used + width > cols && used) {
            size_t n = line.n - before.n;
            bool soft = space && space < n;
            *ret_row = bytes_slice(line, 0, soft ? space : n);
            *rest = bytes_from(*rest, soft ? space + 1 : n);
            return true;
        }
        if (v == ' ') space = line.n - before.n;
        used += width;
    }
    *ret_row = line;
    *rest = bytes_from(*rest, line.n < rest->n ? line.n + 1 : line.n);
    return true;
}

/* ---- keys ---- */

static key_kind_t escape_kind(bytes_t body) {
    static const struct {
        const char *body;
        key_kind_t kind;
    } known[] = {{"A", KEY_UP},     {"B", KEY_DOWN}, {"5~", KEY_PAGE_UP}, {"6~", KEY_PAGE_DOWN},
                 {"H", KEY_FIRST},  {"F", KEY_LAST}, {"1~", KEY_FIRST},   {"4~", KEY_LAST},
                 {"7~", KEY_FIRST}, {"8~", KEY_LAST}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (bytes_eq_str(body, known[i].body)) return known[i].kind;
    return KEY_OTHER;
}

/* CSI and SS3 sequences (ECMA-48 section 5.4): parameters, then a byte from 0x40 on. */
static size_t decode_escape(bytes_t in, tui_key_t *ret_key) {
    if (in.n < 2) return 0;
    if (in.p[1] != '[' && in.p[1] != 'O') {
        ret_key->kind = KEY_ESCAPE;
        return 1;
    }
    for (size_t i = 2; i < in.n; i++) {
        if (i < 16 && in.p[i] < 0x40) continue;
        ret_key->kind = escape_kind(bytes_slice(in, 2, i - 1));
        return i + 1;
    }
    return 0;
}

size_t tui_decode(bytes_t in, tui_key_t *ret_key) {
    uint8_t c = in.p[0];
    bytes_t rest = in;
    *ret_key = (tui_key_t){.kind = KEY_POINT};
    if (c == 27) return decode_escape(in, ret_key);
    if (c == '\r' || c == '\n') ret_key->kind = KEY_ENTER;
    else if (c == 127 || c == 8) ret_key->kind = KEY_BACK;
    else if (c < ' ') *ret_key = (tui_key_t){KEY_CONTROL, (uint32_t)c + 'a' - 1};
    if (ret_key->kind != KEY_POINT) return 1;
    size_t needed = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (in.n < needed) return 0;
    (void)text_next(&rest, &ret_key->point);
    if (ret_key->point >= 0x7F && ret_key->point < 0xA0) ret_key->kind = KEY_OTHER;
    return in.n - rest.n;
}

static bool take_key(term_t *term, bool alone, tui_key_t *ret_key) {
    tui_key_t key;
    if (!term->in.n) return false;
    size_t n = tui_decode(buf_bytes(&term->in), &key);
    if (!n && !alone) return false;
    if (!n) { /* nothing more came: the Escape key, or half a character */
        key.kind = term->in.p[0] == 27 ? KEY_ESCAPE : KEY_OTHER;
        n = term->in.n;
    }
    *ret_key = key;
    memmove(term->in.p, term->in.p + n, term->in.n - n);
    term->in.n -= n;
    return true;
}

static void measure(term_t *term) {
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    term->rows = known && size.ws_row <= MOST ? size.ws_row : known ? MOST : 24;
    term->cols = known && size.ws_col <= MOST ? size.ws_col : known ? MOST : 80;
}

static key_kind_t take_signal(term_t *term) {
    struct signalfd_siginfo info;
    ssize_t n = read(term->signals, &info, sizeof info);
    if (n != (ssize_t)sizeof info || info.ssi_signo != SIGWINCH) return KEY_OVER;
    measure(term);
    return KEY_SIZE;
}

static err_t *take_bytes(term_t *term, key_kind_t *ret_kind) {
    TRY(buf_reserve(&term->in, 256));
    ssize_t n = read(STDIN_FILENO, term->in.p + term->in.n, 256);
    if (n > 0) term->in.n += (size_t)n;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN)) *ret_kind = KEY_OVER;
    return NULL;
}

err_t *term_key(term_t *term, int timeout_ms, tui_key_t *ret_key) {
    tui_key_t key = {.kind = KEY_NOTHING};
    bool over = false;
    for (bool found = take_key(term, false, &key); !found && !over;) {
        struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = term->signals, .events = POLLIN}};
        int n = poll(p, 2, term->in.n ? ESCAPE_MS : timeout_ms);
        if (n < 0 && errno != EINTR) return err_errno(errno, "poll");
        if (n > 0 && p[1].revents) key.kind = take_signal(term);
        else if (n > 0 && p[0].revents) TRY(take_bytes(term, &key.kind));
        over = key.kind != KEY_NOTHING || (n == 0 && !term->in.n);
        if (!over) found = take_key(term, n == 0, &key);
    }
    *ret_key = key;
    return NULL;
}

/* ---- pictures ---- */

void term_begin(term_t *term) {
    term->row = 0;
    buf_clear(&term->out);
}

unsigned term_left(const term_t *term, unsigned below) {
    return term->row + below < term->rows ? term->rows - term->row - below : 0;
}

err_t *term_row(term_t *term, row_style_t style, bytes_t text) {
    static const char *const styles[] = {"\x1b[0m", "\x1b[0;1m", "\x1b[0;7m"};
    unsigned used = 0;
    if (term->row >= term->rows) return NULL;
    TRY(buf_printf(&term->out, "\x1b[%u;1H%s", term->row + 1, styles[style]));
    TRY(tui_clip(text, term->cols, &term->out, &used));
    for (; style == ROW_CHOSEN && used < term->cols; used++) TRY(buf_add_byte(&term->out, ' '));
    term->row++;
    return used < term->cols ? buf_add_str(&term->out, "\x1b[0m\x1b[K")
                             : buf_add_str(&term->out, "\x1b[0m");
}

PRINTF_LIKE(3, 0)
static err_t *row_of_list(term_t *term, row_style_t style, const char *format, va_list list) {
    char *text = NULL;
    int n = vasprintf(&text, format, list); /* house-rules: allow allocation: freed below */
    if (n < 0) return err_nomem();
    err_t *e = term_row(term, style, bytes_make(text, (size_t)n));
    free(text); /* house-rules: allow allocation: it is vasprintf's */
    return e;
}

err_t *term_printf(term_t *term, row_style_t style, const char *format, ...) {
    va_list list;
    va_start(list, format);
    err_t *e = row_of_list(term, style, format, list);
    va_end(list);
    return e;
}

err_t *term_show(term_t *term) {
    if (term->rows < LEAST_ROWS || term->cols < LEAST_COLS) {
        term_begin(term);
        TRY(term_row(term, ROW_PLAIN, BYTES_LIT("too small")));
    }
    if (term->row < term->rows) TRY(buf_printf(&term->out, "\x1b[%u;1H\x1b[J", term->row + 1));
    return file_write_fd(STDOUT_FILENO, buf_bytes(&term->out));
}

/* ---- opening ---- */

static err_t *watch_signals(term_t *term) {
    static const int ours[] = {SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) (void)sigaddset(&set, ours[i]);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    term->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return term->signals < 0 ? err_errno(errno, "signalfd") : NULL;
}

err_t *term_open(term_t *term) {
    struct termios raw;
    *term = (term_t){.signals = -1};
    buf_init_secret(&term->out, PICTURE_MAX);
    buf_init_secret(&term->in, INPUT_MAX);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
        tcgetattr(STDIN_FILENO, &term->before) != 0)
        return err_new(ERR_USAGE, "this needs a terminal");
    if (!setlocale(LC_CTYPE, "C.UTF-8")) (void)setlocale(LC_CTYPE, "");
    TRY(watch_signals(term));
    raw = term->before;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0) return err_errno(errno, "the terminal");
    term->raw = true;
    measure(term);
    return file_write_fd(STDOUT_FILENO, BYTES_LIT("\x1b[?1049h\x1b[?25l\x1b[2J"));
}

void term_close(term_t *term) {
    if (term->raw) {
        err_ignore(file_write_fd(STDOUT_FILENO, BYTES_LIT("\x1b[0m\x1b[2J\x1b[?25h\x1b[?1049l")));
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &term->before);
        term->raw = false;
    }
    fd_close(term->signals);
    term->signals = -1;
    buf_done(&term->out);
    buf_done(&term->in);
}
