/*
 * XML answers of S3 stores.
 */
#include "../unit.h"
#include "base/buf.h"
#include "base/limits.h"
#include "format/s3_xml.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

static err_t *parse(const char *xml, arena_t **arena, s3_listing_t *listing) {
    arena_free(*arena);
    *arena = NULL;
    TRY(arena_new(1024 * 1024, arena));
    return s3_listing_parse(bytes_str(xml), *arena, listing);
}

static void test_s3_xml__reads_a_listing(void **state) {
    (void)state;
    CLEANUP(arena_free) arena_t *arena = NULL;
    s3_listing_t listing;
    assert_ok(parse(HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                         "<Name>b</Name><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>"
                         "<Contents><Key>a&amp;b</Key><LastModified>2009-10-12T17:50:30.000Z"
                         "</LastModified><ETag>&quot;e&quot;</ETag><Size>434234</Size>"
                         "<Owner><ID>x</ID><Size>9</Size></Owner></Contents>"
                         "<Contents><Size>0</Size><LastModified>2026-11-22T04:19:00Z</LastModified>"
                         "<Key>c</Key></Contents></ListBucketResult>",
                    &arena, &listing));
    assert_int_equal(listing.n, 2);
    assert_true(listing.truncated);
    assert_string_equal(listing.objects[0].key, "a&b");
    assert_int_equal(listing.objects[0].size, 434234);
    assert_int_equal(listing.objects[0].modified, 1255369830);
    assert_string_equal(listing.objects[1].key, "c");
    assert_int_equal(listing.objects[1].modified, 1795321140);
}

static void test_s3_xml__refuses_what_is_no_listing(void **state) {
    (void)state;
    CLEANUP(arena_free) arena_t *arena = NULL;
    s3_listing_t listing;
    static const char *const bad[] = {
        "",
        "<ListBucketResult>",
        "<Error><Code>NoSuchBucket</Code></Error>",
        "<html/>",
        "<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>",
        ("<ListBucketResult><Contents><LastModified>n.Z</LastModified></Contents>"
         "</ListBucketResult>"),
        "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult>&a;</ListBucketResult>",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, parse(bad[i], &arena, &listing));
}

static void test_s3_xml__keeps_its_limits(void **state) {
    (void)state;
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t xml;
    const char *text = NULL;
    s3_listing_t listing;
    buf_init(&xml, 1024 * 1024);
    for (int i = 0; i <= LIMIT_S3_DEPTH; i++) assert_ok(buf_add_str(&xml, "<a>"));
    assert_ok(buf_cstr(&xml, &text));
    assert_err(ERR_LIMIT, parse(text, &arena, &listing));
    buf_clear(&xml);
    assert_ok(buf_add_str(&xml, "<ListBucketResult>"));
    for (int i = 0; i <= LIMIT_BLOB_PAGE; i++) assert_ok(buf_add_str(&xml, "<Contents/>"));
    assert_ok(buf_cstr(&xml, &text));
    assert_err(ERR_LIMIT, parse(text, &arena, &listing));
    buf_clear(&xml);
    assert_ok(buf_add_str(&xml, "<ListBucketResult><Name>"));
    for (int i = 0; i <= LIMIT_S3_TEXT; i++) assert_ok(buf_add_byte(&xml, 'x'));
    assert_ok(buf_cstr(&xml, &text));
    assert_err(ERR_LIMIT, parse(text, &arena, &listing));
}

static void test_s3_xml__reads_errors(void **state) {
    (void)state;
    s3_error_t error;
    s3_error_parse(BYTES_LIT(HEAD "<Error><Code>SignatureDoesNotMatch</Code>"
                                  "<Message>The request\nsignature \xc3\xa4</Message>"
                                  "<RequestId>tx</RequestId></Error>"),
                   &error);
    assert_string_equal(error.code, "SignatureDoesNotMatch");
    assert_string_equal(error.message, "The request?signature ??");
    s3_error_parse(BYTES_LIT("502 Bad Gateway"), &error);
    assert_string_equal(error.code, "");
    s3_error_parse(BYTES_LIT("<Other><Code>x</Code></Other>"), &error);
    assert_string_equal(error.code, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s3_xml__reads_a_listing),
        cmocka_unit_test(test_s3_xml__refuses_what_is_no_listing),
        cmocka_unit_test(test_s3_xml__keeps_its_limits),
        cmocka_unit_test(test_s3_xml__reads_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
