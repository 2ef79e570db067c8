/*
 * SignedData, making: see cms.h. RFC 5652 section 5, RFC 8894 section 3.2 for its attributes,
 * RFC 5754 algorithms. Runs in the keeper (SCEP replies, profiles) and the simulator; any thread.
 */
#include <limits.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cert_internal.h"
#include "crypto/cms_internal.h"
#include "crypto/cms_seal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

struct cms_signer {
    cert_t *cert;
    EVP_PKEY *key;
    cert_list_t extra;
};

void cms_signer_free(cms_signer_t *signer) {
    if (!signer) return;
    cert_free(signer->cert);
    EVP_PKEY_free(signer->key);
    cert_list_done(&signer->extra);
    mem_free(signer);
}

static bool can_sign(pkey_kind_t kind) {
    return kind == PKEY_RSA || kind == PKEY_P256 || kind == PKEY_P384;
}

err_t *cms_signer_new(const cert_t *cert, const pkey_t *key, const cert_list_t *extra,
                      cms_signer_t **ret_signer) {
    if (!pkey_has_private(key) || !pkey_same_public(cert_key(cert), key))
        return err_new(ERR_USAGE, "signing key does not belong to certificate %s",
                       cert_serial_hex(cert));
    if (!can_sign(pkey_kind(key)))
        return err_new(ERR_USAGE, "a key of kind %s can't sign CMS",
                       pkey_kind_name(pkey_kind(key)));
    if (extra && extra->n >= LIMIT_CMS_CERTIFICATES)
        return err_new(ERR_LIMIT, "%zu certificates beside the signer's", extra->n);
    cms_signer_t *signer CLEANUP(cms_signer_free) = mem_zalloc(sizeof *signer);
    if (!signer) return err_nomem();
    signer->cert = cert_share(cert);
    for (size_t i = 0; extra && i < extra->n; i++)
        if (!cert_same(extra->certs[i], cert)) TRY(cert_list_add(&signer->extra, extra->certs[i]));
    if (EVP_PKEY_up_ref(pkey_evp(key)) != 1) return err_openssl(ERR_INTERNAL, "signing key");
    signer->key = pkey_evp(key);
    *ret_signer = STEAL(signer);
    return NULL;
}

const cert_t *cms_signer_cert(const cms_signer_t *signer) { return signer->cert; }

cms_signing_t cms_signer_signing(const cms_signer_t *signer) {
    return (cms_signing_t){signer->cert, signer->key, &signer->extra};
}

const EVP_MD *cms_digest_md(cms_digest_t digest) {
    switch (digest) {
    case CMS_DIGEST_SHA256: return EVP_sha256();
    case CMS_DIGEST_SHA1: return EVP_sha1();
    case CMS_DIGEST_SHA384: return EVP_sha384();
    case CMS_DIGEST_SHA512: return EVP_sha512();
    case CMS_DIGEST_MD5:
    case CMS_DIGEST_OTHER: break;
    }
    return EVP_sha256();
}

static int value_tag(cms_value_kind_t kind) {
    switch (kind) {
    case CMS_PRINTABLE_STRING: return V_ASN1_PRINTABLESTRING;
    case CMS_UTF8_STRING: return V_ASN1_UTF8STRING;
    case CMS_OCTET_STRING: return V_ASN1_OCTET_STRING;
    case CMS_SEQUENCE: return V_ASN1_SEQUENCE;
    }
    return V_ASN1_OCTET_STRING;
}

static err_t *add_attribute(CMS_SignerInfo *info, const cms_attribute_t *attribute) {
    if (attribute->value.n > LIMIT_CMS_BYTES)
        return err_new(ERR_LIMIT, "signed attribute %s is too long", attribute->oid);
    ASN1_OBJECT *oid CLEANUP(ASN1_OBJECT_free) = OBJ_txt2obj(attribute->oid, 1);
    if (!oid) return err_openssl(ERR_USAGE, "signed attribute %s", attribute->oid);
    const void *p = attribute->value.n ? (const void *)attribute->value.p : "";
    if (CMS_signed_add1_attr_by_OBJ(info, oid, value_tag(attribute->kind), p,
                                    (int)attribute->value.n) != 1)
        return err_openssl(ERR_INTERNAL, "signed attribute %s", attribute->oid);
    return NULL;
}

