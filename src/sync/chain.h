/*
 * The device chain of a region: who may read, write and manage it, from its first entry on. A
 * region is a tree of files with keys of its own; its id is the hash of its chain's first entry,
 * so nobody can put another chain under it. The service and every device run the same checks.
 *
 * An entry holds if it follows the one before (position, hash, region, a suite not below), is
 * signed by a device whose roles at that place allow it, and keeps the rules of its kind:
 *   add      author MANAGE; a verified card whose id the chain never had. The first entry is one:
 *            author and subject are the same device, which gets SYNC_ALL; epoch 1.
 *   approve  author MANAGE; subject added, not approved; roles of READ WRITE MANAGE, or RECOVER
 *            alone.
 *   revoke   author MANAGE, and not the subject: who leaves must not make the key that shuts him
 *            out. Somebody with MANAGE therefore always remains.
 *   rotate   author MANAGE. No card: a new epoch. With one: the author goes, the card's device
 *            takes its roles.
 *   recover  author RECOVER; the card's device gets SYNC_ALL, all others but recovery keys go.
 * Only who manages or recovers makes epochs: with a key that nobody was given, or a wrong former
 * one beside it, others could be shut out. The last three make a new epoch, whose key is committed
 * to in the entry: a device adopts a key only if it is the one that the chain commits to (R6), and
 * seals one only to a device that it finds active here (R5). What was signed is judged at its
 * place: who was active then (R16).
 *
 * Pure. One thread at a time; reading from several is fine while nobody appends.
 */
#ifndef COFFER_SYNC_CHAIN_H
#define COFFER_SYNC_CHAIN_H

#include "crypto/pkey.h"
#include "sync/card.h"
#include "sync/chain_entry.h"

typedef struct sync_chain sync_chain_t;

typedef enum { SYNC_DEVICE_ADDED, SYNC_DEVICE_ACTIVE, SYNC_DEVICE_ENDED } sync_device_state_t;

/* Position of what did not happen (yet). */
#define SYNC_NEVER UINT64_MAX

typedef struct {
    uint8_t id[SYNC_HASH];
    sync_card_t card; /* verified */
    sync_device_state_t state;
    uint8_t roles;   /* while active, and what they were afterwards */
    uint64_t added;  /* positions */
    uint64_t active; /* SYNC_NEVER until approved */
    uint64_t ended;  /* SYNC_NEVER until revoked, replaced or recovered from */
    pkey_t *content; /* Ed25519, public; the chain's */
    pkey_t *seal;    /* X25519, public; the chain's */
} sync_device_t;

/* Where a chain stands. */
typedef struct {
    uint16_t suite;
    uint8_t region[SYNC_HASH];
    uint64_t position;       /* of the last entry */
    uint8_t head[SYNC_HASH]; /* its hash */
    uint64_t epoch;
    uint8_t commit[SYNC_HASH];
} sync_chain_head_t;

err_t *sync_chain_new(sync_chain_t **ret_chain) WARN_UNUSED;
void sync_chain_free(sync_chain_t *chain); /* takes NULL */

/*
 * Checks and takes the next entry; on failure the chain is as it was. ERR_VERIFY for what doesn't
 * follow or isn't signed, ERR_DENIED for what its author may not do, ERR_INVALID or ERR_LIMIT for
 * what is no entry.
 */
err_t *sync_chain_append(sync_chain_t *chain, bytes_t record) WARN_UNUSED;

size_t sync_chain_count(const sync_chain_t *chain); /* entries */
/* ERR_NOT_FOUND for an empty chain. */
err_t *sync_chain_head(const sync_chain_t *chain, sync_chain_head_t *ret_head) WARN_UNUSED;
/* Devices in the order of their adding; borrowed until the next append. */
size_t sync_chain_devices(const sync_chain_t *chain, const sync_device_t **ret_devices);
/* NULL if the chain never had it. */
const sync_device_t *sync_chain_device(const sync_chain_t *chain, const uint8_t id[SYNC_HASH]);
/* Roles at the place after entry `position`; 0 if it was not active then. */
uint8_t sync_chain_roles_at(const sync_device_t *device, uint64_t position);

/*
 * Whether entry `position` has this hash. ERR_NOT_FOUND if the chain is not that long yet (fetch
 * the rest); ERR_VERIFY if it has another: somebody was shown another chain (a fork, R15).
 */
err_t *sync_chain_check_place(const sync_chain_t *chain, uint64_t position,
                              const uint8_t hash[SYNC_HASH]) WARN_UNUSED;
/* The place is right, and the device had one of `roles` there; ERR_DENIED if not. */
err_t *sync_chain_check_author(const sync_chain_t *chain, const uint8_t device[SYNC_HASH],
                               uint64_t position, const uint8_t hash[SYNC_HASH], uint8_t roles,
                               const sync_device_t **ret_device) WARN_UNUSED;
/* Epoch at a place; ERR_NOT_FOUND beyond the end. */
err_t *sync_chain_epoch_at(const sync_chain_t *chain, uint64_t position,
                           uint64_t *ret_epoch) WARN_UNUSED;
/* Commitment and sealed former key (none for epoch 1) of an epoch; ERR_NOT_FOUND. */
err_t *sync_chain_epoch(const sync_chain_t *chain, uint64_t epoch, const uint8_t **ret_commit,
                        bytes_t *ret_history) WARN_UNUSED;

DEFINE_CLEANUP(sync_chain_t, sync_chain_free)

#endif
