/*
 * Responses of IMAP servers: see imap_parse.h. In coffer-mailbox.
 */
#include "box/imap_parse.h"

#include <string.h>

#include "base/text.h"
#include "box/db.h"

enum { DEPTH = 32, NUMBER_DIGITS = 20 };

typedef struct {
    bytes_t rest;
} scan_t;

static err_t *odd(void) { return err_new(ERR_INVALID, "IMAP: an answer that can't be read"); }

static bool at_end(const scan_t *s) { return s->rest.n == 0; }

static bool peek(const scan_t *s, uint8_t c) { return s->rest.n && s->rest.p[0] == c; }

static bool take(scan_t *s, uint8_t c) {
    if (!peek(s, c)) return false;
    s->rest = bytes_from(s->rest, 1);
    return true;
}

static void skip_spaces(scan_t *s) {
    while (take(s, ' ')) continue;
}

/* Up to a space, a bracket or a quote: atoms, flags, numbers, item names. */
static bytes_t word(scan_t *s) {
    size_t n = 0;
    while (n < s->rest.n && s->rest.p[n] > ' ' && !strchr("()[]\"{", s->rest.p[n])) n++;
    bytes_t taken = bytes_slice(s->rest, 0, n);
    s->rest = bytes_from(s->rest, n);
    return taken;
}

static err_t *number(bytes_t text, uint64_t max, uint64_t *ret_value) {
    if (text.n > NUMBER_DIGITS) return odd();
    return text_u64(text, max, ret_value);
}

static err_t *number32(bytes_t text, uint32_t *ret_value) {
    uint64_t value = 0;
    TRY(number(text, UINT32_MAX, &value));
    *ret_value = (uint32_t)value;
    return NULL;
}

/* ---- strings ---- */

static err_t *literal(scan_t *s, bytes_t *ret_value) {
    size_t close = bytes_find(s->rest, '}');
    uint64_t n = 0;
    if (close < 2) return odd();
    bytes_t digits = bytes_slice(s->rest, 1, close - 1);
    if (digits.n && digits.p[digits.n - 1] == '+') digits.n--;
    TRY(number(digits, LIMIT_BOX_ANSWER, &n));
    bytes_t rest = bytes_from(s->rest, close + 1);
    if (!bytes_starts(rest, BYTES_LIT("\r\n")) || rest.n - 2 < n) return odd();
    *ret_value = bytes_slice(rest, 2, (size_t)n);
    s->rest = bytes_from(rest, 2 + (size_t)n);
    return NULL;
}

/* Between its quotes, escapes still in it. */
static err_t *quoted(scan_t *s, bytes_t *ret_value) {
    for (size_t i = 1; i < s->rest.n; i++) {
        if (s->rest.p[i] == '\\') i++;
        else if (s->rest.p[i] == '"') {
            *ret_value = bytes_slice(s->rest, 1, i - 1);
            s->rest = bytes_from(s->rest, i + 1);
            return NULL;
        }
    }
    return odd();
}

static err_t *string(scan_t *s, bytes_t *ret_value, bool *ret_escaped) {
    *ret_escaped = peek(s, '"');
    if (*ret_escaped) return quoted(s, ret_value);
    if (peek(s, '{')) return literal(s, ret_value);
    *ret_value = word(s);
    return ret_value->n ? NULL : odd();
}

/* Any value: a string, an atom, a list of values. */
static err_t *skip_value(scan_t *s) {
    unsigned depth = 0;
    do {
        bytes_t value;
        bool escaped = false;
        skip_spaces(s);
        if (take(s, '(')) {
            if (++depth > DEPTH) return odd();
            continue;
        }
        if (take(s, ')')) {
            if (!depth) return odd();
            depth--;
            continue;
        }
        if (take(s, '[') || take(s, ']')) continue;
        TRY(string(s, &value, &escaped));
    } while (depth);
    return NULL;
}

/* ---- FETCH ---- */

