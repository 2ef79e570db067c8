/*
 * Rows of the mail book: see mail_book.h.
 */
#include "store/mail_book.h"

#include "store/rows_internal.h"

/* ---- learned from mail ---- */

#define CERT_COLUMNS                                                                               \
    "address, fingerprint, der, chain, trusted, not_after, message_s, first_seen_ms, last_seen_ms"

static const row_column_t cert_columns[] = {
    {ROW_STR, offsetof(db_mail_cert_t, address)},
    {ROW_BYTES, offsetof(db_mail_cert_t, fingerprint)},
    {ROW_BYTES, offsetof(db_mail_cert_t, der)},
    {ROW_BYTES, offsetof(db_mail_cert_t, chain)},
    {ROW_BOOL, offsetof(db_mail_cert_t, trusted)},
    {ROW_I64, offsetof(db_mail_cert_t, not_after)},
    {ROW_I64, offsetof(db_mail_cert_t, message_s)},
    {ROW_I64, offsetof(db_mail_cert_t, first_seen_ms)},
    {ROW_I64, offsetof(db_mail_cert_t, last_seen_ms)},
};
static const row_type_t cert_type = ROW_TYPE(cert_columns, db_mail_cert_t);

err_t *db_mail_certs_put(db_conn_t *conn, const db_mail_cert_t *row, bool *ret_new) {
    bool changed = false;
    TRY(row_change(conn,
                   "UPDATE mail_certificate SET trusted = $3, last_seen_ms = $5,"
                   " message_s = CASE WHEN message_s < $4 THEN $4 ELSE message_s END,"
                   " chain = CASE WHEN $6 > 0 THEN $7 ELSE chain END"
                   " WHERE address = $1 AND fingerprint = $2",
                   &changed, DB_STR(row->address), DB_BYTES(row->fingerprint), DB_I64(row->trusted),
                   DB_I64(row->message_s), DB_I64(row->last_seen_ms), DB_I64((int64_t)row->chain.n),
                   DB_BYTES(row->chain)));
    if (!changed)
        TRY(row_insert(conn,
                       "INSERT INTO mail_certificate (" CERT_COLUMNS
                       ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                       &cert_type, row));
    *ret_new = !changed;
    return NULL;
}

err_t *db_mail_certs_of(db_conn_t *conn, arena_t *arena, const char *address, size_t limit,
                        db_mail_cert_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &cert_type,
                    "SELECT " CERT_COLUMNS " FROM mail_certificate WHERE address = $1"
                    " ORDER BY message_s DESC, fingerprint LIMIT $2",
                    ret_rows, ret_count, DB_STR(address), DB_I64((int64_t)limit));
}

err_t *db_mail_certs_list(db_conn_t *conn, arena_t *arena, const char *after_address,
                          bytes_t after_fingerprint, size_t limit, db_mail_cert_t **ret_rows,
                          size_t *ret_count) {
    return row_list(conn, arena, &cert_type,
                    "SELECT " CERT_COLUMNS " FROM mail_certificate"
                    " WHERE address > $1 OR (address = $1 AND fingerprint > $2)"
                    " ORDER BY address, fingerprint LIMIT $3",
                    ret_rows, ret_count, DB_STR(after_address), DB_BYTES(after_fingerprint),
                    DB_I64((int64_t)limit));
}

err_t *db_mail_certs_remove(db_conn_t *conn, bytes_t fingerprint, bool *ret_found) {
    return row_change(conn, "DELETE FROM mail_certificate WHERE fingerprint = $1", ret_found,
                      DB_BYTES(fingerprint));
}

err_t *db_mail_certs_trim(db_conn_t *conn, const char *address, int64_t keep, int64_t keep_each) {
    TRY(db_exec(conn,
                "DELETE FROM mail_certificate WHERE trusted = 0 AND address = $1"
                " AND fingerprint NOT IN (SELECT fingerprint FROM mail_certificate"
                " WHERE trusted = 0 AND address = $1"
                " ORDER BY last_seen_ms DESC, fingerprint LIMIT $2)",
                DB_STR(address), DB_I64(keep_each)));
    return db_exec(conn,
                   "DELETE FROM mail_certificate WHERE trusted = 0 AND last_seen_ms <="
                   " (SELECT last_seen_ms FROM mail_certificate WHERE trusted = 0"
                   " ORDER BY last_seen_ms DESC LIMIT 1 OFFSET $1)",
                   DB_I64(keep));
}

err_t *db_mail_peers_put(db_conn_t *conn, const char *address, bytes_t capabilities,
                         int64_t message_s, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO mail_peer (address, capabilities, message_s, seen_ms)"
                   " VALUES ($1, $2, $3, $4) ON CONFLICT (address) DO UPDATE SET"
                   " capabilities = excluded.capabilities, message_s = excluded.message_s,"
                   " seen_ms = excluded.seen_ms WHERE mail_peer.message_s <= excluded.message_s",
                   DB_STR(address), DB_BYTES(capabilities), DB_I64(message_s), DB_I64(now_ms));
}

static const row_column_t bytes_column = {ROW_BYTES, 0};
static const row_type_t bytes_type = {&bytes_column, 1, sizeof(bytes_t)};

err_t *db_mail_peers_get(db_conn_t *conn, arena_t *arena, const char *address,
                         bytes_t *ret_capabilities, bool *ret_found) {
    return row_find(conn, arena, &bytes_type,
                    "SELECT capabilities FROM mail_peer WHERE address = $1", ret_capabilities,
                    ret_found, DB_STR(address));
}

