/*
 * Rows by description: see rows_internal.h. Runs on the thread that has the connection.
 */
#include "store/rows_internal.h"

err_t *row_str(db_stmt_t *stmt, arena_t *arena, unsigned n, const char **ret_text) {
    bytes_t copy = BYTES_NONE;
    TRY(arena_copy(arena, db_col_text(stmt, n), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

static err_t *read_column(db_stmt_t *stmt, arena_t *arena, const row_column_t *column, unsigned n,
                          uint8_t *row) {
    void *field = row + column->offset;
    switch (column->kind) {
    case ROW_STR: return row_str(stmt, arena, n, field);
    case ROW_BYTES: return arena_copy(arena, db_col_bytes(stmt, n), field);
    case ROW_I64: *(int64_t *)field = db_col_i64(stmt, n); return NULL;
    case ROW_BOOL: *(bool *)field = db_col_bool(stmt, n); return NULL;
    }
    return err_new(ERR_INTERNAL, "no such kind of column");
}

static err_t *read_row(db_stmt_t *stmt, arena_t *arena, const row_type_t *type, void *row) {
    for (size_t i = 0; i < type->count; i++)
        TRY(read_column(stmt, arena, &type->columns[i], (unsigned)i, row));
    return NULL;
}

static db_value_t value_of(const row_column_t *column, const uint8_t *row) {
    const void *field = row + column->offset;
    switch (column->kind) {
    case ROW_STR: return db_value_text(bytes_str(*(const char *const *)field));
    case ROW_BYTES: return db_value_bytes(*(const bytes_t *)field);
    case ROW_I64: return db_value_i64(*(const int64_t *)field);
    case ROW_BOOL: return db_value_i64(*(const bool *)field);
    }
    return db_value_null();
}

err_t *row_insert(db_conn_t *conn, const char *sql, const row_type_t *type, const void *row) {
    db_value_t values[ROW_COLUMNS_MAX];
    if (type->count > ROW_COLUMNS_MAX) return err_new(ERR_INTERNAL, "too many columns");
    for (size_t i = 0; i < type->count; i++) values[i] = value_of(&type->columns[i], row);
    return db_exec_values(conn, sql, type->count, values);
}

err_t *row_find_values(db_conn_t *conn, arena_t *arena, const row_type_t *type, const char *sql,
                       void *ret_row, bool *ret_found, size_t count, const db_value_t *values) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row_values(conn, sql, &stmt, &found, count, values));
    if (found) {
        void *row = NULL;
        TRY(arena_alloc(arena, type->size, &row));
        TRY(read_row(stmt, arena, type, row));
        memcpy(ret_row, row, type->size);
    }
    *ret_found = found;
    return NULL;
}

/* Rows so far, in an array that doubles; what it outgrows stays in the arena, at most as much. */
typedef struct {
    uint8_t *p;
    size_t count;
    size_t room;
} row_array_t;

static err_t *grow(row_array_t *rows, arena_t *arena, size_t size) {
    if (rows->count < rows->room) return NULL;
    size_t room = rows->room ? rows->room * 2 : 8;
    void *p = NULL;
    TRY(arena_alloc(arena, room * size, &p));
    if (rows->count) memcpy(p, rows->p, rows->count * size);
    rows->p = p;
    rows->room = room;
    return NULL;
}

err_t *row_list_values(db_conn_t *conn, arena_t *arena, const row_type_t *type, const char *sql,
                       void *ret_rows, size_t *ret_count, size_t count, const db_value_t *values) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    TRY(db_query_values(conn, sql, &stmt, count, values));
    row_array_t rows = {0};
    for (bool row = false;;) {
        TRY(db_step(stmt, &row));
        if (!row) break;
        TRY(grow(&rows, arena, type->size));
        TRY(read_row(stmt, arena, type, rows.p + rows.count * type->size));
        rows.count++;
    }
    memcpy(ret_rows, &(void *){rows.p}, sizeof(void *)); /* any object pointer of the caller's */
    *ret_count = rows.count;
    return NULL;
}

err_t *row_number_values(db_conn_t *conn, const char *sql, int64_t *ret_number, size_t count,
                         const db_value_t *values) {
    CLEANUP(db_stmt_done) db_stmt_t *stmt = NULL;
    bool found = false;
    TRY(db_query_row_values(conn, sql, &stmt, &found, count, values));
    *ret_number = found ? db_col_i64(stmt, 0) : 0;
    return NULL;
}

err_t *row_change_values(db_conn_t *conn, const char *sql, bool *ret_changed, size_t count,
                         const db_value_t *values) {
    TRY(db_exec_values(conn, sql, count, values));
    *ret_changed = db_changes(conn) > 0;
    return NULL;
}
