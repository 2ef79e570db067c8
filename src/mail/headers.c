/*
 * Protected fields read: see headers.h. Any thread.
 */
#include "mail/headers.h"
#include "base/limits.h"
#include "base/text.h"
#include "mail/protect.h"

typedef struct {
    mail_verdict_t *v;
    mime_fields_t outer, inner; /* inner: without the structural ones and HP-Outer */
    mime_fields_t recorded;     /* by HP-Outer: what was outside when it was written */
} sets_t;

static bool same_name(bytes_t a, bytes_t b) { return text_eq_fold(a, b); }

/* The field of that name with `n` of its name before it. */
static const mime_field_t *nth(const mime_fields_t *fields, bytes_t name, size_t n) {
    for (size_t i = 0; i < fields->n; i++)
        if (same_name(fields->at[i].name, name) && n-- == 0) return &fields->at[i];
    return NULL;
}

static size_t before(const mime_fields_t *fields, size_t at) {
    size_t n = 0;
    for (size_t i = 0; i < at; i++)
        if (same_name(fields->at[i].name, fields->at[at].name)) n++;
    return n;
}

static bool is_space(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* The same text but for white space, which relays fold anew. */
static bool same_value(bytes_t a, bytes_t b) {
    a = text_trim(a);
    b = text_trim(b);
    while (a.n && b.n) {
        bool space = is_space(a.p[0]);
        if (space != is_space(b.p[0]) || (!space && a.p[0] != b.p[0])) return false;
        do a = bytes_from(a, 1);
        while (space && a.n && is_space(a.p[0]));
        do b = bytes_from(b, 1);
        while (space && b.n && is_space(b.p[0]));
    }
    return a.n == b.n;
}

/* "Subject: [...]" inside an HP-Outer field. */
static bool split_recorded(bytes_t value, mime_field_t *ret_field) {
    size_t colon = bytes_find(value, ':');
    if (colon == value.n) return false;
    *ret_field = (mime_field_t){text_trim(bytes_make(value.p, colon)), bytes_from(value, colon + 1),
                                BYTES_NONE};
    return ret_field->name.n > 0;
}

static err_t *sort_fields(sets_t *s, const mime_fields_t *all) {
    size_t size = (all->n ? all->n : 1) * sizeof *all->at;
    TRY(arena_alloc(s->v->arena, size, &s->inner.at));
    TRY(arena_alloc(s->v->arena, size, &s->recorded.at));
    for (size_t i = 0; i < all->n; i++) {
        const mime_field_t *f = &all->at[i];
        if (protect_is_structural(f->name)) continue;
        if (!text_eq_fold(f->name, BYTES_LIT("hp-outer"))) s->inner.at[s->inner.n++] = *f;
        else if (split_recorded(f->value, &s->recorded.at[s->recorded.n])) s->recorded.n++;
    }
    return NULL;
}

static err_t *decode(mail_verdict_t *v, bytes_t value, bytes_t *ret_text) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, (size_t)LIMIT_MIME_HEADER * 4);
    TRY(mime_words_decode(value, &text));
    protect_one_line(&text, 0);
    return arena_copy(v->arena, buf_bytes(&text), ret_text);
}

static bool is_same(const mime_field_t *a, const mime_field_t *b) {
    return !a == !b && (!a || same_value(a->value, b->value));
}

/* What stands inside, beside what stands outside and what should. */
static err_t *compare(sets_t *s, size_t at) {
    mail_verdict_t *v = s->v;
    const mime_field_t *f = &s->inner.at[at];
    size_t n = before(&s->inner, at);
    const mime_field_t *outside = nth(&s->outer, f->name, n);
    /* Decrypted messages show outside what was hidden: that is no alteration. */
    const mime_field_t *meant =
        v->protection == MAIL_PROTECTION_CIPHER ? nth(&s->recorded, f->name, n) : f;
    mail_header_t *h = &v->headers[v->headers_n++];
    h->protected = true;
    TRY(arena_copy(v->arena, f->name, &h->name));
    TRY(decode(v, f->value, &h->value));
    h->hidden =
        v->protection == MAIL_PROTECTION_CIPHER && (!meant || !same_value(meant->value, f->value));
    h->differs = !is_same(outside, meant) && !is_same(outside, f);
    if (h->differs) v->problems[MAIL_HEADER_DIFFERS] = true;
    h->has_outer = outside != NULL;
    return outside ? decode(v, outside->value, &h->outer) : NULL;
}

/* A field that somebody put outside. */
static err_t *add_unprotected(sets_t *s, size_t at) {
    const mime_field_t *f = &s->outer.at[at];
    mail_header_t *h = &s->v->headers[s->v->headers_n];
    if (protect_is_trace(f->name) || nth(&s->inner, f->name, before(&s->outer, at))) return NULL;
    s->v->headers_n++;
    h->has_outer = true;
    TRY(arena_copy(s->v->arena, f->name, &h->name));
    return decode(s->v, f->value, &h->outer);
}

