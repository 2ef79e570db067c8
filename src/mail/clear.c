/*
 * Clear signatures (RFC 1847, RFC 8551 section 3.5.3): the first part hashed byte by byte, the
 * second a detached SignedData. Some senders put the content into the signature too: then it has to
 * be the same.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "mail/judge.h"
#include "mail/layer_internal.h"

err_t *clear_new(const mime_part_t *part, const char *path, bool root, clear_t **ret_clear) {
    clear_t *c = mem_zalloc(sizeof *c);
    if (!c) return err_nomem();
    unsigned digests = cms_micalg(mime_parameter(&part->type, "micalg"));
    err_t *e = content_hash_init(&c->hash, digests ? digests : CMS_HASH_ALL, true);
    if (e) {
        mem_free(c);
        return e;
    }
    c->root = root;
    (void)snprintf(c->path, sizeof c->path, "%s", path);
    buf_init(&c->signature, LIMIT_CMS_BYTES);
    *ret_clear = c;
    return NULL;
}

void clear_free(clear_t *c) {
    if (!c) return;
    content_hash_done(&c->hash);
    buf_done(&c->signature);
    mem_free(c);
}

err_t *clear_signature_data(clear_t *c, bytes_t data) {
    return transfer_decode(&c->decoder, data, &c->signature);
}

static err_t *ignore_head(void *arg, cms_type_t type, bytes_t head) {
    (void)arg, (void)head;
    return type == CMS_SIGNED_DATA ? NULL
                                   : err_new(ERR_INVALID, "the signature part is no signature");
}

static err_t *hash_content(void *arg, bytes_t data) {
    return content_hash_add((content_hash_t *)arg, data);
}

static bool same_hash(const content_hash_t *inside, const content_hash_t *content) {
    for (unsigned i = 0; i < 4; i++) {
        bytes_t a = cms_hashes_get(inside->plain, (cms_digest_t)i);
        if (!a.n) continue;
        if (bytes_eq(a, cms_hashes_get(content->plain, (cms_digest_t)i))) return true;
        if (content->canonical && bytes_eq(a, cms_hashes_get(content->canonical, (cms_digest_t)i)))
            return true;
    }
    return false;
}

err_t *signature_check_rest(mail_reader_t *r, mail_signature_t *s, bytes_t rest,
                            const content_hash_t *hash) {
    err_t *e = cms_signers_check(rest, hash->plain, hash->canonical, &s->signers);
    if (e && err_code(e) != ERR_INVALID) return e;
    if (e) {
        err_free(e);
        r->verdict.problems[MAIL_CMS_BROKEN] = true;
        return NULL;
    }
    if (!s->signers.n) r->verdict.problems[MAIL_NO_SIGNER] = true;
    if (s->signers.n > 1) r->verdict.problems[MAIL_SEVERAL_SIGNERS] = true;
    return mail_judge(s, &r->verdict, r->options, r->handler);
}

static err_t *check(mail_reader_t *r, const clear_t *c, mail_signature_t *s) {
    content_hash_t inside CLEANUP(content_hash_done) = {0};
    TRY(content_hash_init(&inside, CMS_HASH_ALL, false));
    const cms_split_handler_t handler = {ignore_head, hash_content, &inside};
    cms_split_t *split CLEANUP(cms_split_free) = NULL;
    TRY(cms_split_new(&handler, &split));
    err_t *e = cms_split_feed(split, buf_bytes(&c->signature));
    if (!e) e = cms_split_finish(split);
    if (e && err_code(e) != ERR_INVALID && err_code(e) != ERR_LIMIT) return e;
    if (e) {
        err_free(e);
        r->verdict.problems[MAIL_CMS_BROKEN] = true;
        return NULL;
    }
    TRY(content_hash_end(&inside));
    if (cms_split_has_content(split) && !same_hash(&inside, &c->hash)) {
        s->econtent_differs = true;
        r->verdict.problems[MAIL_ECONTENT_DIFFERS] = true;
    }
    return signature_check_rest(r, s, cms_split_rest(split), &c->hash);
}

err_t *clear_finish(mail_reader_t *r, clear_t *c) {
    size_t index;
    TRY(transfer_decode_end(&c->decoder, &c->signature));
    TRY(content_hash_end(&c->hash));
    TRY(verdict_add_signature(&r->verdict, c->path, c->root, true, &index));
    if (!c->root) r->verdict.problems[MAIL_PARTIAL_SIGNATURE] = true;
    if (c->hash.canonical) r->verdict.problems[MAIL_BARE_LF] = true;
    return check(r, c, &r->verdict.signatures[index]);
}
