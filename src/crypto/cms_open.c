/*
 * Opening envelopes as they stream by: see cms_open.h. The splitter gives head and ciphertext; the
 * content cipher runs on what comes. Authenticated attributes arrive behind the content that they
 * are authenticated with: cms_gcm.h. Any thread.
 */
#include "crypto/cms_open.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/ber_internal.h"
#include "crypto/cms_gcm.h"
#include "crypto/cms_recipient_internal.h"
#include "crypto/cms_split.h"
#include "crypto/der_internal.h"
#include "crypto/openssl_internal.h"

enum { OUT = 64 * 1024, TAG = 16 };

struct cms_open {
    const cms_open_handler_t *handler;
    const rnd_t *rnd;
    cms_split_handler_t split_handler;
    cms_split_t *split;
    EVP_CIPHER_CTX *ctx;
    cms_type_t type;
    cms_envelope_t envelope;
    const EVP_CIPHER *cipher;
    uint8_t iv[16];
    size_t iv_n;
    uint8_t key[32];  /* of GCM, for attributes */
    uint64_t content; /* bytes of ciphertext */
    bool found;
    err_t *failure; /* of opening: kept back, to be the same at the same moment */
    uint8_t *out;   /* OUT + a block */
    size_t most;    /* bytes that ever were in it */
};

typedef struct {
    const char *oid; /* content octets */
    size_t oid_n;
    const char *name;
    const EVP_CIPHER *(*evp)(void);
    bool gcm, weak;
} cipher_t;
#define AES "\x60\x86\x48\x01\x65\x03\x04\x01"
static const cipher_t ciphers[] = {
    {AES "\x2a", 9, "AES-256-CBC", EVP_aes_256_cbc, false, false},
    {AES "\x16", 9, "AES-192-CBC", EVP_aes_192_cbc, false, false},
    {AES "\x02", 9, "AES-128-CBC", EVP_aes_128_cbc, false, false},
    {AES "\x2e", 9, "AES-256-GCM", EVP_aes_256_gcm, true, false},
    {AES "\x1a", 9, "AES-192-GCM", EVP_aes_192_gcm, true, false},
    {AES "\x06", 9, "AES-128-GCM", EVP_aes_128_gcm, true, false},
    {"\x2a\x86\x48\x86\xf7\x0d\x03\x07", 8, "DES-EDE3-CBC", EVP_des_ede3_cbc, false, true},
};

/* One text for every reason: no padding, key or format oracle. */
static err_t *cannot_open(void) { return err_new(ERR_VERIFY, "message can't be decrypted"); }

/* From ContentInfo to the recipients and the encryptedContentInfo. */
static err_t *take_head(bytes_t head, bytes_t *ret_recipients, bytes_t *ret_content_info) {
    bytes_t info, member;
    uint8_t tag;
    TRY(ber_expect(&head, DER_SEQUENCE, &info));
    TRY(ber_expect(&info, DER_OID, &member));
    TRY(ber_expect(&info, DER_CONTEXT_CONSTRUCTED | 0, &member));
    TRY(ber_expect(&member, DER_SEQUENCE, &info));
    do TRY(ber_next(&info, &tag, ret_recipients));
    while (tag == DER_INTEGER || tag == (DER_CONTEXT_CONSTRUCTED | 0));
    if (tag != DER_SET) return err_new(ERR_INVALID, "EnvelopedData without recipients");
    return ber_expect(&info, DER_SEQUENCE, ret_content_info);
}

/* contentEncryptionAlgorithm's parameters: an IV, or GCMParameters { nonce, tag length }. */
static err_t *take_iv(cms_open_t *o, bytes_t params, bool gcm) {
    bytes_t iv, length;
    uint8_t tag;
    if (gcm) {
        bytes_t sequence;
        TRY(ber_expect(&params, DER_SEQUENCE, &sequence));
        TRY(ber_expect(&sequence, DER_OCTET_STRING, &iv));
        unsigned tag_n = 12; /* RFC 5084 section 3.2 */
        if (sequence.n) {
            TRY(ber_expect(&sequence, DER_INTEGER, &length));
            tag_n = length.n == 1 ? length.p[0] : 0;
        }
        if (tag_n < 12 || tag_n > TAG)
            return err_new(ERR_INVALID, "RFC 5084: a tag of %u bytes", tag_n);
        if (iv.n != 12) return err_new(ERR_INVALID, "RFC 5084: a nonce of %zu bytes", iv.n);
    } else {
        TRY(ber_next(&params, &tag, &iv));
        size_t need = (size_t)EVP_CIPHER_get_iv_length(o->cipher);
        if (tag != DER_OCTET_STRING || iv.n != need)
            return err_new(ERR_INVALID, "RFC 3565: an IV of %zu bytes", iv.n);
    }
    bytes_put(o->iv, iv);
    o->iv_n = iv.n;
    return NULL;
}

