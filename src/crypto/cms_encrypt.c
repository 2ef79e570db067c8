/*
 * EnvelopedData and AuthEnvelopedData, both ways: see cms.h. RFC 5652 section 6, RFC 5083,
 * RFC 5753 for EC keys, RFC 3560 for OAEP. Runs in the keeper (which holds the keys), in mailgate
 * for encrypting, and in the simulator; any thread.
 */
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/ber_internal.h"
#include "crypto/cert_internal.h"
#include "crypto/cms_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

const EVP_CIPHER *cms_cipher_evp(cms_cipher_t cipher) {
    switch (cipher) {
    case CMS_AES256_CBC: return EVP_aes_256_cbc();
    case CMS_AES128_CBC: return EVP_aes_128_cbc();
    case CMS_DES3_CBC: return EVP_des_ede3_cbc();
    case CMS_AES256_GCM: return EVP_aes_256_gcm();
    }
    return EVP_aes_256_cbc();
}

static err_t *use_oaep(CMS_RecipientInfo *info) {
    EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(info);
    if (!context || EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) <= 0 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) <= 0 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) <= 0)
        return err_openssl(ERR_INTERNAL, "RSAES-OAEP");
    return NULL;
}

static err_t *use_sha256_kdf(CMS_RecipientInfo *info) {
    EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(info);
    if (!context || EVP_PKEY_CTX_set_ecdh_kdf_md(context, EVP_sha256()) <= 0)
        return err_openssl(ERR_INTERNAL, "ECDH key derivation");
    return NULL;
}

static err_t *add_recipient(CMS_ContentInfo *cms, const cert_t *cert, bool oaep) {
    pkey_kind_t kind = pkey_kind(cert_key(cert));
    bool is_rsa = kind == PKEY_RSA;
    if (!is_rsa && kind != PKEY_P256 && kind != PKEY_P384)
        return err_new(ERR_USAGE, "certificate %s can't receive: its key is of kind %s",
                       cert_serial_hex(cert), pkey_kind_name(kind));
    unsigned flags = is_rsa && !oaep ? 0 : CMS_KEY_PARAM;
    X509 *x509;
    TRY(cert_x509_get(cert, &x509));
    CMS_RecipientInfo *info = CMS_add1_recipient_cert(cms, x509, flags);
    if (!info) return err_openssl(ERR_INTERNAL, "recipient %s", cert_serial_hex(cert));
    if (!is_rsa) return use_sha256_kdf(info);
    return oaep ? use_oaep(info) : NULL;
}

/* What cms_envelope_write writes; the rest is OpenSSL's. */
static bool is_plain(const cert_list_t *recipients, const cms_encrypt_options_t *options) {
    if (options->oaep || options->indefinite || options->cipher == CMS_AES256_GCM) return false;
    for (size_t i = 0; i < recipients->n; i++) {
        const cert_t *cert = recipients->certs[i];
        if (pkey_kind(cert_key(cert)) != PKEY_RSA || cert_serial_hex(cert)[0] == '-') return false;
    }
    return true;
}

err_t *cms_encrypt(bytes_t content, const cert_list_t *recipients,
                   const cms_encrypt_options_t *options, buf_t *out) {
    static const cms_encrypt_options_t defaults = {0};
    if (!options) options = &defaults;
    if (content.n > LIMIT_CMS_BYTES) return err_new(ERR_LIMIT, "content of %zu bytes", content.n);
    if (!recipients->n || recipients->n > LIMIT_CMS_RECIPIENTS)
        return err_new(ERR_LIMIT, "%zu recipients", recipients->n);
    if (is_plain(recipients, options)) {
        size_t before = out->n;
        err_t *e = cms_envelope_write(content, recipients, options->cipher, out);
        if (e) out->n = before;
        return e;
    }
    unsigned flags = CMS_BINARY | (options->indefinite ? (unsigned)CMS_STREAM : 0);
    CMS_ContentInfo *cms CLEANUP(CMS_ContentInfo_free) =
        CMS_encrypt(NULL, NULL, cms_cipher_evp(options->cipher), flags | CMS_PARTIAL);
    if (!cms) return err_openssl(ERR_INTERNAL, "EnvelopedData");
    for (size_t i = 0; i < recipients->n; i++)
        TRY(add_recipient(cms, recipients->certs[i], options->oaep));
    if (options->indefinite) return cms_write_indefinite(cms, content, flags, out);
    BIO *source CLEANUP(BIO_free) = cms_bio_source(content);
    if (!source) return err_nomem();
    if (CMS_final(cms, source, NULL, flags) != 1) return err_openssl(ERR_INTERNAL, "encrypting");
    return cms_write_der(cms, out);
}

