/*
 * Layers: see layer_internal.h.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mime_date.h"
#include "mail/headers.h"
#include "mail/layer_internal.h"
#include "mail/protect.h"

enum { DECODED = 192 * 1024 };

static node_t *node_of(const mime_part_t *part) { return part ? part->user : NULL; }

static void node_free(node_t *node) {
    clear_free(node->clear);
    digest_free(node->digest);
    mem_free(node);
}

/* ---- The verdict's lists ---- */

err_t *verdict_add_part(mail_verdict_t *v, size_t *ret_index) {
    if (v->parts_n == v->parts_room) {
        size_t room = v->parts_room ? v->parts_room * 2 : 16;
        mail_part_t *parts = mem_resize(v->parts, room * sizeof *parts);
        if (!parts) return err_nomem();
        v->parts = parts;
        v->parts_room = room;
    }
    v->parts[v->parts_n] = (mail_part_t){.signature = -1};
    *ret_index = v->parts_n++;
    return NULL;
}

err_t *verdict_add_signature(mail_verdict_t *v, const char *path, bool root, bool clear,
                             size_t *ret_index) {
    if (v->signatures_n == MAIL_SIGNATURES)
        return err_new(ERR_LIMIT, "more than %d signatures", MAIL_SIGNATURES);
    if (!v->signatures)
        TRY(arena_alloc(v->arena, MAIL_SIGNATURES * sizeof *v->signatures, &v->signatures));
    mail_signature_t *s = &v->signatures[v->signatures_n];
    *s = (mail_signature_t){.root = root, .clear = clear};
    (void)snprintf(s->path, sizeof s->path, "%s", path);
    *ret_index = v->signatures_n++;
    return NULL;
}

/* ---- Header of the whole message ---- */

static err_t *take_addresses(mail_verdict_t *v, const mime_fields_t *fields, const char *name,
                             mime_addresses_t *list) {
    size_t n;
    const mime_field_t *field = mime_field_find(fields, name, &n);
    if (!field) return NULL;
    TRY(mime_addresses_read(v->arena, field->value, list));
    if (n > 1) list->bad = true;
    return NULL;
}

static err_t *take_header(mail_reader_t *r, const mime_part_t *part) {
    mail_verdict_t *v = &r->verdict;
    TRY(take_addresses(v, &part->fields, "From", &v->from));
    TRY(take_addresses(v, &part->fields, "Sender", &v->sender));
    if (v->from.n > 1 || v->from.bad) v->problems[MAIL_SEVERAL_FROM] = true;
    if (!v->from.n) v->problems[MAIL_NO_FROM] = true;
    size_t dates;
    const mime_field_t *date = mime_field_find(&part->fields, "Date", &dates);
    v->has_date = date && dates == 1 && mime_date_read(date->value, &v->date);
    const mime_field_t *subject = mime_field_find(&part->fields, "Subject", NULL);
    if (subject) {
        CLEANUP(buf_done) buf_t text;
        buf_init(&text, (size_t)LIMIT_MIME_HEADER * 4);
        TRY(mime_words_decode(subject->value, &text));
        protect_one_line(&text, 0);
        TRY(arena_copy(v->arena, buf_bytes(&text), &v->subject));
    }
    for (size_t i = 0; i < part->fields.n; i++) {
        const mime_field_t *f = &part->fields.at[i];
        bool content = text_eq_fold(bytes_slice(f->name, 0, 8), BYTES_LIT("content-")) ||
                       text_eq_fold(f->name, BYTES_LIT("mime-version"));
        if (!content) TRY(buf_add(&r->header, f->whole));
    }
    return NULL;
}

/* ---- Parts ---- */

static err_t *describe(layer_t *l, const mime_part_t *part, mail_part_t *p) {
    arena_t *arena = l->r->verdict.arena;
    mime_type_t disposition = {0};
    int n = snprintf(p->path, sizeof p->path, "%s%s", l->prefix, part->path);
    if (n < 0 || (size_t)n >= sizeof p->path) return err_new(ERR_LIMIT, "part path too long");
    TRY(arena_copy(arena, part->type.value, &p->type));
    const mime_field_t *field = mime_field_find(&part->fields, "Content-Disposition", NULL);
    if (field) TRY(mime_type_read(arena, field->value, &disposition));
    p->disposition = disposition.value;
    bytes_t name = mime_parameter(&disposition, "filename");
    if (!name.n) name = mime_parameter(&part->type, "name");
    TRY(arena_copy(arena, name, &p->name));
    p->leaf = !part->multipart && !part->message;
    p->encrypted = l->encrypted;
    p->legacy_display =
        l == l->r->payload && bytes_eq_str(mime_parameter(&part->type, "hp-legacy-display"), "1");
    return NULL;
}

/* Inside a clear signature around the whole layer everything is the next layer's. */
static bool is_inners(const layer_t *l, const mime_part_t *part) {
    if (l->kind != LAYER_CLEAR) return false;
    for (; part->parent; part = part->parent)
        if (!part->parent->parent) return part->index == 1;
    return false;
}

