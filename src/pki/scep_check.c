/*
 * What is looked at before a SCEP message's envelope is opened: its algorithms (RFC 8894 section
 * 3.5.2) and its times (section 3.2.1.4.5, badTime). Any worker thread of coffer-web.
 */
#include <stdio.h>

#include "base/text.h"
#include "crypto/cms_head.h"
#include "pki/pending.h"
#include "pki/scep_internal.h"

#define OID_SIGNING_TIME "1.2.840.113549.1.9.5"

enum { TAG_UTC_TIME = 23, TAG_GENERALIZED_TIME = 24 };

static const struct {
    bytes_t oid; /* content octets */
    const char *name;
    bool des3, des;
} ciphers[] = {
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x02", 9}, "AES-128-CBC", false, false},
    {{(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x2a", 9}, "AES-256-CBC", false, false},
    {{(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x03\x07", 8}, "3DES-CBC", true, false},
    {{(const uint8_t *)"\x2b\x0e\x03\x02\x07", 5}, "DES-CBC", false, true},
};

const keeper_ca_t *scep_find_ca(const pki_t *pki, bytes_t envelope) {
    for (size_t i = 0; pki->cas.n > 1 && i < pki->cas.n; i++)
        if (cms_head_names(envelope, pki->cas.list[i].recipient)) return &pki->cas.list[i];
    return pki->ca;
}

err_t *scep_check_ca(scep_exchange_t *x) {
    switch (x->ca->state) {
    case KEEPER_CA_CURRENT: return NULL;
    case KEEPER_CA_NEXT:
        return SCEP_NO(x, SCEP_FAIL_BAD_MESSAGE_CHECK, NEXT_LATER,
                       "the envelope is for %s, the next CA, which is not in use yet", x->ca->name);
    case KEEPER_CA_FORMER: break;
    }
    if (clk_unix(x->pki->o.clk) <= cert_not_after(x->ca->cert)) return NULL;
    return SCEP_NO(x, SCEP_FAIL_BAD_MESSAGE_CHECK, NEXT_STOP,
                   "the envelope is for %s, a former CA that has ended: get the CA's certificate "
                   "again",
                   x->ca->name);
}

static err_t *check_cipher(scep_exchange_t *x) {
    const pki_options_t *o = &x->pki->o;
    cms_type_t type = CMS_SIGNED_DATA;
    bytes_t oid;
    err_t *e = cms_head_check(x->request.envelope, &type);
    if (!e && type == CMS_ENVELOPED_DATA) e = cms_head_cipher_oid(x->request.envelope, &oid);
    if (e || type != CMS_ENVELOPED_DATA) { /* the keeper's one answer to every bad envelope */
        err_free(e);
        return NULL;
    }
    for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++) {
        if (!bytes_eq(oid, ciphers[i].oid)) continue;
        x->cipher = ciphers[i].name;
        x->old_algorithms |= ciphers[i].des3 || ciphers[i].des;
        if ((ciphers[i].des3 && !o->allow_des3) || (ciphers[i].des && !o->allow_des))
            return SCEP_NO(x, SCEP_FAIL_BAD_ALG, NEXT_STOP, "%s is switched off here",
                           ciphers[i].name);
        return NULL;
    }
    return SCEP_NO(x, SCEP_FAIL_BAD_ALG, NEXT_STOP, "the envelope's cipher is not known here");
}

err_t *scep_check_algorithms(scep_exchange_t *x) {
    cms_digest_t digest = cms_signed_digest(x->request.message);
    if (digest == CMS_DIGEST_MD5 || digest == CMS_DIGEST_OTHER)
        return SCEP_NO(x, SCEP_FAIL_BAD_ALG, NEXT_STOP,
                       "the message is signed with %s; taken are SHA-256, SHA-384 and SHA-512",
                       cms_digest_name(digest));
    x->old_algorithms = x->request.sha1;
    if (x->request.sha1 && !x->pki->o.allow_sha1)
        return SCEP_NO(x, SCEP_FAIL_BAD_ALG, NEXT_STOP,
                       "SHA-1 is switched off here: coffer.conf [scep] allow_sha1 = yes lets old "
                       "clients in");
    return check_cipher(x);
}

/* A list of names, one a line. */
static bool listed(const char *list, const char *name) {
    bytes_t rest = bytes_str(list ? list : ""), item;
    while (text_split(&rest, '\n', &item))
        if (item.n && bytes_eq_str(item, name)) return true;
    return false;
}

err_t *scep_check_profile_algorithms(scep_exchange_t *x, const char *profile) {
    if (!x->old_algorithms || !listed(x->pki->o.modern_profiles, profile)) return NULL;
    return SCEP_NO(
        x, SCEP_FAIL_BAD_ALG, NEXT_STOP, "profile %s takes no DES, 3DES or SHA-1 (%s, %s)", profile,
        x->cipher ? x->cipher : "?", cms_digest_name(cms_signed_digest(x->request.message)));
}

/*
 * Mail certificates name the mailbox of the person they are for, as it is now: also when one is
 * renewed. A grant that an admin made for nobody in particular names what the admin said.
 */
err_t *scep_check_mailboxes(scep_exchange_t *x, const char *email) {
    bytes_t rest = bytes_str(x->grant.names), field;
    if (!listed(x->pki->o.mail_profiles, x->grant.profile) || !x->grant.person_id[0]) return NULL;
    while (text_split(&rest, ' ', &field)) {
        if (!bytes_starts(field, BYTES_LIT("email:"))) continue;
        if (!text_eq_fold(bytes_from(field, 6), bytes_str(email)))
            return SCEP_NO(x, SCEP_FAIL_BAD_REQUEST, NEXT_PROFILE,
                           "the mailbox of profile %s is not the person's, %s", x->grant.profile,
                           email);
    }
    return NULL;
}

bool pki_needs_approval(const pki_t *pki, const char *profile) {
    return listed(pki->o.manual_profiles, profile);
}

err_t *scep_parse_time(int tag, bytes_t text, int64_t *ret_unix) {
    enum { UTC_SIZE = 13, GENERALIZED_SIZE = 15 }; /* YYMMDDhhmmssZ, with YYYY */
    char out[32];
    size_t size = tag == TAG_UTC_TIME ? UTC_SIZE : GENERALIZED_SIZE;
    bool good = (tag == TAG_UTC_TIME || tag == TAG_GENERALIZED_TIME) && text.n == size &&
                text.p[size - 1] == 'Z';
    for (size_t i = 0; good && i + 1 < size; i++) good = text.p[i] >= '0' && text.p[i] <= '9';
    if (!good) return err_new(ERR_INVALID, "RFC 5652 section 11.3: bad signingTime");
    const char *t = (const char *)text.p;
    /* RFC 5280 section 4.1.2.5.1: years 50 and up are of the last century */
    const char *century = tag != TAG_UTC_TIME ? "" : t[0] >= '5' ? "19" : "20";
    int year = tag == TAG_UTC_TIME ? 2 : 4;
    const char *r = t + year;
    (void)snprintf(out, sizeof out, "%s%.*s-%.2s-%.2sT%.2s:%.2s:%.2sZ", century, year, t, r, r + 2,
                   r + 4, r + 6, r + 8);
    return text_parse_time(bytes_str(out), ret_unix);
}

static err_t *check_signing_time(scep_exchange_t *x, int64_t now, int64_t skew) {
    bool found = false;
    cms_signed_value_t value = {0};
    int64_t when = 0;
    TRY(cms_signed_attribute(x->request.message, OID_SIGNING_TIME, &found, &value));
    if (!found) return NULL;
    TRY(scep_parse_time(value.tag, value.value, &when));
    if (when > now + skew || when < now - skew)
        return SCEP_NO(
            x, SCEP_FAIL_BAD_TIME, NEXT_CLOCK, "the message was signed %lld seconds %s our time",
            (long long)(when > now ? when - now : now - when), when > now ? "after" : "before");
    return NULL;
}

err_t *scep_check_times(scep_exchange_t *x) {
    int64_t now = clk_unix(x->pki->o.clk), skew = x->pki->o.clock_skew_s;
    TRY(check_signing_time(x, now, skew));
    /* A client's own certificate was made a moment ago; one of ours is judged as a renewal. */
    if (x->signer_ours) return NULL;
    if (cert_not_before(x->signer) > now + skew)
        return SCEP_NO(x, SCEP_FAIL_BAD_TIME, NEXT_CLOCK,
                       "the signer's certificate is valid only %lld seconds from now",
                       (long long)(cert_not_before(x->signer) - now));
    if (cert_not_after(x->signer) < now - skew)
        return SCEP_NO(x, SCEP_FAIL_BAD_TIME, NEXT_CLOCK,
                       "the signer's certificate expired %lld seconds ago",
                       (long long)(now - cert_not_after(x->signer)));
    return NULL;
}
