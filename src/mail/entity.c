/*
 * Entities: see entity_internal.h. RFC 8551 section 3.1.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/scan.h"
#include "format/transfer.h"
#include "mail/entity_internal.h"

enum {
    ARENA = 64 * 1024 * 1024,
    LINE = 16 * 1024,
    HTML = 64 * 1024, /* bytes of an HTML part in which <body> is looked for */
    NEEDS = MIME_ODD_8BIT | MIME_ODD_NUL | MIME_ODD_LONG_LINE
};

static err_t *add_edit(entity_t *e, edit_t edit) {
    if (e->n == e->room) {
        size_t room = e->room ? e->room * 2 : 16;
        edit_t *edits = mem_resize(e->edits, room * sizeof *edits);
        if (!edits) return err_nomem();
        e->edits = edits;
        e->room = room;
    }
    e->edits[e->n++] = edit;
    return NULL;
}

static bool is_content_field(const mime_field_t *f) {
    return text_eq_fold(bytes_slice(f->name, 0, 8), BYTES_LIT("content-"));
}

/* What is signed already must stay as it is. */
static bool inside_signed(const mime_part_t *part) {
    for (const mime_part_t *p = part; p; p = p->parent)
        if (bytes_eq_str(p->type.value, "multipart/signed")) return true;
    return false;
}

/* What changes in a part's header. */
typedef struct {
    const char *encoding; /* NULL: none is named */
    bool display;         /* a legacy display was put in */
    bool utf8;            /* which made it UTF-8 */
} change_t;

/* Content-Type with the parameters of header protection. */
static err_t *add_type(const entity_t *e, bytes_t value, bool root, change_t change, buf_t *out) {
    const struct {
        bool set;
        const char *name, *text;
    } all[] = {{change.utf8, "charset", "utf-8"},
               {change.display, "hp-legacy-display", "1"},
               {root && e->protected, "hp", e->encrypted ? "cipher" : "clear"}};
    CLEANUP(buf_done) buf_t old;
    buf_init(&old, (size_t)LIMIT_MIME_HEADER * 2);
    TRY(buf_add(&old, text_trim(value)));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CLEANUP(buf_done) buf_t next;
        buf_init(&next, (size_t)LIMIT_MIME_HEADER * 2);
        if (!all[i].set) continue;
        TRY(protect_parameter(buf_bytes(&old), all[i].name, all[i].text, &next));
        buf_clear(&old);
        TRY(buf_add(&old, buf_bytes(&next)));
    }
    TRY(buf_add_str(out, "Content-Type: "));
    TRY(buf_add(out, buf_bytes(&old)));
    return buf_add_str(out, "\r\n");
}

/* A header block with changes, of the root without its outer fields. */
static err_t *new_header(const entity_t *e, const mime_part_t *part, change_t change, buf_t *out) {
    bool root = !part->parent, typed = false;
    bool retype = (root && e->protected) || change.display;
    if (root && e->protected) TRY(buf_add(out, buf_bytes(&e->header.payload)));
    for (size_t i = 0; i < part->fields.n; i++) {
        const mime_field_t *f = &part->fields.at[i];
        if (root && !is_content_field(f)) continue;
        if (text_eq_fold(f->name, BYTES_LIT("content-transfer-encoding"))) continue;
        bool type = text_eq_fold(f->name, BYTES_LIT("content-type"));
        if (type && retype && !typed) {
            TRY(add_type(e, f->value, root, change, out));
        } else {
            TRY(buf_add(out, f->whole));
            if (out->p[out->n - 1] != '\n') TRY(buf_add_str(out, "\r\n"));
        }
        typed = typed || type;
    }
    if ((root || change.display) && !typed) {
        bool eight = change.utf8 || (part->odd & MIME_ODD_8BIT) != 0;
        TRY(add_type(e,
                     eight ? BYTES_LIT("text/plain; charset=utf-8")
                           : BYTES_LIT("text/plain; charset=us-ascii"),
                     root, change, out));
    }
    if (change.encoding) TRY(buf_printf(out, "Content-Transfer-Encoding: %s\r\n", change.encoding));
    return buf_add_str(out, "\r\n");
}

static const char *encoding_name(const mime_part_t *part) {
    switch (part->encoding) {
    case MIME_ENCODING_BASE64: return "base64";
    case MIME_ENCODING_QUOTED: return "quoted-printable";
    case MIME_ENCODING_IDENTITY:
    case MIME_ENCODING_UNKNOWN: break;
    }
    return NULL;
}

static err_t *edit_header(entity_t *e, const mime_part_t *part, change_t change) {
    CLEANUP(buf_done) buf_t header;
    edit_t edit = {.from = part->offset, .to = part->body, .kind = EDIT_REPLACE};
    buf_init(&header, (size_t)LIMIT_MIME_HEADER * 8);
    TRY(new_header(e, part, change, &header));
    TRY(arena_copy(e->arena, buf_bytes(&header), &edit.text));
    return add_edit(e, edit);
}

static bool is_ascii(bytes_t text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 128) return false;
    return true;
}

