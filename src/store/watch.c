/*
 * Rows of the expiry watch: see watch.h.
 */
#include "store/watch.h"

#include "base/limits.h"
#include "store/rows_internal.h"

/* ---- sources ---- */

#define SOURCE_COLUMNS                                                                             \
    "name, target, origin, created_by, created_ms, state, since_ms, checked_ms, told_ms, problem"

static const row_column_t source_columns[] = {
    {ROW_STR, offsetof(db_watch_source_t, name)},
    {ROW_STR, offsetof(db_watch_source_t, target)},
    {ROW_STR, offsetof(db_watch_source_t, origin)},
    {ROW_STR, offsetof(db_watch_source_t, created_by)},
    {ROW_I64, offsetof(db_watch_source_t, created_ms)},
    {ROW_STR, offsetof(db_watch_source_t, state)},
    {ROW_I64, offsetof(db_watch_source_t, since_ms)},
    {ROW_I64, offsetof(db_watch_source_t, checked_ms)},
    {ROW_I64, offsetof(db_watch_source_t, told_ms)},
    {ROW_STR, offsetof(db_watch_source_t, problem)},
};
static const row_type_t source_type = ROW_TYPE(source_columns, db_watch_source_t);

err_t *db_watch_add(db_conn_t *conn, const char *name, const char *target, const char *origin,
                    const char *by, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO watch_source (" SOURCE_COLUMNS ")"
                   " VALUES ($1, $2, $3, $4, $5, 'new', $5, 0, 0, '')",
                   DB_STR(name), DB_STR(target), DB_STR(origin), DB_STR(by), DB_I64(now_ms));
}

err_t *db_watch_put(db_conn_t *conn, const char *name, const char *target, const char *origin,
                    int64_t now_ms) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, "SELECT target, origin FROM watch_source WHERE name = $1", &stmt, &found,
                     DB_STR(name)));
    if (!found) return db_watch_add(conn, name, target, origin, "coffer.conf", now_ms);
    if (!bytes_eq_str(db_col_text(stmt, 1), origin))
        return err_new(ERR_EXISTS, "there is a watched source %s already", name);
    if (bytes_eq_str(db_col_text(stmt, 0), target)) return NULL;
    TRY(db_watch_certs_clear(conn, name));
    return db_exec(conn,
                   "UPDATE watch_source SET target = $2, state = 'new', since_ms = $3, told_ms = 0,"
                   " problem = '' WHERE name = $1",
                   DB_STR(name), DB_STR(target), DB_I64(now_ms));
}

err_t *db_watch_remove(db_conn_t *conn, const char *name, const char *origin, bool *ret_found) {
    TRY(db_exec(conn,
                "DELETE FROM watch_certificate WHERE source IN"
                " (SELECT name FROM watch_source WHERE name = $1 AND origin = $2)",
                DB_STR(name), DB_STR(origin)));
    return row_change(conn, "DELETE FROM watch_source WHERE name = $1 AND origin = $2", ret_found,
                      DB_STR(name), DB_STR(origin));
}

err_t *db_watch_list(db_conn_t *conn, arena_t *arena, const char *after, size_t limit,
                     db_watch_source_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &source_type,
                    "SELECT " SOURCE_COLUMNS " FROM watch_source WHERE name > $1"
                    " ORDER BY name LIMIT $2",
                    ret_rows, ret_count, DB_STR(after), DB_I64((int64_t)limit));
}

err_t *db_watch_count(db_conn_t *conn, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM watch_source", ret_count);
}

err_t *db_watch_set_state(db_conn_t *conn, const char *name, const char *state, const char *problem,
                          int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE watch_source SET checked_ms = $4, problem = $3,"
                   " since_ms = CASE WHEN state = $2 THEN since_ms ELSE $4 END,"
                   " told_ms = CASE WHEN state = $2 THEN told_ms ELSE 0 END, state = $2"
                   " WHERE name = $1",
                   DB_STR(name), DB_STR(state), DB_TEXT(bytes_str(problem)), DB_I64(now_ms));
}

err_t *db_watch_set_told(db_conn_t *conn, const char *name, int64_t now_ms) {
    return db_exec(conn, "UPDATE watch_source SET told_ms = $2 WHERE name = $1", DB_STR(name),
                   DB_I64(now_ms));
}

/* ---- what they showed ---- */

err_t *db_watch_certs_clear(db_conn_t *conn, const char *source) {
    return db_exec(conn, "DELETE FROM watch_certificate WHERE source = $1", DB_STR(source));
}

