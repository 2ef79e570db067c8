/*
 * Hexadecimal vectors for the tests of src/crypto.
 */
#ifndef COFFER_TESTS_CRYPTO_HEX_H
#define COFFER_TESTS_CRYPTO_HEX_H

#include "../unit.h"

#include "base/text.h"

/* A buffer born with the decoded text in it: CLEANUP(buf_done) buf_t x = hex("00ff"); */
static inline buf_t hex(const char *text) {
    buf_t b;
    buf_init(&b, 64 * 1024);
    assert_ok(text_unhex(bytes_str(text), &b));
    return b;
}

static inline void assert_hex(bytes_t got, const char *expected) {
    CLEANUP(buf_done) buf_t want = hex(expected);
    assert_int_equal(got.n, want.n);
    if (want.n) assert_memory_equal(got.p, want.p, want.n);
}

#endif
