/*
 * The streaming reader: see mime.h. Bytes go through a window of fixed size; what is at its start
 * is either part of the current body, a line of headers, or a line that may be a boundary. A line
 * end is held back until it is known whether a boundary follows, to whose delimiter it would
 * belong. Iterative: parts are a stack. Any thread, one at a time.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mime.h"
#include "format/scan.h"

enum {
    WINDOW = 64 * 1024,
    LINE_MAX_RFC5322 = 998,
    /* A boundary's line: dashes, boundary, dashes, and white space that gateways add. */
    BOUNDARY_LINE = 2 + LIMIT_MIME_BOUNDARY + 2 + 184,
};

typedef enum { IN_HEADERS, IN_BODY, IN_PREAMBLE, IN_EPILOGUE } state_t;

typedef struct level {
    mime_part_t part; /* first: a part is its level */
    state_t state;
    bool raw; /* wanted */
    bool begun;
    char boundary[LIMIT_MIME_BOUNDARY + 1];
    size_t boundary_n;
    unsigned children;
    arena_t *arena; /* of fields and type */
    buf_t block;    /* its header block */
} level_t;

struct mime_reader {
    const mime_handler_t *handler;
    level_t *stack[LIMIT_MIME_DEPTH];
    unsigned depth;  /* levels open; 0 before the first byte and after the end */
    uint8_t *window; /* WINDOW bytes */
    size_t n;        /* bytes in it */
    size_t most;     /* bytes that ever were */
    size_t at;       /* bytes of it done with */
    uint64_t offset; /* of window[0] in the message */
    bool bol;        /* at the beginning of a line */
    uint8_t held[2]; /* a line end not yet given to anybody */
    size_t held_n;
    uint8_t last;   /* the byte before the next one */
    size_t line;    /* bytes of the current line so far */
    size_t headers; /* bytes of all header blocks */
    unsigned parts;
    bool eof, failed;
};

static void level_free(level_t *l) {
    if (!l) return;
    arena_free(l->arena);
    buf_done(&l->block);
    mem_free(l);
}
DEFINE_CLEANUP(level_t, level_free)

err_t *mime_reader_new(const mime_handler_t *handler, mime_reader_t **ret_reader) {
    mime_reader_t *r CLEANUP(mime_reader_free) = mem_zalloc(sizeof *r);
    if (!r) return err_nomem();
    r->window = mem_alloc(WINDOW);
    if (!r->window) return err_nomem();
    r->handler = handler;
    r->bol = true;
    *ret_reader = STEAL(r);
    return NULL;
}

void mime_reader_free(mime_reader_t *r) {
    if (!r) return;
    while (r->depth) level_free(r->stack[--r->depth]);
    if (r->most) mem_wipe(r->window, r->most);
    mem_free(r->window);
    mem_free(r);
}

static level_t *top(const mime_reader_t *r) { return r->stack[r->depth - 1]; }
static uint64_t position(const mime_reader_t *r) { return r->offset + r->at - r->held_n; }

static err_t *push(mime_reader_t *r) {
    if (r->depth == LIMIT_MIME_DEPTH)
        return err_new(ERR_LIMIT, "more than %d parts within one another", LIMIT_MIME_DEPTH);
    if (++r->parts > LIMIT_MIME_PARTS)
        return err_new(ERR_LIMIT, "more than %d parts", LIMIT_MIME_PARTS);
    level_t *l CLEANUP(level_free) = mem_zalloc(sizeof *l);
    if (!l) return err_nomem();
    level_t *parent = r->depth ? top(r) : NULL;
    buf_init(&l->block, LIMIT_MIME_HEADER);
    l->part.depth = r->depth;
    l->part.parent = parent ? &parent->part : NULL;
    l->part.index = parent ? ++parent->children : 1;
    l->part.offset = position(r);
    const char *above = parent ? parent->part.path : "";
    int n = snprintf(l->part.path, sizeof l->part.path, "%s%s%u", above, *above ? "." : "",
                     l->part.index);
    if (n < 0 || (size_t)n >= sizeof l->part.path) return err_new(ERR_LIMIT, "part path too long");
    TRY(arena_new((size_t)LIMIT_MIME_HEADER * 4, &l->arena));
    r->stack[r->depth++] = STEAL(l);
    r->line = 0;
    return NULL;
}

/* Gives bytes to all that want them whole, from level `from` (0: outermost) to `to`, exclusive. */
static err_t *give_raw(mime_reader_t *r, unsigned to, bytes_t data) {
    const mime_handler_t *h = r->handler;
    if (!data.n || !h->raw) return NULL;
    for (unsigned i = 0; i < to; i++)
        if (r->stack[i]->raw && r->stack[i]->begun) TRY(h->raw(h->arg, &r->stack[i]->part, data));
    return NULL;
}

