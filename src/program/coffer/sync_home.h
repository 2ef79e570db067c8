/*
 * What a device keeps to sync: a directory of its own (0700) with its keys, where the service is,
 * which region, which folder, and the local state. Beside it what every command opens from it. One
 * thread.
 */
#ifndef COFFER_PROGRAM_COFFER_SYNC_HOME_H
#define COFFER_PROGRAM_COFFER_SYNC_HOME_H

#include "program/coffer/cli.h"
#include "sync/client/disk.h"
#include "sync/client/remote.h"
#include "sync/engine/engine.h"

#define SYNC_HOME_WIPE "wipe.json" /* there while the device is being wiped */

/* All strings are its own. */
typedef struct {
    char *path;      /* of the directory */
    char *server;    /* "https://host:port" */
    char *ca_file;   /* in the directory, or NULL: the system's roots */
    char *resolve;   /* "host:port:address", or NULL */
    char *folder;    /* absolute, or NULL: none yet */
    char *folder_id; /* which directory that is, or NULL: known by its path alone */
    uint8_t region[SYNC_HASH];
    /* In a share's home: the region that the device has by itself, by which others know it. */
    bool has_own;
    uint8_t own[SYNC_HASH];
    char *own_path;            /* of that region's home, or NULL: a share's home of before */
    uint8_t marker[SYNC_NODE]; /* of the folder */
    uint64_t up_max, down_max; /* bytes a second, or 0 */
} sync_home_t;

void sync_home_done(sync_home_t *home); /* takes a zeroed one */
/* --home DIR, COFFER_SYNC_HOME, or ~/.local/share/coffer-sync; a new string. */
err_t *sync_home_path(cli_t *cli, char **ret_path) WARN_UNUSED;
/* Makes the directory; ERR_EXISTS if there is a device in it already. */
err_t *sync_home_make(const char *path) WARN_UNUSED;
/* Device, inode and birth: what stays when a directory is moved, and a copy has not. A new string.
 */
err_t *sync_home_folder_id(const char *folder, char **ret_id) WARN_UNUSED;
err_t *sync_home_write(const sync_home_t *home) WARN_UNUSED;
err_t *sync_home_read(cli_t *cli, sync_home_t *ret_home) WARN_UNUSED;
/* A file in it; a new string. */
err_t *sync_home_file(const char *home, const char *name, char **ret_path) WARN_UNUSED;
/* Asks for the passphrase if the keys are under one (or takes --passphrase-file). */
err_t *sync_home_keys(cli_t *cli, const char *home, sync_device_key_t *ret_key) WARN_UNUSED;

/* Everything open. Zeroed, then opened, then done. */
typedef struct {
    sync_home_t home;
    sync_device_key_t key;
    db_local_t *state;
    sync_http_t *http;
    sync_folder_disk_t *disk;
    sync_engine_config_t config; /* a command may change it before it starts the engine */
    sync_engine_t *engine;
    bool locked;
    int lock;
} sync_open_t;

void sync_open_done(sync_open_t *open);
/* All but the disk and the engine. */
err_t *sync_open(cli_t *cli, sync_open_t *ret_open) WARN_UNUSED;
err_t *sync_open_engine(sync_open_t *open) WARN_UNUSED;
/* Both, and what the service has of chain and root, verified. */
err_t *sync_open_region(cli_t *cli, sync_open_t *open) WARN_UNUSED;

enum { SYNC_WAIT_S = 15 * 60 }; /* for the other device in a join */
void sync_nap(void);            /* between two looks at the service */

/* A member of 2 * n hexadecimal digits. ERR_INVALID. */
err_t *sync_get_hex(const json_t *json, const char *name, uint8_t *out, size_t n) WARN_UNUSED;

/* The options that all of these commands share: for their lists. */
#define SYNC_HOME_OPTIONS                                                                          \
    {"home", "DIR",                                                                                \
     "what this device keeps (or COFFER_SYNC_HOME; else ~/.local/share/coffer-sync)"},             \
    {                                                                                              \
        "passphrase-file", "FILE", "passphrase of the device's keys, if they are under one"        \
    }

/* Of the commands that send or fetch contents. */
#define SYNC_RATE_OPTIONS                                                                          \
    {"limit-up", "RATE",                                                                           \
     "send no more bytes a second, like 500k or 2M (default: coffer sync limit)"},                 \
    {                                                                                              \
        "limit-down", "RATE", "fetch no more bytes a second"                                       \
    }

DEFINE_CLEANUP_VALUE(sync_home_t, sync_home_done)
DEFINE_CLEANUP_VALUE(sync_open_t, sync_open_done)

#endif
