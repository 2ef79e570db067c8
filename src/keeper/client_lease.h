/*
 * Leases: keys with a short life that a device leaves with the keeper, so that it can be given one
 * back while it is locked (docs/formats/escrow.md). The device seals its key to the keeper's lease
 * key (HPKE, info: keeper_lease_info); the keeper gives it to nobody but the push key that the
 * device named when it sealed, and forgets it when it expires. See client.h for what is common.
 */
#ifndef COFFER_KEEPER_CLIENT_LEASE_H
#define COFFER_KEEPER_CLIENT_LEASE_H

#include "base/limits.h"
#include "keeper/client.h"

enum { LEASE_PUSH_KEY = 32 }; /* bytes: X25519 */

typedef struct {
    const char *device;  /* device id */
    const char *account; /* what it is for, e.g. a mail account's id */
    uint64_t epoch;      /* from 1, higher with each renewal */
    int64_t expires;     /* seconds since 1970 UTC, at most LIMIT_LEASE_LIFE_S ahead */
    uint8_t push_key[LEASE_PUSH_KEY];
    bool may_change; /* of a put: the device showed its identity, and may register a new push key */
} keeper_lease_t;

/* What the sealing of a key to the keeper is bound to. */
err_t *keeper_lease_info(const keeper_lease_t *lease, buf_t *ret_info) WARN_UNUSED;
/* What its release to the push key is bound to: the lease, and the event that it is for. */
err_t *keeper_lease_release_info(const keeper_lease_t *lease, const char *event,
                                 buf_t *ret_info) WARN_UNUSED;

/* The fields alone: part of that, and of a body. */
err_t *keeper_lease_put_fields(const keeper_lease_t *lease, buf_t *out) WARN_UNUSED;

/*
 * Puts a lease, or renews it: `sealed` is HPKE_AES256_GCM to KEEPER_PUBLIC_LEASE_KEY, at most
 * LIMIT_LEASE_KEY bytes. The first put of a device registers its push key; another one takes a
 * put with may_change while the device has no leases, or keeper_lease_reset. ERR_DENIED if the
 * epoch is not higher than what is or was there, or is too far ahead (LIMIT_LEASE_EPOCH_FIRST_BITS,
 * then LIMIT_LEASE_EPOCH_STEP), or the push key is another; ERR_LIMIT past LIMIT_LEASES_DEVICE.
 */
err_t *keeper_lease_put(keeper_t *keeper, const keeper_lease_t *lease, bytes_t sealed) WARN_UNUSED;
/*
 * The key, sealed to the push key for this event (1 to LIMIT_LEASE_EVENT printable bytes).
 * ret_lease's texts are `device` and `account`. ERR_NOT_FOUND if there is none or it has expired;
 * ERR_BUSY at LIMIT_LEASE_RELEASES an hour; ERR_VERIFY if it was not sealed for exactly this lease.
 */
err_t *keeper_lease_release(keeper_t *keeper, const char *device, const char *account,
                            const char *event, keeper_lease_t *ret_lease,
                            buf_t *ret_sealed) WARN_UNUSED;
/*
 * Forgets the keys of a device (`account` "": of all its leases). What epoch a lease had stays
 * known until all that was ever put under its name would have expired, so that it can't be put
 * again. Nothing there is fine. Idempotent.
 */
err_t *keeper_lease_revoke(keeper_t *keeper, const char *device, const char *account,
                           const char *reason) WARN_UNUSED;
/* The same for all of the device, and forgets which push key it registered. */
err_t *keeper_lease_reset(keeper_t *keeper, const char *device, const char *reason) WARN_UNUSED;

/* What is known of a lease. */
typedef struct {
    char account[LIMIT_LEASE_ACCOUNT + 1];
    uint64_t epoch;
    int64_t expires;  /* seconds */
    int64_t releases; /* since it was put or renewed */
    int64_t last_ms;  /* the last of them, or 0 */
    bool revoked;     /* its key is gone */
    uint8_t push_key[LEASE_PUSH_KEY];
} keeper_lease_state_t;

/* Those of a device that have not expired, by account; at most LIMIT_LEASES_DEVICE. */
err_t *keeper_lease_list(keeper_t *keeper, const char *device,
                         keeper_lease_state_t ret_list[LIMIT_LEASES_DEVICE],
                         size_t *ret_count) WARN_UNUSED;

#endif
