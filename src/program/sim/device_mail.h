/*
 * A device's mail keys: they come in an encrypted profile by the command InstallProfile, and lie as
 * mail1.*, mail2.* beside the device's state, the current one first. A newer profile takes the
 * place of all of them. Main thread.
 */
#ifndef COFFER_SIM_DEVICE_MAIL_H
#define COFFER_SIM_DEVICE_MAIL_H

#include "program/sim/device_state.h"
#include "program/sim/verify.h"

/*
 * Opens an encrypted profile with the identity that management uses, and keeps its keys.
 * ERR_VERIFY: it is not for this device, or not as it should be; then nothing changes. *ret_keys:
 * how many.
 */
err_t *device_mail_install(sim_device_t *device, const plist_t *profile, int64_t now,
                           size_t *ret_keys) WARN_UNUSED;
/* The profile with this identifier went: so do its keys. */
err_t *device_mail_removed(sim_device_t *device, const char *identifier) WARN_UNUSED;

#endif
