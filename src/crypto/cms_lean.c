/*
 * SignedData checked without OpenSSL's CMS_*: see cms_internal.h. RFC 5652 section 5: the plain
 * case that devices send. DER throughout; id-data; one signer, named by issuer and serial or by
 * key identifier; signed attributes in DER order, each once with one value; RSA PKCS#1 v1.5 or
 * ECDSA. Whatever differs is left to OpenSSL, so this file may only say yes where OpenSSL would.
 * Runs in the keeper, web and mailgate on foreign bytes; any thread.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cms_internal.h"
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/signature_internal.h"

/* The parts of a message; all inside the copy. */
typedef struct {
    bytes_t digests, encap, certs, signer; /* of SignedData */
    bytes_t issuer, serial, key_id;        /* sid: issuer and serial, or key_id */
    bytes_t digest, attributes, algorithm, signature;
    bytes_t content;
    bool has_content;
} parts_t;

#define OID_9(last) 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, last
static const uint8_t oid_content_type[] = {OID_9(3)};
static const uint8_t oid_message_digest[] = {OID_9(4)};
static const uint8_t oid_countersignature[] = {OID_9(6)};
static const uint8_t oid_smime[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16}; /* a prefix */
static const uint8_t oid_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1};
static const uint8_t oid_signed[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2};

static bool small_version(bytes_t *rest, uint8_t max, uint8_t *ret_version) {
    bytes_t version;
    if (!der_take(rest, DER_INTEGER, &version) || version.n != 1 || version.p[0] > max)
        return false;
    *ret_version = version.p[0];
    return true;
}

/* SignerInfo ::= SEQUENCE { version, sid, digestAlgorithm, [0] signedAttrs, signatureAlgorithm,
 * signature } */
static bool split_signer(parts_t *m) {
    bytes_t rest = m->signer, sid;
    uint8_t version;
    if (!small_version(&rest, 3, &version)) return false;
    if (version == 1) {
        if (!der_take(&rest, DER_SEQUENCE, &sid) ||
            !der_take_whole(&sid, DER_SEQUENCE, &m->issuer) ||
            !der_take_unsigned(&sid, &m->serial) || sid.n)
            return false;
    } else if (version != 3 || !der_take(&rest, DER_CONTEXT | 0, &m->key_id) || !m->key_id.n) {
        return false;
    }
    return algorithm_der_take(&rest, &m->digest) &&
           der_take_whole(&rest, DER_CONTEXT_CONSTRUCTED | 0, &m->attributes) &&
           algorithm_der_take(&rest, &m->algorithm) &&
           der_take(&rest, DER_OCTET_STRING, &m->signature) && !rest.n;
}

/* SignedData, down to the one signer. */
static bool split(bytes_t message, parts_t *m) {
    bytes_t info, type, explicit, data, signers, inside;
    uint8_t version;
    if (!der_take(&message, DER_SEQUENCE, &info) || !der_take_whole(&info, DER_OID, &type) ||
        !bytes_eq(type, BYTES_ARRAY(oid_signed)) ||
        !der_take(&info, DER_CONTEXT_CONSTRUCTED | 0, &explicit) || info.n ||
        !der_take(&explicit, DER_SEQUENCE, &data) || explicit.n ||
        !small_version(&data, 5, &version) || !der_take(&data, DER_SET, &m->digests) ||
        !der_take(&data, DER_SEQUENCE, &m->encap) ||
        !der_take(&data, DER_CONTEXT_CONSTRUCTED | 0, &m->certs) ||
        !der_take(&data, DER_SET, &signers) || data.n ||
        !der_take(&signers, DER_SEQUENCE, &m->signer) || signers.n)
        return false;
    if (!der_take_whole(&m->encap, DER_OID, &type) || !bytes_eq(type, BYTES_ARRAY(oid_data)))
        return false;
    if (m->encap.n) {
        m->has_content = true;
        if (!der_take(&m->encap, DER_CONTEXT_CONSTRUCTED | 0, &inside) || m->encap.n ||
            !der_take(&inside, DER_OCTET_STRING, &m->content) || inside.n)
            return false;
    }
    return split_signer(m);
}

