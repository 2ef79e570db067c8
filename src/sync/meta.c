/*
 * Metadata of a version: see package.h. Pure but for randomness; any thread.
 */
#include "crypto/aead.h"
#include "sync/data_internal.h"
#include "sync/package.h"

enum { PADDING = 256, INFO_MAX = 256, MODE_MAX = 07777, NS = 1000 * 1000 * 1000 };

static err_t *check(const sync_meta_t *meta) {
    if (meta->kind < SYNC_META_FILE || meta->kind > SYNC_META_PACK || meta->mode > MODE_MAX ||
        meta->mtime_ns >= NS || meta->name.n > LIMIT_SYNC_FILE_NAME)
        return err_new(ERR_INVALID, "metadata out of range");
    return NULL;
}

err_t *sync_meta_put(const sync_meta_t *meta, buf_t *out) {
    TRY(check(meta));
    size_t before = out->n;
    TRY(record_put_head(out, "YM", SYNC_VERSION));
    TRY(wire_put_u8(out, (uint8_t)meta->kind));
    TRY(wire_put_u64(out, meta->size));
    TRY(wire_put_i64(out, meta->mtime));
    TRY(wire_put_u32(out, meta->mtime_ns));
    TRY(wire_put_u32(out, meta->mode));
    TRY(wire_put_bytes(out, meta->name));
    while ((out->n - before) % PADDING) TRY(buf_add_byte(out, 0));
    return NULL;
}

/* Zeros up to the next multiple, and no more. */
static err_t *check_padding(bytes_t plain, bytes_t rest) {
    if (plain.n % PADDING || rest.n >= PADDING)
        return err_new(ERR_INVALID, "metadata is not padded as it should be");
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i]) return err_new(ERR_INVALID, "metadata is not padded with zeros");
    return NULL;
}

err_t *sync_meta_parse(bytes_t plain, sync_meta_t *ret_meta) {
    sync_meta_t meta = {0};
    uint8_t kind = 0;
    wire_reader_t r = wire_reader(plain);
    TRY(record_get_head(&r, "YM", SYNC_VERSION));
    TRY(wire_get_u8(&r, &kind));
    if (kind < SYNC_META_FILE || kind > SYNC_META_PACK)
        return err_new(ERR_VERIFY, "a node of kind %u, which nobody knows here", kind);
    meta.kind = (sync_meta_kind_t)kind;
    TRY(wire_get_u64(&r, &meta.size));
    TRY(wire_get_i64(&r, &meta.mtime));
    TRY(wire_get_u32(&r, &meta.mtime_ns));
    TRY(wire_get_u32(&r, &meta.mode));
    TRY(wire_get_bytes(&r, LIMIT_SYNC_FILE_NAME, &meta.name));
    TRY(check(&meta));
    TRY(check_padding(plain, r.rest));
    *ret_meta = meta;
    return NULL;
}

err_t *sync_meta_seal(const sync_meta_t *meta, const sync_header_t *header,
                      const secret_t *file_key, const rnd_t *rnd, buf_t *out) {
    CLEANUP(sync_file_keys_done) sync_file_keys_t keys = {0};
    CLEANUP(buf_done) buf_t plain, aad;
    buf_init(&plain, LIMIT_SYNC_META);
    buf_init(&aad, INFO_MAX);
    TRY(sync_meta_put(meta, &plain));
    TRY(sync_file_keys_derive(header, file_key, &keys));
    TRY(sync_data_info(&header->id, BYTES_LIT("coffer/v1/sync/meta"), &aad));
    return aead_seal(keys.meta, rnd, buf_bytes(&aad), buf_bytes(&plain), out);
}

err_t *sync_meta_open(bytes_t sealed, const sync_header_t *header, const secret_t *file_key,
                      buf_t *storage, sync_meta_t *ret_meta) {
    CLEANUP(sync_file_keys_done) sync_file_keys_t keys = {0};
    CLEANUP(buf_done) buf_t aad;
    buf_init(&aad, INFO_MAX);
    TRY(sync_file_keys_derive(header, file_key, &keys));
    TRY(sync_data_info(&header->id, BYTES_LIT("coffer/v1/sync/meta"), &aad));
    buf_clear(storage);
    TRY(aead_open(keys.meta, buf_bytes(&aad), sealed, storage));
    return sync_blur(sync_meta_parse(buf_bytes(storage), ret_meta));
}
