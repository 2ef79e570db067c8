/*
 * Blobs, wraps and shares: see escrow_seal.h. AES-256-GCM (SP 800-38D), HKDF (RFC 5869), HPKE's
 * exporter (RFC 9180 section 5.3). Any process.
 */
#include "keeper/escrow_seal.h"

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/hpke.h"
#include "crypto/kdf.h"
#include "crypto/shamir.h"
#include "keeper/escrow_codec.h"

#define DOMAIN_BLOB   "coffer/v1/escrow/blob"
#define DOMAIN_WRAP   "coffer/v1/escrow/wrap"
#define DOMAIN_SHARE  "coffer/v1/escrow/share"
#define INFO_KEY      "coffer/v1/escrow/blob-key"
#define INFO_COMMIT   "coffer/v1/escrow/blob-commit"
#define CONTEXT_SHARE "share-key"

enum { AAD_MAX = 256, INFO_MAX = 256 }; /* bytes */

/* ---- blob ---- */

err_t *escrow_dek_new(const rnd_t *rnd, secret_t **ret_dek) {
    return secret_random(rnd, ESCROW_KEY, ret_dek);
}

/* What the DEK is used for: a key, and a value that only this DEK gives (AES-GCM alone lets one
 * ciphertext open under two keys). */
static err_t *derive(const secret_t *dek, secret_t **ret_key, secret_t **ret_commit) {
    if (secret_size(dek) != ESCROW_KEY) return err_new(ERR_USAGE, "a data key has 32 bytes");
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(dek), BYTES_LIT(INFO_KEY), ESCROW_KEY, &key));
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(dek), BYTES_LIT(INFO_COMMIT), ESCROW_HASH, ret_commit));
    *ret_key = STEAL(key);
    return NULL;
}

static err_t *object_aad(const escrow_object_t *object, const char *domain, buf_t *aad) {
    uint8_t hash[ESCROW_HASH];
    TRY(escrow_object_hash(object, hash));
    TRY(wire_put_str(aad, domain));
    return record_put_raw(aad, hash, sizeof hash);
}

err_t *escrow_blob_seal(const escrow_object_t *object, const secret_t *dek, const rnd_t *rnd,
                        bytes_t secret, buf_t *out) {
    if (secret.n == 0) return err_new(ERR_INVALID, "the secret is empty");
    if (secret.n > LIMIT_ESCROW_SECRET)
        return err_new(ERR_LIMIT, "a secret has at most %d bytes", LIMIT_ESCROW_SECRET);
    CLEANUP(secret_free) secret_t *key = NULL, *commit = NULL;
    CLEANUP(buf_done) buf_t aad, sealed;
    buf_init(&aad, AAD_MAX);
    buf_init(&sealed, LIMIT_ESCROW_SECRET + AEAD_OVERHEAD);
    TRY(derive(dek, &key, &commit));
    TRY(object_aad(object, DOMAIN_BLOB, &aad));
    TRY(aead_seal(key, rnd, buf_bytes(&aad), secret, &sealed));
    escrow_blob_t blob = {secret_bytes(commit), buf_bytes(&sealed)};
    return escrow_blob_put(&blob, out);
}

err_t *escrow_blob_open(const escrow_object_t *object, const secret_t *dek, bytes_t record,
                        secret_t **ret_secret) {
    escrow_blob_t blob;
    TRY(escrow_blob_parse(record, &blob));
    CLEANUP(secret_free) secret_t *key = NULL, *commit = NULL;
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, AAD_MAX);
    TRY(derive(dek, &key, &commit));
    if (!secret_eq(commit, blob.commit))
        return err_new(ERR_DENIED, "the data key is not this blob's");
    TRY(object_aad(object, DOMAIN_BLOB, &aad));
    TRY_WRAP(aead_open_secret(key, buf_bytes(&aad), blob.sealed, ret_secret),
             "the blob was changed or is another object's");
    return NULL;
}

/* ---- wrap ---- */

