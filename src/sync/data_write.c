/*
 * Writing data packages: see data.h. On clients; one thread a writer.
 */
#include "base/mem.h"
#include "crypto/digest.h"
#include "sync/data_internal.h"

struct sync_writer {
    sync_header_t header;
    uint8_t header_hash[SYNC_HASH];
    sync_file_keys_t keys;
    secret_t *file_key;
    sync_sink_t sink;
    merkle_t merkle;
    uint64_t size, padded; /* of the content */
    uint64_t taken;        /* of size */
    uint64_t sealed;       /* of padded */
    uint32_t index;
    bool ended;
    uint8_t *plain; /* SYNC_CHUNK bytes, or NULL while nothing was added */
    size_t plain_n;
    buf_t out;
};

void sync_writer_free(sync_writer_t *writer) {
    if (!writer) return;
    sync_file_keys_done(&writer->keys);
    secret_free(writer->file_key);
    if (writer->plain) mem_wipe(writer->plain, SYNC_CHUNK);
    mem_free(writer->plain);
    buf_done(&writer->out);
    mem_free(writer);
}

const secret_t *sync_writer_file_key(const sync_writer_t *writer) { return writer->file_key; }
const sync_header_t *sync_writer_header(const sync_writer_t *writer) { return &writer->header; }

static err_t *emit(sync_writer_t *writer) {
    TRY(merkle_add_data(&writer->merkle, buf_bytes(&writer->out)));
    return writer->sink.write(writer->sink.ctx, buf_bytes(&writer->out));
}

static err_t *new_key(sync_writer_t *writer, const secret_t *folder_key, const rnd_t *rnd) {
    sync_header_t *header = &writer->header;
    TRY(secret_random(rnd, SYNC_KEY, &writer->file_key));
    TRY(rnd_fill(rnd, header->salt, sizeof header->salt));
    TRY(rnd_fill(rnd, header->prefix, sizeof header->prefix));
    return sync_file_key_wrap(header, folder_key, writer->file_key, rnd);
}

static err_t *begin(sync_writer_t *writer) {
    TRY(sync_file_keys_derive(&writer->header, writer->file_key, &writer->keys));
    TRY(sync_header_put(&writer->header, &writer->out));
    TRY(digest_sha256(buf_bytes(&writer->out), writer->header_hash));
    return emit(writer);
}

static err_t *make(const sync_header_t *header, uint64_t size, const sync_sink_t *sink,
                   sync_writer_t **ret_writer) {
    uint64_t package = 0;
    CLEANUP(sync_writer_free) sync_writer_t *writer = mem_zalloc(sizeof *writer);
    if (!writer) return err_nomem();
    buf_init(&writer->out, SYNC_SEALED_CHUNK);
    writer->header = *header;
    writer->sink = *sink;
    writer->size = size;
    writer->padded = sync_padded(size);
    TRY(sync_package_size(writer->padded, &package));
    merkle_init(&writer->merkle);
    *ret_writer = STEAL(writer);
    return NULL;
}

err_t *sync_writer_new(const sync_data_id_t *id, const secret_t *folder_key, const rnd_t *rnd,
                       uint64_t size, const sync_sink_t *sink, sync_writer_t **ret_writer) {
    CLEANUP(sync_writer_free) sync_writer_t *writer = NULL;
    const sync_header_t header = {.id = *id};
    TRY(make(&header, size, sink, &writer));
    TRY(new_key(writer, folder_key, rnd));
    TRY(begin(writer));
    *ret_writer = STEAL(writer);
    return NULL;
}

err_t *sync_writer_again(const sync_header_t *header, const secret_t *folder_key, uint64_t size,
                         const sync_sink_t *sink, sync_writer_t **ret_writer) {
    CLEANUP(sync_writer_free) sync_writer_t *writer = NULL;
    TRY(make(header, size, sink, &writer));
    TRY(sync_file_key_open(header, folder_key, &writer->file_key));
    TRY(begin(writer));
    *ret_writer = STEAL(writer);
    return NULL;
}

/* ---- in the caller's buffer ---- */

/* Plain bytes of the next chunk, with padding. */
static size_t plain_size(const sync_writer_t *writer) {
    uint64_t left = writer->padded - writer->sealed;
    return left < SYNC_CHUNK ? (size_t)left : SYNC_CHUNK;
}

