/*
 * Tables: see table.h. Main thread.
 */
#include "program/coffer/table.h"

#include "base/mem.h"
#include "base/text.h"

enum { GAP = 2 };

err_t *table_init(table_t *table, size_t columns) {
    if (columns == 0 || columns > TABLE_COLUMNS_MAX)
        return err_new(ERR_INTERNAL, "a table of %zu columns", columns);
    table_t t = {.columns = columns};
    TRY(arena_new(TABLE_BYTES_MAX, &t.arena));
    *table = t;
    return NULL;
}

void table_done(table_t *table) {
    arena_free(table->arena);
    mem_free(table->cells);
    *table = (table_t){0};
}

/* The length in bytes of one character, 0 if it is none that may be shown as it is. */
static size_t shown_length(bytes_t rest) {
    uint8_t c = rest.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n > rest.n || !text_printable(bytes_slice(rest, 0, n))) return 0;
    return n;
}

err_t *table_escape(bytes_t text, buf_t *out) {
    while (text.n) {
        size_t n = shown_length(text);
        if (n) {
            TRY(buf_add(out, bytes_slice(text, 0, n)));
        } else if (text.p[0] == '\n' || text.p[0] == '\t') {
            TRY(buf_add_byte(out, ' '));
        } else {
            TRY(buf_printf(out, "\\x%02x", (unsigned)text.p[0]));
        }
        text = bytes_from(text, n ? n : 1);
    }
    return NULL;
}

err_t *table_add(table_t *table, bytes_t cell) {
    CLEANUP(buf_done) buf_t shown;
    bytes_t copy;
    buf_init(&shown, TABLE_BYTES_MAX);
    TRY(table_escape(cell, &shown));
    TRY(arena_copy(table->arena, buf_bytes(&shown), &copy));
    if (table->cells_n == table->cells_room) {
        size_t room = table->cells_room ? table->cells_room * 2 : 64;
        bytes_t *cells = mem_resize(table->cells, room * sizeof *cells);
        if (!cells) return err_nomem();
        table->cells = cells;
        table->cells_room = room;
    }
    table->cells[table->cells_n++] = copy;
    return NULL;
}

/* Characters, not bytes. */
static size_t width(bytes_t text) {
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) n += (text.p[i] & 0xc0) != 0x80;
    return n;
}

err_t *table_write(const table_t *table, bool aligned, buf_t *out) {
    size_t widths[TABLE_COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->cells_n; i++) {
        size_t n = width(table->cells[i]), column = i % table->columns;
        if (n > widths[column]) widths[column] = n;
    }
    for (size_t i = 0; i < table->cells_n; i++) {
        size_t column = i % table->columns;
        bool last = column + 1 == table->columns;
        TRY(buf_add(out, table->cells[i]));
        size_t fill = widths[column] - width(table->cells[i]) + GAP;
        if (last) TRY(buf_add_byte(out, '\n'));
        else if (!aligned) TRY(buf_add_byte(out, '\t'));
        else
            while (fill-- > 0) TRY(buf_add_byte(out, ' '));
    }
    return NULL;
}
