/*
 * Rows of escrow objects, their shares and drills: see escrow.h.
 */
#include "store/escrow.h"

#include "store/rows_internal.h"

#define BRIEF                                                                                      \
    "seq, id, kind, owner, device_id, version, label, state, officers_only, epoch, spki,"          \
    " created_by, created_ms, verified_ms, revealed_ms"
#define WHOLE BRIEF ", certificates, blob, wrap"

static const row_column_t columns[] = {
    {ROW_I64, offsetof(db_escrow_t, seq)},
    {ROW_STR, offsetof(db_escrow_t, id)},
    {ROW_STR, offsetof(db_escrow_t, kind)},
    {ROW_STR, offsetof(db_escrow_t, owner)},
    {ROW_STR, offsetof(db_escrow_t, device_id)},
    {ROW_I64, offsetof(db_escrow_t, version)},
    {ROW_STR, offsetof(db_escrow_t, label)},
    {ROW_STR, offsetof(db_escrow_t, state)},
    {ROW_BOOL, offsetof(db_escrow_t, officers_only)},
    {ROW_I64, offsetof(db_escrow_t, epoch)},
    {ROW_BYTES, offsetof(db_escrow_t, spki)},
    {ROW_STR, offsetof(db_escrow_t, created_by)},
    {ROW_I64, offsetof(db_escrow_t, created_ms)},
    {ROW_I64, offsetof(db_escrow_t, verified_ms)},
    {ROW_I64, offsetof(db_escrow_t, revealed_ms)},
    {ROW_BYTES, offsetof(db_escrow_t, certificates)},
    {ROW_BYTES, offsetof(db_escrow_t, blob)},
    {ROW_BYTES, offsetof(db_escrow_t, wrap)},
};
static const row_type_t whole_type = ROW_TYPE(columns, db_escrow_t);
static const row_type_t brief_type = {columns, sizeof columns / sizeof columns[0] - 3,
                                      sizeof(db_escrow_t)};

err_t *db_escrow_add(db_conn_t *conn, const db_escrow_t *row, int64_t *ret_seq) {
    TRY(db_exec(conn,
                "UPDATE escrow_object SET state = 'former'"
                " WHERE id = $1 AND version < $2 AND state = 'current'",
                DB_STR(row->id), DB_I64(row->version)));
    return row_number(conn,
                      "INSERT INTO escrow_object (id, kind, owner, device_id, version, label,"
                      " state, officers_only, epoch, spki, created_by, created_ms, verified_ms,"
                      " revealed_ms, certificates, blob, wrap) VALUES ($1, $2, $3, $4, $5, $6,"
                      " 'current', $7, $8, $9, $10, $11, 0, 0, $12, $13, $14) RETURNING seq",
                      ret_seq, DB_STR(row->id), DB_STR(row->kind), DB_STR(row->owner),
                      DB_STR(row->device_id), DB_I64(row->version), DB_STR(row->label),
                      DB_I64(row->wrap.n == 0), DB_I64(row->epoch), DB_BYTES(row->spki),
                      DB_STR(row->created_by), DB_I64(row->created_ms), DB_BYTES(row->certificates),
                      DB_BYTES(row->blob), DB_BYTES(row->wrap));
}

err_t *db_escrow_get(db_conn_t *conn, arena_t *arena, const char *id, int64_t version,
                     db_escrow_t *ret_row, bool *ret_found) {
    if (version == 0)
        return row_find(conn, arena, &whole_type,
                        "SELECT " WHOLE " FROM escrow_object WHERE id = $1"
                        " ORDER BY version DESC LIMIT 1",
                        ret_row, ret_found, DB_STR(id));
    return row_find(conn, arena, &whole_type,
                    "SELECT " WHOLE " FROM escrow_object WHERE id = $1 AND version = $2", ret_row,
                    ret_found, DB_STR(id), DB_I64(version));
}

err_t *db_escrow_by_seq(db_conn_t *conn, arena_t *arena, int64_t seq, db_escrow_t *ret_row,
                        bool *ret_found) {
    return row_find(conn, arena, &whole_type, "SELECT " WHOLE " FROM escrow_object WHERE seq = $1",
                    ret_row, ret_found, DB_I64(seq));
}

err_t *db_escrow_versions(db_conn_t *conn, arena_t *arena, const char *id, size_t limit,
                          db_escrow_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &brief_type,
                    "SELECT " BRIEF " FROM escrow_object WHERE id = $1"
                    " ORDER BY version DESC LIMIT $2",
                    ret_rows, ret_count, DB_STR(id), DB_I64((int64_t)limit));
}

