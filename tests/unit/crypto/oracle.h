/*
 * What OpenSSL makes of a certificate, a request or a SignedData, against what src/crypto does:
 * whatever is accepted here must be accepted there, with the same values. For the unit tests and
 * the fuzzers; any difference is a sentence in *ret_text, NULL if there is none.
 */
#ifndef COFFER_TESTS_CRYPTO_ORACLE_H
#define COFFER_TESTS_CRYPTO_ORACLE_H

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "crypto/cert.h"
#include "crypto/cms_internal.h"
#include "crypto/csr.h"

#define ORACLE(condition, sentence)                                                                \
    do {                                                                                           \
        if (!(condition)) return sentence;                                                         \
    } while (0)

static inline bool oracle_text_is(X509_NAME *name, const char *text) {
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    char *p = NULL;
    bool same = bio && X509_NAME_print_ex(bio, name, 0, flags) >= 0;
    long n = same ? BIO_get_mem_data(bio, &p) : 0;
    same = same && bytes_eq_str(bytes_make(p, n > 0 ? (size_t)n : 0), text);
    BIO_free(bio);
    return same;
}

static inline bool oracle_string_is(const ASN1_STRING *string, const char *text) {
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, string);
    bool same = n >= 0 && bytes_eq_str(bytes_make(utf8, n > 0 ? (size_t)n : 0), text);
    if (n >= 0) OPENSSL_free(utf8);
    return same;
}

static inline const char *oracle_name(X509_NAME *name, bytes_t der, const char *text,
                                      const name_entry_t *entries, size_t n) {
    const unsigned char *p = NULL;
    size_t size = 0;
    ORACLE(X509_NAME_get0_der(name, &p, &size) == 1 && bytes_eq(der, bytes_make(p, size)),
           "a name's DER differs");
    /* OpenSSL cuts the text of an OID at 79 characters. */
    ORACLE(strlen(text) > 79 || oracle_text_is(name, text), "a name's text differs");
    if (!entries) return NULL;
    ORACLE(X509_NAME_entry_count(name) == (int)n, "a name's number of entries differs");
    for (size_t i = 0; i < n; i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, (int)i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        ORACLE(nid == NID_undef || strcmp(OBJ_nid2sn(nid), entries[i].type) == 0,
               "an entry's type differs");
        ORACLE(oracle_string_is(X509_NAME_ENTRY_get_data(entry), entries[i].value),
               "an entry's value differs");
    }
    return NULL;
}

static inline bool oracle_san_is(const GENERAL_NAME *name, const san_entry_t *san) {
    switch (san->kind) {
    case SAN_EMAIL:
        if (name->type == GEN_EMAIL) return oracle_string_is(name->d.ia5, san->value);
        return name->type == GEN_OTHERNAME &&
               OBJ_obj2nid(name->d.otherName->type_id) == NID_id_on_SmtpUTF8Mailbox &&
               oracle_string_is(name->d.otherName->value->value.asn1_string, san->value);
    case SAN_DNS: return name->type == GEN_DNS && oracle_string_is(name->d.ia5, san->value);
    case SAN_URI: return name->type == GEN_URI && oracle_string_is(name->d.ia5, san->value);
    case SAN_UPN:
        return name->type == GEN_OTHERNAME &&
               OBJ_obj2nid(name->d.otherName->type_id) == NID_ms_upn &&
               oracle_string_is(name->d.otherName->value->value.asn1_string, san->value);
    case SAN_IP: return name->type == GEN_IPADD;
    case SAN_OTHER:
        return name->type == GEN_OTHERNAME || name->type == GEN_DIRNAME || name->type == GEN_RID ||
               name->type == GEN_X400;
    }
    return false;
}

static inline const char *oracle_sans(const GENERAL_NAMES *names, const san_entry_t *sans,
                                      size_t n) {
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    ORACLE(count == (int)n, "the number of alternative names differs");
    for (size_t i = 0; i < n; i++)
        ORACLE(oracle_san_is(sk_GENERAL_NAME_value(names, (int)i), &sans[i]),
               "an alternative name differs");
    return NULL;
}

