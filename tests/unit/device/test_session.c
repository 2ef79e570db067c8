/*
 * Sessions and check-ins beyond the replayed dialogues: signatures, client certificates, tokens,
 * what results leave behind, profiles for many devices.
 */
#include <stdio.h>

#include "base/mem.h"
#include "device/caller.h"
#include "device_fixture.h"

static int setup(void **state) {
    fx_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    fx_make(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fx_done(*state);
    mem_free(*state);
    return 0;
}

#define IDLE(udid)                                                                                 \
    BYTES_LIT("<plist version=\"1.0\"><dict><key>Status</key><string>Idle</string>"                \
              "<key>UDID</key><string>" udid "</string></dict></plist>")

static void test_session__signature_covers_the_exact_body(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    CLEANUP(buf_done) buf_t der, signature;
    CLEANUP(device_answer_done) device_answer_t answer;
    const cms_sign_options_t detached = {.detached = true};
    device_answer_init(&answer);
    buf_init(&der, 65536);
    buf_init(&signature, 65536);
    assert_ok(cms_sign(d->signer, IDLE("UDID-A"), &detached, &der));
    assert_ok(text_base64(buf_bytes(&der), &signature));
    device_request_t request = {
        .body = IDLE("UDID-A"), .signature = buf_bytes(&signature), .peer = "192.0.2.1"};
    assert_ok(devices_session(f->devices, &request, &answer));
    assert_int_equal(answer.status, 200);
    request.body = IDLE("UDID-B");
    assert_err(ERR_VERIFY, devices_session(f->devices, &request, &answer));
    request.signature = BYTES_LIT("!!!");
    assert_err(ERR_INVALID, devices_session(f->devices, &request, &answer));
    request.signature = BYTES_NONE;
    assert_err(ERR_DENIED, devices_session(f->devices, &request, &answer));
}

static void test_session__client_certificate_serves_as_well(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    device_request_t request = {
        .body = IDLE("UDID-A"), .client_cert = cert_der(d->cert), .peer = "192.0.2.1"};
    assert_ok(devices_session(f->devices, &request, &answer));
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.n, 0);
    /* The keeper's own certificate was never a device. */
    request.client_cert = cert_der(pki_device_ca(f->pki));
    assert_ok(devices_session(f->devices, &request, &answer));
    assert_int_equal(answer.status, 403);
}

static void test_session__expired_identity_is_unknown(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    fx_advance(f, 400LL * 86400 * 1000 * 10); /* long past its validity */
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "403");
}

static void test_session__device_information_goes_into_the_row(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_string_equal(fx_queue(f, d, "DeviceInformation", "", false), "ok");
    assert_string_equal(fx_queue(f, d, "SecurityInfo", "", false), "ok");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "DeviceInformation");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL,
                                  "<key>QueryResponses</key><dict>"
                                  "<key>DeviceName</key><string>Till 3</string>"
                                  "<key>OSVersion</key><string>17.1</string>"
                                  "<key>BatteryLevel</key><real>0.5</real></dict>"),
                        "SecurityInfo");
    assert_string_equal(fx_result(f, d, "Acknowledged", NULL,
                                  "<key>SecurityInfo</key><dict>"
                                  "<key>PasscodePresent</key><true/></dict>"),
                        "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM device WHERE name = 'Till 3' AND"
                                  " os_version = '17.1' AND product = 'iPhone14,5' AND"
                                  " info LIKE '%BatteryLevel%' AND info LIKE '%PasscodePresent%'"),
                     1);
}

static void test_session__error_chain_is_kept(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    assert_string_equal(fx_queue(f, d, "ProfileList", "", false), "ok");
    assert_string_equal(fx_queue(f, d, "ProfileList", "", false), "ok");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "ProfileList");
    assert_string_equal(
        fx_result(f, d, "Error", NULL,
                  "<key>ErrorChain</key><array><dict><key>ErrorCode</key><integer>7</integer>"
                  "</dict></array>"),
        "ProfileList");
    /* An odd chain stops no queue. */
    assert_string_equal(
        fx_result(f, d, "Error", NULL, "<key>ErrorChain</key><array><true/></array>"), "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM command WHERE state = 'error'"), 2);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM command WHERE error LIKE '%:7%'"), 1);
}

