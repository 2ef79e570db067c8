/*
 * Copies of the log: see log_export.h (C2SP tlog-tiles). Main thread; blocking.
 */
#include "program/coffer/log_export.h"

#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"

enum { LEVELS = 8, DIR_MODE = 0755, FILE_MODE = 0644, BUNDLE_MAX = 64 * 1024 };

typedef struct {
    const char *dir;
    merkle_t tree;
    struct {
        uint8_t hashes[TLOG_TILE][MERKLE_HASH];
        unsigned n;
        uint64_t index; /* of the tile that is being filled */
    } levels[LEVELS];
} export_t;

/* "a/b/c" below the directory, with the directories on the way. */
static err_t *put_file(const char *dir, const char *name, bytes_t content) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(dir, name, &path));
    for (char *slash = path + strlen(dir) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        TRY(file_mkdir(path, DIR_MODE));
        *slash = '/';
    }
    return file_write(path, content, FILE_MODE);
}

static err_t *put_tile(const export_t *x, int level, uint64_t index, unsigned width,
                       bytes_t content) {
    char name[TLOG_PATH_MAX];
    TRY(tlog_tile_path(level, index, width, name));
    return put_file(x->dir, name, content);
}

/* A tile that is full gives one hash of the next level. */
static err_t *add_hash(export_t *x, const uint8_t leaf[MERKLE_HASH]) {
    uint8_t hash[MERKLE_HASH];
    memcpy(hash, leaf, sizeof hash);
    for (int level = 0; level < LEVELS; level++) {
        memcpy(x->levels[level].hashes[x->levels[level].n++], hash, sizeof hash);
        if (x->levels[level].n < TLOG_TILE) return NULL;
        merkle_t merkle;
        merkle_init(&merkle);
        for (unsigned i = 0; i < TLOG_TILE; i++)
            TRY(merkle_add(&merkle, x->levels[level].hashes[i]));
        TRY(merkle_root(&merkle, hash));
        TRY(put_tile(x, level, x->levels[level].index++, TLOG_TILE,
                     BYTES_ARRAY(x->levels[level].hashes)));
        x->levels[level].n = 0;
    }
    return err_new(ERR_LIMIT, "the log is too long");
}

static err_t *put_rest(const export_t *x) {
    for (int level = 0; level < LEVELS; level++)
        if (x->levels[level].n)
            TRY(put_tile(
                x, level, x->levels[level].index, x->levels[level].n,
                bytes_make(x->levels[level].hashes, (size_t)x->levels[level].n * MERKLE_HASH)));
    return NULL;
}

static err_t *export_bundle(log_view_t *view, export_t *x, uint64_t tile, buf_t *bundle) {
    unsigned n = 0, width = tlog_tile_width(view->newest.size, 0, tile);
    TRY(log_view_bundle(view, tile, bundle));
    for (bytes_t rest = buf_bytes(bundle), record; rest.n; n++) {
        uint8_t hash[MERKLE_HASH];
        TRY(tlog_bundle_next(&rest, &record));
        TRY(merkle_leaf(record, hash));
        TRY(merkle_add(&x->tree, hash));
        TRY(add_hash(x, hash));
    }
    if (n != width) return err_new(ERR_VERIFY, "log-invalid: a bundle of another length");
    return put_tile(x, -1, tile, width, buf_bytes(bundle));
}

static err_t *export_all(log_view_t *view, export_t *x, bytes_t chain) {
    CLEANUP(buf_done) buf_t bundle, key;
    buf_init(&bundle, BUNDLE_MAX);
    buf_init(&key, LIMIT_NOTE_BYTES);
    TRY(file_mkdir(x->dir, DIR_MODE));
    for (uint64_t tile = 0; tile * TLOG_TILE < view->newest.size; tile++)
        TRY(export_bundle(view, x, tile, &bundle));
    TRY(tlog_audit_check(&(tlog_audit_t){.tree = x->tree}, &view->newest));
    TRY(put_rest(x));
    TRY(put_file(x->dir, "chain", chain));
    TRY(buf_printf(&key, "%s\n", view->key_text));
    TRY(put_file(x->dir, "key", buf_bytes(&key)));
    /* Last: what has a checkpoint is whole. */
    return put_file(x->dir, "checkpoint", buf_bytes(&view->note));
}

err_t *log_export(log_view_t *view, const char *dir, bytes_t chain) {
    CLEANUP(mem_free) export_t *x = mem_zalloc(sizeof *x);
    if (!x) return err_nomem();
    x->dir = dir;
    return export_all(view, x, chain);
}
