/*
 * Leaves, checkpoints and entry bundles of the log of chain heads: see tlog.h (C2SP tlog-checkpoint
 * and tlog-tiles). Pure; any thread.
 */
#include "sync/tlog.h"

#include <stdio.h>

#include "base/text.h"

enum { ROOT_TEXT = 44 }; /* bytes of 32 in base64 */

err_t *sync_leaf_put(const sync_leaf_t *leaf, buf_t *out) {
    TRY(record_put_head(out, "YH", SYNC_VERSION));
    TRY(record_put_raw(out, leaf->region, SYNC_HASH));
    TRY(wire_put_u64(out, leaf->position));
    return record_put_raw(out, leaf->head, SYNC_HASH);
}

err_t *sync_leaf_parse(bytes_t record, sync_leaf_t *ret_leaf) {
    sync_leaf_t leaf = {0};
    wire_reader_t r = wire_reader(record);
    TRY(record_get_head(&r, "YH", SYNC_VERSION));
    TRY(record_get_raw(&r, SYNC_HASH, leaf.region));
    TRY(wire_get_u64(&r, &leaf.position));
    TRY(record_get_raw(&r, SYNC_HASH, leaf.head));
    TRY(wire_done(&r));
    *ret_leaf = leaf;
    return NULL;
}

/* ---- checkpoints ---- */

err_t *tlog_checkpoint_sign(const tlog_checkpoint_t *checkpoint, const pkey_t *key, buf_t *out) {
    CLEANUP(buf_done) buf_t text, name;
    const char *origin = NULL;
    buf_init(&text, LIMIT_NOTE_BYTES);
    buf_init(&name, LIMIT_NOTE_NAME + 1);
    TRY(buf_add(&name, checkpoint->origin));
    TRY(buf_cstr(&name, &origin));
    TRY(buf_printf(&text, "%s\n%llu\n", origin, (unsigned long long)checkpoint->size));
    TRY(text_base64(BYTES_ARRAY(checkpoint->root), &text));
    TRY(buf_add_byte(&text, '\n'));
    return note_sign(key, origin, buf_bytes(&text), out);
}

static err_t *parse_checkpoint(bytes_t text, const char *origin, tlog_checkpoint_t *checkpoint) {
    bytes_t rest = text, size, root;
    CLEANUP(buf_done) buf_t hash, again;
    buf_init(&hash, ROOT_TEXT);
    buf_init(&again, ROOT_TEXT);
    if (!text_split(&rest, '\n', &checkpoint->origin) || !text_split(&rest, '\n', &size) ||
        !text_split(&rest, '\n', &root))
        return err_new(ERR_INVALID, "a checkpoint has three lines");
    if (!bytes_eq_str(checkpoint->origin, origin))
        return err_new(ERR_VERIFY, "a checkpoint of another log");
    TRY(text_u64(size, UINT64_MAX, &checkpoint->size));
    if (size.n > 1 && size.p[0] == '0') return err_new(ERR_INVALID, "a size with leading zeros");
    TRY(text_unbase64(root, &hash));
    TRY(text_base64(buf_bytes(&hash), &again));
    if (hash.n != MERKLE_HASH || !bytes_eq(buf_bytes(&again), root))
        return err_new(ERR_INVALID, "a checkpoint's root has 32 bytes");
    memcpy(checkpoint->root, hash.p, MERKLE_HASH);
    return NULL;
}

err_t *tlog_checkpoint_open(bytes_t note, const pkey_t *key, const char *origin,
                            tlog_checkpoint_t *ret_checkpoint) {
    tlog_checkpoint_t checkpoint = {0};
    bytes_t text;
    TRY(note_open(note, key, origin, &text));
    TRY(parse_checkpoint(text, origin, &checkpoint));
    *ret_checkpoint = checkpoint;
    return NULL;
}

/* ---- names and bundles ---- */

