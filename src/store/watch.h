/*
 * Rows of `watch_source`, `watch_certificate`, `expiry_notice` and `action_run`, and certificates
 * in the order of their end.
 */
#ifndef COFFER_STORE_WATCH_H
#define COFFER_STORE_WATCH_H

#include "base/arena.h"
#include "store/db.h"

/* ---- sources ---- */

typedef struct {
    const char *name;
    const char *target;
    const char *origin; /* own, conf, list */
    const char *created_by;
    int64_t created_ms;
    const char *state; /* new, ok, unreachable */
    int64_t since_ms;
    int64_t checked_ms;
    int64_t told_ms;
    const char *problem;
} db_watch_source_t;

/* Adds with state new. ERR_EXISTS: the name is taken. */
err_t *db_watch_add(db_conn_t *conn, const char *name, const char *target, const char *origin,
                    const char *by, int64_t now_ms) WARN_UNUSED;
/* Adds, or sets another target of a source of this origin (and forgets what it showed then).
 * Another origin's name: ERR_EXISTS. */
err_t *db_watch_put(db_conn_t *conn, const char *name, const char *target, const char *origin,
                    int64_t now_ms) WARN_UNUSED;
/* With what it showed; only of this origin. */
err_t *db_watch_remove(db_conn_t *conn, const char *name, const char *origin,
                       bool *ret_found) WARN_UNUSED;
err_t *db_watch_list(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                     db_watch_source_t **ret_rows, size_t *ret_count) WARN_UNUSED;
err_t *db_watch_count(db_conn_t *conn, int64_t *ret_count) WARN_UNUSED;
/* How a look ended; since_ms moves when the state changes, told_ms is forgotten with it. */
err_t *db_watch_set_state(db_conn_t *conn, const char *name, const char *state, const char *problem,
                          int64_t now_ms) WARN_UNUSED;
err_t *db_watch_set_told(db_conn_t *conn, const char *name, int64_t now_ms) WARN_UNUSED;

/* ---- what they showed ---- */

typedef struct {
    const char *source;
    bytes_t fingerprint;
    const char *subject;
    const char *issuer;
    const char *serial;
    int64_t not_before, not_after; /* seconds */
} db_watch_cert_t;

err_t *db_watch_certs_clear(db_conn_t *conn, const char *source) WARN_UNUSED;
err_t *db_watch_certs_add(db_conn_t *conn, const db_watch_cert_t *row) WARN_UNUSED;

/* ---- by their end ---- */

/* A certificate issued here, or seen at a source. */
typedef struct {
    bytes_t fingerprint;
    const char *source; /* "" : issued here */
    const char *issuer;
    const char *serial;
    const char *profile; /* or "" */
    const char *subject;
    const char *enrolment_id;
    const char *person_id;
    const char *email; /* the holder's, or "" */
    const char *person;
    int64_t not_before, not_after; /* seconds */
    int64_t noticed;               /* the smallest threshold told, 0: none */
    int64_t noticed_ms;
    int64_t sources; /* how many show it */
} db_expiring_t;

/* Where a page begins: behind this one. {from - 1, none} for the first. */
typedef struct {
    int64_t not_after;
    bytes_t fingerprint;
} db_expiring_at_t;

/*
 * Not revoked, not followed by a newer one of the same holder and profile (a renewal, the same
 * device's, the same subject's where there is no enrolment); ends at `until` or before. Ordered by
 * (not_after, fingerprint), each fingerprint once.
 */
err_t *db_expiring_list(db_conn_t *conn, arena_t *arena, const db_expiring_at_t *after,
                        int64_t until, size_t limit, db_expiring_t **ret_rows,
                        size_t *ret_count) WARN_UNUSED;

/* ---- notices ---- */

err_t *db_notices_put(db_conn_t *conn, bytes_t fingerprint, int64_t threshold, int64_t not_after,
                      int64_t now_ms) WARN_UNUSED;
err_t *db_notices_purge(db_conn_t *conn, int64_t ended_before_s) WARN_UNUSED;

/* ---- why it was not renewed ---- */

/* What the records say around one certificate. Times are 0 for "never". */
typedef struct {
    const char *device_id; /* or "" */
    const char *device_name;
    const char *device_serial;
    const char *device_state;
    const char *push_state;
    const char *push_error; /* of its waiting push job, or "" */
    int64_t last_seen_ms;
    const char *pending_id;    /* of a request that waits for approval, or "" */
    const char *pending_state; /* waiting, denied */
    const char *pending_reason;
    int64_t pending_ms;
    const char *outcome; /* of the last SCEP request, or "" */
    const char *fail_info;
    const char *problem;
    int64_t trace_ms;
    int64_t challenge_expired_ms; /* an unused one */
} db_expiry_facts_t;

err_t *db_expiry_facts(db_conn_t *conn, arena_t *arena, const db_expiring_t *cert, int64_t now_ms,
                       db_expiry_facts_t *ret_facts) WARN_UNUSED;

/* ---- actions ---- */

typedef struct {
    const char *action;
    const char *key;
    int64_t started_ms, ended_ms;
    const char *outcome;
    const char *output;
    int64_t seq; /* given by the database */
} db_action_run_t;

/* Adds one, drops what is past LIMIT_ACTION_RUNS. */
err_t *db_action_runs_add(db_conn_t *conn, const db_action_run_t *row) WARN_UNUSED;
/* Newest first. */
err_t *db_action_runs_list(db_conn_t *conn, arena_t *arena, int64_t before, size_t limit,
                           db_action_run_t **ret_rows, size_t *ret_count) WARN_UNUSED;

/* The newest OCSP responder's certificate, in the arena. */
err_t *db_watch_ocsp_responder(db_conn_t *conn, arena_t *arena, bytes_t *ret_der,
                               bool *ret_found) WARN_UNUSED;

#endif
