/*
 * Queries, forms, Authorization and cookies: src/http/query.c, form.c, auth.c.
 */
#include "http/query.h"

#include "../unit.h"
#include "base/fault.h"
#include "base/mem.h"
#include "http/auth.h"
#include "http/form.h"

static void test_query__keeps_the_plus_of_scep(void **state) {
    (void)state;
    bytes_t query = BYTES_LIT("operation=PKIOperation&message=MIA+b/c%2Bd==");
    CLEANUP(buf_done) buf_t out;
    bool found = false;
    buf_init(&out, 100);
    assert_ok(http_query_get(query, "message", HTTP_PLUS_KEPT, &out, &found));
    assert_true(found);
    assert_true(bytes_eq_str(buf_bytes(&out), "MIA+b/c+d=="));
    buf_clear(&out);
    assert_ok(http_query_get(query, "message", HTTP_PLUS_SPACE, &out, &found));
    assert_true(bytes_eq_str(buf_bytes(&out), "MIA b/c+d=="));
}

static void test_query__empty_and_missing(void **state) {
    (void)state;
    bytes_t value = BYTES_LIT("unset");
    bool found = true;
    assert_ok(http_query_get_raw(BYTES_LIT("a=1&&message=&b"), "message", &value, &found));
    assert_true(found);
    assert_int_equal(value.n, 0);
    assert_ok(http_query_get_raw(BYTES_LIT("a=1&&message=&b"), "b", &value, &found));
    assert_true(found);
    value = BYTES_LIT("unset");
    assert_ok(http_query_get_raw(BYTES_LIT("a=1"), "b", &value, &found));
    assert_false(found);
    assert_true(bytes_eq_str(value, "unset"));
    assert_ok(http_query_get_raw(BYTES_NONE, "b", &value, &found));
    assert_false(found);
}

static void test_query__refuses_duplicates(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    bool found = false;
    buf_init(&out, 100);
    assert_err(ERR_INVALID,
               http_query_get(BYTES_LIT("a=1&b=2&a=1"), "a", HTTP_PLUS_KEPT, &out, &found));
    assert_err(ERR_INVALID,
               http_query_get(BYTES_LIT("a=1&%61=2"), "a", HTTP_PLUS_KEPT, &out, &found));
    assert_err(ERR_INVALID, http_query_get(BYTES_LIT("a=%4"), "a", HTTP_PLUS_KEPT, &out, &found));
    out.max = 2;
    assert_err(ERR_LIMIT, http_query_get(BYTES_LIT("a=123"), "a", HTTP_PLUS_KEPT, &out, &found));
    assert_int_equal(out.n, 0);
}

static void test_query__numbers(void **state) {
    (void)state;
    uint64_t n = 0;
    assert_ok(http_query_u64(BYTES_LIT("limit=20"), "limit", 100, 50, &n));
    assert_int_equal(n, 20);
    assert_ok(http_query_u64(BYTES_LIT("x=20"), "limit", 100, 50, &n));
    assert_int_equal(n, 50);
    assert_int_equal(n, 50);
    err_t *e = http_query_u64(BYTES_LIT("limit=101"), "limit", 100, 50, &n);
    assert_non_null(e);
    err_free(e);
    assert_err(ERR_INVALID, http_query_u64(BYTES_LIT("limit=-1"), "limit", 100, 50, &n));
    assert_int_equal(n, 50);
}

static void test_form__parses(void **state) {
    (void)state;
    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(10000, &arena));
    http_form_t form;
    bytes_t value;
    assert_ok(http_form_parse(arena, BYTES_LIT("email=a%40example.org&name=A+B&name=C&e="), &form));
    assert_int_equal(form.n, 4);
    assert_ok(http_form_need(&form, "email", &value));
    assert_true(bytes_eq_str(value, "a@example.org"));
    assert_err(ERR_INVALID, http_form_need(&form, "name", &value));
    assert_err(ERR_INVALID, http_form_need(&form, "none", &value));
    assert_true(bytes_eq_str(http_form_get(&form, "name"), "A B"));
    assert_err(ERR_INVALID, http_form_parse(arena, BYTES_LIT("a=%00"), &form));
    assert_err(ERR_INVALID, http_form_parse(arena, BYTES_LIT("a=%g0"), &form));
}

static void test_form__is_bounded(void **state) {
    (void)state;
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(buf_done) buf_t body;
    http_form_t form;
    assert_ok(arena_new(10000, &arena));
    buf_init(&body, 10000);
    for (int i = 0; i <= HTTP_FORM_FIELDS; i++) assert_ok(buf_add_str(&body, "a=1&"));
    assert_err(ERR_LIMIT, http_form_parse(arena, buf_bytes(&body), &form));
}

