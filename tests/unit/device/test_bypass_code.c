/*
 * Activation-lock codes: Apple's own example, and the edges of the alphabet.
 */
#include "../unit.h"

#include "base/text.h"
#include "crypto/secret.h"
#include "device/bypass_code.h"

static void test_bypass_code__apples_example(void **state) {
    (void)state;
    static const uint8_t raw[BYPASS_RAW] = {0x1e, 0xa8, 0x41, 0xdb, 0x5e, 0xdf, 0xaf, 0xe6,
                                            0x07, 0x5b, 0x5a, 0xe0, 0xd8, 0x45, 0xd2, 0x54};
    char text[BYPASS_TEXT];
    uint8_t hash[BYPASS_HASH];
    CLEANUP(buf_done) buf_t hex;
    buf_init(&hex, 2 * BYPASS_HASH);
    bypass_code_text(raw, text);
    assert_string_equal(text, "3UM43-PUYVY-QYD1-UVCC-HEHJ-FKA4");
    assert_ok(bypass_code_hash(raw, hash));
    assert_ok(text_hex(BYTES_ARRAY(hash), &hex));
    assert_true(bytes_eq_str(buf_bytes(&hex),
                             "6ab40d5eabe7218ec04182f461005600c7e3426bddd82cdb405bde9a1e0014b5"));
}

static void test_bypass_code__first_and_last(void **state) {
    (void)state;
    uint8_t raw[BYPASS_RAW] = {0};
    char text[BYPASS_TEXT];
    bypass_code_text(raw, text);
    assert_string_equal(text, "00000-00000-0000-0000-0000-0000");
    memset(raw, 0xff, sizeof raw);
    bypass_code_text(raw, text);
    assert_string_equal(text, "ZZZZZ-ZZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZ7"); /* three bits are left */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bypass_code__apples_example),
        cmocka_unit_test(test_bypass_code__first_and_last),
    };
    err_t *e = crypto_init();
    err_free(e);
    return e ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
