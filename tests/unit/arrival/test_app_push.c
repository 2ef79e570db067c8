/*
 * What a mail program's push says.
 */
#include <string.h>

#include "../unit.h"

#include "arrival/app_push.h"
#include "base/limits.h"
#include "base/mem.h"

#define EVENT "mail-00112233445566778899aabbccddeeff"

static void write(json_t *release, buf_t *out) {
    assert_ok(app_push_payload(EVENT, release, out));
    assert_true(out->n <= LIMIT_APNS_PAYLOAD);
}

static json_t *parse(const buf_t *text) {
    json_t *json = NULL;
    assert_ok(jso_parse_object(buf_bytes(text), &json));
    return json;
}

static void test_app_push__tells_the_event_and_nothing_of_the_mail(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_APNS_PAYLOAD);
    write(NULL, &text);
    CLEANUP(jso_free) json_t *json = parse(&text);
    json_t *ours = json_object_get(json, "coffer");
    assert_int_equal(json_object_size(json), 2);
    assert_int_equal(json_object_size(ours), 1);
    assert_string_equal(json_string_value(json_object_get(ours, "event")), EVENT);
    json_t *aps = json_object_get(json, "aps");
    assert_int_equal(json_integer_value(json_object_get(aps, "mutable-content")), 1);
}

static void test_app_push__brings_a_release_that_fits(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t text;
    CLEANUP(jso_free) json_t *release = NULL;
    char large[LIMIT_APNS_PAYLOAD];
    buf_init(&text, LIMIT_APNS_PAYLOAD);
    assert_ok(jso_object(&release));
    assert_ok(jso_set_str(release, "sealed", "abc"));
    write(release, &text);
    CLEANUP(jso_free) json_t *json = parse(&text);
    json_t *told = json_object_get(json_object_get(json, "coffer"), "release");
    assert_true(json_equal(told, release));
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_ok(jso_set_str(release, "sealed", large));
    buf_done(&text);
    buf_init(&text, LIMIT_APNS_PAYLOAD);
    write(release, &text); /* the hint goes out, and the device asks for the key itself */
    CLEANUP(jso_free) json_t *hint = parse(&text);
    assert_null(json_object_get(json_object_get(hint, "coffer"), "release"));
}

static void test_app_push__a_job_names_device_and_account(void **state) {
    (void)state;
    bytes_t device;
    const char *account = NULL;
    assert_ok(app_push_name("id a b@example.org", &device, &account));
    assert_true(bytes_eq_str(device, "id"));
    assert_string_equal(account, "a b@example.org");
    assert_err(ERR_INVALID, app_push_name("id", &device, &account));
    assert_err(ERR_INVALID, app_push_name(" a", &device, &account));
    assert_err(ERR_INVALID, app_push_name("id ", &device, &account));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_app_push__tells_the_event_and_nothing_of_the_mail),
        cmocka_unit_test(test_app_push__brings_a_release_that_fits),
        cmocka_unit_test(test_app_push__a_job_names_device_and_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
