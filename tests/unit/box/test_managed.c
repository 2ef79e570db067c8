/*
 * Managed app configuration as coffer-mailbox reads it.
 */
#include "box/managed.h"

#include <stdio.h>
#include <string.h>

#include "../unit.h"

#define TOKEN "cfd_0123456789"

static err_t *parse(const char *inside, box_managed_t *managed) {
    char xml[2048];
    (void)snprintf(xml, sizeof xml,
                   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>%s"
                   "</dict></plist>\n",
                   inside);
    return box_managed_parse(bytes_str(xml), managed);
}

static void check(const char *inside, bool lease, int64_t hours, const char *server,
                  const char *token) {
    CLEANUP(box_managed_done) box_managed_t m;
    box_managed_init(&m);
    assert_ok(parse(inside, &m));
    assert_int_equal(m.lease, lease);
    assert_int_equal(m.hours, hours);
    assert_string_equal(m.server, server);
    assert_true(bytes_eq_str(buf_bytes(&m.token), token));
}

static void test_managed__takes_our_names_and_the_others(void **state) {
    (void)state;
    check("<key>CofferLease</key><true/><key>CofferLeaseHours</key><integer>24</integer>"
          "<key>CofferServer</key><string>https://a.example:1</string>"
          "<key>CofferToken</key><string>" TOKEN "</string>",
          true, 24, "https://a.example:1", TOKEN);
    check("<key>ENSEnableKeyEscrow</key><integer>1</integer>"
          "<key>ENSKeyEscrowExpiry</key><integer>12</integer>"
          "<key>ENSLinkAddress</key><string>https://b.example</string>"
          "<key>ENSAPIToken</key><string>" TOKEN "</string>",
          true, 12, "https://b.example", TOKEN);
}

static void test_managed__ours_come_first(void **state) {
    (void)state;
    check("<key>ENSEnableKeyEscrow</key><integer>1</integer><key>CofferLease</key><false/>"
          "<key>ENSKeyEscrowExpiry</key><integer>12</integer>"
          "<key>CofferLeaseHours</key><integer>2</integer>",
          false, 2, "", "");
}

static void test_managed__without_a_word_there_is_no_lease(void **state) {
    (void)state;
    check("", false, 48, "", "");
    check("<key>Another</key><array/><key>CofferServer</key><string>https://a</string>", false, 48,
          "https://a", "");
}

static void test_managed__refuses_what_does_not_fit(void **state) {
    (void)state;
    static const struct {
        const char *inside, *says;
    } bad[] = {
        {"<key>CofferLease</key><string>yes</string>", "CofferLease"},
        {"<key>ENSEnableKeyEscrow</key><integer>2</integer>", "ENSEnableKeyEscrow"},
        {"<key>CofferLeaseHours</key><integer>0</integer>", "CofferLeaseHours"},
        {"<key>ENSKeyEscrowExpiry</key><integer>169</integer>", "ENSKeyEscrowExpiry"},
        {"<key>CofferServer</key><string>http://a</string>", "https"},
        {"<key>CofferServer</key><integer>1</integer>", "CofferServer"},
        {"<key>CofferServer</key><string>https://a example/ x</string>", "no URL"},
        {"<key>CofferServer</key><string>https://</string>", "no URL"},
        {"<key>CofferServer</key><string>https:///path</string>", "no URL"},
        {"<key>CofferToken</key><string>a\nb</string>", "CofferToken"},
        {"<key>CofferLease</key><true/>", "no server"},
        {"<key>CofferLease</key><true/><key>CofferServer</key><string>https://a</string>",
         "no token"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(box_managed_done) box_managed_t m;
        char why[256];
        box_managed_init(&m);
        err_t *e = parse(bad[i].inside, &m);
        assert_non_null(e);
        (void)err_text(e, why, sizeof why);
        if (!strstr(why, bad[i].says)) fail_msg("%s: %s", bad[i].inside, why);
        err_free(e);
        assert_int_equal(m.token.n, 0);
    }
    CLEANUP(box_managed_done) box_managed_t m;
    box_managed_init(&m);
    assert_err(ERR_INVALID, box_managed_parse(BYTES_LIT("<plist"), &m));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_managed__takes_our_names_and_the_others),
        cmocka_unit_test(test_managed__ours_come_first),
        cmocka_unit_test(test_managed__without_a_word_there_is_no_lease),
        cmocka_unit_test(test_managed__refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
