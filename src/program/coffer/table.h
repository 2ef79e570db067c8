/*
 * table_t: rows for people. Aligned columns on a terminal, plain tabs between cells otherwise.
 * Cells come from devices and strangers: control characters are escaped, so that nobody can
 * steer the reader's terminal. Pure.
 */
#ifndef COFFER_PROGRAM_COFFER_TABLE_H
#define COFFER_PROGRAM_COFFER_TABLE_H

#include "base/arena.h"
#include "base/buf.h"

enum { TABLE_COLUMNS_MAX = 12, TABLE_BYTES_MAX = 64 * 1024 * 1024 };

typedef struct {
    arena_t *arena;
    size_t columns;
    bytes_t *cells; /* row by row; the first row is the head */
    size_t cells_n, cells_room;
} table_t;

/* Columns 1..TABLE_COLUMNS_MAX. */
err_t *table_init(table_t *table, size_t columns) WARN_UNUSED;
void table_done(table_t *table);
/* The next cell, left to right, row by row; copied. */
err_t *table_add(table_t *table, bytes_t cell) WARN_UNUSED;
err_t *table_write(const table_t *table, bool aligned, buf_t *out) WARN_UNUSED;

/* Appends text with control characters and broken UTF-8 made visible. */
err_t *table_escape(bytes_t text, buf_t *out) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(table_t, table_done)

#endif
