/*
 * The short authentication string of a join: nine digits that both devices show and people
 * compare. So that nobody can search for keys that give the same digits, the new device first
 * commits to a nonce, then learns the approver's, then opens its own: whoever stands between has
 * one try in 10^9. The string covers the card, the region and the head of its chain, so the new
 * device is sure of them too. Pure.
 *
 *   new device -> service   card, sync_sas_commit(card, its nonce)
 *   approver -> service     its device id, its nonce
 *   new device -> service   its nonce; the approver checks the commitment
 */
#ifndef COFFER_SYNC_SAS_H
#define COFFER_SYNC_SAS_H

#include "sync/chain.h"

enum { SYNC_SAS_NONCE = 32, SYNC_SAS_TEXT = 12 }; /* "123-456-789" and NUL */

typedef struct {
    const uint8_t *card_id;        /* SYNC_HASH bytes; of the new device */
    const uint8_t *nonce;          /* SYNC_SAS_NONCE bytes; the new device's */
    const uint8_t *approver;       /* device id */
    const uint8_t *approver_nonce; /* SYNC_SAS_NONCE bytes */
} sync_sas_t;

err_t *sync_sas_commit(const uint8_t card_id[SYNC_HASH], const uint8_t nonce[SYNC_SAS_NONCE],
                       uint8_t ret_commit[SYNC_HASH]) WARN_UNUSED;
/* ERR_VERIFY if the nonce is not the one committed to. */
err_t *sync_sas_check(const uint8_t commit[SYNC_HASH], const uint8_t card_id[SYNC_HASH],
                      const uint8_t nonce[SYNC_SAS_NONCE]) WARN_UNUSED;
err_t *sync_sas_text(const sync_chain_head_t *head, const sync_sas_t *sas,
                     char ret_text[SYNC_SAS_TEXT]) WARN_UNUSED;

#endif
