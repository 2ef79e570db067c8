/*
 * Whose digits were compared, for all shares of this device: address and home, in a file beside
 * the device's own region (known.json). Compared once, a person is known in every share; what is
 * not in it has to be looked at by people. One thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SHARE_KNOWN_H
#define COFFER_PROGRAM_COFFER_SHARE_KNOWN_H

#include "program/coffer/sync_home.h"

/* *ret_found false: nobody compared digits with this person here. */
err_t *share_known_find(const sync_home_t *home, const char *person, bool *ret_found,
                        uint8_t ret_region[SYNC_HASH]) WARN_UNUSED;
err_t *share_known_put(const sync_home_t *home, const char *person,
                       const uint8_t region[SYNC_HASH]) WARN_UNUSED;

#endif
