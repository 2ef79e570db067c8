/*
 * Who may read and write a region, from this device: approving, revoking, and handing out keys.
 * What each does is one or two entries of the chain and deliveries; a key of a new epoch is kept
 * here before anybody hears of it, and what could not be delivered is delivered by the next step
 * (sync_members_deliver). One thread, between steps.
 */
#ifndef COFFER_SYNC_ENGINE_MEMBERS_H
#define COFFER_SYNC_ENGINE_MEMBERS_H

#include "sync/chain.h"
#include "sync/engine/engine.h"

/* As far as it is known here; sync_engine_fetch() brings the rest. Borrowed until then. */
const sync_chain_t *sync_engine_chain(const sync_engine_t *engine);

/* Puts the card on the chain (unless it is there), gives it these roles, delivers the key. The
 * caller has compared the digits. ERR_BUSY: another device was faster; try again. */
err_t *sync_members_approve(sync_engine_t *engine, const sync_card_t *card,
                            uint8_t roles) WARN_UNUSED;
/* Ends a device; a new epoch begins, whose key all others are given. */
err_t *sync_members_revoke(sync_engine_t *engine, const uint8_t device[SYNC_HASH]) WARN_UNUSED;
/* By the recovery key alone, whose engine this is: the card's device gets all rights, all others
 * end but recovery keys; a new epoch. */
err_t *sync_members_recover(sync_engine_t *engine, const sync_card_t *card) WARN_UNUSED;
/* A new epoch without anybody leaving. */
err_t *sync_members_rotate(sync_engine_t *engine) WARN_UNUSED;
/* Delivers the newest key to every active device but recovery's own, if that is still owed. */
err_t *sync_members_deliver(sync_engine_t *engine) WARN_UNUSED;

/* A new region: its first entry into ret_entry, its key and chain into the state. No network. */
err_t *sync_members_begin(const sync_device_key_t *device, const clk_t *clk, const rnd_t *rnd,
                          db_local_t *state, buf_t *ret_entry,
                          uint8_t ret_region[SYNC_HASH]) WARN_UNUSED;
/*
 * For a device that joins: the entries, runs from the first on, that the digits covered. It goes on
 * from them alone, whatever the service shows later. No network.
 */
err_t *sync_members_joined(db_local_t *state, bytes_t entries) WARN_UNUSED;
/* Appends the chain's entries as they are kept: runs from the first on. */
err_t *sync_members_entries(db_local_t *state, buf_t *out) WARN_UNUSED;

#endif
