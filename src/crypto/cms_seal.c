/*
 * Streaming writers: see cms_seal.h. The lengths around the content are indefinite, each feed
 * becomes one or more OCTET STRINGs. Runs in mailgate, coffer and mailbox; any thread.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cms_internal.h"
#include "crypto/cms_seal.h"
#include "crypto/openssl_internal.h"

enum { PIECE = 64 * 1024, TAG = 16, KEY_MAX = 32, IV_MAX = 16, GCM_NONCE = 12 };

struct cms_seal {
    cms_sink_fn_t sink;
    buf_t head; /* written before the first piece */
    bool started;
    buf_t piece; /* one OCTET STRING */
    /* Envelope */
    EVP_CIPHER_CTX *cipher;
    bool gcm;
    /* Signature */
    cms_signing_t by;
    const cms_sign_options_t *options;
    cms_hashes_t *hashes;
};

static const uint8_t indefinite_sequence[] = {DER_SEQUENCE, 0x80};
static const uint8_t indefinite_0[] = {DER_CONTEXT_CONSTRUCTED | 0, 0x80};
static const uint8_t oid_data[] = {DER_OID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1};
static const uint8_t ends[10] = {0};

void cms_seal_free(cms_seal_t *s) {
    if (!s) return;
    EVP_CIPHER_CTX_free(s->cipher);
    cms_hashes_free(s->hashes);
    buf_done(&s->head);
    buf_done(&s->piece);
    mem_free(s);
}

static err_t *make(cms_sink_fn_t sink, cms_seal_t **ret_seal) {
    cms_seal_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    s->sink = sink;
    buf_init(&s->head, LIMIT_CMS_REST);
    buf_init(&s->piece, PIECE + 64);
    *ret_seal = s;
    return NULL;
}

/* SEQUENCE { type, [0] { SEQUENCE {, all open. */
static err_t *open_content_info(buf_t *out, bytes_t oid_whole) {
    TRY(buf_add(out, BYTES_ARRAY(indefinite_sequence)));
    TRY(buf_add(out, oid_whole));
    TRY(buf_add(out, BYTES_ARRAY(indefinite_0)));
    return buf_add(out, BYTES_ARRAY(indefinite_sequence));
}

/* ---- Recipients ---- */

typedef struct {
    uint8_t bytes[KEY_MAX];
    size_t n;
} cek_t;
static void cek_wipe_p(cek_t *k) { mem_wipe(k, sizeof *k); }

static err_t *rsa_encrypt(const cek_t *cek, const cert_t *cert, bool oaep, buf_t *out) {
    uint8_t wrapped[LIMIT_RSA_BITS_MAX / 8];
    size_t n = sizeof wrapped;
    EVP_PKEY_CTX *ctx CLEANUP(EVP_PKEY_CTX_free) = EVP_PKEY_CTX_new(pkey_evp(cert_key(cert)), NULL);
    if (!ctx || EVP_PKEY_encrypt_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING) != 1 ||
        (oaep && (EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) != 1 ||
                  EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) != 1)) ||
        EVP_PKEY_encrypt(ctx, wrapped, &n, cek->bytes, cek->n) != 1)
        return err_openssl(ERR_INTERNAL, "recipient %s", cert_serial_hex(cert));
    return der_put(out, DER_OCTET_STRING, bytes_make(wrapped, n));
}

/* KeyTransRecipientInfo, RFC 5652 section 6.2.1; RSAES-OAEP-params of RFC 4055 section 4.1. */
static err_t *put_transport(const cek_t *cek, const cert_t *cert, bool oaep, buf_t *out) {
    static const uint8_t version_0[] = {DER_INTEGER, 1, 0};
    static const uint8_t rsa[] = {0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 1, 1, 1,    5,    0};
#define SHA256 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0
    static const uint8_t rsa_oaep[] = {0x30, 0x3c, 6,    9,    0x2a, 0x86, 0x48,  0x86, 0xf7,
                                       0x0d, 1,    1,    7,    0x30, 0x2f, 0xa0,  0x0f, SHA256,
                                       0xa1, 0x1c, 0x30, 0x1a, 6,    9,    0x2a,  0x86, 0x48,
                                       0x86, 0xf7, 0x0d, 1,    1,    8,    SHA256};
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(version_0)));
    TRY(cms_put_issuer_serial(out, cert));
    TRY(buf_add(out, oaep ? BYTES_ARRAY(rsa_oaep) : BYTES_ARRAY(rsa)));
    TRY(rsa_encrypt(cek, cert, oaep, out));
    return der_enclose(out, start, DER_SEQUENCE);
}