static size_t content_size(const sync_writer_t *writer) {
    uint64_t left = writer->size - writer->taken;
    return left < SYNC_CHUNK ? (size_t)left : SYNC_CHUNK;
}

bool sync_writer_wants(const sync_writer_t *writer) { return writer->sealed < writer->padded; }

err_t *sync_writer_room(const sync_writer_t *writer, buf_t *out, uint8_t **ret_p, size_t *ret_n) {
    if (writer->ended || writer->plain_n || !sync_writer_wants(writer))
        return err_new(ERR_USAGE, "no chunk is wanted here");
    TRY(buf_reserve(out, plain_size(writer) + AEAD_TAG_SIZE));
    *ret_p = out->p + out->n;
    *ret_n = content_size(writer);
    return NULL;
}

err_t *sync_writer_fill(sync_writer_t *writer, buf_t *out) {
    uint8_t nonce[AEAD_NONCE_SIZE], aad[SYNC_CHUNK_AAD];
    uint8_t *p = NULL;
    size_t n = 0, plain = plain_size(writer);
    bool last = writer->sealed + plain == writer->padded;
    TRY(sync_writer_room(writer, out, &p, &n));
    memset(p + n, 0, plain - n);
    sync_chunk_nonce(&writer->header, writer->index, last, nonce);
    sync_chunk_aad(writer->header_hash, writer->index, last, aad);
    TRY(aead_seal_place(AEAD_AES256_GCM, secret_bytes(writer->keys.chunk), BYTES_ARRAY(nonce),
                        BYTES_ARRAY(aad), p, plain));
    TRY(merkle_add_data(&writer->merkle, bytes_make(p, plain + AEAD_TAG_SIZE)));
    writer->taken += n;
    writer->sealed += plain;
    writer->index++;
    out->n += plain + AEAD_TAG_SIZE;
    return NULL;
}

/* ---- with a copy ---- */

static err_t *seal_chunk(sync_writer_t *writer, bool last) {
    uint8_t nonce[AEAD_NONCE_SIZE], aad[SYNC_CHUNK_AAD];
    sync_chunk_nonce(&writer->header, writer->index, last, nonce);
    sync_chunk_aad(writer->header_hash, writer->index, last, aad);
    buf_clear(&writer->out);
    TRY(aead_seal_nonce(AEAD_AES256_GCM, secret_bytes(writer->keys.chunk), BYTES_ARRAY(nonce),
                        BYTES_ARRAY(aad), bytes_make(writer->plain, writer->plain_n),
                        &writer->out));
    writer->sealed += writer->plain_n;
    writer->plain_n = 0;
    writer->index++;
    return emit(writer);
}

/* NULL: zeros. */
static err_t *push(sync_writer_t *writer, const uint8_t *p, uint64_t n) {
    if (n && !writer->plain && !(writer->plain = mem_alloc(SYNC_CHUNK))) return err_nomem();
    while (n) {
        size_t room = SYNC_CHUNK - writer->plain_n;
        size_t take = n < room ? (size_t)n : room;
        if (p) {
            memcpy(writer->plain + writer->plain_n, p, take);
            p += take;
        } else {
            memset(writer->plain + writer->plain_n, 0, take);
        }
        writer->plain_n += take;
        n -= take;
        bool last = writer->sealed + writer->plain_n == writer->padded;
        if (writer->plain_n == SYNC_CHUNK || last) TRY(seal_chunk(writer, last));
    }
    return NULL;
}

err_t *sync_writer_add(sync_writer_t *writer, bytes_t content) {
    if (writer->ended) return err_new(ERR_USAGE, "the package has ended");
    if (content.n > writer->size - writer->taken)
        return err_new(ERR_INVALID, "more content than was announced");
    writer->taken += content.n;
    return push(writer, content.p, content.n);
}

err_t *sync_writer_end(sync_writer_t *writer, uint8_t ret_root[SYNC_HASH],
                       uint64_t *ret_package_size) {
    if (writer->ended) return err_new(ERR_USAGE, "the package has ended");
    if (writer->taken != writer->size)
        return err_new(ERR_INVALID, "less content than was announced");
    TRY(push(writer, NULL, writer->padded - writer->sealed - writer->plain_n));
    TRY(merkle_root(&writer->merkle, ret_root));
    writer->ended = true;
    return sync_package_size(writer->padded, ret_package_size);
}
