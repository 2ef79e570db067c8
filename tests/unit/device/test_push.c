/*
 * What a push looks like and what its answer means.
 */
#include "../unit.h"

#include "base/fault.h"
#include "base/limits.h"
#include "device/push.h"

static void test_push__message_is_what_apple_wants(void **state) {
    (void)state;
    CLEANUP(push_message_done) push_message_t m = {0};
    assert_ok(push_message("https://api.push.apple.com:443", "com.apple.mgmt.External.1",
                           BYTES_LIT("\x01\xab"), "ma\"gic", 1800000000, &m));
    assert_string_equal(m.url, "https://api.push.apple.com:443/3/device/01ab");
    assert_string_equal(m.headers[0], "apns-topic: com.apple.mgmt.External.1");
    assert_string_equal(m.headers[1], "apns-push-type: mdm");
    assert_string_equal(m.headers[3], "apns-expiration: 1800000000");
    assert_null(m.headers[4]);
    assert_true(bytes_eq(buf_bytes(&m.body), BYTES_LIT("{\"mdm\":\"ma\\\"gic\"}")));
}

static void test_push__apps_have_their_own_topic_and_type(void **state) {
    (void)state;
    CLEANUP(push_message_done) push_message_t m = {0};
    uint8_t large[LIMIT_APNS_PAYLOAD + 1] = {0};
    assert_ok(push_message_app("https://a", "org.example.mail", BYTES_LIT("\x01\xab"),
                               BYTES_LIT("{\"aps\":{}}"), 1800000000, &m));
    assert_string_equal(m.url, "https://a/3/device/01ab");
    assert_string_equal(m.headers[0], "apns-topic: org.example.mail");
    assert_string_equal(m.headers[1], "apns-push-type: alert");
    assert_true(bytes_eq(buf_bytes(&m.body), BYTES_LIT("{\"aps\":{}}")));
    push_message_t other;
    assert_err(ERR_LIMIT,
               push_message_app("https://a", "t", BYTES_LIT("1"), BYTES_ARRAY(large), 1, &other));
}

static void test_push__token_has_a_limit(void **state) {
    (void)state;
    uint8_t token[LIMIT_TOKEN + 1] = {0};
    push_message_t m;
    assert_err(ERR_LIMIT, push_message("https://a", "t", BYTES_ARRAY(token), "m", 1, &m));
    assert_err(ERR_LIMIT, push_message("https://a", "t", BYTES_NONE, "m", 1, &m));
}

static void test_push__judges_answers(void **state) {
    (void)state;
    static const struct {
        unsigned status;
        const char *body;
        int64_t token_ms;
        push_outcome_t outcome;
        const char *reason;
    } cases[] = {
        {200, "", 5, PUSH_SENT, "status 200"},
        {410, "{\"reason\":\"Unregistered\",\"timestamp\":10}", 5, PUSH_TOKEN_GONE, "Unregistered"},
        {410, "{\"reason\":\"Unregistered\",\"timestamp\":4}", 5, PUSH_RETRY, "Unregistered"},
        {400, "{\"reason\":\"BadDeviceToken\"}", 5, PUSH_TOKEN_GONE, "BadDeviceToken"},
        {400, "{\"reason\":\"BadTopic\"}", 5, PUSH_OURS, "BadTopic"},
        {403, "{\"reason\":\"BadCertificate\"}", 5, PUSH_OURS, "BadCertificate"},
        {429, "{\"reason\":\"TooManyRequests\"}", 5, PUSH_RETRY, "TooManyRequests"},
        {503, "<html>", 5, PUSH_RETRY, "status 503"},
        {400, "{\"reason\":\"a\\nb\"}", 5, PUSH_OURS, "status 400"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        push_verdict_t v =
            push_judge(cases[i].status, bytes_str(cases[i].body), BYTES_NONE, cases[i].token_ms);
        assert_int_equal(v.outcome, cases[i].outcome);
        assert_string_equal(v.reason, cases[i].reason);
    }
    assert_int_equal(push_judge(429, BYTES_NONE, BYTES_LIT("120"), 0).retry_after_s, 120);
    assert_int_equal(push_judge(429, BYTES_NONE, BYTES_LIT("tomorrow"), 0).retry_after_s, 0);
}

static void test_push__backs_off_to_an_hour(void **state) {
    (void)state;
    int64_t before = 0;
    for (int64_t n = 0; n < 12; n++) {
        int64_t ms = push_backoff_ms(n, 56);
        assert_true(ms >= before && ms <= 3600 * 1000);
        before = ms;
    }
    assert_true(push_backoff_ms(1000, 255) <= 3600 * 1000 * 2);
    assert_int_equal(push_backoff_ms(1, 56), 2000);
}

static void test_push__survives_every_failing_allocation(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        CLEANUP(push_message_done) push_message_t m = {0};
        fault_arm_memory(n);
        err_t *e = push_message("https://a", "t", BYTES_LIT("ab"), "m", 1, &m);
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
        cmocka_unit_test(test_push__message_is_what_apple_wants),
        cmocka_unit_test(test_push__apps_have_their_own_topic_and_type),
        cmocka_unit_test(test_push__token_has_a_limit),
        cmocka_unit_test(test_push__judges_answers),
        cmocka_unit_test(test_push__backs_off_to_an_hour),
        cmocka_unit_test(test_push__survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
