/*
 * How the simulated device answers commands, what it remembers and what it forgets.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pki_fixture.h"
#include "program/sim/device_answer.h"

typedef struct {
    pki_fixture_t *pki;
    char dir[64];
    credential_t factory;
    sim_device_t device;
} world_t;

static int world_setup(void **state) {
    world_t *w = mem_zalloc(sizeof *w);
    assert_non_null(w);
    void *pki = NULL;
    assert_int_equal(fixture_setup(&pki), 0);
    w->pki = pki;
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/coffer-sim-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_ok(factory_ca_make(FIXTURE_NOW, rnd_real(), &w->factory));
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, 1 << 16);
    assert_ok(cert_pem(w->pki->root.cert, &pem));
    device_birth_t birth = {.roots_pem = buf_bytes(&pem), .factory_ca = &w->factory};
    assert_ok(device_create(w->dir, &birth, FIXTURE_NOW, rnd_real(), &w->device));
    w->device.mdm.cert = cert_share(w->pki->tls.cert);
    w->device.mdm.key = pkey_share(w->pki->tls.key);
    assert_ok(plist_set_data(w->device.state, "UnlockToken", BYTES_LIT("unlock me")));
    *state = w;
    return 0;
}

static int world_teardown(void **state) {
    world_t *w = *state;
    static const char *const files[] = {"state.plist",      "lock",        "factory.key.pem",
                                        "factory.cert.pem", "ota.key.pem", "ota.cert.pem"};
    device_done(&w->device);
    credential_done(&w->factory);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        CLEANUP(mem_free) char *path = mem_printf("%s/%s", w->dir, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0);
    void *pki = w->pki;
    (void)fixture_teardown(&pki);
    mem_free(w);
    return 0;
}

/* Obeys the command in `xml` (the inside of the Command dictionary). */
static answer_t obey(world_t *w, faults_t *faults, const char *xml, plist_doc_t **ret_result) {
    CLEANUP(plist_free) plist_doc_t *command = NULL;
    plist_t *result = NULL;
    answer_t answer = {0};
    CLEANUP(mem_free)
    char *text = mem_printf("<plist version=\"1.0\"><dict>%s</dict></plist>", xml);
    faults_t none = {.apps = 3};
    assert_ok(plist_parse(bytes_str(text), &command));
    assert_ok(
        plist_parse_dict(BYTES_LIT("<plist version=\"1.0\"><dict/></plist>"), ret_result, &result));
    assert_ok(device_answer(&w->device, plist_root(command), faults ? faults : &none, FIXTURE_NOW,
                            result, &answer));
    bytes_t status = BYTES_NONE;
    assert_ok(plist_get_string(result, "Status", 64, true, &status));
    assert_true(bytes_eq_str(status, answer.status));
    return answer;
}

#define TYPE(name) "<key>RequestType</key><string>" name "</string>"

static void test_answer__tells_what_it_is_asked(void **state) {
    CLEANUP(plist_free) plist_doc_t *result = NULL;
    answer_t a = obey(*state, NULL,
                      TYPE("DeviceInformation") "<key>Queries</key><array><string>UDID</string>"
                                                "<string>OSVersion</string><string>Nonsense"
                                                "</string></array>",
                      &result);
    const plist_t *told = plist_get(plist_root(result), "QueryResponses");
    assert_string_equal(a.status, "Acknowledged");
    assert_int_equal(plist_count(told), 2);
    assert_non_null(plist_get(told, "UDID"));
}

static void test_answer__knows_the_other_questions(void **state) {
    static const char *const types[][2] = {
        {"SecurityInfo", "SecurityInfo"},
        {"ProfileList", "ProfileList"},
        {"CertificateList", "CertificateList"},
        {"InstalledApplicationList", "InstalledApplicationList"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        CLEANUP(plist_free) plist_doc_t *result = NULL;
        CLEANUP(mem_free) char *xml = mem_printf(TYPE("%s"), types[i][0]);
        answer_t a = obey(*state, NULL, xml, &result);
        assert_string_equal(a.status, "Acknowledged");
        assert_non_null(plist_get(plist_root(result), types[i][1]));
    }
}

static void test_answer__refuses_commands_it_does_not_know(void **state) {
    CLEANUP(plist_free) plist_doc_t *result = NULL;
    CLEANUP(plist_free) plist_doc_t *second = NULL;
    answer_t a = obey(*state, NULL, TYPE("MakeCoffee"), &result);
    assert_string_equal(a.status, "CommandFormatError");
    a = obey(*state, NULL, TYPE("DeviceInformation"), &second); /* no Queries */
    assert_string_equal(a.status, "CommandFormatError");
}

static void test_answer__remembers_the_lock(void **state) {
    world_t *w = *state;
    CLEANUP(plist_free) plist_doc_t *result = NULL;
    answer_t a = obey(
        w, NULL, TYPE("DeviceLock") "<key>Message</key><string>bring me back</string>", &result);
    assert_string_equal(a.status, "Acknowledged");
    assert_non_null(strstr(a.said, "bring me back"));
    assert_true(device_flag(&w->device, "Locked"));
    assert_string_equal(device_text(&w->device, "LockMessage"), "bring me back");
}

static void test_answer__clears_the_passcode_for_its_own_token_only(void **state) {
    world_t *w = *state;
    CLEANUP(plist_free) plist_doc_t *wrong = NULL;
    CLEANUP(plist_free) plist_doc_t *none = NULL;
    CLEANUP(plist_free) plist_doc_t *right = NULL;
    answer_t a =
        obey(w, NULL, TYPE("ClearPasscode") "<key>UnlockToken</key><data>dW5sb2NrIGhpbQ==</data>",
             &wrong);
    assert_string_equal(a.status, "Error");
    assert_int_equal(plist_count(plist_get(plist_root(wrong), "ErrorChain")), 1);
    assert_string_equal(obey(w, NULL, TYPE("ClearPasscode"), &none).status, "Error");
    assert_true(device_flag(&w->device, "Passcode"));
    a = obey(w, NULL, TYPE("ClearPasscode") "<key>UnlockToken</key><data>dW5sb2NrIG1l</data>",
             &right);
    assert_string_equal(a.status, "Acknowledged");
    assert_false(device_flag(&w->device, "Passcode"));
}

static const char profile_xml[] =
    "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>PayloadType</key><string>"
    "Configuration</string><key>PayloadVersion</key><integer>1</integer><key>PayloadIdentifier"
    "</key><string>org.example.wifi</string><key>PayloadUUID</key><string>"
    "11111111-2222-3333-4444-555555555555</string></dict></plist>";

static answer_t install(world_t *w, bytes_t payload) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(plist_free) plist_doc_t *result = NULL;
    plist_t *command = NULL, *out = NULL;
    faults_t none = {0};
    answer_t answer = {0};
    assert_ok(
        plist_parse_dict(BYTES_LIT("<plist version=\"1.0\"><dict/></plist>"), &doc, &command));
    assert_ok(plist_parse_dict(BYTES_LIT("<plist version=\"1.0\"><dict/></plist>"), &result, &out));
    assert_ok(plist_set_string(command, "RequestType", "InstallProfile"));
    assert_ok(plist_set_data(command, "Payload", payload));
    assert_ok(device_answer(&w->device, command, &none, FIXTURE_NOW, out, &answer));
    return answer;
}

