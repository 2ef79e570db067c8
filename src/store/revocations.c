/*
 * Rows of `revocation` and `crl`: see revocations.h.
 */
#include "store/revocations.h"

#include <assert.h>

#include "base/limits.h"
#include "store/rows_internal.h"

enum { REMOVE_FROM_CRL = 8, SAME_SERIAL = 16 };

#define G(n) ", 'device-ca-" #n "'"
#define ISSUERS                                                                                    \
    "'root', 'mail-ca', 'device-ca'" G(2) G(3) G(4) G(5) G(6) G(7) G(8) G(9) G(10) G(11) G(12)     \
        G(13) G(14) G(15) G(16)
static_assert(LIMIT_DEVICE_CAS == 16, "as many as ISSUERS names");

#define BRIEF                                                                                      \
    "SELECT c.fingerprint, c.issuer, c.serial, c.profile, c.subject, c.enrolment_id,"              \
    " c.person_id, c.not_before, c.not_after, c.revoked_ms, c.created_ms,"                         \
    " COALESCE(r.reason, 0), COALESCE(r.actor, ''), COALESCE(r.why, '')"                           \
    " FROM certificate c LEFT JOIN revocation r ON r.fingerprint = c.fingerprint"

static const row_column_t brief_columns[] = {
    {ROW_BYTES, offsetof(db_cert_brief_t, fingerprint)},
    {ROW_STR, offsetof(db_cert_brief_t, issuer)},
    {ROW_STR, offsetof(db_cert_brief_t, serial)},
    {ROW_STR, offsetof(db_cert_brief_t, profile)},
    {ROW_STR, offsetof(db_cert_brief_t, subject)},
    {ROW_STR, offsetof(db_cert_brief_t, enrolment_id)},
    {ROW_STR, offsetof(db_cert_brief_t, person_id)},
    {ROW_I64, offsetof(db_cert_brief_t, not_before)},
    {ROW_I64, offsetof(db_cert_brief_t, not_after)},
    {ROW_I64, offsetof(db_cert_brief_t, revoked_ms)},
    {ROW_I64, offsetof(db_cert_brief_t, created_ms)},
    {ROW_I64, offsetof(db_cert_brief_t, reason)},
    {ROW_STR, offsetof(db_cert_brief_t, revoked_by)},
    {ROW_STR, offsetof(db_cert_brief_t, revoked_why)},
};
static const row_type_t brief_type = ROW_TYPE(brief_columns, db_cert_brief_t);

err_t *db_cert_briefs_list(db_conn_t *conn, arena_t *arena, const db_cert_filter_t *filter,
                           bytes_t after, size_t limit, db_cert_brief_t **ret_rows,
                           size_t *ret_count) {
    return row_list(conn, arena, &brief_type,
                    BRIEF " WHERE c.fingerprint > $1 AND ($2 = '' OR c.person_id = $2)"
                          " AND ($3 = '' OR c.enrolment_id = $3) AND ($4 = '' OR c.profile = $4)"
                          " AND ($5 = 0 OR c.revoked_ms <> 0)"
                          " ORDER BY c.fingerprint LIMIT $6",
                    ret_rows, ret_count, DB_BYTES(after), DB_STR(filter->person_id),
                    DB_STR(filter->enrolment_id), DB_STR(filter->profile), DB_I64(filter->revoked),
                    DB_I64((int64_t)limit));
}

err_t *db_cert_briefs_by_serial(db_conn_t *conn, arena_t *arena, const char *serial,
                                db_cert_brief_t **ret_rows, size_t *ret_count) {
    /* By the unique index, which begins with the issuer: all that there can be. */
    return row_list(conn, arena, &brief_type,
                    BRIEF " WHERE c.issuer IN (" ISSUERS ") AND c.serial = $1 LIMIT $2", ret_rows,
                    ret_count, DB_STR(serial), DB_I64(SAME_SERIAL));
}

err_t *db_cert_briefs_by_fingerprint(db_conn_t *conn, arena_t *arena, bytes_t fingerprint,
                                     db_cert_brief_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &brief_type, BRIEF " WHERE c.fingerprint = $1", ret_row, ret_found,
                    DB_BYTES(fingerprint));
}

err_t *db_cert_briefs_of_identity(db_conn_t *conn, arena_t *arena, bytes_t identity,
                                  db_cert_brief_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &brief_type,
                    BRIEF " WHERE c.fingerprint = $1 OR (c.enrolment_id <> '' AND c.enrolment_id ="
                          " (SELECT enrolment_id FROM certificate WHERE fingerprint = $1))",
                    ret_rows, ret_count, DB_BYTES(identity));
}

err_t *db_cert_profiles_next(db_conn_t *conn, arena_t *arena, const char *issuer, const char *after,
                             const char **ret_profile, bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT profile FROM certificate WHERE issuer = $1 AND profile > $2"
                     " ORDER BY profile LIMIT 1",
                     &stmt, &found, DB_STR(issuer), DB_STR(after)));
    if (found) TRY(row_str(stmt, arena, 0, ret_profile));
    *ret_found = found;
    return NULL;
}

/* ---- revocation ---- */

