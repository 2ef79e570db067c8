/*
 * Reading data packages with their key: see data.h. On clients; one thread a reader.
 */
#include "base/mem.h"
#include "crypto/digest.h"
#include "sync/data_internal.h"

struct sync_reader {
    sync_header_t header;
    uint8_t header_hash[SYNC_HASH];
    sync_file_keys_t keys;
    uint64_t size, padded;
    uint32_t chunks;
};

void sync_reader_free(sync_reader_t *reader) {
    if (!reader) return;
    sync_file_keys_done(&reader->keys);
    mem_free(reader);
}

err_t *sync_reader_new(bytes_t header, const secret_t *file_key, uint64_t package_size,
                       uint64_t size, sync_reader_t **ret_reader) {
    CLEANUP(sync_reader_free) sync_reader_t *reader = mem_zalloc(sizeof *reader);
    if (!reader) return err_nomem();
    TRY(sync_header_parse(header, &reader->header));
    TRY(digest_sha256(header, reader->header_hash));
    TRY(sync_file_key_check(&reader->header, file_key));
    TRY(sync_file_keys_derive(&reader->header, file_key, &reader->keys));
    TRY(sync_package_content(package_size, &reader->padded, &reader->chunks));
    if (size > SYNC_DATA_MAX || sync_padded(size) != reader->padded) return sync_refuse();
    reader->size = size;
    *ret_reader = STEAL(reader);
    return NULL;
}

uint32_t sync_reader_chunks(const sync_reader_t *reader) { return reader->chunks; }

/* Plain bytes of a chunk, with padding. */
static size_t plain_size(const sync_reader_t *reader, uint32_t index) {
    uint64_t rest = reader->padded - (uint64_t)index * SYNC_CHUNK;
    return rest < SYNC_CHUNK ? (size_t)rest : SYNC_CHUNK;
}

size_t sync_reader_chunk_size(const sync_reader_t *reader, uint32_t index) {
    return index < reader->chunks ? plain_size(reader, index) + AEAD_TAG_SIZE : 0;
}

/* Without the padding, which must be zeros: there is one form of a content. */
static err_t *cut_padding(const sync_reader_t *reader, uint32_t index, bytes_t plain,
                          size_t *ret_keep) {
    uint64_t from = (uint64_t)index * SYNC_CHUNK;
    size_t keep = 0;
    if (reader->size > from)
        keep = reader->size - from < plain.n ? (size_t)(reader->size - from) : plain.n;
    for (size_t i = keep; i < plain.n; i++)
        if (plain.p[i] != 0) return sync_refuse();
    *ret_keep = keep;
    return NULL;
}

typedef struct {
    uint8_t nonce[AEAD_NONCE_SIZE], aad[SYNC_CHUNK_AAD];
} chunk_args_t;

static err_t *args_of(const sync_reader_t *reader, uint32_t index, size_t n,
                      chunk_args_t *ret_args) {
    if (index >= reader->chunks || n != sync_reader_chunk_size(reader, index)) return sync_refuse();
    bool last = index + 1 == reader->chunks;
    sync_chunk_nonce(&reader->header, index, last, ret_args->nonce);
    sync_chunk_aad(reader->header_hash, index, last, ret_args->aad);
    return NULL;
}

err_t *sync_reader_chunk(const sync_reader_t *reader, uint32_t index, bytes_t sealed, buf_t *out) {
    chunk_args_t args;
    size_t before = out->n, keep = 0;
    TRY(args_of(reader, index, sealed.n, &args));
    TRY(aead_open_nonce(AEAD_AES256_GCM, secret_bytes(reader->keys.chunk), BYTES_ARRAY(args.nonce),
                        BYTES_ARRAY(args.aad), sealed, out));
    err_t *e = cut_padding(reader, index, bytes_from(buf_bytes(out), before), &keep);
    out->n = before + keep;
    return e;
}

err_t *sync_reader_place(const sync_reader_t *reader, uint32_t index, uint8_t *p, size_t n,
                         bytes_t *ret_plain) {
    chunk_args_t args;
    size_t keep = 0;
    TRY(args_of(reader, index, n, &args));
    TRY(aead_open_place(AEAD_AES256_GCM, secret_bytes(reader->keys.chunk), BYTES_ARRAY(args.nonce),
                        BYTES_ARRAY(args.aad), p, n));
    TRY(cut_padding(reader, index, bytes_make(p, n - AEAD_TAG_SIZE), &keep));
    *ret_plain = bytes_make(p, keep);
    return NULL;
}

err_t *sync_reader_reseal(const sync_reader_t *reader, uint32_t index, uint8_t *p) {
    chunk_args_t args;
    if (index + 1 >= reader->chunks) return sync_refuse();
    TRY(args_of(reader, index, SYNC_SEALED_CHUNK, &args));
    return aead_seal_place(AEAD_AES256_GCM, secret_bytes(reader->keys.chunk),
                           BYTES_ARRAY(args.nonce), BYTES_ARRAY(args.aad), p, SYNC_CHUNK);
}
