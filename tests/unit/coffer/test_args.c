/*
 * The command line: src/program/coffer/args.c, suggest.c, help.c and cli.c's exit status.
 */
#include "../unit.h"

#include <string.h>

#include "base/mem.h"
#include "program/coffer/cli.h"

enum { WORDS_MAX = 160 };

/* Splits at blanks and parses; the words live as long as `store`. */
static err_t *parse(const char *line, args_t *args) {
    static char store[4096];
    static char *words[WORDS_MAX];
    int n = 0;
    (void)snprintf(store, sizeof store, "coffer %s", line);
    for (char *p = store; *p && n < WORDS_MAX;) {
        words[n++] = p;
        p += strcspn(p, " ");
        if (*p) *p++ = '\0';
    }
    return args_parse(&CLI_GRAMMAR, n, words, args);
}

static void refused(const char *line, const char *why) {
    args_t args;
    char text[512];
    err_t *e = parse(line, &args);
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_USAGE);
    if (!strstr(err_text(e, text, sizeof text), why)) fail_msg("\"%s\" says: %s", line, text);
    err_free(e);
}

static void test_args__global_options_stand_anywhere(void **state) {
    (void)state;
    static const char *const lines[] = {
        "--dir D --json device lock X --message hello",
        "device --dir D lock X --message=hello --json",
        "device lock --message hello X --json --dir=D",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        args_t args;
        assert_ok(parse(lines[i], &args));
        assert_ptr_equal(args.command, &CMD_DEVICE_LOCK);
        assert_string_equal(args_value(&args, "dir"), "D");
        assert_string_equal(args_value(&args, "message"), "hello");
        assert_true(args_flag(&args, "json"));
        assert_false(args_flag(&args, "yes"));
        assert_int_equal(args.operands_n, 1);
        assert_string_equal(args.operands[0], "X");
    }
}

static void test_args__a_command_may_have_an_option_of_a_global_ones_name(void **state) {
    (void)state;
    args_t args;
    assert_ok(parse("sync restore a.txt --version 3", &args));
    assert_false(args.version);
    assert_string_equal(args_value(&args, "version"), "3");
    assert_ok(parse("sync restore --version=3 a.txt", &args));
    assert_false(args.version);
    assert_ok(parse("sync put a b --version", &args));
    assert_true(args.version);
}

static void test_args__two_dashes_end_options(void **state) {
    (void)state;
    args_t args;
    assert_ok(parse("device show -- --odd", &args));
    assert_string_equal(args.operands[0], "--odd");
    assert_ok(parse("audit verify -", &args));
    assert_string_equal(args.operands[0], "-");
}

static void test_args__repeated_options(void **state) {
    (void)state;
    args_t args;
    size_t cursor = 0;
    assert_ok(parse("device command X T --param A=1 --param B=2", &args));
    assert_string_equal(args_each(&args, "param", &cursor), "A=1");
    assert_string_equal(args_each(&args, "param", &cursor), "B=2");
    assert_null(args_each(&args, "param", &cursor));
    assert_string_equal(args_value(&args, "param"), "B=2");
}

static void test_args__mistakes_are_explained(void **state) {
    (void)state;
    refused("", "coffer help");
    refused("device", "coffer help device");
    refused("device", "device needs a command: see coffer help device");
    refused("devcie list", "did you mean \"device\"");
    refused("device lokc X", "did you mean \"device lock\"");
    refused("zzz", "see coffer help");
    refused("device lock X --mesage y", "did you mean --message");
    refused("device lock X --qqqqqq", "see --help");
    refused("--message y device lock X", "stand behind it");
    refused("device lock X --message", "needs a value: TEXT");
    refused("device lock X --yes=1", "takes no value");
    refused("device lock X Y", "one too many");
    refused("device lock", "needs DEVICE");
    refused("device result X", "needs DEVICE UUID");
    refused("-v", "two dashes");
}

static void test_args__too_many_options(void **state) {
    (void)state;
    char line[4096] = "device command X T";
    size_t n = strlen(line);
    for (int i = 0; i <= ARGS_OPTIONS_MAX; i++) {
        (void)snprintf(line + n, sizeof line - n, " --param=A=1");
        n += strlen(line + n);
    }
    refused(line, "options");
}

