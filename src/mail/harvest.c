/*
 * What may be learned from a message: see harvest.h.
 */
#include "mail/harvest.h"

#include "base/limits.h"
#include "mail/judge.h"

typedef struct {
    const mail_signature_t *signature;
    const cms_signer_info_t *signer;
    mail_harvest_t found;
    err_t *(*each)(void *arg, const mail_harvest_t *found);
    void *arg;
} harvest_t;

/* Whether the signer proved to be the one whom the message is from. */
static bool believable(const cms_signer_info_t *signer, const mail_signer_judgement_t *j) {
    return signer->state == CMS_SIGNATURE_GOOD && signer->cert && j->match == MAIL_MATCH_FROM &&
           (j->trust == MAIL_TRUST_GOOD || j->trust == MAIL_TRUST_UNKNOWN);
}

/* By subjectAltName: mail_cert_is_for also takes the subject's emailAddress of old certificates. */
static bool names(const cert_t *cert, bytes_t address) {
    return cert_san_get(cert, SAN_EMAIL, 0) && mail_cert_is_for(cert, address);
}

static err_t *give(harvest_t *h, const cert_t *cert, bool is_signer) {
    h->found.cert = cert;
    h->found.signer = is_signer;
    return h->each(h->arg, &h->found);
}

static err_t *of_signer(harvest_t *h) {
    const cert_t *own = h->signer->cert;
    const cert_list_t *all = &h->signature->signers.certs;
    if (!names(own, h->found.address)) return NULL;
    TRY(give(h, own, true));
    for (size_t i = 0; i < all->n; i++) {
        const cert_t *other = all->certs[i];
        if (cert_same(other, own) || !names(other, h->found.address)) continue;
        if (!bytes_eq(cert_issuer_der(other), cert_issuer_der(own))) continue;
        if (cert_may_receive_mail(other)) TRY(give(h, other, false));
    }
    return NULL;
}

/* Capabilities that can't be read are no reason to learn nothing else. */
static err_t *read_capable(const cms_signer_info_t *signer, mail_harvest_t *found) {
    if (!signer->capabilities.n) return NULL;
    err_t *e = cms_capable_read(buf_bytes(&signer->capabilities), &found->capable);
    if (e && err_code(e) == ERR_NOMEM) return e;
    found->has_capable = e == NULL;
    found->capabilities = buf_bytes(&signer->capabilities);
    err_free(e);
    return NULL;
}

err_t *mail_harvest(const mail_verdict_t *verdict, int64_t now,
                    err_t *(*each)(void *arg, const mail_harvest_t *found), void *arg) {
    if (verdict->from.n != 1 || verdict->from.bad || verdict->problems[MAIL_SEVERAL_FROM] ||
        mail_status(verdict) == MAIL_BROKEN || verdict->from.at[0].address.n > LIMIT_EMAIL)
        return NULL;
    for (size_t i = 0; i < verdict->signatures_n; i++) {
        const mail_signature_t *s = &verdict->signatures[i];
        if (!s->root || s->econtent_differs) continue;
        for (size_t k = 0; k < s->signers.n; k++) {
            const cms_signer_info_t *signer = &s->signers.at[k];
            if (!believable(signer, &s->judged[k])) continue;
            harvest_t h = {
                .signature = s,
                .signer = signer,
                .each = each,
                .arg = arg,
                .found = {.address = verdict->from.at[0].address,
                          .others = &s->signers.certs,
                          .trust = s->judged[k].trust,
                          .time = signer->has_time && signer->time < now ? signer->time : now}};
            TRY(read_capable(signer, &h.found));
            TRY(of_signer(&h));
        }
    }
    return NULL;
}
