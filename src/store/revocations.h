/*
 * Rows of `revocation` and `crl`, and certificates as lists for people show them.
 */
#ifndef COFFER_STORE_REVOCATIONS_H
#define COFFER_STORE_REVOCATIONS_H

#include "base/arena.h"
#include "store/db.h"

/* A certificate without its DER, with what is known of its revocation. */
typedef struct {
    bytes_t fingerprint;
    const char *issuer;
    const char *serial;
    const char *profile;
    const char *subject;
    const char *enrolment_id;
    const char *person_id;
    int64_t not_before; /* seconds */
    int64_t not_after;  /* seconds */
    int64_t revoked_ms; /* 0: not */
    int64_t created_ms;
    int64_t reason; /* CRLReason; 8: was on hold */
    const char *revoked_by;
    const char *revoked_why;
} db_cert_brief_t;

/* Which ones; "" and false: whichever. */
typedef struct {
    const char *person_id;
    const char *enrolment_id;
    const char *profile;
    bool revoked; /* only these */
} db_cert_filter_t;

/* In the order of fingerprints, after this one. */
err_t *db_cert_briefs_list(db_conn_t *conn, arena_t *arena, const db_cert_filter_t *filter,
                           bytes_t after, size_t limit, db_cert_brief_t **ret_rows,
                           size_t *ret_count) WARN_UNUSED;
/* By serial (lower-case hex): at most `limit`, of several CAs it may be. */
err_t *db_cert_briefs_by_serial(db_conn_t *conn, arena_t *arena, const char *serial,
                                db_cert_brief_t **ret_rows, size_t *ret_count) WARN_UNUSED;
err_t *db_cert_briefs_by_fingerprint(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                                     db_cert_brief_t *ret_row, bool *ret_found) WARN_UNUSED;
/* All that a device holds or held: its pinned identity, and what came by the same enrolment. */
err_t *db_cert_briefs_of_identity(db_conn_t *conn, arena_t *arena, bytes_t identity,
                                  db_cert_brief_t **ret_rows, size_t *ret_count) WARN_UNUSED;
/* The next certificate profile in use after this one ("" to begin with). */
err_t *db_cert_profiles_next(db_conn_t *conn, arena_t *arena, const char *issuer, const char *after,
                             const char **ret_profile, bool *ret_found) WARN_UNUSED;

typedef struct {
    bytes_t fingerprint;
    const char *issuer;
    bytes_t serial; /* magnitude */
    const char *profile;
    int64_t reason;
    int64_t revoked_ms;
    int64_t changed_ms;
    int64_t not_after;
    const char *actor;
    const char *why;
} db_revocation_t;

/* Adds or replaces, and sets the certificate's revoked_ms (0 when the reason is 8). */
err_t *db_revocations_put(db_conn_t *conn, const db_revocation_t *row) WARN_UNUSED;

/* One entry of a list; serial is borrowed during the call. */
typedef struct {
    int64_t seq;
    bytes_t serial;
    int64_t reason;
    int64_t revoked_ms;
} db_revoked_t;
typedef err_t *(*db_revoked_fn)(void *arg, const db_revoked_t *entry);

/*
 * What stands on a full list of a profile ("" for all), not of certificates expired before
 * `not_after`: at most `limit` after `after_seq`, in that order.
 */
err_t *db_revocations_each(db_conn_t *conn, const char *issuer, const char *profile,
                           int64_t not_after, int64_t after_seq, size_t limit, db_revoked_fn fn,
                           void *arg, size_t *ret_count) WARN_UNUSED;
/* What changed since, ended holds too. */
err_t *db_revocations_changed(db_conn_t *conn, const char *issuer, const char *profile,
                              int64_t since_ms, db_revoked_fn fn, void *arg) WARN_UNUSED;
err_t *db_revocations_count(db_conn_t *conn, int64_t *ret_count) WARN_UNUSED;

typedef struct {
    const char *issuer;
    const char *profile;
    bool delta;
    int64_t number, base_number, base_ms;
    int64_t this_update, next_update; /* seconds */
    int64_t entries, size;
} db_crl_t;

err_t *db_crls_put(db_conn_t *conn, const db_crl_t *row) WARN_UNUSED;
err_t *db_crls_get(db_conn_t *conn, arena_t *arena, const char *issuer, const char *profile,
                   bool delta, db_crl_t *ret_row, bool *ret_found) WARN_UNUSED;
err_t *db_crls_list(db_conn_t *conn, arena_t *arena, db_crl_t **ret_rows,
                    size_t *ret_count) WARN_UNUSED;

#endif
