/* What may be put into escrow: kinds and the forms of their secrets. */
#include "../unit.h"

#include "base/limits.h"
#include "escrow/objects.h"

static void expect(const char *kind, const char *secret, err_code_t code) {
    err_t *e = objects_check_secret(kind, bytes_str(secret));
    if (!e) fail_msg("%s %s was taken", kind, secret);
    assert_string_equal(err_code_name(err_code(e)), err_code_name(code));
    err_free(e);
}

static void test_objects__bitlocker_groups_are_checked(void **state) {
    (void)state;
    static const char kind[] = "bitlocker-key";
    assert_ok(objects_check_secret(
        kind, BYTES_LIT("720885-000000-000011-111111-222222-333333-444444-555555")));
    expect(kind, "720896-000000-000011-111111-222222-333333-444444-555555", ERR_INVALID);
    expect(kind, "720885-000001-000011-111111-222222-333333-444444-555555", ERR_INVALID);
    expect(kind, "720885-000000-000011-111111-222222-333333-444444", ERR_INVALID);
    expect(kind, "720885-000000-000011-111111-222222-333333-444444-555555-000000", ERR_INVALID);
    expect(kind, "720885-000000-000011-111111-222222-333333-444444-55555", ERR_INVALID);
    expect(kind, "720885-000000-000011-111111-222222-333333-444444-+55555", ERR_INVALID);
    expect(kind, "720885-000000-000011-111111-222222-333333-444444-555555-", ERR_INVALID);
    expect(kind, "720885 000000 000011 111111 222222 333333 444444 555555", ERR_INVALID);
}

static void test_objects__pins_and_sizes_are_checked(void **state) {
    (void)state;
    static uint8_t large[LIMIT_ESCROW_SECRET + 1];
    assert_ok(objects_check_secret("pin", BYTES_LIT("1234")));
    expect("pin", "123", ERR_INVALID);
    expect("pin", "12345678901234567", ERR_INVALID);
    expect("pin", "12 34", ERR_INVALID);
    expect("file", "", ERR_LIMIT);
    assert_err(ERR_LIMIT, objects_check_secret("file", BYTES_ARRAY(large)));
    assert_ok(objects_check_secret("file", bytes_make(large, LIMIT_ESCROW_SECRET)));
}

static void test_objects__signing_keys_have_no_kind(void **state) {
    (void)state;
    assert_ok(objects_check_kind("safe-2"));
    assert_err(ERR_DENIED, objects_check_kind("mail-signing-key"));
    assert_err(ERR_DENIED, objects_check_secret("smime-key", BYTES_LIT("x")));
    assert_err(ERR_INVALID, objects_check_kind(""));
    assert_err(ERR_INVALID, objects_check_kind("Safe"));
    assert_err(ERR_INVALID, objects_check_kind("a/b"));
    assert_err(ERR_INVALID, objects_check_kind("a2345678901234567890123456789012345"));
}

static void test_objects__every_kind_has_advice_for_after_the_reveal(void **state) {
    (void)state;
    static const char *const kinds[] = {"smime-key",     "unlock-token",  "bootstrap-token",
                                        "bypass-code",   "filevault-key", "luks-key",
                                        "bitlocker-key", "pin",           "file"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_true(strlen(escrow_rotate_after_reveal(kinds[i])) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects__bitlocker_groups_are_checked),
        cmocka_unit_test(test_objects__pins_and_sizes_are_checked),
        cmocka_unit_test(test_objects__signing_keys_have_no_kind),
        cmocka_unit_test(test_objects__every_kind_has_advice_for_after_the_reveal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