err_t *escrow_wrap_seal(const escrow_object_t *object, const secret_t *storage_key, uint32_t number,
                        const rnd_t *rnd, const secret_t *dek, buf_t *out) {
    CLEANUP(buf_done) buf_t aad, sealed;
    buf_init(&aad, AAD_MAX);
    buf_init(&sealed, ESCROW_KEY + AEAD_OVERHEAD);
    TRY(object_aad(object, DOMAIN_WRAP, &aad));
    TRY(wire_put_u32(&aad, number));
    TRY(aead_seal(storage_key, rnd, buf_bytes(&aad), secret_bytes(dek), &sealed));
    escrow_wrap_t wrap = {number, buf_bytes(&sealed)};
    return escrow_wrap_put(&wrap, out);
}

err_t *escrow_wrap_open(const escrow_object_t *object, const secret_t *storage_key, bytes_t record,
                        secret_t **ret_dek) {
    escrow_wrap_t wrap;
    TRY(escrow_wrap_parse(record, &wrap));
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, AAD_MAX);
    TRY(object_aad(object, DOMAIN_WRAP, &aad));
    TRY(wire_put_u32(&aad, wrap.storage_key));
    TRY_WRAP(aead_open_secret(storage_key, buf_bytes(&aad), wrap.sealed, ret_dek),
             "the wrap was changed or is another object's");
    return NULL;
}

/* ---- sealing shares ---- */

err_t *escrow_share_check(const uint8_t object_hash[ESCROW_HASH], uint8_t index, bytes_t y,
                          uint8_t ret_check[ESCROW_CHECK]) {
    _Static_assert(ESCROW_CHECK == (int)SHAMIR_CHECK_SIZE,
                   "the format's check is the shares' check");
    return shamir_check(bytes_make(object_hash, ESCROW_HASH), index, y, ret_check);
}

struct escrow_sealer {
    uint8_t enc[ESCROW_ENC];
    secret_t *key;
};

/* Binds the key to one officer of one set. */
static err_t *share_info(const uint8_t *set_hash, const char *officer, buf_t *info) {
    TRY(wire_put_str(info, DOMAIN_SHARE));
    TRY(record_put_raw(info, set_hash, ESCROW_HASH));
    return wire_put_str(info, officer);
}

err_t *escrow_sealer_new(const uint8_t set_hash[ESCROW_HASH], const escrow_officer_t *officer,
                         escrow_sealer_t **ret_sealer) {
    CLEANUP(escrow_sealer_free) escrow_sealer_t *sealer = mem_zalloc(sizeof *sealer);
    if (!sealer) return err_nomem();
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(hpke_free) hpke_t *hpke = NULL;
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY_WRAP(pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(officer->hpke), &key),
             "key of officer %s", officer->id);
    TRY(share_info(set_hash, officer->id, &info));
    TRY_WRAP(hpke_sender_new(HPKE_EXPORT_ONLY, key, buf_bytes(&info), NULL, sealer->enc, &hpke),
             "key of officer %s", officer->id);
    TRY(hpke_export(hpke, BYTES_LIT(CONTEXT_SHARE), ESCROW_KEY, &sealer->key));
    *ret_sealer = STEAL(sealer);
    return NULL;
}

void escrow_sealer_free(escrow_sealer_t *sealer) {
    if (!sealer) return;
    secret_free(sealer->key);
    mem_free(sealer);
}

const uint8_t *escrow_sealer_enc(const escrow_sealer_t *sealer) { return sealer->enc; }

static err_t *share_aad(const uint8_t *object_hash, const escrow_share_t *share, buf_t *aad) {
    TRY(wire_put_str(aad, DOMAIN_SHARE));
    TRY(record_put_raw(aad, object_hash, ESCROW_HASH));
    TRY(wire_put_u64(aad, share->epoch));
    TRY(wire_put_u8(aad, share->index));
    TRY(wire_put_u8(aad, share->threshold));
    TRY(wire_put_u64(aad, share->from_epoch));
    TRY(wire_put_u8(aad, share->dealer));
    TRY(escrow_put_indices(aad, share->dealers_n, share->dealers));
    return record_put_raw(aad, share->check, ESCROW_CHECK);
}

