/* Text of LDAP: escapes, names that are the same, GUIDs, URLs. */
#include "../unit.h"

#include "base/limits.h"
#include "directory/ldap_text.h"

static void assert_text(const buf_t *buf, const char *expected) {
    assert_int_equal(buf->n, strlen(expected));
    assert_memory_equal(buf->p, expected, buf->n);
}

static void test_ldap_text__escapes_filter_values(void **state) {
    static const struct {
        bytes_t in;
        const char *out;
    } cases[] = {
        {BYTES_LIT("nurse@example.org"), "nurse@example.org"},
        {BYTES_LIT("*)(uid=*"), "\\2a\\29\\28uid=\\2a"},
        {BYTES_LIT("a\\b"), "a\\5cb"},
        {BYTES_LIT("nul\0here\n"), "nul\\00here\\0a"},
        {BYTES_LIT("Mu\xc3\xb1oz"), "Mu\xc3\xb1oz"},
        {BYTES_LIT("\xff*"), "\\ff\\2a"}, /* no UTF-8: by bytes */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 100);
        assert_ok(ldaptext_filter_value(cases[i].in, &out));
        assert_text(&out, cases[i].out);
    }
    CLEANUP(buf_done) buf_t small;
    buf_init(&small, 4);
    assert_err(ERR_LIMIT, ldaptext_filter_binary(BYTES_LIT("ab"), &small));
}

static void test_ldap_text__escapes_name_values(void **state) {
    static const char *const cases[][2] = {
        {"Smith, J.", "Smith\\, J."},       {"#1", "\\#1"},           {" x ", "\\ x\\ "},
        {"a+b=\"c\"", "a\\+b\\=\\\"c\\\""}, {"\xc3\xa9", "\\c3\\a9"}, {" ", "\\ "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 100);
        assert_ok(ldaptext_dn_value(bytes_str(cases[i][0]), &out));
        assert_text(&out, cases[i][1]);
    }
}

static void assert_same(const char *a, const char *b, bool same) {
    CLEANUP(buf_done) buf_t x;
    CLEANUP(buf_done) buf_t y;
    buf_init(&x, 4096);
    buf_init(&y, 4096);
    assert_ok(ldaptext_dn_fold(bytes_str(a), &x));
    assert_ok(ldaptext_dn_fold(bytes_str(b), &y));
    assert_int_equal(bytes_eq(buf_bytes(&x), buf_bytes(&y)), same);
}

static void test_ldap_text__folds_spellings_of_one_name(void **state) {
    (void)state;
    assert_same("CN=Jo  Smith,OU=People", "cn = jo smith , ou=people", true);
    assert_same("cn=Smith\\, J", "cn=smith\\2c j", true);
    assert_same("uid=a+cn=b,dc=x", "CN=b + UID=a,dc=x", true);
    assert_same("cn=\\C3\\89", "cn=\xc3\x89", true);
    assert_same("cn=#0401ab", "cn=#0401AB ", true);
    assert_same("cn=a,ou=b", "cn=a\\,ou=b", false);
    assert_same("cn=a+b=c", "cn=a\\+b\\=c", false);
    assert_same("cn=#61", "cn=\\#61", false);
    assert_same("cn=a\\00", "cn=a", false);
}

static void test_ldap_text__refuses_what_is_no_name(void **state) {
    static const char *const bad[] = {"cn",        "=x",     "cn=a,",  ",cn=a",  "cn=a,,ou=b",
                                      "cn=a;ou=b", "cn=\\g", "cn=\\4", "cn=a\\", "cn=#1",
                                      "cn=#",      "cn=#zz", "cn=<a>", "cn=\"a", "c n=a",
                                      "cn=a+",     "\xff=a", "cn=\xc3"};
    CLEANUP(buf_done) buf_t out, many;
    (void)state;
    buf_init(&out, 1 << 16);
    buf_init(&many, 1 << 16);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, ldaptext_dn_fold(bytes_str(bad[i]), &out));
    for (int i = 0; i <= LIMIT_LDAP_RDNS; i++) assert_ok(buf_add_str(&many, i ? ",a=b" : "a=b"));
    assert_err(ERR_LIMIT, ldaptext_dn_fold(buf_bytes(&many), &out));
    buf_clear(&many);
    for (int i = 0; i <= LIMIT_LDAP_DN; i++) assert_ok(buf_add_str(&many, i ? "a" : "c="));
    assert_err(ERR_LIMIT, ldaptext_dn_fold(buf_bytes(&many), &out));
    assert_err(ERR_LIMIT, ldaptext_dn_fold(BYTES_LIT("a=1+b=1+c=1+d=1+e=1+f=1+g=1+h=1+i=1"), &out));
}

