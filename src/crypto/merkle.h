/*
 * Merkle trees of RFC 6962 section 2.1 (SHA-256): the root of what comes in pieces, in memory of
 * 2 KiB whatever their number, and the checks of proofs (RFC 9162 sections 2.1.3.2 and 2.1.4.2).
 * The tree of a file's ciphertext and that of the log of chain heads are both such; the keeper
 * checks that the log only grows. Pure; a merkle_t belongs to one thread.
 */
#ifndef COFFER_CRYPTO_MERKLE_H
#define COFFER_CRYPTO_MERKLE_H

#include "base/bytes.h"
#include "base/err.h"

enum { MERKLE_HASH = 32, MERKLE_DEPTH = 64, MERKLE_PROOF_MAX = 2 * MERKLE_DEPTH };

typedef struct {
    uint64_t n; /* leaves */
    unsigned depth;
    uint8_t stack[MERKLE_DEPTH][MERKLE_HASH]; /* roots of complete subtrees, largest first */
} merkle_t;

static inline void merkle_init(merkle_t *merkle) {
    merkle->n = 0;
    merkle->depth = 0;
}

/* SHA-256(0x00 || data); SHA-256(0x01 || left || right). */
err_t *merkle_leaf(bytes_t data, uint8_t ret_hash[MERKLE_HASH]) WARN_UNUSED;
err_t *merkle_node(const uint8_t left[MERKLE_HASH], const uint8_t right[MERKLE_HASH],
                   uint8_t ret_hash[MERKLE_HASH]) WARN_UNUSED;

/* The next leaf, by its hash or by its data. On failure the tree is as it was. */
err_t *merkle_add(merkle_t *merkle, const uint8_t leaf[MERKLE_HASH]) WARN_UNUSED;
err_t *merkle_add_data(merkle_t *merkle, bytes_t data) WARN_UNUSED;
/* Of the leaves so far; of none it is SHA-256 of nothing. */
err_t *merkle_root(const merkle_t *merkle, uint8_t ret_root[MERKLE_HASH]) WARN_UNUSED;

/* The proof shows that `leaf` is the index-th of `size` leaves under `root`; else ERR_VERIFY. */
err_t *merkle_check_inclusion(uint64_t size, uint64_t index, const uint8_t leaf[MERKLE_HASH],
                              const uint8_t (*proof)[MERKLE_HASH], size_t proof_n,
                              const uint8_t root[MERKLE_HASH]) WARN_UNUSED;
/* The proof shows that the tree of `size` leaves begins with the tree of `old_size`. */
err_t *merkle_check_consistency(uint64_t old_size, const uint8_t old_root[MERKLE_HASH],
                                uint64_t size, const uint8_t root[MERKLE_HASH],
                                const uint8_t (*proof)[MERKLE_HASH], size_t proof_n) WARN_UNUSED;

#endif
