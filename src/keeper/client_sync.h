/*
 * Asks for checkpoints of the log of device chains.
 */
#ifndef COFFER_KEEPER_CLIENT_SYNC_H
#define COFFER_KEEPER_CLIENT_SYNC_H

#include "keeper/client.h"

/* A tree, and the proof that it begins with the one of `old_size` leaves that was signed last. */
typedef struct {
    const char *origin;
    uint64_t size;
    const uint8_t *root; /* 32 bytes */
    uint64_t old_size;   /* 0: none was signed yet */
    bytes_t proof;       /* hashes one behind the other (RFC 9162 section 2.1.4) */
} keeper_tree_t;

/*
 * Appends the signed note (C2SP tlog-checkpoint) of a tree. Idempotent; in the keeper's log.
 * Nothing is appended if another tree than that of old_size was signed last: *ret_last says how
 * large it is; ask again with that proof. ERR_DENIED: the tree does not go on from it.
 */
err_t *keeper_sync_checkpoint(keeper_t *keeper, const keeper_tree_t *tree, uint64_t *ret_last,
                              buf_t *ret_note) WARN_UNUSED;

#endif
