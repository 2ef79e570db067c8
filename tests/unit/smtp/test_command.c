/*
 * Command lines: src/smtp/command.c.
 */
#include "../unit.h"

#include "smtp/command.h"

static void test_command__verbs(void **state) {
    (void)state;
    static const struct {
        const char *line;
        smtp_verb_t verb;
        const char *argument;
    } all[] = {{"EHLO c.example", SMTP_EHLO, "c.example"},
               {"lhlo c", SMTP_LHLO, "c"},
               {"HeLo c", SMTP_HELO, "c"},
               {"DATA", SMTP_DATA, ""},
               {"QUIT  ", SMTP_QUIT, ""},
               {"RSETX", SMTP_UNKNOWN, ""},
               {"", SMTP_UNKNOWN, ""},
               {" DATA", SMTP_UNKNOWN, "DATA"},
               {"STARTTLS", SMTP_STARTTLS, ""}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        smtp_command_t c;
        assert_ok(smtp_command_parse(bytes_str(all[i].line), &c));
        assert_int_equal(c.verb, all[i].verb);
        assert_true(bytes_eq_str(c.argument, all[i].argument));
    }
}

static void test_command__parameters(void **state) {
    (void)state;
    smtp_command_t c;
    assert_ok(smtp_command_parse(BYTES_LIT("MAIL FROM:<a@example.org>  SIZE=12 SMTPUTF8"), &c));
    assert_int_equal(c.parameters_n, 2);
    assert_true(bytes_eq_str(c.address, "a@example.org"));
    assert_true(bytes_eq_str(c.parameters[0].value, "12"));
    assert_false(c.parameters[1].has_value);
    assert_ok(smtp_command_parse(BYTES_LIT("XFORWARD NAME=x ADDR=y"), &c));
    assert_int_equal(c.parameters_n, 2);
}

static void test_command__malformed(void **state) {
    (void)state;
    static const char *const bad[] = {
        "MAIL a@example.org",         "MAIL FROM a@example.org",
        "MAIL TO:<a@example.org>",    "RCPT TO:<a@example.org",
        "RCPT TO:<a@example.org>X",   "RCPT TO:<a@example.org> A=1 a=2",
        "RCPT TO:<a@example.org> =1", "RCPT TO:<a@example.org> A=",
        "RCPT TO:<a@example.org> -A", "XFORWARD A B C D E F G H I J K L M N O P Q"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        smtp_command_t c;
        assert_err(ERR_INVALID, smtp_command_parse(bytes_str(bad[i]), &c));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command__verbs),
        cmocka_unit_test(test_command__parameters),
        cmocka_unit_test(test_command__malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
