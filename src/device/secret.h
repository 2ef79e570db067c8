/*
 * A device's secrets: archived by the keeper as escrow objects, so that recovery officers can get
 * at them, and named by a row of `sealed_secret` that says which of the device's secrets it is.
 * Rows from before hold the sealed secret itself; they open as ever. Private to src/device.
 */
#ifndef COFFER_DEVICE_SECRET_H
#define COFFER_DEVICE_SECRET_H

#include "device/device_internal.h"
#include "keeper/client_device_secret.h"
#include "store/escrow.h"

/* The newest of a kind, as the store has it; in the arena. */
typedef struct {
    bool found; /* it may be a deleted one: then `sealed` is empty */
    db_sealed_t row;
    bool in_escrow;     /* the row names an object: */
    db_escrow_t object; /* its current version */
} device_secret_t;

/* Whether there is a secret to be used. */
static inline bool device_secret_is_there(const device_secret_t *secret) {
    return secret->found && secret->row.sealed.n > 0;
}

/*
 * Version 0 is the newest. Of tokens and keys that devices replace, the object's newest version
 * is what works, so an earlier row gives that too; each PIN is an object of its own.
 */
err_t *device_secret_find(db_conn_t *conn, arena_t *arena, const char *device_id, const char *kind,
                          int64_t version, device_secret_t *ret_secret) WARN_UNUSED;
/* What the keeper must see again of one in escrow. ERR_VERIFY for a row that cannot be one. */
err_t *device_secret_kept(const device_secret_t *secret, keeper_kept_t *ret_kept) WARN_UNUSED;

/* A secret on its way into the store. */
typedef struct {
    const char *device_id, *kind; /* borrowed */
    int64_t version;              /* of the row */
    bool same;                    /* it is the one before: there is nothing to keep */
    keeper_archived_t archived;
} device_secret_new_t;

void device_secret_new_init(device_secret_new_t *fresh);
void device_secret_new_done(device_secret_new_t *fresh);

/* Has the keeper archive it. Not inside a transaction. `before` as found just now. */
err_t *device_secret_archive(devices_t *devices, const char *device_id, const char *kind,
                             const device_secret_t *before, bytes_t secret,
                             device_secret_new_t *ret_fresh) WARN_UNUSED;
/*
 * The same for what a device sent by itself: it is archived only if it differs from `before`. `to`:
 * what it is encrypted to, or NULL.
 */
err_t *device_secret_take(devices_t *devices, const char *device_id, const char *kind,
                          const device_secret_t *before, const device_secret_t *to, bytes_t secret,
                          device_secret_new_t *ret_fresh) WARN_UNUSED;
/* The key that a Mac encrypts its recovery key to. */
err_t *device_secret_make_receiver(devices_t *devices, const char *device_id,
                                   device_secret_new_t *ret_fresh) WARN_UNUSED;
/*
 * Keeps it, inside a db_write; one that is the same as before gets its proof noted. ERR_BUSY if
 * another one came meanwhile.
 */
err_t *device_secret_keep(devices_t *devices, db_conn_t *conn, const device_secret_new_t *fresh,
                          const char *label, const char *actor) WARN_UNUSED;

/* The secret, to be put into a command (or "GetBootstrapToken") for this device. */
err_t *device_secret_fill(devices_t *devices, const device_secret_t *secret, const char *command,
                          buf_t *ret_secret) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(device_secret_new_t, device_secret_new_done)

#endif
