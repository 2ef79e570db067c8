/*
 * Entities: see entity_internal.h. RFC 8551 section 3.1.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/transfer.h"
#include "mail/entity_internal.h"

enum {
    ARENA = 64 * 1024 * 1024,
    LINE = 16 * 1024,
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

/* A header block with another transfer encoding (NULL: none), of the root without its outer fields.
 */
static err_t *new_header(entity_t *e, const mime_part_t *part, const char *encoding, buf_t *out) {
    bool root = !part->parent, typed = false;
    for (size_t i = 0; i < part->fields.n; i++) {
        const mime_field_t *f = &part->fields.at[i];
        if (root && !is_content_field(f)) continue;
        if (text_eq_fold(f->name, BYTES_LIT("content-transfer-encoding"))) continue;
        if (text_eq_fold(f->name, BYTES_LIT("content-type"))) typed = true;
        TRY(buf_add(out, f->whole));
        if (out->p[out->n - 1] != '\n') TRY(buf_add_str(out, "\r\n"));
    }
    if (root && !typed) {
        bool eight = (part->odd & MIME_ODD_8BIT) != 0;
        TRY(buf_printf(out, "Content-Type: text/plain; charset=%s\r\n",
                       eight ? "utf-8" : "us-ascii"));
    }
    if (encoding) TRY(buf_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding));
    (void)e;
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

static err_t *edit_part(entity_t *e, const mime_part_t *part, const char *encoding,
                        edit_kind_t body) {
    CLEANUP(buf_done) buf_t header;
    edit_t edit = {.from = part->offset, .to = part->body, .kind = EDIT_REPLACE};
    buf_init(&header, LIMIT_MIME_HEADER * 2);
    TRY(new_header(e, part, encoding, &header));
    TRY(arena_copy(e->arena, buf_bytes(&header), &edit.text));
    TRY(add_edit(e, edit));
    if (body == EDIT_REPLACE) return NULL;
    return add_edit(e, (edit_t){.from = part->body, .to = part->end, .kind = body});
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

static err_t *keep_outer(entity_t *e, const mime_part_t *part) {
    for (size_t i = 0; i < part->fields.n; i++) {
        const mime_field_t *f = &part->fields.at[i];
        if (is_content_field(f) || text_eq_fold(f->name, BYTES_LIT("mime-version"))) continue;
        TRY(add_field(f->whole, &e->outer));
    }
    return NULL;
}

/* A part is known: does it have to change? */
static err_t *on_end(void *arg, mime_part_t *part) {
    entity_t *e = arg;
    bool root = !part->parent, composite = part->multipart || part->message;
    if (root) TRY(keep_outer(e, part));
    bool sealed = inside_signed(part);
    if (!composite && !sealed && !encoding_name(part) && (part->odd & NEEDS)) {
        bool text =
            bytes_starts(part->type.value, BYTES_LIT("text/")) && !(part->odd & MIME_ODD_NUL);
        return edit_part(e, part, text ? "quoted-printable" : "base64",
                         text ? EDIT_QUOTED : EDIT_BASE64);
    }
    bool declared = mime_field_find(&part->fields, "Content-Transfer-Encoding", NULL) != NULL;
    if (root) return edit_part(e, part, encoding_name(part), EDIT_REPLACE);
    if (composite && !sealed && declared) return edit_part(e, part, NULL, EDIT_REPLACE);
    return NULL;
}

err_t *entity_init(entity_t *e) {
    *e = (entity_t){0};
    buf_init(&e->outer, LIMIT_MIME_HEADER * 2);
    e->handler = (mime_handler_t){.end = on_end, .arg = e};
    TRY(arena_new(ARENA, &e->arena));
    return mime_reader_new(&e->handler, &e->mime);
}

void entity_done(entity_t *e) {
    mime_reader_free(e->mime);
    arena_free(e->arena);
    mem_free(e->edits);
    buf_done(&e->outer);
    *e = (entity_t){0};
}

err_t *entity_look(entity_t *e, bytes_t data) { return mime_feed(e->mime, data); }

static int by_offset(const void *a, const void *b) {
    const edit_t *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
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
    uint64_t at; /* in the message */
    size_t edit; /* the next one, or the one within */
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
        size_t at = 0;
        uint8_t last = p->last;
        for (;; at++) {
            size_t n = bytes_find(bytes_from(data, at), '\n');
            at += n;
            if (at >= data.n) break;
            if ((at ? data.p[at - 1] : last) != '\r') break;
        }
        if (at > data.n) at = data.n;
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

err_t *entity_write(entity_t *e, spool_t *spool, err_t *(*each)(void *arg, bytes_t data),
                    void *arg) {
    pass_t p = {.e = e, .each = each, .arg = arg, .last = '\n'};
    buf_init_secret(&p.line, LINE);
    buf_init_secret(&p.out, 8 * 1024 * 1024);
    err_t *error = spool_read(spool, on_data, &p);
    if (!error) error = turn(&p);
    buf_done(&p.line);
    buf_done(&p.out);
    return error;
}
