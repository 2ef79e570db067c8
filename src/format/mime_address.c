/*
 * Address lists: see mime_address.h. A tokenizer and a small state machine over one mailbox at a
 * time, no recursion. Any thread.
 */
#include "format/mime_address.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/mime_header.h"

typedef enum { T_END, T_ATOM, T_QUOTED, T_LITERAL, T_SPECIAL, T_BAD } kind_t;

typedef struct {
    kind_t kind;
    bytes_t text; /* without quotes; escapes still in */
    uint8_t special;
    bool spaced; /* white space or a comment stood before it */
} token_t;

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_special(uint8_t c) { return c && strchr("<>,;:@.[]()\\\"", (int)c) != NULL; }

/* White space and comments; false if a comment has no end. */
static bool skip(bytes_t *rest, bool *ret_any) {
    size_t i = 0, depth = 0;
    for (; i < rest->n; i++) {
        uint8_t c = rest->p[i];
        if (c == '(') depth++;
        else if (depth && c == ')') depth--;
        else if (depth && c == '\\') i++;
        else if (!depth && !is_space(c)) break;
    }
    *ret_any = i > 0;
    *rest = bytes_from(*rest, i);
    return depth == 0;
}

/* "..." or [...]: up to the closing character. */
static token_t enclosed(bytes_t *rest, kind_t kind, uint8_t close) {
    size_t i = 1;
    while (i < rest->n && rest->p[i] != close) i += rest->p[i] == '\\' ? 2 : 1;
    token_t t = {kind, BYTES_NONE, 0, false};
    if (i >= rest->n) {
        t.kind = T_BAD;
        *rest = BYTES_NONE;
        return t;
    }
    t.text = kind == T_LITERAL ? bytes_make(rest->p, i + 1) : bytes_make(rest->p + 1, i - 1);
    *rest = bytes_from(*rest, i + 1);
    return t;
}

static token_t next(bytes_t *rest) {
    token_t t = {T_END, BYTES_NONE, 0, false};
    bool spaced, closed = skip(rest, &spaced);
    if (!closed) t.kind = T_BAD;
    if (rest->n && rest->p[0] == '"') {
        t = enclosed(rest, T_QUOTED, '"');
    } else if (rest->n && rest->p[0] == '[') {
        t = enclosed(rest, T_LITERAL, ']');
    } else if (rest->n && is_special(rest->p[0])) {
        t.kind = strchr("<>,;:@.", rest->p[0]) ? T_SPECIAL : T_BAD;
        t.special = rest->p[0];
        *rest = bytes_from(*rest, 1);
    } else if (rest->n) {
        size_t n = 0;
        while (n < rest->n && !is_special(rest->p[n]) && !is_space(rest->p[n])) n++;
        t.kind = T_ATOM;
        t.text = bytes_make(rest->p, n);
        for (size_t i = 0; i < n; i++)
            if (t.text.p[i] < ' ' || t.text.p[i] == 127) t.kind = T_BAD;
        *rest = bytes_from(*rest, n);
    }
    t.spaced = spaced;
    return t;
}

/* One mailbox in the making. */
typedef struct {
    arena_t *arena;
    mime_addresses_t *list;
    size_t room;
    buf_t phrase;          /* display name, raw: encoded words are decoded at the end */
    buf_t local, domain;   /* of what is read now */
    bool angle, was_angle; /* inside <>, or behind it */
    bool at;               /* behind the @ */
    bool quoted;           /* the local part has a quoted string */
    bool loose;            /* words with space between: a phrase, no local part */
    bool any;
} reader_t;

static void reset(reader_t *r) {
    buf_clear(&r->phrase);
    buf_clear(&r->local);
    buf_clear(&r->domain);
    r->angle = r->was_angle = r->at = r->quoted = r->loose = r->any = false;
}

static err_t *unescape(bytes_t text, buf_t *out) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\' && i + 1 < text.n) i++;
        if (text.p[i] == '\r' || text.p[i] == '\n') continue;
        TRY(buf_add_byte(out, text.p[i]));
    }
    return NULL;
}

static bool plain_local(bytes_t local) {
    if (!local.n || local.p[0] == '.' || local.p[local.n - 1] == '.') return false;
    for (size_t i = 0; i < local.n; i++)
        if (local.p[i] <= ' ' || local.p[i] == 127 ||
            (is_special(local.p[i]) && (local.p[i] != '.' || local.p[i - 1] == '.')))
            return false;
    return true;
}

static err_t *grow(reader_t *r) {
    mime_addresses_t *list = r->list;
    if (list->n < r->room) return NULL;
    if (r->room == LIMIT_MAIL_ADDRESSES)
        return err_new(ERR_LIMIT, "more than %d addresses", LIMIT_MAIL_ADDRESSES);
    size_t room = r->room ? r->room * 2 : 8;
    if (room > LIMIT_MAIL_ADDRESSES) room = LIMIT_MAIL_ADDRESSES;
    mime_address_t *at;
    TRY(arena_alloc(r->arena, room * sizeof *at, &at));
    if (list->n) memcpy(at, list->at, list->n * sizeof *at);
    list->at = at;
    r->room = room;
    return NULL;
}

