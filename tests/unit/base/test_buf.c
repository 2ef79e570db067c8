/* Bounded buffers: the limit holds, content survives a refusal, every failed allocation is clean.
 */
#include "../unit.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"

static void test_buf__refuses_past_its_maximum_and_keeps_content(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 5);
    assert_ok(buf_add_str(&b, "abc"));
    assert_err(ERR_LIMIT, buf_add_str(&b, "def"));
    assert_true(bytes_eq_str(buf_bytes(&b), "abc"));
    assert_ok(buf_add_str(&b, "de"));
    const char *text = NULL;
    assert_ok(buf_cstr(&b, &text));
    assert_string_equal(text, "abcde");
}

static void test_buf__escapes_xml(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 100);
    assert_ok(buf_add_xml(&b, BYTES_LIT("<a href=\"x\">&'")));
    assert_true(bytes_eq_str(buf_bytes(&b), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"));
}

static err_t *grow(void) {
    CLEANUP(buf_done) buf_t b;
    buf_init_secret(&b, 10000);
    for (int i = 0; i < 500; i++) TRY(buf_printf(&b, "%d,", i));
    char *text = NULL;
    TRY(buf_steal_str(&b, &text));
    mem_free(text);
    return NULL;
}

static void test_buf__survives_every_failed_allocation(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        fault_arm_memory(n);
        err_t *e = grow();
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_null(e);
            assert_true(n > 3);
            break;
        }
        assert_non_null(e);
        assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
    }
}

static void test_bytes__an_empty_run_puts_nothing(void **state) {
    (void)state;
    uint8_t room[4] = "abc";
    bytes_put(room, BYTES_NONE);
    assert_memory_equal(room, "abc", 4);
    bytes_put(room, BYTES_LIT("xy"));
    assert_memory_equal(room, "xyc", 4);
}

static void test_arena__bounds_and_copies(void **state) {
    (void)state;
    CLEANUP(arena_free) arena_t *a = NULL;
    assert_ok(arena_new(64, &a));
    bytes_t copy;
    assert_ok(arena_copy(a, BYTES_LIT("hello"), &copy));
    assert_true(bytes_eq_str(copy, "hello"));
    void *p = NULL;
    assert_err(ERR_LIMIT, arena_alloc(a, 65, &p));
    assert_err(ERR_LIMIT, arena_alloc(a, SIZE_MAX, &p));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__refuses_past_its_maximum_and_keeps_content),
        cmocka_unit_test(test_buf__escapes_xml),
        cmocka_unit_test(test_buf__survives_every_failed_allocation),
        cmocka_unit_test(test_bytes__an_empty_run_puts_nothing),
        cmocka_unit_test(test_arena__bounds_and_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
