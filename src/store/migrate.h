/*
 * Migrations: the numbered files of src/store/schema/, embedded at build time and applied in
 * order, each in one transaction that also records its SHA-256 in table schema_migration.
 * Any process may call it at start; two at once are safe (the loser finds it done).
 */
#ifndef COFFER_STORE_MIGRATE_H
#define COFFER_STORE_MIGRATE_H

#include "store/db.h"

typedef struct {
    unsigned number;    /* from 1, without gaps */
    const char *name;   /* "0001_foundation" */
    const char *sha256; /* hex, of the file */
    const char *sql;
} migration_t;

/* The program's own migrations, in order; static storage. */
const migration_t *migrate_embedded(size_t *ret_count);

/*
 * Brings the database up to date; ret_applied may be NULL. ERR_DENIED: the database is newer than
 * the program, or a migration it has applied has changed since; nothing is touched then.
 */
err_t *migrate_run(db_t *db, unsigned *ret_applied) WARN_UNUSED;
/* The same with a set of one's own, for tests. */
err_t *migrate_run_set(db_t *db, const migration_t *set, size_t count,
                       unsigned *ret_applied) WARN_UNUSED;
/* ERR_DENIED unless the database is exactly at the program's state; writes nothing. */
err_t *migrate_check(db_t *db) WARN_UNUSED;

#endif
