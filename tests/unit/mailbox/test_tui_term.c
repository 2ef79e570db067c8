/* What stands on a terminal's rows, and what its keys are. */
#include "../unit.h"

#include <locale.h>
#include <string.h>

#include "program/mailbox/tui_term.h"

static void clipped(const char *text, unsigned cols, const char *wanted, unsigned wanted_cols) {
    CLEANUP(buf_done) buf_t out;
    unsigned used = 1000;
    buf_init(&out, 1000);
    assert_ok(tui_clip(bytes_str(text), cols, &out, &used));
    assert_int_equal(out.n, strlen(wanted));
    assert_memory_equal(out.p, wanted, out.n);
    assert_int_equal(used, wanted_cols);
}

static void test_tui_term__rows_have_the_width_that_people_see(void **state) {
    (void)state;
    clipped("Grüße", 4, "Grüß", 4);
    clipped("漢字", 3, "漢", 2); /* half of a wide character is none */
    clipped("漢字", 4, "漢字", 4);
    clipped("e\xcc\x81t", 1, "e\xcc\x81", 1); /* a combining accent */
    clipped("a\tb", 10, "a    b", 6);
    clipped("", 5, "", 0);
    clipped("abc", 0, "", 0);
}

static void test_tui_term__rows_steer_nothing(void **state) {
    (void)state;
    clipped("a\x1b]0;x\x07"
            "b",
            20, "a ]0;x b", 8);
    clipped("\xc2\x9b"
            "2J",
            20, " 2J", 3);
    clipped("\xe2\x80\xae"
            "abc\r",
            20, "abc", 3);
    clipped("\xff\xfe", 20, "\xef\xbf\xbd\xef\xbf\xbd", 2);
}

static void wraps(const char *text, unsigned cols, size_t n, const char *const *wanted) {
    bytes_t rest = bytes_str(text), row;
    for (size_t i = 0; i < n; i++) {
        assert_true(tui_wrap(&rest, cols, &row));
        assert_true(bytes_eq_str(row, wanted[i]));
    }
    assert_false(tui_wrap(&rest, cols, &row));
}

static void test_tui_term__text_wraps_at_spaces_and_always_gets_on(void **state) {
    (void)state;
    wraps("one two three", 8, 2, (const char *const[]){"one two", "three"});
    wraps("abcdefgh", 3, 3, (const char *const[]){"abc", "def", "gh"});
    wraps("a\n\nb", 9, 3, (const char *const[]){"a", "", "b"});
    wraps("漢字", 1, 2, (const char *const[]){"漢", "字"}); /* no room: one a row all the same */
    wraps("", 9, 0, NULL);
    wraps("    ab", 2, 3, (const char *const[]){" ", " ", "ab"});
}

static void key(const char *in, size_t n, key_kind_t kind, uint32_t point, size_t taken) {
    tui_key_t k = {.kind = KEY_OTHER, .point = 0};
    assert_int_equal(tui_decode(bytes_make(in, n), &k), taken);
    if (!taken) return;
    assert_int_equal(k.kind, kind);
    assert_int_equal(k.point, point);
}

static void test_tui_term__keys(void **state) {
    (void)state;
    key("q", 1, KEY_POINT, 'q', 1);
    key("\xc3\xbc!", 3, KEY_POINT, 0xfc, 2);
    key("\xc3", 1, KEY_OTHER, 0, 0); /* the rest is on its way */
    key("\r", 1, KEY_ENTER, 0, 1);
    key("\x7f", 1, KEY_BACK, 0, 1);
    key("\x13", 1, KEY_CONTROL, 's', 1);
    key("\x1b", 1, KEY_ESCAPE, 0, 0); /* perhaps the beginning of a sequence */
    key("\x1bx", 2, KEY_ESCAPE, 0, 1);
    key("\x1b[A", 3, KEY_UP, 0, 3);
    key("\x1b[6~q", 5, KEY_PAGE_DOWN, 0, 4);
    key("\x1b[1;5C", 6, KEY_OTHER, 0, 6);
    key("\x1b[", 2, KEY_OTHER, 0, 0);
    key("\x1b[000000000000000000000", 23, KEY_OTHER, 0, 17); /* no end of it */
    key("\xc2\x9b", 2, KEY_OTHER, 0x9b, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tui_term__rows_have_the_width_that_people_see),
        cmocka_unit_test(test_tui_term__rows_steer_nothing),
        cmocka_unit_test(test_tui_term__text_wraps_at_spaces_and_always_gets_on),
        cmocka_unit_test(test_tui_term__keys),
    };
    if (!setlocale(LC_CTYPE, "C.UTF-8")) return 77;
    return cmocka_run_group_tests_name("mailbox tui term", tests, NULL, NULL);
}
