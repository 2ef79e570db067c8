/* Names of certificates as SCEP carries them (RFC 8894 section 3.3.3, RFC 5652 section 10.2.4). */
#include "../unit.h"

#include "crypto/cert_id.h"

/* Two empty Names; one with a CN; a serial number. */
#define NAME                                                                                       \
    "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01"                                         \
    "a"
#define EMPTY "\x30\x00"

static void test_cert_id__takes_issuer_and_subject(void **state) {
    (void)state;
    bytes_t issuer, subject;
    assert_ok(cert_id_subject(BYTES_LIT("\x30\x10" NAME EMPTY), &issuer, &subject));
    assert_true(bytes_eq(issuer, BYTES_LIT(NAME)));
    assert_true(bytes_eq(subject, BYTES_LIT(EMPTY)));
}

static void test_cert_id__takes_issuer_and_serial(void **state) {
    (void)state;
    bytes_t issuer, serial;
    assert_ok(cert_id_serial(BYTES_LIT("\x30\x12" NAME "\x02\x02\x00\x9f"), &issuer, &serial));
    assert_true(bytes_eq(issuer, BYTES_LIT(NAME)));
    assert_true(bytes_eq(serial, BYTES_LIT("\x9f")));
}

static void test_cert_id__refuses_everything_else(void **state) {
    (void)state;
    const bytes_t bad[] = {
        BYTES_NONE,
        BYTES_LIT("\x30\x00"),
        BYTES_LIT("\x30\x0e" NAME),
        BYTES_LIT("\x31\x10" NAME EMPTY),
        BYTES_LIT("\x30\x10" NAME EMPTY "\x00"),
        BYTES_LIT("\x30\x12" NAME EMPTY EMPTY),
        BYTES_LIT("\x30\x80" NAME EMPTY "\x00\x00"),
        BYTES_LIT("\x30\x12" NAME "\x02\x02\x00\x1f"), /* not the shortest */
        BYTES_LIT("\x30\x11" NAME "\x02\x01\x80"),     /* negative */
        BYTES_LIT("\x30\x14" NAME "\x02\x01\x05"
                  "\x02\x01\x05"),
        BYTES_LIT("\x30\x28" NAME "\x02\x18"
                  "\x01"
                  "23456789012345678901234"), /* 24 bytes */
    };
    bytes_t a = BYTES_LIT("kept"), b = a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(ERR_INVALID, cert_id_serial(bad[i], &a, &b));
        assert_err(ERR_INVALID, cert_id_subject(bad[i], &a, &b));
    }
    assert_true(bytes_eq_str(a, "kept") && bytes_eq_str(b, "kept"));
    /* each is not the other */
    assert_err(ERR_INVALID, cert_id_serial(BYTES_LIT("\x30\x10" NAME EMPTY), &a, &b));
    assert_err(ERR_INVALID, cert_id_subject(BYTES_LIT("\x30\x11" NAME "\x02\x01\x05"), &a, &b));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_id__takes_issuer_and_subject),
        cmocka_unit_test(test_cert_id__takes_issuer_and_serial),
        cmocka_unit_test(test_cert_id__refuses_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
