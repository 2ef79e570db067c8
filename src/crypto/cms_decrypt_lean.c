/*
 * EnvelopedData opened without OpenSSL's CMS_*: see cms_internal.h. RFC 5652 section 6, the plain
 * case that SCEP clients send: DER, one recipient by RSA PKCS#1 v1.5 (RFC 3370 section 4.2.1), a
 * CBC cipher. RSA and the ciphers are OpenSSL's; whatever differs from the plain case is left to it
 * as a whole. Runs in the keeper on foreign bytes; any thread.
 *
 * A wrong padding must look like any wrong key (RFC 3218 section 2.3.2): a random key is made
 * before the private operation, the one to go on with is chosen without a branch, and the content
 * is decrypted in every case.
 */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cms_internal.h"
#include "crypto/der_internal.h"
#include "crypto/name_der_internal.h"
#include "crypto/openssl_internal.h"

enum { RSA_MAX = LIMIT_RSA_BITS_MAX / 8, KEY_MAX = 32 };

/* The parts of a message; all inside it. */
typedef struct {
    bytes_t issuer, serial, encrypted_key;
    bytes_t cipher, iv, ciphertext;
} envelope_t;

static const uint8_t oid_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1};
static const uint8_t oid_enveloped[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3};
/* SEQUENCE { rsaEncryption, NULL } */
static const uint8_t rsa_algorithm[] = {0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 1, 1, 1,    5,    0};

static bool take_version_0(bytes_t *rest) {
    bytes_t version;
    return der_take(rest, DER_INTEGER, &version) && version.n == 1 && version.p[0] == 0;
}

/* KeyTransRecipientInfo ::= SEQUENCE { 0, IssuerAndSerialNumber, algorithm, encryptedKey } */
static bool split_recipient(bytes_t set, envelope_t *m) {
    bytes_t fields, id, algorithm;
    return der_take(&set, DER_SEQUENCE, &fields) && !set.n && take_version_0(&fields) &&
           der_take(&fields, DER_SEQUENCE, &id) && der_take_whole(&id, DER_SEQUENCE, &m->issuer) &&
           der_take_unsigned(&id, &m->serial) && !id.n && algorithm_der_take(&fields, &algorithm) &&
           bytes_eq(algorithm, BYTES_ARRAY(rsa_algorithm)) &&
           der_take(&fields, DER_OCTET_STRING, &m->encrypted_key) && !fields.n;
}

/* EncryptedContentInfo ::= SEQUENCE { id-data, { cipher, IV }, [0] ciphertext } */
static bool split_content(bytes_t info, envelope_t *m) {
    bytes_t type, algorithm;
    return der_take_whole(&info, DER_OID, &type) && bytes_eq(type, BYTES_ARRAY(oid_data)) &&
           der_take(&info, DER_SEQUENCE, &algorithm) && der_take(&algorithm, DER_OID, &m->cipher) &&
           der_take(&algorithm, DER_OCTET_STRING, &m->iv) && !algorithm.n &&
           der_take(&info, DER_CONTEXT | 0, &m->ciphertext) && !info.n;
}

/* EnvelopedData ::= SEQUENCE { 0, SET { recipient }, EncryptedContentInfo } in its ContentInfo */
static bool split(bytes_t message, envelope_t *m) {
    bytes_t info, type, explicit, data, recipients, content;
    return der_take(&message, DER_SEQUENCE, &info) && der_take_whole(&info, DER_OID, &type) &&
           bytes_eq(type, BYTES_ARRAY(oid_enveloped)) &&
           der_take(&info, DER_CONTEXT_CONSTRUCTED | 0, &explicit) && !info.n &&
           der_take(&explicit, DER_SEQUENCE, &data) && !explicit.n && take_version_0(&data) &&
           der_take(&data, DER_SET, &recipients) && split_recipient(recipients, m) &&
           der_take(&data, DER_SEQUENCE, &content) && !data.n && split_content(content, m);
}

