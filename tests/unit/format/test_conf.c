/*
 * Configuration: what is read, what inih would let pass and we refuse, and messages that help.
 */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "format/conf.h"

static const char sample[] = "\xEF\xBB\xBF# comment\r\n"
                             "[web]\r\n"
                             "port = 8443 ; inline\n"
                             "url = https://h.example.org:8443/?a=b;c\n"
                             "tls = Yes\n"
                             "ttl: 15m\n"
                             "names = a, b ,c\n"
                             "mode = strict\n"
                             "empty =\n"
                             "\n"
                             "[profile device-identity]\n"
                             "[profile mail]\n"
                             "lifetime = 1y\n"
                             "[profiles]\n";

static err_t *parse(const char *text, conf_t **ret_conf) {
    return conf_parse(bytes_str(text), "coffer.conf", ret_conf);
}

static void assert_message(err_t *e, const char *expected) {
    char text[512];
    assert_non_null(e);
    assert_string_equal(err_text(e, text, sizeof text), expected);
    err_free(e);
}

static void test_conf__reads_every_kind(void **state) {
    (void)state;
    static const char *const modes[] = {"lax", "strict", NULL};
    conf_t *conf CLEANUP(conf_free) = NULL;
    const char *text = NULL;
    int64_t port = 0, ttl = 0;
    size_t mode = 0;
    bool tls = false;
    bytes_t list = BYTES_NONE, item = BYTES_NONE;
    assert_ok(parse(sample, &conf));
    assert_ok(conf_get_int(conf, "web", "port", 1, 65535, 1, &port));
    assert_int_equal(port, 8443);
    assert_ok(conf_need_string(conf, "web", "url", &text));
    assert_string_equal(text, "https://h.example.org:8443/?a=b;c");
    assert_ok(conf_get_bool(conf, "web", "tls", false, &tls));
    assert_true(tls);
    assert_ok(conf_get_duration(conf, "web", "ttl", 1, 3600, 5, &ttl));
    assert_int_equal(ttl, 900);
    assert_ok(conf_get_choice(conf, "web", "mode", modes, 0, &mode));
    assert_int_equal(mode, 1);
    assert_ok(conf_get_list(conf, "web", "names", NULL, &list));
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(conf_list_next(&list, &item));
        assert_true(bytes_eq_str(item, names[i]));
    }
    assert_false(conf_list_next(&list, &item));
    assert_ok(conf_get_list(conf, "web", "empty", NULL, &list));
    assert_false(conf_list_next(&list, &item));
    assert_ok(conf_get_string(conf, "web", "absent", "fallback", &text));
    assert_string_equal(text, "fallback");
    assert_ok(conf_get_int(conf, "web", "absent", 1, 2, -1, &port));
    assert_int_equal(port, -1);
}

static void test_conf__lists_named_sections_even_empty_ones(void **state) {
    (void)state;
    conf_t *conf CLEANUP(conf_free) = NULL;
    const char *section = NULL, *name = NULL;
    size_t cursor = 0;
    assert_ok(parse(sample, &conf));
    assert_true(conf_next_named(conf, "profile", &cursor, &section, &name));
    assert_string_equal(section, "profile device-identity");
    assert_string_equal(name, "device-identity");
    assert_true(conf_next_named(conf, "profile", &cursor, &section, &name));
    assert_string_equal(name, "mail");
    assert_false(conf_next_named(conf, "profile", &cursor, &section, &name));
    assert_true(conf_has_section(conf, "profiles"));
    assert_false(conf_has_section(conf, "profile"));
}

static void test_conf__says_what_is_right(void **state) {
    (void)state;
    static const char *const modes[] = {"lax", "exact", NULL};
    conf_t *conf CLEANUP(conf_free) = NULL;
    const char *text = NULL;
    int64_t n = 0;
    size_t mode = 0;
    bool b = false;
    assert_ok(parse(sample, &conf));
    assert_message(conf_get_int(conf, "web", "port", 1, 100, 1, &n),
                   "coffer.conf, line 3: [web] port: \"8443\" is not a whole number from 1 to 100");
    assert_message(conf_get_bool(conf, "web", "mode", true, &b),
                   "coffer.conf, line 8: [web] mode: \"strict\" is neither yes nor no");
    assert_message(conf_get_choice(conf, "web", "mode", modes, 0, &mode),
                   "coffer.conf, line 8: [web] mode: \"strict\" is none of: lax, exact");
    assert_message(conf_need_string(conf, "web", "host", &text),
                   "coffer.conf: [web] host must be set");
    assert_err(ERR_INVALID, conf_need_string(conf, "web", "empty", &text));
    assert_err(ERR_INVALID, conf_get_int(conf, "web", "empty", 0, 9, 1, &n));
    assert_err(ERR_INVALID, conf_get_duration(conf, "web", "port", 0, 9, 1, &n));
    assert_err(ERR_INVALID, conf_get_duration(conf, "web", "ttl", 0, 9, 1, &n));
    assert_null(text);
    assert_int_equal(n, 0);
}

