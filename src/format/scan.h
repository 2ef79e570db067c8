/*
 * What is in a run of bytes that mail systems don't like, found a cache line at a time: every byte
 * of every mail goes through here. Pure.
 */
#ifndef COFFER_FORMAT_SCAN_H
#define COFFER_FORMAT_SCAN_H

#include "base/bytes.h"

enum {
    SCAN_NUL = 1 << 0,
    SCAN_8BIT = 1 << 1,    /* a byte above 127 */
    SCAN_BARE_LF = 1 << 2, /* an LF without CR before it */
};

/* `last`: the byte before the first one. */
unsigned scan_bytes(bytes_t data, uint8_t last);
/* Position of the first LF without CR before it; data.n if there is none. */
size_t scan_bare_lf(bytes_t data, uint8_t last);
/* Whether a line is longer than `max` bytes, its LF not counted; *line: bytes of the line at the
 * beginning so far, afterwards of the one at the end. */
bool scan_long_line(bytes_t data, size_t max, size_t *line);

#endif
