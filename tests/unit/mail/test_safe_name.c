/*
 * mail/safe_name: nothing a stranger writes leaves the directory or means something to a shell.
 */
#include "../unit.h"

#include "mail/safe_name.h"

static void named(const char *name, const char *expected) {
    mail_part_t part = {.path = "1/1.2", .type = BYTES_LIT("text/plain"), .name = bytes_str(name)};
    CLEANUP(buf_done) buf_t out;
    const char *text;
    buf_init(&out, 4 * SAFE_NAME_MAX);
    assert_ok(safe_name(&part, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_true(strlen(text) <= SAFE_NAME_MAX);
    assert_null(strchr(text, '/'));
    assert_memory_equal(text, "0000000000000000-1_1.2-", 23);
    assert_string_equal(text + 23, expected);
}

static void test_safe_name__is_harmless(void **state) {
    (void)state;
    named("report.pdf", "report.pdf");
    named("../../etc/passwd", "passwd");
    named("C:\\Windows\\x.exe", "x.exe");
    named("..", "part.txt");
    named("", "part.txt");
    named("-rf", "rf");
    named(".bashrc", "bashrc");
    named("a;b|c$(d)`e`", "a_b_c__d__e_");
    named("name. . ", "name");
    named("\xc3\xbc"
          "ber.txt",
          "\xc3\xbc"
          "ber.txt");
    named("evil\xe2\x80\xae"
          "fdp.exe",
          "part.txt"); /* turns the direction of writing */
    named("a\nb", "part.txt");
    named("\xff\xfe", "part.txt");
}

static void test_safe_name__long_ones_keep_their_ending(void **state) {
    (void)state;
    char name[2000];
    memset(name, 'x', sizeof name);
    memcpy(name + sizeof name - 6, ".docx", 6);
    mail_part_t part = {.path = "1", .name = bytes_str(name)};
    CLEANUP(buf_done) buf_t out;
    const char *text;
    buf_init(&out, 4 * SAFE_NAME_MAX);
    assert_ok(safe_name(&part, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_true(strlen(text) <= SAFE_NAME_MAX);
    assert_string_equal(text + strlen(text) - 5, ".docx");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_name__is_harmless),
        cmocka_unit_test(test_safe_name__long_ones_keep_their_ending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
