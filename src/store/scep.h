/*
 * Rows of `certificate_renewal`, `scep_pending` and `scep_trace`, and how SCEP looks certificates
 * up (RFC 8894).
 */
#ifndef COFFER_STORE_SCEP_H
#define COFFER_STORE_SCEP_H

#include "base/arena.h"
#include "store/db.h"

/* ---- renewals ---- */

err_t *db_renewals_add(db_conn_t *conn, bytes_t fingerprint, bytes_t renewed_from,
                       int64_t now_ms) WARN_UNUSED;
/* What this certificate was renewed from, in the arena. */
err_t *db_renewals_from(db_conn_t *conn, arena_t *arena, bytes_t fingerprint, bytes_t *ret_from,
                        bool *ret_found) WARN_UNUSED;
/* How many certificates followed this one directly. */
err_t *db_renewals_count(db_conn_t *conn, bytes_t renewed_from, int64_t *ret_count) WARN_UNUSED;

/* ---- certificates by name ---- */

/* By serial number (lower-case hex) of an issuer, in the arena. */
err_t *db_certificates_fingerprint(db_conn_t *conn, arena_t *arena, const char *issuer,
                                   const char *serial, bytes_t *ret_fingerprint,
                                   bool *ret_found) WARN_UNUSED;

/* ---- waiting for approval ---- */

typedef struct {
    const char *id;
    bytes_t transaction_id;
    bytes_t requester;
    const char *state; /* waiting, approved, denied, issued */
    const char *reason;
    const char *profile;
    const char *subject;
    const char *names;
    const char *owner;
    const char *enrolment_id;
    const char *person_id;
    const char *udid;
    bytes_t renewed_from; /* none: no renewal */
    bytes_t csr;
    const char *peer;
    int64_t created_ms;
    int64_t expires_ms;
    int64_t decided_ms;
    const char *decided_by;
} db_scep_pending_t;

err_t *db_scep_pending_add(db_conn_t *conn, const db_scep_pending_t *row) WARN_UNUSED;
/* Removes what that transaction waited for once, if nothing can come of it any more. */
err_t *db_scep_pending_forget(db_conn_t *conn, bytes_t transaction_id, bytes_t requester,
                              int64_t now_ms) WARN_UNUSED;
err_t *db_scep_pending_get(db_conn_t *conn, arena_t *arena, bytes_t transaction_id,
                           bytes_t requester, db_scep_pending_t *ret_row,
                           bool *ret_found) WARN_UNUSED;
err_t *db_scep_pending_by_id(db_conn_t *conn, arena_t *arena, const char *id,
                             db_scep_pending_t *ret_row, bool *ret_found) WARN_UNUSED;
/* Oldest first, `state` "" means all; in order of id after `after`. */
err_t *db_scep_pending_list(db_conn_t *conn, arena_t *arena, const char *state, const char *after,
                            size_t limit, db_scep_pending_t **ret_rows,
                            size_t *ret_count) WARN_UNUSED;
err_t *db_scep_pending_count(db_conn_t *conn, int64_t *ret_count) WARN_UNUSED;
/* Only from waiting and before its expiry; *ret_changed tells. */
err_t *db_scep_pending_decide(db_conn_t *conn, const char *id, const char *state,
                              const char *reason, const char *by, int64_t now_ms,
                              bool *ret_changed) WARN_UNUSED;
/* Only from approved. */
err_t *db_scep_pending_issued(db_conn_t *conn, const char *id, bool *ret_changed) WARN_UNUSED;
err_t *db_scep_pending_purge(db_conn_t *conn, int64_t before_ms) WARN_UNUSED;

/* ---- the trace ---- */

typedef struct {
    int64_t unix_ms;
    const char *about;
    const char *peer;
    const char *transaction_id;
    const char *message;
    const char *signer;
    const char *subject;
    const char *algorithms;
    const char *profile;
    const char *enrolment_id;
    const char *udid;
    const char *outcome;
    const char *fail_info;
    const char *problem;
    const char *next;
    const char *serial;
    int64_t seq; /* given by the database */
} db_scep_trace_t;

/* Adds one and drops what is past LIMIT_SCEP_TRACE_EACH of the same `about`, and LIMIT_SCEP_TRACE.
 */
err_t *db_scep_trace_add(db_conn_t *conn, const db_scep_trace_t *row) WARN_UNUSED;
/*
 * Newest first, below `before`. enrolment_id, udid and text (a transactionID, key or address) are
 * alternatives, "" is none of them; with all of them "" every row is listed.
 */
err_t *db_scep_trace_list(db_conn_t *conn, arena_t *arena, const char *enrolment_id,
                          const char *udid, const char *text, int64_t before, size_t limit,
                          db_scep_trace_t **ret_rows, size_t *ret_count) WARN_UNUSED;

#endif
