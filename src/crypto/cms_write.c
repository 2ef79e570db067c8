/*
 * CMS structures written by hand, in DER: see cms_internal.h. RFC 5652 sections 5 and 6. What
 * OpenSSL's CMS_* cost in 3.0 is more than half a signature. Runs in the keeper (SCEP replies,
 * profiles), mailgate and the simulator; any thread.
 */
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cert_internal.h"
#include "crypto/cms_internal.h"
#include "crypto/der_internal.h"
#include "crypto/openssl_internal.h"
#include "crypto/signature_internal.h"

enum { RECIPIENT_ROOM = 1024, ATTRIBUTES_ROOM = 1024, MESSAGE_ROOM = 3072 }; /* bytes, usually */

static const uint8_t oid_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1};
static const uint8_t oid_signed[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2};
/* SEQUENCE { rsaEncryption, NULL }: RFC 3370 sections 3.2 and 4.2.1 */
static const uint8_t rsa_algorithm[] = {0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 1, 1, 1,    5,    0};
static const uint8_t version_1[] = {DER_INTEGER, 1, 1};

err_t *cms_put_certificates(const cert_t *const *certs, size_t n, buf_t *out) {
    bytes_t der[LIMIT_CMS_CERTIFICATES];
    if (n > LIMIT_CMS_CERTIFICATES) return err_new(ERR_LIMIT, "%zu certificates", n);
    for (size_t i = 0; i < n; i++) { /* by insertion: there are few */
        size_t at = i;
        for (; at && der_compare(cert_der(certs[i]), der[at - 1]) < 0; at--) der[at] = der[at - 1];
        der[at] = cert_der(certs[i]);
    }
    size_t start = out->n;
    for (size_t i = 0; i < n; i++) TRY(buf_add(out, der[i]));
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0);
}

err_t *cms_certs_write(const cert_list_t *certs, buf_t *out) {
    static const uint8_t empty_set[] = {DER_SET, 0};
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(version_1)));
    TRY(buf_add(out, BYTES_ARRAY(empty_set))); /* digestAlgorithms */
    TRY(der_put(out, DER_SEQUENCE, BYTES_ARRAY(oid_data)));
    TRY(cms_put_certificates((const cert_t *const *)certs->certs, certs->n, out));
    TRY(buf_add(out, BYTES_ARRAY(empty_set))); /* signerInfos */
    return cms_wrap(out, start, BYTES_ARRAY(oid_signed));
}

err_t *cms_crl_only(bytes_t crl, buf_t *out) {
    static const uint8_t empty_set[] = {DER_SET, 0};
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(version_1)));
    TRY(buf_add(out, BYTES_ARRAY(empty_set))); /* digestAlgorithms */
    TRY(der_put(out, DER_SEQUENCE, BYTES_ARRAY(oid_data)));
    TRY(der_put(out, DER_CONTEXT_CONSTRUCTED | 1, crl));
    TRY(buf_add(out, BYTES_ARRAY(empty_set))); /* signerInfos */
    return cms_wrap(out, start, BYTES_ARRAY(oid_signed));
}

err_t *cms_wrap(buf_t *out, size_t start, bytes_t type) {
    TRY(der_enclose(out, start, DER_SEQUENCE));
    TRY(der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0));
    TRY(der_insert(out, start, type));
    return der_enclose(out, start, DER_SEQUENCE);
}

/* ---- EnvelopedData ---- */

enum { CONTENT_KEY_MAX = 32, CONTENT_IV_MAX = 16, CONTENT_BLOCK_MAX = 16 };

/* The content-encryption key and IV while a message is written. */
typedef struct {
    uint8_t key[CONTENT_KEY_MAX];
    size_t key_n;
    uint8_t iv[CONTENT_IV_MAX];
    size_t iv_n;
} content_key_t;

static void content_key_done_p(content_key_t *k) { mem_wipe(k, sizeof *k); }

err_t *cms_put_issuer_serial(buf_t *out, const cert_t *cert) {
    size_t start = out->n;
    TRY(buf_add(out, cert_issuer_der(cert)));
    TRY(der_put(out, DER_INTEGER, cert_serial_content(cert)));
    return der_enclose(out, start, DER_SEQUENCE);
}