/* What is odd about bytes of a body, for the part they are of; only until all of it was seen. */
static void look(mime_reader_t *r, level_t *l, bytes_t data) {
    const unsigned bytes = MIME_ODD_NUL | MIME_ODD_8BIT | MIME_ODD_BARE_LF;
    uint8_t last = r->last;
    r->last = data.p[data.n - 1];
    if ((l->part.odd & bytes) != bytes) {
        unsigned found = scan_bytes(data, last);
        if (found & SCAN_8BIT) l->part.odd |= MIME_ODD_8BIT;
        if (found & SCAN_NUL) l->part.odd |= MIME_ODD_NUL;
        if (found & SCAN_BARE_LF) l->part.odd |= MIME_ODD_BARE_LF;
    }
    if (!(l->part.odd & MIME_ODD_LONG_LINE) && scan_long_line(data, LINE_MAX_RFC5322 + 1, &r->line))
        l->part.odd |= MIME_ODD_LONG_LINE;
}

/* Bytes of the current body: to it if it is a leaf, and to all that want them raw. */
static err_t *give(mime_reader_t *r, bytes_t data) {
    level_t *l = top(r);
    if (!data.n) return NULL;
    if (!r->handler->blind) look(r, l, data);
    if (l->state == IN_BODY && r->handler->body)
        TRY(r->handler->body(r->handler->arg, &l->part, data));
    return give_raw(r, r->depth, data);
}

static err_t *give_held(mime_reader_t *r) {
    size_t n = r->held_n;
    r->held_n = 0;
    return give(r, bytes_make(r->held, n));
}

static err_t *pop(mime_reader_t *r) {
    level_t *l = top(r);
    l->part.end = position(r);
    err_t *e = NULL;
    if (l->part.multipart && l->state != IN_EPILOGUE) l->part.odd |= MIME_ODD_UNCLOSED;
    if (r->handler->end) e = r->handler->end(r->handler->arg, &l->part);
    r->depth--;
    level_free(l);
    return e;
}

/* ---- Headers ---- */

static err_t *take_boundary(level_t *l) {
    bytes_t b = mime_parameter(&l->part.type, "boundary");
    bool good = b.n && b.n <= LIMIT_MIME_BOUNDARY && b.p[b.n - 1] != ' ';
    for (size_t i = 0; i < b.n && good; i++) good = b.p[i] >= ' ' && b.p[i] < 127;
    if (!good) {
        l->part.odd |= MIME_ODD_NO_BOUNDARY;
        l->part.multipart = false;
        return NULL;
    }
    bytes_put(l->boundary, b);
    l->boundary_n = b.n;
    return NULL;
}

/* What the fields say of the body (RFC 2045 section 5.2, RFC 2046 section 5.1.5 for the default).
 */
static err_t *classify(level_t *l) {
    mime_part_t *p = &l->part;
    size_t types, encodings;
    const mime_field_t *type = mime_field_find(&p->fields, "Content-Type", &types);
    const mime_field_t *encoding =
        mime_field_find(&p->fields, "Content-Transfer-Encoding", &encodings);
    if (types > 1 || encodings > 1) p->odd |= MIME_ODD_DUPLICATE_FIELD;
    if (p->fields.odd) p->odd |= MIME_ODD_HEADER;
    if (type) TRY(mime_type_read(l->arena, type->value, &p->type));
    if (!p->type.value.n) {
        bool digest = p->parent && bytes_eq_str(p->parent->type.value, "multipart/digest");
        p->type.value = digest ? BYTES_LIT("message/rfc822") : BYTES_LIT("text/plain");
    }
    if (encoding) p->encoding = mime_encoding_read(encoding->value);
    p->multipart = bytes_starts(p->type.value, BYTES_LIT("multipart/"));
    p->message = bytes_eq_str(p->type.value, "message/rfc822") ||
                 bytes_eq_str(p->type.value, "message/global");
    if ((p->multipart || p->message) && p->encoding != MIME_ENCODING_IDENTITY) {
        p->odd |= MIME_ODD_ENCODED_MULTI;
        p->multipart = p->message = false;
    }
    if (p->multipart) TRY(take_boundary(l));
    return NULL;
}