/* A fresh key on the recipient's curve: its point, and the shared secret. */
static err_t *agree(const cert_t *cert, buf_t *point, uint8_t *secret, size_t *secret_n) {
    EVP_PKEY *theirs = pkey_evp(cert_key(cert)), *mine CLEANUP(EVP_PKEY_free) = NULL;
    unsigned char *encoded = NULL;
    EVP_PKEY_CTX *gen CLEANUP(EVP_PKEY_CTX_free) = EVP_PKEY_CTX_new(theirs, NULL);
    if (!gen || EVP_PKEY_keygen_init(gen) != 1 || EVP_PKEY_keygen(gen, &mine) != 1)
        return err_openssl(ERR_INTERNAL, "ephemeral key");
    size_t n = EVP_PKEY_get1_encoded_public_key(mine, &encoded);
    err_t *e = n ? buf_add(point, bytes_make(encoded, n)) : err_openssl(ERR_INTERNAL, "point");
    OPENSSL_free(encoded);
    if (e) return e;
    EVP_PKEY_CTX *ctx CLEANUP(EVP_PKEY_CTX_free) = EVP_PKEY_CTX_new(mine, NULL);
    if (!ctx || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, theirs) != 1 ||
        EVP_PKEY_derive(ctx, secret, secret_n) != 1)
        return err_openssl(ERR_INTERNAL, "ECDH with %s", cert_serial_hex(cert));
    return NULL;
}

/* ECC-CMS-SharedInfo for AES-256 key wrap without ukm, RFC 5753 section 7.2. */
#define AES256_WRAP 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2d
static const uint8_t shared_info[] = {0x30, 0x15, AES256_WRAP, 0xa2, 0x06, 4, 4, 0, 0, 1, 0};

static void openssl_kdf_free_p(EVP_KDF **p) { EVP_KDF_free(*p); }
static void openssl_kdf_ctx_free_p(EVP_KDF_CTX **p) { EVP_KDF_CTX_free(*p); }

static err_t *derive(const uint8_t *secret, size_t n, uint8_t kek[KEY_MAX]) {
    EVP_KDF *kdf CLEANUP(openssl_kdf_free) = EVP_KDF_fetch(NULL, "X963KDF", NULL);
    EVP_KDF_CTX *ctx CLEANUP(openssl_kdf_ctx_free) = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    char sha256[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)shared_info,
                                          sizeof shared_info),
        OSSL_PARAM_construct_end(),
    };
    if (!ctx || EVP_KDF_derive(ctx, kek, KEY_MAX, params) != 1)
        return err_openssl(ERR_INTERNAL, "X9.63 key derivation");
    return NULL;
}

static err_t *wrap(const cek_t *cek, const uint8_t *kek, buf_t *out) {
    uint8_t wrapped[KEY_MAX + 16];
    int n = 0, last = 0;
    EVP_CIPHER_CTX *ctx CLEANUP(EVP_CIPHER_CTX_free) = EVP_CIPHER_CTX_new();
    if (!ctx) return err_nomem();
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap(), NULL, kek, NULL) != 1 ||
        EVP_EncryptUpdate(ctx, wrapped, &n, cek->bytes, (int)cek->n) != 1 ||
        EVP_EncryptFinal_ex(ctx, wrapped + n, &last) != 1)
        return err_openssl(ERR_INTERNAL, "AES key wrap");
    return der_put(out, DER_OCTET_STRING, bytes_make(wrapped, (size_t)n));
}

/* OriginatorIdentifierOrKey [0] { [1] { { id-ecPublicKey }, point } } */
static err_t *put_originator(bytes_t point, buf_t *out) {
    static const uint8_t algorithm[] = {0x30, 9, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1};
    size_t start = out->n;
    TRY(buf_add(out, BYTES_ARRAY(algorithm)));
    TRY(der_put_octets(out, point));
    TRY(der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 1));
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 0);
}

