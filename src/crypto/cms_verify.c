/*
 * SignedData, checking: see cms.h. RFC 5652 section 5.4 to 5.6: exactly one signer, exactly one
 * certificate that it names, both mandatory attributes. Runs in the keeper, web and mailgate on
 * foreign bytes; any thread.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cert_internal.h"
#include "crypto/cms_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

static void x509_stack_free_p(STACK_OF(X509) * *p) { sk_X509_pop_free(*p, X509_free); }

void cms_signed_free(cms_signed_t *s) {
    if (!s) return;
    cert_list_done(&s->certs);
    CMS_ContentInfo_free(s->cms);
    mem_free(s->copy);
    mem_free(s);
}

static err_t *read_certs(CMS_ContentInfo *cms, cert_list_t *list) {
    STACK_OF(X509) * stack CLEANUP(x509_stack_free) = CMS_get1_certs(cms);
    ERR_clear_error();
    return cert_list_add_stack(list, stack);
}

static err_t *find_signer(cms_signed_t *s) {
    STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(s->cms);
    if (sk_CMS_SignerInfo_num(infos) != LIMIT_CMS_SIGNERS)
        return err_new(ERR_INVALID, "CMS message does not have exactly one signer");
    s->info = sk_CMS_SignerInfo_value(infos, 0);
    TRY_WRAP(read_certs(s->cms, &s->certs), "CMS message");
    for (size_t i = 0; i < s->certs.n; i++) {
        X509 *x509;
        TRY(cert_x509_get(s->certs.certs[i], &x509));
        if (CMS_SignerInfo_cert_cmp(s->info, x509) != 0) continue;
        if (s->cert) return err_new(ERR_INVALID, "two certificates claim to be the CMS signer's");
        s->cert = s->certs.certs[i];
    }
    if (!s->cert) return err_new(ERR_INVALID, "CMS signer's certificate is not in the message");
    return NULL;
}

static err_t *check_digest(cms_signed_t *s, const cms_verify_options_t *options) {
    X509_ALGOR *algorithm = NULL;
    CMS_SignerInfo_get0_algs(s->info, NULL, NULL, &algorithm, NULL);
    const ASN1_OBJECT *oid = NULL;
    X509_ALGOR_get0(&oid, NULL, NULL, algorithm);
    int nid = OBJ_obj2nid(oid);
    if (nid == NID_sha256) s->digest = CMS_DIGEST_SHA256;
    else if (nid == NID_sha384) s->digest = CMS_DIGEST_SHA384;
    else if (nid == NID_sha512) s->digest = CMS_DIGEST_SHA512;
    else if (nid == NID_sha1) s->digest = CMS_DIGEST_SHA1;
    else if (nid == NID_md5) s->digest = CMS_DIGEST_MD5;
    else s->digest = CMS_DIGEST_OTHER;
    if ((s->digest == CMS_DIGEST_MD5 || s->digest == CMS_DIGEST_OTHER) &&
        !options->allow_any_digest)
        return err_new(ERR_VERIFY, "CMS digest algorithm is not supported");
    if (s->digest == CMS_DIGEST_SHA1 && !options->allow_sha1)
        return err_new(ERR_VERIFY, "CMS digest SHA-1 is too weak here");
    return NULL;
}

err_t *cms_check_key(const cms_signed_t *s, const cms_verify_options_t *options) {
    const pkey_t *key = cert_key(s->cert);
    switch (pkey_kind(key)) {
    case PKEY_RSA:
        if (pkey_bits(key) < LIMIT_RSA_BITS_MIN && !options->allow_weak_key)
            return err_new(ERR_VERIFY, "CMS signer's RSA key of %u bits is too short here",
                           pkey_bits(key));
        return NULL;
    case PKEY_P256:
    case PKEY_P384: return NULL;
    case PKEY_ED25519:
    case PKEY_X25519:
    case PKEY_OTHER: break;
    }
    return err_new(ERR_VERIFY, "CMS signer's key is of an unsupported kind");
}

/* RFC 5652 section 5.3: the contentType attribute must say what the content is. */
static err_t *check_content_type(cms_signed_t *s) {
    const ASN1_OBJECT *type = CMS_get0_eContentType(s->cms);
    int n = OBJ_obj2txt(s->content_type, sizeof s->content_type, type, 1);
    if (n <= 0 || (size_t)n >= sizeof s->content_type)
        return err_openssl(ERR_INVALID, "CMS content type is malformed");
    if (!cms_signed_has_attributes(s)) {
        if (OBJ_obj2nid(type) == NID_pkcs7_data) return NULL;
        return err_new(ERR_INVALID, "CMS content of type %s without signed attributes",
                       s->content_type);
    }
    cms_signed_value_t value;
    bool found;
    TRY(cms_signed_attribute(s, "1.2.840.113549.1.9.3", &found, &value));
    bytes_t expected = bytes_make(OBJ_get0_data(type), OBJ_length(type));
    if (!found || value.tag != V_ASN1_OBJECT || !bytes_eq(value.value, expected))
        return err_new(ERR_INVALID, "RFC 5652 section 11.1: bad contentType attribute");
    TRY(cms_signed_attribute(s, "1.2.840.113549.1.9.4", &found, &value));
    if (!found || value.tag != V_ASN1_OCTET_STRING)
        return err_new(ERR_INVALID, "RFC 5652 section 11.2: bad messageDigest attribute");
    return NULL;
}

