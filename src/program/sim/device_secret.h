/*
 * What a simulated device keeps secret and tells a server: an activation-lock code if it is
 * supervised, and a Mac's FileVault recovery key, encrypted to what a profile named
 * (com.apple.security.FDERecoveryKeyEscrow). Works on the device's memory only.
 */
#ifndef COFFER_SIM_DEVICE_SECRET_H
#define COFFER_SIM_DEVICE_SECRET_H

#include "base/rnd.h"
#include "program/sim/device_state.h"

/* Makes what a new device of this kind has: a code if supervised, a recovery key if it is a Mac. */
err_t *secret_birth(bool supervised, const char *product, const rnd_t *rnd,
                    plist_t *state) WARN_UNUSED;

/* Remembers the certificate that a profile's FDERecoveryKeyEscrow payload names, if it has one. */
err_t *secret_learn_profile(sim_device_t *device, const plist_t *profile) WARN_UNUSED;
/* What SecurityInfo says of FileVault; nothing for what is no Mac. */
err_t *secret_tell_filevault(const sim_device_t *device, plist_t *info) WARN_UNUSED;
/*
 * RotateFileVaultKey: *ret_problem (static) says why it did not happen, NULL: there is a new key,
 * in the state and encrypted in `result`.
 */
err_t *secret_rotate_filevault(sim_device_t *device, const plist_t *command, const rnd_t *rnd,
                               plist_t *result, const char **ret_problem) WARN_UNUSED;

#endif