static void test_answer__installs_profiles_it_can_verify(void **state) {
    world_t *w = *state;
    CLEANUP(buf_done) buf_t good;
    CLEANUP(buf_done) buf_t bad;
    CLEANUP(plist_free) plist_doc_t *removed = NULL;
    CLEANUP(plist_free) plist_doc_t *again = NULL;
    fixture_sign(&w->pki->signer, bytes_str(profile_xml), NULL, &good);
    fixture_sign(&w->pki->foreign_signer, bytes_str(profile_xml), NULL, &bad);
    assert_string_equal(install(w, buf_bytes(&bad)).status, "Error");
    assert_int_equal(plist_count(plist_get(w->device.state, "Profiles")), 0);
    assert_string_equal(install(w, buf_bytes(&good)).status, "Acknowledged");
    assert_string_equal(install(w, bytes_str(profile_xml)).status, "Acknowledged");
    assert_string_equal(install(w, BYTES_LIT("junk")).status, "Error");
    assert_int_equal(plist_count(plist_get(w->device.state, "Profiles")), 1);
    const char *remove = TYPE("RemoveProfile") "<key>Identifier</key><string>org.example.wifi"
                                               "</string>";
    assert_string_equal(obey(w, NULL, remove, &removed).status, "Acknowledged");
    assert_string_equal(obey(w, NULL, remove, &again).status, "Error");
}

static void test_answer__misbehaves_as_told(void **state) {
    faults_t faults = {.not_now_count = 1, .error_type = "RestartDevice"};
    CLEANUP(plist_free) plist_doc_t *a = NULL;
    CLEANUP(plist_free) plist_doc_t *b = NULL;
    CLEANUP(plist_free) plist_doc_t *c = NULL;
    assert_string_equal(obey(*state, &faults, TYPE("SecurityInfo"), &a).status, "NotNow");
    assert_string_equal(obey(*state, &faults, TYPE("SecurityInfo"), &b).status, "Acknowledged");
    assert_string_equal(obey(*state, &faults, TYPE("RestartDevice"), &c).status, "Error");
}

static void test_state__one_process_has_a_device(void **state) {
    world_t *w = *state;
    sim_device_t other = {.lock = -1};
    bool found = false;
    assert_err(ERR_BUSY, device_open(w->dir, &found, &other));
}

static void test_state__erase_keeps_the_hardware_alone(void **state) {
    world_t *w = *state;
    CLEANUP(plist_free) plist_doc_t *result = NULL;
    CLEANUP(mem_free) char *udid = mem_strdup(device_text(&w->device, "UDID"));
    bool found = false;
    assert_int_equal(obey(w, NULL, TYPE("EraseDevice"), &result).after, AFTER_ERASE);
    assert_ok(device_wipe(&w->device));
    device_done(&w->device);
    assert_ok(device_open(w->dir, &found, &w->device));
    assert_true(found);
    assert_int_equal(w->device.stage, STAGE_NEW);
    assert_string_equal(device_text(&w->device, "UDID"), udid);
    assert_int_equal(device_data(&w->device, "UnlockToken").n, 0);
    assert_null(w->device.mdm.cert);
    assert_non_null(w->device.factory.cert);
    assert_ok(cert_verify_signed_by_key(w->device.factory.cert, cert_key(w->factory.cert)));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_answer__tells_what_it_is_asked),
        TEST(test_answer__knows_the_other_questions),
        TEST(test_answer__refuses_commands_it_does_not_know),
        TEST(test_answer__remembers_the_lock),
        TEST(test_answer__clears_the_passcode_for_its_own_token_only),
        TEST(test_answer__installs_profiles_it_can_verify),
        TEST(test_answer__misbehaves_as_told),
        TEST(test_state__one_process_has_a_device),
        TEST(test_state__erase_keeps_the_hardware_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