/* A fresh key and IV; DES keys have odd parity in every octet (FIPS 46-3). */
static err_t *content_key_fill(content_key_t *k, cms_cipher_t kind) {
    k->key_n = (size_t)EVP_CIPHER_get_key_length(cms_cipher_evp(kind));
    k->iv_n = (size_t)EVP_CIPHER_get_iv_length(cms_cipher_evp(kind));
    if (RAND_priv_bytes(k->key, (int)k->key_n) != 1 || RAND_bytes(k->iv, (int)k->iv_n) != 1)
        return err_openssl(ERR_INTERNAL, "random content key");
    for (size_t i = 0; kind == CMS_DES3_CBC && i < k->key_n; i++)
        if (!__builtin_parity(k->key[i])) k->key[i] ^= 1;
    return NULL;
}

static err_t *wrap_key(const content_key_t *k, const cert_t *cert, buf_t *out) {
    uint8_t wrapped[LIMIT_RSA_BITS_MAX / 8];
    size_t n = sizeof wrapped;
    EVP_PKEY_CTX *context CLEANUP(EVP_PKEY_CTX_free) =
        EVP_PKEY_CTX_new_from_pkey(NULL, pkey_evp(cert_key(cert)), NULL);
    if (!context || EVP_PKEY_encrypt_init(context) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) != 1 ||
        EVP_PKEY_encrypt(context, wrapped, &n, k->key, k->key_n) != 1)
        return err_openssl(ERR_INTERNAL, "recipient %s", cert_serial_hex(cert));
    return der_put(out, DER_OCTET_STRING, bytes_make(wrapped, n));
}

/* KeyTransRecipientInfo ::= SEQUENCE { version 0, rid, keyEncryptionAlgorithm, encryptedKey } */
static err_t *put_recipient(const content_key_t *k, const cert_t *cert, buf_t *out) {
    static const uint8_t version_0[] = {DER_INTEGER, 1, 0};
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(version_0)));
    TRY(cms_put_issuer_serial(out, cert));
    TRY(buf_add(out, BYTES_ARRAY(rsa_algorithm)));
    TRY(wrap_key(k, cert, out));
    return der_enclose(out, start, DER_SEQUENCE);
}

/* [0] IMPLICIT OCTET STRING */
static err_t *put_ciphertext(const content_key_t *k, const EVP_CIPHER *cipher, bytes_t content,
                             buf_t *out) {
    size_t start = out->n;
    int n = 0, tail = 0;
    TRY(buf_reserve(out, content.n + CONTENT_BLOCK_MAX));
    EVP_CIPHER_CTX *context CLEANUP(EVP_CIPHER_CTX_free) = EVP_CIPHER_CTX_new();
    if (!context) return err_nomem();
    const uint8_t *p = content.n ? content.p : (const uint8_t *)"";
    if (EVP_EncryptInit_ex(context, cipher, NULL, k->key, k->iv) != 1 ||
        EVP_EncryptUpdate(context, out->p + start, &n, p, (int)content.n) != 1 ||
        EVP_EncryptFinal_ex(context, out->p + start + n, &tail) != 1)
        return err_openssl(ERR_INTERNAL, "encrypting");
    out->n += (size_t)n + (size_t)tail;
    return der_enclose(out, start, DER_CONTEXT | 0);
}

/* EncryptedContentInfo ::= SEQUENCE { id-data, { cipher, IV }, [0] ciphertext } */
static err_t *put_content(const content_key_t *k, cms_cipher_t kind, bytes_t content, buf_t *out) {
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(oid_data)));
    size_t algorithm = out->n;
    TRY(der_put(out, DER_OID, cms_cipher_oid(kind)));
    TRY(der_put(out, DER_OCTET_STRING, bytes_make(k->iv, k->iv_n)));
    TRY(der_enclose(out, algorithm, DER_SEQUENCE));
    TRY(put_ciphertext(k, cms_cipher_evp(kind), content, out));
    return der_enclose(out, start, DER_SEQUENCE);
}

err_t *cms_envelope_write(bytes_t content, const cert_list_t *recipients, cms_cipher_t kind,
                          buf_t *out) {
    static const uint8_t oid_enveloped[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                            0xf7, 0x0d, 1,    7,    3};
    static const uint8_t version_0[] = {DER_INTEGER, 1, 0};
    CLEANUP(content_key_done) content_key_t k = {0};
    TRY(content_key_fill(&k, kind));
    size_t start = out->n;
    TRY(buf_reserve(out, content.n + recipients->n * RECIPIENT_ROOM));
    TRY(buf_add(out, BYTES_ARRAY(version_0)));
    size_t set = out->n;
    for (size_t i = 0; i < recipients->n; i++) TRY(put_recipient(&k, recipients->certs[i], out));
    TRY(der_enclose(out, set, DER_SET));
    TRY(put_content(&k, kind, content, out));
    return cms_wrap(out, start, BYTES_ARRAY(oid_enveloped));
}

