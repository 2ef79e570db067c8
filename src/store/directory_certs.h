/*
 * Rows of `directory_certificate`: which certificates we put into people's directory entries.
 */
#ifndef COFFER_STORE_DIRECTORY_CERTS_H
#define COFFER_STORE_DIRECTORY_CERTS_H

#include "base/arena.h"
#include "store/db.h"

typedef struct {
    bytes_t fingerprint;     /* of the certificate, SHA-256 */
    const char *external_id; /* whose entry */
    bytes_t bundle;          /* the value of userSMIMECertificate */
    int64_t published_ms;
} db_directory_cert_t;

/* Replaces an earlier one of the same certificate. */
err_t *db_directory_certs_put(db_conn_t *conn, const db_directory_cert_t *row) WARN_UNUSED;
err_t *db_directory_certs_get(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                              db_directory_cert_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_directory_certs_remove(db_conn_t *conn, bytes_t fingerprint) WARN_UNUSED;
err_t *db_directory_certs_count(db_conn_t *conn, int64_t *ret_count) WARN_UNUSED;

/* Fingerprints in order, those after `after`; at most `limit`. */

/* Published, but revoked, expired (now_s in seconds), or of somebody who is disabled. */
err_t *db_directory_certs_stale(db_conn_t *conn, arena_t *arena, int64_t now_s, bytes_t after,
                                size_t limit, bytes_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* Of this certificate profile, good, of a person of this source, but not published. */
err_t *db_directory_certs_missing(db_conn_t *conn, arena_t *arena, const char *source,
                                  const char *profile, int64_t now_s, bytes_t after, size_t limit,
                                  bytes_t **ret_rows, size_t *ret_count) WARN_UNUSED;

#endif