/* A root part decides what encloses the layer. */
static err_t *begin_root(layer_t *l, mime_part_t *part) {
    l->begun = true;
    if (l->depth == 0) TRY(take_header(l->r, part));
    l->kind = wrapper_kind(part);
    if (l->kind == LAYER_PLAIN && l->depth) TRY(headers_take(l, part));
    transfer_decoder_init(&l->decoder, part->encoding);
    if (l->encrypted && (!part->fields.n || part->fields.odd)) l->r->no_mime = true;
    return NULL;
}

static err_t *begin_leaf(layer_t *l, const mime_part_t *part, node_t *node) {
    mail_verdict_t *v = &l->r->verdict;
    const mime_part_t *parent = part->parent;
    node->detached = node_of(parent) && node_of(parent)->clear && part->index == 2;
    if (node->detached) {
        transfer_decoder_init(&node_of(parent)->clear->decoder, part->encoding);
        return NULL;
    }
    if (part->encoding == MIME_ENCODING_UNKNOWN) v->problems[MAIL_BAD_ENCODING] = true;
    if (wrapper_is_cms(part)) v->problems[MAIL_NESTED_ENVELOPE] = true;
    node->leaf = l->r->options->look != MAIL_LOOK_SKIM;
    if (!node->leaf) return NULL;
    transfer_decoder_init(&node->decoder, part->encoding);
    if (l->r->options->look == MAIL_LOOK_DIGEST) TRY(digest_new(&node->digest));
    const mail_reader_handler_t *h = l->r->handler;
    v->parts[node->index].extracted = true;
    return h->part_begin ? h->part_begin(h->arg, &v->parts[node->index]) : NULL;
}

static err_t *on_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    layer_t *l = arg;
    mail_verdict_t *v = &l->r->verdict;
    if (!part->parent) TRY(begin_root(l, part));
    if (is_inners(l, part)) {
        *ret_raw = part->depth == 1;
        return NULL;
    }
    node_t *node = mem_zalloc(sizeof *node);
    if (!node) return err_nomem();
    node->outer = l->nodes;
    l->nodes = node;
    part->user = node;
    TRY(verdict_add_part(v, &node->index));
    TRY(describe(l, part, &v->parts[node->index]));
    if (part->multipart && bytes_eq_str(part->type.value, "multipart/signed"))
        TRY(clear_new(part, v->parts[node->index].path, !part->parent, &node->clear));
    node_t *parent = node_of(part->parent);
    *ret_raw = parent && parent->clear && part->index == 1;
    if (l->kind != LAYER_PLAIN && !part->parent) { /* the wrapper's */
        v->parts[node->index].leaf = false;
        return NULL;
    }
    return v->parts[node->index].leaf ? begin_leaf(l, part, node) : NULL;
}

static err_t *on_raw(void *arg, mime_part_t *part, bytes_t data) {
    layer_t *l = arg;
    node_t *parent = node_of(part->parent);
    TRY(content_hash_add(&parent->clear->hash, data));
    if (!parent->clear->root) return NULL;
    if (!l->inner) TRY(layer_new(l->r, l, parent->clear->path, &l->inner));
    return layer_feed(l->inner, data);
}

static err_t *leaf_data(layer_t *l, node_t *node, bytes_t data) {
    const mail_reader_handler_t *h = l->r->handler;
    mail_part_t *p = &l->r->verdict.parts[node->index];
    p->size += data.n;
    if (node->digest) TRY(digest_update(node->digest, data));
    return h->part_data && data.n ? h->part_data(h->arg, p, data) : NULL;
}

static err_t *on_body(void *arg, mime_part_t *part, bytes_t data) {
    layer_t *l = arg;
    node_t *node = part->user;
    if (!node) return NULL;
    if (!part->parent && l->kind == LAYER_ENVELOPE) return wrapper_feed(l, data);
    if (!part->parent && l->kind == LAYER_OPAQUE) return wrapper_feed(l, data);
    if (node->detached) return clear_signature_data(node_of(part->parent)->clear, data);
    if (!node->leaf) return NULL;
    if (node->decoder.encoding == MIME_ENCODING_IDENTITY ||
        node->decoder.encoding == MIME_ENCODING_UNKNOWN)
        return leaf_data(l, node, data);
    buf_clear(&l->r->decoded);
    TRY(transfer_decode(&node->decoder, data, &l->r->decoded));
    return leaf_data(l, node, buf_bytes(&l->r->decoded));
}

static err_t *end_leaf(layer_t *l, node_t *node) {
    mail_verdict_t *v = &l->r->verdict;
    const mail_reader_handler_t *h = l->r->handler;
    mail_part_t *p = &v->parts[node->index];
    buf_clear(&l->r->decoded);
    TRY(transfer_decode_end(&node->decoder, &l->r->decoded));
    TRY(leaf_data(l, node, buf_bytes(&l->r->decoded)));
    if (node->decoder.dirty) v->problems[MAIL_BAD_ENCODING] = true;
    if (node->digest) TRY(digest_final(node->digest, p->sha256));
    return h->part_end ? h->part_end(h->arg, p) : NULL;
}

