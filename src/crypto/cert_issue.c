/*
 * Issuing certificates: see cert.h. RFC 5280 section 4 (fields, extensions and which of them are
 * critical), RFC 5758 and RFC 8410 signatures. Runs in the keeper; in the simulator and tests for
 * throw-away CAs. Any thread.
 */
#include <openssl/x509.h>

#include "base/limits.h"
#include "crypto/cert.h"
#include "crypto/cert_internal.h"
#include "crypto/der_internal.h"
#include "crypto/digest.h"
#include "crypto/name_der_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/signature_internal.h"

enum { DER_ROOM = 2048 }; /* bytes; most certificates need no more */

err_t *cert_serial_random(const rnd_t *rnd, uint8_t out[CERT_SERIAL_SIZE]) {
    TRY(rnd_fill(rnd, out, CERT_SERIAL_SIZE));
    /* Positive, and the highest byte never zero: 20 bytes in DER and 40 hex digits, always. */
    out[0] = (uint8_t)((out[0] & 0x7f) | 0x40);
    return NULL;
}

typedef STACK_OF(X509_EXTENSION) exts_t;

static err_t *ext_add(exts_t **exts, int nid, void *value, bool critical) {
    if (X509V3_add1_i2d(exts, nid, value, critical ? 1 : 0, X509V3_ADD_APPEND) != 1)
        return err_openssl(ERR_INTERNAL, "extension %s", OBJ_nid2sn(nid));
    return NULL;
}

static err_t *add_basic_constraints(exts_t **exts, const cert_spec_t *spec) {
    BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
    if (!basic) return err_nomem();
    err_t *e = NULL;
    basic->ca = spec->is_ca ? 0xff : 0;
    if (spec->is_ca && spec->has_path_length) {
        basic->pathlen = ASN1_INTEGER_new();
        if (!basic->pathlen || ASN1_INTEGER_set(basic->pathlen, (long)spec->path_length) != 1)
            e = err_nomem();
    }
    if (!e) e = ext_add(exts, NID_basic_constraints, basic, true);
    BASIC_CONSTRAINTS_free(basic);
    return e;
}

static err_t *add_usage(exts_t **exts, const cert_spec_t *spec) {
    if (spec->key_usage) {
        ASN1_BIT_STRING *usage CLEANUP(ASN1_BIT_STRING_free) = NULL;
        TRY(key_usage_build(spec->key_usage, &usage));
        TRY(ext_add(exts, NID_key_usage, usage, true));
    }
    if (!spec->ekus_n) return NULL;
    EXTENDED_KEY_USAGE *ekus CLEANUP(EXTENDED_KEY_USAGE_free) = NULL;
    TRY(eku_build(spec->ekus, spec->ekus_n, &ekus));
    return ext_add(exts, NID_ext_key_usage, ekus, false);
}

/* Method 1 of RFC 5280 section 4.2.1.2: SHA-1 of the key's bits (an identifier, not security). */
static err_t *key_id_of(const pkey_t *key, ASN1_OCTET_STRING **ret_id) {
    bytes_t spki = pkey_spki(key), fields, algorithm, bits;
    uint8_t id[DIGEST_SHA1_SIZE];
    if (!der_take(&spki, DER_SEQUENCE, &fields) || !algorithm_der_take(&fields, &algorithm) ||
        !der_take_octets(&fields, &bits))
        return err_new(ERR_INTERNAL, "SubjectPublicKeyInfo is malformed");
    TRY(digest_sha1_legacy(bits, id));
    ASN1_OCTET_STRING *value CLEANUP(ASN1_OCTET_STRING_free) = ASN1_OCTET_STRING_new();
    if (!value || ASN1_OCTET_STRING_set(value, id, sizeof id) != 1) return err_nomem();
    *ret_id = STEAL(value);
    return NULL;
}

static err_t *add_key_ids(exts_t **exts, const pkey_t *key, const cert_t *issuer) {
    ASN1_OCTET_STRING *own CLEANUP(ASN1_OCTET_STRING_free) = NULL;
    TRY(key_id_of(key, &own));
    TRY(ext_add(exts, NID_subject_key_identifier, own, false));
    bytes_t given = issuer ? cert_skid(issuer) : BYTES_NONE;
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    if (!authority) return err_nomem();
    err_t *e = key_id_of(issuer ? cert_key(issuer) : key, &authority->keyid);
    if (!e && given.n && ASN1_OCTET_STRING_set(authority->keyid, given.p, (int)given.n) != 1)
        e = err_nomem();
    if (!e) e = ext_add(exts, NID_authority_key_identifier, authority, false);
    AUTHORITY_KEYID_free(authority);
    return e;
}

/* One URL as GeneralName. */
static err_t *url_name(const char *url, GENERAL_NAME **ret_name) {
    san_entry_t san = {SAN_URI, url};
    GENERAL_NAMES *names CLEANUP(GENERAL_NAMES_free) = NULL;
    TRY(san_build(&san, 1, &names));
    *ret_name = sk_GENERAL_NAME_pop(names);
    return NULL;
}

