/*
 * A region's signed root, record cofferYR, and what it changes, record cofferYG. A commit is a new
 * root: it names the root folder's package, follows the root before by number and hash, and signs
 * its author's place in the chain (R15). The service takes it by compare-and-swap; every device
 * keeps the highest it saw, so an older or another one is noticed. The change names the packages
 * that become part of the tree and those that no longer are: the service knows what is alive
 * without reading it, and takes a root only when all that is added lies on disk. Pure.
 */
#ifndef COFFER_SYNC_ROOT_H
#define COFFER_SYNC_ROOT_H

#include "sync/chain.h"
#include "sync/device_key.h"

typedef struct {
    uint16_t suite;
    uint8_t region[SYNC_HASH];
    uint64_t counter;            /* from 1 */
    uint8_t previous[SYNC_HASH]; /* hash of the root before; zeros in the first */
    uint8_t folder[SYNC_HASH];   /* package of the root folder */
    uint8_t change[SYNC_HASH];   /* hash of the change's record */
    int64_t time;                /* seconds since 1970 UTC; informative */
    uint8_t device[SYNC_HASH];
    uint64_t position; /* the author's place in the chain */
    uint8_t head[SYNC_HASH];
    uint8_t signature[SYNC_SIGNATURE];
} sync_root_t;

/* What of a root a device keeps for good. */
typedef struct {
    uint64_t counter; /* 0: none yet */
    uint8_t hash[SYNC_HASH];
    uint64_t position;
} sync_root_seen_t;

enum { SYNC_ROOT_MAX = 512 };

err_t *sync_root_put(const sync_root_t *root, buf_t *out) WARN_UNUSED;
err_t *sync_root_parse(bytes_t record, sync_root_t *ret_root) WARN_UNUSED;
/* SHA-256 of the record. */
err_t *sync_root_hash(const sync_root_t *root, uint8_t ret_hash[SYNC_HASH]) WARN_UNUSED;
/* Fills region, counter, previous, device, place at the chain's head, signature. */
err_t *sync_root_sign(sync_root_t *root, const sync_root_seen_t *before, const sync_chain_t *chain,
                      const sync_device_key_t *device) WARN_UNUSED;
/* Judged at its place: signature, right to write then, region, suite. */
err_t *sync_root_check(const sync_root_t *root, const sync_chain_t *chain) WARN_UNUSED;
/*
 * It is checked and follows `seen`, whose author's place is not after this one's; updates seen.
 * ERR_EXISTS if it is the very one that was seen; ERR_VERIFY "rolled back" for an older one, or
 * "forked" for another of the same number or a next one that doesn't follow; ERR_NOT_FOUND if roots
 * between are missing (fetch them in order).
 */
err_t *sync_root_follow(const sync_root_t *root, const sync_chain_t *chain,
                        sync_root_seen_t *seen) WARN_UNUSED;
/* The service's check of a new root: that, and its author may still write at the chain's head. */
err_t *sync_root_admit(const sync_root_t *root, const sync_chain_t *chain,
                       sync_root_seen_t *seen) WARN_UNUSED;

/* ---- changes ---- */

typedef struct {
    bytes_t added, dropped; /* package ids, 32 bytes each, ascending; borrowed */
} sync_change_t;

err_t *sync_change_put(const sync_change_t *change, buf_t *out) WARN_UNUSED;
/* Ascending, each once, none in both; LIMIT_SYNC_CHANGES of either. */
err_t *sync_change_parse(bytes_t record, sync_change_t *ret_change) WARN_UNUSED;
/* The same of the very change that the root signs; else ERR_VERIFY. */
err_t *sync_change_open(const sync_root_t *root, bytes_t record,
                        sync_change_t *ret_change) WARN_UNUSED;

#endif
