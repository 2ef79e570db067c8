/*
 * coffer-keeper at work, from opening the vault to its orderly end.
 */
#ifndef COFFER_PROGRAM_KEEPER_SERVE_H
#define COFFER_PROGRAM_KEEPER_SERVE_H

#include "base/log.h"
#include "keeper/device_ca.h"

/* Returns when cofferd is gone or a SIGTERM came. */
err_t *keeper_serve(const char *dir, const log_t *log) WARN_UNUSED;
/* Makes the next device CA, or (spec NULL) has it take over: see keeper/rollover.h. ERR_BUSY. */
err_t *keeper_rollover(const char *dir, const device_ca_spec_t *spec) WARN_UNUSED;
/* Checks the chain of the keeper's own log and counts its entries. */
err_t *keeper_verify(const char *dir, uint64_t *ret_entries) WARN_UNUSED;

#endif
