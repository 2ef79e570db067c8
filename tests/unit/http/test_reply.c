/*
 * Replies and the map from errors to statuses: src/http/reply.c.
 */
#include "http/reply.h"

#include "../unit.h"
#include "base/fault.h"

static bool body_has(const http_reply_t *reply, const char *text) {
    return memmem(reply->body.p, reply->body.n, text, strlen(text)) != NULL;
}

static void test_reply__maps_codes(void **state) {
    (void)state;
    assert_int_equal(http_status(ERR_NOT_FOUND), 404);
    assert_int_equal(http_status(ERR_INVALID), 400);
    assert_int_equal(http_status(ERR_USAGE), 400);
    assert_int_equal(http_status(ERR_LIMIT), 413);
    assert_int_equal(http_status(ERR_AUTH), 401);
    assert_int_equal(http_status(ERR_DENIED), 403);
    assert_int_equal(http_status(ERR_VERIFY), 403);
    assert_int_equal(http_status(ERR_EXISTS), 409);
    assert_int_equal(http_status(ERR_BUSY), 429);
    assert_int_equal(http_status(ERR_UNAVAILABLE), 503);
    assert_int_equal(http_status(ERR_NOMEM), 503);
    assert_int_equal(http_status(ERR_TIMEOUT), 504);
    assert_int_equal(http_status(ERR_FULL), 507);
    assert_int_equal(http_status(ERR_IO), 500);
    assert_int_equal(http_status(ERR_INTERNAL), 500);
}

static void test_reply__says_only_what_is_fit(void **state) {
    (void)state;
    CLEANUP(http_reply_done) http_reply_t reply;
    http_reply_init(&reply);
    err_t *e = err_wrap(err_new(ERR_IO, "secret path /x"), "reading the store");
    http_reply_error(&reply, e, "id-1", false);
    err_free(e);
    assert_int_equal(reply.status, 500);
    assert_false(body_has(&reply, "secret"));
    assert_false(body_has(&reply, "store"));
    assert_true(body_has(&reply, "id-1"));
    e = err_wrap(err_new(ERR_VERIFY, "digest of part 2 differs"), "the request does not verify");
    http_reply_error(&reply, e, "id-1", false);
    err_free(e);
    assert_int_equal(reply.status, 403);
    assert_false(body_has(&reply, "digest"));
    e = err_wrap(err_new(ERR_INVALID, "a \"quote\"\n"), "the name");
    http_reply_error(&reply, e, "id-1", true);
    err_free(e);
    assert_int_equal(reply.status, 400);
    assert_true(body_has(&reply, "the name: a \\\"quote\\\" \""));
    assert_string_equal(http_reply_get_header(&reply, "content-type"), "application/json");
    e = err_new(ERR_BUSY, "later");
    http_reply_error(&reply, e, NULL, true);
    err_free(e);
    assert_non_null(http_reply_get_header(&reply, "Retry-After"));
}

static void test_reply__refuses_header_injection(void **state) {
    (void)state;
    CLEANUP(http_reply_done) http_reply_t reply;
    http_reply_init(&reply);
    assert_err(ERR_INVALID, http_reply_header(&reply, "X", "a\r\nY: b"));
    assert_err(ERR_INVALID, http_reply_header(&reply, "X:", "a"));
    assert_err(ERR_INVALID, http_reply_header(&reply, "", "a"));
    assert_err(ERR_INVALID, http_reply_redirect(&reply, "/x\nSet-Cookie: a=b"));
    assert_err(ERR_INVALID, http_reply_cookie(&reply, "a", "b; Domain=x", 0, true));
    for (int i = 0; i < HTTP_REPLY_HEADERS; i++) assert_ok(http_reply_header(&reply, "X", "a"));
    assert_err(ERR_LIMIT, http_reply_header(&reply, "X", "a"));
}

static void test_reply__security_headers_and_cookie(void **state) {
    (void)state;
    CLEANUP(http_reply_done) http_reply_t reply;
    http_reply_init(&reply);
    assert_ok(http_reply_header(&reply, "content-security-policy", "default-src 'self'"));
    assert_ok(http_reply_cookie(&reply, "session", "abc", 60, true));
    assert_ok(http_reply_security(&reply, true));
    assert_string_equal(http_reply_get_header(&reply, "Content-Security-Policy"),
                        "default-src 'self'");
    assert_string_equal(http_reply_get_header(&reply, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(http_reply_get_header(&reply, "X-Frame-Options"), "DENY");
    assert_non_null(http_reply_get_header(&reply, "Strict-Transport-Security"));
    assert_string_equal(http_reply_get_header(&reply, "Set-Cookie"),
                        "session=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure");
}

static void test_reply__survives_lack_of_memory(void **state) {
    (void)state;
    err_t *cause = err_new(ERR_NOT_FOUND, "no such device");
    unsigned long n = 1;
    for (;; n++) {
        CLEANUP(http_reply_done) http_reply_t reply;
        http_reply_init(&reply);
        fault_arm_memory(n);
        http_reply_error(&reply, cause, "id", true);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        assert_int_equal(reply.status, 404);
        if (!fired) break;
    }
    err_free(cause);
    assert_true(n > 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply__maps_codes),
        cmocka_unit_test(test_reply__says_only_what_is_fit),
        cmocka_unit_test(test_reply__refuses_header_injection),
        cmocka_unit_test(test_reply__security_headers_and_cookie),
        cmocka_unit_test(test_reply__survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