static void find_content(cms_signed_t *s) {
    ASN1_OCTET_STRING **content = CMS_get0_content(s->cms);
    ERR_clear_error();
    if (!content || !*content) return;
    s->has_content = true;
    s->content = bytes_make(ASN1_STRING_get0_data(*content), (size_t)ASN1_STRING_length(*content));
}

static err_t *check_signature(cms_signed_t *s, const bytes_t *detached,
                              const cms_verify_options_t *options) {
    const bytes_t *apart = NULL;
    static const bytes_t empty = {0};
    if (s->has_content) {
        if (detached && !bytes_eq(*detached, s->content))
            return err_new(ERR_VERIFY, "CMS content differs from what it came with");
    } else if (detached) {
        apart = detached;
    } else if (options->allow_no_content) {
        apart = &empty;
    } else {
        return err_new(ERR_INVALID, "CMS message has no content");
    }
    if (apart && apart->n > LIMIT_CMS_BYTES)
        return err_new(ERR_LIMIT, "content of %zu bytes", apart->n);
    BIO *bio CLEANUP(BIO_free) = NULL;
    if (apart && !(bio = cms_bio_source(*apart))) return err_nomem();
    unsigned flags = CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY | CMS_NOCRL;
    if (CMS_verify(s->cms, NULL, NULL, bio, NULL, flags) != 1)
        return err_openssl(ERR_VERIFY, "CMS signature does not hold");
    return NULL;
}

err_t *cms_verify_openssl(bytes_t message, const bytes_t *detached,
                          const cms_verify_options_t *options, cms_signed_t **ret_signed) {
    cms_signed_t *s CLEANUP(cms_signed_free) = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    cms_type_t type;
    TRY(cms_parse(message, &type, &s->cms));
    if (type != CMS_SIGNED_DATA) return err_new(ERR_INVALID, "CMS message is not signed");
    TRY(find_signer(s));
    TRY(check_digest(s, options));
    TRY(cms_check_key(s, options));
    TRY(check_content_type(s));
    find_content(s);
    TRY(check_signature(s, detached, options));
    *ret_signed = STEAL(s);
    return NULL;
}

err_t *cms_verify(bytes_t message, const bytes_t *detached, const cms_verify_options_t *options,
                  cms_signed_t **ret_signed) {
    static const cms_verify_options_t defaults = {0};
    if (!options) options = &defaults;
    cms_signed_t *s = NULL;
    TRY(cms_verify_lean(message, detached, options, &s));
    if (!s) TRY(cms_verify_openssl(message, detached, options, &s));
    *ret_signed = s;
    return NULL;
}

bytes_t cms_signed_content(const cms_signed_t *s) { return s->content; }
const char *cms_signed_content_type(const cms_signed_t *s) { return s->content_type; }
const cert_t *cms_signed_cert(const cms_signed_t *s) { return s->cert; }
const cert_list_t *cms_signed_certs(const cms_signed_t *s) { return &s->certs; }
cms_digest_t cms_signed_digest(const cms_signed_t *s) { return s->digest; }

bool cms_signed_has_attributes(const cms_signed_t *s) {
    return s->info ? CMS_signed_get_attr_count(s->info) > 0 : s->attributes_n > 0;
}