/* KeyAgreeRecipientInfo [1], RFC 5753 section 3.1.1, dhSinglePass-stdDH-sha256kdf-scheme. */
static err_t *put_agreement(const cek_t *cek, const cert_t *cert, buf_t *out) {
    static const uint8_t version_3[] = {DER_INTEGER, 1, 3};
    static const uint8_t algorithm[] = {0x30, 0x15, 6, 6, 0x2b, 0x81, 4, 1, 11, 1, AES256_WRAP};
    uint8_t secret[66], kek[KEY_MAX];
    size_t n = sizeof secret, start = out->n;
    CLEANUP(buf_done) buf_t point;
    buf_init(&point, 256);
    TRY(agree(cert, &point, secret, &n));
    err_t *e = derive(secret, n, kek);
    if (!e) e = buf_add(out, BYTES_ARRAY(version_3));
    if (!e) e = put_originator(buf_bytes(&point), out);
    if (!e) e = buf_add(out, BYTES_ARRAY(algorithm));
    size_t keys = out->n;
    if (!e) e = cms_put_issuer_serial(out, cert);
    if (!e) e = wrap(cek, kek, out);
    mem_wipe(secret, sizeof secret);
    mem_wipe(kek, sizeof kek);
    if (e) return e;
    TRY(der_enclose(out, keys, DER_SEQUENCE)); /* RecipientEncryptedKey */
    TRY(der_enclose(out, keys, DER_SEQUENCE)); /* of which there is one */
    return der_enclose(out, start, DER_CONTEXT_CONSTRUCTED | 1);
}

static err_t *put_recipients(const cek_t *cek, const cert_list_t *recipients, bool oaep,
                             buf_t *out) {
    size_t start = out->n;
    for (size_t i = 0; i < recipients->n; i++) {
        const cert_t *cert = recipients->certs[i];
        pkey_kind_t kind = pkey_kind(cert_key(cert));
        if (kind == PKEY_RSA) TRY(put_transport(cek, cert, oaep, out));
        else if (kind == PKEY_P256 || kind == PKEY_P384) TRY(put_agreement(cek, cert, out));
        else
            return err_new(ERR_USAGE, "certificate %s can't receive: its key is of kind %s",
                           cert_serial_hex(cert), pkey_kind_name(kind));
    }
    return der_enclose(out, start, DER_SET);
}

/* ---- Envelopes ---- */

/* { cipher, IV } or { cipher, { nonce, 16 } } (RFC 5084 section 3.2) */
static err_t *put_cipher(cms_cipher_t kind, bytes_t iv, buf_t *out) {
    static const uint8_t tag_length[] = {DER_INTEGER, 1, TAG};
    size_t start = out->n;
    TRY(der_put(out, DER_OID, cms_cipher_oid(kind)));
    size_t params = out->n;
    TRY(der_put(out, DER_OCTET_STRING, iv));
    if (kind == CMS_AES256_GCM) {
        TRY(buf_add(out, BYTES_ARRAY(tag_length)));
        TRY(der_enclose(out, params, DER_SEQUENCE));
    }
    return der_enclose(out, start, DER_SEQUENCE);
}

static err_t *fill(cek_t *cek, const EVP_CIPHER *cipher, bool gcm, uint8_t iv[IV_MAX],
                   size_t *ret_iv_n) {
    cek->n = (size_t)EVP_CIPHER_get_key_length(cipher);
    *ret_iv_n = gcm ? GCM_NONCE : (size_t)EVP_CIPHER_get_iv_length(cipher);
    if (RAND_priv_bytes(cek->bytes, (int)cek->n) != 1 || RAND_bytes(iv, (int)*ret_iv_n) != 1)
        return err_openssl(ERR_INTERNAL, "random content key");
    return NULL;
}

static bool any_agreement(const cert_list_t *recipients) {
    for (size_t i = 0; i < recipients->n; i++)
        if (pkey_kind(cert_key(recipients->certs[i])) != PKEY_RSA) return true;
    return false;
}

