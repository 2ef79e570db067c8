/*
 * What the list and the search know of a message: its outer header, and of a message that isn't
 * encrypted the beginning of its text. Nothing is decrypted for it. Pure.
 */
#ifndef COFFER_BOX_ROW_H
#define COFFER_BOX_ROW_H

#include "base/arena.h"
#include "base/rnd.h"
#include "box/db.h"

/* Fills all of ret_row that a message tells; texts are the arena's. `text` gets at most
 * LIMIT_BOX_TEXT bytes. A message that can't be read gives empty fields, no error. */
err_t *box_row_read(arena_t *arena, const rnd_t *rnd, bytes_t message, box_row_t *ret_row,
                    buf_t *text) WARN_UNUSED;

#endif