/* What narrows it down most is said first and has an index; the rest is looked at row by row. */
#define LIST(first)                                                                                \
    "SELECT " BRIEF " FROM escrow_object WHERE " first " seq > $1 AND ($2 = '' OR kind = $2)"      \
    " AND ($3 = '' OR owner = $3) AND ($4 = '' OR device_id = $4)"                                 \
    " AND ($5 = 1 OR state = 'current') ORDER BY seq LIMIT $6"

err_t *db_escrow_list(db_conn_t *conn, arena_t *arena, const db_escrow_filter_t *filter,
                      int64_t after, size_t limit, db_escrow_t **ret_rows, size_t *ret_count) {
    const char *sql = filter->owner[0]       ? LIST("owner = $3 AND ")
                      : filter->device_id[0] ? LIST("device_id = $4 AND ")
                      : filter->kind[0]      ? LIST("kind = $2 AND ")
                                             : LIST("");
    return row_list(conn, arena, &brief_type, sql, ret_rows, ret_count, DB_I64(after),
                    DB_STR(filter->kind), DB_STR(filter->owner), DB_STR(filter->device_id),
                    DB_I64(filter->former), DB_I64((int64_t)limit));
}

err_t *db_escrow_of_epoch(db_conn_t *conn, arena_t *arena, int64_t epoch, bool officers_only,
                          int64_t after, size_t limit, db_escrow_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &whole_type,
                    "SELECT " WHOLE " FROM escrow_object WHERE epoch = $1 AND officers_only = $2"
                    " AND seq > $3 ORDER BY seq LIMIT $4",
                    ret_rows, ret_count, DB_I64(epoch), DB_I64(officers_only), DB_I64(after),
                    DB_I64((int64_t)limit));
}

err_t *db_escrow_wrapped(db_conn_t *conn, arena_t *arena, int64_t after, size_t limit,
                         db_escrow_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &whole_type,
                    "SELECT " WHOLE " FROM escrow_object WHERE seq > $1 AND officers_only = 0"
                    " ORDER BY seq LIMIT $2",
                    ret_rows, ret_count, DB_I64(after), DB_I64((int64_t)limit));
}

err_t *db_escrow_older_epoch(db_conn_t *conn, int64_t epoch, bool officers_only, int64_t *ret_epoch,
                             bool *ret_found) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row(conn,
                     "SELECT epoch FROM escrow_object WHERE epoch < $1 AND officers_only = $2"
                     " ORDER BY epoch DESC LIMIT 1",
                     &stmt, &found, DB_I64(epoch), DB_I64(officers_only)));
    if (found) *ret_epoch = db_col_i64(stmt, 0);
    *ret_found = found;
    return NULL;
}

err_t *db_escrow_count_epoch(db_conn_t *conn, int64_t epoch, bool officers_only,
                             int64_t *ret_count) {
    return row_number(conn,
                      "SELECT COUNT(*) FROM escrow_object WHERE epoch = $1 AND officers_only = $2",
                      ret_count, DB_I64(epoch), DB_I64(officers_only));
}

err_t *db_escrow_next_of_kind(db_conn_t *conn, arena_t *arena, const char *kind, int64_t from,
                              db_escrow_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &whole_type,
                    "SELECT " WHOLE " FROM escrow_object WHERE kind = $1 AND seq >= $2"
                    " ORDER BY seq LIMIT 1",
                    ret_row, ret_found, DB_STR(kind), DB_I64(from));
}

err_t *db_escrow_max_seq(db_conn_t *conn, int64_t *ret_seq) {
    return row_number(conn, "SELECT COALESCE(MAX(seq), 0) FROM escrow_object", ret_seq);
}

err_t *db_escrow_set_epoch(db_conn_t *conn, int64_t seq, int64_t epoch) {
    return db_exec(conn, "UPDATE escrow_object SET epoch = $2 WHERE seq = $1", DB_I64(seq),
                   DB_I64(epoch));
}

err_t *db_escrow_move_epoch(db_conn_t *conn, int64_t from_epoch, int64_t to_epoch, int64_t from_seq,
                            int64_t to_seq, int64_t *ret_count) {
    TRY(db_exec(conn,
                "UPDATE escrow_object SET epoch = $2 WHERE epoch = $1 AND officers_only = 1"
                " AND seq > $3 AND seq <= $4",
                DB_I64(from_epoch), DB_I64(to_epoch), DB_I64(from_seq), DB_I64(to_seq)));
    *ret_count = db_changes(conn);
    return NULL;
}

