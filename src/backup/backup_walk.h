/*
 * Which files of an instance are in a backup: all regular ones but those that are made anew at the
 * start (run, log) and those that are copied in another way (store, vault). Symbolic links are not
 * followed. Blocking; one thread.
 */
#ifndef COFFER_BACKUP_BACKUP_WALK_H
#define COFFER_BACKUP_BACKUP_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct {
    char **paths; /* relative to the instance, sorted */
    size_t n;
    size_t skipped; /* links, sockets and the like */
} backup_walk_t;

err_t *backup_walk(const char *dir, backup_walk_t *ret_walk) WARN_UNUSED;
void backup_walk_done(backup_walk_t *walk); /* takes a zeroed one */

DEFINE_CLEANUP_VALUE(backup_walk_t, backup_walk_done)

#endif
