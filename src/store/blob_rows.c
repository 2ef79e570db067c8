/*
 * Rows about blobs: see blob_rows.h.
 */
#include "store/blob_rows.h"

#include "base/limits.h"
#include "store/rows_internal.h"

#define COLUMNS   "id, incarnation, size, state, since_ms"
#define B_COLUMNS "b.id, b.incarnation, b.size, b.state, b.since_ms"
#define R_COLUMNS "blob_id, store, state, stored_ms, verified_ms, tried_ms"
#define S_COLUMNS "number, position, checked, bytes, bad, lost, started_ms, finished_ms"

static const row_column_t columns[] = {
    {ROW_BYTES, offsetof(db_blob_t, id)},     {ROW_I64, offsetof(db_blob_t, incarnation)},
    {ROW_I64, offsetof(db_blob_t, size)},     {ROW_I64, offsetof(db_blob_t, state)},
    {ROW_I64, offsetof(db_blob_t, since_ms)},
};
static const row_type_t type = ROW_TYPE(columns, db_blob_t);

static const row_column_t replica_columns[] = {
    {ROW_BYTES, offsetof(db_replica_t, blob_id)},   {ROW_STR, offsetof(db_replica_t, store)},
    {ROW_I64, offsetof(db_replica_t, state)},       {ROW_I64, offsetof(db_replica_t, stored_ms)},
    {ROW_I64, offsetof(db_replica_t, verified_ms)}, {ROW_I64, offsetof(db_replica_t, tried_ms)},
};
static const row_type_t replica_type = ROW_TYPE(replica_columns, db_replica_t);

static const row_column_t scrub_columns[] = {
    {ROW_I64, offsetof(db_blob_scrub_t, number)},
    {ROW_BYTES, offsetof(db_blob_scrub_t, position)},
    {ROW_I64, offsetof(db_blob_scrub_t, checked)},
    {ROW_I64, offsetof(db_blob_scrub_t, bytes)},
    {ROW_I64, offsetof(db_blob_scrub_t, bad)},
    {ROW_I64, offsetof(db_blob_scrub_t, lost)},
    {ROW_I64, offsetof(db_blob_scrub_t, started_ms)},
    {ROW_I64, offsetof(db_blob_scrub_t, finished_ms)},
};
static const row_type_t scrub_type = ROW_TYPE(scrub_columns, db_blob_scrub_t);

/* ---- blobs ---- */

err_t *db_blob_find(db_conn_t *conn, arena_t *arena, bytes_t id, db_blob_t *ret_row,
                    bool *ret_found) {
    return row_find(conn, arena, &type, "SELECT " COLUMNS " FROM stored_blob WHERE id = $1",
                    ret_row, ret_found, DB_BYTES(id));
}

err_t *db_blob_add(db_conn_t *conn, bytes_t id, int64_t incarnation, int64_t now_ms) {
    return db_exec(conn, "INSERT INTO stored_blob (" COLUMNS ") VALUES ($1, $2, -1, 1, $3)",
                   DB_BYTES(id), DB_I64(incarnation), DB_I64(now_ms));
}

err_t *db_blob_touch(db_conn_t *conn, bytes_t id, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE stored_blob SET since_ms = $2,"
                   " state = CASE WHEN state = 3 THEN CASE WHEN size < 0 THEN 1 ELSE 2 END"
                   " ELSE state END"
                   " WHERE id = $1 AND state <> 4",
                   DB_BYTES(id), DB_I64(now_ms));
}

err_t *db_blob_reborn(db_conn_t *conn, bytes_t id, int64_t incarnation, int64_t now_ms) {
    TRY(db_exec(conn, "DELETE FROM blob_replica WHERE blob_id = $1", DB_BYTES(id)));
    return db_exec(conn,
                   "UPDATE stored_blob SET incarnation = $2, state = 1, size = -1, since_ms = $3"
                   " WHERE id = $1 AND state = 4",
                   DB_BYTES(id), DB_I64(incarnation), DB_I64(now_ms));
}

