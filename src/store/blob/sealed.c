/*
 * The sealed form of a blob: see sealed.h. Pure but for randomness.
 */
#include "store/blob/sealed.h"

#include "base/mem.h"
#include "crypto/kdf.h"

#define MAGIC "cofferB1"
#define LABEL "coffer/v1/blob"

enum {
    SALT_AT = 20,
    SALT = 16,
    NUMBER_AT = 8,
    SIZE_AT = 12,
    NONCE_INDEX_AT = 7,
    AAD = SEALED_HEADER + BLOB_ID
};

struct sealed_writer {
    sealed_reader_t made; /* what a reader will see */
    uint64_t given, index;
    buf_t pending; /* less than a chunk, or a whole one that may be the last */
    digest_t *content, *object;
    bool known, unhashed; /* sealed_writer_lean */
};

void blob_keys_done(blob_keys_t *keys) {
    for (size_t i = 0; i < sizeof keys->keys / sizeof keys->keys[0]; i++) {
        secret_free(keys->keys[i]);
        keys->keys[i] = NULL;
    }
}

uint64_t sealed_size(uint64_t size) {
    return SEALED_HEADER + size + sealed_chunks(size) * AEAD_TAG_SIZE;
}

static void put_number(uint8_t *p, size_t n, uint64_t number) {
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(number >> 8 * (n - 1 - i));
}

static uint64_t get_number(const uint8_t *p, size_t n) {
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++) number = number << 8 | p[i];
    return number;
}

static err_t *object_key(const blob_keys_t *keys, uint64_t number, const blob_id_t *id,
                         const uint8_t *salt, secret_t **ret_key) {
    uint8_t info[sizeof LABEL + BLOB_ID]; /* the label's NUL separates */
    if (number > LIMIT_STORAGE_KEYS || !keys->keys[number])
        return err_new(ERR_NOT_FOUND, "a blob is sealed under storage key %llu, which is not here",
                       (unsigned long long)number);
    memcpy(info, LABEL, sizeof LABEL);
    memcpy(info + sizeof LABEL, id->bytes, BLOB_ID);
    return kdf_hkdf(bytes_make(salt, SALT), secret_bytes(keys->keys[number]), BYTES_ARRAY(info),
                    AEAD_KEY_SIZE, ret_key);
}

err_t *sealed_reader_init(sealed_reader_t *reader, const blob_keys_t *keys, const blob_id_t *id,
                          bytes_t header) {
    static const uint8_t zero[4] = {0};
    sealed_reader_t r = {.id = *id};
    if (header.n != SEALED_HEADER || !bytes_starts(header, BYTES_LIT(MAGIC)) ||
        !bytes_eq(bytes_from(header, SALT_AT + SALT), BYTES_ARRAY(zero)))
        return err_new(ERR_VERIFY, "not a sealed blob");
    memcpy(r.header, header.p, SEALED_HEADER);
    r.size = get_number(r.header + SIZE_AT, 8);
    if (r.size > LIMIT_BLOB) return err_new(ERR_VERIFY, "a sealed blob is too large");
    TRY(object_key(keys, get_number(r.header + NUMBER_AT, 4), id, r.header + SALT_AT, &r.key));
    *reader = r;
    return NULL;
}

void sealed_reader_done(sealed_reader_t *reader) {
    secret_free(reader->key);
    reader->key = NULL;
}

uint64_t sealed_chunk_at(uint64_t index) { return SEALED_HEADER + index * SEALED_CHUNK_WHOLE; }

size_t sealed_chunk_size(const sealed_reader_t *reader, uint64_t index) {
    uint64_t left = reader->size - index * SEALED_CHUNK;
    return (size_t)(left < SEALED_CHUNK ? left : SEALED_CHUNK) + AEAD_TAG_SIZE;
}

typedef struct {
    uint8_t nonce[AEAD_NONCE_SIZE];
    uint8_t aad[AAD];
} chunk_args_t;

static chunk_args_t chunk_args(const sealed_reader_t *reader, uint64_t index) {
    chunk_args_t args = {.nonce = {0}};
    put_number(args.nonce + NONCE_INDEX_AT, 4, index);
    args.nonce[AEAD_NONCE_SIZE - 1] = index + 1 == sealed_chunks(reader->size);
    memcpy(args.aad, reader->header, SEALED_HEADER);
    memcpy(args.aad + SEALED_HEADER, reader->id.bytes, BLOB_ID);
    return args;
}

err_t *sealed_chunk_open(const sealed_reader_t *reader, uint64_t index, bytes_t sealed,
                         buf_t *out) {
    if (index >= sealed_chunks(reader->size) || sealed.n != sealed_chunk_size(reader, index))
        return err_new(ERR_VERIFY, "a sealed blob is cut off");
    chunk_args_t args = chunk_args(reader, index);
    return aead_open_nonce(AEAD_AES256_GCM, secret_bytes(reader->key), BYTES_ARRAY(args.nonce),
                           BYTES_ARRAY(args.aad), sealed, out);
}