static inline const char *oracle_ekus(const EXTENDED_KEY_USAGE *ekus, const char *const *oids,
                                      size_t n) {
    ORACLE((ekus ? sk_ASN1_OBJECT_num(ekus) : 0) == (int)n, "the number of EKUs differs");
    for (size_t i = 0; i < n; i++) {
        char text[256];
        ORACLE(OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(ekus, (int)i), 1) > 0 &&
                   strcmp(text, oids[i]) == 0,
               "an EKU differs");
    }
    return NULL;
}

static inline unsigned oracle_usage(const ASN1_BIT_STRING *bits) {
    unsigned usage = 0;
    for (int i = 0; bits && i < 9; i++)
        if (ASN1_BIT_STRING_get_bit(bits, i)) usage |= 1U << i;
    return usage;
}

/* The extensions of a list: sans, ekus, key usage, cA. */
static inline const char *oracle_extensions(const STACK_OF(X509_EXTENSION) * list,
                                            const san_entry_t *sans, size_t sans_n,
                                            const char *const *ekus, size_t ekus_n, unsigned usage,
                                            bool ca) {
    GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
    const char *difference = oracle_sans(names, sans, sans_n);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    if (difference) return difference;
    EXTENDED_KEY_USAGE *oids = X509V3_get_d2i(list, NID_ext_key_usage, NULL, NULL);
    difference = oracle_ekus(oids, ekus, ekus_n);
    sk_ASN1_OBJECT_pop_free(oids, ASN1_OBJECT_free);
    if (difference) return difference;
    ASN1_BIT_STRING *bits = X509V3_get_d2i(list, NID_key_usage, NULL, NULL);
    bool same = oracle_usage(bits) == usage;
    ASN1_BIT_STRING_free(bits);
    ORACLE(same, "the key usage differs");
    BASIC_CONSTRAINTS *basic = X509V3_get_d2i(list, NID_basic_constraints, NULL, NULL);
    same = (basic && basic->ca) == ca;
    BASIC_CONSTRAINTS_free(basic);
    ORACLE(same, "cA differs");
    return NULL;
}

static inline bool oracle_time_is(const ASN1_TIME *time, int64_t seconds) {
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) == 1 && (int64_t)timegm(&tm) == seconds;
}

static inline bool oracle_key_is(EVP_PKEY *evp, const pkey_t *key) {
    unsigned char *der = NULL;
    int n = evp ? i2d_PUBKEY(evp, &der) : -1;
    bool same = n > 0 && bytes_eq(pkey_spki(key), bytes_make(der, (size_t)n));
    OPENSSL_free(der);
    return same;
}

static inline bool oracle_id_is(const ASN1_OCTET_STRING *id, bytes_t mine) {
    if (!id) return mine.n == 0;
    return bytes_eq(mine, bytes_make(ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id)));
}

