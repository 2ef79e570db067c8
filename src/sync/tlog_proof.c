/*
 * Roots and proofs from tiles: see tlog.h (RFC 6962 section 2.1, C2SP tlog-tiles). Pure; any
 * thread.
 */
#include "sync/tlog.h"

enum { TILE_BITS = 8, LEVELS = 8 };

unsigned tlog_tile_width(uint64_t size, unsigned level, uint64_t index) {
    if (level >= LEVELS) return 0;
    uint64_t hashes = size >> (TILE_BITS * level);
    if (index >= (uint64_t)1 << 56 || index * TLOG_TILE >= hashes) return 0;
    uint64_t rest = hashes - index * TLOG_TILE;
    return rest < TLOG_TILE ? (unsigned)rest : TLOG_TILE;
}

/* The complete subtree of 2^height leaves, the index-th of its height. */
static err_t *subtree(const tlog_tiles_t *tiles, uint64_t size, unsigned height, uint64_t index,
                      uint8_t ret_hash[MERKLE_HASH]) {
    uint8_t hashes[TLOG_TILE][MERKLE_HASH];
    merkle_t merkle;
    unsigned level = height / TILE_BITS, inner = height % TILE_BITS;
    uint64_t first = index << inner; /* among the hashes of the level */
    uint64_t tile = first >> TILE_BITS;
    unsigned from = (unsigned)(first & (TLOG_TILE - 1)), count = 1u << inner;
    unsigned width = tlog_tile_width(size, level, tile);
    if (from + count > width) return err_new(ERR_INTERNAL, "a subtree outside of the tree");
    TRY(tiles->read(tiles->ctx, level, tile, width, hashes));
    merkle_init(&merkle);
    for (unsigned i = 0; i < count; i++) TRY(merkle_add(&merkle, hashes[from + i]));
    return merkle_root(&merkle, ret_hash);
}

static unsigned log2_floor(uint64_t n) { return 63 - (unsigned)__builtin_clzll(n); }

/* MTH(D[from:to]), where `from` is a multiple of the largest power of two in to - from. */
static err_t *range(const tlog_tiles_t *tiles, uint64_t size, uint64_t from, uint64_t to,
                    uint8_t ret_hash[MERKLE_HASH]) {
    uint8_t parts[MERKLE_DEPTH][MERKLE_HASH];
    unsigned n = 0;
    while (from < to) {
        unsigned height = log2_floor(to - from);
        TRY(subtree(tiles, size, height, from >> height, parts[n++]));
        from += (uint64_t)1 << height;
    }
    if (n == 0) return err_new(ERR_INTERNAL, "an empty range of leaves");
    while (--n > 0) TRY(merkle_node(parts[n - 1], parts[n], parts[n - 1]));
    memcpy(ret_hash, parts[0], MERKLE_HASH);
    return NULL;
}

err_t *tlog_root(const tlog_tiles_t *tiles, uint64_t size, uint8_t ret_root[MERKLE_HASH]) {
    merkle_t empty;
    merkle_init(&empty);
    return size ? range(tiles, size, 0, size, ret_root) : merkle_root(&empty, ret_root);
}

/* Proofs are found from the root down and read from the leaf up. */
static void reverse(uint8_t proof[MERKLE_PROOF_MAX][MERKLE_HASH], size_t n) {
    uint8_t hash[MERKLE_HASH];
    for (size_t i = 0; i < n / 2; i++) {
        memcpy(hash, proof[i], MERKLE_HASH);
        memcpy(proof[i], proof[n - 1 - i], MERKLE_HASH);
        memcpy(proof[n - 1 - i], hash, MERKLE_HASH);
    }
}

/* The left part of a tree of n leaves, n > 1. */
static uint64_t left_of(uint64_t n) { return (uint64_t)1 << log2_floor(n - 1); }

err_t *tlog_inclusion(const tlog_tiles_t *tiles, uint64_t size, uint64_t index,
                      uint8_t ret_proof[MERKLE_PROOF_MAX][MERKLE_HASH], size_t *ret_n) {
    uint64_t from = 0, to = size;
    size_t n = 0;
    if (index >= size) return err_new(ERR_NOT_FOUND, "the log has no such leaf");
    while (to - from > 1) {
        uint64_t middle = from + left_of(to - from);
        bool left = index < middle;
        TRY(range(tiles, size, left ? middle : from, left ? to : middle, ret_proof[n++]));
        if (left) to = middle;
        if (!left) from = middle;
    }
    reverse(ret_proof, n);
    *ret_n = n;
    return NULL;
}

err_t *tlog_consistency(const tlog_tiles_t *tiles, uint64_t old_size, uint64_t size,
                        uint8_t ret_proof[MERKLE_PROOF_MAX][MERKLE_HASH], size_t *ret_n) {
    uint64_t from = 0, to = size;
    size_t n = 0;
    if (old_size > size) return err_new(ERR_NOT_FOUND, "the log is not that long");
    if (old_size == 0 || old_size == size) {
        *ret_n = 0;
        return NULL;
    }
    while (old_size < to) {
        uint64_t middle = from + left_of(to - from);
        bool left = old_size <= middle;
        TRY(range(tiles, size, left ? middle : from, left ? to : middle, ret_proof[n++]));
        if (left) to = middle;
        if (!left) from = middle;
    }
    /* The last old subtree stands first, unless it is the old root itself. */
    if (from != 0) TRY(range(tiles, size, from, to, ret_proof[n++]));
    reverse(ret_proof, n);
    *ret_n = n;
    return NULL;
}
