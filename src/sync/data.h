/*
 * The data package of one version of a file, folder or pack: a header (record cofferYD) and
 * chunks of AES-256-GCM in the STREAM form (prefix 7 bytes, counter 4, last flag 1), 1 MiB each,
 * every file version under a random key of its own (R7) that is wrapped under the key of its
 * folder and epoch. The header commits to the key (R18); each chunk is bound to the header's hash,
 * its index and whether it is the last (R9). The content is padded with zeros so that sizes tell
 * little (R14). What the service sees is the Merkle root over header and chunks (R17).
 *
 * Memory: about 2 MiB for a writer that copies, nothing else, whatever the size. One thread at a
 * time each.
 *
 * Two contents are never sealed as the same chunk under one key: to go on with an upload see
 * sync_writer_again, or begin a new version.
 */
#ifndef COFFER_SYNC_DATA_H
#define COFFER_SYNC_DATA_H

#include "base/rnd.h"
#include "crypto/aead.h"
#include "crypto/merkle.h"
#include "crypto/secret.h"
#include "sync/suite.h"

enum {
    SYNC_CHUNK = 1024 * 1024, /* bytes of plain text in every chunk but the last */
    SYNC_SEALED_CHUNK = SYNC_CHUNK + AEAD_TAG_SIZE,
    SYNC_PREFIX = 7,
    SYNC_SALT = 32,
    /* Head, suite, region, node, version, epoch, folder, salt, prefix, wrap, commitment. */
    SYNC_HEADER = RECORD_HEAD + 2 + SYNC_HASH + 3 * SYNC_NODE + 8 + SYNC_SALT + SYNC_PREFIX + 4 +
                  SYNC_WRAP + SYNC_HASH,
    SYNC_PADDED_MIN = 1024, /* bytes; anything smaller is padded to it */
};

/* 16 TiB: the largest padded content that may be sealed. */
#define SYNC_DATA_MAX ((uint64_t)16 << 40)

/* What a data package belongs to. */
typedef struct {
    uint16_t suite;
    uint8_t region[SYNC_HASH];
    uint8_t node[SYNC_NODE];
    uint8_t version[SYNC_NODE];
    uint64_t epoch;
    uint8_t folder[SYNC_NODE]; /* whose key wraps; a folder's own node for a folder */
} sync_data_id_t;

typedef struct {
    sync_data_id_t id;
    uint8_t salt[SYNC_SALT];
    uint8_t prefix[SYNC_PREFIX];
    uint8_t wrap[SYNC_WRAP];
    uint8_t commit[SYNC_HASH];
} sync_header_t;

err_t *sync_header_put(const sync_header_t *header, buf_t *out) WARN_UNUSED;
/* Of SYNC_HEADER bytes, else ERR_INVALID. */
err_t *sync_header_parse(bytes_t record, sync_header_t *ret_header) WARN_UNUSED;

/* Content of so many bytes, padded: at most an eighth is added, and few different sizes remain. */
uint64_t sync_padded(uint64_t size);
/* Bytes of the whole package for so much padded content, and the other way. ERR_INVALID if a
 * package of this size can't be. ERR_LIMIT past SYNC_DATA_MAX. */
err_t *sync_package_size(uint64_t padded, uint64_t *ret_size) WARN_UNUSED;
err_t *sync_package_content(uint64_t size, uint64_t *ret_padded, uint32_t *ret_chunks) WARN_UNUSED;

/*
 * Parts: how a package travels and is stored, since stores take blobs of at most 16 MiB. The first
 * has the header too. Part by part the leaves' hashes are known when it arrives, so the root is
 * found at the end without reading anything again (merkle_add). Not a part of the frozen format.
 */
enum { SYNC_PART_CHUNKS = 8 };

uint32_t sync_parts(uint64_t package_size); /* 0 for a size that can't be */
/* Where the index-th lies in the package; false: there is none. */
bool sync_part(uint64_t package_size, uint32_t index, uint64_t *ret_offset, uint64_t *ret_size);

/* ---- file keys ---- */

/* The file key in the header, under a folder's key; ERR_VERIFY. Checks the commitment. */
err_t *sync_file_key_open(const sync_header_t *header, const secret_t *folder_key,
                          secret_t **ret_file_key) WARN_UNUSED;
/* Whether this is the key (it came some other way); ERR_VERIFY. */
err_t *sync_file_key_check(const sync_header_t *header, const secret_t *file_key) WARN_UNUSED;

/* ---- writing ---- */

/* Takes the next piece of the package: the header first, then one chunk each. Not for who asks
 * for room. */
typedef struct {
    void *ctx;
    err_t *(*write)(void *ctx, bytes_t piece);
} sync_sink_t;

typedef struct sync_writer sync_writer_t;