/* A digest's AlgorithmIdentifier, with NULL as parameters or none (RFC 5754 section 2). */
static bool find_digest(bytes_t algorithm, cms_digest_t *ret_digest) {
    static const struct {
        cms_digest_t digest;
        uint8_t n;
        uint8_t oid[11];
    } known[] = {
        {CMS_DIGEST_SHA256, 11, {6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}},
        {CMS_DIGEST_SHA384, 11, {6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2}},
        {CMS_DIGEST_SHA512, 11, {6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3}},
        {CMS_DIGEST_SHA1, 7, {6, 5, 0x2b, 0x0e, 3, 2, 0x1a}},
    };
    bytes_t content, oid;
    der_t parameters;
    if (!der_take(&algorithm, DER_SEQUENCE, &content) || !der_take_whole(&content, DER_OID, &oid))
        return false;
    if (content.n && (!der_next(&content, &parameters) || parameters.tag != DER_NULL)) return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!bytes_eq(oid, bytes_make(known[i].oid, known[i].n))) continue;
        *ret_digest = known[i].digest;
        return true;
    }
    return false;
}

/* The one digest algorithm of the message, and the signer's is the same. */
static bool same_digest(const parts_t *m, cms_digest_t *ret_digest) {
    bytes_t set = m->digests, algorithm;
    cms_digest_t announced;
    return algorithm_der_take(&set, &algorithm) && !set.n && find_digest(algorithm, &announced) &&
           find_digest(m->digest, ret_digest) && announced == *ret_digest;
}

/* Whether the signature algorithm goes with key and digest. */
static bool algorithm_fits(bytes_t algorithm, const pkey_t *key, cms_digest_t digest) {
    static const uint8_t rsa[] = {0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 1, 1, 1,    5,    0};
    bool known = false;
    if (pkey_kind(key) == PKEY_RSA && bytes_eq(algorithm, BYTES_ARRAY(rsa))) return true;
    const EVP_MD *md = signature_digest(algorithm, key, &known);
    return known && md == cms_digest_md(digest);
}

/* What an attribute's value may be for value_of in cms_verify.c to say the same as here. */
static bool plain_value(uint8_t tag) {
    return tag == DER_OID || tag == DER_OCTET_STRING || tag == DER_UTF8 || tag == DER_PRINTABLE ||
           tag == DER_IA5 || tag == DER_T61 || tag == DER_BMP || tag == DER_UTC_TIME ||
           tag == DER_GENERALIZED_TIME || tag == DER_SEQUENCE || tag == DER_SET;
}

/* Attribute ::= SEQUENCE { type, values SET }, of one value, in the order of a SET OF. */
static bool split_attributes(cms_signed_t *s, bytes_t whole) {
    bytes_t set, before = BYTES_NONE;
    if (!der_take(&whole, DER_CONTEXT_CONSTRUCTED | 0, &set)) return false;
    for (s->attributes_n = 0; set.n; s->attributes_n++) {
        der_t attribute;
        bytes_t oid, values;
        if (s->attributes_n == CMS_LEAN_ATTRIBUTES) return false;
        cms_lean_attribute_t *a = &s->attributes[s->attributes_n];
        if (!der_next(&set, &attribute) || attribute.tag != DER_SEQUENCE ||
            der_compare(before, attribute.whole) >= 0)
            return false;
        before = attribute.whole;
        if (!der_take_whole(&attribute.content, DER_OID, &oid) ||
            !der_take(&attribute.content, DER_SET, &values) || attribute.content.n ||
            !der_next(&values, &a->value) || values.n || !plain_value(a->value.tag))
            return false;
        a->oid = bytes_from(oid, 2); /* short form: longer ones are not for here */
        if (oid.p[1] >= 0x80 || bytes_eq(oid, BYTES_ARRAY(oid_countersignature)) ||
            bytes_starts(a->oid, BYTES_ARRAY(oid_smime)))
            return false;
        for (size_t i = 0; i < s->attributes_n; i++)
            if (bytes_eq(s->attributes[i].oid, a->oid)) return false;
    }
    return s->attributes_n > 0;
}

static const der_t *find_attribute(const cms_signed_t *s, bytes_t oid_whole, uint8_t tag) {
    for (size_t i = 0; i < s->attributes_n; i++)
        if (bytes_eq(s->attributes[i].oid, bytes_from(oid_whole, 2)) &&
            s->attributes[i].value.tag == tag)
            return &s->attributes[i].value;
    return NULL;
}

/* Whether the certificate is the signer's; *ret_close if OpenSSL might think so. */
static bool names(const parts_t *m, const cert_t *cert, bool *ret_close) {
    if (m->key_id.n) {
        *ret_close = bytes_eq(cert_skid(cert), m->key_id);
        return *ret_close;
    }
    *ret_close = bytes_eq(cert_serial(cert), m->serial);
    return *ret_close && cert_serial_hex(cert)[0] != '-' &&
           bytes_eq(cert_issuer_der(cert), m->issuer);
}