err_t *db_blob_stored(db_conn_t *conn, bytes_t id, int64_t incarnation, int64_t size,
                      int64_t now_ms, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE stored_blob SET state = 2, size = $3, since_ms = $4"
                      " WHERE id = $1 AND incarnation = $2 AND state <> 4",
                      ret_changed, DB_BYTES(id), DB_I64(incarnation), DB_I64(size), DB_I64(now_ms));
}

err_t *db_blob_list(db_conn_t *conn, arena_t *arena, bytes_t after, size_t limit,
                    db_blob_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT " COLUMNS " FROM stored_blob WHERE id > $1 AND state IN (2, 3)"
                    " AND size >= 0 ORDER BY id LIMIT $2",
                    ret_rows, ret_count, DB_BYTES(after), DB_I64((int64_t)limit));
}

err_t *db_blob_count(db_conn_t *conn, db_blob_state_t state, int64_t *ret_blobs,
                     int64_t *ret_bytes) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM stored_blob"
                     " WHERE state = $1 AND size >= 0",
                     &stmt, &found, DB_I64(state)));
    *ret_blobs = found ? db_col_i64(stmt, 0) : 0;
    *ret_bytes = found ? db_col_i64(stmt, 1) : 0;
    return NULL;
}

/* ---- collection ---- */

#define NO_OWNER "NOT EXISTS (SELECT 1 FROM blob_owner o WHERE o.blob_id = b.id)"

err_t *db_blob_condemn(db_conn_t *conn, int64_t before_ms, int64_t now_ms, size_t limit,
                       int64_t *ret_count) {
    TRY(db_exec(conn,
                "UPDATE stored_blob SET state = 3, since_ms = $2 WHERE id IN"
                " (SELECT b.id FROM stored_blob b WHERE b.state IN (1, 2) AND b.since_ms < $1"
                " AND " NO_OWNER " ORDER BY b.since_ms LIMIT $3)",
                DB_I64(before_ms), DB_I64(now_ms), DB_I64((int64_t)limit)));
    *ret_count = db_changes(conn);
    return NULL;
}

err_t *db_blob_give_up(db_conn_t *conn, int64_t before_ms, int64_t now_ms, size_t limit,
                       int64_t *ret_count) {
    TRY(db_exec(conn,
                "UPDATE stored_blob SET state = 4, since_ms = $2 WHERE id IN"
                " (SELECT b.id FROM stored_blob b WHERE b.state = 3 AND b.since_ms < $1"
                " AND " NO_OWNER " ORDER BY b.since_ms LIMIT $3)",
                DB_I64(before_ms), DB_I64(now_ms), DB_I64((int64_t)limit)));
    *ret_count = db_changes(conn);
    return NULL;
}

err_t *db_blob_list_deleting(db_conn_t *conn, arena_t *arena, bytes_t after, size_t limit,
                             db_blob_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT " COLUMNS " FROM stored_blob WHERE state = 4 AND id > $1"
                    " ORDER BY id LIMIT $2",
                    ret_rows, ret_count, DB_BYTES(after), DB_I64((int64_t)limit));
}

err_t *db_blob_deleted(db_conn_t *conn, bytes_t id, int64_t incarnation, bool *ret_changed) {
    TRY(db_exec(conn,
                "DELETE FROM blob_replica WHERE blob_id IN (SELECT id FROM stored_blob"
                " WHERE id = $1 AND incarnation = $2 AND state = 4)",
                DB_BYTES(id), DB_I64(incarnation)));
    return row_change(conn,
                      "DELETE FROM stored_blob WHERE id = $1 AND incarnation = $2 AND state = 4",
                      ret_changed, DB_BYTES(id), DB_I64(incarnation));
}

/* ---- owners ---- */

