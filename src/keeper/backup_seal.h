/*
 * The cryptography of backups over the records of backup_format.h: chunks under keys that follow
 * from their content, the list of files as a stream, the head's signature. No state, no I/O; for
 * the keeper, which seals the vault, and for the command line, which seals and opens the rest.
 * Thread-safe.
 */
#ifndef COFFER_KEEPER_BACKUP_SEAL_H
#define COFFER_KEEPER_BACKUP_SEAL_H

#include "base/rnd.h"
#include "crypto/pkey.h"
#include "crypto/secret.h"
#include "keeper/backup_format.h"

#define BACKUP_DOMAIN "coffer/v1/backup" /* of the head's signature */

/* How a chunk's content is written. */
typedef enum {
    BACKUP_STORED = 0,
    BACKUP_ZSTD = 1,
} backup_method_t;

/*
 * The keys of one class of chunks, out of its 32-byte secret. A chunk's id is a keyed hash of its
 * content's SHA-256. Its key follows from a tweak: for files that SHA-256, so that who has the
 * class secret and the chunks but not the list of files opens nothing; for the vault the id.
 */
typedef struct {
    secret_t *id_key, *key_key;
} backup_keys_t;

err_t *backup_keys_new(bytes_t class_secret, backup_keys_t *ret_keys) WARN_UNUSED;
void backup_keys_done(backup_keys_t *keys); /* takes a zeroed one */
err_t *backup_chunk_id(const backup_keys_t *keys, const uint8_t hash[ESCROW_HASH],
                       uint8_t ret_id[ESCROW_HASH]) WARN_UNUSED;
/* Appends a chunk's file. */
err_t *backup_chunk_seal(const backup_keys_t *keys, const uint8_t id[ESCROW_HASH],
                         const uint8_t tweak[ESCROW_HASH], backup_method_t method, bytes_t content,
                         const rnd_t *rnd, buf_t *out) WARN_UNUSED;
/* Appends the content as it was written. ERR_VERIFY: changed, or another chunk. */
err_t *backup_chunk_open(const backup_keys_t *keys, const uint8_t id[ESCROW_HASH],
                         const uint8_t tweak[ESCROW_HASH], bytes_t file,
                         backup_method_t *ret_method, buf_t *out) WARN_UNUSED;

/*
 * STREAM (Hoang, Reyhanitabar, Rogaway, Vizar 2015) with AES-256-GCM: segments whose nonces hold
 * their number and whether they are the last, so that none can be cut off, moved or repeated. The
 * record begins with a commitment to the key.
 */
err_t *backup_stream_seal(bytes_t key, const rnd_t *rnd, bytes_t content, buf_t *out) WARN_UNUSED;
err_t *backup_stream_open(bytes_t key, bytes_t record, buf_t *out) WARN_UNUSED;

/* Whether the head was signed by the key that stands in it. ERR_VERIFY. */
err_t *backup_head_verify(const backup_head_t *head) WARN_UNUSED;
/* The head, and that the lists are those it was signed with. ERR_VERIFY says which is not. */
err_t *backup_manifest_verify(const backup_manifest_t *manifest) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(backup_keys_t, backup_keys_done)

#endif
