/*
 * HPKE (RFC 9180) over OpenSSL's X25519 and AEADs and our HKDF: see hpke.h. Any process; the
 * one-shot functions from any thread.
 */
#include "crypto/hpke.h"

#include <openssl/err.h>

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/hpke_internal.h"
#include "crypto/kdf.h"
#include "crypto/openssl_internal.h"

enum { HPKE_HASH_SIZE = KDF_PRK_SIZE, HPKE_DH_SIZE = 32, HPKE_SUITE_ID_SIZE = 10 };
/* RFC 9180 section 5, table 1. */
enum { HPKE_MODE_BASE = 0, HPKE_MODE_PSK = 1 };
enum { HPKE_SCHEDULE_SIZE = 1 + 2 * HPKE_HASH_SIZE };

/* What the key schedule yields, in locked memory. */
typedef struct {
    uint8_t key[AEAD_KEY_SIZE];
    uint8_t base_nonce[AEAD_NONCE_SIZE];
    uint8_t exporter_secret[HPKE_HASH_SIZE];
} hpke_keys_t;

struct hpke {
    hpke_suite_t suite;
    bool sender;
    uint64_t sequence; /* of the next message */
    secret_t *keys;    /* an hpke_keys_t */
};

/* "KEM" and kem_id 0x0020 (section 4.1). */
static const uint8_t kem_suite_id[] = {'K', 'E', 'M', 0x00, 0x20};

/* The AEAD behind a suite; nothing for HPKE_EXPORT_ONLY. */
static bool aead_of(hpke_suite_t suite, aead_kind_t *ret_kind) {
    switch (suite) {
    case HPKE_AES128_GCM: *ret_kind = AEAD_AES128_GCM; return true;
    case HPKE_AES256_GCM: *ret_kind = AEAD_AES256_GCM; return true;
    case HPKE_CHACHA20_POLY1305: *ret_kind = AEAD_CHACHA20_POLY1305; return true;
    case HPKE_EXPORT_ONLY: break;
    }
    return false;
}

/* aead_id, section 7.3. */
static unsigned aead_id_of(hpke_suite_t suite) {
    switch (suite) {
    case HPKE_AES128_GCM: return 0x0001;
    case HPKE_AES256_GCM: return 0x0002;
    case HPKE_CHACHA20_POLY1305: return 0x0003;
    case HPKE_EXPORT_ONLY: break;
    }
    return 0xffff;
}

static void suite_id_of(hpke_suite_t suite, uint8_t out[HPKE_SUITE_ID_SIZE]) {
    unsigned aead = aead_id_of(suite);
    const uint8_t id[HPKE_SUITE_ID_SIZE] = {
        'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, (uint8_t)(aead >> 8), (uint8_t)(aead & 0xff)};
    memcpy(out, id, sizeof id);
}

static hpke_keys_t *keys_of(const hpke_t *hpke) {
    return (hpke_keys_t *)(void *)secret_data(hpke->keys);
}

/* LabeledExtract and LabeledExpand, section 4. */
static err_t *labeled_extract(bytes_t suite_id, bytes_t salt, const char *label, bytes_t ikm,
                              uint8_t ret_prk[HPKE_HASH_SIZE]) {
    const bytes_t parts[] = {BYTES_LIT("HPKE-v1"), suite_id, bytes_str(label), ikm};
    return kdf_hkdf_extract_parts(salt, parts, sizeof parts / sizeof *parts, ret_prk);
}

static err_t *labeled_expand(bytes_t suite_id, bytes_t prk, const char *label, bytes_t info,
                             size_t n, uint8_t *out) {
    if (n > KDF_OUTPUT_MAX) return err_new(ERR_USAGE, "HPKE can't derive %zu bytes", n);
    const uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)(n & 0xff)};
    const bytes_t parts[] = {BYTES_ARRAY(length), BYTES_LIT("HPKE-v1"), suite_id, bytes_str(label),
                             info};
    return kdf_hkdf_expand_parts(prk, parts, sizeof parts / sizeof *parts, n, out);
}

/* X25519, section 7.1.4: OpenSSL refuses the all-zero result, i.e. a point of small order. */
static err_t *dh(const pkey_t *private, const pkey_t *public, uint8_t out[HPKE_DH_SIZE]) {
    CLEANUP(EVP_PKEY_CTX_free)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey_evp(private), NULL);
    if (!ctx || EVP_PKEY_derive_init(ctx) != 1)
        return err_openssl(ERR_INTERNAL, "preparing X25519");
    size_t n = HPKE_DH_SIZE;
    if (EVP_PKEY_derive_set_peer(ctx, pkey_evp(public)) != 1 ||
        EVP_PKEY_derive(ctx, out, &n) != 1 || n != HPKE_DH_SIZE)
        return err_openssl(ERR_INVALID, "X25519 with this public key");
    return NULL;
}

