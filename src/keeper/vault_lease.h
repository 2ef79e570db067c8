/*
 * Leases in the vault, and nowhere else. A key lies here as the device sealed it, to the keeper's
 * lease key; a lease that expired is deleted by the sweep, whose entry in the log says how many and
 * which.
 */
#ifndef COFFER_KEEPER_VAULT_LEASE_H
#define COFFER_KEEPER_VAULT_LEASE_H

#include "keeper/client_lease.h"
#include "keeper/vault.h"

typedef struct {
    char device[LIMIT_DEVICE_ID + 1];
    char account[LIMIT_LEASE_ACCOUNT + 1];
    uint64_t epoch;
    int64_t expires; /* seconds */
    uint8_t push_key[LEASE_PUSH_KEY];
    bool may_change; /* of a put: register this push key instead of another */
    size_t sealed_n;
    uint8_t sealed[LIMIT_LEASE_KEY];
} vault_lease_t;

/* ---- rows for an operation ---- */

/*
 * Refused: ERR_DENIED if the epoch is not higher than what is there, revoked or not, or leaps
 * (LIMIT_LEASE_EPOCH_STEP), if the device has leases for another push key, or registered another
 * one and may_change is not set; ERR_LIMIT past LIMIT_LEASES_DEVICE.
 */
err_t *vault_lease_put(vault_op_t *op, const vault_lease_t *lease) WARN_UNUSED;
/* Counts a release. Refused: ERR_NOT_FOUND if this epoch is gone, ERR_BUSY at the cap. */
err_t *vault_lease_release(vault_op_t *op, const vault_lease_t *lease) WARN_UNUSED;
/*
 * Deletes the keys, keeps the epochs until the last expiry that there was under this name.
 * `account`
 * "": all of the device.
 */
err_t *vault_lease_revoke(vault_op_t *op, const char *device, const char *account) WARN_UNUSED;
/* Revokes all of the device and forgets which push key it registered. */
err_t *vault_lease_reset(vault_op_t *op, const char *device) WARN_UNUSED;

/* ---- reading, any thread ---- */

/* *ret_found false too if it has expired or was revoked. */
err_t *vault_lease_find(vault_t *vault, const char *device, const char *account, bool *ret_found,
                        vault_lease_t *ret_lease) WARN_UNUSED;
/* Those of a device that have not expired. */
err_t *vault_lease_list(vault_t *vault, const char *device,
                        keeper_lease_state_t ret_list[LIMIT_LEASES_DEVICE],
                        size_t *ret_count) WARN_UNUSED;

/*
 * Deletes what has expired, in the background, a few hundred in a transaction, so that others'
 * requests come in between. Call it every few seconds. Does nothing while a sweep goes on.
 */
err_t *vault_lease_sweep(vault_t *vault) WARN_UNUSED;
bool vault_lease_sweeping(const vault_t *vault);

#endif
