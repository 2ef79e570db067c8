/*
 * Device messages taken apart: what is demanded, what is forgiven.
 */
#include "../unit.h"

#include "base/fault.h"
#include "base/limits.h"
#include "device/mdm_message.h"

#define PLIST(inside) BYTES_LIT("<plist version=\"1.0\"><dict>" inside "</dict></plist>")
#define S(key, value) "<key>" key "</key><string>" value "</string>"
#define D(key, value) "<key>" key "</key><data>" value "</data>"

#define TOKEN_UPDATE                                                                               \
    S("MessageType", "TokenUpdate")                                                                \
    S("UDID", "U") S("Topic", "t") D("Token", "AAEC") S("PushMagic", "m")

static void test_mdm_message__token_update_is_read(void **state) {
    (void)state;
    CLEANUP(mdm_checkin_done) mdm_checkin_t m = {0};
    assert_ok(mdm_checkin_parse(
        PLIST(TOKEN_UPDATE D("UnlockToken", "AA==") "<key>AwaitingConfiguration</key><true/>"),
        &m));
    assert_int_equal(m.type, MDM_TOKEN_UPDATE);
    assert_string_equal(m.key, "U");
    assert_int_equal(m.token.n, 3);
    assert_int_equal(m.unlock_token.n, 1);
    assert_true(m.awaiting_configuration);
    assert_false(m.user_channel);
}

static void test_mdm_message__enrolment_id_comes_before_udid(void **state) {
    (void)state;
    CLEANUP(mdm_checkin_done) mdm_checkin_t m = {0};
    assert_ok(mdm_checkin_parse(PLIST(S("MessageType", "CheckOut") S("EnrollmentID", "E")
                                          S("UDID", "U") S("EnrollmentUserID", "P")),
                                &m));
    assert_string_equal(m.key, "E");
    assert_string_equal(m.udid, "U");
    assert_true(m.user_channel);
}

static void test_mdm_message__bad_checkins_are_refused(void **state) {
    (void)state;
    const bytes_t bad[] = {
        BYTES_LIT(""),
        BYTES_LIT("bplist00"),
        PLIST(S("UDID", "U")),
        PLIST(S("MessageType", "Hello") S("UDID", "U")),
        PLIST(S("MessageType", "CheckOut")),
        PLIST(S("MessageType", "CheckOut") S("UDID", "")),
        PLIST(S("MessageType", "TokenUpdate") S("UDID", "U") S("Topic", "t") D("Token", "")
                  S("PushMagic", "m")),
        PLIST(S("MessageType", "TokenUpdate") S("UDID", "U") S("Topic", "t") S("Token", "AAEC")
                  S("PushMagic", "m")),
        PLIST(S("MessageType", "TokenUpdate") S("UDID", "U") S("Topic", "t") D("Token", "AAEC")),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mdm_checkin_t m;
        assert_err(ERR_INVALID, mdm_checkin_parse(bad[i], &m));
    }
}

static void test_mdm_message__odd_names_keep_nobody_out(void **state) {
    (void)state;
    CLEANUP(mdm_checkin_done) mdm_checkin_t m = {0};
    assert_ok(mdm_checkin_parse(
        PLIST(S("MessageType", "Authenticate") S("UDID", "U") S("DeviceName", "a&#10;b")), &m));
    assert_string_equal(m.name, "");
}

static void test_mdm_message__results_need_a_command(void **state) {
    (void)state;
    CLEANUP(mdm_result_done) mdm_result_t r = {0};
    mdm_result_t unused;
    assert_ok(mdm_result_parse(PLIST(S("Status", "Idle") S("UDID", "U")), &r));
    assert_int_equal(r.status, MDM_IDLE);
    assert_err(ERR_INVALID,
               mdm_result_parse(PLIST(S("Status", "Acknowledged") S("UDID", "U")), &unused));
    assert_err(ERR_INVALID, mdm_result_parse(PLIST(S("Status", "Maybe") S("UDID", "U")), &unused));
    assert_err(ERR_INVALID, mdm_result_parse(PLIST(S("Status", "Idle")), &unused));
}

static void test_mdm_message__error_chain_becomes_json(void **state) {
    (void)state;
    CLEANUP(mdm_result_done) mdm_result_t r = {0};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, LIMIT_JSON_BYTES);
    assert_ok(mdm_result_parse(
        PLIST(S("Status", "Error") S("UDID", "U") S(
            "CommandUUID", "C") "<key>ErrorChain</key><array><dict><key>ErrorCode</"
                                "key><integer>12026</integer>" S("ErrorDomain", "MCMDMErrorDomain")
                                    S("USEnglishDescription", "no") "</dict>"
                                                                    "</array>"),
        &r));
    assert_ok(mdm_error_chain(&r, &out));
    assert_true(
        bytes_eq_str(buf_bytes(&out),
                     "[{\"code\":12026,\"domain\":\"MCMDMErrorDomain\",\"description\":\"no\"}]"));
}

static void test_mdm_message__survives_every_failing_allocation(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        CLEANUP(mdm_checkin_done) mdm_checkin_t m = {0};
        fault_arm_memory(n);
        err_t *e = mdm_checkin_parse(PLIST(TOKEN_UPDATE), &m);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_err(ERR_NOMEM, e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mdm_message__token_update_is_read),
        cmocka_unit_test(test_mdm_message__enrolment_id_comes_before_udid),
        cmocka_unit_test(test_mdm_message__bad_checkins_are_refused),
        cmocka_unit_test(test_mdm_message__odd_names_keep_nobody_out),
        cmocka_unit_test(test_mdm_message__results_need_a_command),
        cmocka_unit_test(test_mdm_message__error_chain_becomes_json),
        cmocka_unit_test(test_mdm_message__survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