/* ExtractAndExpand, section 4.1; wipes the Diffie-Hellman value. */
static err_t *shared_secret(const pkey_t *private, const pkey_t *public,
                            const uint8_t enc[HPKE_ENC_SIZE], const uint8_t recipient[32],
                            uint8_t ret_secret[HPKE_HASH_SIZE]) {
    uint8_t context[HPKE_ENC_SIZE + 32];
    memcpy(context, enc, HPKE_ENC_SIZE);
    memcpy(context + HPKE_ENC_SIZE, recipient, 32);
    uint8_t value[HPKE_DH_SIZE];
    uint8_t prk[HPKE_HASH_SIZE];
    bytes_t id = BYTES_ARRAY(kem_suite_id);
    err_t *e = dh(private, public, value);
    if (!e) e = labeled_extract(id, BYTES_NONE, "eae_prk", BYTES_ARRAY(value), prk);
    if (!e)
        e = labeled_expand(id, BYTES_ARRAY(prk), "shared_secret", BYTES_ARRAY(context),
                           HPKE_HASH_SIZE, ret_secret);
    mem_wipe(value, sizeof value);
    mem_wipe(prk, sizeof prk);
    return e;
}

/* VerifyPSKInputs, section 5.1. */
static err_t *check_psk(const hpke_psk_t *psk) {
    if (psk && (psk->key.n < 32 || psk->id.n == 0))
        return err_new(ERR_USAGE, "a pre-shared key needs 32 bytes and an id");
    return NULL;
}

/* key_schedule_context = mode || psk_id_hash || info_hash, section 5.1. */
static err_t *schedule_context(bytes_t suite_id, bytes_t info, const hpke_psk_t *psk,
                               uint8_t out[HPKE_SCHEDULE_SIZE]) {
    out[0] = psk ? HPKE_MODE_PSK : HPKE_MODE_BASE;
    TRY(labeled_extract(suite_id, BYTES_NONE, "psk_id_hash", psk ? psk->id : BYTES_NONE, out + 1));
    return labeled_extract(suite_id, BYTES_NONE, "info_hash", info, out + 1 + HPKE_HASH_SIZE);
}

/* The last three lines of KeySchedule, section 5.1. */
static err_t *schedule_keys(hpke_suite_t suite, bytes_t suite_id, bytes_t secret, bytes_t context,
                            hpke_keys_t *out) {
    aead_kind_t aead = AEAD_AES256_GCM;
    if (aead_of(suite, &aead)) {
        TRY(labeled_expand(suite_id, secret, "key", context, aead_key_size(aead), out->key));
        TRY(labeled_expand(suite_id, secret, "base_nonce", context, sizeof out->base_nonce,
                           out->base_nonce));
    }
    return labeled_expand(suite_id, secret, "exp", context, sizeof out->exporter_secret,
                          out->exporter_secret);
}

static err_t *key_schedule(hpke_suite_t suite, bool sender, bytes_t shared, bytes_t info,
                           const hpke_psk_t *psk, hpke_t **ret_hpke) {
    uint8_t suite_id[HPKE_SUITE_ID_SIZE];
    suite_id_of(suite, suite_id);
    uint8_t context[HPKE_SCHEDULE_SIZE];
    TRY(schedule_context(BYTES_ARRAY(suite_id), info, psk, context));
    CLEANUP(hpke_free) hpke_t *hpke = mem_zalloc(sizeof *hpke);
    if (!hpke) return err_nomem();
    hpke->suite = suite;
    hpke->sender = sender;
    TRY(secret_new(sizeof(hpke_keys_t), &hpke->keys));
    uint8_t secret[HPKE_HASH_SIZE];
    TRY(labeled_extract(BYTES_ARRAY(suite_id), shared, "secret", psk ? psk->key : BYTES_NONE,
                        secret));
    err_t *e = schedule_keys(suite, BYTES_ARRAY(suite_id), BYTES_ARRAY(secret),
                             BYTES_ARRAY(context), keys_of(hpke));
    mem_wipe(secret, sizeof secret);
    if (e) return e;
    *ret_hpke = STEAL(hpke);
    return NULL;
}

