/*
 * Signers of streamed content: see cms_signers.h. The structure and each signature over the signed
 * attributes are OpenSSL's business; that the attributes speak of this content is checked here. Any
 * thread.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/ber_internal.h"
#include "crypto/cms_internal.h"
#include "crypto/cms_signers.h"
#include "crypto/der_internal.h"
#include "crypto/openssl_internal.h"

enum { DIGESTS = 4 };

struct cms_hashes {
    EVP_MD_CTX *ctx[DIGESTS];
    uint8_t value[DIGESTS][EVP_MAX_MD_SIZE];
    size_t n[DIGESTS];
};

err_t *cms_hashes_new(unsigned digests, cms_hashes_t **ret_hashes) {
    cms_hashes_t *h CLEANUP(cms_hashes_free) = mem_zalloc(sizeof *h);
    if (!h) return err_nomem();
    for (unsigned i = 0; i < DIGESTS; i++) {
        if (!(digests & CMS_HASH(i))) continue;
        h->ctx[i] = EVP_MD_CTX_new();
        if (!h->ctx[i]) return err_nomem();
        if (EVP_DigestInit_ex(h->ctx[i], cms_digest_md((cms_digest_t)i), NULL) != 1)
            return err_openssl(ERR_INTERNAL, "digest");
    }
    *ret_hashes = STEAL(h);
    return NULL;
}

void cms_hashes_free(cms_hashes_t *h) {
    if (!h) return;
    for (unsigned i = 0; i < DIGESTS; i++) EVP_MD_CTX_free(h->ctx[i]);
    mem_free(h);
}

err_t *cms_hashes_add(cms_hashes_t *h, bytes_t data) {
    for (unsigned i = 0; i < DIGESTS; i++)
        if (h->ctx[i] && EVP_DigestUpdate(h->ctx[i], data.p, data.n) != 1)
            return err_openssl(ERR_INTERNAL, "digest");
    return NULL;
}

err_t *cms_hashes_clone(const cms_hashes_t *h, cms_hashes_t **ret_clone) {
    cms_hashes_t *c CLEANUP(cms_hashes_free) = mem_zalloc(sizeof *c);
    if (!c) return err_nomem();
    for (unsigned i = 0; i < DIGESTS; i++) {
        if (!h->ctx[i]) continue;
        c->ctx[i] = EVP_MD_CTX_new();
        if (!c->ctx[i]) return err_nomem();
        if (EVP_MD_CTX_copy_ex(c->ctx[i], h->ctx[i]) != 1)
            return err_openssl(ERR_INTERNAL, "digest");
    }
    *ret_clone = STEAL(c);
    return NULL;
}

err_t *cms_hashes_end(cms_hashes_t *h) {
    for (unsigned i = 0; i < DIGESTS; i++) {
        unsigned n = 0;
        if (!h->ctx[i]) continue;
        if (EVP_DigestFinal_ex(h->ctx[i], h->value[i], &n) != 1)
            return err_openssl(ERR_INTERNAL, "digest");
        h->n[i] = n;
    }
    return NULL;
}

bytes_t cms_hashes_get(const cms_hashes_t *h, cms_digest_t digest) {
    return bytes_make(h->value[digest], h->n[digest]);
}

unsigned cms_micalg(bytes_t value) {
    static const struct {
        const char *name;
        cms_digest_t digest;
    } known[] = {
        {"sha-1", CMS_DIGEST_SHA1},     {"sha1", CMS_DIGEST_SHA1},
        {"sha-256", CMS_DIGEST_SHA256}, {"sha256", CMS_DIGEST_SHA256},
        {"sha-384", CMS_DIGEST_SHA384}, {"sha384", CMS_DIGEST_SHA384},
        {"sha-512", CMS_DIGEST_SHA512}, {"sha512", CMS_DIGEST_SHA512},
    };
    unsigned digests = 0;
    bytes_t one;
    while (text_split(&value, ',', &one))
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (text_eq_fold(text_trim(one), bytes_str(known[i].name)))
                digests |= CMS_HASH(known[i].digest);
    return digests;
}

static bool digest_of_nid(int nid, cms_digest_t *ret_digest) {
    for (unsigned i = 0; i < DIGESTS; i++) {
        if (EVP_MD_get_type(cms_digest_md((cms_digest_t)i)) != nid) continue;
        *ret_digest = (cms_digest_t)i;
        return true;
    }
    return false;
}

err_t *cms_announced(bytes_t head, unsigned *ret_digests) {
    bytes_t info, member, algorithm, oid;
    unsigned digests = 0, n = 0;
    TRY(ber_expect(&head, DER_SEQUENCE, &info));
    TRY(ber_expect(&info, DER_OID, &member));
    TRY(ber_expect(&info, DER_CONTEXT_CONSTRUCTED | 0, &member));
    TRY(ber_expect(&member, DER_SEQUENCE, &info));
    TRY(ber_expect(&info, DER_INTEGER, &member));
    TRY(ber_expect(&info, DER_SET, &member));
    while (member.n) {
        if (++n > LIMIT_MAIL_SIGNERS) return err_new(ERR_LIMIT, "too many digest algorithms");
        TRY(ber_expect(&member, DER_SEQUENCE, &algorithm));
        TRY(ber_expect(&algorithm, DER_OID, &oid));
        for (unsigned i = 0; i < DIGESTS; i++) {
            const ASN1_OBJECT *object =
                OBJ_nid2obj(EVP_MD_get_type(cms_digest_md((cms_digest_t)i)));
            if (bytes_eq(oid, bytes_make(OBJ_get0_data(object), OBJ_length(object))))
                digests |= CMS_HASH(i);
        }
    }
    *ret_digests = digests;
    return NULL;
}

const char *cms_signature_name(cms_signature_t state) {
    switch (state) {
    case CMS_SIGNATURE_GOOD: return "good";
    case CMS_SIGNATURE_ALTERED: return "altered";
    case CMS_SIGNATURE_BAD: return "bad";
    case CMS_SIGNATURE_NO_CERT: return "no-certificate";
    case CMS_SIGNATURE_UNKNOWN: return "unknown-algorithm";
    case CMS_SIGNATURE_WEAK: return "weak";
    }
    return "unknown";
}

/* ---- One signer ---- */

