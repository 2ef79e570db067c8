/*
 * mail/content_hash: both hashes, however the bytes are cut.
 */
#include "../unit.h"

#include "crypto/digest.h"
#include "mail/content_hash.h"

static void hashes(const char *text, const char *canonical) {
    uint8_t expected[32];
    size_t n = strlen(text);
    for (size_t step = 1; step <= n + 1; step++) {
        content_hash_t h CLEANUP(content_hash_done) = {0};
        assert_ok(content_hash_init(&h, CMS_HASH(CMS_DIGEST_SHA256), true));
        for (bytes_t rest = bytes_str(text); rest.n; rest = bytes_from(rest, step))
            assert_ok(content_hash_add(&h, bytes_slice(rest, 0, step)));
        assert_ok(content_hash_end(&h));
        assert_ok(digest_sha256(bytes_str(text), expected));
        assert_true(bytes_eq(cms_hashes_get(h.plain, CMS_DIGEST_SHA256), BYTES_ARRAY(expected)));
        assert_int_equal(h.canonical != NULL, canonical != NULL);
        if (!canonical) continue;
        assert_ok(digest_sha256(bytes_str(canonical), expected));
        assert_true(
            bytes_eq(cms_hashes_get(h.canonical, CMS_DIGEST_SHA256), BYTES_ARRAY(expected)));
    }
}

static void test_content_hash__line_ends(void **state) {
    (void)state;
    hashes("", NULL);
    hashes("a\r\nb\r\n", NULL);
    hashes("a\rb", NULL);
    hashes("a\nb\n", "a\r\nb\r\n");
    hashes("a\r\nb\n\n\r\nc", "a\r\nb\r\n\r\n\r\nc");
    hashes("\n", "\r\n");
    hashes("a\r\r\n\n", "a\r\r\n\r\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_content_hash__line_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