err_t *db_blob_own(db_conn_t *conn, bytes_t id, const char *owner) {
    bool changed = false;
    if (strlen(owner) > LIMIT_BLOB_OWNER) return err_new(ERR_LIMIT, "an owner's name is too long");
    TRY(row_change(conn,
                   "UPDATE stored_blob SET state = 2"
                   " WHERE id = $1 AND state IN (2, 3) AND size >= 0",
                   &changed, DB_BYTES(id)));
    if (!changed) return err_new(ERR_NOT_FOUND, "the blob is not stored");
    return db_exec(conn,
                   "INSERT INTO blob_owner (blob_id, owner) VALUES ($1, $2)"
                   " ON CONFLICT (blob_id, owner) DO NOTHING",
                   DB_BYTES(id), DB_STR(owner));
}

err_t *db_blob_disown(db_conn_t *conn, const char *owner, int64_t now_ms) {
    TRY(db_exec(conn,
                "UPDATE stored_blob SET since_ms = $2"
                " WHERE id IN (SELECT blob_id FROM blob_owner WHERE owner = $1)",
                DB_STR(owner), DB_I64(now_ms)));
    return db_exec(conn, "DELETE FROM blob_owner WHERE owner = $1", DB_STR(owner));
}

err_t *db_blob_owners(db_conn_t *conn, bytes_t id, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM blob_owner WHERE blob_id = $1", ret_count,
                      DB_BYTES(id));
}

/* ---- replicas ---- */

err_t *db_replica_put(db_conn_t *conn, int64_t incarnation, const db_replica_t *row) {
    return db_exec(conn,
                   "INSERT INTO blob_replica (" R_COLUMNS ")"
                   " SELECT id, $3, $4, $5, $6, $7 FROM stored_blob"
                   " WHERE id = $1 AND incarnation = $2 AND state <> 4"
                   " ON CONFLICT (blob_id, store) DO UPDATE SET state = excluded.state,"
                   " stored_ms = excluded.stored_ms, verified_ms = excluded.verified_ms,"
                   " tried_ms = excluded.tried_ms",
                   DB_BYTES(row->blob_id), DB_I64(incarnation), DB_STR(row->store),
                   DB_I64(row->state), DB_I64(row->stored_ms), DB_I64(row->verified_ms),
                   DB_I64(row->tried_ms));
}

err_t *db_replica_seen(db_conn_t *conn, bytes_t id, int64_t incarnation, const char *store,
                       db_replica_state_t state, int64_t verified_ms) {
    return db_exec(conn,
                   "INSERT INTO blob_replica (" R_COLUMNS ")"
                   " SELECT id, $3, $4, 0, $5, 0 FROM stored_blob"
                   " WHERE id = $1 AND incarnation = $2 AND state <> 4"
                   " ON CONFLICT (blob_id, store) DO UPDATE SET state = excluded.state,"
                   " verified_ms = CASE WHEN excluded.state = 1 THEN excluded.verified_ms"
                   " ELSE blob_replica.verified_ms END",
                   DB_BYTES(id), DB_I64(incarnation), DB_STR(store), DB_I64(state),
                   DB_I64(verified_ms));
}

err_t *db_replica_tried(db_conn_t *conn, bytes_t id, const char *store, int64_t now_ms) {
    return db_exec(conn, "UPDATE blob_replica SET tried_ms = $3 WHERE blob_id = $1 AND store = $2",
                   DB_BYTES(id), DB_STR(store), DB_I64(now_ms));
}

err_t *db_replica_list(db_conn_t *conn, arena_t *arena, bytes_t id, db_replica_t **ret_rows,
                       size_t *ret_count) {
    return row_list(conn, arena, &replica_type,
                    "SELECT " R_COLUMNS " FROM blob_replica WHERE blob_id = $1 ORDER BY store",
                    ret_rows, ret_count, DB_BYTES(id));
}

err_t *db_replica_due(db_conn_t *conn, arena_t *arena, int64_t before_ms, int64_t now_ms,
                      size_t limit, db_blob_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &type,
                    "SELECT " B_COLUMNS " FROM stored_blob b WHERE b.state IN (2, 3) AND b.id IN"
                    " (SELECT r.blob_id FROM blob_replica r WHERE r.state IN (2, 3)"
                    " AND (r.tried_ms < $1 OR r.tried_ms > $2) ORDER BY r.tried_ms LIMIT $3)",
                    ret_rows, ret_count, DB_I64(before_ms), DB_I64(now_ms), DB_I64((int64_t)limit));
}

