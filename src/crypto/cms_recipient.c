/*
 * recipientInfos: see cms_recipient_internal.h. KeyTransRecipientInfo with RSA,
 * KeyAgreeRecipientInfo with an ephemeral EC key (RFC 5753 section 3.1). BER as it comes. Any
 * thread.
 */
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/ber_internal.h"
#include "crypto/cms_internal.h"
#include "crypto/cms_recipient_internal.h"
#include "crypto/cms_unwrap.h"
#include "crypto/der_internal.h"
#include "crypto/openssl_internal.h"

DEFINE_CLEANUP(EVP_KDF, EVP_KDF_free)
DEFINE_CLEANUP(EVP_KDF_CTX, EVP_KDF_CTX_free)

/* The same, with its identifier and length. */
static err_t *expect_whole(bytes_t *rest, uint8_t tag, bytes_t *ret_whole) {
    bytes_t before = *rest, content;
    TRY(ber_expect(rest, tag, &content));
    *ret_whole = bytes_make(before.p, before.n - rest->n);
    return NULL;
}

static bytes_t magnitude(bytes_t integer) {
    while (integer.n && !integer.p[0]) integer = bytes_from(integer, 1);
    return integer;
}

/* IssuerAndSerialNumber's content octets. */
static err_t *issuer_serial(bytes_t content, cms_recipient_t *name) {
    bytes_t serial;
    TRY(expect_whole(&content, DER_SEQUENCE, &name->issuer));
    TRY(ber_expect(&content, DER_INTEGER, &serial));
    name->serial = magnitude(serial);
    return NULL;
}

static bool same_oid(bytes_t oid, const char *octets, size_t n) {
    return bytes_eq(oid, bytes_make(octets, n));
}
#define IS_OID(oid, literal) same_oid(oid, literal, sizeof(literal) - 1)
#define PKCS1                "\x2a\x86\x48\x86\xf7\x0d\x01\x01"

static cms_transport_t transport_of(bytes_t algorithm) {
    bytes_t oid;
    if (!der_take(&algorithm, DER_OID, &oid)) return CMS_TRANSPORT_OTHER;
    if (IS_OID(oid, PKCS1 "\x01")) return CMS_TRANSPORT_RSA;
    if (IS_OID(oid, PKCS1 "\x07")) return CMS_TRANSPORT_RSA_OAEP;
    return CMS_TRANSPORT_OTHER;
}

typedef struct {
    err_t *(*each)(void *arg, const cms_recipient_info_t *info);
    void *arg;
    size_t n;
} walk_t;

static err_t *give(walk_t *w, const cms_recipient_info_t *info) {
    if (++w->n > LIMIT_MAIL_RECIPIENTS)
        return err_new(ERR_LIMIT, "more than %d recipients", LIMIT_MAIL_RECIPIENTS);
    return w->each(w->arg, info);
}

/* { version, rid, keyEncryptionAlgorithm, encryptedKey } */
static err_t *transport(bytes_t body, walk_t *w) {
    cms_recipient_info_t info = {0};
    bytes_t version, rid;
    uint8_t tag;
    TRY(ber_expect(&body, DER_INTEGER, &version));
    TRY(ber_next(&body, &tag, &rid));
    if (tag == DER_SEQUENCE) TRY(issuer_serial(rid, &info.name));
    else if (tag == (DER_CONTEXT | 0)) info.name.key_id = rid;
    else return err_new(ERR_INVALID, "RFC 5652 section 6.2.1: recipient is not named");
    TRY(ber_expect(&body, DER_SEQUENCE, &info.algorithm));
    TRY(ber_expect(&body, DER_OCTET_STRING, &info.encrypted));
    info.name.transport = transport_of(info.algorithm);
    return give(w, &info);
}

