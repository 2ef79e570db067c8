/*
 * Asks for checkpoints of the log of device chains.
 */
#ifndef COFFER_KEEPER_CLIENT_SYNC_H
#define COFFER_KEEPER_CLIENT_SYNC_H

#include "keeper/client.h"

/* Appends the signed note (C2SP tlog-checkpoint) of a tree. Idempotent; in the keeper's log. */
err_t *keeper_sync_checkpoint(keeper_t *keeper, const char *origin, uint64_t size,
                              const uint8_t root[32], buf_t *ret_note) WARN_UNUSED;

#endif