/* The header block is complete; `blank` is the empty line behind it, if there was one. */
static err_t *begin(mime_reader_t *r, bytes_t blank) {
    level_t *l = top(r);
    const mime_handler_t *h = r->handler;
    bytes_t block = buf_bytes(&l->block);
    if (bytes_has_nul(block)) l->part.odd |= MIME_ODD_NUL;
    TRY(mime_fields_read(l->arena, block, &l->part.fields));
    TRY(classify(l));
    l->part.body = l->part.offset + block.n + blank.n;
    l->state = l->part.multipart ? IN_PREAMBLE : IN_BODY;
    bool raw = false;
    if (h->begin) TRY(h->begin(h->arg, &l->part, &raw));
    l->begun = true;
    l->raw = raw;
    if (raw && h->raw) {
        if (block.n) TRY(h->raw(h->arg, &l->part, block));
        if (blank.n) TRY(h->raw(h->arg, &l->part, blank));
    }
    r->line = 0;
    r->last = '\n';
    return NULL;
}

/* Parts above have the header bytes already by give_raw; this keeps the part's own copy. */
static err_t *add_header(mime_reader_t *r, bytes_t data) {
    level_t *l = top(r);
    r->headers += data.n;
    if (r->headers > LIMIT_MIME_HEADERS_ALL)
        return err_new(ERR_LIMIT, "header blocks of more than %d bytes", LIMIT_MIME_HEADERS_ALL);
    if (data.p[data.n - 1] == '\n' && (data.n > 1 ? data.p[data.n - 2] : r->last) != '\r')
        l->part.odd |= MIME_ODD_BARE_LF;
    r->last = data.p[data.n - 1];
    TRY_WRAP(buf_add(&l->block, data), "header of part %s", l->part.path);
    return give_raw(r, r->depth - 1, data);
}

/* ---- Boundaries ---- */

/* Whether a line (without its end) is a delimiter of the level; *ret_close its closing one. */
static bool is_delimiter(const level_t *l, bytes_t line, bool *ret_close) {
    if (!l->boundary_n || !l->part.multipart || l->state == IN_EPILOGUE) return false;
    bytes_t rest = bytes_from(line, 2);
    if (!bytes_starts(rest, bytes_make(l->boundary, l->boundary_n))) return false;
    rest = bytes_from(rest, l->boundary_n);
    bool close = bytes_starts(rest, BYTES_LIT("--"));
    if (close) rest = bytes_from(rest, 2);
    if (text_trim(rest).n) return false;
    *ret_close = close;
    return true;
}

typedef enum { NOT_BOUNDARY, IS_BOUNDARY, NEED_MORE } candidate_t;

/* Looks at the line at the window's position, whose level it would end. */
static candidate_t candidate(const mime_reader_t *r, size_t *ret_n, unsigned *ret_level,
                             bool *ret_close) {
    bytes_t rest = bytes_make(r->window + r->at, r->n - r->at);
    if (rest.n == 1 && rest.p[0] == '-' && !r->eof) return NEED_MORE;
    if (!bytes_starts(rest, BYTES_LIT("--"))) return NOT_BOUNDARY;
    bytes_t line = bytes_slice(rest, 0, BOUNDARY_LINE);
    size_t n = bytes_find(line, '\n');
    if (n == line.n && line.n < BOUNDARY_LINE && !r->eof) return NEED_MORE;
    *ret_n = n == line.n ? n : n + 1;
    line.n = n;
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    for (unsigned i = r->depth; i-- > 0;) /* the innermost first */
        if (is_delimiter(r->stack[i], line, ret_close)) {
            *ret_level = i;
            return IS_BOUNDARY;
        }
    return NOT_BOUNDARY;
}

/* A delimiter of stack[level]: everything below it ends, the held line end is the delimiter's. */
static err_t *cross(mime_reader_t *r, unsigned level, bool close, size_t n) {
    if (top(r)->state == IN_HEADERS) TRY(begin(r, BYTES_NONE));
    while (r->depth > level + 1) TRY(pop(r));
    level_t *l = top(r);
    bytes_t line = bytes_make(r->window + r->at, n);
    TRY(give_raw(r, r->depth, bytes_make(r->held, r->held_n)));
    r->held_n = 0;
    TRY(give_raw(r, r->depth, line));
    r->at += n;
    r->bol = true;
    r->line = 0;
    r->last = '\n';
    if (close) {
        l->state = IN_EPILOGUE;
        r->bol = line.p[n - 1] == '\n';
        return NULL;
    }
    return push(r);
}

/* ---- The pump ---- */