/* OriginatorPublicKey { algorithm, publicKey BIT STRING } behind [1]; others aren't ephemeral. */
static err_t *originator(bytes_t choice, cms_recipient_info_t *info) {
    bytes_t algorithm, bits;
    uint8_t tag;
    bytes_t key;
    TRY(ber_next(&choice, &tag, &key));
    if (tag != (DER_CONTEXT_CONSTRUCTED | 1)) return NULL;
    TRY(ber_expect(&key, DER_SEQUENCE, &algorithm));
    TRY(ber_expect(&key, DER_BIT_STRING, &bits));
    if (bits.n < 2 || bits.p[0] != 0)
        return err_new(ERR_INVALID, "RFC 5753 section 3.1.1: originator's key");
    info->originator = bytes_from(bits, 1);
    return NULL;
}

/* RecipientEncryptedKeys: SEQUENCE OF { rid, encryptedKey }. */
static err_t *agreement_keys(bytes_t keys, cms_recipient_info_t *info, walk_t *w) {
    while (keys.n) {
        bytes_t one, rid, id;
        uint8_t tag;
        TRY(ber_expect(&keys, DER_SEQUENCE, &one));
        TRY(ber_next(&one, &tag, &rid));
        info->name.issuer = info->name.serial = info->name.key_id = BYTES_NONE;
        if (tag == DER_SEQUENCE) TRY(issuer_serial(rid, &info->name));
        else if (tag == (DER_CONTEXT_CONSTRUCTED | 0)) {
            TRY(ber_expect(&rid, DER_OCTET_STRING, &id));
            info->name.key_id = id;
        } else return err_new(ERR_INVALID, "RFC 5652 section 6.2.2: recipient is not named");
        TRY(ber_expect(&one, DER_OCTET_STRING, &info->encrypted));
        TRY(give(w, info));
    }
    return NULL;
}

/* [1] { version, originator [0], ukm [1] OPTIONAL, keyEncryptionAlgorithm, keys } */
static err_t *agreement(bytes_t body, walk_t *w) {
    cms_recipient_info_t info = {.name.transport = CMS_TRANSPORT_ECDH};
    bytes_t version, choice, keys, member;
    uint8_t tag;
    TRY(ber_expect(&body, DER_INTEGER, &version));
    TRY(ber_expect(&body, DER_CONTEXT_CONSTRUCTED | 0, &choice));
    TRY(originator(choice, &info));
    TRY(ber_next(&body, &tag, &member));
    if (tag == (DER_CONTEXT_CONSTRUCTED | 1)) {
        TRY(ber_expect(&member, DER_OCTET_STRING, &info.ukm));
        info.has_ukm = true;
        TRY(ber_next(&body, &tag, &member));
    }
    if (tag != DER_SEQUENCE) return err_new(ERR_INVALID, "RFC 5652 section 6.2.2: no algorithm");
    info.algorithm = member;
    TRY(ber_expect(&body, DER_SEQUENCE, &keys));
    return agreement_keys(keys, &info, w);
}

err_t *cms_recipient_each(bytes_t set, err_t *(*each)(void *arg, const cms_recipient_info_t *info),
                          void *arg) {
    walk_t w = {each, arg, 0};
    while (set.n) {
        bytes_t body;
        uint8_t tag;
        TRY(ber_next(&set, &tag, &body));
        if (tag == DER_SEQUENCE) {
            TRY(transport(body, &w));
        } else if (tag == (DER_CONTEXT_CONSTRUCTED | 1)) {
            TRY(agreement(body, &w));
        } else {
            const cms_recipient_info_t other = {.name.transport = CMS_TRANSPORT_OTHER};
            TRY(give(&w, &other));
        }
    }
    return NULL;
}

bool cms_recipient_is(const cms_recipient_t *r, const cert_t *cert) {
    if (r->transport == CMS_TRANSPORT_OTHER) return false;
    bool rsa = pkey_kind(cert_key(cert)) == PKEY_RSA;
    if (rsa != (r->transport != CMS_TRANSPORT_ECDH)) return false;
    if (r->key_id.n) return bytes_eq(r->key_id, cert_skid(cert));
    return r->issuer.n && cert_is_issuer_serial(cert, r->issuer, r->serial);
}

/* ---- RSA ---- */

