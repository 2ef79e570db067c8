/* Times in SCEP messages: RFC 5652 section 11.3, as the server reads them. */
#include "../unit.h"

#include "pki/scep_internal.h"

enum { UTC = 23, GENERALIZED = 24 };

static int64_t parse(int tag, const char *text) {
    int64_t when = -1;
    assert_ok(scep_parse_time(tag, bytes_str(text), &when));
    return when;
}

static void test_scep_check__reads_signing_times(void **state) {
    (void)state;
    assert_int_equal(parse(UTC, "231114221320Z"), 1700000000);
    assert_int_equal(parse(UTC, "700101000000Z"), 0);
    assert_int_equal(parse(GENERALIZED, "20231114221320Z"), 1700000000);
    assert_int_equal(parse(GENERALIZED, "20500101000000Z"), 2524608000);
}

static void test_scep_check__refuses_other_times(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "Z",
                                      "2311142213Z",
                                      "231114221320",
                                      "231114221320+0000",
                                      "23111422132xZ",
                                      "231314221320Z",
                                      "20231114221320Z"};
    int64_t when = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, scep_parse_time(UTC, bytes_str(bad[i]), &when));
    assert_err(ERR_INVALID, scep_parse_time(4, BYTES_LIT("231114221320Z"), &when));
    assert_err(ERR_INVALID, scep_parse_time(GENERALIZED, BYTES_LIT("231114221320Z"), &when));
    assert_int_equal(when, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_check__reads_signing_times),
        cmocka_unit_test(test_scep_check__refuses_other_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