/* One line of headers, or as much of it as there is. */
static err_t *feed_headers(mime_reader_t *r, bool *ret_more) {
    bytes_t rest = bytes_make(r->window + r->at, r->n - r->at);
    size_t n = bytes_find(rest, '\n');
    bool whole = n < rest.n;
    if (whole) n++;
    /* An empty line ends the block; a lone CR at the window's end may become one. */
    if (r->bol && whole && (n == 1 || (n == 2 && rest.p[0] == '\r'))) {
        bytes_t blank = bytes_make(rest.p, n);
        if (n == 1) top(r)->part.odd |= MIME_ODD_BARE_LF;
        TRY(give_raw(r, r->depth - 1, blank));
        r->at += n;
        TRY(begin(r, blank));
        if (top(r)->part.message) TRY(push(r));
        return NULL;
    }
    if (r->bol && !whole && rest.n == 1 && rest.p[0] == '\r' && !r->eof) {
        *ret_more = true;
        return NULL;
    }
    TRY(add_header(r, bytes_make(rest.p, n)));
    r->at += n;
    r->bol = whole;
    return NULL;
}

/* Where in data (not at its start) the next line begins that starts with a dash; data.n if none. */
static size_t find_dash_line(bytes_t data) {
    for (size_t from = 0; from < data.n;) {
        size_t dash = from + bytes_find(bytes_from(data, from), '-');
        if (dash >= data.n) return data.n;
        if (dash && data.p[dash - 1] == '\n') return dash;
        from = dash + 1;
    }
    return data.n;
}

/* How many bytes at the end of data are its last line end, or the CR that may begin one. */
static size_t line_end(bytes_t data) {
    if (!data.n) return 0;
    if (data.p[data.n - 1] == '\r') return 1;
    if (data.p[data.n - 1] != '\n') return 0;
    return data.n > 1 && data.p[data.n - 2] == '\r' ? 2 : 1;
}

/* Body, preamble or epilogue: up to the next line that may be a boundary. */
static err_t *feed_body(mime_reader_t *r) {
    bytes_t rest = bytes_make(r->window + r->at, r->n - r->at);
    /* A CR that was held and is no line end, or one whose LF comes now. */
    if (r->held_n == 1 && r->held[0] == '\r' && !r->bol) {
        if (rest.p[0] == '\n') {
            r->held[r->held_n++] = '\n';
            r->at++;
            r->bol = true;
            return NULL;
        }
    }
    TRY(give_held(r));
    size_t n = find_dash_line(rest);
    bytes_t data = bytes_make(rest.p, n);
    size_t held = line_end(data);
    if (r->eof && r->at + n == r->n && held == 1 && data.p[n - 1] == '\r') held = 0;
    TRY(give(r, bytes_make(data.p, n - held)));
    memcpy(r->held, data.p + n - held, held);
    r->held_n = held;
    r->at += n;
    r->bol = data.p[n - 1] == '\n';
    return NULL;
}

static err_t *pump(mime_reader_t *r) {
    if (!r->depth) TRY(push(r));
    while (r->at < r->n) {
        size_t n = 0;
        unsigned level = 0;
        bool close = false, more = false;
        if (r->bol) {
            candidate_t is = candidate(r, &n, &level, &close);
            if (is == NEED_MORE) break;
            if (is == IS_BOUNDARY) {
                TRY(cross(r, level, close, n));
                continue;
            }
        }
        if (top(r)->state == IN_HEADERS) TRY(feed_headers(r, &more));
        else TRY(feed_body(r));
        if (more) break;
    }
    memmove(r->window, r->window + r->at, r->n - r->at);
    r->offset += r->at;
    r->n -= r->at;
    r->at = 0;
    return NULL;
}

err_t *mime_feed(mime_reader_t *r, bytes_t data) {
    if (r->failed || r->eof) return err_new(ERR_USAGE, "a reader that has ended is fed");
    r->failed = true;
    while (data.n) {
        size_t n = data.n < WINDOW - r->n ? data.n : WINDOW - r->n;
        memcpy(r->window + r->n, data.p, n);
        r->n += n;
        if (r->n > r->most) r->most = r->n;
        data = bytes_from(data, n);
        TRY(pump(r));
    }
    r->failed = false;
    return NULL;
}

err_t *mime_finish(mime_reader_t *r) {
    if (r->failed || r->eof) return err_new(ERR_USAGE, "a reader that has ended is finished");
    r->failed = r->eof = true;
    TRY(pump(r));
    if (top(r)->state == IN_HEADERS) TRY(begin(r, BYTES_NONE));
    TRY(give_held(r));
    while (r->depth) TRY(pop(r));
    return NULL;
}