static void test_args__help_wins(void **state) {
    (void)state;
    args_t args;
    assert_ok(parse("device lock --help", &args)); /* although DEVICE is missing */
    assert_true(args.help);
    assert_ptr_equal(args.command, &CMD_DEVICE_LOCK);
    assert_ok(parse("help device lock", &args));
    assert_ptr_equal(args.command, &CMD_DEVICE_LOCK);
    assert_ok(parse("help device", &args));
    assert_null(args.command);
    assert_string_equal(args.group, "device");
    assert_ok(parse("version", &args));
    assert_true(args.version);
    assert_ok(parse("device show help", &args)); /* a device may be called so */
    assert_false(args.help);
}

static void test_args__numbers(void **state) {
    (void)state;
    args_t args;
    long n = 0;
    assert_ok(parse("audit list --limit 7", &args));
    assert_ok(args_number(&args, "limit", 1, 10, 3, &n));
    assert_int_equal(n, 7);
    assert_err(ERR_USAGE, args_number(&args, "limit", 1, 6, 3, &n));
    assert_ok(parse("audit list --limit x", &args));
    assert_err(ERR_USAGE, args_number(&args, "limit", 1, 10, 3, &n));
    assert_ok(parse("audit list", &args));
    assert_ok(args_number(&args, "limit", 1, 10, 3, &n));
    assert_int_equal(n, 3);
}

static void test_args__every_command_has_help_with_its_options(void **state) {
    (void)state;
    for (size_t i = 0; i < CLI_GRAMMAR.commands_n; i++) {
        const command_t *c = CLI_GRAMMAR.commands[i];
        CLEANUP(buf_done) buf_t out;
        const char *text = NULL;
        buf_init(&out, 64 * 1024);
        assert_ok(args_help_command(&CLI_GRAMMAR, c, &out));
        assert_ok(buf_cstr(&out, &text));
        assert_non_null(strstr(text, c->summary));
        assert_non_null(c->run);
        assert_non_null(c->examples);
        assert_true(c->min <= c->max);
        for (const option_t *o = c->options; o && o->name; o++)
            assert_non_null(strstr(text, o->name));
    }
}

static void test_cli__exit_status(void **state) {
    (void)state;
    static const struct {
        err_code_t code;
        int status;
    } cases[] = {
        {ERR_USAGE, 2},  {ERR_INVALID, 2}, {ERR_NOT_FOUND, 3}, {ERR_DENIED, 4},
        {ERR_BUSY, 4},   {ERR_AUTH, 4},    {ERR_VERIFY, 5},    {ERR_UNAVAILABLE, 1},
        {ERR_EXISTS, 1}, {ERR_TIMEOUT, 1}, {ERR_INTERNAL, 1},
    };
    assert_int_equal(cli_exit_status(NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(err_free) err_t *e = err_new(cases[i].code, "x");
        assert_int_equal(cli_exit_status(e), cases[i].status);
    }
}

static void test_cli__quotes_what_a_shell_would_take_apart(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"C39VX0SIM001", "C39VX0SIM001"},
        {"a@example.org", "a@example.org"},
        {"Alice's iPhone", "'Alice'\\''s iPhone'"},
        {"x; rm -rf $HOME", "'x; rm -rf $HOME'"},
        {"*", "'*'"},
        {"~", "'~'"},
        {"", "''"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(mem_free) char *quoted = NULL;
        assert_ok(cli_quote(cases[i][0], &quoted));
        assert_string_equal(quoted, cases[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args__global_options_stand_anywhere),
        cmocka_unit_test(test_args__a_command_may_have_an_option_of_a_global_ones_name),
        cmocka_unit_test(test_args__two_dashes_end_options),
        cmocka_unit_test(test_args__repeated_options),
        cmocka_unit_test(test_args__mistakes_are_explained),
        cmocka_unit_test(test_args__too_many_options),
        cmocka_unit_test(test_args__help_wins),
        cmocka_unit_test(test_args__numbers),
        cmocka_unit_test(test_args__every_command_has_help_with_its_options),
        cmocka_unit_test(test_cli__exit_status),
        cmocka_unit_test(test_cli__quotes_what_a_shell_would_take_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
