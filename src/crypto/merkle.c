/*
 * RFC 6962 trees and proofs: see merkle.h. Pure; any process.
 */
#include "crypto/merkle.h"

#include "crypto/digest.h"

err_t *merkle_leaf(bytes_t data, uint8_t ret_hash[MERKLE_HASH]) {
    CLEANUP(digest_free) digest_t *digest = NULL;
    TRY(digest_new(&digest));
    TRY(digest_update(digest, BYTES_LIT("\0")));
    TRY(digest_update(digest, data));
    return digest_final(digest, ret_hash);
}

err_t *merkle_node(const uint8_t left[MERKLE_HASH], const uint8_t right[MERKLE_HASH],
                   uint8_t ret_hash[MERKLE_HASH]) {
    uint8_t both[1 + 2 * MERKLE_HASH];
    both[0] = 1;
    memcpy(both + 1, left, MERKLE_HASH);
    memcpy(both + 1 + MERKLE_HASH, right, MERKLE_HASH);
    return digest_sha256(BYTES_ARRAY(both), ret_hash);
}

err_t *merkle_add(merkle_t *merkle, const uint8_t leaf[MERKLE_HASH]) {
    uint8_t hash[MERKLE_HASH];
    unsigned depth = merkle->depth;
    if (merkle->n == UINT64_MAX) return err_new(ERR_LIMIT, "too many leaves");
    memcpy(hash, leaf, sizeof hash);
    /* Each one at the end of n's binary form is a complete subtree that this leaf makes larger. */
    for (uint64_t n = merkle->n; n & 1; n >>= 1) {
        TRY(merkle_node(merkle->stack[depth - 1], hash, hash));
        depth--;
    }
    memcpy(merkle->stack[depth], hash, sizeof hash);
    merkle->depth = depth + 1;
    merkle->n++;
    return NULL;
}

err_t *merkle_add_data(merkle_t *merkle, bytes_t data) {
    uint8_t hash[MERKLE_HASH];
    TRY(merkle_leaf(data, hash));
    return merkle_add(merkle, hash);
}

err_t *merkle_root(const merkle_t *merkle, uint8_t ret_root[MERKLE_HASH]) {
    if (merkle->n == 0) return digest_sha256(BYTES_NONE, ret_root);
    uint8_t hash[MERKLE_HASH];
    memcpy(hash, merkle->stack[merkle->depth - 1], sizeof hash);
    for (unsigned i = merkle->depth - 1; i > 0; i--)
        TRY(merkle_node(merkle->stack[i - 1], hash, hash));
    memcpy(ret_root, hash, sizeof hash);
    return NULL;
}

static err_t *no_proof(void) { return err_new(ERR_VERIFY, "the proof does not hold"); }

/* Along the proof, from a leaf or the last common subtree of two trees to their roots. `old_hash`:
 * that of the older tree, or NULL. */
static err_t *climb(uint64_t fn, uint64_t sn, const uint8_t (*proof)[MERKLE_HASH], size_t proof_n,
                    uint8_t old_hash[MERKLE_HASH], uint8_t hash[MERKLE_HASH]) {
    for (size_t i = 0; i < proof_n; i++) {
        if (sn == 0) return no_proof();
        if ((fn & 1) || fn == sn) {
            if (old_hash) TRY(merkle_node(proof[i], old_hash, old_hash));
            TRY(merkle_node(proof[i], hash, hash));
            for (; !(fn & 1) && fn != 0; fn >>= 1) sn >>= 1;
        } else {
            TRY(merkle_node(hash, proof[i], hash));
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 ? NULL : no_proof();
}

err_t *merkle_check_inclusion(uint64_t size, uint64_t index, const uint8_t leaf[MERKLE_HASH],
                              const uint8_t (*proof)[MERKLE_HASH], size_t proof_n,
                              const uint8_t root[MERKLE_HASH]) {
    uint8_t hash[MERKLE_HASH];
    if (index >= size) return no_proof();
    memcpy(hash, leaf, sizeof hash);
    TRY(climb(index, size - 1, proof, proof_n, NULL, hash));
    return memcmp(hash, root, sizeof hash) == 0 ? NULL : no_proof();
}

err_t *merkle_check_consistency(uint64_t old_size, const uint8_t old_root[MERKLE_HASH],
                                uint64_t size, const uint8_t root[MERKLE_HASH],
                                const uint8_t (*proof)[MERKLE_HASH], size_t proof_n) {
    if (old_size > size) return no_proof();
    if (old_size == size || old_size == 0) {
        bool same = old_size == 0 || memcmp(old_root, root, MERKLE_HASH) == 0;
        return proof_n == 0 && same ? NULL : no_proof();
    }
    uint8_t old_hash[MERKLE_HASH], hash[MERKLE_HASH];
    uint64_t fn = old_size - 1, sn = size - 1;
    for (; fn & 1; fn >>= 1) sn >>= 1;
    if ((old_size & (old_size - 1)) == 0) { /* a power of two: the old root starts the proof */
        memcpy(hash, old_root, sizeof hash);
    } else {
        if (proof_n == 0) return no_proof();
        memcpy(hash, proof[0], sizeof hash);
        proof++;
        proof_n--;
    }
    memcpy(old_hash, hash, sizeof hash);
    TRY(climb(fn, sn, proof, proof_n, old_hash, hash));
    bool holds =
        memcmp(old_hash, old_root, MERKLE_HASH) == 0 && memcmp(hash, root, MERKLE_HASH) == 0;
    return holds ? NULL : no_proof();
}
