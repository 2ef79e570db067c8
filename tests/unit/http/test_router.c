/*
 * The route table against src/http/router.c and the request target against src/http/request.c.
 */
#include "http/router.h"

#include "../unit.h"
#include "base/fault.h"
#include "base/mem.h"
#include "http/request.h"

static err_t *nothing(void *ctx, struct http_request *request, struct http_reply *reply) {
    (void)ctx;
    (void)request;
    (void)reply;
    return NULL;
}

static const http_route_t routes[] = {
    {.method = "GET", .pattern = "/", .handler = nothing},
    {.method = "GET", .pattern = "/api/devices", .handler = nothing},
    {.method = "POST", .pattern = "/api/devices", .handler = nothing},
    {.method = "GET", .pattern = "/api/devices/self", .handler = nothing},
    {.method = "GET", .pattern = "/api/devices/:id", .handler = nothing},
    {.method = "DELETE", .pattern = "/api/devices/:id", .handler = nothing},
    {.method = "PUT", .pattern = "/api/devices/:id/locks/:lock", .handler = nothing},
    {.method = "GET", .pattern = "/static/*file", .handler = nothing},
    {.method = "PUT", .pattern = "/mdm", .handler = nothing, .listeners = 1U << 3},
};
enum { ROUTES = sizeof routes / sizeof routes[0] };

static http_match_t match(const char *method, const char *path, unsigned tag) {
    return http_router_match(routes, ROUTES, bytes_str(method), bytes_str(path), tag);
}

static void test_router__literal_before_parameter(void **state) {
    (void)state;
    http_match_t m = match("GET", "/api/devices/self", 0);
    assert_int_equal(m.kind, HTTP_MATCH_FOUND);
    assert_ptr_equal(m.route, &routes[3]);
    assert_int_equal(m.params_n, 0);
    m = match("GET", "/", 0);
    assert_ptr_equal(m.route, &routes[0]);
}

static void test_router__takes_parameters(void **state) {
    (void)state;
    http_match_t m = match("PUT", "/api/devices/A-1/locks/7", 0);
    assert_int_equal(m.kind, HTTP_MATCH_FOUND);
    assert_int_equal(m.params_n, 2);
    assert_true(bytes_eq_str(m.params[0].name, "id"));
    assert_true(bytes_eq_str(m.params[0].value, "A-1"));
    assert_true(bytes_eq_str(m.params[1].name, "lock"));
    assert_true(bytes_eq_str(m.params[1].value, "7"));
    m = match("GET", "/static/a/b.js", 0);
    assert_true(bytes_eq_str(m.params[0].value, "a/b.js"));
    m = match("GET", "/static/", 0);
    assert_int_equal(m.kind, HTTP_MATCH_FOUND);
    assert_int_equal(m.params[0].value.n, 0);
}