static unsigned flag_of(bytes_t name) {
    static const struct {
        const char *name;
        unsigned flag;
    } known[] = {{"\\Seen", BOX_SEEN},
                 {"\\Answered", BOX_ANSWERED},
                 {"\\Flagged", BOX_FLAGGED},
                 {"\\Deleted", BOX_DELETED},
                 {"\\Draft", BOX_DRAFT}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (text_eq_fold(name, bytes_str(known[i].name))) return known[i].flag;
    return 0;
}

static err_t *flag_list(scan_t *s, unsigned *ret_flags) {
    unsigned flags = 0;
    if (!take(s, '(')) return odd();
    for (;;) {
        skip_spaces(s);
        if (take(s, ')')) break;
        bytes_t name = word(s);
        if (!name.n) return odd();
        flags |= flag_of(name);
    }
    *ret_flags = flags;
    return NULL;
}

/* BODY[] and nothing else of what BODY[...] can be. */
static err_t *body(scan_t *s, imap_response_t *r) {
    bool escaped = false;
    size_t close = bytes_find(s->rest, ']');
    if (close == s->rest.n) return odd();
    bool whole = close == 1;
    s->rest = bytes_from(s->rest, close + 1);
    if (peek(s, '<')) (void)word(s); /* an origin */
    skip_spaces(s);
    if (!whole) return skip_value(s);
    bytes_t at = s->rest;
    TRY(string(s, &r->message, &escaped));
    if (escaped && bytes_find(r->message, '\\') != r->message.n) return odd(); /* nobody does */
    if (!escaped && at.n && at.p[0] != '{') r->message = BYTES_NONE;           /* NIL */
    r->has_message = true;
    return NULL;
}

static err_t *fetch_item(scan_t *s, imap_response_t *r) {
    bytes_t name = word(s);
    if (!name.n) return odd();
    if (text_eq_fold(name, BYTES_LIT("BODY")) && peek(s, '[')) return body(s, r);
    skip_spaces(s);
    if (text_eq_fold(name, BYTES_LIT("FLAGS"))) {
        r->has_flags = true;
        return flag_list(s, &r->flags);
    }
    if (text_eq_fold(name, BYTES_LIT("UID"))) return number32(word(s), &r->uid);
    if (text_eq_fold(name, BYTES_LIT("RFC822.SIZE"))) {
        uint64_t size = 0; /* one beyond 32 bits is too large anyway */
        TRY(number(word(s), UINT64_MAX, &size));
        r->size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
        return NULL;
    }
    return skip_value(s);
}

static err_t *fetch(scan_t *s, imap_response_t *r) {
    r->kind = IMAP_FETCH;
    skip_spaces(s);
    if (!take(s, '(')) return odd();
    for (;;) {
        skip_spaces(s);
        if (take(s, ')')) return NULL;
        if (at_end(s)) return odd();
        TRY(fetch_item(s, r));
    }
}

/* ---- LIST ---- */

static err_t *put_name(bytes_t name, bool escaped, imap_response_t *r) {
    size_t n = 0;
    for (size_t i = 0; i < name.n; i++) {
        if (escaped && name.p[i] == '\\' && i + 1 < name.n) i++;
        if (n == LIMIT_BOX_FOLDER || name.p[i] < ' ') return odd();
        r->name[n++] = (char)name.p[i];
    }
    r->name[n] = '\0';
    return NULL;
}

static err_t *list(scan_t *s, imap_response_t *r) {
    bytes_t name;
    bool escaped = false;
    r->kind = IMAP_LIST;
    r->selectable = true;
    skip_spaces(s);
    if (!take(s, '(')) return odd();
    for (;;) {
        skip_spaces(s);
        if (take(s, ')')) break;
        bytes_t flag = word(s);
        if (!flag.n) return odd();
        if (text_eq_fold(flag, BYTES_LIT("\\Noselect")) ||
            text_eq_fold(flag, BYTES_LIT("\\NonExistent")))
            r->selectable = false;
    }
    TRY(skip_value(s)); /* the separator */
    skip_spaces(s);
    TRY(string(s, &name, &escaped));
    return put_name(name, escaped, r);
}

/* ---- states ---- */

static bool outcome_of(bytes_t name, imap_outcome_t *ret_outcome) {
    static const char *const names[] = {"OK", "NO", "BAD", "PREAUTH", "BYE"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!text_eq_fold(name, bytes_str(names[i]))) continue;
        *ret_outcome = (imap_outcome_t)i;
        return true;
    }
    return false;
}

static err_t *code(scan_t *s, imap_response_t *r) {
    size_t close = bytes_find(s->rest, ']');
    if (close == s->rest.n) return odd();
    scan_t inside = {bytes_slice(s->rest, 1, close - 1)};
    bytes_t name = word(&inside);
    skip_spaces(&inside);
    if (text_eq_fold(name, BYTES_LIT("UIDVALIDITY"))) TRY(number32(word(&inside), &r->uidvalidity));
    if (text_eq_fold(name, BYTES_LIT("HIGHESTMODSEQ")))
        TRY(number(word(&inside), INT64_MAX, &r->highestmodseq));
    s->rest = bytes_from(s->rest, close + 1);
    return NULL;
}

static err_t *state(scan_t *s, imap_response_t *r) {
    skip_spaces(s);
    if (peek(s, '[')) TRY(code(s, r));
    r->text = text_trim(s->rest);
    return NULL;
}

