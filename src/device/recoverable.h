/*
 * What of a device can be recovered by officers, and what makes it so: activation-lock codes,
 * FileVault recovery keys, tokens, PINs; and the change of a secret after people saw it. Any worker
 * thread of coffer-web.
 */
#ifndef COFFER_DEVICE_RECOVERABLE_H
#define COFFER_DEVICE_RECOVERABLE_H

#include "device/device.h"
#include "store/escrow.h"

/* One secret of a device; in the arena. */
typedef struct {
    const char *secret; /* unlock-token, bypass-server, filevault-key, ... */
    db_escrow_t object; /* its newest version, without ciphertext */
    int64_t try_order;  /* of activation-lock codes, from 1; else 0 */
} recoverable_t;

/*
 * All there is in escrow of a device (found as people name it). Of two activation-lock codes the
 * later one is to be tried first: it is the one that was set last.
 */
err_t *devices_recoverable(devices_t *devices, arena_t *arena, const char *device,
                           recoverable_t **ret_list, size_t *ret_count) WARN_UNUSED;

/*
 * Makes an activation-lock code of ours, archives it, and gives the hash that Apple is told when
 * the lock is turned on. *ret_object is in the arena.
 */
err_t *devices_bypass_make(devices_t *devices, arena_t *arena, const char *device,
                           const char *actor, const char **ret_object,
                           uint8_t ret_hash[32]) WARN_UNUSED;

/*
 * Has a Mac escrow its FileVault recovery key: a key of its own to encrypt to, made and archived
 * once, goes to it in a profile; SecurityInfo follows and brings what there is. ERR_DENIED for what
 * is no enrolled Mac.
 */
err_t *devices_filevault_escrow(devices_t *devices, const char *device,
                                const char *actor) WARN_UNUSED;

/*
 * After a reveal, in its transaction: starts the change of what a device can change by itself and
 * says what was started (in the arena); *ret_what stays as it is otherwise.
 */
err_t *devices_rotate(devices_t *devices, db_conn_t *conn, arena_t *arena,
                      const db_escrow_t *object, const char *actor,
                      const char **ret_what) WARN_UNUSED;

#endif