static err_t *check_content(const sealed_reader_t *reader, bytes_t object) {
    CLEANUP(digest_free) digest_t *digest = NULL;
    CLEANUP(buf_done) buf_t chunk;
    buf_init(&chunk, SEALED_CHUNK);
    TRY(digest_new(&digest));
    for (uint64_t i = 0; i < sealed_chunks(reader->size); i++) {
        buf_clear(&chunk);
        bytes_t sealed =
            bytes_slice(object, (size_t)sealed_chunk_at(i), sealed_chunk_size(reader, i));
        TRY(sealed_chunk_open(reader, i, sealed, &chunk));
        TRY(digest_update(digest, buf_bytes(&chunk)));
    }
    blob_id_t id = {0};
    TRY(digest_final(digest, id.bytes));
    if (blob_id_eq(&id, &reader->id)) return NULL;
    return err_new(ERR_VERIFY, "a blob is not what its name says");
}

err_t *sealed_check(const blob_keys_t *keys, const blob_id_t *id, bytes_t object) {
    CLEANUP(sealed_reader_done) sealed_reader_t reader = {.key = NULL};
    TRY(sealed_reader_init(&reader, keys, id, bytes_slice(object, 0, SEALED_HEADER)));
    if (object.n != sealed_size(reader.size))
        return err_new(ERR_VERIFY, "a sealed blob has %zu bytes, not %llu", object.n,
                       (unsigned long long)sealed_size(reader.size));
    return check_content(&reader, object);
}

/* ---- writing ---- */

err_t *sealed_writer_new(const blob_keys_t *keys, const rnd_t *rnd, const blob_id_t *id,
                         uint64_t size, sealed_writer_t **ret_writer) {
    uint8_t header[SEALED_HEADER] = MAGIC;
    if (size > LIMIT_BLOB) return err_new(ERR_LIMIT, "a blob may have %d bytes", LIMIT_BLOB);
    put_number(header + NUMBER_AT, 4, keys->current);
    put_number(header + SIZE_AT, 8, size);
    TRY(rnd_fill(rnd, header + SALT_AT, SALT));
    CLEANUP(sealed_writer_free) sealed_writer_t *writer = mem_zalloc(sizeof *writer);
    if (!writer) return err_nomem();
    buf_init(&writer->pending, SEALED_CHUNK);
    TRY(digest_new(&writer->content));
    TRY(digest_new(&writer->object));
    TRY(sealed_reader_init(&writer->made, keys, id, BYTES_ARRAY(header)));
    *ret_writer = STEAL(writer);
    return NULL;
}

void sealed_writer_lean(sealed_writer_t *writer, bool known, bool unhashed) {
    writer->known = known;
    writer->unhashed = unhashed;
}

void sealed_writer_free(sealed_writer_t *writer) {
    if (!writer) return;
    sealed_reader_done(&writer->made);
    buf_done(&writer->pending);
    digest_free(writer->content);
    digest_free(writer->object);
    mem_free(writer);
}

static err_t *put_object(sealed_writer_t *writer, size_t from, const buf_t *out) {
    if (writer->unhashed) return NULL;
    return digest_update(writer->object, bytes_from(buf_bytes(out), from));
}

static err_t *seal(sealed_writer_t *writer, bytes_t chunk, buf_t *out) {
    chunk_args_t args = chunk_args(&writer->made, writer->index);
    size_t before = out->n;
    if (writer->index == 0) TRY(buf_add(out, BYTES_ARRAY(writer->made.header)));
    TRY(aead_seal_nonce(AEAD_AES256_GCM, secret_bytes(writer->made.key), BYTES_ARRAY(args.nonce),
                        BYTES_ARRAY(args.aad), chunk, out));
    TRY(put_object(writer, before, out));
    writer->index++;
    return NULL;
}

static err_t *seal_pending(sealed_writer_t *writer, buf_t *out) {
    TRY(seal(writer, buf_bytes(&writer->pending), out));
    buf_clear(&writer->pending);
    return NULL;
}

err_t *sealed_writer_add(sealed_writer_t *writer, bytes_t data, buf_t *out) {
    if (data.n > writer->made.size - writer->given)
        return err_new(ERR_VERIFY, "a blob is larger than it was said to be");
    if (!writer->known) TRY(digest_update(writer->content, data));
    writer->given += data.n;
    while (data.n) {
        if (writer->pending.n == SEALED_CHUNK) TRY(seal_pending(writer, out));
        if (writer->pending.n == 0 && data.n > SEALED_CHUNK) { /* whole, and not the last */
            TRY(seal(writer, bytes_slice(data, 0, SEALED_CHUNK), out));
            data = bytes_from(data, SEALED_CHUNK);
            continue;
        }
        bytes_t step = bytes_slice(data, 0, SEALED_CHUNK - writer->pending.n);
        TRY(buf_add(&writer->pending, step));
        data = bytes_from(data, step.n);
    }
    return NULL;
}

err_t *sealed_writer_end(sealed_writer_t *writer, buf_t *out,
                         uint8_t ret_sha256[DIGEST_SHA256_SIZE]) {
    blob_id_t id;
    if (writer->given != writer->made.size)
        return err_new(ERR_VERIFY, "a blob is smaller than it was said to be");
    if (!writer->known) TRY(digest_final(writer->content, id.bytes));
    if (!writer->known && !blob_id_eq(&id, &writer->made.id))
        return err_new(ERR_VERIFY, "a blob is not what its name says");
    TRY(seal_pending(writer, out));
    if (!writer->unhashed) return digest_final(writer->object, ret_sha256);
    memset(ret_sha256, 0, DIGEST_SHA256_SIZE);
    return NULL;
}
