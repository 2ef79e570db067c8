/*
 * Writing entries of a device chain. Each function signs the record that follows the chain's head,
 * appends it to the chain (so that nothing is written that would not hold) and to `out`. Entries
 * that make a new epoch make its key too; deliveries to who stays are the caller's next step. On
 * devices. One thread.
 */
#ifndef COFFER_SYNC_CHAIN_WRITE_H
#define COFFER_SYNC_CHAIN_WRITE_H

#include "sync/epoch.h"

typedef struct {
    const rnd_t *rnd;
    const sync_device_key_t *author; /* borrowed */
    int64_t now;                     /* seconds since 1970 UTC */
} sync_chain_writer_t;

/* The first entry of a new region, and the key of epoch 1. `chain` is empty. */
err_t *sync_chain_begin(const sync_chain_writer_t *writer, sync_chain_t *chain, buf_t *out,
                        secret_t **ret_key) WARN_UNUSED;
err_t *sync_chain_add(const sync_chain_writer_t *writer, sync_chain_t *chain,
                      const sync_card_t *card, buf_t *out) WARN_UNUSED;
err_t *sync_chain_approve(const sync_chain_writer_t *writer, sync_chain_t *chain,
                          const uint8_t device[SYNC_HASH], uint8_t roles, buf_t *out) WARN_UNUSED;
/* `key`: of the epoch that ends; *ret_key: of the one that begins. */
err_t *sync_chain_revoke(const sync_chain_writer_t *writer, sync_chain_t *chain,
                         const uint8_t device[SYNC_HASH], const secret_t *key, buf_t *out,
                         secret_t **ret_key) WARN_UNUSED;
/* `card` NULL: a new epoch alone. */
err_t *sync_chain_rotate(const sync_chain_writer_t *writer, sync_chain_t *chain,
                         const sync_card_t *card, const secret_t *key, buf_t *out,
                         secret_t **ret_key) WARN_UNUSED;
err_t *sync_chain_recover(const sync_chain_writer_t *writer, sync_chain_t *chain,
                          const sync_card_t *card, const secret_t *key, buf_t *out,
                          secret_t **ret_key) WARN_UNUSED;

#endif