/* Parts of the innermost layer say whether a signature over them travels well. */
static void note_odd(mail_verdict_t *v, unsigned odd) {
    if (odd & MIME_ODD_NUL) v->problems[MAIL_NUL] = true;
    if (odd & MIME_ODD_LONG_LINE) v->problems[MAIL_LONG_LINES] = true;
    if (odd & (MIME_ODD_NO_BOUNDARY | MIME_ODD_UNCLOSED | MIME_ODD_HEADER | MIME_ODD_ENCODED_MULTI |
               MIME_ODD_DUPLICATE_FIELD))
        v->problems[MAIL_MIME_ODD] = true;
}

/*
 * A signature covers the parts from its own on, down to those of its content. What isn't 7-bit
 * under a clear one (RFC 8551 section 3.1.2) is recoded by relays that are.
 */
static void cover(mail_verdict_t *v, size_t from, int signature) {
    for (size_t i = from; i < v->parts_n; i++) {
        if (v->parts[i].signature < 0) v->parts[i].signature = signature;
        if (v->signatures[signature].clear && v->parts[i].odd & MIME_ODD_8BIT)
            v->problems[MAIL_8BIT_SIGNED] = true;
    }
}

static err_t *end_part(layer_t *l, mime_part_t *part, node_t *node) {
    mail_verdict_t *v = &l->r->verdict;
    v->parts[node->index].odd = part->odd;
    note_odd(v, part->odd);
    if (node->clear) {
        if (node->clear->root && l->inner) TRY(layer_finish(l->inner));
        TRY(clear_finish(l->r, node->clear));
        cover(v, node->index + 1, (int)v->signatures_n - 1);
        return NULL;
    }
    if (!part->parent && (l->kind == LAYER_ENVELOPE || l->kind == LAYER_OPAQUE)) {
        TRY(wrapper_finish(l));
        if (l->kind == LAYER_OPAQUE) {
            for (size_t i = v->signatures_n; i-- > 0;)
                if (strcmp(v->signatures[i].path, v->parts[node->index].path) == 0)
                    cover(v, node->index + 1, (int)i);
        }
        return NULL;
    }
    return node->leaf ? end_leaf(l, node) : NULL;
}

static err_t *on_end(void *arg, mime_part_t *part) {
    layer_t *l = arg;
    node_t *node = part->user;
    if (!node) return NULL;
    TRY(end_part(l, part, node));
    l->nodes = node->outer;
    node_free(node);
    return NULL;
}

/* ---- Layers ---- */

err_t *mail_undecryptable(void) { return err_new(ERR_VERIFY, "message can't be decrypted"); }

err_t *layer_new(mail_reader_t *r, layer_t *outer, const char *path, layer_t **ret_layer) {
    unsigned depth = outer ? outer->depth + 1 : 0;
    if (depth == MAIL_LAYERS)
        return err_new(ERR_LIMIT, "more than %d envelopes and signatures within one another",
                       MAIL_LAYERS - 1);
    layer_t *l CLEANUP(layer_free) = mem_zalloc(sizeof *l);
    if (!l) return err_nomem();
    l->r = r;
    l->depth = depth;
    l->encrypted = outer && outer->encrypted;
    int n = outer ? snprintf(l->prefix, sizeof l->prefix, "%s/", path) : 0;
    if (n < 0 || (size_t)n >= sizeof l->prefix) return err_new(ERR_LIMIT, "part path too long");
    (void)snprintf(l->root, sizeof l->root, "%s1", l->prefix);
    l->handler =
        (mime_handler_t){on_begin, on_body, on_raw, on_end, l, r->options->look == MAIL_LOOK_SKIM};
    buf_init_secret(&l->decoded, DECODED);
    buf_init(&l->peek, 64);
    TRY(mime_reader_new(&l->handler, &l->mime));
    if (r->options->keep == MAIL_KEEP_CONTENT) { /* the last one made is the innermost */
        if (outer) TRY(spool_reset(r->spool));
        r->kept = l;
    }
    *ret_layer = STEAL(l);
    return NULL;
}

void layer_free(layer_t *l) {
    while (l) {
        layer_t *inner = l->inner;
        for (node_t *node = l->nodes, *outer; node; node = outer) {
            outer = node->outer;
            node_free(node);
        }
        mime_reader_free(l->mime);
        cms_open_free(l->open);
        cms_split_free(l->split);
        content_hash_done(&l->hash);
        buf_done(&l->decoded);
        buf_done(&l->peek);
        mem_free(l);
        l = inner;
    }
}

err_t *layer_feed(layer_t *l, bytes_t data) {
    if (l->r->kept == l) TRY(spool_add(l->r->spool, data));
    err_t *e = mime_feed(l->mime, data);
    if (!e || !l->encrypted || l->begun || err_code(e) != ERR_LIMIT) return e;
    err_free(e); /* no header ends here: rubbish, as of a wrong key */
    return mail_undecryptable();
}

err_t *layer_finish(layer_t *l) { return mime_finish(l->mime); }