static err_t *take_certs(CMS_ContentInfo *cms, cert_list_t *list) {
    STACK_OF(X509) *all = CMS_get1_certs(cms);
    err_t *e = NULL;
    for (int i = 0; i < sk_X509_num(all) && !e; i++) {
        unsigned char *der = NULL;
        int n = i2d_X509(sk_X509_value(all, i), &der);
        cert_t *cert = NULL;
        if (n > 0) e = cert_parse_der(bytes_make(der, (size_t)n), &cert);
        if (!e && cert) e = cert_list_add(list, cert);
        if (e && err_code(e) != ERR_NOMEM) { /* one that nobody here would accept: not taken */
            err_free(e);
            e = NULL;
        }
        cert_free(cert);
        OPENSSL_free(der);
    }
    sk_X509_pop_free(all, X509_free);
    return e;
}

/* The certificate that the signer names, as OpenSSL holds it and as we do. */
static bool find_cert(CMS_ContentInfo *cms, CMS_SignerInfo *info, const cert_list_t *certs,
                      X509 **ret_x509, const cert_t **ret_cert) {
    STACK_OF(X509) *all = CMS_get1_certs(cms);
    bool found = false;
    for (int i = 0; i < sk_X509_num(all) && !found; i++) {
        X509 *x509 = sk_X509_value(all, i);
        if (CMS_SignerInfo_cert_cmp(info, x509) != 0) continue;
        unsigned char *der = NULL;
        int n = i2d_X509(x509, &der);
        for (size_t j = 0; j < certs->n && n > 0 && !found; j++)
            if (bytes_eq(cert_der(certs->certs[j]), bytes_make(der, (size_t)n))) {
                X509_up_ref(x509);
                *ret_x509 = x509;
                *ret_cert = certs->certs[j];
                found = true;
            }
        OPENSSL_free(der);
    }
    sk_X509_pop_free(all, X509_free);
    return found;
}

