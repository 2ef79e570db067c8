/*
 * Old envelopes into new ones: see reseal.h.
 */
#include "mail/reseal.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cms_seal.h"
#include "crypto/digest.h"
#include "format/mime.h"
#include "format/transfer.h"
#include "mail/layer_internal.h"
#include "mail/spool.h"

enum { PEEK = 40, OUT = 1024 * 1024, DECODED = 4 * 1024 * 1024 };

struct reseal {
    const reseal_options_t *options;
    mime_handler_t handler;
    mime_reader_t *mime;
    buf_t header; /* all fields but Content-* */
    bool crlf, has_version;
    bool wrapped; /* the root part is CMS by its type */
    bool done;
    reseal_kind_t kind;
    transfer_decoder_t decoder;
    buf_t decoded, peek;
    cms_open_handler_t open_handler;
    cms_open_t *open;
    cms_envelope_t envelope;
    /* what is inside */
    spool_t *spool;
    digest_t *digest;
    uint8_t sha256[RESEAL_DIGEST];
    mime_handler_t inner_handler;
    mime_reader_t *inner;
    bool inner_begun, no_mime;
    /* writing */
    cms_seal_t *seal;
    transfer_encoder_t base64;
    buf_t text;
    err_t *(*each)(void *arg, bytes_t data);
    void *arg;
};

/* ---- the message around the envelope ---- */

static bool is_content_field(bytes_t name) {
    return name.n > 8 && text_eq_fold(bytes_slice(name, 0, 8), BYTES_LIT("Content-"));
}

static err_t *on_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    reseal_t *r = arg;
    (void)ret_raw;
    if (part->depth) return NULL;
    for (size_t i = 0; i < part->fields.n; i++) {
        const mime_field_t *f = &part->fields.at[i];
        if (i == 0) r->crlf = f->whole.n > 1 && f->whole.p[f->whole.n - 2] == '\r';
        if (is_content_field(f->name)) continue;
        if (text_eq_fold(f->name, BYTES_LIT("MIME-Version"))) r->has_version = true;
        TRY(buf_add(&r->header, f->whole));
    }
    r->wrapped = !part->multipart && !part->fields.odd && wrapper_is_cms(part);
    r->done = !r->wrapped;
    transfer_decoder_init(&r->decoder, part->encoding);
    return NULL;
}

/* ---- the envelope ---- */

static err_t *on_find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                      const pkey_t **ret_key, bool *ret_found) {
    reseal_t *r = arg;
    const cert_list_t *now = r->options->recipients;
    if (now->n && cms_recipient_is(recipient, now->certs[0])) {
        r->kind = RESEAL_CURRENT;
        r->done = true;
        return err_new(ERR_EXISTS, "the new key opens it already");
    }
    return r->options->find_key(r->options->arg, recipient, ret_cert, ret_key, ret_found);
}

static err_t *on_opened(void *arg, const cms_envelope_t *envelope) {
    ((reseal_t *)arg)->envelope = *envelope;
    return NULL;
}

/* A wrong key that seems to work gives no message (RFC 5652 section 6.3). */
static err_t *on_inner_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    reseal_t *r = arg;
    (void)ret_raw;
    if (!part->depth) r->no_mime = !part->fields.n || part->fields.odd;
    r->inner_begun = true;
    return NULL;
}

static err_t *on_content(void *arg, bytes_t data) {
    reseal_t *r = arg;
    TRY(digest_update(r->digest, data));
    if (!r->inner_begun) {
        err_t *e = mime_feed(r->inner, data);
        if (e && err_code(e) == ERR_NOMEM) return e;
        if (e) r->inner_begun = r->no_mime = true;
        err_free(e);
    }
    return spool_add(r->spool, data);
}

static bool has(bytes_t head, const char *oid, size_t n) {
    for (size_t at = 0; at + n <= head.n; at++)
        if (memcmp(head.p + at, oid, n) == 0) return true;
    return false;
}