err_t *db_revocations_put(db_conn_t *conn, const db_revocation_t *row) {
    bool ended = row->reason == REMOVE_FROM_CRL;
    TRY(db_exec(conn,
                "INSERT INTO revocation (fingerprint, issuer, serial, profile, reason, revoked_ms,"
                " changed_ms, not_after, actor, why)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                " ON CONFLICT (fingerprint) DO UPDATE SET reason = excluded.reason,"
                " revoked_ms = excluded.revoked_ms, changed_ms = excluded.changed_ms,"
                " actor = excluded.actor, why = excluded.why",
                DB_BYTES(row->fingerprint), DB_STR(row->issuer), DB_BYTES(row->serial),
                DB_STR(row->profile), DB_I64(row->reason), DB_I64(row->revoked_ms),
                DB_I64(row->changed_ms), DB_I64(row->not_after), DB_STR(row->actor),
                DB_STR(row->why)));
    return db_exec(conn, "UPDATE certificate SET revoked_ms = $2 WHERE fingerprint = $1",
                   DB_BYTES(row->fingerprint), DB_I64(ended ? 0 : row->revoked_ms));
}

/* Columns seq, serial, reason, revoked_ms. */
static err_t *each(db_stmt_t *stmt, db_revoked_fn fn, void *arg, size_t *ret_count) {
    size_t count = 0;
    for (bool row = false;; count++) {
        TRY(db_step(stmt, &row));
        if (!row) break;
        db_revoked_t entry = {db_col_i64(stmt, 0), db_col_bytes(stmt, 1), db_col_i64(stmt, 2),
                              db_col_i64(stmt, 3)};
        TRY(fn(arg, &entry));
    }
    *ret_count = count;
    return NULL;
}

err_t *db_revocations_each(db_conn_t *conn, const char *issuer, const char *profile,
                           int64_t not_after, int64_t after_seq, size_t limit, db_revoked_fn fn,
                           void *arg, size_t *ret_count) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query(conn,
                 "SELECT seq, serial, reason, revoked_ms FROM revocation WHERE seq > $1"
                 " AND issuer = $2 AND ($3 = '' OR profile = $3) AND reason <> 8"
                 " AND not_after >= $4 ORDER BY seq LIMIT $5",
                 &stmt, DB_I64(after_seq), DB_STR(issuer), DB_STR(profile), DB_I64(not_after),
                 DB_I64((int64_t)limit)));
    return each(stmt, fn, arg, ret_count);
}

err_t *db_revocations_changed(db_conn_t *conn, const char *issuer, const char *profile,
                              int64_t since_ms, db_revoked_fn fn, void *arg) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    size_t count = 0;
    TRY(db_query(conn,
                 "SELECT seq, serial, reason, revoked_ms FROM revocation WHERE issuer = $1"
                 " AND changed_ms >= $2 AND ($3 = '' OR profile = $3) ORDER BY changed_ms, seq",
                 &stmt, DB_STR(issuer), DB_I64(since_ms), DB_STR(profile)));
    return each(stmt, fn, arg, &count);
}

err_t *db_revocations_count(db_conn_t *conn, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM revocation WHERE reason <> 8", ret_count);
}

/* ---- crl ---- */

#define CRL_COLUMNS                                                                                \
    "issuer, profile, delta, number, base_number, base_ms, this_update, next_update, entries, "    \
    "size"

static const row_column_t crl_columns[] = {
    {ROW_STR, offsetof(db_crl_t, issuer)},      {ROW_STR, offsetof(db_crl_t, profile)},
    {ROW_BOOL, offsetof(db_crl_t, delta)},      {ROW_I64, offsetof(db_crl_t, number)},
    {ROW_I64, offsetof(db_crl_t, base_number)}, {ROW_I64, offsetof(db_crl_t, base_ms)},
    {ROW_I64, offsetof(db_crl_t, this_update)}, {ROW_I64, offsetof(db_crl_t, next_update)},
    {ROW_I64, offsetof(db_crl_t, entries)},     {ROW_I64, offsetof(db_crl_t, size)},
};
static const row_type_t crl_type = ROW_TYPE(crl_columns, db_crl_t);

err_t *db_crls_put(db_conn_t *conn, const db_crl_t *row) {
    return row_insert(conn,
                      "INSERT INTO crl (" CRL_COLUMNS ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                      " ON CONFLICT (issuer, profile, delta) DO UPDATE SET"
                      " number = excluded.number, base_number = excluded.base_number,"
                      " base_ms = excluded.base_ms, this_update = excluded.this_update,"
                      " next_update = excluded.next_update, entries = excluded.entries,"
                      " size = excluded.size",
                      &crl_type, row);
}

err_t *db_crls_get(db_conn_t *conn, arena_t *arena, const char *issuer, const char *profile,
                   bool delta, db_crl_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &crl_type,
                    "SELECT " CRL_COLUMNS " FROM crl"
                    " WHERE issuer = $1 AND profile = $2 AND delta = $3",
                    ret_row, ret_found, DB_STR(issuer), DB_STR(profile), DB_I64(delta));
}

err_t *db_crls_list(db_conn_t *conn, arena_t *arena, db_crl_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &crl_type,
                    "SELECT " CRL_COLUMNS " FROM crl ORDER BY issuer, profile, delta", ret_rows,
                    ret_count);
}
