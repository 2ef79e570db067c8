/*
 * format/scan: finds at any length and place what a byte-by-byte look finds.
 */
#include "../unit.h"

#include "format/scan.h"

enum { SIZE = 3000 };

static uint32_t seed = 1;
static uint32_t next(void) { return seed = seed * 1664525u + 1013904223u; }

/* Mostly letters, with what is looked for in between, so that it is sometimes absent. */
static size_t fill(uint8_t *data) {
    static const uint8_t odd[] = {'\n', '\r', 0, 0x80, 0xff, '\n', '\r', 0x7f};
    size_t n = next() >> 8 & 511;
    uint32_t rare = 1 + (next() >> 16 & 255);
    for (size_t i = 0; i < n; i++)
        data[i] = (next() >> 8) % rare == 0 ? odd[next() >> 24 & 7] : 'a';
    for (size_t i = 1; i < n; i++) /* most LF behind a CR */
        if (data[i] == '\n' && (next() >> 12) % 8) data[i - 1] = '\r';
    return n;
}

static void test_scan__agrees_with_a_slow_look(void **state) {
    (void)state;
    static uint8_t data[SIZE];
    for (int round = 0; round < 20000; round++) {
        size_t n = fill(data), offset = round % 7 < (int)n ? (size_t)round % 7 : 0, bare = 0;
        bytes_t run = bytes_from(bytes_make(data, n), offset);
        uint8_t last = round % 2 ? '\r' : 'x';
        unsigned expected = 0;
        bool any = false;
        for (size_t i = 0; i < run.n; i++) {
            if (!run.p[i]) expected |= SCAN_NUL;
            if (run.p[i] > 127) expected |= SCAN_8BIT;
            if (run.p[i] != '\n' || (i ? run.p[i - 1] : last) == '\r') continue;
            expected |= SCAN_BARE_LF;
            if (!any) bare = i;
            any = true;
        }
        assert_int_equal(scan_bytes(run, last), expected);
        assert_int_equal(scan_bare_lf(run, last), any ? bare : run.n);
    }
}

static void test_scan__long_lines_are_found_across_pieces(void **state) {
    (void)state;
    static uint8_t data[SIZE];
    for (int round = 0; round < 2000; round++) {
        size_t n = next() >> 8 & 2047, max = 1 + (next() >> 8 & 63), line = 0, slow = 0;
        bool expected = false, found = false;
        for (size_t i = 0; i < n; i++) data[i] = (next() >> 8) % max ? 'a' : '\n';
        for (size_t i = 0; i < n; i++) {
            slow = data[i] == '\n' ? 0 : slow + 1;
            if (slow > max) expected = true;
        }
        for (size_t at = 0, step; at < n; at += step) {
            step = 1 + (next() >> 8 & 127);
            found |= scan_long_line(bytes_slice(bytes_make(data, n), at, step), max, &line);
        }
        assert_int_equal(found, expected);
        assert_int_equal(line, slow);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan__agrees_with_a_slow_look),
        cmocka_unit_test(test_scan__long_lines_are_found_across_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