static void test_ldap_text__tells_what_is_beneath(void **state) {
    static const struct {
        const char *dn, *base;
        bool under;
    } cases[] = {
        {"uid=a,ou=people,dc=x", "OU=People, DC=x", true},
        {"ou=people,dc=x", "ou=people,dc=x", true},
        {"uid=a,ou=morepeople,dc=x", "people,dc=x", false},
        {"uid=a,ou=notpeople,dc=x", "ou=people,dc=x", false},
        {"uid=a\\,ou=people,dc=x", "ou=people,dc=x", false},
        {"uid=a\\2cou\\3dpeople,dc=x", "ou=people,dc=x", false},
        {"dc=x", "ou=people,dc=x", false},
        {"uid=a", "", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool under = !cases[i].under;
        err_t *e = ldaptext_dn_under(bytes_str(cases[i].dn), bytes_str(cases[i].base), &under);
        if (i == 2) assert_err(ERR_INVALID, e);
        else {
            assert_ok(e);
            assert_int_equal(under, cases[i].under);
        }
    }
}

static void test_ldap_text__guids_go_both_ways(void **state) {
    static const uint8_t guid[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                     0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    char text[TEXT_UUID_SIZE];
    uint8_t back[16];
    (void)state;
    assert_ok(ldaptext_guid(BYTES_ARRAY(guid), text));
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    assert_ok(ldaptext_unguid(bytes_str(text), back));
    assert_memory_equal(back, guid, sizeof guid);
    assert_err(ERR_INVALID, ldaptext_guid(bytes_make(guid, 15), text));
    assert_err(ERR_INVALID,
               ldaptext_unguid(BYTES_LIT("00112233-4455-6677-8899-aabbccddeef"), back));
    assert_err(ERR_INVALID,
               ldaptext_unguid(BYTES_LIT("00112233-4455-6677-8899-aabbccddeefff"), back));
    assert_err(ERR_INVALID,
               ldaptext_unguid(BYTES_LIT("x0112233-4455-6677-8899-aabbccddeeff"), back));
}

static void test_ldap_text__reads_urls(void **state) {
    static const struct {
        const char *text, *host;
        unsigned port;
        bool tls, loopback;
    } good[] = {
        {"ldap://dc1.example.org", "dc1.example.org", 389, false, false},
        {"ldaps://dc1.example.org/", "dc1.example.org", 636, true, false},
        {"ldaps://[::1]:1636", "::1", 1636, true, true},
        {"ldap://127.0.0.1:389", "127.0.0.1", 389, false, true},
        {"ldap://127.example.org", "127.example.org", 389, false, false},
        {"ldap://localhost", "localhost", 389, false, true},
    };
    static const char *const bad[] = {
        "",          "http://x",        "ldap://",    "ldaps://:636",  "ldap://x:99999",
        "ldap://x:", "ldap://x/dc=org", "ldap://x y", "ldap://user@x", "ldap://[::1",
        "ldapi://x", "ldap://[]:1"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ldaptext_url_t url;
        assert_ok(ldaptext_url(bytes_str(good[i].text), &url));
        assert_string_equal(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.tls, good[i].tls);
        assert_int_equal(ldaptext_is_loopback(&url), good[i].loopback);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ldaptext_url_t url;
        assert_err(ERR_INVALID, ldaptext_url(bytes_str(bad[i]), &url));
    }
}

static void test_ldap_text__filters_are_one_whole(void **state) {
    static const char *const bad[] = {"", "x", "()x", "(a=b", "a=b)", "(a=b)(c=d)", ")(", " (a=b)"};
    (void)state;
    assert_true(ldaptext_filter_whole(BYTES_LIT("(a=b)")));
    assert_true(ldaptext_filter_whole(BYTES_LIT("(&(a=b)(!(c=d)))")));
    assert_false(ldaptext_filter_whole(bytes_make("(a\0)", 4)));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ldaptext_filter_whole(bytes_str(bad[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ldap_text__escapes_filter_values),
        cmocka_unit_test(test_ldap_text__escapes_name_values),
        cmocka_unit_test(test_ldap_text__folds_spellings_of_one_name),
        cmocka_unit_test(test_ldap_text__refuses_what_is_no_name),
        cmocka_unit_test(test_ldap_text__tells_what_is_beneath),
        cmocka_unit_test(test_ldap_text__guids_go_both_ways),
        cmocka_unit_test(test_ldap_text__reads_urls),
        cmocka_unit_test(test_ldap_text__filters_are_one_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
