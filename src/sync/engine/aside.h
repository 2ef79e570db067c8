/*
 * Names of files that are out of their place for a moment, in the engine's own folder
 * (SYNC_DISK_OWN): what is to be removed or replaced is taken out first and looked at there, so
 * that no change of the last moment is lost. The name tells what it should be. After a crash in
 * that moment it is told by that whether it may go, or is somebody's last change and comes back
 * into the synced folder. Pure.
 */
#ifndef COFFER_SYNC_ENGINE_ASIDE_H
#define COFFER_SYNC_ENGINE_ASIDE_H

#include "sync/engine/disk.h"

enum { SYNC_ASIDE_NAME = 128 };

/* `own_inode`: of the file that is to take its place, or 0. */
void sync_aside_name(const sync_stat_t *expect, uint64_t own_inode, char ret_name[SYNC_ASIDE_NAME]);
/* Whether it is what it should be. Its stamp may have changed: it was renamed. */
bool sync_aside_expected(const sync_stat_t *now, const sync_stat_t *expect);
/* Whether what lies under such a name is a change that is nowhere else; *ret_back: its name in the
 * synced folder then. False for all other names. */
bool sync_aside_lost(const char *name, const sync_stat_t *now, char ret_back[SYNC_ASIDE_NAME]);

#endif