/* Hash named by an AlgorithmIdentifier's content octets. */
static const EVP_MD *digest_of(bytes_t algorithm) {
    bytes_t oid;
    if (!der_take(&algorithm, DER_OID, &oid)) return NULL;
    if (IS_OID(oid, "\x2b\x0e\x03\x02\x1a")) return EVP_sha1();
    if (IS_OID(oid, "\x60\x86\x48\x01\x65\x03\x04\x02\x01")) return EVP_sha256();
    if (IS_OID(oid, "\x60\x86\x48\x01\x65\x03\x04\x02\x02")) return EVP_sha384();
    if (IS_OID(oid, "\x60\x86\x48\x01\x65\x03\x04\x02\x03")) return EVP_sha512();
    return NULL;
}

/* RSAES-OAEP-params (RFC 4055 section 4.1): hash, MGF1's hash; a label isn't used by anybody. */
static bool oaep_digests(bytes_t algorithm, const EVP_MD **ret_md, const EVP_MD **ret_mgf1) {
    bytes_t oid, params, tagged, inner;
    *ret_md = *ret_mgf1 = EVP_sha1();
    if (!der_take(&algorithm, DER_OID, &oid)) return false;
    if (!algorithm.n || der_at(algorithm, DER_NULL)) return true;
    if (!der_take(&algorithm, DER_SEQUENCE, &params)) return false;
    if (der_take(&params, DER_CONTEXT_CONSTRUCTED | 0, &tagged)) {
        if (!der_take(&tagged, DER_SEQUENCE, &inner) || !(*ret_md = digest_of(inner))) return false;
    }
    if (der_take(&params, DER_CONTEXT_CONSTRUCTED | 1, &tagged)) {
        if (!der_take(&tagged, DER_SEQUENCE, &inner) || !der_take(&inner, DER_OID, &oid) ||
            !IS_OID(oid, PKCS1 "\x08") || !der_take(&inner, DER_SEQUENCE, &tagged) ||
            !(*ret_mgf1 = digest_of(tagged)))
            return false;
    }
    return params.n == 0;
}

static err_t *unwrap_oaep(const cms_recipient_info_t *info, const pkey_t *key, uint8_t *out,
                          size_t n) {
    uint8_t plain[LIMIT_RSA_BITS_MAX / 8];
    size_t plain_n = sizeof plain;
    const EVP_MD *md = NULL, *mgf1 = NULL;
    EVP_PKEY_CTX *ctx CLEANUP(EVP_PKEY_CTX_free) = EVP_PKEY_CTX_new(pkey_evp(key), NULL);
    if (!ctx || !oaep_digests(info->algorithm, &md, &mgf1) || EVP_PKEY_decrypt_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) != 1 || EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf1) != 1)
        return err_openssl(ERR_VERIFY, "RSAES-OAEP");
    int ok = EVP_PKEY_decrypt(ctx, plain, &plain_n, info->encrypted.p, info->encrypted.n);
    bool good = ok == 1 && plain_n == n;
    if (good) memcpy(out, plain, n);
    mem_wipe(plain, sizeof plain);
    return good ? NULL : err_openssl(ERR_VERIFY, "RSAES-OAEP");
}

/* ---- ECDH ---- */

/* dhSinglePass-stdDH and cofactor DH (the same on our curves) with X9.63: the KDF's hash. */
static const EVP_MD *agreement_digest(bytes_t oid) {
    if (IS_OID(oid, "\x2b\x81\x05\x10\x86\x48\x3f\x00\x02") ||
        IS_OID(oid, "\x2b\x81\x05\x10\x86\x48\x3f\x00\x03"))
        return EVP_sha1();
    static const char std[] = "\x2b\x81\x04\x01\x0b", cofactor[] = "\x2b\x81\x04\x01\x0e";
    if (oid.n != sizeof std || (memcmp(oid.p, std, 5) != 0 && memcmp(oid.p, cofactor, 5) != 0))
        return NULL;
    switch (oid.p[5]) {
    case 0: return EVP_sha224();
    case 1: return EVP_sha256();
    case 2: return EVP_sha384();
    case 3: return EVP_sha512();
    }
    return NULL;
}

