/*
 * What a device of sync keeps for itself: runs of bytes by a small number (what they are) and a
 * key, in a file of its own (0600). Changes are gathered in a buffer and happen together, on disk
 * when the call returns, or not at all. On clients; one thread at a time.
 */
#ifndef COFFER_STORE_LOCAL_STATE_H
#define COFFER_STORE_LOCAL_STATE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/clk.h"
#include "base/err.h"

typedef struct db_local db_local_t;

/* Opens or makes it. clk is borrowed. ERR_INVALID: another file, or of a newer version. */
err_t *db_local_open(const char *path, const clk_t *clk, db_local_t **ret_local) WARN_UNUSED;
void db_local_close(db_local_t *local); /* takes NULL */

/* Appends the value. */
err_t *db_local_get(db_local_t *local, unsigned table, bytes_t key, bool *ret_found,
                    buf_t *out) WARN_UNUSED;
/* All of a table in the order of keys; what it gets is borrowed. No change meanwhile. */
typedef err_t *(*db_local_each_t)(void *arg, bytes_t key, bytes_t value);
err_t *db_local_each(db_local_t *local, unsigned table, db_local_each_t each,
                     void *arg) WARN_UNUSED;

/* Gathers changes. */
err_t *db_local_put(buf_t *changes, unsigned table, bytes_t key, bytes_t value) WARN_UNUSED;
/* Unless there is one already, which stays. */
err_t *db_local_add(buf_t *changes, unsigned table, bytes_t key, bytes_t value) WARN_UNUSED;
err_t *db_local_drop(buf_t *changes, unsigned table, bytes_t key) WARN_UNUSED;
/* All of a table. */
err_t *db_local_clear(buf_t *changes, unsigned table) WARN_UNUSED;
/* Makes them, in order, in one transaction. */
err_t *db_local_apply(db_local_t *local, bytes_t changes) WARN_UNUSED;

DEFINE_CLEANUP(db_local_t, db_local_close)

#endif