static void test_session__user_channel_overwrites_nothing(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "MacBookPro18,1");
    bytes_t update = BYTES_LIT(
        "<plist version=\"1.0\"><dict><key>MessageType</key><string>TokenUpdate</string>"
        "<key>UDID</key><string>UDID-A</string><key>UserID</key><string>P</string>"
        "<key>Topic</key><string>com.apple.mgmt.External.1</string>"
        "<key>Token</key><data>AAAA</data><key>PushMagic</key><string>user</string></dict>"
        "</plist>");
    assert_string_equal(fx_send(f, d, NULL, true, update), "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM device WHERE push_magic = 'magic'"), 1);
    assert_string_equal(fx_queue(f, d, "ProfileList", "", false), "ok");
    bytes_t idle = BYTES_LIT("<plist version=\"1.0\"><dict><key>Status</key><string>Idle</string>"
                             "<key>UDID</key><string>UDID-A</string><key>UserID</key>"
                             "<string>P</string></dict></plist>");
    assert_string_equal(fx_send(f, d, NULL, false, idle), "empty");
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "ProfileList");
}

static void test_session__bootstrap_token_comes_back(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "MacBookPro18,1");
    bytes_t set = BYTES_LIT(
        "<plist version=\"1.0\"><dict><key>MessageType</key><string>SetBootstrapToken</string>"
        "<key>BootstrapToken</key><data>c2VjcmV0</data></dict></plist>");
    bytes_t unset = BYTES_LIT(
        "<plist version=\"1.0\"><dict><key>MessageType</key><string>SetBootstrapToken</string>"
        "</dict></plist>");
    assert_string_equal(fx_send(f, d, NULL, true, set), "empty");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM sealed_secret WHERE sealed = 'secret'"), 0);
    assert_string_equal(fx_simple(f, d, "GetBootstrapToken"), "plist");
    assert_non_null(memmem(f->body.p, f->body.n, "c2VjcmV0", 8));
    assert_string_equal(fx_send(f, d, NULL, true, unset), "empty");
    assert_string_equal(fx_simple(f, d, "GetBootstrapToken"), "plist");
    assert_null(memmem(f->body.p, f->body.n, "BootstrapToken", 14));
}

#define WIFI                                                                                       \
    BYTES_LIT("<plist version=\"1.0\"><dict>"                                                      \
              "<key>PayloadType</key><string>Configuration</string>"                               \
              "<key>PayloadIdentifier</key><string>org.example.wifi</string>"                      \
              "<key>PayloadUUID</key><string>P</string>"                                           \
              "<key>PayloadVersion</key><integer>1</integer>"                                      \
              "<key>PayloadContent</key><array><dict>"                                             \
              "<key>PayloadType</key><string>com.apple.wifi.managed</string>"                      \
              "<key>PayloadIdentifier</key><string>org.example.wifi.1</string>"                    \
              "<key>PayloadUUID</key><string>Q</string>"                                           \
              "<key>PayloadVersion</key><integer>1</integer></dict></array></dict></plist>")

