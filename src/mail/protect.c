/*
 * Header protection: see protect.h. RFC 9788 sections 2.2, 3.2 and 5.2. Any thread.
 */
#include "mail/protect.h"
#include "base/limits.h"
#include "base/text.h"

void protect_init(protect_t *p) {
    buf_init(&p->outer, (size_t)LIMIT_MIME_HEADER * 2);
    buf_init(&p->payload, (size_t)LIMIT_MIME_HEADER * 4);
    buf_init(&p->display, (size_t)LIMIT_MIME_HEADER * 4);
}

void protect_done(protect_t *p) {
    buf_done(&p->outer);
    buf_done(&p->payload);
    buf_done(&p->display);
}

static bool is(bytes_t name, const char *known) { return text_eq_fold(name, bytes_str(known)); }

bool protect_is_structural(bytes_t name) {
    return is(bytes_slice(name, 0, 8), "content-") || is(name, "mime-version");
}

bool protect_is_trace(bytes_t name) {
    static const char *const names[] = {"received", "return-path",  "delivered-to",
                                        "bcc",      "received-spf", "dkim-signature",
                                        "hp-outer", "x-original-to"};
    static const char *const beginnings[] = {"arc-", "authentication-results", "resent-"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is(name, names[i])) return true;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (is(bytes_slice(name, 0, strlen(beginnings[i])), beginnings[i])) return true;
    return false;
}

/* A field's lines, each ended by CRLF. */
static err_t *add_field(bytes_t whole, buf_t *out) {
    while (whole.n) {
        size_t n = bytes_find(whole, '\n');
        bytes_t line = bytes_make(whole.p, n);
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        TRY(buf_add(out, line));
        TRY(buf_add_str(out, "\r\n"));
        whole = bytes_from(whole, n + 1);
    }
    return NULL;
}

/* hcp_baseline (RFC 9788 section 3.2.1): what stands outside for a field, nothing if it is left
 * out there. */
static err_t *obscure(const mime_field_t *f, buf_t *out) {
    if (is(f->name, "subject")) return buf_add_str(out, "Subject: [...]\r\n");
    if (is(f->name, "comments") || is(f->name, "keywords")) return NULL;
    return add_field(f->whole, out);
}

void protect_one_line(buf_t *text, size_t from) {
    for (size_t i = from; i < text->n; i++)
        if (text->p[i] < ' ' || text->p[i] == 127) text->p[i] = ' ';
}

/* An encoded word may hold anything, line ends too: text and parts of a stranger's making would
 * stand under our signature. */
static err_t *add_display(const mime_field_t *f, buf_t *out) {
    TRY(buf_add(out, f->name));
    TRY(buf_add_str(out, ": "));
    size_t from = out->n;
    TRY(mime_words_decode(f->value, out));
    protect_one_line(out, from);
    return buf_add_str(out, "\r\n");
}

static err_t *split_one(const mime_field_t *f, mail_headers_t policy, bool encrypted, protect_t *p,
                        buf_t *hp_outer) {
    size_t before = p->outer.n;
    bool protected = policy != MAIL_HEADERS_BARE && !protect_is_trace(f->name);
    bool hide = protected && encrypted && policy == MAIL_HEADERS_BASELINE;
    if (hide) TRY(obscure(f, &p->outer));
    else TRY(add_field(f->whole, &p->outer));
    if (!protected) return NULL;
    TRY(add_field(f->whole, &p->payload));
    if (hide && is(f->name, "subject")) TRY(add_display(f, &p->display));
    if (!encrypted || p->outer.n == before) return NULL;
    TRY(buf_add_str(hp_outer, "HP-Outer: "));
    return buf_add(hp_outer, bytes_from(buf_bytes(&p->outer), before));
}

err_t *protect_split(const mime_fields_t *fields, mail_headers_t policy, bool encrypted,
                     protect_t *p) {
    CLEANUP(buf_done) buf_t hp_outer;
    buf_init(&hp_outer, (size_t)LIMIT_MIME_HEADER * 2);
    for (size_t i = 0; i < fields->n; i++)
        if (!protect_is_structural(fields->at[i].name))
            TRY(split_one(&fields->at[i], policy, encrypted, p, &hp_outer));
    return buf_add(&p->payload, buf_bytes(&hp_outer));
}

/* Bytes of a value up to the next semicolon that separates parameters. */
static size_t segment(bytes_t value) {
    bool quoted = false;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\\' && quoted) i++;
        else if (value.p[i] == '"') quoted = !quoted;
        else if (value.p[i] == ';' && !quoted) return i;
    }
    return value.n;
}

err_t *protect_parameter(bytes_t value, const char *name, const char *text, buf_t *out) {
    for (size_t i = 0; value.n; i++) {
        size_t n = segment(value);
        bytes_t part = bytes_make(value.p, n);
        value = bytes_from(value, n + 1);
        bytes_t key = text_trim(bytes_make(part.p, bytes_find(part, '=')));
        if (i && (is(key, name) || !text_trim(part).n)) continue;
        if (i) TRY(buf_add_str(out, ";"));
        while (part.n && part.p[part.n - 1] <= ' ') part.n--;
        TRY(buf_add(out, part));
    }
    return buf_printf(out, ";\r\n %s=\"%s\"", name, text);
}
