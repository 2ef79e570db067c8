/* mail/mbox: where messages begin, byte-exact, however the bytes are cut. */
#include "../unit.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "mail/mbox.h"

typedef struct {
    buf_t events; /* "[From line]" and data */
    buf_t bytes;
} seen_t;

static err_t *on_begin(void *arg, bytes_t line) {
    seen_t *seen = arg;
    TRY(buf_add(&seen->bytes, line));
    TRY(buf_add_str(&seen->events, "["));
    TRY(buf_add(&seen->events, line));
    return buf_add_str(&seen->events, "]");
}

static err_t *on_data(void *arg, bytes_t data) {
    seen_t *seen = arg;
    TRY(buf_add(&seen->bytes, data));
    return buf_add(&seen->events, data);
}

static err_t *split(const char *text, size_t step, seen_t *seen) {
    const mbox_handler_t handler = {on_begin, on_data, seen};
    mbox_t *mbox CLEANUP(mbox_free) = NULL;
    TRY(mbox_new(&handler, &mbox));
    for (bytes_t rest = bytes_str(text); rest.n; rest = bytes_from(rest, step))
        TRY(mbox_feed(mbox, bytes_slice(rest, 0, step)));
    return mbox_finish(mbox);
}

static void becomes(const char *text, const char *events) {
    for (size_t step = 1; step <= strlen(text) + 1; step++) {
        seen_t seen;
        const char *got;
        buf_init(&seen.events, 1 << 16);
        buf_init(&seen.bytes, 1 << 16);
        assert_ok(split(text, step, &seen));
        assert_ok(buf_cstr(&seen.events, &got));
        assert_string_equal(got, events);
        assert_ok(buf_cstr(&seen.bytes, &got));
        assert_string_equal(got, text);
        buf_done(&seen.events);
        buf_done(&seen.bytes);
    }
}

static void test_mbox__finds_messages(void **state) {
    (void)state;
    becomes("From a\nx: y\n\nhi\n\nFrom b\nz\n", "[From a\n]x: y\n\nhi\n\n[From b\n]z\n");
    becomes("From a\r\nx\r\n\r\nFrom b\r\ny", "[From a\r\n]x\r\n\r\n[From b\r\n]y");
    becomes("From a\nx\nFrom b\n", "[From a\n]x\nFrom b\n"); /* no empty line before */
    becomes("From a\n\n>From b\n\nFro\n\nFrom\n\nfrom c\n\n\nFrom d\n",
            "[From a\n]\n>From b\n\nFro\n\nFrom\n\nfrom c\n\n\n[From d\n]");
    becomes("From a\n\r\r\nFrom b\n", "[From a\n]\r\r\nFrom b\n"); /* that is no empty line */
    becomes("From a\nFrom b\n", "[From a\n]From b\n");
    becomes("From a", "[From a]");
    becomes("From a\n\nFro", "[From a\n]\nFro");
    becomes("From a\n\nFrom ", "[From a\n]\n[From ]");
    becomes("", "");
}

static void test_mbox__refuses_what_is_none(void **state) {
    static const char *const bad[] = {"Return-Path: <a>\n", "\nFrom a\n", "Fro", "From",
                                      "from a\n"};
    char *line CLEANUP(mem_free) = mem_alloc(LIMIT_MBOX_LINE + 8);
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t step = 1; step < 30; step += 7) {
            seen_t seen;
            buf_init(&seen.events, 1 << 16);
            buf_init(&seen.bytes, 1 << 16);
            assert_err(ERR_INVALID, split(bad[i], step, &seen));
            buf_done(&seen.events);
            buf_done(&seen.bytes);
        }
    assert_non_null(line);
    memset(line, 'x', LIMIT_MBOX_LINE + 7);
    line[LIMIT_MBOX_LINE + 7] = 0;
    memcpy(line, "From ", 5);
    seen_t seen;
    buf_init(&seen.events, 1 << 16);
    buf_init(&seen.bytes, 1 << 16);
    assert_err(ERR_LIMIT, split(line, 100, &seen));
    buf_done(&seen.events);
    buf_done(&seen.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mbox__finds_messages),
        cmocka_unit_test(test_mbox__refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