static err_t *add_crl_point(exts_t **exts, const char *url) {
    san_entry_t san = {SAN_URI, url};
    CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
    DIST_POINT *point = DIST_POINT_new();
    err_t *e = points && point ? NULL : err_nomem();
    if (!e && !(point->distpoint = DIST_POINT_NAME_new())) e = err_nomem();
    if (!e) e = san_build(&san, 1, &point->distpoint->name.fullname);
    if (!e) point->distpoint->type = 0; /* the choice fullName */
    if (!e && sk_DIST_POINT_push(points, point) <= 0) e = err_nomem();
    if (!e) {
        point = NULL;
        e = ext_add(exts, NID_crl_distribution_points, points, false);
    }
    DIST_POINT_free(point);
    CRL_DIST_POINTS_free(points);
    return e;
}

static err_t *access_push(AUTHORITY_INFO_ACCESS *access, int method, const char *url) {
    if (!url) return NULL;
    ACCESS_DESCRIPTION *entry = ACCESS_DESCRIPTION_new();
    if (!entry) return err_nomem();
    GENERAL_NAME *name = NULL;
    err_t *e = url_name(url, &name);
    if (!e) {
        GENERAL_NAME_free(entry->location);
        entry->location = name;
        ASN1_OBJECT_free(entry->method);
        entry->method = OBJ_nid2obj(method);
        if (sk_ACCESS_DESCRIPTION_push(access, entry) > 0) return NULL;
        e = err_nomem();
    }
    ACCESS_DESCRIPTION_free(entry);
    return e;
}

static err_t *add_access(exts_t **exts, const cert_spec_t *spec) {
    AUTHORITY_INFO_ACCESS *access = AUTHORITY_INFO_ACCESS_new();
    err_t *e = access ? NULL : err_nomem();
    if (!e) e = access_push(access, NID_ad_OCSP, spec->ocsp_url);
    if (!e) e = access_push(access, NID_ad_ca_issuers, spec->ca_issuers_url);
    if (!e) e = ext_add(exts, NID_info_access, access, false);
    AUTHORITY_INFO_ACCESS_free(access);
    return e;
}

static err_t *policy_push(CERTIFICATEPOLICIES *policies, const char *oid) {
    POLICYINFO *policy = POLICYINFO_new();
    if (!policy) return err_nomem();
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    err_t *e = object ? NULL : err_openssl(ERR_USAGE, "certificate policy %s", oid);
    if (object) {
        ASN1_OBJECT_free(policy->policyid);
        policy->policyid = object;
        if (sk_POLICYINFO_push(policies, policy) > 0) return NULL;
        e = err_nomem();
    }
    POLICYINFO_free(policy);
    return e;
}

static err_t *add_policies(exts_t **exts, const cert_spec_t *spec) {
    CERTIFICATEPOLICIES *policies = CERTIFICATEPOLICIES_new();
    err_t *e = policies ? NULL : err_nomem();
    for (size_t i = 0; !e && i < spec->policies_n; i++)
        e = policy_push(policies, spec->policies[i]);
    if (!e) e = ext_add(exts, NID_certificate_policies, policies, false);
    CERTIFICATEPOLICIES_free(policies);
    return e;
}

static err_t *add_sans(exts_t **exts, const cert_spec_t *spec) {
    GENERAL_NAMES *names CLEANUP(GENERAL_NAMES_free) = NULL;
    TRY_WRAP(san_build(spec->sans, spec->sans_n, &names), "alternative names");
    /* Critical exactly if the subject is empty (RFC 5280 section 4.2.1.6). */
    return ext_add(exts, NID_subject_alt_name, names, spec->subject_n == 0);
}

static err_t *add_nocheck(exts_t **exts) {
    ASN1_NULL *null = ASN1_NULL_new();
    if (!null) return err_nomem();
    err_t *e = ext_add(exts, NID_id_pkix_OCSP_noCheck, null, false);
    ASN1_NULL_free(null);
    return e;
}

static err_t *add_extensions(exts_t **exts, const cert_spec_t *spec, const pkey_t *key,
                             const cert_t *issuer) {
    TRY(add_basic_constraints(exts, spec));
    TRY(add_usage(exts, spec));
    TRY(add_key_ids(exts, key, issuer));
    if (spec->sans_n) TRY(add_sans(exts, spec));
    if (spec->policies_n) TRY(add_policies(exts, spec));
    if (spec->crl_url) TRY(add_crl_point(exts, spec->crl_url));
    if (spec->ocsp_url || spec->ca_issuers_url) TRY(add_access(exts, spec));
    if (spec->ocsp_nocheck) TRY(add_nocheck(exts));
    return NULL;
}

static void exts_free_p(exts_t **p) { sk_X509_EXTENSION_pop_free(*p, X509_EXTENSION_free); }

