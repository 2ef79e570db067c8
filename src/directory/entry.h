/*
 * A person as a directory knows them, and the same as bytes between coffer-courier, which speaks
 * LDAP, and coffer-web, which keeps people. Pure; any thread.
 */
#ifndef COFFER_DIRECTORY_ENTRY_H
#define COFFER_DIRECTORY_ENTRY_H

#include "base/arena.h"
#include "ipc/wire.h"

typedef enum {
    DIRECTORY_NOBODY, /* in no group that has a role */
    DIRECTORY_MEMBER,
    DIRECTORY_ADMIN,
} directory_role_t;

typedef struct {
    const char *external_id; /* entryUUID or objectGUID: stays when the name changes */
    const char *dn;
    const char *email; /* lower case, checked */
    const char *name;  /* printable, may be "" */
    const char *login; /* uid or sAMAccountName, may be "" */
    directory_role_t role;
    bool disabled; /* there, but locked by the directory's administrator */
} directory_entry_t;

const char *directory_role_name(directory_role_t role); /* "none", "member", "admin" */

err_t *directory_entry_write(const directory_entry_t *entry, buf_t *out) WARN_UNUSED;
/* The texts live in the arena. ERR_INVALID, ERR_LIMIT. */
err_t *directory_entry_read(wire_reader_t *r, arena_t *arena,
                            directory_entry_t *ret_entry) WARN_UNUSED;

#endif