#define KEPT                                                                                       \
    " EXISTS (SELECT 1 FROM escrow_share s WHERE s.object_seq = escrow_object.seq AND s.epoch"

err_t *db_escrow_move_back(db_conn_t *conn, int64_t from_epoch, int64_t to_epoch) {
    return db_exec(conn,
                   "UPDATE escrow_object SET epoch = $1 WHERE epoch = $2 AND officers_only = 1"
                   " AND" KEPT " = $1)",
                   DB_I64(from_epoch), DB_I64(to_epoch));
}

err_t *db_escrow_count_kept(db_conn_t *conn, int64_t epoch, int64_t opened_ms, int64_t *ret_count) {
    return row_number(conn,
                      "SELECT COUNT(*) FROM escrow_object WHERE epoch = $1 AND officers_only = 1"
                      " AND revealed_ms >= $2 AND" KEPT " < $1)",
                      ret_count, DB_I64(epoch), DB_I64(opened_ms));
}

err_t *db_escrow_drop_kept(db_conn_t *conn, int64_t epoch) {
    return db_exec(conn,
                   "DELETE FROM escrow_share WHERE epoch < $1 AND object_seq IN (SELECT seq FROM"
                   " escrow_object WHERE epoch = $1 AND officers_only = 1)",
                   DB_I64(epoch));
}

err_t *db_escrow_set_wrap(db_conn_t *conn, int64_t seq, bytes_t wrap) {
    return db_exec(conn, "UPDATE escrow_object SET wrap = $2 WHERE seq = $1 AND officers_only = 0",
                   DB_I64(seq), DB_BYTES(wrap));
}

err_t *db_escrow_set_verified(db_conn_t *conn, int64_t seq, int64_t now_ms) {
    return db_exec(conn, "UPDATE escrow_object SET verified_ms = $2 WHERE seq = $1", DB_I64(seq),
                   DB_I64(now_ms));
}

err_t *db_escrow_set_revealed(db_conn_t *conn, int64_t seq, int64_t now_ms) {
    return db_exec(conn, "UPDATE escrow_object SET revealed_ms = $2 WHERE seq = $1", DB_I64(seq),
                   DB_I64(now_ms));
}

err_t *db_escrow_kinds(db_conn_t *conn, arena_t *arena, db_escrow_kind_t **ret_rows,
                       size_t *ret_count) {
    static const row_column_t kind_columns[] = {
        {ROW_STR, offsetof(db_escrow_kind_t, kind)},
        {ROW_I64, offsetof(db_escrow_kind_t, objects)},
        {ROW_I64, offsetof(db_escrow_kind_t, undealt)},
        {ROW_I64, offsetof(db_escrow_kind_t, officers_only)},
        {ROW_I64, offsetof(db_escrow_kind_t, former)},
        {ROW_I64, offsetof(db_escrow_kind_t, last_revealed_ms)},
        {ROW_I64, offsetof(db_escrow_kind_t, last_verified_ms)},
    };
    static const row_type_t type = ROW_TYPE(kind_columns, db_escrow_kind_t);
    return row_list(conn, arena, &type,
                    "SELECT kind, COUNT(*), SUM(CASE WHEN epoch = 0 THEN 1 ELSE 0 END),"
                    " SUM(officers_only), SUM(CASE WHEN state = 'former' THEN 1 ELSE 0 END),"
                    " MAX(revealed_ms), MAX(verified_ms) FROM escrow_object"
                    " GROUP BY kind ORDER BY kind",
                    ret_rows, ret_count);
}

/* ---- shares ---- */

static const row_column_t share_columns[] = {
    {ROW_I64, offsetof(db_escrow_share_t, object_seq)},
    {ROW_I64, offsetof(db_escrow_share_t, epoch)},
    {ROW_I64, offsetof(db_escrow_share_t, officer)},
    {ROW_I64, offsetof(db_escrow_share_t, dealer)},
    {ROW_BYTES, offsetof(db_escrow_share_t, record)},
};
static const row_type_t share_type = ROW_TYPE(share_columns, db_escrow_share_t);

