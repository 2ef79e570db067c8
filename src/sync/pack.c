/*
 * Packs of small files: see pack.h. Pure; any process, any thread.
 */
#include "sync/pack.h"

err_t *sync_pack_put(const sync_packed_t *files, size_t n, buf_t *out) {
    uint64_t content = 0;
    if (n == 0 || n > LIMIT_SYNC_PACKED)
        return err_new(ERR_LIMIT, "a pack has 1 to %d files", LIMIT_SYNC_PACKED);
    for (size_t i = 0; i < n; i++) content += files[i].size;
    if (content > LIMIT_SYNC_PACK)
        return err_new(ERR_LIMIT, "a pack's files have at most %d bytes", LIMIT_SYNC_PACK);
    TRY(record_put_head(out, "YP", SYNC_VERSION));
    TRY(wire_put_u32(out, (uint32_t)n));
    for (size_t i = 0; i < n; i++) {
        TRY(record_put_raw(out, files[i].node, SYNC_NODE));
        TRY(record_put_raw(out, files[i].version, SYNC_NODE));
        TRY(wire_put_u32(out, files[i].size));
    }
    return NULL;
}

static void item(const sync_pack_t *pack, uint32_t index, sync_packed_t *ret_file) {
    const uint8_t *p = pack->list.p + (size_t)index * SYNC_PACKED_SIZE;
    memcpy(ret_file->node, p, SYNC_NODE);
    memcpy(ret_file->version, p + SYNC_NODE, SYNC_NODE);
    p += SYNC_PACKED_SIZE - 4;
    ret_file->size = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

err_t *sync_pack_open(bytes_t plain, sync_pack_t *ret_pack) {
    sync_pack_t pack = {0};
    sync_packed_t file;
    uint64_t content = 0;
    wire_reader_t r = wire_reader(plain);
    TRY(record_get_head(&r, "YP", SYNC_VERSION));
    TRY(wire_get_u32(&r, &pack.n));
    if (pack.n == 0 || pack.n > LIMIT_SYNC_PACKED)
        return err_new(ERR_LIMIT, "a pack of %u files", pack.n);
    TRY(wire_get_raw(&r, (size_t)pack.n * SYNC_PACKED_SIZE, &pack.list));
    for (uint32_t i = 0; i < pack.n; i++) {
        item(&pack, i, &file);
        content += file.size;
    }
    if (content > LIMIT_SYNC_PACK) return err_new(ERR_LIMIT, "a pack's files are too long");
    pack.content = (uint32_t)content;
    *ret_pack = pack;
    return NULL;
}

uint64_t sync_pack_size(const sync_pack_t *pack) {
    return SYNC_PACK_HEAD + pack->list.n + pack->content;
}

err_t *sync_pack_file(const sync_pack_t *pack, uint32_t index, sync_packed_t *ret_file,
                      uint64_t *ret_offset) {
    sync_packed_t file;
    uint64_t offset = SYNC_PACK_HEAD + pack->list.n;
    if (index >= pack->n) return err_new(ERR_NOT_FOUND, "the pack has no file %u", index);
    for (uint32_t i = 0; i < index; i++) {
        item(pack, i, &file);
        offset += file.size;
    }
    item(pack, index, ret_file);
    *ret_offset = offset;
    return NULL;
}