static err_t *take_cipher(cms_open_t *o, bytes_t content_info) {
    bytes_t type, algorithm, oid;
    TRY(ber_expect(&content_info, DER_OID, &type));
    TRY(ber_expect(&content_info, DER_SEQUENCE, &algorithm));
    TRY(ber_expect(&algorithm, DER_OID, &oid));
    for (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++) {
        const cipher_t *c = &ciphers[i];
        if (!bytes_eq(oid, bytes_make(c->oid, c->oid_n))) continue;
        if (c->gcm != (o->type == CMS_AUTHENVELOPED_DATA))
            return err_new(ERR_INVALID, "%s in the wrong kind of envelope", c->name);
        o->cipher = c->evp();
        o->envelope.integrity = c->gcm ? CMS_INTEGRITY_AEAD : CMS_INTEGRITY_NONE;
        o->envelope.weak = c->weak;
        memcpy(o->envelope.cipher, c->name, strlen(c->name) + 1);
        return take_iv(o, algorithm, c->gcm);
    }
    return err_new(ERR_INVALID, "content cipher is not known here");
}

/* Where the key is: here, or where the handler asks. */
static err_t *unwrap(const cms_open_t *o, const cms_recipient_info_t *info, const cert_t *cert,
                     const pkey_t *key, uint8_t *cek, size_t n) {
    const cms_open_handler_t *h = o->handler;
    const cms_wrapped_t wrapped = {info->name.transport, info->algorithm, info->encrypted,
                                   info->originator,     info->ukm,       info->has_ukm};
    if (key && pkey_has_private(key)) {
        err_t *e = cms_recipient_unwrap(info, key, cek, n);
        return e && err_code(e) != ERR_NOMEM ? err_recode(e, ERR_VERIFY) : e;
    }
    return h->unwrap(h->arg, cert, &wrapped, cek, n);
}

static err_t *start(cms_open_t *o, const cms_recipient_info_t *info, const cert_t *cert,
                    const pkey_t *key) {
    uint8_t *cek = o->key;
    size_t n = (size_t)EVP_CIPHER_get_key_length(o->cipher);
    err_t *e = rnd_fill(o->rnd, cek, n);
    if (!e) {
        e = unwrap(o, info, cert, key, cek, n);
        if (e && err_code(e) == ERR_VERIFY) {
            err_free(e); /* goes on with the random key: it fails where a wrong key would */
            e = NULL;
            if (!o->failure) o->failure = cannot_open();
        }
    }
    if (!e) {
        o->ctx = EVP_CIPHER_CTX_new();
        if (!o->ctx) e = err_nomem();
        else if (EVP_DecryptInit_ex(o->ctx, o->cipher, NULL, cek, o->iv) != 1)
            e = err_openssl(ERR_INTERNAL, "content cipher");
    }
    if (o->envelope.integrity != CMS_INTEGRITY_AEAD) mem_wipe(o->key, sizeof o->key);
    return e;
}

static err_t *on_recipient(void *arg, const cms_recipient_info_t *info) {
    cms_open_t *o = arg;
    const cert_t *cert = NULL;
    const pkey_t *key = NULL;
    bool found = false;
    if (o->found || info->name.transport == CMS_TRANSPORT_OTHER) return NULL;
    TRY(o->handler->find(o->handler->arg, &info->name, &cert, &key, &found));
    bool usable = o->handler->unwrap || (key && pkey_has_private(key));
    if (!found || !usable || !cms_recipient_is(&info->name, cert)) return NULL;
    o->found = true;
    return start(o, info, cert, key);
}

static err_t *on_head(void *arg, cms_type_t type, bytes_t head) {
    cms_open_t *o = arg;
    bytes_t recipients, content_info;
    if (type == CMS_SIGNED_DATA) return err_new(ERR_INVALID, "CMS message is not enveloped");
    o->type = type;
    TRY(take_head(head, &recipients, &content_info));
    TRY(take_cipher(o, content_info));
    TRY(cms_recipient_each(recipients, on_recipient, o));
    if (!o->found) return err_new(ERR_NOT_FOUND, "the message is not encrypted to any key here");
    return o->handler->opened ? o->handler->opened(o->handler->arg, &o->envelope) : NULL;
}

static err_t *on_content(void *arg, bytes_t data) {
    cms_open_t *o = arg;
    while (data.n) {
        bytes_t part = bytes_slice(data, 0, OUT);
        int n = 0;
        if (part.n > o->most) o->most = part.n;
        if (EVP_DecryptUpdate(o->ctx, o->out, &n, part.p, (int)part.n) != 1)
            return err_openssl(ERR_INTERNAL, "content cipher");
        o->content += part.n;
        if (n > 0) TRY(o->handler->content(o->handler->arg, bytes_make(o->out, (size_t)n)));
        data = bytes_from(data, part.n);
    }
    return NULL;
}

