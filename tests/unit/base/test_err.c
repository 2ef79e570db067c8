/* Errors: codes survive wrapping, texts are cut safely, errno maps. */
#include "../unit.h"

#include <errno.h>
#include <string.h>

static void test_err__wrap_keeps_code_and_joins_texts(void **state) {
    (void)state;
    err_t *e = err_wrap(err_new(ERR_VERIFY, "bad signature"), "SCEP request from %s", "::1");
    char text[100];
    assert_int_equal(err_code(e), ERR_VERIFY);
    assert_string_equal(err_text(e, text, sizeof text), "SCEP request from ::1: bad signature");
    char small[12];
    assert_string_equal(err_text(e, small, sizeof small), "SCEP req...");
    err_free(e);
}

static void test_err__errno_maps_to_codes(void **state) {
    (void)state;
    err_t *e = err_errno(ENOSPC, "write");
    assert_int_equal(err_code(e), ERR_FULL);
    assert_non_null(strstr(err_message(e), "No space left"));
    err_free(e);
    e = err_errno(ENOMEM, "x");
    assert_ptr_equal(e, err_nomem());
    err_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__wrap_keeps_code_and_joins_texts),
        cmocka_unit_test(test_err__errno_maps_to_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
