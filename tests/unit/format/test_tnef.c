/*
 * format/tnef: attachments of a winmail.dat with their names, at any cut, and what is broken.
 */
#include "../unit.h"

#include "base/buf.h"
#include "base/fault.h"
#include "format/tnef.h"

static void put32(buf_t *b, uint32_t v) {
    for (int i = 0; i < 4; i++) assert_ok(buf_add_byte(b, (uint8_t)(v >> 8 * i)));
}

static void attribute(buf_t *b, uint8_t level, uint32_t id, bytes_t data) {
    assert_ok(buf_add_byte(b, level));
    put32(b, id);
    put32(b, (uint32_t)data.n);
    assert_ok(buf_add(b, data));
    assert_ok(buf_add(b, BYTES_LIT("\0\0")));
}

/* PR_ATTACH_LONG_FILENAME behind a number, a named property and a list. */
static void properties(buf_t *b, bytes_t name, uint32_t type) {
    put32(b, 4);
    put32(b, 0x0e200003);
    put32(b, 5);
    put32(b, 0x80010003);
    assert_ok(buf_add(b, BYTES_LIT("0123456789abcdef")));
    put32(b, 1);
    put32(b, 6);
    assert_ok(buf_add(b, BYTES_LIT("a\0b\0\0\0\0\0")));
    put32(b, 7);
    put32(b, 0x12340000 | 0x101e);
    put32(b, 2);
    put32(b, 3);
    assert_ok(buf_add(b, BYTES_LIT("ab\0\0")));
    put32(b, 1);
    assert_ok(buf_add(b, BYTES_LIT("\0\0\0\0")));
    put32(b, 0x37070000 | type);
    put32(b, 1);
    put32(b, (uint32_t)name.n);
    assert_ok(buf_add(b, name));
    while (b->n % 4) assert_ok(buf_add_byte(b, 0));
}

static void make(buf_t *b) {
    CLEANUP(buf_done) buf_t props;
    buf_init(&props, 4096);
    put32(b, 0x223e9f78);
    assert_ok(buf_add(b, BYTES_LIT("\1\0")));
    attribute(b, 1, 0x00089006, BYTES_LIT("\0\0\1\0"));
    attribute(b, 2, 0x00069002, BYTES_LIT("render"));
    attribute(b, 2, 0x00018010, BYTES_LIT("REPORT~1.PDF\0"));
    attribute(b, 2, 0x0006800f, BYTES_LIT("first content"));
    properties(&props, BYTES_LIT("r\0e\0\xfc\0.\0p\0d\0f\0\0\0"), 0x1f);
    attribute(b, 2, 0x00069005, buf_bytes(&props));
    attribute(b, 2, 0x00069002, BYTES_LIT(""));
    attribute(b, 2, 0x0006800f, BYTES_LIT("second"));
    attribute(b, 2, 0x00018010, BYTES_LIT("b\xe4.txt\0rest"));
}

typedef struct {
    buf_t text;
} seen_t;

static err_t *on_begin(void *arg) { return buf_add_str(&((seen_t *)arg)->text, "["); }
static err_t *on_data(void *arg, bytes_t data) { return buf_add(&((seen_t *)arg)->text, data); }
static err_t *on_end(void *arg, bytes_t name) {
    seen_t *s = arg;
    TRY(buf_add_str(&s->text, "|"));
    TRY(buf_add(&s->text, name));
    return buf_add_str(&s->text, "]");
}

static err_t *read_all(bytes_t data, size_t step, buf_t *ret_text) {
    seen_t seen;
    const tnef_handler_t handler = {on_begin, on_data, on_end, &seen};
    CLEANUP(tnef_reader_free) tnef_reader_t *reader = NULL;
    buf_init(&seen.text, 1 << 20);
    err_t *e = tnef_reader_new(&handler, &reader);
    for (; !e && data.n; data = bytes_from(data, step))
        e = tnef_feed(reader, bytes_slice(data, 0, step));
    if (!e) e = tnef_finish(reader);
    *ret_text = seen.text;
    return e;
}

static void test_tnef__gives_attachments_with_their_best_names(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 4096);
    make(&b);
    for (size_t step = 1; step < 60; step++) {
        CLEANUP(buf_done) buf_t text = {0};
        assert_ok(read_all(buf_bytes(&b), step, &text));
        if (!bytes_eq_str(buf_bytes(&text), "[first content|re\xc3\xbc.pdf][second|b\xc3\xa4.txt]"))
            fail_msg("%.*s", (int)text.n, text.p);
    }
}

static void test_tnef__cut_anywhere_is_an_error_with_what_was_there(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 4096);
    make(&b);
    for (size_t n = 0; n < b.n; n++) {
        CLEANUP(buf_done) buf_t text = {0};
        err_t *e = read_all(bytes_make(b.p, n), 5, &text);
        if (e) assert_int_equal(err_code(e), ERR_INVALID);
        err_free(e); /* between two attributes nobody can tell */
    }
}

static void test_tnef__rubbish_is_refused(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t text = {0}, other = {0};
    assert_err(ERR_INVALID, read_all(BYTES_LIT("no TNEF at all"), 99, &text));
    assert_err(ERR_INVALID, read_all(BYTES_LIT("\x78\x9f\x3e\x22\1\0\7aaaabbbb"), 99, &other));
}

static void test_tnef__every_allocation_may_fail(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 4096);
    make(&b);
    for (unsigned long n = 1; n < 200; n++) {
        CLEANUP(buf_done) buf_t text = {0};
        fault_arm_memory(n);
        err_t *e = read_all(buf_bytes(&b), 9, &text);
        fault_arm_memory(0);
        if (!e) return;
        assert_err(ERR_NOMEM, e);
    }
    fail_msg("it never succeeded");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tnef__gives_attachments_with_their_best_names),
        cmocka_unit_test(test_tnef__cut_anywhere_is_an_error_with_what_was_there),
        cmocka_unit_test(test_tnef__rubbish_is_refused),
        cmocka_unit_test(test_tnef__every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
