/*
 * Region keys and their epochs. Each epoch has a random key (R13). The chain commits to it and
 * carries the key before, sealed under it, so that whoever is given one key has the older ones too.
 * A device gets it by a delivery, record cofferYE: HPKE to its key, and the sender's signature over
 * that, recipient, epoch and place in the chain (R6); what opens is adopted only if it is what
 * the chain commits to. On devices; the service only checks deliveries.
 */
#ifndef COFFER_SYNC_EPOCH_H
#define COFFER_SYNC_EPOCH_H

#include "base/rnd.h"
#include "crypto/secret.h"
#include "sync/chain.h"
#include "sync/device_key.h"

/* From the key alone: no other key has it (R18). */
err_t *sync_epoch_commit(const secret_t *key, uint64_t epoch,
                         uint8_t ret_commit[SYNC_HASH]) WARN_UNUSED;
/* The key of the epoch before, under that of `epoch`; SYNC_WRAP bytes. */
err_t *sync_epoch_history_seal(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                               const secret_t *before, const rnd_t *rnd, buf_t *out) WARN_UNUSED;
/*
 * The key of `wanted` from the key of a later epoch (or the same), step by step along the chain,
 * each one checked against the chain's commitment.
 */
err_t *sync_epoch_walk(const sync_chain_t *chain, const secret_t *key, uint64_t epoch,
                       uint64_t wanted, secret_t **ret_key) WARN_UNUSED;
/* What wraps the keys of files in a folder, in one epoch. */
err_t *sync_folder_key(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                       const uint8_t folder[SYNC_NODE], secret_t **ret_key) WARN_UNUSED;

/* ---- deliveries ---- */

typedef struct {
    uint16_t suite;
    uint8_t region[SYNC_HASH];
    uint64_t epoch;
    uint64_t position; /* the sender's place in the chain */
    uint8_t head[SYNC_HASH];
    uint8_t sender[SYNC_HASH], recipient[SYNC_HASH]; /* device ids */
    bytes_t enc;                                     /* HPKE's encapsulated key; borrowed */
    bytes_t sealed;                                  /* ciphertext and tag; borrowed */
    uint8_t signature[SYNC_SIGNATURE];
    bytes_t message; /* what the signature is over; borrowed; not for put */
} sync_delivery_t;

/* Everything before the signature. */
err_t *sync_delivery_put(const sync_delivery_t *delivery, buf_t *out) WARN_UNUSED;
err_t *sync_delivery_parse(bytes_t record, sync_delivery_t *ret_delivery) WARN_UNUSED;
/* Appends the record for an active device of the chain, at the chain's head; ERR_DENIED else. */
err_t *sync_delivery_seal(const sync_chain_t *chain, const sync_device_key_t *sender,
                          const uint8_t recipient[SYNC_HASH], const secret_t *key,
                          buf_t *out) WARN_UNUSED;
/* Without keys: signed by an active device, at its place, for an active one, in that epoch. */
err_t *sync_delivery_check(const sync_chain_t *chain, const sync_delivery_t *delivery) WARN_UNUSED;
/* Checks, opens, compares with the chain's commitment. ERR_VERIFY or ERR_DENIED. */
err_t *sync_delivery_open(const sync_chain_t *chain, const sync_delivery_t *delivery,
                          const sync_device_key_t *recipient, secret_t **ret_key) WARN_UNUSED;

#endif
