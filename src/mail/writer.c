/*
 * The writer: see writer.h. Stages from the inside out: the entity, the signature around it, the
 * envelope around that; each gives its bytes to the next.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cms_seal.h"
#include "format/transfer.h"
#include "mail/entity_internal.h"
#include "mail/writer.h"

enum { BOUNDARY_RANDOM = 12, BOUNDARY_SIZE = 64, SIGNATURE = 256 * 1024 };

struct mail_writer {
    const mail_write_options_t *options;
    spool_t *spool; /* empty if the message can be had again */
    uint64_t size;
    entity_t entity;
    err_t *(*each)(void *arg, bytes_t data);
    void *arg;
    cms_seal_t *envelope; /* NULL: nothing is encrypted */
    transfer_encoder_t envelope_base64;
    cms_seal_t *opaque;
    transfer_encoder_t opaque_base64;
    cms_hashes_t *hashes; /* of a clear signature */
    cms_sign_options_t sign;
    buf_t out, out_opaque;
};

err_t *mail_writer_new(const mail_write_options_t *options, mail_writer_t **ret_writer) {
    mail_writer_t *w CLEANUP(mail_writer_free) = mem_zalloc(sizeof *w);
    if (!w) return err_nomem();
    w->options = options;
    buf_init(&w->out, 1024 * 1024);
    buf_init(&w->out_opaque, 1024 * 1024);
    TRY(entity_init(&w->entity));
    if (options->signer || options->recipients) {
        w->entity.policy = options->headers;
        w->entity.encrypted = options->recipients != NULL;
        w->entity.legacy_display = options->legacy_display;
    }
    TRY(spool_new(options->rnd, options->max, options->files, &w->spool));
    *ret_writer = STEAL(w);
    return NULL;
}

void mail_writer_free(mail_writer_t *w) {
    if (!w) return;
    entity_done(&w->entity);
    spool_free(w->spool);
    cms_seal_free(w->envelope);
    cms_seal_free(w->opaque);
    cms_hashes_free(w->hashes);
    buf_done(&w->out);
    buf_done(&w->out_opaque);
    mem_free(w);
}

err_t *mail_writer_feed(mail_writer_t *w, bytes_t data) {
    if (!w->options->again) TRY(spool_add(w->spool, data));
    else if (data.n > w->options->max - w->size)
        return err_new(ERR_LIMIT, "content of more than %llu bytes",
                       (unsigned long long)w->options->max);
    w->size += data.n;
    return entity_look(&w->entity, data);
}

bool mail_writer_protected(const mail_writer_t *w) { return w->entity.protected; }

/* ---- Outermost: the envelope, or the reader of all this ---- */

static err_t *on_cipher(void *arg, bytes_t cms) {
    mail_writer_t *w = arg;
    buf_clear(&w->out);
    TRY(transfer_base64(&w->envelope_base64, cms, &w->out));
    return w->out.n ? w->each(w->arg, buf_bytes(&w->out)) : NULL;
}

static err_t *read_spool(void *arg, err_t *(*each)(void *arg, bytes_t data), void *each_arg) {
    return spool_read(arg, each, each_arg);
}

/* The inner entity, in a second pass. */
static err_t *write_entity(mail_writer_t *w, err_t *(*each)(void *arg, bytes_t data)) {
    const mail_write_options_t *o = w->options;
    const entity_source_t source = {.read = o->again ? o->again : read_spool,
                                    .arg = o->again ? o->again_arg : w->spool,
                                    .size = w->size};
    return entity_write(&w->entity, &source, each, w);
}

static err_t *give(mail_writer_t *w, bytes_t data) {
    if (w->envelope) return cms_seal_feed(w->envelope, data);
    return w->each(w->arg, data);
}
static err_t *give_str(mail_writer_t *w, const char *text) { return give(w, bytes_str(text)); }

static err_t *begin_envelope(mail_writer_t *w) {
    const mail_write_options_t *o = w->options;
    const char *type =
        o->encryption.cipher == CMS_AES256_GCM ? "authEnveloped-data" : "enveloped-data";
    CLEANUP(buf_done) buf_t header;
    buf_init(&header, 1024);
    TRY(buf_printf(&header,
                   "Content-Type: application/pkcs7-mime; smime-type=%s;\r\n name=\"smime.p7m\"\r\n"
                   "Content-Transfer-Encoding: base64\r\n"
                   "Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\r\n",
                   type));
    TRY(w->each(w->arg, buf_bytes(&header)));
    return cms_seal_encrypt(o->recipients, &o->encryption, (cms_sink_fn_t){on_cipher, w},
                            &w->envelope);
}

static err_t *end_envelope(mail_writer_t *w) {
    TRY(cms_seal_finish(w->envelope));
    buf_clear(&w->out);
    TRY(transfer_base64_end(&w->envelope_base64, &w->out));
    return w->out.n ? w->each(w->arg, buf_bytes(&w->out)) : NULL;
}

/* ---- Clear signature ---- */

static err_t *on_clear(void *arg, bytes_t data) {
    mail_writer_t *w = arg;
    TRY(cms_hashes_add(w->hashes, data));
    return give(w, data);
}

