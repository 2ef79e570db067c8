/*
 * Rows of officers, their sets and re-dealing: see officers.h.
 */
#include "store/officers.h"

#include "store/rows_internal.h"

#define OFFICER "id, person_id, label, fingerprint, record, removed_ms, created_by, created_ms"

static const row_column_t officer_columns[] = {
    {ROW_STR, offsetof(db_officer_t, id)},         {ROW_STR, offsetof(db_officer_t, person_id)},
    {ROW_STR, offsetof(db_officer_t, label)},      {ROW_BYTES, offsetof(db_officer_t, fingerprint)},
    {ROW_BYTES, offsetof(db_officer_t, record)},   {ROW_I64, offsetof(db_officer_t, removed_ms)},
    {ROW_STR, offsetof(db_officer_t, created_by)}, {ROW_I64, offsetof(db_officer_t, created_ms)},
};
static const row_type_t officer_type = ROW_TYPE(officer_columns, db_officer_t);

err_t *db_officers_add(db_conn_t *conn, const db_officer_t *row) {
    return row_insert(conn,
                      "INSERT INTO officer (" OFFICER ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                      &officer_type, row);
}

err_t *db_officers_get(db_conn_t *conn, arena_t *arena, const char *id, db_officer_t *ret_row,
                       bool *ret_found) {
    return row_find(conn, arena, &officer_type, "SELECT " OFFICER " FROM officer WHERE id = $1",
                    ret_row, ret_found, DB_STR(id));
}

err_t *db_officers_list(db_conn_t *conn, arena_t *arena, db_officer_t **ret_rows,
                        size_t *ret_count) {
    return row_list(conn, arena, &officer_type,
                    "SELECT " OFFICER " FROM officer ORDER BY created_ms, id", ret_rows, ret_count);
}

err_t *db_officers_remove(db_conn_t *conn, const char *id, int64_t now_ms, bool *ret_changed) {
    return row_change(conn, "UPDATE officer SET removed_ms = $2 WHERE id = $1 AND removed_ms = 0",
                      ret_changed, DB_STR(id), DB_I64(now_ms));
}

/* ---- sets ---- */

#define SET "epoch, record, hash, threshold, officers, state, created_by, created_ms, activated_ms"

static const row_column_t set_columns[] = {
    {ROW_I64, offsetof(db_officer_set_t, epoch)},
    {ROW_BYTES, offsetof(db_officer_set_t, record)},
    {ROW_BYTES, offsetof(db_officer_set_t, hash)},
    {ROW_I64, offsetof(db_officer_set_t, threshold)},
    {ROW_I64, offsetof(db_officer_set_t, officers)},
    {ROW_STR, offsetof(db_officer_set_t, state)},
    {ROW_STR, offsetof(db_officer_set_t, created_by)},
    {ROW_I64, offsetof(db_officer_set_t, created_ms)},
    {ROW_I64, offsetof(db_officer_set_t, activated_ms)},
};
static const row_type_t set_type = ROW_TYPE(set_columns, db_officer_set_t);

err_t *db_officer_sets_add(db_conn_t *conn, const db_officer_set_t *row) {
    return row_insert(conn,
                      "INSERT INTO officer_set (" SET ")"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                      &set_type, row);
}

err_t *db_officer_sets_get(db_conn_t *conn, arena_t *arena, int64_t epoch,
                           db_officer_set_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &set_type, "SELECT " SET " FROM officer_set WHERE epoch = $1",
                    ret_row, ret_found, DB_I64(epoch));
}

err_t *db_officer_sets_in_state(db_conn_t *conn, arena_t *arena, const char *state,
                                db_officer_set_t *ret_row, bool *ret_found) {
    return row_find(conn, arena, &set_type,
                    "SELECT " SET " FROM officer_set WHERE state = $1"
                    " ORDER BY epoch DESC LIMIT 1",
                    ret_row, ret_found, DB_STR(state));
}

err_t *db_officer_sets_list(db_conn_t *conn, arena_t *arena, size_t limit,
                            db_officer_set_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &set_type,
                    "SELECT " SET " FROM officer_set ORDER BY epoch DESC LIMIT $1", ret_rows,
                    ret_count, DB_I64((int64_t)limit));
}

err_t *db_officer_sets_activate(db_conn_t *conn, int64_t epoch, int64_t now_ms) {
    TRY(db_exec(conn,
                "UPDATE officer_set SET state = 'former' WHERE state = 'active' AND epoch <> $1",
                DB_I64(epoch)));
    return db_exec(conn,
                   "UPDATE officer_set SET state = 'active', activated_ms = $2 WHERE epoch = $1",
                   DB_I64(epoch), DB_I64(now_ms));
}

err_t *db_officer_sets_drop(db_conn_t *conn, int64_t epoch, bool *ret_changed) {
    TRY(db_exec(conn,
                "DELETE FROM officer_set_signature WHERE epoch = $1 AND EXISTS"
                " (SELECT 1 FROM officer_set WHERE epoch = $1 AND state = 'proposed')",
                DB_I64(epoch)));
    return row_change(conn, "DELETE FROM officer_set WHERE epoch = $1 AND state = 'proposed'",
                      ret_changed, DB_I64(epoch));
}