/* For exactly `size` bytes of content. Writes the header. `folder_key` wraps a new file key. */
err_t *sync_writer_new(const sync_data_id_t *id, const secret_t *folder_key, const rnd_t *rnd,
                       uint64_t size, const sync_sink_t *sink,
                       sync_writer_t **ret_writer) WARN_UNUSED;
void sync_writer_free(sync_writer_t *writer); /* takes NULL */
/*
 * The same package once more, from its header: what comes out is byte by byte what came out before,
 * if the content is the same. Who goes on with an upload so MUST compare each chunk's tag with the
 * one of before, and let none go out that has another: the content has changed, and two contents
 * under one nonce would give both away.
 */
err_t *sync_writer_again(const sync_header_t *header, const secret_t *folder_key, uint64_t size,
                         const sync_sink_t *sink, sync_writer_t **ret_writer) WARN_UNUSED;
/* ERR_INVALID for more than `size`: the file grew while it was read; begin again. */
err_t *sync_writer_add(sync_writer_t *writer, bytes_t content) WARN_UNUSED;
/*
 * Without a copy, for who keeps the pieces: room for the next chunk behind what `out` has, and how
 * many bytes of content belong there (0: padding alone); then they are sealed where they lie, and
 * `out` has the chunk. Its sink is not asked. Not together with sync_writer_add.
 */
err_t *sync_writer_room(const sync_writer_t *writer, buf_t *out, uint8_t **ret_p,
                        size_t *ret_n) WARN_UNUSED;
err_t *sync_writer_fill(sync_writer_t *writer, buf_t *out) WARN_UNUSED;
/* Whether chunks are missing still. */
bool sync_writer_wants(const sync_writer_t *writer);
/* Pads, writes the last chunk. ERR_INVALID if content is missing. */
err_t *sync_writer_end(sync_writer_t *writer, uint8_t ret_root[SYNC_HASH],
                       uint64_t *ret_package_size) WARN_UNUSED;
/* For the version's metadata and for links; borrowed. */
const secret_t *sync_writer_file_key(const sync_writer_t *writer);
const sync_header_t *sync_writer_header(const sync_writer_t *writer);

/* ---- reading ---- */

typedef struct sync_reader sync_reader_t;

/* For a package of `package_size` bytes with `size` bytes of content, which fixes how many chunks
 * there are. ERR_VERIFY for the wrong key or sizes that don't belong together. */
err_t *sync_reader_new(bytes_t header, const secret_t *file_key, uint64_t package_size,
                       uint64_t size, sync_reader_t **ret_reader) WARN_UNUSED;
void sync_reader_free(sync_reader_t *reader); /* takes NULL */
uint32_t sync_reader_chunks(const sync_reader_t *reader);
/* Bytes of the index-th sealed chunk. */
size_t sync_reader_chunk_size(const sync_reader_t *reader, uint32_t index);
/* Opens any chunk on its own: appends its content without padding. ERR_VERIFY. The key's holders
 * could have made it: what it belongs to is told by the Merkle root alone. */
err_t *sync_reader_chunk(const sync_reader_t *reader, uint32_t index, bytes_t sealed,
                         buf_t *out) WARN_UNUSED;
/* The same where the chunk's n bytes lie; *ret_plain is among them. On failure they are lost. */
err_t *sync_reader_place(const sync_reader_t *reader, uint32_t index, uint8_t *p, size_t n,
                         bytes_t *ret_plain) WARN_UNUSED;
/*
 * Seals once more, in its place, a whole chunk that was read before, for its leaf in the Merkle
 * tree alone: `p` has SYNC_CHUNK bytes of content, then SYNC_SEALED_CHUNK bytes. Not the last
 * chunk.
 */
err_t *sync_reader_reseal(const sync_reader_t *reader, uint32_t index, uint8_t *p) WARN_UNUSED;

/* ---- without keys: for the service and its scrubber ---- */

/* Header and chunks in order as bytes come, in pieces of any size; the Merkle root at the end. */
typedef struct sync_scan sync_scan_t;

err_t *sync_scan_new(uint64_t package_size, sync_scan_t **ret_scan) WARN_UNUSED;
void sync_scan_free(sync_scan_t *scan); /* takes NULL */
/* ERR_VERIFY for bytes past the package's size. */
err_t *sync_scan_add(sync_scan_t *scan, bytes_t data) WARN_UNUSED;
/* ERR_VERIFY if bytes are missing. */
err_t *sync_scan_end(sync_scan_t *scan, uint8_t ret_root[SYNC_HASH]) WARN_UNUSED;
/* Once SYNC_HEADER bytes went in; ERR_INVALID before. */
err_t *sync_scan_header(const sync_scan_t *scan, sync_header_t *ret_header) WARN_UNUSED;

DEFINE_CLEANUP(sync_writer_t, sync_writer_free)
DEFINE_CLEANUP(sync_reader_t, sync_reader_free)
DEFINE_CLEANUP(sync_scan_t, sync_scan_free)

#endif
