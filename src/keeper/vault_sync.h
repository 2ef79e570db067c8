/*
 * The last tree of the log of device chains that a checkpoint was signed for, in the vault: no
 * checkpoint is signed for a tree that does not go on from it (RFC 9162 section 2.1.4).
 */
#ifndef COFFER_KEEPER_VAULT_SYNC_H
#define COFFER_KEEPER_VAULT_SYNC_H

#include "crypto/merkle.h"
#include "keeper/vault.h"

typedef struct {
    char origin[LIMIT_NOTE_NAME + 1];
    uint64_t size; /* leaves; 0: none was signed yet */
    uint8_t root[MERKLE_HASH];
} vault_tree_t;

/*
 * For an operation: `tree` becomes the last one of its origin. Refused (ERR_DENIED) unless the last
 * one has `old_size` leaves and the proof (hashes one behind the other) shows that `tree` begins
 * with it.
 */
err_t *vault_sync_put(vault_op_t *op, const vault_tree_t *tree, uint64_t old_size,
                      bytes_t proof) WARN_UNUSED;
/* Any thread. tree->origin is given. */
err_t *vault_sync_last(vault_t *vault, vault_tree_t *tree) WARN_UNUSED;

#endif