static void test_conf__refuses_what_inih_lets_pass(void **state) {
    (void)state;
    static const char *const bad[] = {
        "[a]\nk = 1\nk = 2\n",
        "[a]\n[b]\n[a]\n",
        "k = 1\n",
        "[a]\nk = 1\n  indented = 2\n",
        "[a\nk = 1\n",
        "[a] junk\n",
        "[]\n",
        "[ a]\n",
        "[a]\nno sign\n",
        "[a]\n= value\n",
        "[a]\nk = \x01\n",
        "[a]\nk = \xff\n",
        "[a]\nk = x\ry = 2\n",
    };
    conf_t *conf = NULL;
    char line[400] = "[a]\nk = ";
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(ERR_INVALID, parse(bad[i], &conf));
        assert_null(conf);
    }
    assert_err(ERR_INVALID, conf_parse(BYTES_LIT("[a]\nk = a\0b\n"), "f", &conf));
    memset(line + strlen(line), 'x', 250);
    assert_err(ERR_LIMIT, parse(line, &conf));
    assert_err(ERR_LIMIT,
               parse("[a2345678901234567890123456789012345678901234567890]\nk = 1\n", &conf));
    assert_err(ERR_LIMIT,
               parse("[a]\nk2345678901234567890123456789012345678901234567890 = 1\n", &conf));
    assert_message(parse("[a]\n\nk = 1\nk = 2\n", &conf),
                   "coffer.conf, line 4: [a] k is set on line 3 already");
}

static void test_conf__keeps_the_longest_line_whole(void **state) {
    (void)state;
    conf_t *conf CLEANUP(conf_free) = NULL;
    const char *text = NULL;
    char line[256] = "[a]\nk = ";
    memset(line + 8, 'x', 190);
    assert_ok(parse(line, &conf));
    assert_ok(conf_need_string(conf, "a", "k", &text));
    assert_int_equal(strlen(text), 190);
}

static void test_conf__finds_unknown_settings(void **state) {
    (void)state;
    static const char *const web[] = {"port", "url", "tls", "ttl", "names", "mode", "empty", NULL};
    static const char *const profile[] = {"lifetime", NULL}, *const none[] = {NULL};
    const conf_known_t all[] = {{"web", web}, {"profile *", profile}, {"profiles", none}};
    const conf_known_t fewer[] = {{"web", web}, {"profile *", none}, {"profiles", none}};
    conf_t *conf CLEANUP(conf_free) = NULL;
    const char *text = NULL;
    assert_ok(parse(sample, &conf));
    assert_ok(conf_check_known(conf, all, 3));
    assert_message(conf_check_known(conf, all, 2),
                   "coffer.conf, line 14: section [profiles] is unknown");
    assert_message(conf_check_known(conf, fewer, 3),
                   "coffer.conf, line 13: [profile mail] has no setting lifetime");
    for (size_t i = 0; web[i]; i++) assert_ok(conf_get_string(conf, "web", web[i], "", &text));
    assert_message(conf_check_used(conf),
                   "coffer.conf: unknown settings: line 13 [profile mail] lifetime");
    assert_ok(conf_get_string(conf, "profile mail", "lifetime", "", &text));
    assert_ok(conf_check_used(conf));
}

static void test_conf__loads_a_file(void **state) {
    (void)state;
    char directory[] = "/tmp/coffer-conf-XXXXXX";
    char path[64];
    conf_t *conf CLEANUP(conf_free) = NULL, *none = NULL;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/coffer.conf", directory);
    assert_err(ERR_NOT_FOUND, conf_load_file(path, &none));
    assert_ok(file_write(path, BYTES_LIT("[a]\nk = v"), 0600));
    assert_ok(conf_load_file(path, &conf));
    assert_true(conf_has_section(conf, "a"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void test_conf__survives_every_failing_allocation(void **state) {
    (void)state;
    unsigned long n = 1;
    for (;; n++) {
        conf_t *conf CLEANUP(conf_free) = NULL;
        fault_arm_memory(n);
        err_t *e = parse(sample, &conf);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_null(conf);
        assert_err(ERR_NOMEM, e);
    }
    assert_true(n > 20);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conf__reads_every_kind),
        cmocka_unit_test(test_conf__lists_named_sections_even_empty_ones),
        cmocka_unit_test(test_conf__says_what_is_right),
        cmocka_unit_test(test_conf__refuses_what_inih_lets_pass),
        cmocka_unit_test(test_conf__keeps_the_longest_line_whole),
        cmocka_unit_test(test_conf__finds_unknown_settings),
        cmocka_unit_test(test_conf__loads_a_file),
        cmocka_unit_test(test_conf__survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
