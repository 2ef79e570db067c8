/*
 * A folder of this machine as the engine wants it (sync/engine/disk.h). All paths are resolved
 * beneath an open directory, without following links (openat2), so nobody can lead the engine out
 * of the folder. Linux. One thread.
 */
#ifndef COFFER_SYNC_CLIENT_DISK_H
#define COFFER_SYNC_CLIENT_DISK_H

#include "base/clk.h"
#include "base/rnd.h"
#include "sync/engine/disk.h"

typedef struct sync_folder_disk sync_folder_disk_t;

/* `marker`: 16 bytes of this folder's own, by which it is known again; random at `init`. */
err_t *sync_folder_disk_new(const char *path, const uint8_t marker[SYNC_NODE], const clk_t *clk,
                            sync_folder_disk_t **ret_disk) WARN_UNUSED;
/* From here on files are hollow when they come (hollow.h): for the mapped drive. */
void sync_folder_disk_hollow(sync_folder_disk_t *disk);
void sync_folder_disk_free(sync_folder_disk_t *disk);          /* takes NULL */
const sync_disk_t *sync_folder_disk(sync_folder_disk_t *disk); /* borrowed */

struct stat;
/* A file's state as the engine has it; false for what is no file, folder or link. */
bool sync_disk_stat_of(const struct stat *from, sync_stat_t *ret_stat);
/* Waits until a write that comes now would show in the file's time. */
void sync_disk_settle(const clk_t *clk, const sync_stat_t *stat);

DEFINE_CLEANUP(sync_folder_disk_t, sync_folder_disk_free)

#endif
