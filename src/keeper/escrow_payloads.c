/*
 * See escrow_payloads.h. Tokens are compared letter by letter, as Coffer's own writer writes them:
 * what another reader might take for the same is refused.
 */
#include "keeper/escrow_payloads.h"

#include <string.h>

#define TYPE "com.apple.security.pkcs12"
#define HEAD                                                                                       \
    BYTES_LIT("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                       \
              "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "                            \
              "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n")
#define DICT       BYTES_LIT("<dict>")
#define HOLE_BEGIN BYTES_LIT("{{")
#define HOLE_END   BYTES_LIT("}}")

/* What one dict said. */
typedef struct {
    escrow_payload_t *keys;
    size_t n;
    escrow_payload_t *of_file, *of_password;
    bool typed;
} dict_t;

static size_t find(bytes_t text, bytes_t what) {
    const uint8_t *at = text.n < what.n ? NULL : memmem(text.p, text.n, what.p, what.n);
    return at ? (size_t)(at - text.p) : text.n;
}

static bool eat(bytes_t *rest, bytes_t token) {
    if (!bytes_starts(*rest, token)) return false;
    *rest = bytes_from(*rest, token.n);
    return true;
}

static void eat_space(bytes_t *rest) {
    while (rest->n && memchr(" \t\n", *rest->p, 3)) *rest = bytes_from(*rest, 1);
}

/* Text up to the token that ends it. */
static bool eat_text(bytes_t *rest, bytes_t end, bytes_t *ret_text) {
    size_t n = bytes_find(*rest, '<');
    *ret_text = bytes_slice(*rest, 0, n);
    *rest = bytes_from(*rest, n);
    return eat(rest, end);
}

/* The key that "{{WHAT:ID}}", and nothing beside it, names. */
static escrow_payload_t *hole(const dict_t *d, bytes_t text, bytes_t what) {
    if (!eat(&text, HOLE_BEGIN) || !eat(&text, what) || !eat(&text, BYTES_LIT(":"))) return NULL;
    for (size_t i = 0; i < d->n; i++) {
        bytes_t rest = text;
        if (eat(&rest, bytes_str(d->keys[i].id)) && bytes_eq(rest, HOLE_END)) return &d->keys[i];
    }
    return NULL;
}

static err_t *misplaced(void) {
    return err_new(ERR_INVALID, "a hole is only filled in a PKCS#12 payload of its own");
}

typedef struct {
    bytes_t name, value, whole;
    enum { TEXT, NUMBER, DATA } kind;
} member_t;

/* "<key>NAME</key>" and its value. */
static err_t *read_member(bytes_t *rest, member_t *m) {
    const uint8_t *begin = rest->p;
    bool ok = eat(rest, BYTES_LIT("<key>")) && eat_text(rest, BYTES_LIT("</key>"), &m->name) &&
              bytes_find(m->name, '&') == m->name.n;
    if (!ok) return misplaced();
    eat_space(rest);
    if (eat(rest, BYTES_LIT("<string>"))) {
        m->kind = TEXT;
        ok = eat_text(rest, BYTES_LIT("</string>"), &m->value);
    } else if (eat(rest, BYTES_LIT("<integer>"))) {
        m->kind = NUMBER;
        ok = eat_text(rest, BYTES_LIT("</integer>"), &m->value);
    } else {
        m->kind = DATA;
        ok = eat(rest, BYTES_LIT("<data>")) && eat_text(rest, BYTES_LIT("</data>"), &m->value);
    }
    if (!ok) return misplaced();
    m->whole = bytes_make(begin, (size_t)(rest->p - begin));
    return NULL;
}

/* Copied, or filled if it is a hole. */
static err_t *add_member(dict_t *d, const member_t *m, buf_t *out) {
    if (bytes_eq_str(m->name, "PayloadType")) {
        if (d->typed || m->kind != TEXT || !bytes_eq_str(m->value, TYPE)) return misplaced();
        d->typed = true;
        return buf_add(out, m->whole);
    }
    bool file = bytes_eq_str(m->name, "PayloadContent"), data = m->kind == DATA;
    if (!file && !bytes_eq_str(m->name, "Password")) {
        if (find(m->value, HOLE_BEGIN) < m->value.n) return misplaced();
        return buf_add(out, m->whole);
    }
    escrow_payload_t **slot = file ? &d->of_file : &d->of_password;
    if (*slot || file != data) return misplaced();
    *slot = hole(d, m->value, file ? BYTES_LIT("p12") : BYTES_LIT("password"));
    if (!*slot) return err_new(ERR_INVALID, "a hole in the payloads names no key");
    size_t before = (size_t)(m->value.p - m->whole.p);
    TRY(buf_add(out, bytes_slice(m->whole, 0, before)));
    TRY(buf_add(out, file ? (*slot)->file : (*slot)->password));
    return buf_add(out, bytes_from(m->whole, before + m->value.n));
}

/* From behind "<dict>" to behind "</dict>". */
static err_t *fill_dict(escrow_payload_t *keys, size_t n, bytes_t *rest, buf_t *out) {
    dict_t d = {.keys = keys, .n = n};
    for (;;) {
        eat_space(rest);
        if (eat(rest, BYTES_LIT("</dict>"))) break;
        member_t m;
        TRY(read_member(rest, &m));
        TRY(add_member(&d, &m, out));
    }
    if (!d.typed || !d.of_file || d.of_file != d.of_password) return misplaced();
    if (d.of_file->used) return err_new(ERR_INVALID, "key %s is there twice", d.of_file->id);
    d.of_file->used = true;
    return buf_add(out, BYTES_LIT("</dict>"));
}

/* The last "<dict>" that begins before a hole. */
static err_t *dict_before(bytes_t text, size_t end, size_t *ret_begin) {
    for (size_t at = end; at > 0; at--)
        if (bytes_starts(bytes_from(text, at - 1), DICT)) {
            *ret_begin = at - 1 + DICT.n;
            return NULL;
        }
    return misplaced();
}

/*
 * The head is that of Coffer's writer, so that nobody chooses another character set, in which the
 * same bytes would be other text.
 */
static err_t *check_markup(bytes_t text) {
    if (!eat(&text, HEAD))
        return err_new(ERR_INVALID, "the payloads do not begin as property lists do here");
    if (find(text, BYTES_LIT("<!")) < text.n || find(text, BYTES_LIT("<?")) < text.n)
        return err_new(ERR_INVALID, "payloads have no comments, sections or instructions");
    return NULL;
}

err_t *escrow_payloads_fill(bytes_t payloads, escrow_payload_t *keys, size_t n, buf_t *out) {
    bytes_t rest = payloads;
    TRY(check_markup(payloads));
    for (;;) {
        size_t at = find(rest, HOLE_BEGIN), begin = 0;
        if (at == rest.n) break;
        TRY(dict_before(rest, at, &begin));
        TRY(buf_add(out, bytes_slice(rest, 0, begin)));
        rest = bytes_from(rest, begin);
        TRY(fill_dict(keys, n, &rest, out));
    }
    TRY(buf_add(out, rest));
    for (size_t i = 0; i < n; i++)
        if (!keys[i].used)
            return err_new(ERR_INVALID, "the payloads have no hole for key %s", keys[i].id);
    return NULL;
}