/* Exactly one value of a signed attribute of this kind; NULL otherwise. */
static ASN1_TYPE *single_value(CMS_SignerInfo *info, int nid) {
    int at = CMS_signed_get_attr_by_NID(info, nid, -1);
    if (at < 0 || CMS_signed_get_attr_by_NID(info, nid, at) >= 0) return NULL;
    X509_ATTRIBUTE *attribute = CMS_signed_get_attr(info, at);
    return X509_ATTRIBUTE_count(attribute) == 1 ? X509_ATTRIBUTE_get0_type(attribute, 0) : NULL;
}

static bool digest_fits(CMS_SignerInfo *info, bytes_t hash) {
    ASN1_TYPE *value = single_value(info, NID_pkcs9_messageDigest);
    if (!value || value->type != V_ASN1_OCTET_STRING || !hash.n) return false;
    return bytes_eq(hash, bytes_make(ASN1_STRING_get0_data(value->value.octet_string),
                                     (size_t)ASN1_STRING_length(value->value.octet_string)));
}

static bool type_fits(CMS_ContentInfo *cms, CMS_SignerInfo *info) {
    ASN1_TYPE *value = single_value(info, NID_pkcs9_contentType);
    return value && value->type == V_ASN1_OBJECT &&
           OBJ_cmp(value->value.object, CMS_get0_eContentType(cms)) == 0;
}

static err_t *take_attributes(CMS_SignerInfo *info, cms_signer_info_t *s) {
    ASN1_TYPE *time = single_value(info, NID_pkcs9_signingTime);
    ASN1_TYPE *capabilities = single_value(info, NID_SMIMECapabilities);
    struct tm tm;
    if (time && (time->type == V_ASN1_UTCTIME || time->type == V_ASN1_GENERALIZEDTIME) &&
        ASN1_TIME_to_tm(time->value.asn1_string, &tm) == 1) {
        s->has_time = true;
        s->time = (int64_t)timegm(&tm);
    }
    if (capabilities && capabilities->type == V_ASN1_SEQUENCE)
        return buf_add(&s->capabilities,
                       bytes_make(ASN1_STRING_get0_data(capabilities->value.sequence),
                                  (size_t)ASN1_STRING_length(capabilities->value.sequence)));
    return NULL;
}

/* Without signed attributes the signature is over the content's hash itself. */
static bool verify_bare(CMS_SignerInfo *info, const cert_t *cert, const EVP_MD *md, bytes_t hash) {
    const ASN1_OCTET_STRING *signature = CMS_SignerInfo_get0_signature(info);
    EVP_PKEY_CTX *ctx CLEANUP(EVP_PKEY_CTX_free) = EVP_PKEY_CTX_new(pkey_evp(cert_key(cert)), NULL);
    return hash.n && ctx && EVP_PKEY_verify_init(ctx) == 1 &&
           EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 &&
           EVP_PKEY_verify(ctx, ASN1_STRING_get0_data(signature),
                           (size_t)ASN1_STRING_length(signature), hash.p, hash.n) == 1;
}

static bool weak(const cms_signer_info_t *s) {
    const pkey_t *key = cert_key(s->cert);
    return s->digest == CMS_DIGEST_SHA1 ||
           (pkey_kind(key) == PKEY_RSA && pkey_bits(key) < LIMIT_RSA_BITS_MIN);
}

typedef struct {
    CMS_ContentInfo *cms;
    const cms_hashes_t *plain, *canonical;
} content_t;

