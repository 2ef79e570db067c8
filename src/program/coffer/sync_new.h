/*
 * A new device's home, for the commands that make one: keys, where the service is, empty state. One
 * thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_NEW_H
#define COFFER_PROGRAM_COFFER_SYNC_NEW_H

#include "program/coffer/sync_home.h"

/* Makes the directory and the keys in it, as --name, --passphrase and --passphrase-file say. */
err_t *sync_new_device(cli_t *cli, const char *person, const char *path,
                       sync_device_key_t *ret_key) WARN_UNUSED;
/* Where the service is: as the person's API token reaches it. Last: it is a home from then on. */
err_t *sync_new_home(cli_t *cli, const char *path, const uint8_t region[SYNC_HASH]) WARN_UNUSED;
err_t *sync_new_state(cli_t *cli, const char *home, db_local_t **ret_state) WARN_UNUSED;

#endif