err_t *db_watch_certs_add(db_conn_t *conn, const db_watch_cert_t *row) {
    return db_exec(conn,
                   "INSERT INTO watch_certificate"
                   " (source, fingerprint, subject, issuer, serial, not_before, not_after)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7)"
                   " ON CONFLICT (source, fingerprint) DO NOTHING",
                   DB_STR(row->source), DB_BYTES(row->fingerprint), DB_STR(row->subject),
                   DB_STR(row->issuer), DB_STR(row->serial), DB_I64(row->not_before),
                   DB_I64(row->not_after));
}

/* ---- by their end ---- */

static const row_column_t expiring_columns[] = {
    {ROW_BYTES, offsetof(db_expiring_t, fingerprint)},
    {ROW_STR, offsetof(db_expiring_t, source)},
    {ROW_STR, offsetof(db_expiring_t, issuer)},
    {ROW_STR, offsetof(db_expiring_t, serial)},
    {ROW_STR, offsetof(db_expiring_t, profile)},
    {ROW_STR, offsetof(db_expiring_t, subject)},
    {ROW_STR, offsetof(db_expiring_t, enrolment_id)},
    {ROW_STR, offsetof(db_expiring_t, person_id)},
    {ROW_STR, offsetof(db_expiring_t, email)},
    {ROW_STR, offsetof(db_expiring_t, person)},
    {ROW_I64, offsetof(db_expiring_t, not_before)},
    {ROW_I64, offsetof(db_expiring_t, not_after)},
    {ROW_I64, offsetof(db_expiring_t, noticed)},
    {ROW_I64, offsetof(db_expiring_t, noticed_ms)},
    {ROW_I64, offsetof(db_expiring_t, sources)},
};
static const row_type_t expiring_type = ROW_TYPE(expiring_columns, db_expiring_t);

/* Each part is found by an index: what is newer must be of the same holder. */
#define FOLLOWED                                                                                   \
    " EXISTS (SELECT 1 FROM certificate_renewal r JOIN certificate x"                              \
    "   ON x.fingerprint = r.fingerprint WHERE r.renewed_from = c.fingerprint"                     \
    "   AND x.revoked_ms = 0 AND x.not_after > c.not_after)"                                       \
    " OR (c.enrolment_id <> '' AND (EXISTS (SELECT 1 FROM certificate x"                           \
    "   WHERE x.enrolment_id = c.enrolment_id AND x.profile = c.profile AND x.revoked_ms = 0"      \
    "   AND x.not_after > c.not_after)"                                                            \
    "  OR EXISTS (SELECT 1 FROM enrolment e JOIN enrolment n ON n.udid = e.udid"                   \
    "   JOIN certificate x ON x.enrolment_id = n.id WHERE e.id = c.enrolment_id"                   \
    "   AND e.udid <> '' AND x.profile = c.profile AND x.revoked_ms = 0"                           \
    "   AND x.not_after > c.not_after)))"                                                          \
    " OR (c.enrolment_id = '' AND EXISTS (SELECT 1 FROM certificate x"                             \
    "   WHERE x.enrolment_id = '' AND x.subject = c.subject AND x.profile = c.profile"             \
    "   AND x.issuer = c.issuer AND x.revoked_ms = 0 AND x.not_after > c.not_after))"

static err_t *list_own(db_conn_t *conn, arena_t *arena, const db_expiring_at_t *after,
                       int64_t until, size_t limit, db_expiring_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &expiring_type,
                    "SELECT c.fingerprint, '', c.issuer, c.serial, c.profile, c.subject,"
                    " c.enrolment_id, c.person_id, COALESCE(p.email, ''), COALESCE(p.name, ''),"
                    " c.not_before, c.not_after, COALESCE(n.threshold, 0),"
                    " COALESCE(n.noticed_ms, 0), 0"
                    " FROM certificate c LEFT JOIN person p ON p.id = c.person_id"
                    " LEFT JOIN expiry_notice n ON n.fingerprint = c.fingerprint"
                    " WHERE (c.not_after, c.fingerprint) > ($1, $2) AND c.not_after <= $3"
                    " AND c.revoked_ms = 0 AND NOT (" FOLLOWED ")"
                    " ORDER BY c.not_after, c.fingerprint LIMIT $4",
                    ret_rows, ret_count, DB_I64(after->not_after), DB_BYTES(after->fingerprint),
                    DB_I64(until), DB_I64((int64_t)limit));
}

