/*
 * What hangs on a device CA: certificates by profile, devices by their identity's issuer.
 */
#ifndef COFFER_STORE_CA_ROWS_H
#define COFFER_STORE_CA_ROWS_H

#include "base/arena.h"
#include "store/db.h"

/* Certificates of one profile that are good: not revoked, not over. */
typedef struct {
    const char *profile;
    int64_t count;
    int64_t last_ends; /* seconds */
} db_ca_profile_t;

err_t *db_ca_profiles(db_conn_t *conn, arena_t *arena, const char *issuer, int64_t now_s,
                      db_ca_profile_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Enrolled devices whose identity this CA issued. */
err_t *db_ca_devices(db_conn_t *conn, const char *issuer, int64_t *ret_count) WARN_UNUSED;
/* Enrolled devices whose enrolment, and so whose profile, began at this time or later. */
err_t *db_ca_devices_since(db_conn_t *conn, int64_t since_ms, int64_t *ret_count) WARN_UNUSED;

#endif