static bool is_plain(const envelope_t *m, const cert_t *cert, cms_cipher_t cipher) {
    if (pkey_kind(cert_key(cert)) != PKEY_RSA || cert_serial_hex(cert)[0] == '-') return false;
    if (!cert_is_issuer_serial(cert, m->issuer, m->serial)) return false;
    return cipher != CMS_AES256_GCM && bytes_eq(m->cipher, cms_cipher_oid(cipher)) &&
           m->iv.n == (size_t)EVP_CIPHER_get_iv_length(cms_cipher_evp(cipher)) &&
           m->encrypted_key.n <= RSA_MAX && m->ciphertext.n && m->ciphertext.n <= LIMIT_CMS_BYTES;
}

typedef struct {
    uint8_t key[KEY_MAX];
} content_key_t;

static void content_key_done_p(content_key_t *k) { mem_wipe(k, sizeof *k); }

/* All ones if equal, without a branch. */
static uint8_t equal_mask(size_t a, size_t b) {
    size_t differ = a ^ b;
    differ = (differ | (0 - differ)) >> (sizeof differ * 8 - 1);
    return (uint8_t)(differ - 1);
}

err_t *cms_unwrap_pkcs1(bytes_t encrypted, const pkey_t *key, uint8_t *out, size_t n) {
    uint8_t plain[RSA_MAX] = {0};
    size_t plain_n = sizeof plain;
    if (RAND_priv_bytes(out, (int)n) != 1) return err_openssl(ERR_INTERNAL, "random key");
    EVP_PKEY_CTX *context CLEANUP(EVP_PKEY_CTX_free) =
        EVP_PKEY_CTX_new_from_pkey(NULL, pkey_evp(key), NULL);
    if (!context || EVP_PKEY_decrypt_init(context) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) != 1)
        return err_openssl(ERR_INTERNAL, "RSA decryption");
    int rc = EVP_PKEY_decrypt(context, plain, &plain_n, encrypted.p, encrypted.n);
    ERR_clear_error();
    uint8_t mask = equal_mask((size_t)rc, 1) & equal_mask(plain_n, n);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((plain[i] & mask) | (out[i] & (uint8_t)~mask));
    mem_wipe(plain, sizeof plain);
    return NULL;
}

static err_t *open_content(const envelope_t *m, const EVP_CIPHER *cipher, const uint8_t *key,
                           buf_t *out) {
    int n = 0, tail = 0;
    TRY(buf_reserve(out, m->ciphertext.n + EVP_MAX_BLOCK_LENGTH));
    EVP_CIPHER_CTX *context CLEANUP(EVP_CIPHER_CTX_free) = EVP_CIPHER_CTX_new();
    if (!context) return err_nomem();
    uint8_t *p = out->p + out->n;
    if (EVP_DecryptInit_ex(context, cipher, NULL, key, m->iv.p) != 1 ||
        EVP_DecryptUpdate(context, p, &n, m->ciphertext.p, (int)m->ciphertext.n) != 1 ||
        EVP_DecryptFinal_ex(context, p + n, &tail) != 1) {
        mem_wipe(p, (size_t)n);
        return err_openssl(ERR_VERIFY, "decryption failed");
    }
    out->n += (size_t)n + (size_t)tail;
    return NULL;
}

err_t *cms_decrypt_lean(bytes_t message, const cert_t *cert, const pkey_t *key, cms_cipher_t cipher,
                        buf_t *out, bool *ret_usual) {
    envelope_t m;
    *ret_usual = false;
    if (message.n > LIMIT_CMS_BYTES || !der_check(message) || !split(message, &m) ||
        !is_plain(&m, cert, cipher) || out->max - out->n < m.ciphertext.n + EVP_MAX_BLOCK_LENGTH)
        return NULL;
    *ret_usual = true;
    CLEANUP(content_key_done) content_key_t k = {0};
    const EVP_CIPHER *evp = cms_cipher_evp(cipher);
    TRY(cms_unwrap_pkcs1(m.encrypted_key, key, k.key, (size_t)EVP_CIPHER_get_key_length(evp)));
    return open_content(&m, evp, k.key, out);
}
