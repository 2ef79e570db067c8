/* SCEP requests: only well-formed, known ones come through (RFC 8894 section 3.2). */
#include "scep_fixture.h"

#include "base/limits.h"
#include "pki/scep.h"
#include "pki/scep_request.h"

static scep_client_t client;
static const uint8_t nonce[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static int setup(void **state) {
    (void)state;
    scep_client_init(&client);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    scep_client_done(&client);
    return 0;
}

static err_t *parse(const char *type, const char *transaction, bytes_t n, bool sha1,
                    bool allow_sha1) {
    CLEANUP(buf_done) buf_t message;
    CLEANUP(scep_request_done) scep_request_t request = {0};
    buf_init(&message, 1 << 20);
    scep_request_make(&client, type, transaction, n, BYTES_LIT("envelope"), sha1, &message);
    TRY(scep_request_parse(buf_bytes(&message), allow_sha1, &request));
    assert_true(bytes_eq_str(request.transaction_id, transaction));
    assert_true(bytes_eq(request.sender_nonce, n));
    assert_true(bytes_eq_str(request.envelope, "envelope"));
    assert_int_equal(request.sha1, sha1);
    return NULL;
}

static void test_scep_request__accepts_the_request_types(void **state) {
    (void)state;
    static const char *const types[] = {"17", "19", "20", "21", "22"};
    for (size_t i = 0; i < 5; i++)
        assert_ok(parse(types[i], "t-1", BYTES_ARRAY(nonce), false, false));
}

static void test_scep_request__refuses_other_types(void **state) {
    (void)state;
    static const char *const types[] = {"0", "3", "18", "23", "019x", "-19", "", "99999999999"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        assert_err(ERR_INVALID, parse(types[i], "t-1", BYTES_ARRAY(nonce), false, false));
}

static void test_scep_request__needs_every_attribute(void **state) {
    (void)state;
    assert_err(ERR_INVALID, parse(NULL, "t-1", BYTES_ARRAY(nonce), false, false));
    assert_err(ERR_INVALID, parse("19", NULL, BYTES_ARRAY(nonce), false, false));
    assert_err(ERR_INVALID, parse("19", "t-1", BYTES_NONE, false, false));
    uint8_t large[65] = {0};
    assert_err(ERR_INVALID, parse("19", "t-1", BYTES_ARRAY(large), false, false));
    char id[LIMIT_SCEP_TRANSACTION_ID + 2];
    memset(id, 'a', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    assert_err(ERR_LIMIT, parse("19", id, BYTES_ARRAY(nonce), false, false));
}

static void test_scep_request__sha1_only_where_allowed(void **state) {
    (void)state;
    assert_ok(parse("19", "t-1", BYTES_ARRAY(nonce), true, true));
    assert_err(ERR_VERIFY, parse("19", "t-1", BYTES_ARRAY(nonce), true, false));
}

static void test_scep_request__refuses_every_flipped_byte_of_the_content(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, 1 << 20);
    scep_request_make(&client, "19", "transaction", BYTES_ARRAY(nonce), BYTES_LIT("envelope"),
                      false, &message);
    uint8_t *hit = memmem(message.p, message.n, "transaction", 11);
    assert_non_null(hit);
    *hit ^= 1;
    scep_request_t request = {0};
    assert_err(ERR_VERIFY, scep_request_parse(buf_bytes(&message), false, &request));
    assert_err(ERR_INVALID, scep_request_parse(BYTES_LIT("not CMS"), false, &request));
    assert_err(ERR_INVALID, scep_request_parse(BYTES_NONE, false, &request));
    assert_err(ERR_LIMIT, scep_request_parse(bytes_make(message.p, LIMIT_HTTP_BODY_SCEP + 1), false,
                                             &request));
}

static void test_scep__decodes_what_clients_put_into_a_query(void **state) {
    (void)state;
    static const char *const forms[] = {"+/+/", "%2B%2F%2b%2f", "%2B/+%2F", "-_-_"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        buf_init(&out, 100);
        assert_ok(scep_decode_get_message(bytes_str(forms[i]), &out));
        assert_int_equal(out.n, 3);
        assert_memory_equal(out.p, "\xfb\xff\xbf", 3);
    }
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 100);
    assert_err(ERR_INVALID, scep_decode_get_message(BYTES_LIT("a b*"), &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_request__accepts_the_request_types),
        cmocka_unit_test(test_scep_request__refuses_other_types),
        cmocka_unit_test(test_scep_request__needs_every_attribute),
        cmocka_unit_test(test_scep_request__sha1_only_where_allowed),
        cmocka_unit_test(test_scep_request__refuses_every_flipped_byte_of_the_content),
        cmocka_unit_test(test_scep__decodes_what_clients_put_into_a_query),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