err_t *escrow_share_seal(const escrow_sealer_t *sealer, const uint8_t object_hash[ESCROW_HASH],
                         const rnd_t *rnd, bytes_t y, escrow_share_t *share) {
    if (y.n != ESCROW_KEY) return err_new(ERR_USAGE, "a share has 32 bytes");
    CLEANUP(buf_done) buf_t aad, sealed;
    buf_init(&aad, AAD_MAX);
    buf_init(&sealed, ESCROW_SHARE_SEALED);
    TRY(escrow_share_check(object_hash, share->index, y, share->check));
    TRY(share_aad(object_hash, share, &aad));
    TRY(aead_seal(sealer->key, rnd, buf_bytes(&aad), y, &sealed));
    memcpy(share->enc, sealer->enc, ESCROW_ENC);
    memcpy(share->sealed, sealed.p, ESCROW_SHARE_SEALED);
    return NULL;
}

static err_t *deal_one(const escrow_set_t *set, const escrow_officer_t *officer,
                       const escrow_sealer_t *sealer, const uint8_t *object_hash, const rnd_t *rnd,
                       bytes_t y, buf_t *out) {
    escrow_share_t share = {
        .epoch = set->epoch, .index = officer->index, .threshold = set->threshold};
    memcpy(share.officer, officer->id, sizeof share.officer);
    TRY(escrow_share_seal(sealer, object_hash, rnd, y, &share));
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    TRY(escrow_share_put(&share, &record));
    return wire_put_bytes(out, buf_bytes(&record));
}

err_t *escrow_deal(const escrow_object_t *object, const escrow_set_t *set,
                   escrow_sealer_t *const *sealers, const rnd_t *rnd, const secret_t *dek,
                   buf_t *out) {
    uint8_t hash[ESCROW_HASH], xs[LIMIT_ESCROW_OFFICERS];
    CLEANUP(secret_free) secret_t *ys = NULL;
    TRY(escrow_object_hash(object, hash));
    for (size_t i = 0; i < set->n; i++) xs[i] = set->officers[i].index;
    TRY(secret_new(set->n * ESCROW_KEY, &ys));
    TRY(shamir_split(rnd, secret_bytes(dek), set->threshold, xs, set->n, secret_data(ys)));
    for (size_t i = 0; i < set->n; i++)
        TRY(deal_one(set, &set->officers[i], sealers[i], hash, rnd,
                     bytes_slice(secret_bytes(ys), i * ESCROW_KEY, ESCROW_KEY), out));
    return NULL;
}

/* ---- opening shares ---- */

struct escrow_opener {
    uint8_t set_hash[ESCROW_HASH];
    char officer[LIMIT_ESCROW_OFFICER + 1];
    const pkey_t *private_key; /* borrowed */
    uint8_t enc[ESCROW_ENC];   /* of `key`, if there is one */
    secret_t *key;
};

err_t *escrow_opener_new(const uint8_t set_hash[ESCROW_HASH], const char *officer,
                         const pkey_t *key, escrow_opener_t **ret_opener) {
    if (strlen(officer) > LIMIT_ESCROW_OFFICER) return err_new(ERR_LIMIT, "officer's id too long");
    escrow_opener_t *opener = mem_zalloc(sizeof *opener);
    if (!opener) return err_nomem();
    memcpy(opener->set_hash, set_hash, ESCROW_HASH);
    memcpy(opener->officer, officer, strlen(officer) + 1);
    opener->private_key = key;
    *ret_opener = opener;
    return NULL;
}

void escrow_opener_free(escrow_opener_t *opener) {
    if (!opener) return;
    secret_free(opener->key);
    mem_free(opener);
}

static err_t *find_key(escrow_opener_t *opener, const uint8_t *enc) {
    if (opener->key && memcmp(opener->enc, enc, ESCROW_ENC) == 0) return NULL;
    CLEANUP(hpke_free) hpke_t *hpke = NULL;
    CLEANUP(secret_free) secret_t *key = NULL;
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(share_info(opener->set_hash, opener->officer, &info));
    TRY(hpke_receiver_new(HPKE_EXPORT_ONLY, opener->private_key, bytes_make(enc, ESCROW_ENC),
                          buf_bytes(&info), NULL, &hpke));
    TRY(hpke_export(hpke, BYTES_LIT(CONTEXT_SHARE), ESCROW_KEY, &key));
    secret_free(opener->key);
    opener->key = STEAL(key);
    memcpy(opener->enc, enc, ESCROW_ENC);
    return NULL;
}

