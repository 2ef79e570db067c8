/*
 * The backup that is being made: see backups.h. Worker threads.
 */
#include "keeper/backups.h"

#include <pthread.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "keeper/backup_seal.h"
#include "keeper/escrow_codec.h"

#define INFO_ROOT  "coffer/v1/vault/backup"
#define INFO_VAULT "coffer/v1/backup/vault"
#define INFO_FILES "coffer/v1/backup/files"

enum { INFO_MAX = 128 };

struct backups {
    vault_t *vault;
    pthread_mutex_t lock; /* guards all that follows */
    vault_copy_t *copy;   /* NULL: none is being made */
    uint8_t id[ESCROW_ID], generation[ESCROW_ID], set_hash[ESCROW_HASH];
    secret_t *vault_key, *files_key, *index_key;
    backup_keys_t keys; /* of the vault's chunks */
    uint32_t before;    /* where the answer before began */
    uint32_t next;      /* chunk to be read */
    digest_t *digest;   /* over what was read */
    bool readable;
};

err_t *backups_new(vault_t *vault, backups_t **ret_backups) {
    backups_t *backups = mem_zalloc(sizeof *backups);
    if (!backups) return err_nomem();
    (void)pthread_mutex_init(&backups->lock, NULL);
    backups->vault = vault;
    *ret_backups = backups;
    return NULL;
}

static void clear(backups_t *b) {
    vault_copy_free(STEAL(b->copy));
    secret_free(STEAL(b->vault_key));
    secret_free(STEAL(b->files_key));
    secret_free(STEAL(b->index_key));
    backup_keys_done(&b->keys);
    digest_free(STEAL(b->digest));
    b->before = b->next = 0;
    b->readable = false;
}

void backups_free(backups_t *backups) {
    if (!backups) return;
    clear(backups);
    (void)pthread_mutex_destroy(&backups->lock);
    mem_free(backups);
}

/* The same generation and set give the same key, so that chunks can be told again; who has left
 * the officers' set cannot open what is sealed after. */
static err_t *class_secret(const backups_t *b, const char *info_text, secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *root = NULL;
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(kdf_hkdf(BYTES_NONE, secret_bytes(vault_master(b->vault)), BYTES_LIT(INFO_ROOT), ESCROW_KEY,
                 &root));
    TRY(wire_put_str(&info, info_text));
    TRY(record_put_raw(&info, b->generation, ESCROW_ID));
    TRY(record_put_raw(&info, b->set_hash, ESCROW_HASH));
    return kdf_hkdf(BYTES_NONE, secret_bytes(root), buf_bytes(&info), ESCROW_KEY, ret_key);
}

static err_t *begin(backups_t *b, const rnd_t *rnd) {
    TRY(class_secret(b, INFO_VAULT, &b->vault_key));
    TRY(class_secret(b, INFO_FILES, &b->files_key));
    TRY(secret_random(rnd, ESCROW_KEY, &b->index_key));
    TRY(backup_keys_new(secret_bytes(b->vault_key), &b->keys));
    TRY(digest_new(&b->digest));
    return vault_copy_begin(b->vault, &b->copy);
}

err_t *backups_begin(backups_t *b, const uint8_t id[ESCROW_ID], const uint8_t generation[ESCROW_ID],
                     const uint8_t set_hash[ESCROW_HASH], const rnd_t *rnd, buf_t *ret_files_key,
                     buf_t *ret_index_key) {
    (void)pthread_mutex_lock(&b->lock);
    clear(b);
    memcpy(b->id, id, ESCROW_ID);
    memcpy(b->generation, generation, ESCROW_ID);
    memcpy(b->set_hash, set_hash, ESCROW_HASH);
    err_t *e = begin(b, rnd);
    if (!e) e = buf_add(ret_files_key, secret_bytes(b->files_key));
    if (!e) e = buf_add(ret_index_key, secret_bytes(b->index_key));
    if (e) clear(b);
    (void)pthread_mutex_unlock(&b->lock);
    return e;
}

static err_t *check_id(const backups_t *b, const uint8_t *id) {
    if (!b->copy || memcmp(b->id, id, ESCROW_ID) != 0)
        return err_new(ERR_NOT_FOUND, "this backup is not being made: another one was begun, or "
                                      "the server was started again");
    return NULL;
}