err_t *tlog_tile_path(int level, uint64_t index, unsigned width, char ret_path[TLOG_PATH_MAX]) {
    char number[40], partial[16]; /* seven groups, x and / with each but the last */
    size_t at = sizeof number - 1;
    if (level > 63 || width == 0 || width > TLOG_TILE)
        return err_new(ERR_USAGE, "no such tile: level %d, width %u", level, width);
    number[at] = '\0';
    /* Groups of three digits from the end; all but the last are marked with an x. */
    for (bool last = true; last || index; last = false) {
        unsigned group = (unsigned)(index % 1000);
        if (!last) number[--at] = '/';
        for (unsigned i = 0; i < 3; i++, group /= 10) number[--at] = (char)('0' + group % 10);
        if (!last) number[--at] = 'x';
        index /= 1000;
    }
    partial[0] = '\0';
    if (width < TLOG_TILE) (void)snprintf(partial, sizeof partial, ".p/%u", width);
    if (level < 0)
        (void)snprintf(ret_path, TLOG_PATH_MAX, "tile/entries/%s%s", number + at, partial);
    else (void)snprintf(ret_path, TLOG_PATH_MAX, "tile/%d/%s%s", level, number + at, partial);
    return NULL;
}

/* Three digits; behind an x more follow. False: neither. */
static bool take_group(bytes_t group, bool *ret_more, uint64_t *index) {
    uint64_t value = 0;
    *ret_more = group.n == 4 && group.p[0] == 'x';
    if (*ret_more) group = bytes_from(group, 1);
    if (group.n != 3) return false;
    err_t *e = text_u64(group, 999, &value);
    err_free(e);
    *index = *index * 1000 + value;
    return !e;
}

static bool take_parts(bytes_t path, int *level, uint64_t *index, unsigned *width) {
    static const bytes_t partial = {(const uint8_t *)".p", 2};
    uint64_t number = 0, w = TLOG_TILE;
    bytes_t part;
    bool more = true;
    if (!text_split(&path, '/', &part)) return false;
    *level = -1;
    err_t *e = bytes_eq_str(part, "entries") ? NULL : text_u64(part, 63, &number);
    err_free(e);
    if (e) return false;
    if (!bytes_eq_str(part, "entries")) *level = (int)number;
    for (unsigned groups = 0; more; groups++) {
        if (groups == 6 || !text_split(&path, '/', &part)) return false;
        bool last = part.n > 2 && bytes_eq(bytes_from(part, part.n - 2), partial);
        if (!take_group(bytes_slice(part, 0, part.n - (last ? 2 : 0)), &more, index)) return false;
        if (more && last) return false;
    }
    if (path.n) {
        e = text_u64(path, TLOG_TILE - 1, &w);
        err_free(e);
        if (e) return false;
    }
    *width = (unsigned)w;
    return w > 0;
}

bool tlog_tile_parse(bytes_t path, int *ret_level, uint64_t *ret_index, unsigned *ret_width) {
    char again[TLOG_PATH_MAX];
    int level = 0;
    uint64_t index = 0;
    unsigned width = 0;
    if (!take_parts(path, &level, &index, &width)) return false;
    err_t *e = tlog_tile_path(level, index, width, again);
    err_free(e);
    if (e || !bytes_eq_str(path, again + sizeof "tile/" - 1)) return false;
    *ret_level = level;
    *ret_index = index;
    *ret_width = width;
    return true;
}

err_t *tlog_bundle_add(bytes_t entry, buf_t *out) {
    if (entry.n > UINT16_MAX) return err_new(ERR_LIMIT, "a log entry of %zu bytes", entry.n);
    TRY(buf_reserve(out, entry.n + 2));
    TRY(wire_put_u16(out, (uint16_t)entry.n));
    return buf_add(out, entry);
}

err_t *tlog_bundle_next(bytes_t *bundle, bytes_t *ret_entry) {
    wire_reader_t r = wire_reader(*bundle);
    uint16_t n = 0;
    TRY(wire_get_u16(&r, &n));
    TRY(wire_get_raw(&r, n, ret_entry));
    *bundle = r.rest;
    return NULL;
}