/* Every certificate, and the signer's among them; *ret_usual false if that isn't plain. */
static err_t *take_certs(cms_signed_t *s, const parts_t *m, cert_cache_t *cache, bool *ret_usual) {
    bytes_t rest = m->certs, der;
    size_t close_n = 0;
    *ret_usual = false;
    while (rest.n) {
        bool close;
        cert_t *cert CLEANUP(cert_free) = NULL;
        if (s->certs.n == LIMIT_CMS_CERTIFICATES || !der_take_whole(&rest, DER_SEQUENCE, &der))
            return NULL;
        err_t *e = cert_cache_parse(cache, der, &cert);
        if (e && err_code(e) == ERR_NOMEM) return e;
        err_free(e);
        if (!cert) return NULL;
        TRY(cert_list_add(&s->certs, cert));
        if (names(m, cert, &close)) s->cert = cert;
        if (close) close_n++;
    }
    *ret_usual = s->cert && close_n == 1;
    return NULL;
}

static err_t *check_content(const cms_signed_t *s, bytes_t expected, bytes_t content) {
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(content.p, content.n, hash, &n, cms_digest_md(s->digest), NULL) != 1)
        return err_openssl(ERR_INTERNAL, "digest");
    if (!bytes_eq(expected, bytes_make(hash, n)))
        return err_new(ERR_VERIFY, "RFC 5652 section 5.6: CMS content does not match its digest");
    return NULL;
}

/* Both hold: content against its digest, signed attributes against the signature. */
static err_t *check(cms_signed_t *s, const parts_t *m, bytes_t content, cert_cache_t *cache) {
    const der_t *digest = find_attribute(s, BYTES_ARRAY(oid_message_digest), DER_OCTET_STRING);
    TRY(check_content(s, digest->content, content));
    /* Section 5.4: what is signed has the tag of a SET OF instead of [0]. The copy is ours. */
    s->copy[m->attributes.p - s->copy] = DER_SET;
    TRY_WRAP(signature_check_with(cms_digest_md(s->digest), cert_key(s->cert), m->attributes,
                                  m->signature),
             "CMS signature");
    cert_cache_keep(cache, s->cert);
    return NULL;
}

/* What is signed: inside, apart, or nothing. False: let OpenSSL's path say what is wrong. */
static bool find_content(const parts_t *m, const bytes_t *detached,
                         const cms_verify_options_t *options, bytes_t *ret_content) {
    if (m->has_content && detached && !bytes_eq(*detached, m->content)) return false;
    if (!m->has_content && !detached && !options->allow_no_content) return false;
    *ret_content = m->has_content ? m->content : detached ? *detached : BYTES_NONE;
    return ret_content->n <= LIMIT_CMS_BYTES;
}

static bool attributes_fit(const cms_signed_t *s) {
    const der_t *type = find_attribute(s, BYTES_ARRAY(oid_content_type), DER_OID);
    return type && bytes_eq(type->whole, BYTES_ARRAY(oid_data)) &&
           find_attribute(s, BYTES_ARRAY(oid_message_digest), DER_OCTET_STRING);
}

err_t *cms_verify_lean(bytes_t message, const bytes_t *detached,
                       const cms_verify_options_t *options, cms_signed_t **ret_signed) {
    *ret_signed = NULL;
    if (message.n > LIMIT_CMS_BYTES || !der_check(message)) return NULL;
    cms_signed_t *s CLEANUP(cms_signed_free) = mem_zalloc(sizeof *s);
    if (!s || !(s->copy = mem_alloc(message.n))) return err_nomem();
    bytes_put(s->copy, message);
    parts_t m = {0};
    bytes_t content;
    bool usual = false;
    if (!split(bytes_make(s->copy, message.n), &m) || !same_digest(&m, &s->digest) ||
        (s->digest == CMS_DIGEST_SHA1 && !options->allow_sha1) ||
        !split_attributes(s, m.attributes) || !attributes_fit(s) ||
        !find_content(&m, detached, options, &content))
        return NULL;
    TRY(take_certs(s, &m, options->certs, &usual));
    if (!usual || !algorithm_fits(m.algorithm, cert_key(s->cert), s->digest)) return NULL;
    TRY(cms_check_key(s, options));
    TRY(check(s, &m, content, options->certs));
    s->content = m.content;
    s->has_content = m.has_content;
    memcpy(s->content_type, OID_CMS_DATA, sizeof OID_CMS_DATA);
    *ret_signed = STEAL(s);
    return NULL;
}
