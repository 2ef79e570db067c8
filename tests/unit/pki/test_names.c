/*
 * Names and subjects that a challenge may be made for: src/pki/names.c.
 */
#include "../unit.h"
#include "base/buf.h"
#include "base/limits.h"
#include "pki/pki_internal.h"

static void test_names__good_lists_pass(void **state) {
    (void)state;
    static const char *const good[] = {
        "",
        "dns:router1.example.org",
        "dns:*.example.org  email:a@example.org",
        "uri:urn:uuid:1 upn:a@EXAMPLE.ORG ip:192.0.2.1 ip:2001:db8::1",
        "uri:https://example.org/a:b",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_ok(pki_names_validate(bytes_str(good[i])));
}

static void test_names__junk_is_told(void **state) {
    (void)state;
    static const char *const bad[] = {
        "junk",         "dns:",         "dns:a..b",
        "dns:a.",       "dns:-a",       "dns:a b",
        "dns:a_b",      "dns:*",        "dns:a.*.b",
        "email:nobody", "email:@b",     "email:a@",
        "email:a@b@c",  "uri:nothing",  "uri::x",
        "ip:192.0.2",   "ip:300.0.0.1", "other:1.2.3",
        "DNS:a",        "dns:a\nb",     "dns:a dns:b jun",
        ":a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, pki_names_validate(bytes_str(bad[i])));
    CLEANUP(buf_done) buf_t many;
    buf_init(&many, 65536);
    for (size_t i = 0; i <= LIMIT_SAN_ENTRIES; i++) assert_ok(buf_add_str(&many, "dns:a "));
    assert_err(ERR_LIMIT, pki_names_validate(buf_bytes(&many)));
}

static void test_names__good_subjects_pass(void **state) {
    (void)state;
    static const char *const good[] = {
        "",
        "CN=router1",
        "CN=router1,O=Example Clinic",
        "CN=a\\, b+UID=7,2.5.4.12=Dr.",
        "CN=a=b",
        "CN=\\ a\\ ",
        "emailAddress=a@example.org,CN=\xc3\xa4",
        "1.2.3.4=#0C0161",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_ok(pki_subject_validate(bytes_str(good[i])));
}

static void test_names__nonsense_subjects_are_told(void **state) {
    (void)state;
    static const char *const bad[] = {
        "nonsense",  "not a dn", "CN",       "CN=",       "=a",      "CN=a,",    "CN=a,O",
        "CN=a, O=b", "CN= a",    "CN=a ",    "CN=a\nb",   "/CN=a",   "CN=a;O=b", "12=a",
        "C N=a",     "CN=a\\",   "CN=\"a\"", "CN=a,,O=b", "CN=\x80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, pki_subject_validate(bytes_str(bad[i])));
    CLEANUP(buf_done) buf_t many;
    buf_init(&many, 65536);
    for (size_t i = 0; i <= LIMIT_SUBJECT_ENTRIES; i++)
        assert_ok(buf_printf(&many, "%sOU=a", i ? "," : ""));
    assert_err(ERR_LIMIT, pki_subject_validate(buf_bytes(&many)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names__good_lists_pass),
        cmocka_unit_test(test_names__junk_is_told),
        cmocka_unit_test(test_names__good_subjects_pass),
        cmocka_unit_test(test_names__nonsense_subjects_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