static err_t *vanished(scan_t *s, imap_response_t *r) {
    r->kind = IMAP_VANISHED;
    skip_spaces(s);
    if (peek(s, '(')) TRY(skip_value(s));
    r->list = text_trim(s->rest);
    return NULL;
}

static err_t *numbered(scan_t *s, bytes_t count, imap_response_t *r) {
    uint32_t n = 0;
    TRY(number32(count, &n));
    skip_spaces(s);
    bytes_t what = word(s);
    if (text_eq_fold(what, BYTES_LIT("FETCH"))) return fetch(s, r);
    if (!text_eq_fold(what, BYTES_LIT("EXISTS"))) return NULL;
    r->kind = IMAP_EXISTS;
    r->exists = n;
    return NULL;
}

static err_t *untagged(scan_t *s, imap_response_t *r) {
    skip_spaces(s);
    bytes_t name = word(s);
    if (name.n && name.p[0] >= '0' && name.p[0] <= '9') return numbered(s, name, r);
    if (outcome_of(name, &r->outcome)) {
        r->kind = IMAP_STATE;
        return state(s, r);
    }
    if (text_eq_fold(name, BYTES_LIT("LIST"))) return list(s, r);
    if (text_eq_fold(name, BYTES_LIT("VANISHED"))) return vanished(s, r);
    if (text_eq_fold(name, BYTES_LIT("SEARCH"))) r->kind = IMAP_SEARCH;
    if (text_eq_fold(name, BYTES_LIT("CAPABILITY"))) r->kind = IMAP_CAPABILITY;
    r->list = text_trim(s->rest);
    return NULL;
}

err_t *imap_parse(bytes_t response, imap_response_t *ret_response) {
    scan_t s = {response};
    *ret_response = (imap_response_t){.kind = IMAP_OTHER};
    if (take(&s, '*')) return untagged(&s, ret_response);
    if (take(&s, '+')) {
        ret_response->kind = IMAP_GO_ON;
        ret_response->text = text_trim(s.rest);
        return NULL;
    }
    ret_response->tag = word(&s);
    skip_spaces(&s);
    if (!ret_response->tag.n || !outcome_of(word(&s), &ret_response->outcome)) return odd();
    ret_response->kind = IMAP_TAGGED;
    return state(&s, ret_response);
}

err_t *imap_parse_literal(bytes_t line, bool *ret_literal, size_t *ret_n) {
    size_t open = line.n;
    uint64_t n = 0;
    *ret_literal = false;
    if (!line.n || line.p[line.n - 1] != '}') return NULL;
    while (open && line.p[open - 1] != '{') open--;
    if (!open) return NULL;
    bytes_t digits = bytes_slice(line, open, line.n - 1 - open);
    if (digits.n && digits.p[digits.n - 1] == '+') digits.n--;
    for (size_t i = 0; i < digits.n; i++)
        if (digits.p[i] < '0' || digits.p[i] > '9') return NULL; /* a text that ends in a brace */
    if (!digits.n) return NULL;
    err_t *e = number(digits, LIMIT_BOX_ANSWER, &n);
    if (e) return err_recode(err_wrap(e, "IMAP: a literal"), ERR_LIMIT);
    *ret_literal = true;
    *ret_n = (size_t)n;
    return NULL;
}

/* ---- lists ---- */

bool imap_next_word(bytes_t *words, bytes_t *ret_word) {
    while (words->n && words->p[0] <= ' ') *words = bytes_from(*words, 1);
    size_t n = 0;
    while (n < words->n && words->p[n] > ' ') n++;
    *ret_word = bytes_slice(*words, 0, n);
    *words = bytes_from(*words, n);
    return n > 0;
}

err_t *imap_next_number(bytes_t *words, uint32_t *ret_number, bool *ret_found) {
    bytes_t one;
    *ret_found = false;
    if (!imap_next_word(words, &one)) return NULL;
    if (one.p[0] == '(') { /* (MODSEQ n) behind the numbers: RFC 7162 section 3.1.5 */
        *words = BYTES_NONE;
        return NULL;
    }
    TRY(number32(one, ret_number));
    *ret_found = true;
    return NULL;
}

err_t *imap_next_range(bytes_t *set, uint32_t *ret_first, uint32_t *ret_last, bool *ret_found) {
    bytes_t one;
    *ret_found = text_split(set, ',', &one) && one.n;
    if (!*ret_found) return NULL;
    size_t colon = bytes_find(one, ':');
    TRY(number32(bytes_slice(one, 0, colon), ret_first));
    *ret_last = *ret_first;
    if (colon < one.n) TRY(number32(bytes_from(one, colon + 1), ret_last));
    if (*ret_last < *ret_first) {
        uint32_t first = *ret_last;
        *ret_last = *ret_first;
        *ret_first = first;
    }
    return *ret_first ? NULL : odd();
}