static inline const char *oracle_serial(const ASN1_INTEGER *serial, const cert_t *cert) {
    bytes_t number = bytes_make(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
    while (number.n > 1 && number.p[0] == 0) number = bytes_from(number, 1);
    ORACLE(bytes_eq(number, cert_serial(cert)), "the serial number differs");
    ORACLE((ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER) == (cert_serial_hex(cert)[0] == '-'),
           "the serial number's sign differs");
    return NULL;
}

static inline const char *oracle_cert_fields(X509 *x509, const cert_t *cert) {
    size_t n, sans_n, ekus_n;
    const name_entry_t *entries = cert_subject_entries(cert, &n);
    const char *difference = oracle_serial(X509_get0_serialNumber(x509), cert);
    if (!difference)
        difference = oracle_name(X509_get_subject_name(x509), cert_subject_der(cert),
                                 cert_subject(cert), entries, n);
    if (!difference)
        difference = oracle_name(X509_get_issuer_name(x509), cert_issuer_der(cert),
                                 cert_issuer(cert), NULL, 0);
    if (difference) return difference;
    ORACLE(oracle_time_is(X509_get0_notBefore(x509), cert_not_before(cert)), "notBefore differs");
    ORACLE(oracle_time_is(X509_get0_notAfter(x509), cert_not_after(cert)), "notAfter differs");
    ORACLE(oracle_key_is(X509_get0_pubkey(x509), cert_key(cert)), "the public key differs");
    const san_entry_t *sans = cert_sans(cert, &sans_n);
    const char *const *ekus = cert_ekus(cert, &ekus_n);
    difference = oracle_extensions(X509_get0_extensions(x509), sans, sans_n, ekus, ekus_n,
                                   cert_key_usage(cert), cert_is_ca(cert));
    if (difference) return difference;
    ASN1_OCTET_STRING *skid = X509_get_ext_d2i(x509, NID_subject_key_identifier, NULL, NULL);
    bool same = oracle_id_is(skid, cert_skid(cert));
    ASN1_OCTET_STRING_free(skid);
    ORACLE(same, "the subject key identifier differs");
    AUTHORITY_KEYID *akid = X509_get_ext_d2i(x509, NID_authority_key_identifier, NULL, NULL);
    same = oracle_id_is(akid ? akid->keyid : NULL, cert_akid(cert));
    AUTHORITY_KEYID_free(akid);
    ORACLE(same, "the authority key identifier differs");
    return NULL;
}

/* Of a certificate that cert_parse_der accepted. */
static inline const char *oracle_cert(const cert_t *cert) {
    bytes_t der = cert_der(cert);
    const unsigned char *p = der.p;
    X509 *x509 = d2i_X509(NULL, &p, (long)der.n);
    const char *difference = x509 && p == der.p + der.n
                                 ? oracle_cert_fields(x509, cert)
                                 : "OpenSSL does not accept this certificate";
    X509_free(x509);
    ERR_clear_error();
    return difference;
}

static inline const char *oracle_challenge(X509_REQ *req, bytes_t challenge) {
    int at = X509_REQ_get_attr_by_NID(req, NID_pkcs9_challengePassword, -1);
    if (at < 0) return challenge.n ? "there is no challenge" : NULL;
    const ASN1_TYPE *value = X509_ATTRIBUTE_get0_type(X509_REQ_get_attr(req, at), 0);
    unsigned char *utf8 = NULL;
    int n = value ? ASN1_STRING_to_UTF8(&utf8, value->value.asn1_string) : -1;
    bool same = n >= 0 && bytes_eq(challenge, bytes_make(utf8, (size_t)n));
    if (n >= 0) OPENSSL_free(utf8);
    return same ? NULL : "the challenge differs";
}

static inline const char *oracle_csr_fields(X509_REQ *req, const csr_t *csr) {
    size_t n, sans_n, ekus_n;
    const name_entry_t *entries = csr_subject_entries(csr, &n);
    const char *difference = oracle_name(X509_REQ_get_subject_name(req), csr_subject_der(csr),
                                         csr_subject(csr), entries, n);
    if (!difference) difference = oracle_challenge(req, csr_challenge(csr));
    if (difference) return difference;
    ORACLE(oracle_key_is(X509_REQ_get0_pubkey(req), csr_key(csr)), "the public key differs");
    const san_entry_t *sans = csr_sans(csr, &sans_n);
    const char *const *ekus = csr_ekus(csr, &ekus_n);
    STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
    difference =
        oracle_extensions(list, sans, sans_n, ekus, ekus_n, csr_key_usage(csr), csr_wants_ca(csr));
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    if (difference) return difference;
    err_t *e = csr_verify(csr);
    bool good = !e;
    err_free(e);
    ORACLE(good == (X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1), "possession differs");
    return NULL;
}

/* Of a request that csr_parse_der accepted. */
static inline const char *oracle_csr(const csr_t *csr) {
    bytes_t der = csr_der(csr);
    const unsigned char *p = der.p;
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.n);
    const char *difference = req && p == der.p + der.n ? oracle_csr_fields(req, csr)
                                                       : "OpenSSL does not accept this request";
    X509_REQ_free(req);
    ERR_clear_error();
    return difference;
}