static void basic(const char *header, err_code_t code, bool want_found, const char *want_name,
                  const char *want_password) {
    CLEANUP(buf_done) buf_t name;
    CLEANUP(buf_done) buf_t password;
    bool found = false;
    buf_init(&name, 64);
    buf_init_secret(&password, 64);
    err_t *e = http_auth_basic(bytes_str(header), &name, &password, &found);
    if (code != ERR_INTERNAL) {
        assert_err(code, e);
        assert_int_equal(name.n, 0);
        return;
    }
    assert_ok(e);
    assert_int_equal(found, want_found);
    if (!found) return;
    assert_true(bytes_eq_str(buf_bytes(&name), want_name));
    assert_true(bytes_eq_str(buf_bytes(&password), want_password));
}

static void test_auth__basic(void **state) {
    (void)state;
    basic("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ERR_INTERNAL, true, "Aladdin", "open sesame");
    basic("basic   YTpiOmM=", ERR_INTERNAL, true, "a", "b:c");
    basic("Basic Og==", ERR_INTERNAL, true, "", "");
    basic("Bearer abc", ERR_INTERNAL, false, "", "");
    basic("Basic", ERR_INTERNAL, false, "", "");
    basic("", ERR_INTERNAL, false, "", "");
    basic("Basic YQ==", ERR_INVALID, false, "", "");     /* no colon */
    basic("Basic !!!!", ERR_INVALID, false, "", "");     /* not base64 */
    basic("Basic YToAYg==", ERR_INVALID, false, "", ""); /* NUL */
    basic("Basic YTr/", ERR_INVALID, false, "", "");     /* not UTF-8 */
}

static void test_auth__bearer(void **state) {
    (void)state;
    bytes_t token;
    bool found = false;
    assert_ok(http_auth_bearer(BYTES_LIT("bearer abc.DEF-_~+/="), &token, &found));
    assert_true(found);
    assert_true(bytes_eq_str(token, "abc.DEF-_~+/="));
    assert_ok(http_auth_bearer(BYTES_LIT("Basic YTpi"), &token, &found));
    assert_false(found);
    assert_err(ERR_INVALID, http_auth_bearer(BYTES_LIT("Bearer a b"), &token, &found));
    assert_ok(http_auth_bearer(BYTES_LIT("Bearerabc"), &token, &found));
    assert_false(found);
}

static void test_auth__cookies(void **state) {
    (void)state;
    bytes_t value;
    bool found = false;
    bytes_t header = BYTES_LIT("a=1; session=abc=def;c=\"q\" ; session2=x");
    assert_ok(http_cookie_get(header, "session", &value, &found));
    assert_true(found);
    assert_true(bytes_eq_str(value, "abc=def"));
    assert_ok(http_cookie_get(header, "c", &value, &found));
    assert_true(bytes_eq_str(value, "q"));
    assert_ok(http_cookie_get(header, "sess", &value, &found));
    assert_false(found);
    assert_err(ERR_INVALID, http_cookie_get(BYTES_LIT("a=1; a=2"), "a", &value, &found));
    assert_ok(http_cookie_get(BYTES_NONE, "a", &value, &found));
    assert_false(found);
}

/* Every allocation on the way fails once; nothing may leak or be half done. */
static void test_query__survives_lack_of_memory(void **state) {
    (void)state;
    unsigned long n = 1;
    for (;; n++) {
        arena_t *arena = NULL;
        http_form_t form = {.n = 0};
        fault_arm_memory(n);
        err_t *e = arena_new(1000, &arena);
        if (!e) e = http_form_parse(arena, BYTES_LIT("a=b%20c&d+e=f"), &form);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        arena_free(arena);
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_int_equal(form.n, 0);
        assert_err(ERR_NOMEM, e);
    }
    assert_true(n > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query__keeps_the_plus_of_scep),
        cmocka_unit_test(test_query__empty_and_missing),
        cmocka_unit_test(test_query__refuses_duplicates),
        cmocka_unit_test(test_query__numbers),
        cmocka_unit_test(test_form__parses),
        cmocka_unit_test(test_form__is_bounded),
        cmocka_unit_test(test_auth__basic),
        cmocka_unit_test(test_auth__bearer),
        cmocka_unit_test(test_auth__cookies),
        cmocka_unit_test(test_query__survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
