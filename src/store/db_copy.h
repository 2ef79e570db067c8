/*
 * A copy of the database while others use it: of one moment, page by page, so that pages which did
 * not change lie where they lay in the copy before. For backups. One thread.
 */
#ifndef COFFER_STORE_DB_COPY_H
#define COFFER_STORE_DB_COPY_H

#include "base/err.h"

typedef struct db_copy db_copy_t;

/*
 * Holds the state as it is now, and keeps everybody from writing until db_copy_release: for what
 * must be of the same moment. ERR_BUSY: somebody else kept on writing.
 */
err_t *db_copy_begin(const char *path, db_copy_t **ret_copy) WARN_UNUSED;
void db_copy_release(db_copy_t *copy);
/* Writes the state to a new file (0600), which is not flushed to disk. */
err_t *db_copy_run(db_copy_t *copy, const char *to) WARN_UNUSED;
void db_copy_free(db_copy_t *copy); /* releases too; takes NULL */

DEFINE_CLEANUP(db_copy_t, db_copy_free)

#endif
