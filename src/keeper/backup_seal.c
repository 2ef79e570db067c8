/*
 * Chunks and streams of backups: see backup_seal.h. AES-256-GCM (SP 800-38D), HMAC-SHA256
 * (RFC 2104), HKDF (RFC 5869). Any process.
 */
#include "keeper/backup_seal.h"

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "keeper/escrow_codec.h"

#define INFO_ID       "coffer/v1/backup/chunk-id"
#define INFO_KEY      "coffer/v1/backup/chunk-key"
#define INFO_INDEX    "coffer/v1/backup/index-key"
#define INFO_COMMIT   "coffer/v1/backup/index-commit"
#define DOMAIN_CHUNK  "coffer/v1/backup/chunk"
#define DOMAIN_STREAM "coffer/v1/backup/index"

enum { AAD_MAX = 128, NONCE = AEAD_NONCE_SIZE, TAG = AEAD_TAG_SIZE };

/* ---- chunks ---- */

err_t *backup_keys_new(bytes_t class_secret, backup_keys_t *ret_keys) {
    CLEANUP(backup_keys_done) backup_keys_t keys = {0};
    TRY(kdf_hkdf(BYTES_NONE, class_secret, BYTES_LIT(INFO_ID), ESCROW_KEY, &keys.id_key));
    TRY(kdf_hkdf(BYTES_NONE, class_secret, BYTES_LIT(INFO_KEY), ESCROW_KEY, &keys.key_key));
    *ret_keys = keys;
    keys = (backup_keys_t){0};
    return NULL;
}

void backup_keys_done(backup_keys_t *keys) {
    secret_free(keys->id_key);
    secret_free(keys->key_key);
    *keys = (backup_keys_t){0};
}

err_t *backup_chunk_id(const backup_keys_t *keys, const uint8_t hash[ESCROW_HASH],
                       uint8_t ret_id[ESCROW_HASH]) {
    return digest_hmac_sha256(secret_bytes(keys->id_key), bytes_make(hash, ESCROW_HASH), ret_id);
}

static err_t *chunk_aad(const uint8_t *id, buf_t *aad) {
    TRY(wire_put_str(aad, DOMAIN_CHUNK));
    return record_put_raw(aad, id, ESCROW_HASH);
}

static err_t *seal_with(const uint8_t *key, bytes_t aad, bytes_t plain, const rnd_t *rnd,
                        buf_t *out) {
    uint8_t nonce[NONCE];
    TRY(rnd_fill(rnd, nonce, sizeof nonce));
    TRY(buf_add(out, BYTES_ARRAY(nonce)));
    return aead_seal_nonce(AEAD_AES256_GCM, bytes_make(key, ESCROW_KEY), BYTES_ARRAY(nonce), aad,
                           plain, out);
}

err_t *backup_chunk_seal(const backup_keys_t *keys, const uint8_t id[ESCROW_HASH],
                         const uint8_t tweak[ESCROW_HASH], backup_method_t method, bytes_t content,
                         const rnd_t *rnd, buf_t *out) {
    CLEANUP(buf_done) buf_t aad, plain;
    uint8_t key[ESCROW_KEY];
    buf_init(&aad, AAD_MAX);
    buf_init_secret(&plain, BACKUP_CHUNK + 1);
    TRY(chunk_aad(id, &aad));
    TRY(buf_add_byte(&plain, (uint8_t)method));
    TRY(buf_add(&plain, content));
    TRY(escrow_put_head(out, "CK"));
    TRY(digest_hmac_sha256(secret_bytes(keys->key_key), bytes_make(tweak, ESCROW_HASH), key));
    err_t *e = seal_with(key, buf_bytes(&aad), buf_bytes(&plain), rnd, out);
    mem_wipe(key, sizeof key);
    return e;
}

static err_t *chunk_plain(const backup_keys_t *keys, const uint8_t *id, const uint8_t *tweak,
                          bytes_t sealed, buf_t *plain) {
    CLEANUP(buf_done) buf_t aad;
    uint8_t key[ESCROW_KEY];
    buf_init(&aad, AAD_MAX);
    TRY(chunk_aad(id, &aad));
    TRY(digest_hmac_sha256(secret_bytes(keys->key_key), bytes_make(tweak, ESCROW_HASH), key));
    err_t *e = aead_open_nonce(AEAD_AES256_GCM, BYTES_ARRAY(key), bytes_slice(sealed, 0, NONCE),
                               buf_bytes(&aad), bytes_from(sealed, NONCE), plain);
    mem_wipe(key, sizeof key);
    return e;
}