/* ---- SignedData ---- */

typedef struct {
    bytes_t der[CMS_LEAN_ATTRIBUTES]; /* ascending; inside the buffer given to sort_attributes */
    size_t n;
} sorted_t;

static int value_tag(cms_value_kind_t kind) {
    switch (kind) {
    case CMS_PRINTABLE_STRING: return DER_PRINTABLE;
    case CMS_UTF8_STRING: return DER_UTF8;
    case CMS_OCTET_STRING: return DER_OCTET_STRING;
    case CMS_SEQUENCE: return DER_SEQUENCE;
    }
    return DER_OCTET_STRING;
}

static void openssl_object_free_p(ASN1_OBJECT **p) { ASN1_OBJECT_free(*p); }

/* Attribute ::= SEQUENCE { type, SET { value } }; what stands behind start is the value. */
static err_t *attribute_close(buf_t *out, size_t start, bytes_t oid_whole) {
    TRY(der_enclose(out, start, DER_SET));
    TRY(der_insert(out, start, oid_whole));
    return der_enclose(out, start, DER_SEQUENCE);
}

static err_t *put_attribute(const cms_attribute_t *attribute, buf_t *out) {
    ASN1_OBJECT *object CLEANUP(openssl_object_free) = OBJ_txt2obj(attribute->oid, 1);
    if (!object) return err_openssl(ERR_USAGE, "signed attribute %s", attribute->oid);
    if (attribute->value.n > LIMIT_CMS_BYTES)
        return err_new(ERR_LIMIT, "signed attribute %s is too long", attribute->oid);
    buf_t oid CLEANUP(buf_done);
    buf_init(&oid, CMS_OID_TEXT);
    TRY(der_put(&oid, DER_OID, bytes_make(OBJ_get0_data(object), OBJ_length(object))));
    size_t start = out->n;
    if (attribute->kind == CMS_SEQUENCE) TRY(buf_add(out, attribute->value));
    else TRY(der_put(out, (uint8_t)value_tag(attribute->kind), attribute->value));
    return attribute_close(out, start, buf_bytes(&oid));
}

/* contentType, signingTime, messageDigest (RFC 5652 section 11), then the caller's own. */
static err_t *put_attributes(const cms_sign_options_t *options, bytes_t content,
                             const bytes_t *given, buf_t *out) {
    static const uint8_t oid_type[] = {6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3};
    static const uint8_t oid_digest[] = {6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4};
    static const uint8_t oid_time[] = {6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 5};
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(oid_data)));
    TRY(attribute_close(out, start, BYTES_ARRAY(oid_type)));
    start = out->n;
    TRY(der_put_time(out, options->signing_time ? options->signing_time : (int64_t)time(NULL)));
    TRY(attribute_close(out, start, BYTES_ARRAY(oid_time)));
    if (!given &&
        EVP_Digest(content.p, content.n, hash, &n, cms_digest_md(options->digest), NULL) != 1)
        return err_openssl(ERR_INTERNAL, "digest");
    start = out->n;
    TRY(der_put(out, DER_OCTET_STRING, given ? *given : bytes_make(hash, n)));
    TRY(attribute_close(out, start, BYTES_ARRAY(oid_digest)));
    for (size_t i = 0; i < options->attributes_n; i++)
        TRY(put_attribute(&options->attributes[i], out));
    return NULL;
}

/* Appends the attributes as SET OF, in its order. */
static err_t *put_sorted(bytes_t attributes, buf_t *out) {
    sorted_t sorted = {.n = 0};
    bytes_t whole;
    while (der_take_whole(&attributes, DER_SEQUENCE, &whole)) {
        if (sorted.n == CMS_LEAN_ATTRIBUTES) return err_new(ERR_LIMIT, "too many attributes");
        size_t at = sorted.n++;
        for (; at && der_compare(whole, sorted.der[at - 1]) < 0; at--)
            sorted.der[at] = sorted.der[at - 1];
        sorted.der[at] = whole;
    }
    size_t start = out->n;
    for (size_t i = 0; i < sorted.n; i++) TRY(buf_add(out, sorted.der[i]));
    return der_enclose(out, start, DER_SET);
}