static inline const char *oracle_signed_same(const cms_signed_t *a, const cms_signed_t *b) {
    static const char *const oids[] = {"1.2.840.113549.1.9.3",    "1.2.840.113549.1.9.4",
                                       "1.2.840.113549.1.9.5",    "2.16.840.1.113733.1.9.2",
                                       "2.16.840.1.113733.1.9.5", "2.16.840.1.113733.1.9.7"};
    ORACLE(bytes_eq(cms_signed_content(a), cms_signed_content(b)), "the content differs");
    ORACLE(cert_same(cms_signed_cert(a), cms_signed_cert(b)), "the signer differs");
    ORACLE(cms_signed_certs(a)->n == cms_signed_certs(b)->n, "the certificates differ");
    ORACLE(cms_signed_digest(a) == cms_signed_digest(b), "the digest differs");
    ORACLE(strcmp(cms_signed_content_type(a), cms_signed_content_type(b)) == 0, "the type differs");
    for (size_t i = 0; i < sizeof oids / sizeof *oids; i++) {
        bool found_a = false, found_b = false;
        cms_signed_value_t value_a = {0}, value_b = {0};
        err_t *e = cms_signed_attribute(a, oids[i], &found_a, &value_a);
        err_t *f = cms_signed_attribute(b, oids[i], &found_b, &value_b);
        bool same = !e == !f && found_a == found_b && value_a.tag == value_b.tag &&
                    bytes_eq(value_a.value, value_b.value);
        err_free(e);
        err_free(f);
        ORACLE(same, "a signed attribute differs");
    }
    return NULL;
}

/* The path by hand may only say yes, or no at once, where OpenSSL's does. */
static inline const char *oracle_signed(bytes_t message, const bytes_t *detached,
                                        const cms_verify_options_t *options) {
    cms_signed_t *lean = NULL, *full = NULL;
    err_t *e = cms_verify_lean(message, detached, options, &lean);
    const char *difference = NULL;
    if (lean || e) {
        err_t *f = cms_verify_openssl(message, detached, options, &full);
        if (lean && f) difference = "OpenSSL does not accept this message";
        else if (e && !f) difference = "OpenSSL accepts this message";
        else if (lean) difference = oracle_signed_same(lean, full);
        err_free(f);
    }
    err_free(e);
    cms_signed_free(lean);
    cms_signed_free(full);
    ERR_clear_error();
    return difference;
}

/*
 * An EnvelopedData: what is opened by hand OpenSSL opens to the same content, and what is not it
 * does not. `real`: the content that both shall find or not find; other contents are what a random
 * key makes of the ciphertext, each time another.
 */
static inline const char *oracle_enveloped(bytes_t message, const cert_t *cert, const pkey_t *key,
                                           cms_cipher_t cipher, bytes_t real, bool *ret_opened) {
    buf_t lean, full;
    bool usual = false;
    buf_init_secret(&lean, 65536);
    buf_init_secret(&full, 65536);
    err_t *e = cms_decrypt_lean(message, cert, key, cipher, &lean, &usual);
    err_t *f = usual ? cms_decrypt_openssl(message, cert, key, &full) : NULL;
    bool opened = usual && !e && bytes_eq(buf_bytes(&lean), real);
    bool theirs = usual && !f && bytes_eq(buf_bytes(&full), real);
    err_free(e);
    err_free(f);
    buf_done(&lean);
    buf_done(&full);
    ERR_clear_error();
    *ret_opened = opened;
    return opened == theirs ? NULL : "one opens the envelope, the other does not";
}

#endif