/* What was issued here is told as such, wherever it is seen too. */
static err_t *list_seen(db_conn_t *conn, arena_t *arena, const db_expiring_at_t *after,
                        int64_t until, size_t limit, db_expiring_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &expiring_type,
                    "SELECT w.fingerprint, MIN(w.source), MIN(w.issuer), MIN(w.serial), '',"
                    " MIN(w.subject), '', '', '', '', MIN(w.not_before), w.not_after,"
                    " COALESCE(MIN(n.threshold), 0), COALESCE(MIN(n.noticed_ms), 0), COUNT(*)"
                    " FROM watch_certificate w"
                    " LEFT JOIN expiry_notice n ON n.fingerprint = w.fingerprint"
                    " WHERE (w.not_after, w.fingerprint) > ($1, $2) AND w.not_after <= $3"
                    " AND NOT EXISTS (SELECT 1 FROM certificate c"
                    " WHERE c.fingerprint = w.fingerprint)"
                    " GROUP BY w.not_after, w.fingerprint"
                    " ORDER BY w.not_after, w.fingerprint LIMIT $4",
                    ret_rows, ret_count, DB_I64(after->not_after), DB_BYTES(after->fingerprint),
                    DB_I64(until), DB_I64((int64_t)limit));
}

static bool comes_before(const db_expiring_t *a, const db_expiring_t *b) {
    if (a->not_after != b->not_after) return a->not_after < b->not_after;
    size_t n = a->fingerprint.n < b->fingerprint.n ? a->fingerprint.n : b->fingerprint.n;
    return memcmp(a->fingerprint.p, b->fingerprint.p, n) < 0;
}

err_t *db_expiring_list(db_conn_t *conn, arena_t *arena, const db_expiring_at_t *after,
                        int64_t until, size_t limit, db_expiring_t **ret_rows, size_t *ret_count) {
    db_expiring_t *own = NULL, *seen = NULL, *rows = NULL;
    size_t own_n = 0, seen_n = 0, count = 0;
    TRY(list_own(conn, arena, after, until, limit, &own, &own_n));
    TRY(list_seen(conn, arena, after, until, limit, &seen, &seen_n));
    TRY(arena_alloc(arena, (limit + 1) * sizeof *rows, &rows));
    for (size_t i = 0, j = 0; count < limit && (i < own_n || j < seen_n);) {
        bool first = j == seen_n || (i < own_n && comes_before(&own[i], &seen[j]));
        rows[count++] = first ? own[i++] : seen[j++];
    }
    *ret_rows = rows;
    *ret_count = count;
    return NULL;
}

/* ---- notices ---- */

err_t *db_notices_put(db_conn_t *conn, bytes_t fingerprint, int64_t threshold, int64_t not_after,
                      int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO expiry_notice (fingerprint, threshold, noticed_ms, not_after)"
                   " VALUES ($1, $2, $3, $4) ON CONFLICT (fingerprint) DO UPDATE"
                   " SET threshold = excluded.threshold, noticed_ms = excluded.noticed_ms",
                   DB_BYTES(fingerprint), DB_I64(threshold), DB_I64(now_ms), DB_I64(not_after));
}

err_t *db_notices_purge(db_conn_t *conn, int64_t ended_before_s) {
    return db_exec(conn, "DELETE FROM expiry_notice WHERE not_after < $1", DB_I64(ended_before_s));
}

/* ---- why it was not renewed ---- */

/* The device that is pinned to it; the same enrolment's certificates are all of one device. */
static err_t *facts_device(db_conn_t *conn, arena_t *arena, const db_expiring_t *cert,
                           db_expiry_facts_t *f) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT d.id, d.name, d.serial_number, d.state, d.push_state, d.last_seen_ms,"
                     " COALESCE(j.last_error, '') FROM device d"
                     " LEFT JOIN job j ON j.kind = 'push' AND j.name = d.id"
                     " WHERE d.identity = $1 OR d.identity IN (SELECT x.fingerprint"
                     " FROM certificate x WHERE $2 <> '' AND x.enrolment_id = $2) LIMIT 1",
                     &stmt, &found, DB_BYTES(cert->fingerprint), DB_STR(cert->enrolment_id)));
    if (!found) return NULL;
    TRY(row_str(stmt, arena, 0, &f->device_id));
    TRY(row_str(stmt, arena, 1, &f->device_name));
    TRY(row_str(stmt, arena, 2, &f->device_serial));
    TRY(row_str(stmt, arena, 3, &f->device_state));
    TRY(row_str(stmt, arena, 4, &f->push_state));
    f->last_seen_ms = db_col_i64(stmt, 5);
    return row_str(stmt, arena, 6, &f->push_error);
}

