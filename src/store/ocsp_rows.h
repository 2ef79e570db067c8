/*
 * Rows of `ocsp_status` and `ocsp_responder`: what is known of a certificate, and statuses signed
 * ahead.
 */
#ifndef COFFER_STORE_OCSP_ROWS_H
#define COFFER_STORE_OCSP_ROWS_H

#include "base/arena.h"
#include "store/db.h"

enum { DB_OCSP_SIGNATURE = 80, DB_OCSP_FINGERPRINT = 32 };

/* A signed status. */
typedef struct {
    int64_t status, reason, revoked_at;
    int64_t this_update, next_update; /* seconds */
    uint8_t responder[DB_OCSP_FINGERPRINT];
    uint8_t signature[DB_OCSP_SIGNATURE];
    size_t signature_n; /* 0: none is there */
} db_ocsp_status_t;

/* A certificate with its status as of now, and the signed one, which may be older. */
typedef struct {
    bool found; /* we issued it */
    int64_t revoked_ms;
    int64_t reason;
    db_ocsp_status_t signed_status;
} db_ocsp_known_t;

err_t *db_ocsp_get(db_conn_t *conn, const char *issuer, const char *serial,
                   db_ocsp_known_t *ret_known) WARN_UNUSED;
err_t *db_ocsp_put(db_conn_t *conn, const char *issuer, const char *serial,
                   const db_ocsp_status_t *status) WARN_UNUSED;
/* After its status changed. */
err_t *db_ocsp_drop(db_conn_t *conn, const char *issuer, const char *serial) WARN_UNUSED;

/* One certificate that wants a status signed. */
typedef struct {
    const char *serial;
    int64_t revoked_ms;
    int64_t reason;
} db_ocsp_due_t;
/*
 * Certificates not expired at `now_s` whose signed status ends before `before_s` or is not there,
 * in the order of serials after this one; at most `limit` are looked at. *ret_last is the last one
 * looked at, "" when there are no more.
 */
err_t *db_ocsp_due(db_conn_t *conn, arena_t *arena, const char *issuer, const char *after,
                   int64_t now_s, int64_t before_s, size_t limit, db_ocsp_due_t *rows,
                   size_t *ret_count, const char **ret_last) WARN_UNUSED;

err_t *db_ocsp_responders_put(db_conn_t *conn, bytes_t fingerprint, bytes_t der,
                              int64_t not_after) WARN_UNUSED;
err_t *db_ocsp_responders_get(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                              bytes_t *ret_der, bool *ret_found) WARN_UNUSED;
/* Statuses and responders that ended before this time. */
err_t *db_ocsp_purge(db_conn_t *conn, int64_t before_s) WARN_UNUSED;

#endif
