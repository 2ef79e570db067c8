/*
 * URLs, terms and labels of links.
 */
#include "sync_fixture.h"

#include "base/fault.h"
#include "base/text.h"
#include "sync/link_terms.h"

#define ORIGIN "https://files.example.org:8443"

static secret_t *secret_of(uint8_t fill) {
    secret_t *secret = NULL;
    uint8_t raw[SYNC_KEY];
    memset(raw, fill, sizeof raw);
    assert_ok(secret_copy(BYTES_ARRAY(raw), &secret));
    return secret;
}

static void test_link_terms__a_url_comes_back_as_it_was(void **state) {
    (void)state;
    secret_t *secret = secret_of(0xfb); /* has both letters that base64url changes */
    for (int password = 0; password < 2; password++) {
        sync_link_t link = {.id = {1, 2, 0xab}};
        sync_link_url_t url = {0};
        buf_t text;
        buf_init(&text, 512);
        assert_ok(sync_link_url_put(ORIGIN, &link, secret, password, &text));
        assert_true(bytes_starts(buf_bytes(&text), BYTES_LIT(ORIGIN "/share/0102ab00")));
        assert_ok(sync_link_url_parse(buf_bytes(&text), &url));
        assert_string_equal(url.origin, ORIGIN);
        assert_memory_equal(url.id, link.id, SYNC_NODE);
        assert_int_equal(url.password, password);
        assert_true(secret_eq(url.secret, secret_bytes(secret)));
        sync_link_url_done(&url);
        for (size_t n = 0; n < text.n; n++) /* cut anywhere, but between secret and ".p" */
            if (n != text.n - 2 || !password)
                assert_err(ERR_INVALID, sync_link_url_parse(bytes_make(text.p, n), &url));
        buf_done(&text);
    }
    secret_free(secret);
}

static void test_link_terms__what_is_no_link_is_refused_and_not_repeated(void **state) {
    (void)state;
#define ID     "00112233445566778899aabbccddeeff"
#define SECRET "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    static const char *const bad[] = {
        "",
        "https://",
        "http://h/share/" ID "#" SECRET,
        "https:///share/" ID "#" SECRET,
        "https://u@h/share/" ID "#" SECRET,
        "https://h?x/share/" ID "#" SECRET,
        "https://h\\x/share/" ID "#" SECRET,
        "https://h/share/" ID "00#" SECRET,
        "https://h/share/00112233445566778899AABBCCDDEEFF#" SECRET,
        "https://h/share/" ID "?" SECRET,
        "https://h/share/" ID "#" SECRET "A",
        "https://h/share/" ID "#" SECRET ".q",
        "https://h/share/" ID "#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
        "https://h/share/" ID "#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", /* stray bits */
        "https://h/share/" ID "#AAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAAAAAA",
        "https://h/share/../" ID "#" SECRET,
    };
    sync_link_url_t url = {0};
    assert_ok(sync_link_url_parse(BYTES_LIT(" https://h/share/" ID "#" SECRET "\n"), &url));
    sync_link_url_done(&url);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        err_t *e = sync_link_url_parse(bytes_str(bad[i]), &url);
        if (!e) fail_msg("%s", bad[i]);
        assert_null(strstr(err_text(e, text, sizeof text), "AAAA"));
        err_free(e);
    }
    sync_link_t link = {0};
    secret_t *secret = secret_of(1);
    buf_t out;
    buf_init(&out, 512);
    assert_err(ERR_INVALID, sync_link_url_put("https://h/x", &link, secret, false, &out));
    assert_err(ERR_INVALID, sync_link_url_put("http://h", &link, secret, false, &out));
    secret_free(secret);
    buf_done(&out);
}

typedef struct {
    uint8_t roots[3 * SYNC_HASH];
    buf_t list;
    sync_link_terms_t terms;
} made_t;

static void make(made_t *m) {
    secret_t *secret = secret_of(3);
    sync_link_t link = {0};
    *m = (made_t){0};
    buf_init(&m->list, 4096);
    assert_ok(sync_link_derive(secret, BYTES_NONE, &PASSWORD_COST_TEST, &link));
    assert_ok(sync_link_seal(&link, fixture_rnd(), BYTES_LIT("a list"), &m->list));
    for (size_t i = 0; i < 3; i++) m->roots[i * SYNC_HASH] = (uint8_t)(i + 1);
    memcpy(m->terms.id, link.id, SYNC_NODE);
    m->terms.token_hash[0] = 7;
    m->terms.expires = FIXTURE_NOW;
    m->terms.count = 5;
    m->terms.password = true;
    m->terms.label = BYTES_LIT("label");
    m->terms.roots = BYTES_ARRAY(m->roots);
    m->terms.list = buf_bytes(&m->list);
    sync_link_done(&link);
    secret_free(secret);
}