static const EVP_CIPHER *wrap_cipher(bytes_t algorithm) {
    bytes_t oid;
    if (!der_take(&algorithm, DER_OID, &oid)) return NULL;
#define AES "\x60\x86\x48\x01\x65\x03\x04\x01"
    if (IS_OID(oid, AES "\x05")) return EVP_aes_128_wrap();
    if (IS_OID(oid, AES "\x19")) return EVP_aes_192_wrap();
    if (IS_OID(oid, AES "\x2d")) return EVP_aes_256_wrap();
    /* id-alg-CMS3DESwrap (RFC 3217), what goes with a 3DES content cipher */
    if (IS_OID(oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03\x06")) return EVP_des_ede3_wrap();
    return NULL;
}

static err_t *agree(const pkey_t *key, bytes_t point, uint8_t *out, size_t *n) {
    EVP_PKEY *peer CLEANUP(EVP_PKEY_free) = EVP_PKEY_new();
    EVP_PKEY_CTX *ctx CLEANUP(EVP_PKEY_CTX_free) = EVP_PKEY_CTX_new(pkey_evp(key), NULL);
    if (!peer || !ctx || EVP_PKEY_copy_parameters(peer, pkey_evp(key)) != 1 ||
        EVP_PKEY_set1_encoded_public_key(peer, point.p, point.n) != 1 ||
        EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
        EVP_PKEY_derive(ctx, out, n) != 1)
        return err_openssl(ERR_VERIFY, "ECDH");
    return NULL;
}

/* ECC-CMS-SharedInfo (RFC 5753 section 7.2). */
static err_t *shared_info(const cms_recipient_info_t *info, bytes_t wrap_whole, size_t key_n,
                          buf_t *out) {
    uint8_t bits[4] = {0, 0, (uint8_t)(key_n * 8 >> 8), (uint8_t)(key_n * 8)};
    CLEANUP(buf_done) buf_t ukm, supp;
    buf_init(&ukm, LIMIT_CMS_REST);
    buf_init(&supp, 16);
    TRY(buf_add(out, wrap_whole));
    if (info->has_ukm) {
        TRY(der_put(&ukm, DER_OCTET_STRING, info->ukm));
        TRY(der_put(out, DER_CONTEXT_CONSTRUCTED | 0, buf_bytes(&ukm)));
    }
    TRY(der_put(&supp, DER_OCTET_STRING, BYTES_ARRAY(bits)));
    TRY(der_put(out, DER_CONTEXT_CONSTRUCTED | 2, buf_bytes(&supp)));
    return der_enclose(out, 0, DER_SEQUENCE);
}

static err_t *derive(const EVP_MD *md, bytes_t secret, bytes_t info, uint8_t *out, size_t n) {
    EVP_KDF *kdf CLEANUP(EVP_KDF_free) = EVP_KDF_fetch(NULL, "X963KDF", NULL);
    EVP_KDF_CTX *ctx CLEANUP(EVP_KDF_CTX_free) = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                         (char *)(uintptr_t)EVP_MD_get0_name(md), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.p,
                                          secret.n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.p, info.n),
        OSSL_PARAM_construct_end(),
    };
    if (!ctx || EVP_KDF_derive(ctx, out, n, params) != 1)
        return err_openssl(ERR_VERIFY, "X9.63 key derivation");
    return NULL;
}

