/*
 * Where people come from besides this database: what coffer-web asks, whoever answers. In
 * coffer-web that is coffer-courier over its wire (remote.h); in unit tests a table.
 */
#ifndef COFFER_DIRECTORY_SOURCE_H
#define COFFER_DIRECTORY_SOURCE_H

#include "directory/entry.h"

#define DIRECTORY_SOURCE "ldap"

typedef struct {
    void *ctx;
    /*
     * Checks a password. *ret_good false: no, for whatever reason. ERR_BUSY: too many ask; any
     * other error: the directory can't say.
     */
    err_t *(*log_in)(void *ctx, arena_t *arena, bytes_t name, bytes_t password, bool *ret_good,
                     directory_entry_t *ret_entry);
    /* Everybody, also those in no group that has a role; array and texts in the arena. */
    err_t *(*people)(void *ctx, arena_t *arena, directory_entry_t **ret_entries, size_t *ret_count);
} directory_source_t;

#endif