static err_t *add_signing_time(CMS_SignerInfo *info, int64_t seconds) {
    if (seconds == 0) return NULL; /* OpenSSL adds its own */
    ASN1_TIME *time CLEANUP(ASN1_TIME_free) = ASN1_TIME_set(NULL, (time_t)seconds);
    if (!time || CMS_signed_add1_attr_by_NID(info, NID_pkcs9_signingTime, ASN1_STRING_type(time),
                                             time, -1) != 1)
        return err_openssl(ERR_INTERNAL, "signing time");
    return NULL;
}

static err_t *add_certificates(const cms_signer_t *signer, CMS_ContentInfo *cms) {
    for (size_t i = 0; i < signer->extra.n; i++) {
        X509 *x509;
        TRY(cert_x509_get(signer->extra.certs[i], &x509));
        if (CMS_add1_cert(cms, x509) != 1) return err_openssl(ERR_INTERNAL, "extra certificate");
    }
    return NULL;
}

/* A SignedData with its signer, waiting for the content. */
static err_t *prepare(const cms_signer_t *signer, const cms_sign_options_t *options, unsigned flags,
                      CMS_ContentInfo **ret_cms) {
    CMS_ContentInfo *cms CLEANUP(CMS_ContentInfo_free) =
        CMS_sign(NULL, NULL, NULL, NULL, flags | CMS_PARTIAL);
    if (!cms) return err_openssl(ERR_INTERNAL, "SignedData");
    unsigned how = CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL;
    if (options->no_certificates) how |= CMS_NOCERTS;
    X509 *x509;
    TRY(cert_x509_get(signer->cert, &x509));
    CMS_SignerInfo *info =
        CMS_add1_signer(cms, x509, signer->key, cms_digest_md(options->digest), how);
    if (!info) return err_openssl(ERR_INTERNAL, "signer");
    for (size_t i = 0; i < options->attributes_n; i++)
        TRY(add_attribute(info, &options->attributes[i]));
    TRY(add_signing_time(info, options->signing_time));
    if (!options->no_certificates) TRY(add_certificates(signer, cms));
    *ret_cms = STEAL(cms);
    return NULL;
}

err_t *cms_sign(const cms_signer_t *signer, bytes_t content, const cms_sign_options_t *options,
                buf_t *out) {
    static const cms_sign_options_t defaults = {0};
    if (!options) options = &defaults;
    if (content.n > LIMIT_CMS_BYTES) return err_new(ERR_LIMIT, "content of %zu bytes", content.n);
    if (options->indefinite && !options->detached) { /* OpenSSL streams; else nothing to stream */
        unsigned flags = CMS_BINARY | CMS_STREAM;
        CMS_ContentInfo *cms CLEANUP(CMS_ContentInfo_free) = NULL;
        TRY(prepare(signer, options, flags, &cms));
        return cms_write_indefinite(cms, content, flags, out);
    }
    size_t before = out->n;
    cms_signing_t by = cms_signer_signing(signer);
    err_t *e = cms_signed_write(&by, content, NULL, options, out);
    if (e) out->n = before;
    return e;
}

err_t *cms_sign_hash(const cms_signer_t *signer, bytes_t hash, const cms_sign_options_t *options,
                     buf_t *out) {
    cms_signing_t by = cms_signer_signing(signer);
    size_t before = out->n;
    if (!options->detached || hash.n != (size_t)EVP_MD_get_size(cms_digest_md(options->digest)))
        return err_new(ERR_USAGE, "a hash that can't be signed");
    err_t *e = cms_signed_write(&by, BYTES_NONE, &hash, options, out);
    if (e) out->n = before;
    return e;
}

err_t *cms_certs_only(const cert_list_t *certs, buf_t *out) {
    if (!certs->n || certs->n > LIMIT_CMS_CERTIFICATES)
        return err_new(ERR_LIMIT, "%zu certificates in one message", certs->n);
    size_t before = out->n;
    err_t *e = cms_certs_write(certs, out);
    if (e) out->n = before;
    return e;
}
