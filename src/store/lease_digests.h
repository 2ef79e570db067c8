/*
 * Rows of `lease_digest`: how often a device was given the key of a lease since its person was
 * told.
 */
#ifndef COFFER_STORE_LEASE_DIGESTS_H
#define COFFER_STORE_LEASE_DIGESTS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    const char *person_id, *email, *person; /* of the device */
    const char *device_id, *device;         /* its id, its name */
    const char *account;
    int64_t count, first_ms, last_ms;
} db_lease_digest_t;

err_t *db_lease_digests_count(db_conn_t *conn, const char *device_id, const char *account,
                              int64_t now_ms) WARN_UNUSED;
/* Those of people after this one (id), person by person. */
err_t *db_lease_digests_list(db_conn_t *conn, arena_t *arena, const char *after_person,
                             size_t limit, db_lease_digest_t **ret_rows,
                             size_t *ret_count) WARN_UNUSED;
err_t *db_lease_digests_remove(db_conn_t *conn, const char *device_id,
                               const char *account) WARN_UNUSED;
/* Of devices that are nobody's. */
err_t *db_lease_digests_purge(db_conn_t *conn, int64_t before_ms) WARN_UNUSED;

#endif
