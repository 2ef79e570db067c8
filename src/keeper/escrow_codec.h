/*
 * What the files of escrow_format share: heads, fixed runs, texts. For escrow_format*.c only.
 */
#ifndef COFFER_KEEPER_ESCROW_CODEC_H
#define COFFER_KEEPER_ESCROW_CODEC_H

#include "keeper/escrow_format.h"

/* "coffer", two letters, ESCROW_VERSION. */
err_t *escrow_put_head(buf_t *out, const char letters[2]) WARN_UNUSED;
/* ERR_INVALID if it is another record, ERR_VERIFY for another version. */
err_t *escrow_get_head(wire_reader_t *r, const char letters[2]) WARN_UNUSED;
err_t *escrow_put_raw(buf_t *out, const uint8_t *p, size_t n) WARN_UNUSED;
err_t *escrow_get_raw(wire_reader_t *r, size_t n, uint8_t *out) WARN_UNUSED;
/* At most `max` printable bytes into text[max + 1]. `may_be_empty`, else ERR_INVALID. */
err_t *escrow_get_text(wire_reader_t *r, size_t max, bool may_be_empty, const char *what,
                       char *text) WARN_UNUSED;
/* The same rule before writing, so that nothing is written that would not be read. */
err_t *escrow_put_text(buf_t *out, size_t max, bool may_be_empty, const char *what,
                       const char *text) WARN_UNUSED;
/* n indices, each greater than the one before, none 0. */
err_t *escrow_check_indices(const uint8_t *indices, size_t n) WARN_UNUSED;
err_t *escrow_get_indices(wire_reader_t *r, uint8_t *ret_n,
                          uint8_t ret_indices[LIMIT_ESCROW_OFFICERS]) WARN_UNUSED;
err_t *escrow_put_indices(buf_t *out, uint8_t n, const uint8_t *indices) WARN_UNUSED;

#endif