err_t *db_escrow_shares_put(db_conn_t *conn, const db_escrow_share_t *row) {
    return row_insert(
        conn,
        "INSERT INTO escrow_share (object_seq, epoch, officer, dealer, record)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (object_seq, epoch, officer, dealer)"
        " DO UPDATE SET record = excluded.record",
        &share_type, row);
}

err_t *db_escrow_shares_of(db_conn_t *conn, arena_t *arena, int64_t object_seq, int64_t epoch,
                           int64_t officer, db_escrow_share_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &share_type,
                    "SELECT object_seq, epoch, officer, dealer, record FROM escrow_share"
                    " WHERE object_seq = $1 AND epoch = $2 AND officer = $3 ORDER BY dealer",
                    ret_rows, ret_count, DB_I64(object_seq), DB_I64(epoch), DB_I64(officer));
}

err_t *db_escrow_shares_drop_others(db_conn_t *conn, int64_t object_seq, int64_t epoch) {
    return db_exec(conn, "DELETE FROM escrow_share WHERE object_seq = $1 AND epoch <> $2",
                   DB_I64(object_seq), DB_I64(epoch));
}

err_t *db_escrow_shares_drop_unfinished(db_conn_t *conn, int64_t epoch) {
    return db_exec(conn,
                   "DELETE FROM escrow_share WHERE epoch = $1 AND object_seq IN"
                   " (SELECT seq FROM escrow_object WHERE epoch < $1)",
                   DB_I64(epoch));
}

err_t *db_escrow_shares_count(db_conn_t *conn, int64_t object_seq, int64_t epoch,
                              int64_t *ret_officers) {
    return row_number(conn,
                      "SELECT COUNT(DISTINCT officer) FROM escrow_share"
                      " WHERE object_seq = $1 AND epoch = $2",
                      ret_officers, DB_I64(object_seq), DB_I64(epoch));
}

/* ---- drills ---- */

static const row_column_t drill_columns[] = {
    {ROW_I64, offsetof(db_escrow_drill_t, seq)},
    {ROW_STR, offsetof(db_escrow_drill_t, kind)},
    {ROW_I64, offsetof(db_escrow_drill_t, sampled)},
    {ROW_I64, offsetof(db_escrow_drill_t, opened)},
    {ROW_I64, offsetof(db_escrow_drill_t, failed)},
    {ROW_STR, offsetof(db_escrow_drill_t, failures)},
    {ROW_STR, offsetof(db_escrow_drill_t, actor)},
    {ROW_I64, offsetof(db_escrow_drill_t, created_ms)},
};
static const row_type_t drill_type = ROW_TYPE(drill_columns, db_escrow_drill_t);

err_t *db_escrow_drills_add(db_conn_t *conn, const db_escrow_drill_t *row) {
    return db_exec(conn,
                   "INSERT INTO escrow_drill (kind, sampled, opened, failed, failures, actor,"
                   " created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                   DB_STR(row->kind), DB_I64(row->sampled), DB_I64(row->opened),
                   DB_I64(row->failed), DB_STR(row->failures), DB_STR(row->actor),
                   DB_I64(row->created_ms));
}

err_t *db_escrow_drills_replace(db_conn_t *conn, const db_escrow_drill_t *row) {
    TRY(db_exec(conn, "DELETE FROM escrow_drill WHERE kind = $1", DB_STR(row->kind)));
    return db_escrow_drills_add(conn, row);
}

err_t *db_escrow_drills_latest(db_conn_t *conn, arena_t *arena, db_escrow_drill_t **ret_rows,
                               size_t *ret_count) {
    return row_list(conn, arena, &drill_type,
                    "SELECT seq, kind, sampled, opened, failed, failures, actor, created_ms"
                    " FROM escrow_drill WHERE seq IN (SELECT MAX(seq) FROM escrow_drill"
                    " GROUP BY kind) ORDER BY kind",
                    ret_rows, ret_count);
}

err_t *db_escrow_drills_list(db_conn_t *conn, arena_t *arena, size_t limit,
                             db_escrow_drill_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &drill_type,
                    "SELECT seq, kind, sampled, opened, failed, failures, actor, created_ms"
                    " FROM escrow_drill ORDER BY seq DESC LIMIT $1",
                    ret_rows, ret_count, DB_I64((int64_t)limit));
}

err_t *db_escrow_drills_last(db_conn_t *conn, int64_t *ret_ms) {
    return row_number(conn,
                      "SELECT COALESCE(MAX(created_ms), 0) FROM escrow_drill"
                      " WHERE kind NOT LIKE 'officer:%'",
                      ret_ms);
}
