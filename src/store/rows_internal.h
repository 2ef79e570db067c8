/*
 * For the table families of src/store only: a table's columns described once, from which rows
 * are read into an arena and values bound.
 */
#ifndef COFFER_STORE_ROWS_INTERNAL_H
#define COFFER_STORE_ROWS_INTERNAL_H

#include "base/arena.h"
#include "store/db.h"

typedef enum {
    ROW_STR,   /* const char *; NULL is written as the empty text */
    ROW_BYTES, /* bytes_t */
    ROW_I64,   /* int64_t */
    ROW_BOOL,  /* bool, stored as 0 or 1 */
} row_kind_t;

typedef struct {
    row_kind_t kind;
    size_t offset; /* of the field in its struct */
} row_column_t;

/* Columns in the order in which statements name them. */
typedef struct {
    const row_column_t *columns;
    size_t count; /* at most ROW_COLUMNS_MAX */
    size_t size;  /* bytes of the struct */
} row_type_t;

enum { ROW_COLUMNS_MAX = 24 };

#define ROW_TYPE(columns, type)                                                                    \
    { (columns), sizeof(columns) / sizeof(columns)[0], sizeof(type) }

/* Binds the row's columns to $1, $2, ... and runs the statement. */
err_t *row_insert(db_conn_t *conn, const char *sql, const row_type_t *type,
                  const void *row) WARN_UNUSED;

/* The first row, if there is one, into the struct `ret_row`; its strings in the arena. */
#define row_find(conn, arena, type, sql, ret_row, ret_found, ...)                                  \
    row_find_values((conn), (arena), (type), (sql), (ret_row), (ret_found), DB_VALUES(__VA_ARGS__))
err_t *row_find_values(db_conn_t *conn, arena_t *arena, const row_type_t *type, const char *sql,
                       void *ret_row, bool *ret_found, size_t count,
                       const db_value_t *values) WARN_UNUSED;

/* All rows as an array in the arena; `ret_rows` points to the caller's array pointer. */
#define row_list(conn, arena, type, sql, ret_rows, ret_count, ...)                                 \
    row_list_values((conn), (arena), (type), (sql), (ret_rows), (ret_count), DB_VALUES(__VA_ARGS__))
err_t *row_list_values(db_conn_t *conn, arena_t *arena, const row_type_t *type, const char *sql,
                       void *ret_rows, size_t *ret_count, size_t count,
                       const db_value_t *values) WARN_UNUSED;

/* One number, e.g. of SELECT COUNT(*). */
#define row_number(conn, sql, ret_number, ...)                                                     \
    row_number_values((conn), (sql), (ret_number), DB_VALUES(__VA_ARGS__))
err_t *row_number_values(db_conn_t *conn, const char *sql, int64_t *ret_number, size_t count,
                         const db_value_t *values) WARN_UNUSED;

/* Runs a change and tells whether it touched a row. */
#define row_change(conn, sql, ret_changed, ...)                                                    \
    row_change_values((conn), (sql), (ret_changed), DB_VALUES(__VA_ARGS__))
err_t *row_change_values(db_conn_t *conn, const char *sql, bool *ret_changed, size_t count,
                         const db_value_t *values) WARN_UNUSED;

err_t *row_str(db_stmt_t *stmt, arena_t *arena, unsigned n, const char **ret_text) WARN_UNUSED;

#endif