err_t *backup_chunk_open(const backup_keys_t *keys, const uint8_t id[ESCROW_HASH],
                         const uint8_t tweak[ESCROW_HASH], bytes_t file,
                         backup_method_t *ret_method, buf_t *out) {
    CLEANUP(buf_done) buf_t plain;
    wire_reader_t r = wire_reader(file);
    buf_init_secret(&plain, BACKUP_CHUNK + 1);
    TRY(escrow_get_head(&r, "CK"));
    if (r.rest.n < NONCE + TAG + 1 || r.rest.n > BACKUP_CHUNK + NONCE + TAG + 1)
        return err_new(ERR_INVALID, "a chunk of %zu bytes", file.n);
    TRY_WRAP(chunk_plain(keys, id, tweak, r.rest, &plain), "the chunk was changed");
    if (plain.p[0] > BACKUP_ZSTD)
        return err_new(ERR_VERIFY, "a chunk is packed in a way that is not known here");
    TRY(buf_add(out, bytes_from(buf_bytes(&plain), 1)));
    *ret_method = (backup_method_t)plain.p[0];
    return NULL;
}

/* ---- streams ---- */

static err_t *stream_keys(bytes_t key, secret_t **ret_key, secret_t **ret_commit) {
    CLEANUP(secret_free) secret_t *seal = NULL;
    TRY(kdf_hkdf(BYTES_NONE, key, BYTES_LIT(INFO_INDEX), ESCROW_KEY, &seal));
    TRY(kdf_hkdf(BYTES_NONE, key, BYTES_LIT(INFO_COMMIT), ESCROW_HASH, ret_commit));
    *ret_key = STEAL(seal);
    return NULL;
}

static void make_nonce(const uint8_t *prefix, uint32_t number, bool last, uint8_t nonce[NONCE]) {
    memcpy(nonce, prefix, BACKUP_STREAM_PREFIX);
    for (unsigned i = 0; i < 4; i++)
        nonce[BACKUP_STREAM_PREFIX + i] = (uint8_t)(number >> (24 - 8 * i));
    nonce[NONCE - 1] = last;
}

err_t *backup_stream_seal(bytes_t key, const rnd_t *rnd, bytes_t content, buf_t *out) {
    CLEANUP(secret_free) secret_t *seal = NULL, *commit = NULL;
    uint8_t prefix[BACKUP_STREAM_PREFIX], nonce[NONCE];
    TRY(stream_keys(key, &seal, &commit));
    TRY(rnd_fill(rnd, prefix, sizeof prefix));
    TRY(escrow_put_head(out, "BI"));
    TRY(buf_add(out, secret_bytes(commit)));
    TRY(buf_add(out, BYTES_ARRAY(prefix)));
    uint32_t number = 0;
    for (bool last = false; !last; number++) {
        bytes_t segment = bytes_slice(content, 0, BACKUP_SEGMENT);
        content = bytes_from(content, segment.n);
        last = content.n == 0;
        make_nonce(prefix, number, last, nonce);
        TRY(aead_seal_nonce(AEAD_AES256_GCM, secret_bytes(seal), BYTES_ARRAY(nonce),
                            BYTES_LIT(DOMAIN_STREAM), segment, out));
    }
    return NULL;
}

err_t *backup_stream_open(bytes_t key, bytes_t record, buf_t *out) {
    CLEANUP(secret_free) secret_t *seal = NULL, *commit = NULL;
    wire_reader_t r = wire_reader(record);
    uint8_t prefix[BACKUP_STREAM_PREFIX], nonce[NONCE];
    bytes_t given;
    TRY(escrow_get_head(&r, "BI"));
    TRY(wire_get_raw(&r, ESCROW_HASH, &given));
    TRY(record_get_raw(&r, sizeof prefix, prefix));
    TRY(stream_keys(key, &seal, &commit));
    if (!secret_eq(commit, given))
        return err_new(ERR_VERIFY, "the list of files is under another key");
    uint32_t number = 0;
    for (bool last = false; !last; number++) {
        bytes_t segment = bytes_slice(r.rest, 0, BACKUP_SEGMENT + TAG);
        r.rest = bytes_from(r.rest, segment.n);
        last = r.rest.n == 0;
        make_nonce(prefix, number, last, nonce);
        TRY_WRAP(aead_open_nonce(AEAD_AES256_GCM, secret_bytes(seal), BYTES_ARRAY(nonce),
                                 BYTES_LIT(DOMAIN_STREAM), segment, out),
                 "the list of files was changed (part %u)", number);
    }
    return NULL;
}

/* ---- head ---- */

err_t *backup_head_verify(const backup_head_t *head) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    TRY_WRAP(pkey_parse_public_der(head->audit_key, &key), "the key in the backup's head");
    if (pkey_kind(key) != PKEY_ED25519)
        return err_new(ERR_VERIFY, "the backup's head is not signed with Ed25519");
    TRY_WRAP(pkey_verify(key, BACKUP_DOMAIN, head->message, BYTES_ARRAY(head->signature)),
             "the backup's head was changed");
    return NULL;
}

static err_t *check_hash(bytes_t data, const uint8_t *expected, const char *what) {
    uint8_t hash[ESCROW_HASH];
    TRY(digest_sha256(data, hash));
    if (memcmp(hash, expected, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the backup's %s was changed", what);
    return NULL;
}

err_t *backup_manifest_verify(const backup_manifest_t *manifest) {
    TRY(backup_head_verify(&manifest->head));
    TRY(check_hash(manifest->table, manifest->head.table_hash, "list of chunks"));
    return check_hash(manifest->index, manifest->head.index_hash, "list of files");
}
