/* crypto/cms_capable: what peers announce, in the forms that are seen, and what is no such list. */
#include "../unit.h"

#include "base/limits.h"
#include "crypto/cms_capable.h"
#include "crypto/cms_seal.h"
#include "crypto/secret.h"

#define AES(last) 0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, last
#define OAEP(n, ...)                                                                               \
    0x30, 0x0b + (n), 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 7, __VA_ARGS__

static cms_capable_t read_it(bytes_t der) {
    cms_capable_t c = {0};
    assert_ok(cms_capable_read(der, &c));
    assert_true(c.known);
    return c;
}

static void test_cms_capable__reads_our_own(void **state) {
    (void)state;
    cms_capable_t c = read_it(cms_capabilities());
    assert_true(c.aes256_gcm && c.aes256_cbc && c.aes128_cbc && c.oaep);
}

static void test_cms_capable__reads_what_peers_write(void **state) {
    /* Outlook and others: AES, 3DES with and without sizes, SHA-1, things unheard of. */
    static const uint8_t old[] = {0x30, 0x29, AES(2), 0x30, 0x0a, 6,    8, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 3,      7,    0x30, 0x0e, 6, 8,    0x2a, 0x86, 0x48,
                                  0x86, 0xf7, 0x0d,   3,    2,    2,    2, 0,    0x80};
    static const uint8_t ecdh[] = {0x30, 10, 0x30, 8, 6, 6, 0x2b, 0x81, 4, 1, 0x0b, 1};
    static const uint8_t sha1_oaep[] = {0x30, 0x0f, OAEP(2, 0x30, 0)};
    static const uint8_t sha256_oaep[] = {
        0x30, 0x1e,
        OAEP(17, 0x30, 15, 0xa0, 13, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1)};
    (void)state;
    cms_capable_t c = read_it(BYTES_ARRAY(old));
    assert_true(c.aes128_cbc && !c.aes256_cbc && !c.aes256_gcm && !c.oaep && !c.ecdh);
    assert_true(read_it(BYTES_ARRAY(ecdh)).ecdh);
    assert_false(read_it(BYTES_ARRAY(sha1_oaep)).oaep); /* its default: SHA-1, not ours to write */
    assert_true(read_it(BYTES_ARRAY(sha256_oaep)).oaep);
    assert_false(read_it(BYTES_LIT("\x30\x00")).aes128_cbc);
}

static void test_cms_capable__refuses_what_is_none(void **state) {
    static const char *const bad[] = {"",
                                      "0",
                                      "\x30\x01\x05",
                                      "\x30\x80\0\0",
                                      "\x04\x02\x30\x00",
                                      "\x30\x02\x30\x00",
                                      "\x30\x04\x30\x02\x05\x00"};
    static const size_t sizes[] = {0, 1, 3, 4, 4, 4, 6};
    uint8_t many[2 + 4 + 13 * 200];
    cms_capable_t c;
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(ERR_INVALID, cms_capable_read(bytes_make(bad[i], sizes[i]), &c));
    many[n++] = 0x30;
    many[n++] = 0x82;
    many[n++] = (uint8_t)(13 * (LIMIT_MAIL_CAPABILITIES + 1) >> 8);
    many[n++] = (uint8_t)(13 * (LIMIT_MAIL_CAPABILITIES + 1));
    for (int i = 0; i <= LIMIT_MAIL_CAPABILITIES; i++) {
        static const uint8_t one[] = {AES(2)};
        memcpy(many + n, one, sizeof one);
        n += sizeof one;
    }
    assert_err(ERR_LIMIT, cms_capable_read(bytes_make(many, n), &c));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cms_capable__reads_our_own),
        cmocka_unit_test(test_cms_capable__reads_what_peers_write),
        cmocka_unit_test(test_cms_capable__refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
