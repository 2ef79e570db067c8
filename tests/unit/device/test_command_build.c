/*
 * Commands from JSON: every type, and what is wrong with parameters.
 */
#include "../unit.h"

#include "device/command_schema.h"

static err_t *make(const char *type, const char *json, buf_t *xml, buf_t *secret) {
    CLEANUP(jso_free) json_t *parameters = NULL;
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    const command_schema_t *schema = command_schema_find(bytes_str(type));
    assert_non_null(schema);
    if (json[0]) TRY(jso_parse_object(bytes_str(json), &parameters));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &dict));
    TRY(command_build(schema, parameters, dict, secret));
    return plist_write(dict, xml);
}

static bool has(const buf_t *xml, const char *text) {
    return memmem(xml->p, xml->n, text, strlen(text)) != NULL;
}

static void test_command_build__plain_ones_need_nothing(void **state) {
    (void)state;
    static const char *const types[] = {
        "DeviceInformation", "SecurityInfo", "ProfileList",   "CertificateList",
        "DeviceLock",        "EraseDevice",  "ClearPasscode", "InstalledApplicationList",
        "RestartDevice",
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        CLEANUP(buf_done) buf_t xml, secret;
        buf_init(&xml, LIMIT_COMMAND_BYTES);
        buf_init_secret(&secret, 100);
        assert_ok(make(types[i], "", &xml, &secret));
        assert_true(has(&xml, types[i]));
    }
}

static void test_command_build__values_keep_their_types(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t xml, secret;
    buf_init(&xml, LIMIT_COMMAND_BYTES);
    buf_init_secret(&secret, 100);
    assert_ok(make("Settings",
                   "{\"Settings\":[{\"Item\":\"ApplicationConfiguration\",\"Identifier\":\"a.b\","
                   "\"Configuration\":{\"n\":-3,\"r\":1.5,\"b\":true,\"l\":[1,[\"x\"],{}]}},"
                   "{\"Item\":\"Wallpaper\",\"Image\":\"AAEC\",\"Where\":3}]}",
                   &xml, &secret));
    static const char *const pieces[] = {"<integer>-3</integer>",
                                         "<real>1.5</real>",
                                         "<true/>",
                                         "<string>x</string>",
                                         "AAEC",
                                         "<dict/>"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) assert_true(has(&xml, pieces[i]));
}

static void test_command_build__pin_stays_out(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t xml, secret;
    buf_init(&xml, LIMIT_COMMAND_BYTES);
    buf_init_secret(&secret, 100);
    assert_ok(make("EraseDevice", "{\"PIN\":\"271828\",\"PreserveDataPlan\":true}", &xml, &secret));
    assert_false(has(&xml, "271828"));
    assert_true(bytes_eq_str(buf_bytes(&secret), "271828"));
}

static void test_command_build__wrong_parameters_are_named(void **state) {
    (void)state;
    static const struct {
        const char *type, *json, *says;
    } cases[] = {
        {"DeviceLock", "{\"Pin\":\"123456\"}", "Pin is not a parameter"},
        {"DeviceLock", "{\"PIN\":\"12345a\"}", "six digits"},
        {"DeviceLock", "{\"Message\":3}", "Message"},
        {"RestartDevice", "{\"NotifyUser\":\"yes\"}", "NotifyUser"},
        {"EraseDevice", "{\"ObliterationBehavior\":\"Never\"}", "must be one of"},
        {"EraseDevice", "{\"ReturnToService\":{}}", "Enabled"},
        {"Settings", "{}", "Settings"},
        {"Settings", "{\"Settings\":[]}", "empty"},
        {"Settings", "{\"Settings\":[1]}", "list of objects"},
        {"Settings", "{\"Settings\":[{\"Item\":\"Wallpaper\",\"Image\":\"AA==\",\"Where\":9}]}",
         "Where"},
        {"InstalledApplicationList", "{\"Items\":[\"Colour\"]}", "must be one of"},
        {"DeviceInformation", "{\"Queries\":[\"\"]}", "empty"},
        {"ClearPasscode", "{\"UnlockToken\":\"AA==\"}", "not a parameter"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(buf_done) buf_t xml, secret;
        char text[512];
        buf_init(&xml, LIMIT_COMMAND_BYTES);
        buf_init_secret(&secret, 100);
        err_t *e = make(cases[i].type, cases[i].json, &xml, &secret);
        assert_non_null(e);
        if (!strstr(err_text(e, text, sizeof text), cases[i].says))
            fail_msg("%s: %s", cases[i].json, text);
        assert_err(ERR_INVALID, e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_build__plain_ones_need_nothing),
        cmocka_unit_test(test_command_build__values_keep_their_types),
        cmocka_unit_test(test_command_build__pin_stays_out),
        cmocka_unit_test(test_command_build__wrong_parameters_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
