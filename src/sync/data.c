/*
 * Headers of data packages, sizes and file keys: see data.h. Pure but for randomness; any thread.
 */
#include "sync/data.h"

#include "base/mem.h"
#include "crypto/kdf.h"
#include "sync/data_internal.h"

enum { INFO_MAX = 256 };

err_t *sync_header_put(const sync_header_t *header, buf_t *out) {
    const sync_data_id_t *id = &header->id;
    TRY(sync_put_head(out, "YD", id->suite));
    TRY(record_put_raw(out, id->region, SYNC_HASH));
    TRY(record_put_raw(out, id->node, SYNC_NODE));
    TRY(record_put_raw(out, id->version, SYNC_NODE));
    TRY(wire_put_u64(out, id->epoch));
    TRY(record_put_raw(out, id->folder, SYNC_NODE));
    TRY(record_put_raw(out, header->salt, SYNC_SALT));
    TRY(record_put_raw(out, header->prefix, SYNC_PREFIX));
    TRY(wire_put_bytes(out, BYTES_ARRAY(header->wrap)));
    return record_put_raw(out, header->commit, SYNC_HASH);
}

err_t *sync_header_parse(bytes_t record, sync_header_t *ret_header) {
    sync_header_t header = {0};
    sync_data_id_t *id = &header.id;
    bytes_t wrap;
    wire_reader_t r = wire_reader(record);
    TRY(sync_get_head(&r, "YD", &id->suite));
    TRY(record_get_raw(&r, SYNC_HASH, id->region));
    TRY(record_get_raw(&r, SYNC_NODE, id->node));
    TRY(record_get_raw(&r, SYNC_NODE, id->version));
    TRY(wire_get_u64(&r, &id->epoch));
    TRY(record_get_raw(&r, SYNC_NODE, id->folder));
    TRY(record_get_raw(&r, SYNC_SALT, header.salt));
    TRY(record_get_raw(&r, SYNC_PREFIX, header.prefix));
    TRY(wire_get_bytes(&r, SYNC_WRAP, &wrap));
    if (wrap.n != SYNC_WRAP) return err_new(ERR_INVALID, "a wrapped key of %zu bytes", wrap.n);
    memcpy(header.wrap, wrap.p, SYNC_WRAP);
    TRY(record_get_raw(&r, SYNC_HASH, header.commit));
    TRY(wire_done(&r));
    *ret_header = header;
    return NULL;
}

/* ---- sizes ---- */

/*
 * As Padmé (Nikitin et al., PETS 2019) rounds: keep as many leading bits as the size's bits have
 * bits, so sizes leak O(log log n) bits.
 */
uint64_t sync_padded(uint64_t size) {
    if (size <= SYNC_PADDED_MIN) return SYNC_PADDED_MIN;
    if (size > SYNC_DATA_MAX) return size; /* refused by whoever asks for its package */
    unsigned exponent = 63 - (unsigned)__builtin_clzll(size);
    unsigned bits = 32 - (unsigned)__builtin_clz(exponent);
    uint64_t mask = ((uint64_t)1 << (exponent - bits)) - 1;
    return (size + mask) & ~mask;
}

err_t *sync_package_size(uint64_t padded, uint64_t *ret_size) {
    if (padded > SYNC_DATA_MAX) return err_new(ERR_LIMIT, "more than 16 TiB in one file");
    if (padded == 0) return err_new(ERR_INVALID, "a package without content");
    uint64_t chunks = (padded + SYNC_CHUNK - 1) / SYNC_CHUNK;
    *ret_size = SYNC_HEADER + padded + chunks * AEAD_TAG_SIZE;
    return NULL;
}

err_t *sync_package_content(uint64_t size, uint64_t *ret_padded, uint32_t *ret_chunks) {
    if (size <= SYNC_HEADER + AEAD_TAG_SIZE)
        return err_new(ERR_INVALID, "a package of %llu bytes", (unsigned long long)size);
    uint64_t body = size - SYNC_HEADER;
    uint64_t chunks = (body + SYNC_SEALED_CHUNK - 1) / SYNC_SEALED_CHUNK;
    uint64_t last = body - (chunks - 1) * SYNC_SEALED_CHUNK;
    if (last <= AEAD_TAG_SIZE)
        return err_new(ERR_INVALID, "a package of %llu bytes", (unsigned long long)size);
    uint64_t padded = body - chunks * AEAD_TAG_SIZE;
    if (padded > SYNC_DATA_MAX) return err_new(ERR_LIMIT, "more than 16 TiB in one file");
    *ret_padded = padded;
    *ret_chunks = (uint32_t)chunks;
    return NULL;
}

uint32_t sync_parts(uint64_t package_size) {
    uint64_t padded = 0;
    uint32_t chunks = 0;
    err_t *e = sync_package_content(package_size, &padded, &chunks);
    err_free(e);
    return e ? 0 : (chunks + SYNC_PART_CHUNKS - 1) / SYNC_PART_CHUNKS;
}

bool sync_part(uint64_t package_size, uint32_t index, uint64_t *ret_offset, uint64_t *ret_size) {
    static const uint64_t whole = (uint64_t)SYNC_PART_CHUNKS * SYNC_SEALED_CHUNK;
    if (index >= sync_parts(package_size)) return false;
    uint64_t from = index ? SYNC_HEADER + index * whole : 0;
    uint64_t to = SYNC_HEADER + (index + 1) * whole;
    *ret_offset = from;
    *ret_size = (to < package_size ? to : package_size) - from;
    return true;
}

/* ---- keys ---- */