/* The mailbox is complete: at a comma, a semicolon or the end. */
static err_t *finish(reader_t *r) {
    bytes_t local = buf_bytes(&r->local), domain = buf_bytes(&r->domain), copy;
    if (!r->any) return NULL; /* an empty place in a list (obs-addr-list) */
    bool odd = r->angle || !r->at || !domain.n || domain.p[domain.n - 1] == '.' ||
               domain.p[0] == '.' || (!local.n && !r->quoted) || (!r->was_angle && r->loose) ||
               bytes_has_nul(local);
    if (odd) {
        r->list->bad = true;
        reset(r);
        return NULL;
    }
    TRY(grow(r));
    mime_address_t *a = &r->list->at[r->list->n];
    CLEANUP(buf_done) buf_t whole, name;
    buf_init(&whole, LIMIT_MIME_HEADER);
    buf_init(&name, (size_t)LIMIT_MIME_HEADER * 4);
    bool quotes = !plain_local(local);
    if (quotes) TRY(buf_add_byte(&whole, '"'));
    for (size_t i = 0; i < local.n; i++) {
        if (quotes && (local.p[i] == '"' || local.p[i] == '\\')) TRY(buf_add_byte(&whole, '\\'));
        TRY(buf_add_byte(&whole, local.p[i]));
    }
    if (quotes) TRY(buf_add_byte(&whole, '"'));
    size_t at = whole.n;
    TRY(buf_add_byte(&whole, '@'));
    TRY(buf_add(&whole, domain));
    TRY(arena_copy(r->arena, buf_bytes(&whole), &copy));
    a->address = copy;
    a->local = bytes_make(copy.p, at);
    a->domain = bytes_from(copy, at + 1);
    if (r->was_angle) {
        TRY(mime_words_decode(buf_bytes(&r->phrase), &name));
        TRY(arena_copy(r->arena, text_trim(buf_bytes(&name)), &a->display));
    }
    r->list->n++;
    reset(r);
    return NULL;
}

/* "<": what was read is the display name. */
static err_t *open_angle(reader_t *r) {
    if (r->angle || r->was_angle || r->at) r->list->bad = true;
    buf_clear(&r->local);
    buf_clear(&r->domain);
    r->at = r->quoted = r->loose = false;
    r->angle = r->any = true;
    return NULL;
}

static err_t *special(reader_t *r, uint8_t c) {
    switch (c) {
    case '<': return open_angle(r);
    case '>':
        if (!r->angle) r->list->bad = true;
        r->angle = false;
        r->was_angle = true;
        return NULL;
    case '@':
        if (r->at || r->was_angle) r->list->bad = true;
        r->at = r->any = true;
        return NULL;
    case '.':
        r->any = true;
        if (!r->angle && !r->at) TRY(buf_add_byte(&r->phrase, '.'));
        return buf_add_byte(r->at ? &r->domain : &r->local, '.');
    case ':': /* a group's name, or a route <@a,@b:local@domain> */
        if (!r->angle && r->at) r->list->bad = true;
        if (r->angle) return open_angle((r->angle = false, r));
        reset(r);
        return NULL;
    case ',':
        if (r->angle && r->at) { /* within a route: what stood before is only a way */
            buf_clear(&r->domain);
            r->at = false;
            return NULL;
        }
        return finish(r);
    case ';': return finish(r);
    }
    return NULL;
}

static err_t *word(reader_t *r, const token_t *t) {
    if (r->was_angle) { /* text behind <...> is seen, and is not the address */
        r->list->bad = true;
        return NULL;
    }
    if (!r->angle && !r->at) {
        if (r->phrase.n && t->spaced) TRY(buf_add_byte(&r->phrase, ' '));
        if (t->kind == T_QUOTED) TRY(unescape(t->text, &r->phrase));
        else TRY(buf_add(&r->phrase, t->text));
    }
    buf_t *to = r->at ? &r->domain : &r->local;
    if (to->n && to->p[to->n - 1] != '.') r->loose = true;
    if (r->at && t->kind == T_QUOTED) r->list->bad = true;
    if (!r->at && t->kind == T_LITERAL) r->loose = true;
    if (t->kind == T_QUOTED && !r->at) r->quoted = true;
    r->any = true;
    return t->kind == T_QUOTED ? unescape(t->text, to) : buf_add(to, t->text);
}

err_t *mime_addresses_read(arena_t *arena, bytes_t value, mime_addresses_t *ret_list) {
    mime_addresses_t list = {0};
    reader_t r = {.arena = arena, .list = &list};
    CLEANUP(buf_done) buf_t line;
    buf_init(&line, LIMIT_MIME_HEADER);
    buf_init(&r.phrase, LIMIT_MIME_HEADER);
    buf_init(&r.local, LIMIT_MIME_HEADER);
    buf_init(&r.domain, LIMIT_MIME_HEADER);
    err_t *e = mime_unfold(value, &line);
    bytes_t rest = buf_bytes(&line);
    for (bool end = false; !end && !e;) {
        token_t t = next(&rest);
        switch (t.kind) {
        case T_END:
            e = finish(&r);
            end = true;
            break;
        case T_ATOM:
        case T_QUOTED:
        case T_LITERAL: e = word(&r, &t); break;
        case T_SPECIAL: e = special(&r, t.special); break;
        case T_BAD:
            list.bad = true;
            end = !rest.n;
            if (end) e = finish(&r);
            break;
        }
    }
    buf_done(&r.phrase);
    buf_done(&r.local);
    buf_done(&r.domain);
    if (!e) *ret_list = list;
    return e;
}

bool mime_address_eq(bytes_t a, bytes_t b) { return a.n > 0 && text_eq_fold(a, b); }