static err_t *check_x25519(const pkey_t *key) {
    if (pkey_kind(key) != PKEY_X25519)
        return err_new(ERR_USAGE, "HPKE needs an X25519 key, not %s",
                       pkey_kind_name(pkey_kind(key)));
    return NULL;
}

err_t *hpke_sender_new_deterministic(hpke_suite_t suite, const pkey_t *recipient,
                                     const pkey_t *ephemeral, bytes_t info, const hpke_psk_t *psk,
                                     uint8_t ret_enc[HPKE_ENC_SIZE], hpke_t **ret_sender) {
    TRY(check_x25519(recipient));
    TRY(check_x25519(ephemeral));
    TRY(check_psk(psk));
    uint8_t enc[HPKE_ENC_SIZE];
    uint8_t public[32];
    TRY(pkey_raw_public(ephemeral, enc));
    TRY(pkey_raw_public(recipient, public));
    uint8_t shared[HPKE_HASH_SIZE];
    TRY(shared_secret(ephemeral, recipient, enc, public, shared));
    err_t *e = key_schedule(suite, true, BYTES_ARRAY(shared), info, psk, ret_sender);
    mem_wipe(shared, sizeof shared);
    if (e) return e;
    memcpy(ret_enc, enc, sizeof enc);
    return NULL;
}

err_t *hpke_sender_new(hpke_suite_t suite, const pkey_t *recipient, bytes_t info,
                       const hpke_psk_t *psk, uint8_t ret_enc[HPKE_ENC_SIZE], hpke_t **ret_sender) {
    CLEANUP(pkey_free) pkey_t *ephemeral = NULL;
    TRY(pkey_generate(PKEY_X25519, 0, &ephemeral));
    return hpke_sender_new_deterministic(suite, recipient, ephemeral, info, psk, ret_enc,
                                         ret_sender);
}

static err_t *refuse(void) { return err_new(ERR_VERIFY, "the sealed data does not open"); }

err_t *hpke_receiver_new(hpke_suite_t suite, const pkey_t *recipient, bytes_t enc, bytes_t info,
                         const hpke_psk_t *psk, hpke_t **ret_receiver) {
    TRY(check_x25519(recipient));
    if (!pkey_has_private(recipient)) return err_new(ERR_USAGE, "opening needs the private key");
    TRY(check_psk(psk));
    if (enc.n != HPKE_ENC_SIZE) return refuse();
    CLEANUP(pkey_free) pkey_t *ephemeral = NULL;
    TRY(pkey_from_raw_public(PKEY_X25519, enc, &ephemeral));
    uint8_t public[32];
    TRY(pkey_raw_public(recipient, public));
    uint8_t shared[HPKE_HASH_SIZE];
    err_t *e = shared_secret(recipient, ephemeral, enc.p, public, shared);
    if (e && err_code(e) == ERR_INVALID) {
        err_free(e);
        e = refuse();
    }
    if (!e) e = key_schedule(suite, false, BYTES_ARRAY(shared), info, psk, ret_receiver);
    mem_wipe(shared, sizeof shared);
    return e;
}

void hpke_free(hpke_t *hpke) {
    if (!hpke) return;
    secret_free(hpke->keys);
    mem_free(hpke);
}

/* ComputeNonce, section 5.2. */
static err_t *next_nonce(const hpke_t *hpke, uint8_t nonce[AEAD_NONCE_SIZE]) {
    if (hpke->sequence == UINT64_MAX) return err_new(ERR_LIMIT, "HPKE context is used up");
    memcpy(nonce, keys_of(hpke)->base_nonce, AEAD_NONCE_SIZE);
    for (unsigned i = 0; i < 8; i++)
        nonce[AEAD_NONCE_SIZE - 1 - i] ^= (uint8_t)((hpke->sequence >> (8 * i)) & 0xff);
    return NULL;
}

/* The AEAD of a context used on its own side. */
static err_t *check_side(const hpke_t *hpke, bool sender, aead_kind_t *ret_kind) {
    if (hpke->sender != sender) return err_new(ERR_USAGE, "HPKE context of the other side");
    if (!aead_of(hpke->suite, ret_kind))
        return err_new(ERR_USAGE, "an export-only HPKE context can't encrypt");
    return NULL;
}

err_t *hpke_context_seal(hpke_t *sender, bytes_t aad, bytes_t plaintext, buf_t *out) {
    aead_kind_t kind = AEAD_AES256_GCM;
    TRY(check_side(sender, true, &kind));
    uint8_t nonce[AEAD_NONCE_SIZE];
    TRY(next_nonce(sender, nonce));
    bytes_t key = bytes_make(keys_of(sender)->key, aead_key_size(kind));
    TRY(aead_seal_nonce(kind, key, BYTES_ARRAY(nonce), aad, plaintext, out));
    sender->sequence++;
    return NULL;
}