static const row_column_t signature_columns[] = {
    {ROW_STR, offsetof(db_set_signature_t, officer_id)},
    {ROW_BYTES, offsetof(db_set_signature_t, record)},
    {ROW_I64, offsetof(db_set_signature_t, created_ms)},
};
static const row_type_t signature_type = ROW_TYPE(signature_columns, db_set_signature_t);

err_t *db_set_signatures_add(db_conn_t *conn, int64_t epoch, const db_set_signature_t *row) {
    return db_exec(conn,
                   "INSERT INTO officer_set_signature (epoch, officer_id, record, created_ms)"
                   " VALUES ($1, $2, $3, $4)",
                   DB_I64(epoch), DB_STR(row->officer_id), DB_BYTES(row->record),
                   DB_I64(row->created_ms));
}

err_t *db_set_signatures_list(db_conn_t *conn, arena_t *arena, int64_t epoch,
                              db_set_signature_t **ret_rows, size_t *ret_count) {
    return row_list(conn, arena, &signature_type,
                    "SELECT officer_id, record, created_ms FROM officer_set_signature"
                    " WHERE epoch = $1 ORDER BY created_ms, officer_id",
                    ret_rows, ret_count, DB_I64(epoch));
}

/* ---- re-dealing ---- */

#define REDEAL "to_epoch, dealer, officer_id, last_seq, done, updated_ms"

static const row_column_t redeal_columns[] = {
    {ROW_I64, offsetof(db_redeal_t, to_epoch)},   {ROW_I64, offsetof(db_redeal_t, dealer)},
    {ROW_STR, offsetof(db_redeal_t, officer_id)}, {ROW_I64, offsetof(db_redeal_t, last_seq)},
    {ROW_I64, offsetof(db_redeal_t, done)},       {ROW_I64, offsetof(db_redeal_t, updated_ms)},
};
static const row_type_t redeal_type = ROW_TYPE(redeal_columns, db_redeal_t);

err_t *db_redeals_add(db_conn_t *conn, const db_redeal_t *row) {
    return row_insert(conn, "INSERT INTO redeal (" REDEAL ") VALUES ($1, $2, $3, $4, $5, $6)",
                      &redeal_type, row);
}

err_t *db_redeals_list(db_conn_t *conn, arena_t *arena, int64_t to_epoch, db_redeal_t **ret_rows,
                       size_t *ret_count) {
    return row_list(conn, arena, &redeal_type,
                    "SELECT " REDEAL " FROM redeal WHERE to_epoch = $1 ORDER BY dealer", ret_rows,
                    ret_count, DB_I64(to_epoch));
}

err_t *db_redeals_advance(db_conn_t *conn, int64_t to_epoch, int64_t dealer, int64_t from_seq,
                          int64_t to_seq, int64_t count, int64_t now_ms, bool *ret_changed) {
    return row_change(conn,
                      "UPDATE redeal SET last_seq = $4, done = done + $5, updated_ms = $6"
                      " WHERE to_epoch = $1 AND dealer = $2 AND last_seq = $3",
                      ret_changed, DB_I64(to_epoch), DB_I64(dealer), DB_I64(from_seq),
                      DB_I64(to_seq), DB_I64(count), DB_I64(now_ms));
}

err_t *db_redeals_drop(db_conn_t *conn, int64_t to_epoch) {
    return db_exec(conn, "DELETE FROM redeal WHERE to_epoch = $1", DB_I64(to_epoch));
}

err_t *db_redeal_proofs_add(db_conn_t *conn, int64_t to_epoch, const char *officer_id,
                            int64_t now_ms) {
    return db_exec(conn,
                   "INSERT INTO redeal_proof (to_epoch, officer_id, created_ms)"
                   " VALUES ($1, $2, $3)",
                   DB_I64(to_epoch), DB_STR(officer_id), DB_I64(now_ms));
}

err_t *db_redeal_proofs_count(db_conn_t *conn, int64_t to_epoch, int64_t *ret_count) {
    return row_number(conn, "SELECT COUNT(*) FROM redeal_proof WHERE to_epoch = $1", ret_count,
                      DB_I64(to_epoch));
}

err_t *db_redeal_proofs_drop(db_conn_t *conn, int64_t to_epoch) {
    return db_exec(conn, "DELETE FROM redeal_proof WHERE to_epoch = $1", DB_I64(to_epoch));
}

err_t *db_officer_samples_get(db_conn_t *conn, const char *officer_id, int64_t day,
                              int64_t *ret_objects) {
    return row_number(conn,
                      "SELECT COALESCE(MAX(objects), 0) FROM officer_sample"
                      " WHERE officer_id = $1 AND day = $2",
                      ret_objects, DB_STR(officer_id), DB_I64(day));
}

err_t *db_officer_samples_add(db_conn_t *conn, const char *officer_id, int64_t day,
                              int64_t objects) {
    return db_exec(conn,
                   "INSERT INTO officer_sample (officer_id, day, objects) VALUES ($1, $2, $3)"
                   " ON CONFLICT (officer_id) DO UPDATE SET day = $2, objects = $3 +"
                   " CASE WHEN officer_sample.day = $2 THEN officer_sample.objects ELSE 0 END",
                   DB_STR(officer_id), DB_I64(day), DB_I64(objects));
}
