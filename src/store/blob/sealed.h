/*
 * The sealed form of a blob: how it lies in every store, whoever runs that. Format "cofferB1",
 * frozen in docs/formats/blobs.md:
 *
 *   magic "cofferB1" | number of the storage key u32 | size of the blob u64 | salt 16 | zero 4
 *   chunks of 64 KiB (the last shorter, of an empty blob empty): AES-256-GCM, each with its tag
 *
 * The key of one object is HKDF-SHA256(salt, blob key, "coffer/v1/blob" 0x00 || id); the nonce of a
 * chunk is its index and whether it is the last (STREAM); the associated data is the header and the
 * id. So a piece can be read without the rest, and nothing of it can be moved, cut, or answered for
 * another blob. Big-endian numbers. The content is the client's ciphertext already: this layer
 * keeps a thief of disks or buckets from seeing even that.
 */
#ifndef COFFER_STORE_BLOB_SEALED_H
#define COFFER_STORE_BLOB_SEALED_H

#include "base/limits.h"
#include "base/rnd.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "store/blob/blob.h"

enum {
    SEALED_HEADER = 40,
    SEALED_CHUNK = 64 * 1024,
    SEALED_CHUNK_WHOLE = SEALED_CHUNK + AEAD_TAG_SIZE,
};

/* The keys that blobs are sealed under, by the number of their storage key. */
typedef struct {
    uint32_t current;                       /* seals; 1.. */
    secret_t *keys[LIMIT_STORAGE_KEYS + 1]; /* by number; owned; NULL: we have none */
} blob_keys_t;

void blob_keys_done(blob_keys_t *keys);

/* Bytes of the sealed form of a blob of `size` bytes. */
uint64_t sealed_size(uint64_t size);

/* Makes the sealed form piece by piece, and the blob's id and the object's hash with it. */
typedef struct sealed_writer sealed_writer_t;

err_t *sealed_writer_new(const blob_keys_t *keys, const rnd_t *rnd, const blob_id_t *id,
                         uint64_t size, sealed_writer_t **ret_writer) WARN_UNUSED;
void sealed_writer_free(sealed_writer_t *writer); /* takes NULL */
/*
 * Right after sealed_writer_new. `known`: the caller has just made the id of this very content, so
 * that it is not hashed again. `unhashed`: nobody needs the object's hash, and it is all zeros.
 */
void sealed_writer_lean(sealed_writer_t *writer, bool known, bool unhashed);
/* Appends what is ready to out (up to data.n and two chunks). ERR_VERIFY: more than `size`. */
err_t *sealed_writer_add(sealed_writer_t *writer, bytes_t data, buf_t *out) WARN_UNUSED;
/* The last of it. ERR_VERIFY: less than `size`, or the content is not what the id says. */
err_t *sealed_writer_end(sealed_writer_t *writer, buf_t *out,
                         uint8_t ret_sha256[DIGEST_SHA256_SIZE]) WARN_UNUSED;

DEFINE_CLEANUP(sealed_writer_t, sealed_writer_free)

typedef struct {
    uint64_t size; /* of the blob */
    secret_t *key; /* owned */
    uint8_t header[SEALED_HEADER];
    blob_id_t id;
} sealed_reader_t;

/* From an object's first SEALED_HEADER bytes. ERR_VERIFY. ERR_NOT_FOUND: a key we don't have. */
err_t *sealed_reader_init(sealed_reader_t *reader, const blob_keys_t *keys, const blob_id_t *id,
                          bytes_t header) WARN_UNUSED;
void sealed_reader_done(sealed_reader_t *reader);
static inline uint64_t sealed_chunks(uint64_t size) {
    return size ? (size + SEALED_CHUNK - 1) / SEALED_CHUNK : 1;
}
/* Where in the object a chunk begins, and how many bytes it has there. */
uint64_t sealed_chunk_at(uint64_t index);
size_t sealed_chunk_size(const sealed_reader_t *reader, uint64_t index);
/* Appends a chunk's content. ERR_VERIFY. */
err_t *sealed_chunk_open(const sealed_reader_t *reader, uint64_t index, bytes_t sealed,
                         buf_t *out) WARN_UNUSED;

/* Reads the whole object: that it is complete, genuine, and what its id says. ERR_VERIFY. */
err_t *sealed_check(const blob_keys_t *keys, const blob_id_t *id, bytes_t object) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(sealed_reader_t, sealed_reader_done)
DEFINE_CLEANUP_VALUE(blob_keys_t, blob_keys_done)

#endif
