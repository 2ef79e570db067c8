/*
 * Dots and the one end of a message: src/smtp/data.c.
 */
#include "../unit.h"

#include "base/limits.h"
#include "smtp/data.h"

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

/* Feeds in pieces of `step`; the number of bytes taken. */
static size_t undot(smtp_undot_t *u, bytes_t in, size_t step, buf_t *out, bool *ret_done) {
    size_t at = 0;
    *ret_done = false;
    smtp_undot_init(u);
    while (at < in.n && !*ret_done) {
        size_t used = 0;
        assert_ok(smtp_undot_feed(u, bytes_slice(in, at, step), collect, out, &used, ret_done));
        at += used;
    }
    return at;
}

static void decodes(const char *in, const char *content, bool bare, size_t left) {
    for (size_t step = 1; step <= strlen(in) + 1; step++) {
        CLEANUP(buf_done) buf_t out;
        smtp_undot_t u;
        bool done = false;
        buf_init(&out, 1000);
        size_t used = undot(&u, bytes_str(in), step, &out, &done);
        assert_true(done);
        assert_int_equal(u.bare, bare);
        assert_int_equal(strlen(in) - used, left);
        assert_true(bytes_eq_str(buf_bytes(&out), content));
    }
}

static void test_data__dots(void **state) {
    (void)state;
    decodes(".\r\n", "", false, 0);
    decodes("a\r\n.\r\nNOOP\r\n", "a\r\n", false, 6);
    decodes("..\r\n...b\r\n.c\r\n.\r\n", ".\r\n..b\r\nc\r\n", false, 0);
    decodes("a.\r\n.\r\n", "a.\r\n", false, 0);
}

static void test_data__false_ends(void **state) {
    (void)state;
    decodes("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", true, 0);
    decodes("a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", true, 0);
    decodes("a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", true, 0);
    decodes("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", true, 0);
    decodes("a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", true, 0);
    decodes("a\r\n.\r\rb\r\n.\r\n", "a\r\n\r\rb\r\n", true, 0);
    decodes("a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", true, 0);
    decodes("a\r\r\n.\r\n", "a\r\r\n", true, 0);
}

static void test_data__long_lines_and_high_bytes(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t in, out;
    smtp_undot_t u;
    bool done = false;
    buf_init(&in, 200000);
    buf_init(&out, 200000);
    for (int i = 0; i < LIMIT_SMTP_LINE; i++) assert_ok(buf_add_byte(&in, 'x'));
    assert_ok(buf_add_str(&in, "\r\n.\r\n"));
    (void)undot(&u, buf_bytes(&in), 1000, &out, &done);
    assert_true(done && !u.long_line && !u.eightbit);
    buf_clear(&in);
    for (int i = 0; i <= LIMIT_SMTP_LINE; i++) assert_ok(buf_add_byte(&in, 0xe4));
    assert_ok(buf_add_str(&in, "\r\n.\r\n"));
    (void)undot(&u, buf_bytes(&in), 1000, &out, &done);
    assert_true(done && u.long_line && u.eightbit);
}

static void test_data__round_trip(void **state) {
    (void)state;
    static const char text[] = ".\r\n..\r\na\r\n\r\n.b\r\nend";
    for (size_t step = 1; step < sizeof text; step++) {
        CLEANUP(buf_done) buf_t wire, back;
        smtp_dot_t dot = {0};
        smtp_undot_t u;
        bool done = false;
        buf_init(&wire, 1000);
        buf_init(&back, 1000);
        for (size_t at = 0; at < sizeof text - 1; at += step)
            assert_ok(smtp_dot_add(&dot, bytes_slice(BYTES_LIT(text), at, step), &wire));
        assert_ok(smtp_dot_end(&dot, &wire));
        assert_int_equal(undot(&u, buf_bytes(&wire), 1000, &back, &done), wire.n);
        assert_true(done && !u.bare);
        assert_true(bytes_eq_str(buf_bytes(&back), ".\r\n..\r\na\r\n\r\n.b\r\nend\r\n"));
    }
}

static void encodes(const char *content, const char *wire) {
    for (size_t step = 1; step <= strlen(content) + 1; step++) {
        CLEANUP(buf_done) buf_t out;
        smtp_dot_t dot = {0};
        buf_init(&out, 1000);
        for (size_t at = 0; at < strlen(content); at += step)
            assert_ok(smtp_dot_add(&dot, bytes_slice(bytes_str(content), at, step), &out));
        assert_ok(smtp_dot_end(&dot, &out));
        assert_true(bytes_eq_str(buf_bytes(&out), wire));
    }
}

/* Whatever a server takes for a line end, no dot stands alone behind it. */
static void test_data__stuffs_behind_every_line_end(void **state) {
    (void)state;
    encodes("", ".\r\n");
    encodes("x\r.\r\nMAIL\n.\nQ\r\n", "x\r..\r\nMAIL\n..\nQ\r\n.\r\n");
    encodes("x\n", "x\n\r\n.\r\n");
    encodes("x\r", "x\r\n.\r\n");
    encodes("x\r\n", "x\r\n.\r\n");
}

static void test_data__sees_nul(void **state) {
    (void)state;
    static const char text[] = "a\r\n\0.\r\nb\r\n.\r\n";
    CLEANUP(buf_done) buf_t out;
    smtp_undot_t u;
    bool done = false;
    buf_init(&out, 1000);
    (void)undot(&u, bytes_make(text, sizeof text - 1), 3, &out, &done);
    assert_true(done && u.nul && !u.bare);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data__dots),
        cmocka_unit_test(test_data__false_ends),
        cmocka_unit_test(test_data__long_lines_and_high_bytes),
        cmocka_unit_test(test_data__round_trip),
        cmocka_unit_test(test_data__stuffs_behind_every_line_end),
        cmocka_unit_test(test_data__sees_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
