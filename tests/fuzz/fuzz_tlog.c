/*
 * Proofs of the log of chain heads, as a hostile log gives them: only the very proof that follows
 * from the tiles holds. Input: leaves u16, index or former size u16, then changes of the proof:
 * offset u16, xor u8; the last odd byte leaves so many hashes out.
 */
#include <stdlib.h>

#include "sync/tlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEAVES_MAX = 600 };

static err_t *leaf(uint64_t index, uint8_t ret_hash[MERKLE_HASH]) {
    uint8_t bytes[2] = {(uint8_t)(index >> 8), (uint8_t)index};
    return merkle_leaf(BYTES_ARRAY(bytes), ret_hash);
}

/* Level 1 is of whole tiles of level 0; there is no level 2 with so few leaves. */
static err_t *read_tile(void *ctx, unsigned level, uint64_t index, unsigned width,
                        uint8_t (*ret_hashes)[MERKLE_HASH]) {
    (void)ctx;
    if (level > 1) abort();
    for (uint64_t i = 0; i < width; i++) {
        uint64_t at = index * TLOG_TILE + i;
        merkle_t tree;
        merkle_init(&tree);
        if (level == 0) TRY(leaf(at, ret_hashes[i]));
        for (uint64_t j = 0; level == 1 && j < TLOG_TILE; j++) {
            uint8_t hash[MERKLE_HASH];
            TRY(leaf(at * TLOG_TILE + j, hash));
            TRY(merkle_add(&tree, hash));
        }
        if (level == 1) TRY(merkle_root(&tree, ret_hashes[i]));
    }
    return NULL;
}

typedef struct {
    uint8_t hashes[MERKLE_PROOF_MAX][MERKLE_HASH];
    size_t n;
} proof_t;

static bool change(proof_t *proof, bytes_t changes) {
    proof_t before = *proof;
    for (; changes.n >= 3; changes = bytes_from(changes, 3)) {
        size_t at = (size_t)(changes.p[0] << 8 | changes.p[1]);
        if (at < proof->n * MERKLE_HASH) ((uint8_t *)proof->hashes)[at] ^= changes.p[2];
    }
    if (changes.n) proof->n -= changes.p[0] <= proof->n ? changes.p[0] : 0;
    return before.n != proof->n ||
           memcmp(&before.hashes, &proof->hashes, sizeof before.hashes) != 0;
}

static void expect(err_t *e, bool changed) {
    if ((e != NULL) != changed) abort();
    err_free(e);
}

static void inclusion(const tlog_tiles_t *tiles, uint64_t size, uint64_t index, bytes_t changes) {
    static proof_t proof;
    uint8_t root[MERKLE_HASH], hash[MERKLE_HASH];
    proof = (proof_t){0};
    if (leaf(index, hash) || tlog_root(tiles, size, root)) abort();
    if (tlog_inclusion(tiles, size, index, proof.hashes, &proof.n)) abort();
    bool changed = change(&proof, changes);
    expect(merkle_check_inclusion(size, index, hash, (const uint8_t(*)[MERKLE_HASH])proof.hashes,
                                  proof.n, root),
           changed);
}

static void consistency(const tlog_tiles_t *tiles, uint64_t old, uint64_t size, bytes_t changes) {
    static proof_t proof;
    uint8_t root[MERKLE_HASH], old_root[MERKLE_HASH];
    proof = (proof_t){0};
    if (tlog_root(tiles, old, old_root) || tlog_root(tiles, size, root)) abort();
    if (tlog_consistency(tiles, old, size, proof.hashes, &proof.n)) abort();
    bool changed = change(&proof, changes);
    expect(merkle_check_consistency(old, old_root, size, root,
                                    (const uint8_t(*)[MERKLE_HASH])proof.hashes, proof.n),
           changed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const tlog_tiles_t tiles = {.read = read_tile};
    if (size < 4) return 0;
    uint64_t leaves = (uint64_t)(data[0] << 8 | data[1]) % LEAVES_MAX + 1;
    uint64_t at = (uint64_t)(data[2] << 8 | data[3]) % leaves;
    bytes_t changes = bytes_make(data + 4, size - 4);
    if (crypto_init()) abort();
    inclusion(&tiles, leaves, at, changes);
    consistency(&tiles, at + 1, leaves, changes);
    return 0;
}
