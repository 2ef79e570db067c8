/*
 * format/mime_date: dates as they are written in header fields, old forms too.
 */
#include "../unit.h"

#include "format/mime_date.h"

static void test_mime_date__reads_what_is_written(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t expected;
    } cases[] = {
        {"Mon, 26 Jan 2026 20:38:03 +0000", 1769459883},
        {" 26 jan 2026\r\n 20:38:03 -0130 (a comment (in one))", 1769459883 + 5400},
        {"Mon,26 Jan 26 21:38 +0100", 1769459880},
        {"26 Jan 126 20:38:03 GMT", 1769459883},
        {"26 Jan 2026 15:38:03 EST", 1769459883},
        {"26 Jan 2026 20:38:03 X", 1769459883},
        {"26 Jan 2026 20:38:03", 1769459883},
        {"(c) Thu, 1 Jan 1970 00:00:00 +0000", 0},
        {"1 Jan 69 00:00:00 +0000", -31536000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t found = 1;
        assert_true(mime_date_read(bytes_str(cases[i].text), &found));
        assert_int_equal(found, cases[i].expected);
    }
}

static void test_mime_date__refuses_the_rest(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "Mon",
        "Mon, 26",
        "26 Jan",
        "26 Foo 2026 20:38:03 +0000",
        "32 Jan 2026 20:38:03 +0000",
        "26 Jan 20260 20:38:03 +0000",
        "26 Jan 2026 24:38:03 +0000",
        "26 Jan 2026 20 +0000",
        "26 Jan 2026 20:60:03 +0000",
        "26 Jan 2026 20:38:03 +00x0",
        "2026-01-26T20:38:03Z",
        "(26 Jan 2026 20:38:03 +0000",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t found = 1;
        if (mime_date_read(bytes_str(cases[i]), &found)) fail_msg("%s", cases[i]);
        assert_int_equal(found, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mime_date__reads_what_is_written),
        cmocka_unit_test(test_mime_date__refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