static void test_link_terms__are_read_as_they_were_written(void **state) {
    (void)state;
    made_t m;
    sync_link_terms_t terms;
    buf_t record, again;
    make(&m);
    buf_init(&record, LIMIT_SYNC_LINK_TERMS);
    buf_init(&again, LIMIT_SYNC_LINK_TERMS);
    assert_ok(sync_link_terms_put(&m.terms, &record));
    assert_ok(sync_link_terms_parse(buf_bytes(&record), &terms));
    assert_int_equal(terms.count, 5);
    assert_int_equal(terms.expires, FIXTURE_NOW);
    assert_true(terms.password);
    assert_true(bytes_eq(terms.roots, m.terms.roots));
    assert_ok(sync_link_terms_put(&terms, &again));
    assert_true(bytes_eq(buf_bytes(&again), buf_bytes(&record)));
    for (size_t n = 0; n < record.n; n++) {
        err_t *e = sync_link_terms_parse(bytes_make(record.p, n), &terms);
        if (!e) fail_msg("cut to %zu", n);
        err_free(e);
    }
    buf_done(&record);
    buf_done(&again);
    buf_done(&m.list);
}

static void test_link_terms__that_cannot_be_are_refused(void **state) {
    (void)state;
    made_t m;
    buf_t out;
    make(&m);
    buf_init(&out, LIMIT_SYNC_LINK_TERMS);
    sync_link_terms_t bad = m.terms;
    bad.id[0] ^= 1; /* the list is another link's */
    assert_err(ERR_INVALID, sync_link_terms_put(&bad, &out));
    bad = m.terms;
    bad.expires = 0;
    assert_err(ERR_INVALID, sync_link_terms_put(&bad, &out));
    bad = m.terms;
    bad.roots = BYTES_NONE;
    assert_err(ERR_LIMIT, sync_link_terms_put(&bad, &out));
    bad.roots = bytes_make(m.roots, SYNC_HASH + 1);
    assert_err(ERR_LIMIT, sync_link_terms_put(&bad, &out));
    m.roots[SYNC_HASH] = 1; /* the first one again */
    assert_err(ERR_INVALID, sync_link_terms_put(&m.terms, &out));
    buf_done(&out);
    buf_done(&m.list);
}

static void test_link_terms__labels_open_in_their_place_alone(void **state) {
    (void)state;
    secret_t *key = secret_of(1), *other = secret_of(2);
    uint8_t region[SYNC_HASH] = {1}, id[SYNC_NODE] = {2};
    uint64_t epoch = 0;
    buf_t label, out;
    buf_init(&label, 1024);
    buf_init(&out, 1024);
    assert_ok(sync_link_label_seal(region, key, 3, id, BYTES_LIT("a/b"), fixture_rnd(), &label));
    assert_ok(sync_link_label_epoch(buf_bytes(&label), &epoch));
    assert_int_equal(epoch, 3);
    assert_ok(sync_link_label_open(region, key, id, buf_bytes(&label), &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "a/b"));
    assert_err(ERR_VERIFY, sync_link_label_open(region, other, id, buf_bytes(&label), &out));
    region[0]++;
    assert_err(ERR_VERIFY, sync_link_label_open(region, key, id, buf_bytes(&label), &out));
    region[0]--;
    id[0]++;
    assert_err(ERR_VERIFY, sync_link_label_open(region, key, id, buf_bytes(&label), &out));
    id[0]--;
    for (size_t i = 0; i < label.n; i++) {
        label.p[i] ^= 1;
        assert_err(ERR_VERIFY, sync_link_label_open(region, key, id, buf_bytes(&label), &out));
        label.p[i] ^= 1;
    }
    buf_done(&label);
    buf_done(&out);
    secret_free(key);
    secret_free(other);
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_terms__a_url_comes_back_as_it_was),
        cmocka_unit_test(test_link_terms__what_is_no_link_is_refused_and_not_repeated),
        cmocka_unit_test(test_link_terms__are_read_as_they_were_written),
        cmocka_unit_test(test_link_terms__that_cannot_be_are_refused),
        cmocka_unit_test(test_link_terms__labels_open_in_their_place_alone),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