static err_t *key_unwrap(const EVP_CIPHER *cipher, const uint8_t *kek, bytes_t wrapped,
                         uint8_t *out, size_t n) {
    uint8_t plain[80];
    int plain_n = 0, last = 0;
    size_t more = EVP_CIPHER_get_nid(cipher) == NID_id_smime_alg_CMS3DESwrap ? 16 : 8;
    if (wrapped.n != n + more || wrapped.n > sizeof plain)
        return err_new(ERR_VERIFY, "wrapped key of another length");
    EVP_CIPHER_CTX *ctx CLEANUP(EVP_CIPHER_CTX_free) = EVP_CIPHER_CTX_new();
    if (!ctx) return err_nomem();
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool good = EVP_DecryptInit_ex(ctx, cipher, NULL, kek, NULL) == 1 &&
                EVP_DecryptUpdate(ctx, plain, &plain_n, wrapped.p, (int)wrapped.n) == 1 &&
                EVP_DecryptFinal_ex(ctx, plain + plain_n, &last) == 1 && (size_t)plain_n == n;
    if (good) memcpy(out, plain, n);
    mem_wipe(plain, sizeof plain);
    return good ? NULL : err_openssl(ERR_VERIFY, "AES key unwrap");
}

static err_t *unwrap_ecdh(const cms_recipient_info_t *info, const pkey_t *key, uint8_t *out,
                          size_t n) {
    bytes_t algorithm = info->algorithm, oid, wrap, wrap_whole;
    if (!info->originator.n || !der_take(&algorithm, DER_OID, &oid) ||
        !der_take_whole(&algorithm, DER_SEQUENCE, &wrap_whole))
        return err_new(ERR_VERIFY, "RFC 5753 section 3.1.1: key agreement algorithm");
    bytes_t inside = wrap_whole;
    const EVP_MD *md = agreement_digest(oid);
    const EVP_CIPHER *cipher = der_take(&inside, DER_SEQUENCE, &wrap) ? wrap_cipher(wrap) : NULL;
    if (!md || !cipher) return err_new(ERR_VERIFY, "key agreement that is not known");
    uint8_t secret[66], kek[32];
    size_t secret_n = sizeof secret, kek_n = (size_t)EVP_CIPHER_get_key_length(cipher);
    CLEANUP(buf_done) buf_t shared;
    buf_init(&shared, LIMIT_CMS_REST);
    err_t *e = shared_info(info, wrap_whole, kek_n, &shared);
    if (!e) e = agree(key, info->originator, secret, &secret_n);
    if (!e) e = derive(md, bytes_make(secret, secret_n), buf_bytes(&shared), kek, kek_n);
    if (!e) e = key_unwrap(cipher, kek, info->encrypted, out, n);
    mem_wipe(secret, sizeof secret);
    mem_wipe(kek, sizeof kek);
    return e;
}

err_t *cms_recipient_unwrap(const cms_recipient_info_t *info, const pkey_t *key, uint8_t *out,
                            size_t n) {
    switch (info->name.transport) {
    case CMS_TRANSPORT_RSA:
        if (info->encrypted.n > LIMIT_RSA_BITS_MAX / 8) break;
        return cms_unwrap_pkcs1(info->encrypted, key, out, n);
    case CMS_TRANSPORT_RSA_OAEP: return unwrap_oaep(info, key, out, n);
    case CMS_TRANSPORT_ECDH: return unwrap_ecdh(info, key, out, n);
    case CMS_TRANSPORT_OTHER: break;
    }
    return err_new(ERR_VERIFY, "content key in a way that is not read here");
}

err_t *cms_unwrap(const cms_wrapped_t *wrapped, const pkey_t *key, const rnd_t *rnd,
                  uint8_t *ret_key, size_t n) {
    const cms_recipient_info_t info = {.name.transport = wrapped->transport,
                                       .algorithm = wrapped->algorithm,
                                       .encrypted = wrapped->encrypted,
                                       .originator = wrapped->originator,
                                       .ukm = wrapped->ukm,
                                       .has_ukm = wrapped->has_ukm};
    bool rsa = pkey_kind(key) == PKEY_RSA;
    if ((n != 16 && n != 24 && n != 32) || rsa != (wrapped->transport != CMS_TRANSPORT_ECDH))
        return err_new(ERR_VERIFY, "a content key that this key can't have wrapped");
    TRY(rnd_fill(rnd, ret_key, n));
    err_t *e = cms_recipient_unwrap(&info, key, ret_key, n);
    return e && err_code(e) != ERR_NOMEM ? err_recode(e, ERR_VERIFY) : e;
}
