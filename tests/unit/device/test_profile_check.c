/*
 * Which profiles an administrator may store.
 */
#include "../unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "device/profile_check.h"

#define S(key, value) "<key>" key "</key><string>" value "</string>"
#define V             "<key>PayloadVersion</key><integer>1</integer>"
#define WIFI(uuid)                                                                                 \
    "<dict>" S("PayloadType", "com.apple.wifi.managed") S("PayloadIdentifier", "org.example.w.1")  \
        S("PayloadUUID", uuid) V "</dict>"
#define PROFILE(type, payloads)                                                                    \
    BYTES_LIT("<plist version=\"1.0\"><dict>" S("PayloadType", type)                               \
                  S("PayloadIdentifier", "org.example.wifi") S("PayloadUUID", "P")                 \
                      S("PayloadDisplayName", "Wi-Fi") V                                           \
              "<key>PayloadContent</key><array>" payloads "</array></dict></plist>")

static err_t *check(bytes_t content, char name[64]) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    const char *identifier = NULL, *display = NULL;
    assert_ok(arena_new(65536, &arena));
    TRY(profile_check(content, arena, &identifier, &display));
    (void)snprintf(name, 64, "%s/%s", identifier, display);
    return NULL;
}

static void test_profile_check__good_profile_is_named(void **state) {
    (void)state;
    char name[64];
    assert_ok(check(PROFILE("Configuration", WIFI("A") WIFI("B")), name));
    assert_string_equal(name, "org.example.wifi/Wi-Fi");
}

static void test_profile_check__bad_profiles_are_refused(void **state) {
    (void)state;
    const bytes_t bad[] = {
        BYTES_LIT(""),
        BYTES_LIT("\x30\x80signed"),
        BYTES_LIT("<plist version=\"1.0\"><dict/></plist>"),
        PROFILE("Profile Service", WIFI("A")),
        PROFILE("Configuration", ""),
        PROFILE("Configuration", "<string>x</string>"),
        PROFILE("Configuration", WIFI("A") WIFI("a")),
        PROFILE("Configuration", WIFI("p")),
        PROFILE("Configuration", "<dict>" S("PayloadType", "x") S("PayloadUUID", "A") V "</dict>"),
        PROFILE("Configuration", "<dict>" S("PayloadType", "com.apple.mdm")
                                     S("PayloadIdentifier", "i") S("PayloadUUID", "A") V "</dict>"),
    };
    char name[64];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, check(bad[i], name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile_check__good_profile_is_named),
        cmocka_unit_test(test_profile_check__bad_profiles_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