err_t *db_replica_count(db_conn_t *conn, const char *store, db_replica_state_t state,
                        int64_t *ret_count) {
    return row_number(conn,
                      "SELECT COUNT(*) FROM blob_replica r JOIN stored_blob b ON b.id = r.blob_id"
                      " WHERE r.store = $1 AND r.state = $2 AND b.state = 2",
                      ret_count, DB_STR(store), DB_I64(state));
}

err_t *db_replica_oldest(db_conn_t *conn, const char *store, int64_t *ret_verified_ms) {
    return row_number(conn,
                      "SELECT COALESCE(MIN(r.verified_ms), 0) FROM blob_replica r"
                      " JOIN stored_blob b ON b.id = r.blob_id"
                      " WHERE r.store = $1 AND r.state = 1 AND b.state = 2",
                      ret_verified_ms, DB_STR(store));
}

/* ---- scrub ---- */

err_t *db_blob_scrub_latest(db_conn_t *conn, arena_t *arena, db_blob_scrub_t *ret_row,
                            bool *ret_found) {
    return row_find(conn, arena, &scrub_type,
                    "SELECT " S_COLUMNS " FROM blob_scrub WHERE number > $1"
                    " ORDER BY number DESC LIMIT 1",
                    ret_row, ret_found, DB_I64(0));
}

err_t *db_blob_scrub_add(db_conn_t *conn, int64_t number, int64_t now_ms) {
    TRY(db_exec(conn, "DELETE FROM blob_scrub WHERE number < $1", DB_I64(number)));
    return db_exec(conn,
                   "INSERT INTO blob_scrub (" S_COLUMNS ") VALUES ($1, $3, 0, 0, 0, 0, $2, 0)",
                   DB_I64(number), DB_I64(now_ms), DB_BYTES(BYTES_NONE));
}

err_t *db_blob_scrub_move(db_conn_t *conn, const db_blob_scrub_t *row) {
    return db_exec(conn,
                   "UPDATE blob_scrub SET position = $2, checked = checked + $3,"
                   " bytes = bytes + $4, bad = bad + $5, lost = lost + $6"
                   " WHERE number = $1 AND finished_ms = 0 AND position < $2",
                   DB_I64(row->number), DB_BYTES(row->position), DB_I64(row->checked),
                   DB_I64(row->bytes), DB_I64(row->bad), DB_I64(row->lost));
}

err_t *db_blob_scrub_finish(db_conn_t *conn, int64_t number, int64_t now_ms) {
    return db_exec(conn,
                   "UPDATE blob_scrub SET finished_ms = $2 WHERE number = $1 AND finished_ms = 0",
                   DB_I64(number), DB_I64(now_ms));
}

/* ---- places ---- */

err_t *db_blob_place_find(db_conn_t *conn, arena_t *arena, const char *store,
                          const char **ret_swept_to, bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn, "SELECT swept_to FROM blob_place WHERE store = $1", &stmt, &found,
                     DB_STR(store)));
    if (found) TRY(row_str(stmt, arena, 0, ret_swept_to));
    *ret_found = found;
    return NULL;
}

err_t *db_blob_place_add(db_conn_t *conn, const char *store, int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO blob_place (store, since_ms, swept_to, swept_ms)"
                   " VALUES ($1, $2, '', 0) ON CONFLICT (store) DO NOTHING",
                   DB_STR(store), DB_I64(now_ms));
}

err_t *db_blob_place_since(db_conn_t *conn, int64_t *ret_since_ms) {
    return row_number(conn, "SELECT COALESCE(MIN(since_ms), 0) FROM blob_place WHERE store > $1",
                      ret_since_ms, DB_STR(""));
}

err_t *db_blob_place_swept(db_conn_t *conn, const char *store, const char *swept_to,
                           int64_t now_ms) {
    return db_exec(conn, "UPDATE blob_place SET swept_to = $2, swept_ms = $3 WHERE store = $1",
                   DB_STR(store), DB_STR(swept_to), DB_I64(now_ms));
}