static err_t *facts_pending(db_conn_t *conn, arena_t *arena, const db_expiring_t *cert,
                            int64_t now_ms, db_expiry_facts_t *f) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT id, state, reason, created_ms FROM scep_pending"
                     " WHERE ((state = 'waiting' AND expires_ms > $3) OR state = 'denied')"
                     " AND (renewed_from = $1 OR ($2 <> '' AND enrolment_id = $2))"
                     " ORDER BY created_ms DESC LIMIT 1",
                     &stmt, &found, DB_BYTES(cert->fingerprint), DB_STR(cert->enrolment_id),
                     DB_I64(now_ms)));
    if (!found) return NULL;
    TRY(row_str(stmt, arena, 0, &f->pending_id));
    TRY(row_str(stmt, arena, 1, &f->pending_state));
    TRY(row_str(stmt, arena, 2, &f->pending_reason));
    f->pending_ms = db_col_i64(stmt, 3);
    return NULL;
}

static err_t *facts_trace(db_conn_t *conn, arena_t *arena, const db_expiring_t *cert,
                          db_expiry_facts_t *f) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT outcome, fail_info, problem, unix_ms FROM scep_trace"
                     " WHERE about = $1 ORDER BY seq DESC LIMIT 1",
                     &stmt, &found, DB_STR(cert->enrolment_id)));
    if (!found) return NULL;
    TRY(row_str(stmt, arena, 0, &f->outcome));
    TRY(row_str(stmt, arena, 1, &f->fail_info));
    TRY(row_str(stmt, arena, 2, &f->problem));
    f->trace_ms = db_col_i64(stmt, 3);
    return NULL;
}

err_t *db_expiry_facts(db_conn_t *conn, arena_t *arena, const db_expiring_t *cert, int64_t now_ms,
                       db_expiry_facts_t *ret_facts) {
    db_expiry_facts_t f = {"", "", "", "", "", "", 0, "", "", "", 0, "", "", "", 0, 0};
    if (cert->source[0] == '\0') {
        TRY(facts_device(conn, arena, cert, &f));
        TRY(facts_pending(conn, arena, cert, now_ms, &f));
    }
    if (cert->enrolment_id[0]) {
        TRY(facts_trace(conn, arena, cert, &f));
        TRY(row_number(conn,
                       "SELECT COALESCE(MAX(expires_ms), 0) FROM scep_challenge"
                       " WHERE enrolment_id = $1 AND used_ms = 0 AND expires_ms < $2",
                       &f.challenge_expired_ms, DB_STR(cert->enrolment_id), DB_I64(now_ms)));
    }
    *ret_facts = f;
    return NULL;
}

/* ---- actions ---- */

#define RUN_COLUMNS "action, key, started_ms, ended_ms, outcome, output"

static const row_column_t run_columns[] = {
    {ROW_STR, offsetof(db_action_run_t, action)},
    {ROW_STR, offsetof(db_action_run_t, key)},
    {ROW_I64, offsetof(db_action_run_t, started_ms)},
    {ROW_I64, offsetof(db_action_run_t, ended_ms)},
    {ROW_STR, offsetof(db_action_run_t, outcome)},
    {ROW_STR, offsetof(db_action_run_t, output)},
    {ROW_I64, offsetof(db_action_run_t, seq)},
};
static const row_type_t run_type = ROW_TYPE(run_columns, db_action_run_t);

err_t *db_action_runs_add(db_conn_t *conn, const db_action_run_t *row) {
    TRY(db_exec(conn, "INSERT INTO action_run (" RUN_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)",
                DB_STR(row->action), DB_STR(row->key), DB_I64(row->started_ms),
                DB_I64(row->ended_ms), DB_STR(row->outcome), DB_TEXT(bytes_str(row->output))));
    return db_exec(conn,
                   "DELETE FROM action_run WHERE seq <= (SELECT seq FROM action_run"
                   " ORDER BY seq DESC LIMIT 1 OFFSET $1)",
                   DB_I64(LIMIT_ACTION_RUNS));
}

err_t *db_action_runs_list(db_conn_t *conn, arena_t *arena, int64_t before, size_t limit,
                           db_action_run_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &run_type,
                    "SELECT " RUN_COLUMNS ", seq FROM action_run WHERE seq < $1"
                    " ORDER BY seq DESC LIMIT $2",
                    ret_rows, ret_count, DB_I64(before), DB_I64((int64_t)limit));
}

err_t *db_watch_ocsp_responder(db_conn_t *conn, arena_t *arena, bytes_t *ret_der, bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, "SELECT der FROM ocsp_responder ORDER BY not_after DESC LIMIT 1", &stmt,
                     &found));
    if (found) TRY(arena_copy(arena, db_col_bytes(stmt, 0), ret_der));
    *ret_found = found;
    return NULL;
}