/* A main part: the hidden fields are shown at its top (RFC 9788 section 5.2.2). `quote`: its body
 * must become quoted-printable. */
static err_t *edit_main(entity_t *e, const mime_part_t *part, bool quote) {
    bytes_t charset = mime_parameter(&part->type, "charset"), shown = buf_bytes(&e->header.display);
    bool ascii = !charset.n || text_eq_fold(charset, BYTES_LIT("us-ascii"));
    bool utf8 = text_eq_fold(charset, BYTES_LIT("utf-8"));
    bool become = ascii && !is_ascii(shown) && !(part->odd & MIME_ODD_8BIT);
    bool identity = part->encoding == MIME_ENCODING_IDENTITY;
    if (identity && (become || utf8) && !is_ascii(shown)) quote = true;
    mime_encoding_t encoding = quote ? MIME_ENCODING_QUOTED : part->encoding;
    bool base64 = encoding == MIME_ENCODING_BASE64;
    uint64_t place = part->body;
    if (protect_is_html(part) && !base64) place += protect_html_place(buf_bytes(&e->html));
    CLEANUP(buf_done) buf_t display;
    edit_t edit = {.from = place, .to = place, .kind = EDIT_REPLACE};
    buf_init(&display, (size_t)LIMIT_MIME_HEADER * 16);
    TRY(protect_display(shown, protect_is_html(part), utf8 || become, encoding, &display));
    TRY(arena_copy(e->arena, buf_bytes(&display), &edit.text));
    const char *name = quote ? "quoted-printable" : encoding_name(part);
    TRY(edit_header(e, part, (change_t){.encoding = name, .display = true, .utf8 = become}));
    if (quote && place != part->body)
        TRY(add_edit(e, (edit_t){.from = part->body, .to = place, .kind = EDIT_QUOTED}));
    TRY(add_edit(e, edit));
    if (!quote || place == part->end) return NULL;
    return add_edit(e, (edit_t){.from = place, .to = part->end, .kind = EDIT_QUOTED});
}

static bool is_payload_within(const mime_part_t *root) {
    bytes_t type = root->type.value;
    return bytes_eq_str(type, "multipart/signed") || bytes_eq_str(type, "multipart/encrypted") ||
           bytes_eq_str(type, "application/pkcs7-mime") ||
           bytes_eq_str(type, "application/x-pkcs7-mime");
}

/* The root's fields decide what parts below show. */
static err_t *on_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    entity_t *e = arg;
    (void)ret_raw;
    if (!part->parent) {
        e->protected = e->policy != MAIL_HEADERS_BARE && !is_payload_within(part);
        TRY(protect_split(&part->fields, e->protected ? e->policy : MAIL_HEADERS_BARE, e->encrypted,
                          &e->header));
    }
    bool main = e->protected && e->legacy_display && e->header.display.n && protect_is_main(part);
    part->user = main ? e : NULL;
    buf_clear(&e->html);
    return NULL;
}

static err_t *on_body(void *arg, mime_part_t *part, bytes_t data) {
    entity_t *e = arg;
    if (!part->user || !protect_is_html(part)) return NULL;
    return buf_add(&e->html, bytes_slice(data, 0, HTML - e->html.n));
}

/* A part is known: does it have to change? */
static err_t *on_end(void *arg, mime_part_t *part) {
    entity_t *e = arg;
    bool root = !part->parent, composite = part->multipart || part->message;
    bool sealed = inside_signed(part);
    bool change = !composite && !sealed && !encoding_name(part) && (part->odd & NEEDS);
    bool text = bytes_starts(part->type.value, BYTES_LIT("text/")) && !(part->odd & MIME_ODD_NUL);
    if (part->user && (text || !change)) return edit_main(e, part, change);
    if (change) {
        TRY(edit_header(e, part, (change_t){.encoding = text ? "quoted-printable" : "base64"}));
        return add_edit(e, (edit_t){.from = part->body,
                                    .to = part->end,
                                    .kind = text ? EDIT_QUOTED : EDIT_BASE64});
    }
    bool declared = mime_field_find(&part->fields, "Content-Transfer-Encoding", NULL) != NULL;
    if (root) return edit_header(e, part, (change_t){.encoding = encoding_name(part)});
    if (composite && !sealed && declared) return edit_header(e, part, (change_t){0});
    return NULL;
}

err_t *entity_init(entity_t *e) {
    *e = (entity_t){0};
    protect_init(&e->header);
    buf_init_secret(&e->html, HTML);
    e->handler = (mime_handler_t){.begin = on_begin, .body = on_body, .end = on_end, .arg = e};
    TRY(arena_new(ARENA, &e->arena));
    return mime_reader_new(&e->handler, &e->mime);
}

void entity_done(entity_t *e) {
    mime_reader_free(e->mime);
    arena_free(e->arena);
    mem_free(e->edits);
    protect_done(&e->header);
    buf_done(&e->html);
    *e = (entity_t){0};
}

err_t *entity_look(entity_t *e, bytes_t data) { return mime_feed(e->mime, data); }

