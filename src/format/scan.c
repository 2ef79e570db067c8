/*
 * Scanning: see scan.h. The block's loop has a length that the compiler knows, so that it becomes
 * vector instructions on any processor. Any thread.
 */
#include <string.h>

#include "format/scan.h"

enum { BLOCK = 64 };

/* Bytes at p, with the one before them at p[-1]. */
static unsigned scan_block(const uint8_t *p, size_t n) {
    uint8_t all = 0, nul = 0, bare = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i], before = p[(ptrdiff_t)i - 1];
        all |= c;
        nul |= (uint8_t)(c == 0);
        bare |= (uint8_t)((c == '\n') & (before != '\r'));
    }
    return (nul ? SCAN_NUL : 0u) | (all & 0x80 ? SCAN_8BIT : 0u) | (bare ? SCAN_BARE_LF : 0u);
}

static unsigned scan_one(uint8_t c, uint8_t last) {
    unsigned found = c & 0x80 ? SCAN_8BIT : 0;
    if (!c) found |= SCAN_NUL;
    if (c == '\n' && last != '\r') found |= SCAN_BARE_LF;
    return found;
}

unsigned scan_bytes(bytes_t data, uint8_t last) {
    if (!data.n) return 0;
    unsigned found = scan_one(data.p[0], last);
    size_t at = 1;
    for (; data.n - at >= BLOCK; at += BLOCK) found |= scan_block(data.p + at, BLOCK);
    return found | scan_block(data.p + at, data.n - at);
}

size_t scan_bare_lf(bytes_t data, uint8_t last) {
    if (!data.n) return 0;
    if (data.p[0] == '\n' && last != '\r') return 0;
    size_t at = 1;
    while (data.n - at >= BLOCK && !(scan_block(data.p + at, BLOCK) & SCAN_BARE_LF)) at += BLOCK;
    for (; at < data.n; at++)
        if (data.p[at] == '\n' && data.p[at - 1] != '\r') return at;
    return data.n;
}

bool scan_long_line(bytes_t data, size_t max, size_t *line) {
    bool is_long = false;
    while (data.n) {
        /* Only the last LF matters within the bytes that a line may still have. */
        size_t left = *line > max ? 1 : max + 1 - *line;
        bytes_t part = bytes_slice(data, 0, left);
        const uint8_t *lf = memrchr(part.p, '\n', part.n);
        if (lf) {
            part.n = (size_t)(lf - part.p) + 1;
            *line = 0;
        } else {
            *line += part.n;
            if (*line > max) is_long = true;
        }
        data = bytes_from(data, part.n);
        if (!lf && is_long) { /* on to its end */
            size_t n = bytes_find(data, '\n');
            *line = n < data.n ? 0 : *line + n;
            data = bytes_from(data, n + 1);
        }
    }
    return is_long;
}
