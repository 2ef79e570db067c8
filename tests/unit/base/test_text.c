/* Text encodings: RFC 4648 vectors, limits, rejects. */
#include "../unit.h"

#include <stdio.h>

#include "base/text.h"

static void test_text__base64_vectors(void **state) {
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 100);
        assert_ok(text_base64(bytes_str(vectors[i][0]), &out));
        assert_true(bytes_eq_str(buf_bytes(&out), vectors[i][1]));
        buf_clear(&out);
        assert_ok(text_unbase64(bytes_str(vectors[i][1]), &out));
        assert_true(bytes_eq_str(buf_bytes(&out), vectors[i][0]));
    }
}

static void test_text__unbase64_rejects(void **state) {
    (void)state;
    static const char *const bad[] = {
        "Z", "Zg=", "Zg===", "Z=g=", "Zm9v=", "Zm9*", "====", "Zm9vY"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 100);
        assert_err(ERR_INVALID, text_unbase64(bytes_str(bad[i]), &out));
        assert_int_equal(out.n, 0);
    }
}

static void test_text__percent_keeps_plus(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100);
    assert_ok(text_unpercent(BYTES_LIT("a+b%2Bc%2f"), false, &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "a+b+c/"));
    buf_clear(&out);
    assert_ok(text_unpercent(BYTES_LIT("a+b"), true, &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "a b"));
    assert_err(ERR_INVALID, text_unpercent(BYTES_LIT("%4"), false, &out));
    assert_err(ERR_INVALID, text_unpercent(BYTES_LIT("%zz"), false, &out));
}

static void test_text__numbers(void **state) {
    (void)state;
    uint64_t u = 7;
    int64_t i = 7;
    assert_ok(text_u64(BYTES_LIT("18446744073709551615"), UINT64_MAX, &u));
    assert_true(u == UINT64_MAX);
    assert_err(ERR_INVALID, text_u64(BYTES_LIT("18446744073709551616"), UINT64_MAX, &u));
    assert_err(ERR_INVALID, text_u64(BYTES_LIT(""), 10, &u));
    assert_err(ERR_INVALID, text_u64(BYTES_LIT("+1"), 10, &u));
    assert_err(ERR_INVALID, text_u64(BYTES_LIT("11"), 10, &u));
    assert_ok(text_i64(BYTES_LIT("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_ok(text_duration(BYTES_LIT("30d"), &i));
    assert_int_equal(i, 30 * 86400);
    assert_err(ERR_INVALID, text_duration(BYTES_LIT("30"), &i));
}

static void test_text__times_round_trip(void **state) {
    (void)state;
    char text[TEXT_TIME_SIZE];
    int64_t t = 0;
    assert_string_equal(text_time(1795321140, text), "2026-11-22T04:19:00Z");
    assert_ok(text_parse_time(bytes_str(text), &t));
    assert_int_equal(t, 1795321140);
    assert_err(ERR_INVALID, text_parse_time(BYTES_LIT("2026-11-22 04:19:00Z"), &t));
}

static void test_text__utf8(void **state) {
    (void)state;
    assert_true(text_printable(BYTES_LIT("Zo\xc3\xab \xf0\x9f\x94\x91")));
    assert_false(text_utf8_valid(BYTES_LIT("\xc0\x80")));     /* overlong NUL */
    assert_false(text_utf8_valid(BYTES_LIT("\xed\xa0\x80"))); /* surrogate */
    assert_false(text_utf8_valid(BYTES_LIT("\xe2\x82")));     /* cut */
    assert_false(text_printable(BYTES_LIT("a\nb")));
    assert_false(text_printable(BYTES_LIT("\xc2\x85"))); /* C1 */
}

static void test_text__printable_names_cannot_turn_around(void **state) {
    (void)state;
    static const char *const turns[] = {
        "\xd8\x9c",                     /* U+061C */
        "\xe2\x80\x8e", "\xe2\x80\x8f", /* U+200E, F */
        "\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae",
        "\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9",
    };
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "a%sb", turns[i]);
        assert_false(text_printable(bytes_str(name)));
        assert_true(text_utf8_valid(bytes_str(name)));
    }
    static const char *const fine[] = {"\xd8\x9b",     "\xe2\x80\x8d", "\xe2\x80\xa6",
                                       "\xe2\x80\xaf", "\xe2\x81\xa5", "\xd7\x90\xd7\x91"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_true(text_printable(bytes_str(fine[i])));
}

static void test_text__split_and_trim(void **state) {
    (void)state;
    bytes_t rest = BYTES_LIT("a,,b"), field;
    size_t fields = 0;
    while (text_split(&rest, ',', &field)) fields++;
    assert_int_equal(fields, 3);
    assert_true(bytes_eq_str(text_trim(BYTES_LIT(" \tx y\r\n")), "x y"));
    assert_true(text_eq_fold(BYTES_LIT("AbC"), BYTES_LIT("aBc")));
}

static void defused(const char *text, size_t n, bool lines, const char *wanted) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1000);
    assert_ok(text_defuse(bytes_make(text, n), lines, &out));
    assert_int_equal(out.n, strlen(wanted));
    assert_memory_equal(out.p, wanted, out.n);
}

static void test_text__defused_steers_no_terminal(void **state) {
    (void)state;
#define DEFUSED(text, lines, wanted) defused(text, sizeof(text) - 1, lines, wanted)
    DEFUSED("a\x1b[31mb\x7f\0c", false, "a [31mb  c");
    DEFUSED("\xc2\x9b"
            "31m \xc2\x85",
            false, " 31m  "); /* C1: another CSI, a line end */
    DEFUSED("one\n\ttwo\r", true, "one\n\ttwo ");
    DEFUSED("one\ntwo", false, "one two");
    DEFUSED("gnp.\xe2\x80\xae"
            "exe",
            false, "gnp.exe");
    DEFUSED("\xff\xc3", false, "\xef\xbf\xbd\xef\xbf\xbd");
    DEFUSED("Gr\xc3\xbc\xc3\x9f"
            "e \xf0\x9f\x90\x98",
            false,
            "Gr\xc3\xbc\xc3\x9f"
            "e \xf0\x9f\x90\x98");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__base64_vectors),
        cmocka_unit_test(test_text__unbase64_rejects),
        cmocka_unit_test(test_text__percent_keeps_plus),
        cmocka_unit_test(test_text__numbers),
        cmocka_unit_test(test_text__times_round_trip),
        cmocka_unit_test(test_text__utf8),
        cmocka_unit_test(test_text__defused_steers_no_terminal),
        cmocka_unit_test(test_text__printable_names_cannot_turn_around),
        cmocka_unit_test(test_text__split_and_trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