/* Two who the message is from, one inside and one outside: RFC 9788 section 4.4. */
static err_t *check_from(sets_t *s) {
    mail_verdict_t *v = s->v;
    mime_addresses_t inside = {0};
    size_t n;
    const mime_field_t *f = mime_field_find(&s->inner, "From", &n);
    if (!f) return NULL;
    TRY(mime_addresses_read(v->arena, f->value, &inside));
    bool one = inside.n == 1 && !inside.bad && n == 1;
    if (!one) v->problems[MAIL_SEVERAL_FROM] = true;
    if (!one || v->from.n != 1 || !mime_address_eq(inside.at[0].address, v->from.at[0].address))
        v->problems[MAIL_FROM_DIFFERS] = true;
    return NULL;
}

/* What composing programs write. Nothing else comes out of a payload: fields of the way a message
 * came and of what our own servers found (Received, Authentication-Results, List-*, X-*) are never
 * a stranger's to replace, be he the signer or not. */
static bool is_composers(bytes_t name) {
    static const char *const names[] = {"from",
                                        "sender",
                                        "reply-to",
                                        "to",
                                        "cc",
                                        "subject",
                                        "date",
                                        "message-id",
                                        "in-reply-to",
                                        "references",
                                        "comments",
                                        "keywords",
                                        "user-agent",
                                        "organization",
                                        "mail-followup-to",
                                        "mail-reply-to",
                                        "importance",
                                        "priority",
                                        "sensitivity",
                                        "disposition-notification-to",
                                        "autocrypt",
                                        "accept-language"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text_eq_fold(name, bytes_str(names[i]))) return true;
    return false;
}

/* Keeps the protected fields and the structural ones, for output. */
static err_t *keep(mail_reader_t *r, const sets_t *s, const mime_fields_t *all) {
    for (size_t i = 0; i < all->n; i++) {
        const mime_field_t *f = &all->at[i];
        bool structural = protect_is_structural(f->name);
        if (structural && !text_eq_fold(bytes_slice(f->name, 0, 8), BYTES_LIT("content-")))
            continue;
        if (!structural && !is_composers(f->name)) continue;
        if (text_eq_fold(f->name, BYTES_LIT("from")) && s->v->problems[MAIL_FROM_DIFFERS]) continue;
        buf_t *out = structural ? &r->payload_type : &r->payload_header;
        TRY(buf_add(out, f->whole));
        if (out->p[out->n - 1] != '\n') TRY(buf_add_str(out, "\r\n"));
    }
    return NULL;
}

/* Outer fields that have no protected namesake: those of the way it came. */
static err_t *drop_outer(mail_reader_t *r, const sets_t *s) {
    CLEANUP(buf_done) buf_t rest;
    buf_init(&rest, LIMIT_MIME_HEADER);
    for (size_t i = 0; i < s->outer.n; i++) {
        const mime_field_t *f = &s->outer.at[i];
        bool from = text_eq_fold(f->name, BYTES_LIT("from")) && s->v->problems[MAIL_FROM_DIFFERS];
        if (nth(&s->inner, f->name, 0) && is_composers(f->name) && !from) continue;
        TRY(buf_add(&rest, f->whole));
    }
    buf_clear(&r->header);
    return buf_add(&r->header, buf_bytes(&rest));
}

err_t *headers_take(layer_t *l, const mime_part_t *part) {
    mail_reader_t *r = l->r;
    sets_t s = {.v = &r->verdict};
    bytes_t hp = mime_parameter(&part->type, "hp");
    if (text_eq_fold(hp, BYTES_LIT("clear"))) s.v->protection = MAIL_PROTECTION_CLEAR;
    else if (text_eq_fold(hp, BYTES_LIT("cipher"))) s.v->protection = MAIL_PROTECTION_CIPHER;
    else return NULL;
    r->payload = l;
    r->payload_bytes = part->body - part->offset;
    TRY(mime_fields_read(s.v->arena, buf_bytes(&r->header), &s.outer));
    TRY(sort_fields(&s, &part->fields));
    TRY(arena_alloc(s.v->arena, (s.inner.n + s.outer.n + 1) * sizeof *s.v->headers, &s.v->headers));
    TRY(check_from(&s));
    for (size_t i = 0; i < s.inner.n; i++) TRY(compare(&s, i));
    for (size_t i = 0; i < s.outer.n; i++) TRY(add_unprotected(&s, i));
    TRY(keep(r, &s, &part->fields));
    return drop_outer(r, &s);
}

err_t *headers_output(const mail_reader_t *r, err_t *(*each)(void *arg, bytes_t data), void *arg,
                      uint64_t *ret_skip) {
    if (r->header.n) TRY(each(arg, buf_bytes(&r->header)));
    if (r->payload_header.n) TRY(each(arg, buf_bytes(&r->payload_header)));
    TRY(each(arg, BYTES_LIT("MIME-Version: 1.0\r\n")));
    if (!r->payload || r->payload != r->kept) return NULL;
    *ret_skip = r->payload_bytes;
    if (r->payload_type.n) TRY(each(arg, buf_bytes(&r->payload_type)));
    return each(arg, BYTES_LIT("\r\n"));
}