/* extensions [3] EXPLICIT */
static err_t *put_extensions(const cert_spec_t *spec, const pkey_t *key, const cert_t *issuer,
                             buf_t *out) {
    exts_t *exts CLEANUP(exts_free) = NULL;
    TRY(add_extensions(&exts, spec, key, issuer));
    unsigned char *der = NULL;
    int n = i2d_X509_EXTENSIONS(exts, &der);
    if (n <= 0) return err_openssl(ERR_INTERNAL, "extensions can't be encoded");
    err_t *e = der_put(out, DER_CONTEXT_CONSTRUCTED | 3, bytes_make(der, (size_t)n));
    OPENSSL_free(der);
    return e;
}

static err_t *put_subject(const cert_spec_t *spec, buf_t *out) {
    X509_NAME *subject CLEANUP(X509_NAME_free) = NULL;
    TRY_WRAP(name_build(spec->subject, spec->subject_n, &subject), "subject");
    const unsigned char *der = NULL;
    size_t n = 0;
    if (X509_NAME_get0_der(subject, &der, &n) != 1)
        return err_openssl(ERR_INTERNAL, "subject can't be encoded");
    return buf_add(out, bytes_make(der, n));
}

/* TBSCertificate, RFC 5280 section 4.1 */
static err_t *put_tbs(const cert_spec_t *spec, const cert_t *issuer, const pkey_t *key,
                      bytes_t algorithm, buf_t *out) {
    static const uint8_t version3[] = {DER_CONTEXT_CONSTRUCTED | 0, 3, DER_INTEGER, 1, 2};
    buf_t subject CLEANUP(buf_done);
    buf_init(&subject, LIMIT_CERTIFICATE_BYTES);
    TRY(put_subject(spec, &subject));
    if (spec->serial.n > CERT_SERIAL_SIZE)
        return err_new(ERR_USAGE, "serial number of %zu bytes", spec->serial.n);
    TRY(buf_add(out, BYTES_ARRAY(version3)));
    TRY(der_put_unsigned(out, spec->serial));
    TRY(buf_add(out, algorithm));
    TRY(buf_add(out, issuer ? cert_subject_der(issuer) : buf_bytes(&subject)));
    size_t validity = out->n;
    TRY(der_put_time(out, spec->not_before));
    TRY(der_put_time(out, spec->not_after));
    TRY(der_enclose(out, validity, DER_SEQUENCE));
    TRY(buf_add(out, buf_bytes(&subject)));
    TRY(buf_add(out, pkey_spki(key)));
    TRY(put_extensions(spec, key, issuer, out));
    return der_enclose(out, 0, DER_SEQUENCE);
}

static err_t *check_spec(const cert_spec_t *spec, const cert_t *issuer, const pkey_t *issuer_key) {
    if (!spec->serial.n || spec->serial.p[0] == 0 || spec->serial.p[0] & 0x80)
        return err_new(ERR_USAGE, "serial number must begin with a byte 01..7f");
    if (spec->not_after <= spec->not_before || spec->not_before < 0)
        return err_new(ERR_USAGE, "certificate would never be valid");
    if (!spec->subject_n && (!spec->sans_n || spec->is_ca))
        return err_new(ERR_USAGE, "certificate needs a subject");
    if (spec->is_ca && !(spec->key_usage & KEY_USAGE_CERT_SIGN))
        return err_new(ERR_USAGE, "a CA needs the key usage keyCertSign");
    if (!spec->is_ca && (spec->key_usage & KEY_USAGE_CERT_SIGN))
        return err_new(ERR_USAGE, "only a CA may have the key usage keyCertSign");
    if (!spec->is_ca && spec->has_path_length)
        return err_new(ERR_USAGE, "only a CA has a path length");
    if (issuer && !spec->key) return err_new(ERR_USAGE, "certificate needs a public key");
    if (!pkey_has_private(issuer_key)) return err_new(ERR_USAGE, "issuer's key is not private");
    const pkey_t *expected = issuer ? cert_key(issuer) : spec->key;
    if (expected && !pkey_same_public(expected, issuer_key))
        return err_new(ERR_USAGE, "that key is not the issuer's");
    return NULL;
}

err_t *cert_issue(const cert_spec_t *spec, const cert_t *issuer, const pkey_t *issuer_key,
                  cert_t **ret_cert) {
    TRY(check_spec(spec, issuer, issuer_key));
    const EVP_MD *md;
    TRY(sign_digest(issuer_key, &md));
    bytes_t algorithm;
    TRY(signature_algorithm(issuer_key, &algorithm));
    CLEANUP(buf_done) buf_t der;
    CLEANUP(buf_done) buf_t signature;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    buf_init(&signature, LIMIT_RSA_BITS_MAX / 8);
    TRY(buf_reserve(&der, DER_ROOM));
    TRY(put_tbs(spec, issuer, spec->key ? spec->key : issuer_key, algorithm, &der));
    TRY(cert_lint_demand(buf_bytes(&der), spec->lint));
    TRY_WRAP(signature_make(pkey_evp(issuer_key), md, buf_bytes(&der), &signature),
             "signing the certificate");
    TRY(buf_add(&der, algorithm));
    TRY(der_put_octets(&der, buf_bytes(&signature)));
    TRY(der_enclose(&der, 0, DER_SEQUENCE));
    return cert_parse_der_known(buf_bytes(&der), spec->key, ret_cert);
}
