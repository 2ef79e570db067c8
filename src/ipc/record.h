/*
 * What all frozen records have in common (docs/formats/): eight letters that name the record and
 * a version byte, then fixed runs and printable texts among the numbers of wire.h. Pure.
 */
#ifndef COFFER_IPC_RECORD_H
#define COFFER_IPC_RECORD_H

#include "ipc/wire.h"

enum { RECORD_HEAD = 9 }; /* bytes before a record's fields */

/* "coffer", two letters, the version. */
err_t *record_put_head(buf_t *out, const char letters[2], uint8_t version) WARN_UNUSED;
/* ERR_INVALID if it is another record, ERR_VERIFY for another version. */
err_t *record_get_head(wire_reader_t *r, const char letters[2], uint8_t version) WARN_UNUSED;
/* Whether it begins as such a record, of whatever version. */
bool record_is(bytes_t record, const char letters[2]);
err_t *record_put_raw(buf_t *out, const uint8_t *p, size_t n) WARN_UNUSED;
err_t *record_get_raw(wire_reader_t *r, size_t n, uint8_t *out) WARN_UNUSED;
/* At most `max` printable bytes into text[max + 1]. `may_be_empty`, else ERR_INVALID. */
err_t *record_get_text(wire_reader_t *r, size_t max, bool may_be_empty, const char *what,
                       char *text) WARN_UNUSED;
/* The same rule before writing, so that nothing is written that would not be read. */
err_t *record_put_text(buf_t *out, size_t max, bool may_be_empty, const char *what,
                       const char *text) WARN_UNUSED;

#endif
