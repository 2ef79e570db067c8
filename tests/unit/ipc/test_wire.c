/*
 * ipc/wire.h: what is written is read, and nothing else is.
 */
#include "../unit.h"

#include "base/fault.h"
#include "base/mem.h"
#include "ipc/wire.h"

static err_t *write_all(buf_t *b) {
    TRY(wire_put_u8(b, 0xAB));
    TRY(wire_put_u16(b, 0x1234));
    TRY(wire_put_u32(b, 0xDEADBEEF));
    TRY(wire_put_u64(b, 0x0102030405060708));
    TRY(wire_put_i64(b, -2));
    TRY(wire_put_bool(b, true));
    TRY(wire_put_bytes(b, BYTES_LIT("a\0b")));
    TRY(wire_put_str(b, "hello"));
    return wire_put_str(b, NULL);
}

/* Reads what write_all wrote, wholly or not. */
static err_t *read_all(bytes_t message) {
    wire_reader_t r = wire_reader(message);
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    int64_t e;
    bool f;
    bytes_t g;
    CLEANUP(mem_free) char *h = NULL;
    CLEANUP(mem_free) char *i = NULL;
    TRY(wire_get_u8(&r, &a));
    TRY(wire_get_u16(&r, &b));
    TRY(wire_get_u32(&r, &c));
    TRY(wire_get_u64(&r, &d));
    TRY(wire_get_i64(&r, &e));
    TRY(wire_get_bool(&r, &f));
    TRY(wire_get_bytes(&r, 3, &g));
    TRY(wire_get_str(&r, 5, &h));
    TRY(wire_get_str(&r, 5, &i));
    TRY(wire_done(&r));
    assert_int_equal(a, 0xAB);
    assert_int_equal(b, 0x1234);
    assert_int_equal(c, 0xDEADBEEF);
    assert_true(d == 0x0102030405060708);
    assert_true(e == -2);
    assert_true(f);
    assert_true(bytes_eq(g, BYTES_LIT("a\0b")));
    assert_string_equal(h, "hello");
    assert_string_equal(i, "");
    return NULL;
}

static void test_wire__reads_what_was_written(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 1000);
    assert_ok(write_all(&b));
    assert_ok(read_all(buf_bytes(&b)));
    assert_int_equal(b.p[1], 0x12); /* big-endian */
}

static void test_wire__every_cut_message_is_refused(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 1000);
    assert_ok(write_all(&b));
    for (size_t n = 0; n < b.n; n++) assert_err(ERR_INVALID, read_all(bytes_make(b.p, n)));
    assert_ok(buf_add_byte(&b, 0));
    assert_err(ERR_INVALID, read_all(buf_bytes(&b))); /* and a longer one */
}

static void test_wire__limits_and_odd_values(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 12);
    assert_ok(wire_put_bytes(&b, BYTES_LIT("abc")));
    bytes_t out;
    char *text = NULL;
    wire_reader_t r = wire_reader(buf_bytes(&b));
    assert_err(ERR_LIMIT, wire_get_bytes(&r, 2, &out));
    assert_int_equal(r.rest.n, b.n); /* nothing was consumed */
    assert_err(ERR_LIMIT, wire_put_bytes(&b, BYTES_LIT("de")));
    assert_int_equal(b.n, 7); /* no length without its bytes */
    buf_clear(&b);
    assert_ok(wire_put_bytes(&b, BYTES_LIT("a\0")));
    r = wire_reader(buf_bytes(&b));
    assert_err(ERR_INVALID, wire_get_str(&r, 10, &text));
    bool truth;
    r = wire_reader(BYTES_LIT("\2"));
    assert_err(ERR_INVALID, wire_get_bool(&r, &truth));
    r = wire_reader(BYTES_LIT("\xFF\xFF\xFF\xFFz"));
    assert_err(ERR_INVALID, wire_get_bytes(&r, SIZE_MAX, &out));
}

static void test_wire__survives_failing_allocations(void **state) {
    (void)state;
    for (unsigned long nth = 1;; nth++) {
        CLEANUP(buf_done) buf_t b;
        buf_init(&b, 1000);
        fault_arm_memory(nth);
        err_t *e = write_all(&b);
        if (!e) e = read_all(buf_bytes(&b));
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            assert_true(nth > 1);
            return;
        }
        assert_err(ERR_NOMEM, e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire__reads_what_was_written),
        cmocka_unit_test(test_wire__every_cut_message_is_refused),
        cmocka_unit_test(test_wire__limits_and_odd_values),
        cmocka_unit_test(test_wire__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