/* Content octets, whatever the type. */
static cms_signed_value_t value_of(const ASN1_TYPE *any) {
    cms_signed_value_t value = {.tag = any->type};
    if (any->type == V_ASN1_OBJECT)
        value.value = bytes_make(OBJ_get0_data(any->value.object), OBJ_length(any->value.object));
    else if (any->type != V_ASN1_NULL && any->type != V_ASN1_BOOLEAN)
        value.value = bytes_make(ASN1_STRING_get0_data(any->value.asn1_string),
                                 (size_t)ASN1_STRING_length(any->value.asn1_string));
    return value;
}

/* The same of what cms_verify_lean let pass. */
static void find_lean(const cms_signed_t *s, bytes_t oid, bool *ret_found,
                      cms_signed_value_t *ret_value) {
    *ret_found = false;
    for (size_t i = 0; i < s->attributes_n; i++) {
        const der_t *value = &s->attributes[i].value;
        if (!bytes_eq(s->attributes[i].oid, oid)) continue;
        bool whole = value->tag == DER_SEQUENCE || value->tag == DER_SET;
        *ret_value = (cms_signed_value_t){.tag = value->tag & 0x1f,
                                          .value = whole ? value->whole : value->content};
        *ret_found = true;
    }
}

err_t *cms_signed_attribute(const cms_signed_t *s, const char *oid, bool *ret_found,
                            cms_signed_value_t *ret_value) {
    ASN1_OBJECT *object CLEANUP(ASN1_OBJECT_free) = OBJ_txt2obj(oid, 1);
    if (!object) return err_openssl(ERR_USAGE, "signed attribute %s", oid);
    if (!s->info) {
        find_lean(s, bytes_make(OBJ_get0_data(object), OBJ_length(object)), ret_found, ret_value);
        return NULL;
    }
    int at = CMS_signed_get_attr_by_OBJ(s->info, object, -1);
    if (at < 0) {
        *ret_found = false;
        return NULL;
    }
    X509_ATTRIBUTE *attribute = CMS_signed_get_attr(s->info, at);
    const ASN1_TYPE *any = attribute ? X509_ATTRIBUTE_get0_type(attribute, 0) : NULL;
    if (!any || X509_ATTRIBUTE_count(attribute) != 1 ||
        CMS_signed_get_attr_by_OBJ(s->info, object, at) >= 0)
        return err_new(ERR_INVALID, "signed attribute %s is not there exactly once", oid);
    *ret_value = value_of(any);
    *ret_found = true;
    return NULL;
}

static bool kind_matches(cms_value_kind_t kind, int tag) {
    switch (kind) {
    case CMS_PRINTABLE_STRING: return tag == V_ASN1_PRINTABLESTRING;
    case CMS_UTF8_STRING: return tag == V_ASN1_UTF8STRING;
    case CMS_OCTET_STRING: return tag == V_ASN1_OCTET_STRING;
    case CMS_SEQUENCE: return tag == V_ASN1_SEQUENCE;
    }
    return false;
}

err_t *cms_signed_require(const cms_signed_t *s, const char *oid, cms_value_kind_t kind,
                          bytes_t *ret_value) {
    bool found;
    cms_signed_value_t value;
    TRY(cms_signed_attribute(s, oid, &found, &value));
    if (!found) return err_new(ERR_INVALID, "signed attribute %s is missing", oid);
    if (!kind_matches(kind, value.tag) || !value.value.n)
        return err_new(ERR_INVALID, "signed attribute %s has the wrong type or no value", oid);
    *ret_value = value.value;
    return NULL;
}

err_t *cms_parse_certs(bytes_t message, cert_list_t *list) {
    CMS_ContentInfo *cms CLEANUP(CMS_ContentInfo_free) = NULL;
    cms_type_t type;
    TRY(cms_parse(message, &type, &cms));
    if (type != CMS_SIGNED_DATA) return err_new(ERR_INVALID, "CMS message is not signed");
    cert_list_t found CLEANUP(cert_list_done) = {0};
    TRY_WRAP(read_certs(cms, &found), "CMS message");
    for (size_t i = 0; i < found.n; i++) TRY(cert_list_add(list, found.certs[i]));
    return NULL;
}
