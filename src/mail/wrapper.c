/*
 * What encloses a whole layer: application/pkcs7-mime with an envelope or an opaque signature. The
 * CMS says what it is, smime-type is only a hint (RFC 8551 section 3.2.2).
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "crypto/cms.h"
#include "mail/layer_internal.h"

enum { PEEK = 40 }; /* bytes in which the content type has come */

static bool ends_with(bytes_t name, const char *ending) {
    size_t n = strlen(ending);
    return name.n >= n && text_eq_fold(bytes_from(name, name.n - n), bytes_str(ending));
}

bool wrapper_is_cms(const mime_part_t *part) {
    bytes_t type = part->type.value, name = mime_parameter(&part->type, "name");
    if (bytes_eq_str(type, "application/pkcs7-mime") ||
        bytes_eq_str(type, "application/x-pkcs7-mime"))
        return true;
    if (!bytes_eq_str(type, "application/octet-stream")) return false;
    return ends_with(name, ".p7m") || ends_with(name, ".p7c") || ends_with(name, ".p7z");
}

layer_kind_t wrapper_kind(const mime_part_t *part) {
    if (part->multipart && bytes_eq_str(part->type.value, "multipart/signed")) return LAYER_CLEAR;
    return wrapper_is_cms(part) ? LAYER_ENVELOPE : LAYER_PLAIN;
}

static err_t *start_inner(layer_t *l) {
    if (l->inner) return NULL;
    TRY(layer_new(l->r, l, l->root, &l->inner));
    if (l->kind == LAYER_ENVELOPE) {
        l->inner->encrypted = true;
        if (l->r->options->keep == MAIL_KEEP_DECRYPTED) {
            TRY(spool_reset(l->r->spool));
            l->r->kept = l->inner;
        }
    }
    return NULL;
}

/* ---- Envelopes ---- */

static err_t *on_find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                      const pkey_t **ret_key, bool *ret_found) {
    const layer_t *l = arg;
    if (!l->r->handler->find_key) return NULL;
    return l->r->handler->find_key(l->r->handler->arg, recipient, ret_cert, ret_key, ret_found);
}

static err_t *on_unwrap(void *arg, const cert_t *cert, const cms_wrapped_t *wrapped,
                        uint8_t *ret_key, size_t n) {
    const mail_reader_handler_t *h = ((const layer_t *)arg)->r->handler;
    return h->unwrap(h->arg, cert, wrapped, ret_key, n);
}

static err_t *on_opened(void *arg, const cms_envelope_t *envelope) {
    layer_t *l = arg;
    mail_verdict_t *v = &l->r->verdict;
    if (v->envelopes_n == MAIL_LAYERS) return err_new(ERR_LIMIT, "too many envelopes");
    mail_envelope_t *e = &v->envelopes[v->envelopes_n++];
    (void)snprintf(e->path, sizeof e->path, "%s", l->root);
    e->envelope = *envelope;
    if (envelope->weak) v->problems[MAIL_WEAK_CIPHER] = true;
    return start_inner(l);
}

static err_t *on_plain(void *arg, bytes_t data) {
    layer_t *l = arg;
    return layer_feed(l->inner, data);
}

/* ---- Opaque signatures ---- */

static err_t *on_head(void *arg, cms_type_t type, bytes_t head) {
    layer_t *l = arg;
    unsigned digests = 0;
    if (type != CMS_SIGNED_DATA) return err_new(ERR_INVALID, "CMS message is not signed");
    TRY(cms_announced(head, &digests));
    TRY(content_hash_init(&l->hash, digests ? digests : CMS_HASH_ALL, false));
    return NULL;
}

static err_t *on_signed(void *arg, bytes_t data) {
    layer_t *l = arg;
    TRY(start_inner(l));
    TRY(content_hash_add(&l->hash, data));
    return layer_feed(l->inner, data);
}

static err_t *finish_opaque(layer_t *l) {
    size_t index;
    TRY(cms_split_finish(l->split));
    TRY(content_hash_end(&l->hash));
    TRY(verdict_add_signature(&l->r->verdict, l->root, true, false, &index));
    if (l->inner) TRY(layer_finish(l->inner));
    return signature_check_rest(l->r, &l->r->verdict.signatures[index], cms_split_rest(l->split),
                                &l->hash);
}

/* ---- Which it is ---- */

static bool has_oid(bytes_t head, const char *oid, size_t n) {
    for (size_t at = 0; at + n <= head.n; at++)
        if (memcmp(head.p + at, oid, n) == 0) return true;
    return false;
}

/* The content type's OBJECT IDENTIFIER stands within the first bytes. */
static err_t *start(layer_t *l) {
    static const char signed_data[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
    bytes_t head = buf_bytes(&l->peek);
    l->typed = true;
    if (has_oid(head, signed_data, sizeof signed_data - 1)) {
        l->kind = LAYER_OPAQUE;
        l->split_handler = (cms_split_handler_t){on_head, on_signed, l};
        TRY(cms_split_new(&l->split_handler, &l->split));
        return cms_split_feed(l->split, head);
    }
    l->open_handler = (cms_open_handler_t){.find = on_find,
                                           .opened = on_opened,
                                           .content = on_plain,
                                           .unwrap = l->r->handler->unwrap ? on_unwrap : NULL,
                                           .arg = l};
    TRY(cms_open_new(&l->open_handler, l->r->options->rnd, &l->open));
    return cms_open_feed(l->open, head);
}

static err_t *feed_cms(layer_t *l, bytes_t data) {
    if (!l->typed) {
        bytes_t part = bytes_slice(data, 0, PEEK - l->peek.n);
        TRY(buf_add(&l->peek, part));
        data = bytes_from(data, part.n);
        if (l->peek.n < PEEK) return NULL;
        TRY(start(l));
    }
    if (!data.n) return NULL;
    return l->split ? cms_split_feed(l->split, data) : cms_open_feed(l->open, data);
}

err_t *wrapper_feed(layer_t *l, bytes_t data) {
    buf_clear(&l->decoded);
    TRY(transfer_decode(&l->decoder, data, &l->decoded));
    return feed_cms(l, buf_bytes(&l->decoded));
}

err_t *wrapper_finish(layer_t *l) {
    buf_clear(&l->decoded);
    TRY(transfer_decode_end(&l->decoder, &l->decoded));
    TRY(feed_cms(l, buf_bytes(&l->decoded)));
    if (!l->typed) TRY(start(l));
    if (l->decoder.dirty) l->r->verdict.problems[MAIL_BAD_ENCODING] = true;
    if (l->split) return finish_opaque(l);
    TRY(cms_open_finish(l->open));
    return layer_finish(l->inner);
}