/* The content type's OBJECT IDENTIFIER stands within the first bytes. */
static err_t *start(reseal_t *r) {
    static const char enveloped[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
    static const char authenticated[] = "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17";
    bytes_t head = buf_bytes(&r->peek);
    if (!has(head, enveloped, sizeof enveloped - 1) &&
        !has(head, authenticated, sizeof authenticated - 1)) {
        r->done = true; /* signed, or no CMS at all */
        return NULL;
    }
    r->open_handler =
        (cms_open_handler_t){.find = on_find, .opened = on_opened, .content = on_content, .arg = r};
    r->inner_handler = (mime_handler_t){.begin = on_inner_begin, .arg = r};
    TRY(mime_reader_new(&r->inner_handler, &r->inner));
    TRY(spool_new(r->options->rnd, r->options->max, NULL, &r->spool));
    TRY(digest_new(&r->digest));
    TRY(cms_open_new(&r->open_handler, r->options->rnd, &r->open));
    return cms_open_feed(r->open, head);
}

static err_t *feed_cms(reseal_t *r, bytes_t data) {
    if (!r->open) {
        bytes_t part = bytes_slice(data, 0, PEEK - r->peek.n);
        TRY(buf_add(&r->peek, part));
        data = bytes_from(data, part.n);
        if (r->peek.n < PEEK) return NULL;
        TRY(start(r));
    }
    return data.n && !r->done ? cms_open_feed(r->open, data) : NULL;
}

static err_t *on_body(void *arg, mime_part_t *part, bytes_t data) {
    reseal_t *r = arg;
    if (part->depth || r->done) return NULL;
    buf_clear(&r->decoded);
    TRY(transfer_decode(&r->decoder, data, &r->decoded));
    return feed_cms(r, buf_bytes(&r->decoded));
}

/* ---- reading ---- */

err_t *reseal_new(const reseal_options_t *options, reseal_t **ret_reseal) {
    CLEANUP(reseal_free) reseal_t *r = mem_zalloc(sizeof *r);
    if (!r) return err_nomem();
    r->options = options;
    r->handler = (mime_handler_t){.begin = on_begin, .body = on_body, .arg = r};
    buf_init(&r->header, LIMIT_MIME_HEADER);
    buf_init(&r->decoded, DECODED);
    buf_init(&r->peek, PEEK);
    buf_init(&r->text, OUT);
    TRY(mime_reader_new(&r->handler, &r->mime));
    *ret_reseal = STEAL(r);
    return NULL;
}

void reseal_free(reseal_t *r) {
    if (!r) return;
    mime_reader_free(r->mime);
    mime_reader_free(r->inner);
    cms_open_free(r->open);
    cms_seal_free(r->seal);
    spool_free(r->spool);
    digest_free(r->digest);
    buf_done(&r->header);
    buf_done(&r->decoded);
    buf_done(&r->peek);
    buf_done(&r->text);
    mem_free(r);
}

bool reseal_is_done(const reseal_t *r) { return r->done; }

/* "The new key opens it" ends the reading as an error, but is none. */
static err_t *unless_done(const reseal_t *r, err_t *e) {
    if (!r->done || !e || err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    return NULL;
}

err_t *reseal_feed(reseal_t *r, bytes_t data) {
    enum { CHUNK = 64 * 1024 };
    for (; data.n && !r->done; data = bytes_from(data, CHUNK))
        TRY(unless_done(r, mime_feed(r->mime, bytes_slice(data, 0, CHUNK))));
    return NULL;
}

static err_t *finish_envelope(reseal_t *r) {
    buf_clear(&r->decoded);
    TRY(transfer_decode_end(&r->decoder, &r->decoded));
    TRY(feed_cms(r, buf_bytes(&r->decoded)));
    if (!r->open && !r->done) TRY(start(r));
    if (r->done) return NULL;
    TRY(cms_open_finish(r->open));
    if (!r->inner_begun) TRY(mime_finish(r->inner));
    if (!r->inner_begun || r->no_mime) return err_new(ERR_VERIFY, "the message can't be decrypted");
    TRY(digest_final(r->digest, r->sha256));
    r->kind = RESEAL_OPENED;
    return NULL;
}

err_t *reseal_finish(reseal_t *r, reseal_kind_t *ret_kind) {
    if (!r->done) TRY(unless_done(r, mime_finish(r->mime)));
    if (!r->done && r->wrapped) TRY(unless_done(r, finish_envelope(r)));
    *ret_kind = r->kind;
    return NULL;
}

void reseal_digest(const reseal_t *r, uint8_t out[RESEAL_DIGEST]) {
    memcpy(out, r->sha256, RESEAL_DIGEST);
}

/* ---- writing ---- */

/* Text of our own, with CRLF, as lines end in this message. */
static err_t *give_text(const reseal_t *r, bytes_t text) {
    while (text.n && !r->crlf) {
        size_t end = bytes_find(text, '\r');
        if (end) TRY(r->each(r->arg, bytes_slice(text, 0, end)));
        text = bytes_from(text, end + 1);
    }
    return text.n ? r->each(r->arg, text) : NULL;
}

static err_t *on_cipher(void *arg, bytes_t cms) {
    reseal_t *r = arg;
    buf_clear(&r->text);
    TRY(transfer_base64(&r->base64, cms, &r->text));
    return give_text(r, buf_bytes(&r->text));
}

static err_t *on_plain(void *arg, bytes_t data) {
    return cms_seal_feed(((reseal_t *)arg)->seal, data);
}

err_t *reseal_write(reseal_t *r, err_t *(*each)(void *arg, bytes_t data), void *arg) {
    cms_encrypt_options_t options = r->options->encryption;
    if (!r->options->any_cipher)
        options.cipher =
            r->envelope.integrity == CMS_INTEGRITY_AEAD ? CMS_AES256_GCM : CMS_AES256_CBC;
    r->each = each;
    r->arg = arg;
    if (r->header.n) TRY(each(arg, buf_bytes(&r->header)));
    if (!r->has_version) TRY(give_text(r, BYTES_LIT("MIME-Version: 1.0\r\n")));
    TRY(give_text(r, options.cipher == CMS_AES256_GCM
                         ? BYTES_LIT("Content-Type: application/pkcs7-mime;"
                                     " smime-type=authEnveloped-data;\r\n")
                         : BYTES_LIT("Content-Type: application/pkcs7-mime;"
                                     " smime-type=enveloped-data;\r\n")));
    TRY(give_text(r, BYTES_LIT(" name=\"smime.p7m\"\r\nContent-Transfer-Encoding: base64\r\n"
                               "Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\r\n")));
    TRY(cms_seal_encrypt(r->options->recipients, &options, (cms_sink_fn_t){on_cipher, r},
                         &r->seal));
    TRY(spool_read(r->spool, on_plain, r));
    TRY(cms_seal_finish(r->seal));
    buf_clear(&r->text);
    TRY(transfer_base64_end(&r->base64, &r->text));
    return give_text(r, buf_bytes(&r->text));
}
