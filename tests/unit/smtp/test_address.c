/*
 * Paths, mailboxes, xtext: src/smtp/address.c.
 */
#include "../unit.h"

#include "base/limits.h"
#include "smtp/address.h"

static void takes(const char *text, const char *address, const char *rest) {
    bytes_t left = bytes_str(text), found = BYTES_NONE;
    assert_ok(smtp_path_take(&left, &found));
    assert_true(bytes_eq_str(found, address));
    assert_true(bytes_eq_str(left, rest));
}

static void test_address__paths(void **state) {
    (void)state;
    takes("<a@example.org>", "a@example.org", "");
    takes(" <a@example.org> SIZE=1", "a@example.org", " SIZE=1");
    takes("<>", "", "");
    takes("<@x.example,@y.example:a@example.org>", "a@example.org", "");
    takes("<\"a>b\\\"\"@example.org> X", "\"a>b\\\"\"@example.org", " X");
    static const char *const bad[] = {"", "a@example.org", "<a@example.org", "<\"a>",
                                      "<@x.example>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bytes_t left = bytes_str(bad[i]), found = BYTES_NONE;
        assert_err(ERR_INVALID, smtp_path_take(&left, &found));
    }
    uint8_t room[LIMIT_SMTP_ADDRESS + 3];
    memset(room, 'a', sizeof room);
    room[0] = '<';
    room[sizeof room - 1] = '>';
    bytes_t left = BYTES_ARRAY(room), found = BYTES_NONE;
    assert_err(ERR_LIMIT, smtp_path_take(&left, &found));
}

static void test_address__mailboxes(void **state) {
    (void)state;
    static const char *const good[] = {"a@example.org",        "a.b+c=d@x-y.example.org",
                                       "\"a b\"@example.org",  "a@[192.0.2.1]",
                                       "a@[IPv6:2001:db8::1]", "\xc3\xa4@ex\xc3\xa4mple.org"};
    static const char *const bad[] = {
        "",          "a",       "@example.org", "a@",   "a@.org",    "a@x..org",  "a b@x.org",
        "a@x.org.",  "a@x org", "\"a@x.org",    "a@[x", "a\n@x.org", "a@x>y.org", "\"a\"b\"@x.org",
        "\xff@x.org"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(smtp_mailbox_valid(bytes_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(smtp_mailbox_valid(bytes_str(bad[i])));
    assert_true(bytes_eq_str(smtp_domain(BYTES_LIT("\"a@b\"@example.org")), "example.org"));
    assert_int_equal(smtp_domain(BYTES_LIT("postmaster")).n, 0);
}

static void test_address__xtext(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100);
    assert_ok(smtp_xtext_encode(BYTES_LIT("a+b=c d"), &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "a+2Bb+3Dc+20d"));
    assert_true(smtp_xtext_valid(buf_bytes(&out)));
    CLEANUP(buf_done) buf_t back;
    buf_init(&back, 100);
    assert_ok(smtp_xtext_decode(buf_bytes(&out), &back));
    assert_true(bytes_eq_str(buf_bytes(&back), "a+b=c d"));
    static const char *const bad[] = {"a+2", "+", "+2b", "a=b", "a b", "\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(smtp_xtext_valid(bytes_str(bad[i])));
        assert_err(ERR_INVALID, smtp_xtext_decode(bytes_str(bad[i]), &back));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address__paths),
        cmocka_unit_test(test_address__mailboxes),
        cmocka_unit_test(test_address__xtext),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