static void test_session__assigned_profiles_are_installed(void **state) {
    fx_t *f = *state;
    const char *admin = "person:admin@example.org", *identifier = NULL;
    int64_t count = 0;
    fx_device_t *a = fx_ready(f, "A", "iPhone14,5");
    assert_ok(devices_profile_put(f->devices, f->arena, WIFI, admin, &identifier));
    assert_string_equal(identifier, "org.example.wifi");
    assert_ok(devices_profile_assign(f->devices, identifier, "*", admin, &count));
    assert_int_equal(count, 1);
    assert_string_equal(fx_result(f, a, "Idle", NULL, NULL), "InstallProfile");
    assert_string_equal(fx_result(f, a, "Acknowledged", NULL, NULL), "empty");
    /* A device that enrols later gets it too. */
    fx_device_t *b = fx_device(f, "B", "UDID-B", "iPhone14,5");
    fx_enrol(f, b);
    assert_string_equal(fx_authenticate(f, b, NULL), "empty");
    assert_string_equal(fx_token(f, b, NULL), "empty");
    assert_string_equal(fx_result(f, b, "Idle", NULL, NULL), "DeviceInformation");
    assert_string_equal(fx_result(f, b, "Acknowledged", NULL, NULL), "SecurityInfo");
    assert_string_equal(fx_result(f, b, "Acknowledged", NULL, NULL), "InstallProfile");
    assert_string_equal(fx_result(f, b, "Acknowledged", NULL, NULL), "empty");
    /* Taken from all, but A has an assignment of its own and keeps it. */
    assert_ok(devices_profile_assign(f->devices, identifier, "UDID-A", admin, &count));
    assert_ok(devices_profile_unassign(f->devices, identifier, "*", admin, &count));
    assert_int_equal(count, 1);
    assert_string_equal(fx_result(f, b, "Idle", NULL, NULL), "RemoveProfile");
    assert_err(ERR_NOT_FOUND, devices_profile_unassign(f->devices, identifier, "*", admin, &count));
    assert_err(ERR_NOT_FOUND, devices_profile_assign(f->devices, "no.such", "*", admin, &count));
    assert_ok(devices_profile_remove(f->devices, identifier, admin));
    assert_err(ERR_NOT_FOUND, devices_profile_remove(f->devices, identifier, admin));
}

static void test_session__queueing_wakes_the_courier(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    int before = f->jobs;
    assert_string_equal(fx_queue(f, d, "ProfileList", "", true), "ok");
    assert_int_equal(f->jobs, before);
    assert_string_equal(fx_queue(f, d, "ProfileList", "", false), "ok");
    assert_int_equal(f->jobs, before + 1);
    assert_ok(devices_push(f->devices, "A", "person:admin@example.org"));
    assert_int_equal(f->jobs, before + 2);
    assert_err(ERR_NOT_FOUND, devices_push(f->devices, "Z", "person:admin@example.org"));
}

static size_t offered(fx_t *f, const char *command, bool *ret_open) {
    CLEANUP(buf_done) buf_t token;
    buf_init_secret(&token, 128);
    assert_ok(devices_token_offer(f->devices, "A", command, "device:A", ret_open, &token));
    return token.n;
}

/* It is picked in one transaction and its token made in another: it may be called back between. */
static void test_session__a_command_that_was_called_back_brings_no_token(void **state) {
    fx_t *f = *state;
    fx_device_t *d = fx_ready(f, "A", "iPhone14,5");
    const char *admin = "person:admin@example.org", *uuid = NULL, *later = NULL;
    mail_app_t app = {.identifier = "org.example.mail", .lease = true, .hours = 48};
    bool open = true;
    assert_ok(devices_mail_app(f->devices, f->arena, "A", &app, admin, &uuid));
    assert_int_equal(offered(f, uuid, &open), 0); /* not fetched */
    assert_false(open);
    assert_string_equal(fx_result(f, d, "Idle", NULL, NULL), "Settings");
    assert_true(offered(f, uuid, &open) > 0 && open);
    app.lease = false;
    assert_ok(devices_mail_app(f->devices, f->arena, "A", &app, admin, &later));
    assert_int_equal(offered(f, uuid, &open), 0);
    assert_false(open);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_session__signature_covers_the_exact_body),
        TEST(test_session__client_certificate_serves_as_well),
        TEST(test_session__expired_identity_is_unknown),
        TEST(test_session__device_information_goes_into_the_row),
        TEST(test_session__error_chain_is_kept),
        TEST(test_session__user_channel_overwrites_nothing),
        TEST(test_session__bootstrap_token_comes_back),
        TEST(test_session__assigned_profiles_are_installed),
        TEST(test_session__queueing_wakes_the_courier),
        TEST(test_session__a_command_that_was_called_back_brings_no_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