err_t *cms_encrypt_to(bytes_t content, const cert_t *recipient,
                      const cms_encrypt_options_t *options, buf_t *out) {
    cert_list_t list CLEANUP(cert_list_done) = {0};
    TRY(cert_list_add(&list, recipient));
    return cms_encrypt(content, &list, options, out);
}

/* The content encryption algorithms that are read, as DER content octets. */
static const struct {
    cms_cipher_t cipher;
    bytes_t oid;
    bool single_des;
} known_ciphers[] = {
    {CMS_AES128_CBC, {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x02", 9}, false},
    {CMS_AES256_CBC, {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x2a", 9}, false},
    {CMS_AES256_GCM, {(const uint8_t *)"\x60\x86\x48\x01\x65\x03\x04\x01\x2e", 9}, false},
    {CMS_DES3_CBC, {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x03\x07", 8}, false},
    {CMS_DES3_CBC, {(const uint8_t *)"\x2b\x0e\x03\x02\x07", 5}, true},
};

err_t *cms_enable_des(void) {
    /* Naming one provider switches the automatic one off, so both are named. */
    if (!OSSL_PROVIDER_load(NULL, "default") || !OSSL_PROVIDER_load(NULL, "legacy"))
        return err_openssl(ERR_UNAVAILABLE, "OpenSSL's legacy provider");
    return NULL;
}

bytes_t cms_cipher_oid(cms_cipher_t cipher) {
    for (size_t i = 0; i < sizeof known_ciphers / sizeof known_ciphers[0]; i++)
        if (known_ciphers[i].cipher == cipher) return known_ciphers[i].oid;
    return BYTES_NONE;
}

static err_t *find_cipher(bytes_t message, cms_type_t type, const cms_decrypt_options_t *options,
                          cms_cipher_t *ret_cipher) {
    bytes_t oid;
    TRY(cms_head_cipher_oid(message, &oid));
    for (size_t i = 0; i < sizeof known_ciphers / sizeof known_ciphers[0]; i++) {
        cms_cipher_t cipher = known_ciphers[i].cipher;
        if (!bytes_eq(oid, known_ciphers[i].oid)) continue;
        bool single = known_ciphers[i].single_des;
        if (single && !options->allow_des) break;
        if (cipher == CMS_DES3_CBC && !single && !options->allow_des3) break;
        if ((cipher == CMS_AES256_GCM) != (type == CMS_AUTHENVELOPED_DATA)) break;
        *ret_cipher = cipher;
        return NULL;
    }
    return err_new(ERR_VERIFY, "cipher is not allowed");
}

static bool agreement_names(CMS_RecipientInfo *info, X509 *x509) {
    STACK_OF(CMS_RecipientEncryptedKey) *keys = CMS_RecipientInfo_kari_get0_reks(info);
    int n = sk_CMS_RecipientEncryptedKey_num(keys);
    if (n > LIMIT_CMS_RECIPIENTS) return false;
    for (int i = 0; i < n; i++)
        if (CMS_RecipientEncryptedKey_cert_cmp(sk_CMS_RecipientEncryptedKey_value(keys, i), x509) ==
            0)
            return true;
    return false;
}

/*
 * Whether a recipientInfo names the certificate, by a way of delivery that its key has.
 * CMS_decrypt must not be called otherwise (CVE-2026-42768).
 */
static bool names_recipient(CMS_ContentInfo *cms, const cert_t *cert, X509 *x509) {
    STACK_OF(CMS_RecipientInfo) *infos = CMS_get0_RecipientInfos(cms);
    int wanted = pkey_kind(cert_key(cert)) == PKEY_RSA ? CMS_RECIPINFO_TRANS : CMS_RECIPINFO_AGREE;
    for (int i = 0; i < sk_CMS_RecipientInfo_num(infos); i++) {
        CMS_RecipientInfo *info = sk_CMS_RecipientInfo_value(infos, i);
        if (CMS_RecipientInfo_type(info) != wanted) continue;
        bool named = wanted == CMS_RECIPINFO_TRANS
                         ? CMS_RecipientInfo_ktri_cert_cmp(info, x509) == 0
                         : agreement_names(info, x509);
        if (named) return true;
    }
    return false;
}

err_t *cms_decrypt_openssl(bytes_t message, const cert_t *cert, const pkey_t *key, buf_t *out) {
    cms_type_t type;
    CMS_ContentInfo *cms CLEANUP(CMS_ContentInfo_free) = NULL;
    TRY(cms_parse(message, &type, &cms));
    ASN1_OCTET_STRING **content = CMS_get0_content(cms);
    if (!content || !*content || !ASN1_STRING_length(*content))
        return err_new(ERR_VERIFY, "no ciphertext");
    X509 *x509;
    TRY(cert_x509_get(cert, &x509));
    if (!names_recipient(cms, cert, x509)) return err_new(ERR_VERIFY, "not for this certificate");
    cms_sink_t sink CLEANUP(cms_sink_done) = {0};
    TRY(cms_sink_init(&sink, out));
    /* With a certificate given, OpenSSL goes on with a random key if the padding was wrong. */
    if (CMS_decrypt(cms, pkey_evp(key), x509, NULL, sink.bio, CMS_BINARY) == 1 && !sink.e)
        return NULL;
    err_t *e = err_openssl(ERR_VERIFY, "decryption failed");
    if (!sink.e) return e;
    err_free(e);
    return STEAL(sink.e);
}

static err_t *decrypt(bytes_t message, const cert_t *cert, const pkey_t *key,
                      const cms_decrypt_options_t *options, buf_t *out, cms_cipher_t *ret_cipher) {
    cms_type_t type;
    bool usual;
    TRY(cms_head_check(message, &type));
    TRY(find_cipher(message, type, options, ret_cipher));
    TRY(cms_decrypt_lean(message, cert, key, *ret_cipher, out, &usual));
    return usual ? NULL : cms_decrypt_openssl(message, cert, key, out);
}

err_t *cms_decrypt(bytes_t message, const cert_t *cert, const pkey_t *key,
                   const cms_decrypt_options_t *options, buf_t *out, cms_cipher_t *ret_cipher) {
    if (!pkey_has_private(key) || !pkey_same_public(cert_key(cert), key))
        return err_new(ERR_USAGE, "decryption key does not belong to certificate %s",
                       cert_serial_hex(cert));
    static const cms_decrypt_options_t defaults = {0};
    size_t before = out->n;
    cms_cipher_t cipher = CMS_AES256_CBC;
    err_t *e = decrypt(message, cert, key, options ? options : &defaults, out, &cipher);
    if (!e) {
        if (ret_cipher) *ret_cipher = cipher;
        return NULL;
    }
    if (out->n > before) mem_wipe(out->p + before, out->n - before);
    out->n = before;
    if (err_code(e) == ERR_LIMIT || err_code(e) == ERR_NOMEM) return e;
    /* One answer for every reason: no padding, key or format oracle. */
    err_free(e);
    return err_new(ERR_VERIFY, "message can't be decrypted");
}
