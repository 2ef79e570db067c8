/*
 * AWS Signature Version 4, by AWS's published vectors: the S3 examples of "Authenticating Requests:
 * Using the Authorization Header" and cases of the Signature Version 4 test suite.
 */
#include <stdio.h>

#include "../unit.h"
#include "base/mem.h"
#include "store/blob/sigv4.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum { MAY_24_2013 = 1369353600, AUGUST_30_2015 = 1440938160 };

static sigv4_request_t s3_example(void) {
    return (sigv4_request_t){.method = "GET",
                             .path = "/",
                             .payload_sha256 = EMPTY,
                             .time = MAY_24_2013,
                             .region = "us-east-1",
                             .service = "s3",
                             .access_key = "AKIAIOSFODNN7EXAMPLE",
                             .secret_key = BYTES_LIT("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")};
}

static sigv4_request_t suite_example(void) {
    sigv4_request_t request = s3_example();
    request.time = AUGUST_30_2015;
    request.service = "service";
    request.access_key = "AKIDEXAMPLE";
    request.secret_key = BYTES_LIT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    return request;
}

static void expect(const sigv4_request_t *request, const char *signature) {
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 4096);
    assert_ok(sigv4_authorization(request, &out));
    assert_ok(buf_cstr(&out, &text));
    const char *at = strstr(text, "Signature=");
    assert_non_null(at);
    assert_string_equal(at + strlen("Signature="), signature);
}

static void test_sigv4__signs_the_s3_get_example(void **state) {
    (void)state;
    sigv4_request_t request = s3_example();
    const sigv4_pair_t headers[] = {{"Host", "examplebucket.s3.amazonaws.com"},
                                    {"Range", "bytes=0-9"},
                                    {"x-amz-content-sha256", EMPTY},
                                    {"x-amz-date", "20130524T000000Z"}};
    request.path = "/test.txt";
    request.headers = headers;
    request.headers_n = 4;
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 4096);
    assert_ok(sigv4_authorization(&request, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(
        text, "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
              "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
              "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_sigv4__signs_the_s3_put_example(void **state) {
    (void)state;
    static const char hash[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    sigv4_request_t request = s3_example();
    const sigv4_pair_t headers[] = {{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
                                    {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                    {"Host", "examplebucket.s3.amazonaws.com"},
                                    {"x-amz-date", "20130524T000000Z"},
                                    {"x-amz-content-sha256", hash}};
    CLEANUP(buf_done) buf_t path;
    buf_init(&path, 64);
    assert_ok(sigv4_path(BYTES_LIT("/test$file.text"), &path));
    assert_ok(buf_cstr(&path, &request.path));
    request.method = "PUT";
    request.headers = headers;
    request.headers_n = 5;
    request.payload_sha256 = hash;
    expect(&request, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_sigv4__signs_the_s3_query_examples(void **state) {
    (void)state;
    sigv4_request_t request = s3_example();
    const sigv4_pair_t headers[] = {{"Host", "examplebucket.s3.amazonaws.com"},
                                    {"x-amz-content-sha256", EMPTY},
                                    {"x-amz-date", "20130524T000000Z"}};
    const sigv4_pair_t lifecycle[] = {{"lifecycle", ""}};
    const sigv4_pair_t listing[] = {{"prefix", "J"}, {"max-keys", "2"}};
    request.headers = headers;
    request.headers_n = 3;
    request.query = lifecycle;
    request.query_n = 1;
    expect(&request, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    request.query = listing;
    request.query_n = 2;
    expect(&request, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void test_sigv4__signs_cases_of_the_suite(void **state) {
    (void)state;
    sigv4_request_t request = suite_example();
    const sigv4_pair_t headers[] = {{"Host", "example.amazonaws.com"},
                                    {"X-Amz-Date", "20150830T123600Z"}};
    const sigv4_pair_t query[] = {{"Param2", "value2"}, {"Param1", "value1"}};
    request.headers = headers;
    request.headers_n = 2;
    /* get-vanilla */
    expect(&request, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
    request.query = query;
    request.query_n = 2;
    /* get-vanilla-query-order-key-case */
    expect(&request, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
    request.query_n = 0;
    request.method = "POST";
    /* post-vanilla */
    expect(&request, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
}

static void test_sigv4__joins_headers_and_drops_their_blanks(void **state) {
    (void)state;
    sigv4_request_t request = suite_example();
    const sigv4_pair_t headers[] = {
        {"My-Header1", "value4"}, {"Host", "example.amazonaws.com"}, {"my-header1", "  a   b  "}};
    request.headers = headers;
    request.headers_n = 3;
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 4096);
    assert_ok(sigv4_canonical(&request, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(text, "GET\n/\n\nhost:example.amazonaws.com\nmy-header1:value4,a b\n\n"
                              "host;my-header1\n" EMPTY);
}

static void test_sigv4__sorts_and_encodes_queries(void **state) {
    (void)state;
    const sigv4_pair_t query[] = {
        {"b", ""}, {"a/", "x y+z"}, {"a", "2"}, {"a", "1"}, {"B", "\xc3\xa4"}};
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 4096);
    assert_ok(sigv4_query(query, 5, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(text, "B=%C3%A4&a=1&a=2&a%2F=x%20y%2Bz&b=");
}

static void test_sigv4__refuses_what_would_split_a_header(void **state) {
    (void)state;
    sigv4_request_t request = suite_example();
    const sigv4_pair_t headers[] = {{"Host", "example\r\nX: y"}};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 4096);
    request.headers = headers;
    request.headers_n = 1;
    assert_err(ERR_INVALID, sigv4_authorization(&request, &out));
    request.headers_n = 0;
    assert_err(ERR_LIMIT, sigv4_authorization(&request, &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigv4__signs_the_s3_get_example),
        cmocka_unit_test(test_sigv4__signs_the_s3_put_example),
        cmocka_unit_test(test_sigv4__signs_the_s3_query_examples),
        cmocka_unit_test(test_sigv4__signs_cases_of_the_suite),
        cmocka_unit_test(test_sigv4__joins_headers_and_drops_their_blanks),
        cmocka_unit_test(test_sigv4__sorts_and_encodes_queries),
        cmocka_unit_test(test_sigv4__refuses_what_would_split_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
