/*
 * The keys that blobs lie under, from the keeper.
 */
#ifndef COFFER_KEEPER_CLIENT_BLOB_H
#define COFFER_KEEPER_CLIENT_BLOB_H

#include "base/limits.h"
#include "crypto/secret.h"
#include "keeper/client.h"

/*
 * The blob key of every storage key, at its number from 1 to *ret_current, which is to seal; 32
 * bytes each, the caller frees them. Nothing is changed on failure. Idempotent; recorded in the
 * keeper's log, so ask once at start.
 */
err_t *keeper_blob_keys(keeper_t *keeper, secret_t *ret_keys[LIMIT_STORAGE_KEYS + 1],
                        uint32_t *ret_current) WARN_UNUSED;

#endif