err_t *backups_copy(backups_t *b, const uint8_t id[ESCROW_ID], unsigned *ret_left) {
    (void)pthread_mutex_lock(&b->lock);
    err_t *e = check_id(b, id);
    if (!e) e = vault_copy_step(b->copy, ret_left);
    if (!e) b->readable = *ret_left == 0;
    (void)pthread_mutex_unlock(&b->lock);
    return e;
}

static err_t *read_one(backups_t *b, uint32_t number, size_t n, const rnd_t *rnd, uint8_t *content,
                       buf_t *out) {
    CLEANUP(buf_done) buf_t file;
    uint8_t hash[ESCROW_HASH], id[ESCROW_HASH];
    buf_init(&file, BACKUP_CHUNK_FILE);
    TRY(vault_copy_read(b->copy, (uint64_t)number * BACKUP_CHUNK, content, n));
    if (number == b->next) TRY(digest_update(b->digest, bytes_make(content, n)));
    TRY(digest_sha256(bytes_make(content, n), hash));
    TRY(backup_chunk_id(&b->keys, hash, id));
    TRY(backup_chunk_seal(&b->keys, id, id, BACKUP_STORED, bytes_make(content, n), rnd, &file));
    TRY(buf_add(out, BYTES_ARRAY(id)));
    TRY(wire_put_bytes(out, buf_bytes(&file)));
    if (number == b->next) b->next++;
    return NULL;
}

static err_t *read_some(backups_t *b, uint32_t first, const rnd_t *rnd, buf_t *out) {
    if (!b->readable) return err_new(ERR_USAGE, "the vault is not copied yet");
    if (first != b->next && first != b->before)
        return err_new(ERR_USAGE, "the vault's chunks are read in their order");
    uint64_t size = vault_copy_size(b->copy);
    if (backup_chunks_of(size) > LIMIT_BACKUP_CHUNKS)
        return err_new(ERR_LIMIT, "the vault is too large for a backup");
    uint8_t *content = mem_alloc(BACKUP_CHUNK);
    if (!content) return err_nomem();
    b->before = first;
    err_t *e = NULL;
    for (uint32_t i = first; !e && i < first + BACKUPS_READ && i < backup_chunks_of(size); i++) {
        uint64_t left = size - (uint64_t)i * BACKUP_CHUNK;
        e = read_one(b, i, left < BACKUP_CHUNK ? (size_t)left : BACKUP_CHUNK, rnd, content, out);
    }
    mem_free(content);
    return e;
}

err_t *backups_read(backups_t *b, const uint8_t id[ESCROW_ID], uint32_t first, const rnd_t *rnd,
                    buf_t *out) {
    (void)pthread_mutex_lock(&b->lock);
    err_t *e = check_id(b, id);
    if (!e) e = read_some(b, first, rnd, out);
    (void)pthread_mutex_unlock(&b->lock);
    return e;
}

static err_t *finish(backups_t *b, const uint8_t *set_hash, buf_t *ret_secret,
                     uint32_t *ret_chunks) {
    if (memcmp(b->set_hash, set_hash, ESCROW_HASH) != 0)
        return err_new(ERR_DENIED, "the officers' set has changed meanwhile: begin again");
    if (!b->readable || b->next != backup_chunks_of(vault_copy_size(b->copy)))
        return err_new(ERR_USAGE, "the vault's chunks were not all read");
    backup_secret_t secret = {
        .master = secret_bytes(vault_master(b->vault)),
        .vault_key = secret_bytes(b->vault_key),
        .files_key = secret_bytes(b->files_key),
        .index_key = secret_bytes(b->index_key),
        .vault_size = vault_copy_size(b->copy),
    };
    TRY(digest_final(b->digest, secret.vault_sha256));
    *ret_chunks = b->next;
    return backup_secret_put(&secret, ret_secret);
}

err_t *backups_finish(backups_t *b, const uint8_t id[ESCROW_ID],
                      const uint8_t set_hash[ESCROW_HASH], buf_t *ret_secret,
                      uint8_t ret_generation[ESCROW_ID], uint32_t *ret_chunks) {
    (void)pthread_mutex_lock(&b->lock);
    err_t *e = check_id(b, id);
    if (!e) e = finish(b, set_hash, ret_secret, ret_chunks);
    if (!e) memcpy(ret_generation, b->generation, ESCROW_ID);
    if (!e) clear(b);
    (void)pthread_mutex_unlock(&b->lock);
    return e;
}
