/*
 * Replies: src/smtp/reply.c.
 */
#include "../unit.h"

#include "base/limits.h"
#include "smtp/reply.h"

static void reads(const char *wire, unsigned code, const char *enhanced, const char *text) {
    for (size_t step = 1; step <= strlen(wire); step++) {
        CLEANUP(smtp_reply_done) smtp_reply_t r;
        bool done = false;
        size_t used = 0;
        smtp_reply_init(&r);
        for (size_t at = 0; at < strlen(wire); at += used) {
            assert_false(done);
            assert_ok(smtp_reply_feed(&r, bytes_slice(bytes_str(wire), at, step), &used, &done));
        }
        assert_true(done);
        smtp_status_t s = smtp_reply_status(&r);
        assert_int_equal(s.code, code);
        assert_string_equal(s.enhanced, enhanced);
        assert_string_equal(s.text, text);
    }
}

static void test_reply__reads(void **state) {
    (void)state;
    reads("250 2.1.5 Ok\r\n", 250, "2.1.5", "Ok");
    reads("250\r\n", 250, "", "");
    reads("354 go\n", 354, "", "go");
    reads("550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n", 550, "5.7.1", "one two three");
    reads("451 5.7.1 other class\r\n", 451, "", "5.7.1 other class");
    reads("250 2.1 x\r\n", 250, "", "2.1 x");
    reads("250 \x01\xffz\r\n", 250, "", "??z");
}

static void fails(const char *wire, err_code_t code) {
    CLEANUP(smtp_reply_done) smtp_reply_t r;
    bool done = false;
    size_t used = 0;
    smtp_reply_init(&r);
    assert_err(code, smtp_reply_feed(&r, bytes_str(wire), &used, &done));
}

static void test_reply__refuses_what_is_none(void **state) {
    (void)state;
    fails("hello\r\n", ERR_INVALID);
    fails("\r\n", ERR_INVALID);
    fails("150 x\r\n", ERR_INVALID);
    fails("2x0 x\r\n", ERR_INVALID);
    fails("250x\r\n", ERR_INVALID);
    fails("250-a\r\n550 b\r\n", ERR_INVALID);
    char line[LIMIT_SMTP_REPLY_LINE + 100];
    memset(line, 'x', sizeof line);
    memcpy(line, "250 ", 4);
    line[sizeof line - 1] = '\0';
    fails(line, ERR_LIMIT);
}

static void test_reply__endless_is_limited(void **state) {
    (void)state;
    CLEANUP(smtp_reply_done) smtp_reply_t r;
    bool done = false;
    size_t used = 0;
    err_t *e = NULL;
    smtp_reply_init(&r);
    for (int i = 0; i < 10000 && !e; i++)
        e = smtp_reply_feed(&r, BYTES_LIT("250-xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"), &used, &done);
    assert_err(ERR_LIMIT, e);
}

static void test_reply__writes_one_line(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1000);
    const smtp_status_t s = smtp_status(550, "5.1.1", "no\r\n250 %s", "\xc3\xa4");
    assert_ok(smtp_status_write(&s, &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "550 5.1.1 no??250 ??\r\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply__reads),
        cmocka_unit_test(test_reply__refuses_what_is_none),
        cmocka_unit_test(test_reply__endless_is_limited),
        cmocka_unit_test(test_reply__writes_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
