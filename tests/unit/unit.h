/*
 * What every unit test includes: cmocka and a few checks of err_t values.
 */
#ifndef COFFER_TESTS_UNIT_H
#define COFFER_TESTS_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/err.h"

/* The call must succeed. */
#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        err_t *unit_error_ = (expression);                                                         \
        if (unit_error_) {                                                                         \
            char unit_text_[1024];                                                                 \
            print_error("%s\n", err_trace(unit_error_, unit_text_, sizeof unit_text_));            \
            err_free(unit_error_);                                                                 \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

/* The call must fail with this code. */
#define assert_err(code, expression)                                                               \
    do {                                                                                           \
        err_t *unit_error_ = (expression);                                                         \
        assert_non_null(unit_error_);                                                              \
        assert_string_equal(err_code_name(err_code(unit_error_)), err_code_name(code));            \
        err_free(unit_error_);                                                                     \
    } while (0)

#endif
