/*
 * The one part of bytes_t that is not inline: see bytes.h.
 */
#include "base/bytes.h"

bool bytes_eq_ct(bytes_t a, bytes_t b) {
    if (a.n != b.n) return false;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.n; i++) difference |= (uint8_t)(a.p[i] ^ b.p[i]);
    return difference == 0;
}
