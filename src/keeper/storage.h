/*
 * The storage keys, by number from 1: sealed secrets and wraps name the one they are under. Only
 * the newest seals. Read by all workers without a lock; added to by the vault's writer alone.
 */
#ifndef COFFER_KEEPER_STORAGE_H
#define COFFER_KEEPER_STORAGE_H

#include "keeper/vault.h"

typedef struct storage storage_t;

/* "storage" is the first, "storage-2" the second in the vault. */
err_t *storage_load(vault_t *vault, storage_t **ret_storage) WARN_UNUSED;
void storage_free(storage_t *storage); /* takes NULL */

uint32_t storage_current(const storage_t *storage);
/* Borrowed, good as long as storage. ERR_NOT_FOUND. */
err_t *storage_key(const storage_t *storage, uint32_t number, const secret_t **ret_key) WARN_UNUSED;
/*
 * A new one comes with this operation: into the vault, and into use once that is committed. Refused
 * (ERR_BUSY) if `number` is not the next one any more.
 */
err_t *storage_add(storage_t *storage, uint32_t number, const rnd_t *rnd,
                   vault_op_t *op) WARN_UNUSED;

DEFINE_CLEANUP(storage_t, storage_free)

#endif
