/* An HTTP answer read as it comes: src/arrival/http_answer.h. */
#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "arrival/http_answer.h"
#include "base/limits.h"

/* All of the text, cut at `cut`; the body is appended. What is left behind the answer: *ret_rest.
 */
static err_t *take(http_answer_t *a, const char *text, size_t cut, buf_t *body, size_t *ret_rest) {
    bytes_t pieces[] = {bytes_make(text, cut), bytes_make(text + cut, strlen(text) - cut)};
    *ret_rest = 0;
    for (size_t i = 0; i < 2; i++) {
        while (pieces[i].n && a->state != HTTP_ANSWER_DONE) {
            bytes_t some = BYTES_NONE;
            TRY(http_answer_input(a, &pieces[i], &some));
            TRY(buf_add(body, some));
        }
        *ret_rest += pieces[i].n;
    }
    return NULL;
}

static void answers(const char *text, unsigned status, const char *body, bool done, size_t left) {
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        CLEANUP(buf_done) buf_t got;
        const char *said = NULL;
        http_answer_t a;
        size_t rest = 0;
        buf_init(&got, 1 << 16);
        http_answer_init(&a);
        assert_ok(take(&a, text, cut, &got, &rest));
        assert_int_equal(a.status, status);
        assert_true((a.state == HTTP_ANSWER_DONE) == done);
        assert_ok(buf_cstr(&got, &said));
        assert_string_equal(said, body);
        assert_int_equal(rest, left);
        http_answer_done(&a);
    }
}

static void test_http_answer__reads_bodies_of_all_kinds(void **state) {
    (void)state;
    answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP", 200, "hello", true, 4);
    answers("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", 200, "", true, 0);
    answers("HTTP/1.1 204 Nothing\r\n\r\n", 204, "", true, 0);
    answers("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
            500, "hello world", true, 0);
    answers("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nA\n0123456789\n1", 200, "0123456789",
            false, 0);
    answers("HTTP/1.0 200 OK\r\n\r\nuntil it ends", 200, "until it ends", false, 0);
}

static void fields(const char *text, http_answer_t *a) {
    CLEANUP(buf_done) buf_t body;
    size_t rest = 0;
    buf_init(&body, 1000);
    http_answer_init(a);
    a->cookie_name = "X-Back";
    assert_ok(take(a, text, 0, &body, &rest));
}

static void test_http_answer__keeps_one_cookie(void **state) {
    (void)state;
    http_answer_t a;
    fields("HTTP/1.1 200 OK\r\nSet-Cookie: other=1\r\nSet-Cookie: X-Back=a~2; path=/; secure\r\n"
           "Set-Cookie: X-Backs=3\r\nContent-Length: 0\r\n\r\n",
           &a);
    assert_string_equal(a.cookie, "a~2");
    http_answer_again(&a);
    assert_int_equal(a.state, HTTP_ANSWER_STATUS);
    assert_string_equal(a.cookie, "a~2");
    http_answer_done(&a);
    fields("HTTP/1.1 200 OK\r\nSet-Cookie: X-Back=a b\r\nContent-Length: 0\r\n\r\n", &a);
    assert_null(a.cookie); /* would break the line that it is sent back in */
    http_answer_done(&a);
}

static void test_http_answer__knows_what_the_head_says(void **state) {
    (void)state;
    http_answer_t a;
    fields("HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate, NTLM\r\nWWW-Authenticate: Basic "
           "realm=\"x\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
           &a);
    assert_true(a.basic && !a.bearer && a.closes);
    http_answer_done(&a);
    fields("HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", &a);
    assert_int_equal(a.retry_s, 120);
    assert_false(a.closes);
    http_answer_done(&a);
}

static void test_http_answer__refuses_what_is_no_http(void **state) {
    (void)state;
    static const char *const bad[] = {
        "* OK IMAP4rev1\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.1 20\r\n",
        "HTTP/1.1 2x0 OK\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n",
        "HTTP/1.1 101 Other\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(buf_done) buf_t body;
        http_answer_t a;
        size_t rest = 0;
        buf_init(&body, 1000);
        http_answer_init(&a);
        assert_err(ERR_INVALID, take(&a, bad[i], 0, &body, &rest));
        http_answer_done(&a);
    }
}

static void test_http_answer__has_limits(void **state) {
    (void)state;
    static const char line[] = "X-Line: and another one\r\n";
    http_answer_t a;
    bytes_t some, data = BYTES_LIT("HTTP/1.1 200 OK\r\n");
    err_t *e = NULL;
    http_answer_init(&a);
    assert_ok(http_answer_input(&a, &data, &some));
    for (int i = 0; !e && i <= LIMIT_HTTP_ANSWER_LINES; i++) {
        data = BYTES_LIT(line);
        e = http_answer_input(&a, &data, &some);
    }
    assert_err(ERR_LIMIT, e);
    http_answer_done(&a);
    http_answer_init(&a);
    e = NULL;
    for (int i = 0; !e && i <= LIMIT_HTTP_ANSWER_LINE; i++) {
        data = BYTES_LIT("x");
        e = http_answer_input(&a, &data, &some);
    }
    assert_err(ERR_LIMIT, e);
    http_answer_done(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_answer__reads_bodies_of_all_kinds),
        cmocka_unit_test(test_http_answer__keeps_one_cookie),
        cmocka_unit_test(test_http_answer__knows_what_the_head_says),
        cmocka_unit_test(test_http_answer__refuses_what_is_no_http),
        cmocka_unit_test(test_http_answer__has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