/* All up to the first piece of ciphertext. */
static err_t *envelope_head(cms_seal_t *s, const cek_t *cek, const cert_list_t *recipients,
                            const cms_encrypt_options_t *options, bytes_t iv) {
    static const uint8_t enveloped[] = {DER_OID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3};
    static const uint8_t auth[] = {DER_OID, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                   0x0d,    1,  9,    0x10, 1,    0x17};
    uint8_t version[] = {DER_INTEGER, 1, s->gcm || !any_agreement(recipients) ? 0 : 2};
    TRY(open_content_info(&s->head, s->gcm ? BYTES_ARRAY(auth) : BYTES_ARRAY(enveloped)));
    TRY(buf_add(&s->head, BYTES_ARRAY(version)));
    TRY(put_recipients(cek, recipients, options->oaep, &s->head));
    TRY(buf_add(&s->head, BYTES_ARRAY(indefinite_sequence)));
    TRY(buf_add(&s->head, BYTES_ARRAY(oid_data)));
    TRY(put_cipher(options->cipher, iv, &s->head));
    return buf_add(&s->head, BYTES_ARRAY(indefinite_0));
}

err_t *cms_seal_encrypt(const cert_list_t *recipients, const cms_encrypt_options_t *options,
                        cms_sink_fn_t sink, cms_seal_t **ret_seal) {
    static const cms_encrypt_options_t defaults = {0};
    CLEANUP(cek_wipe) cek_t cek = {0};
    uint8_t iv[IV_MAX];
    size_t iv_n;
    if (!options) options = &defaults;
    if (!recipients->n || recipients->n > LIMIT_MAIL_RECIPIENTS)
        return err_new(ERR_LIMIT, "%zu recipients", recipients->n);
    const EVP_CIPHER *cipher = cms_cipher_evp(options->cipher);
    cms_seal_t *s CLEANUP(cms_seal_free) = NULL;
    TRY(make(sink, &s));
    s->gcm = options->cipher == CMS_AES256_GCM;
    TRY(fill(&cek, cipher, s->gcm, iv, &iv_n));
    TRY(envelope_head(s, &cek, recipients, options, bytes_make(iv, iv_n)));
    s->cipher = EVP_CIPHER_CTX_new();
    if (!s->cipher) return err_nomem();
    if (EVP_EncryptInit_ex(s->cipher, cipher, NULL, cek.bytes, iv) != 1)
        return err_openssl(ERR_INTERNAL, "content cipher");
    *ret_seal = STEAL(s);
    return NULL;
}

/* ---- Opaque signatures ---- */

err_t *cms_seal_sign(const cms_signer_t *signer, const cms_sign_options_t *options,
                     cms_sink_fn_t sink, cms_seal_t **ret_seal) {
    static const uint8_t signed_data[] = {DER_OID, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2};
    static const uint8_t version_1[] = {DER_INTEGER, 1, 1};
    static const uint8_t indefinite_octets[] = {0x24, 0x80};
    cms_seal_t *s CLEANUP(cms_seal_free) = NULL;
    TRY(make(sink, &s));
    s->by = cms_signer_signing(signer);
    s->options = options;
    TRY(cms_hashes_new(CMS_HASH(options->digest), &s->hashes));
    TRY(open_content_info(&s->head, BYTES_ARRAY(signed_data)));
    TRY(buf_add(&s->head, BYTES_ARRAY(version_1)));
    TRY(der_put(&s->head, DER_SET, cms_digest_algorithm(options->digest)));
    TRY(buf_add(&s->head, BYTES_ARRAY(indefinite_sequence)));
    TRY(buf_add(&s->head, BYTES_ARRAY(oid_data)));
    TRY(buf_add(&s->head, BYTES_ARRAY(indefinite_0)));
    TRY(buf_add(&s->head, BYTES_ARRAY(indefinite_octets)));
    *ret_seal = STEAL(s);
    return NULL;
}

/* ---- Streaming ---- */

static err_t *start(cms_seal_t *s) {
    if (s->started) return NULL;
    s->started = true;
    return s->sink.write(s->sink.arg, buf_bytes(&s->head));
}

/* What lies in the piece behind its room for a head becomes an OCTET STRING. */
static err_t *give_piece(cms_seal_t *s, size_t head, size_t n) {
    if (!n) return NULL;
    CLEANUP(buf_done) buf_t length;
    buf_init(&length, 16);
    TRY(der_put_head(&length, DER_OCTET_STRING, n));
    bytes_put(s->piece.p + head - length.n, buf_bytes(&length));
    return s->sink.write(s->sink.arg, bytes_make(s->piece.p + head - length.n, length.n + n));
}