static int by_offset(const void *a, const void *b) {
    const edit_t *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to; /* what is put in comes before what is changed */
}

err_t *entity_looked(entity_t *e) {
    TRY(mime_finish(e->mime));
    if (e->n) qsort(e->edits, e->n, sizeof *e->edits, by_offset);
    return NULL;
}

/* ---- Second pass ---- */

typedef struct {
    const entity_t *e;
    err_t *(*each)(void *arg, bytes_t data);
    void *arg;
    uint64_t at, size; /* in the message; of it */
    size_t edit;       /* the next one, or the one within */
    bool within;
    uint8_t last;
    transfer_encoder_t base64;
    buf_t line; /* of a quoted-printable part */
    buf_t out;
} pass_t;

static err_t *give(pass_t *p, bytes_t data) { return data.n ? p->each(p->arg, data) : NULL; }

/* Bytes as they are, but for bare LF. */
static err_t *give_lines(pass_t *p, bytes_t data) {
    while (data.n) {
        size_t at = scan_bare_lf(data, p->last);
        TRY(give(p, bytes_make(data.p, at)));
        if (at == data.n) {
            p->last = data.p[data.n - 1];
            return NULL;
        }
        TRY(give(p, BYTES_LIT("\r\n")));
        p->last = '\n';
        data = bytes_from(data, at + 1);
    }
    return NULL;
}

/* Whole lines; a line without end is cut by a soft line end (RFC 2045 section 6.7). */
static err_t *give_quoted(pass_t *p, bytes_t data, bool end) {
    buf_clear(&p->out);
    while (data.n) {
        bytes_t part = bytes_slice(data, 0, LINE - p->line.n);
        size_t n = bytes_find(part, '\n');
        bool whole = n < part.n;
        part.n = whole ? n + 1 : n;
        TRY(buf_add(&p->line, part));
        data = bytes_from(data, part.n);
        if (!whole && p->line.n < LINE) break;
        TRY(transfer_quoted(buf_bytes(&p->line), &p->out));
        if (!whole) TRY(buf_add_str(&p->out, "=\r\n"));
        buf_clear(&p->line);
    }
    if (end) {
        TRY(transfer_quoted(buf_bytes(&p->line), &p->out));
        buf_clear(&p->line);
    }
    return give(p, buf_bytes(&p->out));
}

static err_t *give_base64(pass_t *p, bytes_t data, bool end) {
    buf_clear(&p->out);
    TRY(transfer_base64(&p->base64, data, &p->out));
    if (end) {
        TRY(transfer_base64_end(&p->base64, &p->out));
        /* The line end before a boundary is the boundary's. */
        if (p->out.n >= 2) p->out.n -= 2;
    }
    return give(p, buf_bytes(&p->out));
}

static err_t *give_edited(pass_t *p, const edit_t *edit, bytes_t data, bool end) {
    switch (edit->kind) {
    case EDIT_REPLACE: return end ? give_lines(p, edit->text) : NULL;
    case EDIT_QUOTED: return give_quoted(p, data, end);
    case EDIT_BASE64: return give_base64(p, data, end);
    }
    return NULL;
}

/* Edits that begin and end at this place. */
static err_t *turn(pass_t *p) {
    while (p->edit < p->e->n) {
        const edit_t *edit = &p->e->edits[p->edit];
        if (!p->within && edit->from != p->at) return NULL;
        if (!p->within) {
            p->within = true;
            p->base64 = (transfer_encoder_t){0};
        }
        if (edit->to != p->at) return NULL;
        TRY(give_edited(p, edit, BYTES_NONE, true));
        p->within = false;
        p->last = '\n';
        p->edit++;
    }
    return NULL;
}

static err_t *on_data(void *arg, bytes_t data) {
    pass_t *p = arg;
    if (data.n > p->size - p->at) return err_new(ERR_IO, "the message grew while it was read");
    while (data.n) {
        TRY(turn(p));
        const edit_t *edit = p->edit < p->e->n ? &p->e->edits[p->edit] : NULL;
        uint64_t stop = !edit ? UINT64_MAX : p->within ? edit->to : edit->from;
        bytes_t part = stop - p->at < data.n ? bytes_make(data.p, (size_t)(stop - p->at)) : data;
        if (edit && p->within) TRY(give_edited(p, edit, part, false));
        else TRY(give_lines(p, part));
        p->at += part.n;
        data = bytes_from(data, part.n);
    }
    return NULL;
}

err_t *entity_write(entity_t *e, const entity_source_t *source,
                    err_t *(*each)(void *arg, bytes_t data), void *arg) {
    pass_t p = {.e = e, .each = each, .arg = arg, .size = source->size, .last = '\n'};
    buf_init_secret(&p.line, LINE);
    buf_init_secret(&p.out, 8 * 1024 * 1024);
    err_t *error = source->read(source->arg, on_data, &p);
    if (!error && p.at != p.size) error = err_new(ERR_IO, "the message shrank while it was read");
    if (!error) error = turn(&p);
    buf_done(&p.line);
    buf_done(&p.out);
    return error;
}