err_t *hpke_context_open(hpke_t *receiver, bytes_t aad, bytes_t sealed, buf_t *out) {
    aead_kind_t kind = AEAD_AES256_GCM;
    TRY(check_side(receiver, false, &kind));
    uint8_t nonce[AEAD_NONCE_SIZE];
    TRY(next_nonce(receiver, nonce));
    bytes_t key = bytes_make(keys_of(receiver)->key, aead_key_size(kind));
    TRY(aead_open_nonce(kind, key, BYTES_ARRAY(nonce), aad, sealed, out));
    receiver->sequence++;
    return NULL;
}

err_t *hpke_export(const hpke_t *hpke, bytes_t context, size_t n, secret_t **ret_secret) {
    uint8_t suite_id[HPKE_SUITE_ID_SIZE];
    suite_id_of(hpke->suite, suite_id);
    CLEANUP(secret_free) secret_t *secret = NULL;
    TRY(secret_new(n, &secret));
    TRY(labeled_expand(BYTES_ARRAY(suite_id), hpke_exporter_secret(hpke), "sec", context, n,
                       secret_data(secret)));
    *ret_secret = STEAL(secret);
    return NULL;
}

err_t *hpke_seal(hpke_suite_t suite, const pkey_t *recipient, bytes_t info, bytes_t aad,
                 bytes_t plaintext, buf_t *out) {
    CLEANUP(hpke_free) hpke_t *sender = NULL;
    uint8_t enc[HPKE_ENC_SIZE];
    TRY(hpke_sender_new(suite, recipient, info, NULL, enc, &sender));
    size_t before = out->n;
    TRY(buf_add(out, BYTES_ARRAY(enc)));
    err_t *e = hpke_context_seal(sender, aad, plaintext, out);
    if (e) out->n = before;
    return e;
}

err_t *hpke_open(hpke_suite_t suite, const pkey_t *recipient, bytes_t info, bytes_t aad,
                 bytes_t sealed, buf_t *out) {
    if (sealed.n < HPKE_OVERHEAD) return refuse();
    CLEANUP(hpke_free) hpke_t *receiver = NULL;
    TRY(hpke_receiver_new(suite, recipient, bytes_slice(sealed, 0, HPKE_ENC_SIZE), info, NULL,
                          &receiver));
    return hpke_context_open(receiver, aad, bytes_from(sealed, HPKE_ENC_SIZE), out);
}

err_t *hpke_open_secret(hpke_suite_t suite, const pkey_t *recipient, bytes_t info, bytes_t aad,
                        bytes_t sealed, secret_t **ret_secret) {
    if (sealed.n <= HPKE_OVERHEAD) return refuse();
    CLEANUP(buf_done) buf_t plaintext;
    buf_init_secret(&plaintext, sealed.n - HPKE_OVERHEAD);
    TRY(hpke_open(suite, recipient, info, aad, sealed, &plaintext));
    return secret_copy(buf_bytes(&plaintext), ret_secret);
}

err_t *hpke_derive_key(bytes_t ikm, pkey_t **ret_key) {
    uint8_t prk[HPKE_HASH_SIZE];
    uint8_t raw[32];
    bytes_t id = BYTES_ARRAY(kem_suite_id);
    TRY(labeled_extract(id, BYTES_NONE, "dkp_prk", ikm, prk));
    err_t *e = labeled_expand(id, BYTES_ARRAY(prk), "sk", BYTES_NONE, sizeof raw, raw);
    if (!e) e = pkey_from_raw_private(PKEY_X25519, BYTES_ARRAY(raw), ret_key);
    mem_wipe(prk, sizeof prk);
    mem_wipe(raw, sizeof raw);
    return e;
}

bytes_t hpke_key(const hpke_t *hpke) {
    aead_kind_t kind = AEAD_AES256_GCM;
    if (!aead_of(hpke->suite, &kind)) return BYTES_NONE;
    return bytes_make(keys_of(hpke)->key, aead_key_size(kind));
}

bytes_t hpke_base_nonce(const hpke_t *hpke) {
    if (hpke->suite == HPKE_EXPORT_ONLY) return BYTES_NONE;
    return BYTES_ARRAY(keys_of(hpke)->base_nonce);
}

bytes_t hpke_exporter_secret(const hpke_t *hpke) {
    return BYTES_ARRAY(keys_of(hpke)->exporter_secret);
}
