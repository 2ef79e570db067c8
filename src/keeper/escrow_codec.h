/*
 * What the files of escrow_format share: their heads and the runs of indices; the rest is
 * ipc/record.h. For escrow_format*.c only.
 */
#ifndef COFFER_KEEPER_ESCROW_CODEC_H
#define COFFER_KEEPER_ESCROW_CODEC_H

#include "ipc/record.h"
#include "keeper/escrow_format.h"

/* record_put_head and record_get_head for ESCROW_VERSION. */
err_t *escrow_put_head(buf_t *out, const char letters[2]) WARN_UNUSED;
err_t *escrow_get_head(wire_reader_t *r, const char letters[2]) WARN_UNUSED;
/* n indices, each greater than the one before, none 0. */
err_t *escrow_check_indices(const uint8_t *indices, size_t n) WARN_UNUSED;
err_t *escrow_get_indices(wire_reader_t *r, uint8_t *ret_n,
                          uint8_t ret_indices[LIMIT_ESCROW_OFFICERS]) WARN_UNUSED;
err_t *escrow_put_indices(buf_t *out, uint8_t n, const uint8_t *indices) WARN_UNUSED;

#endif