void sync_file_keys_done(sync_file_keys_t *keys) {
    secret_free(keys->chunk);
    secret_free(keys->meta);
    *keys = (sync_file_keys_t){0};
}

err_t *sync_data_info(const sync_data_id_t *id, bytes_t label, buf_t *out) {
    TRY(buf_add(out, label));
    TRY(buf_add_byte(out, 0));
    TRY(wire_put_u16(out, id->suite));
    TRY(record_put_raw(out, id->region, SYNC_HASH));
    TRY(record_put_raw(out, id->node, SYNC_NODE));
    return record_put_raw(out, id->version, SYNC_NODE);
}

static err_t *expand(const sync_header_t *header, bytes_t prk, bytes_t label, uint8_t *out) {
    CLEANUP(buf_done) buf_t info;
    buf_init(&info, INFO_MAX);
    TRY(sync_data_info(&header->id, label, &info));
    return kdf_hkdf_expand(prk, buf_bytes(&info), SYNC_KEY, out);
}

static err_t *expand_all(const sync_header_t *header, bytes_t prk, sync_file_keys_t *keys) {
    TRY(secret_new(SYNC_KEY, &keys->chunk));
    TRY(secret_new(SYNC_KEY, &keys->meta));
    TRY(expand(header, prk, BYTES_LIT("coffer/v1/sync/chunk-key"), secret_data(keys->chunk)));
    TRY(expand(header, prk, BYTES_LIT("coffer/v1/sync/meta-key"), secret_data(keys->meta)));
    return expand(header, prk, BYTES_LIT("coffer/v1/sync/file-commit"), keys->commit);
}

err_t *sync_file_keys_derive(const sync_header_t *header, const secret_t *file_key,
                             sync_file_keys_t *ret_keys) {
    CLEANUP(sync_file_keys_done) sync_file_keys_t keys = {0};
    uint8_t prk[KDF_PRK_SIZE];
    if (secret_size(file_key) != SYNC_KEY) return sync_refuse();
    TRY(kdf_hkdf_extract(BYTES_ARRAY(header->salt), secret_bytes(file_key), prk));
    err_t *e = expand_all(header, BYTES_ARRAY(prk), &keys);
    mem_wipe(prk, sizeof prk);
    if (e) return e;
    *ret_keys = keys;
    keys = (sync_file_keys_t){0};
    return NULL;
}

/* What a wrapped file key is bound to: type, file, version, epoch and folder (R1). */
static err_t *wrap_aad(const sync_data_id_t *id, buf_t *out) {
    TRY(sync_data_info(id, BYTES_LIT("coffer/v1/sync/file-key"), out));
    TRY(wire_put_u64(out, id->epoch));
    return record_put_raw(out, id->folder, SYNC_NODE);
}

err_t *sync_file_key_wrap(sync_header_t *header, const secret_t *folder_key,
                          const secret_t *file_key, const rnd_t *rnd) {
    CLEANUP(sync_file_keys_done) sync_file_keys_t keys = {0};
    CLEANUP(buf_done) buf_t aad, wrap;
    buf_init(&aad, INFO_MAX);
    buf_init(&wrap, SYNC_WRAP);
    TRY(sync_file_keys_derive(header, file_key, &keys));
    TRY(wrap_aad(&header->id, &aad));
    TRY(aead_seal(folder_key, rnd, buf_bytes(&aad), secret_bytes(file_key), &wrap));
    memcpy(header->wrap, wrap.p, SYNC_WRAP);
    memcpy(header->commit, keys.commit, SYNC_HASH);
    return NULL;
}

err_t *sync_file_key_check(const sync_header_t *header, const secret_t *file_key) {
    CLEANUP(sync_file_keys_done) sync_file_keys_t keys = {0};
    TRY(sync_file_keys_derive(header, file_key, &keys));
    if (!bytes_eq_ct(BYTES_ARRAY(keys.commit), BYTES_ARRAY(header->commit))) return sync_refuse();
    return NULL;
}

err_t *sync_file_key_open(const sync_header_t *header, const secret_t *folder_key,
                          secret_t **ret_file_key) {
    CLEANUP(buf_done) buf_t aad;
    CLEANUP(secret_free) secret_t *file_key = NULL;
    buf_init(&aad, INFO_MAX);
    TRY(wrap_aad(&header->id, &aad));
    TRY(aead_open_secret(folder_key, buf_bytes(&aad), BYTES_ARRAY(header->wrap), &file_key));
    TRY(sync_file_key_check(header, file_key));
    *ret_file_key = STEAL(file_key);
    return NULL;
}

/* ---- chunks ---- */

static void put_u32(uint8_t *out, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) out[i] = (uint8_t)(value >> (8 * (3 - i)));
}

void sync_chunk_nonce(const sync_header_t *header, uint32_t index, bool last,
                      uint8_t ret_nonce[AEAD_NONCE_SIZE]) {
    memcpy(ret_nonce, header->prefix, SYNC_PREFIX);
    put_u32(ret_nonce + SYNC_PREFIX, index);
    ret_nonce[AEAD_NONCE_SIZE - 1] = last ? 1 : 0;
}

void sync_chunk_aad(const uint8_t header_hash[SYNC_HASH], uint32_t index, bool last,
                    uint8_t ret_aad[SYNC_CHUNK_AAD]) {
    memcpy(ret_aad, header_hash, SYNC_HASH);
    put_u32(ret_aad + SYNC_HASH, index);
    ret_aad[SYNC_CHUNK_AAD - 1] = last ? 1 : 0;
}
