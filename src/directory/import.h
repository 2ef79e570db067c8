/*
 * People of a directory in this database: made at their first log-in or by a sync, changed when
 * the directory changes them, disabled when it has them no more. Runs in coffer-web.
 */
#ifndef COFFER_DIRECTORY_IMPORT_H
#define COFFER_DIRECTORY_IMPORT_H

#include "directory/directory.h"
#include "directory/source.h"

typedef enum {
    IMPORT_SAME,
    IMPORT_ADDED,
    IMPORT_CHANGED,
    IMPORT_BACK,     /* had left */
    IMPORT_CONFLICT, /* the address belongs to somebody else: nothing was done */
} directory_import_t;

/*
 * Makes or changes the person of an entry that has a role, inside the caller's db_write, audited.
 * A person made here is never taken over by an entry that has the same address. What an
 * administrator disabled stays so. *ret_row lives in the arena; untouched on a conflict.
 */
err_t *directory_import(directory_t *directory, db_conn_t *conn, arena_t *arena,
                        const directory_entry_t *entry, const char *actor,
                        directory_import_t *ret_done, db_person_t *ret_row) WARN_UNUSED;

typedef struct {
    const char *actor;
    bool force;    /* whatever the brake says */
    int64_t brake; /* percent of people that may vanish at once */
    /* Called in the transaction that disables somebody who left, to revoke by policy. */
    err_t *(*left)(void *ctx, db_conn_t *conn, arena_t *arena, const db_person_t *person,
                   size_t *ret_revoked);
    void *ctx;
} directory_sync_t;

enum { IMPORT_WHY = 200 };

typedef struct {
    size_t people; /* in the directory, with a role */
    size_t added, changed, back, left, conflicts;
    size_t revoked;            /* certificates */
    char conflict[IMPORT_WHY]; /* the first address in conflict, or "" */
} directory_sync_report_t;

/*
 * Makes people here as the directory has them now. ERR_DENIED: more would vanish than the brake
 * allows, and nothing was changed. ERR_NOT_FOUND: there is no directory. One at a time.
 */
err_t *directory_sync(directory_t *directory, const directory_sync_t *sync,
                      directory_sync_report_t *ret_report) WARN_UNUSED;

#endif
