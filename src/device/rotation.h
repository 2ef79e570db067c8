/*
 * RotateFileVaultKey (Apple's schema mdm/commands): the Mac makes a new recovery key, unlocked by
 * the one in escrow, and answers with it encrypted to its receiver. Private to src/device.
 */
#ifndef COFFER_DEVICE_ROTATION_H
#define COFFER_DEVICE_ROTATION_H

#include "device/device_internal.h"

/*
 * The command's parameters, inside a transaction: the old key's place is left to the keeper.
 * ERR_DENIED: there is no receiver yet.
 */
err_t *rotation_fill(db_conn_t *conn, arena_t *arena, const char *device_id,
                     plist_t *command) WARN_UNUSED;
/* Queues it; *ret_queued false: the queue is full, or one is on its way. */
err_t *rotation_enqueue(devices_t *devices, db_conn_t *conn, arena_t *arena, const char *device_id,
                        const char *actor, bool *ret_queued) WARN_UNUSED;

#endif