enum { HEAD_ROOM = 8 };

err_t *cms_seal_feed(cms_seal_t *s, bytes_t content) {
    TRY(start(s));
    TRY(buf_reserve(&s->piece, PIECE + HEAD_ROOM + EVP_MAX_BLOCK_LENGTH));
    while (content.n) {
        bytes_t part = bytes_slice(content, 0, PIECE);
        uint8_t *to = s->piece.p + HEAD_ROOM;
        int n = (int)part.n;
        if (s->cipher) {
            if (EVP_EncryptUpdate(s->cipher, to, &n, part.p, (int)part.n) != 1)
                return err_openssl(ERR_INTERNAL, "encrypting");
        } else {
            TRY(cms_hashes_add(s->hashes, part));
            bytes_put(to, part);
        }
        TRY(give_piece(s, HEAD_ROOM, (size_t)n));
        content = bytes_from(content, part.n);
    }
    return NULL;
}

/* } of the content, its SEQUENCE; then mac; then the three around. */
static err_t *finish_envelope(cms_seal_t *s) {
    uint8_t tag[TAG];
    int n = 0;
    TRY(buf_reserve(&s->piece, PIECE + HEAD_ROOM + EVP_MAX_BLOCK_LENGTH));
    if (EVP_EncryptFinal_ex(s->cipher, s->piece.p + HEAD_ROOM, &n) != 1)
        return err_openssl(ERR_INTERNAL, "encrypting");
    TRY(give_piece(s, HEAD_ROOM, (size_t)n));
    buf_t tail CLEANUP(buf_done);
    buf_init(&tail, 64);
    TRY(buf_add(&tail, bytes_make(ends, 4)));
    if (s->gcm) {
        if (EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_GET_TAG, TAG, tag) != 1)
            return err_openssl(ERR_INTERNAL, "GCM tag");
        TRY(der_put(&tail, DER_OCTET_STRING, BYTES_ARRAY(tag)));
    }
    TRY(buf_add(&tail, bytes_make(ends, 6)));
    return s->sink.write(s->sink.arg, buf_bytes(&tail));
}

static err_t *finish_signature(cms_seal_t *s) {
    const cert_t *certs[LIMIT_CMS_CERTIFICATES] = {s->by.cert};
    CLEANUP(buf_done) buf_t tail;
    buf_init(&tail, LIMIT_CMS_REST);
    TRY(cms_hashes_end(s->hashes));
    bytes_t hash = cms_hashes_get(s->hashes, s->options->digest);
    TRY(buf_add(&tail, bytes_make(ends, 6))); /* octets, [0], encapContentInfo */
    if (s->by.extra->n >= LIMIT_CMS_CERTIFICATES) return err_new(ERR_LIMIT, "certificates");
    for (size_t i = 0; i < s->by.extra->n; i++) certs[i + 1] = s->by.extra->certs[i];
    TRY(cms_put_certificates(certs, s->by.extra->n + 1, &tail));
    size_t set = tail.n;
    TRY(cms_put_signer(&s->by, BYTES_NONE, &hash, s->options, &tail));
    TRY(der_enclose(&tail, set, DER_SET));
    TRY(buf_add(&tail, bytes_make(ends, 6)));
    return s->sink.write(s->sink.arg, buf_bytes(&tail));
}

err_t *cms_seal_finish(cms_seal_t *s) {
    TRY(start(s));
    return s->cipher ? finish_envelope(s) : finish_signature(s);
}

bytes_t cms_capabilities(void) {
    /* AES-256-GCM, AES-128-GCM, AES-256-CBC, AES-128-CBC; RSAES-OAEP with SHA-256's parameters is
     * announced by its identifier alone (RFC 8551 section 2.5.2). */
#define AES(last) 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, last
    static const uint8_t der[] = {0x30, 0x41, AES(0x2e), AES(0x06), AES(0x2a), AES(0x02), 0x30,
                                  0x0b, 6,    9,         0x2a,      0x86,      0x48,      0x86,
                                  0xf7, 0x0d, 1,         1,         7};
    return BYTES_ARRAY(der);
}