bytes_t cms_digest_algorithm(cms_digest_t digest) {
    static const uint8_t sha2[][13] = {
        {0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1},
        {0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2},
        {0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3},
    };
    static const uint8_t sha1[] = {0x30, 0x07, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a};
    switch (digest) {
    case CMS_DIGEST_SHA256: return BYTES_ARRAY(sha2[0]);
    case CMS_DIGEST_SHA384: return BYTES_ARRAY(sha2[1]);
    case CMS_DIGEST_SHA512: return BYTES_ARRAY(sha2[2]);
    case CMS_DIGEST_SHA1: return BYTES_ARRAY(sha1);
    case CMS_DIGEST_MD5:
    case CMS_DIGEST_OTHER: break;
    }
    return BYTES_ARRAY(sha2[0]);
}

/* SignerInfo, RFC 5652 section 5.3 */
err_t *cms_put_signer(const cms_signing_t *by, bytes_t content, const bytes_t *hash,
                      const cms_sign_options_t *options, buf_t *out) {
    buf_t attributes CLEANUP(buf_done);
    buf_t set CLEANUP(buf_done);
    buf_t signature CLEANUP(buf_done);
    buf_init(&attributes, LIMIT_CMS_BYTES);
    buf_init(&set, LIMIT_CMS_BYTES);
    buf_init(&signature, LIMIT_RSA_BITS_MAX / 8);
    TRY(buf_reserve(&attributes, ATTRIBUTES_ROOM));
    TRY(buf_reserve(&set, ATTRIBUTES_ROOM));
    TRY(put_attributes(options, content, hash, &attributes));
    TRY(put_sorted(buf_bytes(&attributes), &set));
    TRY(signature_make(by->key, cms_digest_md(options->digest), buf_bytes(&set), &signature));
    set.p[0] = DER_CONTEXT_CONSTRUCTED | 0; /* signed as a SET OF, sent as [0] (section 5.4) */
    bytes_t algorithm = BYTES_ARRAY(rsa_algorithm);
    if (pkey_kind(cert_key(by->cert)) != PKEY_RSA)
        TRY(signature_ec_algorithm(cms_digest_md(options->digest), &algorithm));
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(version_1)));
    TRY(cms_put_issuer_serial(out, by->cert));
    TRY(buf_add(out, cms_digest_algorithm(options->digest)));
    TRY(buf_add(out, buf_bytes(&set)));
    TRY(buf_add(out, algorithm));
    TRY(der_put(out, DER_OCTET_STRING, buf_bytes(&signature)));
    return der_enclose(out, start, DER_SEQUENCE);
}

/* EncapsulatedContentInfo ::= SEQUENCE { id-data, [0] EXPLICIT OCTET STRING OPTIONAL } */
static err_t *put_encap(bytes_t content, bool detached, buf_t *out) {
    size_t start = out->n;
    if (!detached) {
        TRY(der_put(out, DER_OCTET_STRING, content));
        TRY(der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0));
    }
    TRY(der_insert(out, start, BYTES_ARRAY(oid_data)));
    return der_enclose(out, start, DER_SEQUENCE);
}

err_t *cms_signed_write(const cms_signing_t *by, bytes_t content, const bytes_t *hash,
                        const cms_sign_options_t *options, buf_t *out) {
    const cert_t *certs[LIMIT_CMS_CERTIFICATES] = {by->cert};
    size_t start = out->n;
    TRY(buf_reserve(out, (options->detached ? 0 : content.n) + MESSAGE_ROOM));
    TRY(buf_add(out, BYTES_ARRAY(version_1)));
    TRY(der_put(out, DER_SET, cms_digest_algorithm(options->digest)));
    TRY(put_encap(content, options->detached, out));
    if (!options->no_certificates) {
        if (by->extra->n >= LIMIT_CMS_CERTIFICATES) return err_new(ERR_LIMIT, "certificates");
        for (size_t i = 0; i < by->extra->n; i++) certs[i + 1] = by->extra->certs[i];
        TRY(cms_put_certificates(certs, by->extra->n + 1, out));
    }
    size_t set = out->n;
    TRY(cms_put_signer(by, content, hash, options, out));
    TRY(der_enclose(out, set, DER_SET));
    return cms_wrap(out, start, BYTES_ARRAY(oid_signed));
}