/* ---- trusted ---- */

#define TRUST_COLUMNS "fingerprint, kind, domain, der, why, created_by, created_ms"

static const row_column_t trust_columns[] = {
    {ROW_BYTES, offsetof(db_mail_trust_t, fingerprint)},
    {ROW_STR, offsetof(db_mail_trust_t, kind)},
    {ROW_STR, offsetof(db_mail_trust_t, domain)},
    {ROW_BYTES, offsetof(db_mail_trust_t, der)},
    {ROW_STR, offsetof(db_mail_trust_t, why)},
    {ROW_STR, offsetof(db_mail_trust_t, created_by)},
    {ROW_I64, offsetof(db_mail_trust_t, created_ms)},
};
static const row_type_t trust_type = ROW_TYPE(trust_columns, db_mail_trust_t);

err_t *db_mail_trust_put(db_conn_t *conn, const db_mail_trust_t *row) {
    return row_insert(conn,
                      "INSERT INTO mail_trust (" TRUST_COLUMNS
                      ") VALUES ($1, $2, $3, $4, $5, $6, $7)"
                      " ON CONFLICT (fingerprint) DO UPDATE SET kind = excluded.kind,"
                      " domain = excluded.domain, why = excluded.why,"
                      " created_by = excluded.created_by, created_ms = excluded.created_ms",
                      &trust_type, row);
}

err_t *db_mail_trust_list(db_conn_t *conn, arena_t *arena, size_t limit, db_mail_trust_t **ret_rows,
                          size_t *ret_count) {
    return row_list(conn, arena, &trust_type,
                    "SELECT " TRUST_COLUMNS " FROM mail_trust ORDER BY created_ms, fingerprint"
                    " LIMIT $1",
                    ret_rows, ret_count, DB_I64((int64_t)limit));
}

err_t *db_mail_trust_remove(db_conn_t *conn, bytes_t fingerprint, bool *ret_found) {
    return row_change(conn, "DELETE FROM mail_trust WHERE fingerprint = $1", ret_found,
                      DB_BYTES(fingerprint));
}

/* ---- groups ---- */

#define MEMBER_COLUMNS "address, member, created_by, created_ms"

static const row_column_t member_columns[] = {
    {ROW_STR, offsetof(db_mail_member_t, address)},
    {ROW_STR, offsetof(db_mail_member_t, member)},
    {ROW_STR, offsetof(db_mail_member_t, created_by)},
    {ROW_I64, offsetof(db_mail_member_t, created_ms)},
};
static const row_type_t member_type = ROW_TYPE(member_columns, db_mail_member_t);

err_t *db_mail_groups_add(db_conn_t *conn, const db_mail_member_t *row) {
    return row_insert(conn,
                      "INSERT INTO mail_group (" MEMBER_COLUMNS ") VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT (address, member) DO NOTHING",
                      &member_type, row);
}

err_t *db_mail_groups_remove(db_conn_t *conn, const char *address, bool *ret_found) {
    return row_change(conn, "DELETE FROM mail_group WHERE address = $1", ret_found,
                      DB_STR(address));
}

err_t *db_mail_groups_of(db_conn_t *conn, arena_t *arena, const char *address, size_t limit,
                         db_mail_member_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &member_type,
                    "SELECT " MEMBER_COLUMNS " FROM mail_group WHERE address = $1"
                    " ORDER BY member LIMIT $2",
                    ret_rows, ret_count, DB_STR(address), DB_I64((int64_t)limit));
}

err_t *db_mail_groups_list(db_conn_t *conn, arena_t *arena, const char *after_address,
                           const char *after_member, size_t limit, db_mail_member_t **ret_rows,
                           size_t *ret_count) {
    return row_list(conn, arena, &member_type,
                    "SELECT " MEMBER_COLUMNS " FROM mail_group"
                    " WHERE address > $1 OR (address = $1 AND member > $2)"
                    " ORDER BY address, member LIMIT $3",
                    ret_rows, ret_count, DB_STR(after_address), DB_STR(after_member),
                    DB_I64((int64_t)limit));
}

/* ---- our own ---- */

static const row_column_t own_columns[] = {
    {ROW_BYTES, offsetof(db_mail_own_t, der)},
    {ROW_BOOL, offsetof(db_mail_own_t, archived)},
};
static const row_type_t own_type = ROW_TYPE(own_columns, db_mail_own_t);

err_t *db_mail_own_of(db_conn_t *conn, arena_t *arena, const char *address, size_t limit,
                      db_mail_own_t **ret_rows, size_t *ret_count) {
    return row_list(
        conn, arena, &own_type,
        "SELECT der, archived FROM ("
        "SELECT c.der AS der, 0 AS archived, c.created_ms AS made FROM person p"
        " JOIN certificate c ON c.person_id = p.id WHERE p.email = $1"
        " UNION ALL "
        "SELECT e.certificates AS der, 1 AS archived, e.created_ms AS made FROM person p"
        " JOIN escrow_object e ON e.owner = p.id AND e.kind = 'smime-key'"
        " AND e.state = 'current' WHERE p.email = $1"
        ") AS own ORDER BY archived, made DESC LIMIT $2",
        ret_rows, ret_count, DB_STR(address), DB_I64((int64_t)limit));
}