static err_t *make_boundary(const mail_writer_t *w, char out[BOUNDARY_SIZE]) {
    uint8_t random[BOUNDARY_RANDOM];
    CLEANUP(buf_done) buf_t hex;
    const char *text;
    buf_init(&hex, 64);
    TRY(rnd_fill(w->options->rnd, random, sizeof random));
    TRY(text_hex(BYTES_ARRAY(random), &hex));
    TRY(buf_cstr(&hex, &text));
    (void)snprintf(out, BOUNDARY_SIZE, "----=_coffer_%s", text);
    return NULL;
}

static const char *micalg(cms_digest_t digest) {
    switch (digest) {
    case CMS_DIGEST_SHA256: return "sha-256";
    case CMS_DIGEST_SHA1: return "sha-1";
    case CMS_DIGEST_SHA384: return "sha-384";
    case CMS_DIGEST_SHA512: return "sha-512";
    case CMS_DIGEST_MD5:
    case CMS_DIGEST_OTHER: break; /* never signed with */
    }
    return "sha-256";
}

static err_t *give_signature(mail_writer_t *w) {
    CLEANUP(buf_done) buf_t der, text;
    transfer_encoder_t base64 = {0};
    buf_init(&der, SIGNATURE);
    buf_init(&text, SIGNATURE * 2);
    TRY(cms_hashes_end(w->hashes));
    const mail_write_options_t *o = w->options;
    bytes_t hash = cms_hashes_get(w->hashes, o->digest);
    TRY(o->sign ? o->sign(o->sign_arg, hash, &der)
                : cms_sign_hash(o->signer, hash, &w->sign, &der));
    TRY(transfer_base64(&base64, buf_bytes(&der), &text));
    TRY(transfer_base64_end(&base64, &text));
    return give(w, buf_bytes(&text));
}

static err_t *write_clear(mail_writer_t *w) {
    char boundary[BOUNDARY_SIZE];
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, 2048);
    TRY(make_boundary(w, boundary));
    TRY(cms_hashes_new(CMS_HASH(w->options->digest), &w->hashes));
    TRY(buf_printf(&text,
                   "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n"
                   " micalg=%s; boundary=\"%s\"\r\n\r\n"
                   "This is a signed message in MIME format.\r\n\r\n--%s\r\n",
                   micalg(w->options->digest), boundary, boundary));
    TRY(give(w, buf_bytes(&text)));
    TRY(write_entity(w, on_clear));
    buf_clear(&text);
    TRY(buf_printf(&text,
                   "\r\n--%s\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n"
                   "Content-Transfer-Encoding: base64\r\n"
                   "Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n",
                   boundary));
    TRY(give(w, buf_bytes(&text)));
    TRY(give_signature(w));
    buf_clear(&text);
    TRY(buf_printf(&text, "\r\n--%s--\r\n", boundary));
    return give(w, buf_bytes(&text));
}

/* ---- Opaque signature ---- */

static err_t *on_signed_cms(void *arg, bytes_t cms) {
    mail_writer_t *w = arg;
    buf_clear(&w->out_opaque);
    TRY(transfer_base64(&w->opaque_base64, cms, &w->out_opaque));
    return w->out_opaque.n ? give(w, buf_bytes(&w->out_opaque)) : NULL;
}

static err_t *on_opaque(void *arg, bytes_t data) {
    return cms_seal_feed(((mail_writer_t *)arg)->opaque, data);
}

static err_t *write_opaque(mail_writer_t *w) {
    TRY(give_str(w, "Content-Type: application/pkcs7-mime; smime-type=signed-data;\r\n"
                    " name=\"smime.p7m\"\r\nContent-Transfer-Encoding: base64\r\n"
                    "Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\r\n"));
    TRY(cms_seal_sign(w->options->signer, &w->sign, (cms_sink_fn_t){on_signed_cms, w}, &w->opaque));
    TRY(write_entity(w, on_opaque));
    TRY(cms_seal_finish(w->opaque));
    buf_clear(&w->out_opaque);
    TRY(transfer_base64_end(&w->opaque_base64, &w->out_opaque));
    return w->out_opaque.n ? give(w, buf_bytes(&w->out_opaque)) : NULL;
}

static err_t *on_plain(void *arg, bytes_t data) { return give(arg, data); }

err_t *mail_writer_finish(mail_writer_t *w, err_t *(*each)(void *arg, bytes_t data), void *arg) {
    const mail_write_options_t *o = w->options;
    const cms_attribute_t capabilities = {OID_SMIME_CAPABILITIES, CMS_SEQUENCE, cms_capabilities()};
    w->each = each;
    w->arg = arg;
    w->sign = (cms_sign_options_t){.detached = !o->opaque,
                                   .digest = o->digest,
                                   .attributes = &capabilities,
                                   .attributes_n = 1,
                                   .signing_time = o->now};
    TRY(entity_looked(&w->entity));
    if (w->entity.header.outer.n) TRY(each(arg, buf_bytes(&w->entity.header.outer)));
    TRY(each(arg, BYTES_LIT("MIME-Version: 1.0\r\n")));
    if (o->recipients) TRY(begin_envelope(w));
    if (o->sign && (o->opaque || o->digest != CMS_DIGEST_SHA256))
        return err_new(ERR_USAGE, "what is signed elsewhere is signed in clear, with SHA-256");
    if (!o->signer && !o->sign) TRY(write_entity(w, on_plain));
    else TRY(o->opaque ? write_opaque(w) : write_clear(w));
    return w->envelope ? end_envelope(w) : NULL;
}
