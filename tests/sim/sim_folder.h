/*
 * sync_disk_t over a simulated disk: what the engine calls its folder. Each call that lasts when
 * it returns is several calls of the disk, and the power may fail between any two. One thread.
 */
#ifndef COFFER_TESTS_SIM_FOLDER_H
#define COFFER_TESTS_SIM_FOLDER_H

#include "sim_disk.h"
#include "sync/engine/disk.h"

/* `disk` is borrowed and is the context. */
sync_disk_t sim_folder(sim_disk_t *disk);
/* The same as under a mapped drive: most files that come are hollow. */
sync_disk_t sim_folder_hollow(sim_disk_t *disk);
/* Whether a path is the engine's own business. */
bool sim_folder_ours(const char *path);

#endif
