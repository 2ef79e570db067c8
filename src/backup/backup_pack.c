/*
 * Zstandard: see backup_pack.h. Chunks are compressed one by one, so that what lies in one chunk
 * tells nothing about the length of another.
 */
#include "backup/backup_pack.h"

#include <zstd.h>

#include "base/mem.h"

enum { LEVEL = 3 };

err_t *backup_pack(bytes_t content, backup_method_t *ret_method, buf_t *out) {
    if (content.n > BACKUP_CHUNK) return err_new(ERR_USAGE, "a chunk is too long");
    size_t room = ZSTD_compressBound(content.n);
    TRY(buf_reserve(out, room));
    size_t n = ZSTD_compress(out->p + out->n, room, content.p, content.n, LEVEL);
    if (ZSTD_isError(n) || n >= content.n) {
        *ret_method = BACKUP_STORED;
        return buf_add(out, content);
    }
    out->n += n;
    *ret_method = BACKUP_ZSTD;
    return NULL;
}

err_t *backup_unpack(backup_method_t method, bytes_t packed, size_t size, buf_t *out) {
    if (size > BACKUP_CHUNK) return err_new(ERR_USAGE, "a chunk is too long");
    size_t n = 0;
    switch (method) {
    case BACKUP_STORED:
        if (packed.n != size) return err_new(ERR_VERIFY, "a chunk has another length");
        return buf_add(out, packed);
    case BACKUP_ZSTD:
        TRY(buf_reserve(out, size));
        n = ZSTD_decompress(out->p + out->n, size, packed.p, packed.n);
        if (ZSTD_isError(n) || n != size)
            return err_new(ERR_VERIFY, "a chunk does not unpack to its length");
        out->n += n;
        return NULL;
    }
    return err_new(ERR_VERIFY, "a chunk is packed in a way that is not known here");
}