static void test_router__refuses_what_does_not_fit(void **state) {
    (void)state;
    static const char *const paths[] = {"",
                                        "x",
                                        "/api",
                                        "/api/devices/",
                                        "/api/devices/a/b",
                                        "/api//devices",
                                        "/api/devices/a/locks/",
                                        "/static",
                                        "//",
                                        "/API/devices"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(match("GET", paths[i], 0).kind, HTTP_MATCH_NONE);
}

static void test_router__method_and_head(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t allow;
    buf_init(&allow, 100);
    assert_int_equal(match("PATCH", "/api/devices", 0).kind, HTTP_MATCH_METHOD);
    assert_int_equal(match("get", "/api/devices", 0).kind, HTTP_MATCH_METHOD);
    assert_ptr_equal(match("HEAD", "/api/devices", 0).route, &routes[1]);
    assert_int_equal(match("HEAD", "/api/devices/x/locks/y", 0).kind, HTTP_MATCH_METHOD);
    assert_ok(http_router_allow(routes, ROUTES, BYTES_LIT("/api/devices"), 0, &allow));
    assert_true(bytes_eq_str(buf_bytes(&allow), "GET, HEAD, POST"));
    buf_clear(&allow);
    assert_ok(http_router_allow(routes, ROUTES, BYTES_LIT("/api/devices/self"), 0, &allow));
    assert_true(bytes_eq_str(buf_bytes(&allow), "GET, HEAD, DELETE"));
}

static void test_router__listener_mask(void **state) {
    (void)state;
    assert_int_equal(match("PUT", "/mdm", 3).kind, HTTP_MATCH_FOUND);
    assert_int_equal(match("PUT", "/mdm", 2).kind, HTTP_MATCH_NONE);
    assert_int_equal(match("PUT", "/mdm", 35).kind, HTTP_MATCH_NONE);
}

static void test_router__checks_the_table(void **state) {
    (void)state;
    assert_ok(http_router_check(routes, ROUTES));
    static const char *const bad[] = {
        "", "x", "/a/:", "/a/*", "/*x/y", "/:a/:b/:c/:d/:e/:f/:g/:h/:i"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        http_route_t route = {.method = "GET", .pattern = bad[i], .handler = nothing};
        assert_err(ERR_USAGE, http_router_check(&route, 1));
    }
}

static void target(const char *text, const char *path, const char *query) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1000);
    bytes_t raw = BYTES_LIT("unset");
    assert_ok(http_target_parse(bytes_str(text), &out, &raw));
    assert_true(bytes_eq_str(buf_bytes(&out), path));
    assert_true(bytes_eq_str(raw, query));
}

static void test_request__splits_targets(void **state) {
    (void)state;
    target("/", "/", "");
    target("/a%20b", "/a b", "");
    target("/scep?operation=X&message=a+b/c==%2B", "/scep", "operation=X&message=a+b/c==%2B");
    target("/a?b?c", "/a", "b?c");
    target("http://host:80/x?y", "/x", "y");
    target("HTTPS://host", "/", "");
    target("https://host?q", "/", "q");
    target("/..a/b..", "/..a/b..", "");
    target("/a+b", "/a+b", "");
}

static void test_request__refuses_targets(void **state) {
    (void)state;
    static const char *const bad[] = {"",     "*",      "a",      "/a/../b",        "/%2e%2e/x",
                                      "/.",   "/a/%2E", "/a%00b", "/a%2fb",         "/a%2Fb",
                                      "/%zz", "/a%0ab", "/..",    "example.org:443"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 1000);
        bytes_t raw = BYTES_LIT("unset");
        assert_err(ERR_INVALID, http_target_parse(bytes_str(bad[i]), &out, &raw));
        assert_int_equal(out.n, 0);
        assert_true(bytes_eq_str(raw, "unset"));
    }
}

static void test_request__finds_headers(void **state) {
    (void)state;
    const http_header_t headers[] = {
        {BYTES_LIT("Content-Type"), BYTES_LIT("application/JSON; charset=utf-8")},
        {BYTES_LIT("X-Twice"), BYTES_LIT("1")},
        {BYTES_LIT("x-twice"), BYTES_LIT("2")},
    };
    const http_request_t request = {.headers = headers, .headers_n = 3};
    bytes_t value = BYTES_NONE;
    bool found = false;
    assert_true(http_request_is_type(&request, "application/json"));
    assert_false(http_request_is_type(&request, "application/js"));
    assert_true(http_request_header(&request, "x-TWICE", &value));
    assert_true(bytes_eq_str(value, "1"));
    assert_err(ERR_INVALID, http_request_header_once(&request, "X-Twice", &value, &found));
    assert_ok(http_request_header_once(&request, "X-None", &value, &found));
    assert_false(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router__literal_before_parameter),
        cmocka_unit_test(test_router__takes_parameters),
        cmocka_unit_test(test_router__refuses_what_does_not_fit),
        cmocka_unit_test(test_router__method_and_head),
        cmocka_unit_test(test_router__listener_mask),
        cmocka_unit_test(test_router__checks_the_table),
        cmocka_unit_test(test_request__splits_targets),
        cmocka_unit_test(test_request__refuses_targets),
        cmocka_unit_test(test_request__finds_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