static err_t *open_share(escrow_opener_t *opener, const uint8_t *object_hash,
                         const escrow_share_t *share, secret_t **ret_y) {
    CLEANUP(secret_free) secret_t *y = NULL;
    CLEANUP(buf_done) buf_t aad;
    uint8_t check[ESCROW_CHECK];
    buf_init(&aad, AAD_MAX);
    if (strcmp(share->officer, opener->officer) != 0)
        return err_new(ERR_VERIFY, "it is for officer %s", share->officer);
    TRY(find_key(opener, share->enc));
    TRY(share_aad(object_hash, share, &aad));
    TRY(aead_open_secret(opener->key, buf_bytes(&aad), BYTES_ARRAY(share->sealed), &y));
    TRY(escrow_share_check(object_hash, share->index, secret_bytes(y), check));
    if (!bytes_eq_ct(BYTES_ARRAY(check), BYTES_ARRAY(share->check)))
        return err_new(ERR_VERIFY, "it is not what its check value says");
    *ret_y = STEAL(y);
    return NULL;
}

err_t *escrow_share_open(escrow_opener_t *opener, const uint8_t object_hash[ESCROW_HASH],
                         const escrow_share_t *share, secret_t **ret_y) {
    err_t *e = open_share(opener, object_hash, share, ret_y);
    if (!e) return NULL;
    if (share->dealer == 0) return err_wrap(e, "the share of officer %s", opener->officer);
    return err_wrap(e, "what officer %u of epoch %llu dealt to officer %s", share->dealer,
                    (unsigned long long)share->from_epoch, opener->officer);
}

/* Whether the parts are those of one dealing, each dealer's once. */
static err_t *check_parts(const escrow_opener_t *opener, const escrow_share_t *parts, size_t n) {
    const escrow_share_t *first = parts;
    if (n != first->dealers_n)
        return err_new(ERR_VERIFY, "officer %s has %zu of %u parts of a share", opener->officer, n,
                       first->dealers_n);
    for (size_t i = 0; i < n; i++) {
        const escrow_share_t *part = &parts[i];
        if (part->epoch != first->epoch || part->index != first->index ||
            part->from_epoch != first->from_epoch || part->dealers_n != first->dealers_n ||
            memcmp(part->dealers, first->dealers, first->dealers_n) != 0)
            return err_new(ERR_VERIFY, "the parts of officer %s's share are of different dealings",
                           opener->officer);
        for (size_t k = 0; k < i; k++)
            if (parts[k].dealer == part->dealer)
                return err_new(ERR_VERIFY, "dealer %u's part comes twice", part->dealer);
    }
    return NULL;
}

err_t *escrow_shares_open(escrow_opener_t *opener, const uint8_t object_hash[ESCROW_HASH],
                          const escrow_share_t *parts, size_t n, secret_t **ret_y) {
    if (n == 1 && parts[0].dealer == 0) return escrow_share_open(opener, object_hash, parts, ret_y);
    if (n == 0) return err_new(ERR_VERIFY, "officer %s has no share", opener->officer);
    TRY(check_parts(opener, parts, n));
    CLEANUP(secret_free) secret_t *sum = NULL;
    TRY(secret_new(ESCROW_KEY, &sum));
    for (size_t i = 0; i < n; i++) {
        CLEANUP(secret_free) secret_t *y = NULL;
        TRY(escrow_share_open(opener, object_hash, &parts[i], &y));
        if (secret_size(y) != ESCROW_KEY) return err_new(ERR_VERIFY, "a part of a wrong length");
        for (size_t b = 0; b < ESCROW_KEY; b++) secret_data(sum)[b] ^= secret_bytes(y).p[b];
    }
    *ret_y = STEAL(sum);
    return NULL;
}