/* authAttrs [1] as they are authenticated: DER with SET OF's tag (RFC 5083 section 2.1). */
static err_t *take_attributes(bytes_t content, buf_t *out) {
    bytes_t rest = content, attribute;
    uint8_t tag;
    for (size_t n = 0; rest.n; n++) {
        if (n == LIMIT_CMS_ATTRIBUTES) return err_new(ERR_LIMIT, "RFC 5083: too many attributes");
        TRY(ber_next(&rest, &tag, &attribute));
        if (tag != DER_SEQUENCE) return err_new(ERR_INVALID, "RFC 5083: authenticated attributes");
    }
    TRY(der_put(out, DER_SET, content));
    return NULL;
}

/* Behind the content: authAttrs [1], then the mac OCTET STRING. */
static err_t *set_tag(cms_open_t *o) {
    bytes_t rest = cms_split_rest(o->split), info, member, mac;
    CLEANUP(buf_done) buf_t attributes;
    uint8_t tag, copy[TAG];
    buf_init(&attributes, LIMIT_CMS_REST);
    TRY(ber_expect(&rest, DER_SEQUENCE, &info));
    TRY(ber_expect(&info, DER_OID, &member));
    TRY(ber_expect(&info, DER_CONTEXT_CONSTRUCTED | 0, &member));
    TRY(ber_expect(&member, DER_SEQUENCE, &info));
    do TRY(ber_next(&info, &tag, &member));
    while (tag != DER_SEQUENCE);
    TRY(ber_next(&info, &tag, &mac));
    if (tag == (DER_CONTEXT_CONSTRUCTED | 1)) {
        TRY(take_attributes(mac, &attributes));
        TRY(ber_next(&info, &tag, &mac));
    }
    if (tag != DER_OCTET_STRING || mac.n < 12 || mac.n > TAG)
        return err_new(ERR_INVALID, "RFC 5083 section 2.1: mac");
    bytes_put(copy, mac);
    if (attributes.n)
        TRY(cms_gcm_without_aad(o->cipher, o->key, o->iv, buf_bytes(&attributes), o->content, copy,
                                mac.n));
    if (EVP_CIPHER_CTX_ctrl(o->ctx, EVP_CTRL_AEAD_SET_TAG, (int)mac.n, copy) != 1)
        return err_openssl(ERR_INTERNAL, "GCM tag");
    return NULL;
}

err_t *cms_open_new(const cms_open_handler_t *handler, const rnd_t *rnd, cms_open_t **ret_open) {
    cms_open_t *o CLEANUP(cms_open_free) = mem_zalloc(sizeof *o);
    if (!o) return err_nomem();
    o->handler = handler;
    o->rnd = rnd;
    o->split_handler = (cms_split_handler_t){on_head, on_content, o};
    o->out = mem_alloc(OUT + EVP_MAX_BLOCK_LENGTH);
    if (!o->out) return err_nomem();
    TRY(cms_split_new(&o->split_handler, &o->split));
    *ret_open = STEAL(o);
    return NULL;
}

void cms_open_free(cms_open_t *o) {
    if (!o) return;
    cms_split_free(o->split);
    EVP_CIPHER_CTX_free(o->ctx);
    if (o->out) mem_wipe(o->out, o->most + EVP_MAX_BLOCK_LENGTH);
    mem_free(o->out);
    err_free(o->failure);
    mem_wipe(o, sizeof *o);
    mem_free(o);
}

err_t *cms_open_feed(cms_open_t *o, bytes_t data) { return cms_split_feed(o->split, data); }

err_t *cms_open_finish(cms_open_t *o) {
    TRY(cms_split_finish(o->split));
    if (!cms_split_has_content(o->split) || !o->ctx) return cannot_open();
    if (o->envelope.integrity == CMS_INTEGRITY_AEAD) TRY(set_tag(o));
    int n = 0;
    int ok = EVP_DecryptFinal_ex(o->ctx, o->out, &n);
    if (ok != 1 || o->failure) {
        err_ignore(err_openssl(ERR_VERIFY, "drained"));
        return cannot_open();
    }
    if (n > 0) TRY(o->handler->content(o->handler->arg, bytes_make(o->out, (size_t)n)));
    return NULL;
}

typedef struct {
    err_t *(*each)(void *arg, const cms_recipient_t *r);
    void *arg;
} names_t;

static err_t *on_name(void *arg, const cms_recipient_info_t *info) {
    const names_t *n = arg;
    return n->each(n->arg, &info->name);
}

err_t *cms_open_recipients(bytes_t head, err_t *(*each)(void *arg, const cms_recipient_t *r),
                           void *arg) {
    bytes_t recipients, content_info;
    names_t names = {each, arg};
    TRY(take_head(head, &recipients, &content_info));
    return cms_recipient_each(recipients, on_name, &names);
}