static cms_signature_t judge(const content_t *c, CMS_SignerInfo *info, const cms_signer_info_t *s) {
    bytes_t plain = cms_hashes_get(c->plain, s->digest);
    bytes_t canonical = c->canonical ? cms_hashes_get(c->canonical, s->digest) : BYTES_NONE;
    if (!plain.n) return CMS_SIGNATURE_UNKNOWN; /* hashed under what was announced, not this */
    if (CMS_signed_get_attr_count(info) < 0) {
        const EVP_MD *md = cms_digest_md(s->digest);
        bool good =
            verify_bare(info, s->cert, md, plain) || verify_bare(info, s->cert, md, canonical);
        return !good ? CMS_SIGNATURE_BAD : weak(s) ? CMS_SIGNATURE_WEAK : CMS_SIGNATURE_GOOD;
    }
    if (!type_fits(c->cms, info) || CMS_SignerInfo_verify(info) != 1) return CMS_SIGNATURE_BAD;
    if (!digest_fits(info, plain) && !digest_fits(info, canonical)) return CMS_SIGNATURE_ALTERED;
    return weak(s) ? CMS_SIGNATURE_WEAK : CMS_SIGNATURE_GOOD;
}

static err_t *check_one(const content_t *c, CMS_SignerInfo *info, cms_signers_t *list) {
    cms_signer_info_t *s = &list->at[list->n++];
    X509_ALGOR *digest = NULL, *signature = NULL;
    X509 *x509 = NULL;
    const ASN1_OBJECT *object = NULL;
    const cert_t *cert = NULL;
    buf_init(&s->capabilities, LIMIT_CSR_BYTES);
    CMS_SignerInfo_get0_algs(info, NULL, NULL, &digest, &signature);
    X509_ALGOR_get0(&object, NULL, NULL, signature);
    s->state = CMS_SIGNATURE_UNKNOWN;
    int n = OBJ_obj2txt(s->algorithm, sizeof s->algorithm, object, 0);
    if (n <= 0) s->algorithm[0] = '\0';
    X509_ALGOR_get0(&object, NULL, NULL, digest);
    bool known = digest_of_nid(OBJ_obj2nid(object), &s->digest);
    TRY(take_attributes(info, s));
    if (!find_cert(c->cms, info, &list->certs, &x509, &cert)) {
        s->state = CMS_SIGNATURE_NO_CERT;
        return NULL;
    }
    s->cert = cert_share(cert);
    (void)snprintf(s->algorithm, sizeof s->algorithm, "%s with %s",
                   pkey_kind_name(pkey_kind(cert_key(cert))),
                   known ? cms_digest_name(s->digest) : "an unknown digest");
    if (known) {
        CMS_SignerInfo_set1_signer_cert(info, x509);
        s->state = judge(c, info, s);
        err_ignore(err_openssl(ERR_VERIFY, "drained")); /* the state says it all */
    }
    X509_free(x509);
    return NULL;
}

static err_t *check(bytes_t message, const cms_hashes_t *plain, const cms_hashes_t *canonical,
                    cms_signers_t *list) {
    cms_type_t type;
    CMS_ContentInfo *cms CLEANUP(CMS_ContentInfo_free) = NULL;
    TRY(cms_parse(message, &type, &cms));
    if (type != CMS_SIGNED_DATA) return err_new(ERR_INVALID, "CMS message is not signed data");
    ASN1_OCTET_STRING **content = CMS_get0_content(cms);
    if (content && *content)
        return err_new(ERR_INVALID, "a detached signature has content of its own");
    STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);
    int n = sk_CMS_SignerInfo_num(infos);
    if (n > LIMIT_MAIL_SIGNERS)
        return err_new(ERR_LIMIT, "more than %d signers", LIMIT_MAIL_SIGNERS);
    TRY(take_certs(cms, &list->certs));
    const content_t c = {cms, plain, canonical};
    for (int i = 0; i < n; i++) TRY(check_one(&c, sk_CMS_SignerInfo_value(infos, i), list));
    return NULL;
}

err_t *cms_signers_check(bytes_t message, const cms_hashes_t *plain, const cms_hashes_t *canonical,
                         cms_signers_t *ret_signers) {
    cms_signers_t list CLEANUP(cms_signers_done) = {0};
    TRY(check(message, plain, canonical, &list));
    *ret_signers = list;
    list = (cms_signers_t){0};
    return NULL;
}

void cms_signers_done(cms_signers_t *s) {
    for (size_t i = 0; i < s->n; i++) {
        cert_free(s->at[i].cert);
        buf_done(&s->at[i].capabilities);
    }
    cert_list_done(&s->certs);
    *s = (cms_signers_t){0};
}
