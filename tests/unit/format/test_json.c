/*
 * JSON: limits, typed getters, builders and deterministic output.
 */
#include "../unit.h"

#include <string.h>

#include "base/limits.h"
#include "format/json.h"

static err_t *parse(const char *text, json_t **ret_json) {
    return jso_parse(bytes_str(text), ret_json);
}

static void test_json__getters_check_type_and_bounds(void **state) {
    (void)state;
    json_t *o CLEANUP(jso_free) = NULL, *list = NULL, *in = NULL;
    bytes_t text = BYTES_LIT("preset");
    int64_t number = 7, when = 0;
    bool yes = false;
    double real = 0;
    buf_t data CLEANUP(buf_done);
    buf_init(&data, 64);
    assert_ok(parse("{\"s\":\"x1\",\"i\":42,\"r\":1.5,\"b\":true,\"n\":null,\"l\":[\"a\",1],"
                    "\"o\":{},\"d\":\"AAH_\",\"t\":\"2026-11-22T04:19:00Z\"}",
                    &o));
    assert_ok(jso_get_string(o, "none", 10, false, &text));
    assert_ok(jso_get_string(o, "n", 10, false, &text));
    assert_true(bytes_eq_str(text, "preset"));
    assert_err(ERR_INVALID, jso_get_string(o, "n", 10, true, &text));
    assert_err(ERR_INVALID, jso_get_string(o, "i", 10, false, &text));
    assert_err(ERR_LIMIT, jso_get_string(o, "s", 1, true, &text));
    assert_ok(jso_get_string(o, "s", 2, true, &text));
    assert_true(bytes_eq_str(text, "x1"));
    assert_err(ERR_INVALID, jso_get_int(o, "i", 0, 41, true, &number));
    assert_err(ERR_INVALID, jso_get_int(o, "r", 0, 41, true, &number));
    assert_int_equal(number, 7);
    assert_ok(jso_get_int(o, "i", 42, 42, true, &number));
    assert_int_equal(number, 42);
    assert_ok(jso_get_real(o, "r", true, &real));
    assert_true(real == 1.5);
    assert_ok(jso_get_bool(o, "b", true, &yes));
    assert_true(yes);
    assert_err(ERR_INVALID, jso_get_bool(o, "i", true, &yes));
    assert_err(ERR_LIMIT, jso_get_array(o, "l", 1, true, &list));
    assert_null(list);
    assert_ok(jso_get_array(o, "l", 2, true, &list));
    assert_ok(jso_at_string(list, 0, 1, &text));
    assert_err(ERR_INVALID, jso_at_string(list, 1, 1, &text));
    assert_err(ERR_INVALID, jso_at_string(list, 2, 1, &text));
    assert_ok(jso_get_object(o, "o", true, &in));
    assert_err(ERR_INVALID, jso_get_object(o, "l", true, &in));
    assert_ok(jso_get_base64(o, "d", true, &data));
    assert_true(bytes_eq(buf_bytes(&data), BYTES_LIT("\0\1\xff")));
    assert_err(ERR_INVALID, jso_get_base64(o, "t", true, &data));
    assert_ok(jso_get_time(o, "t", true, &when));
    assert_int_equal(when, 1795321140);
    assert_err(ERR_INVALID, jso_get_time(o, "s", true, &when));
    assert_err(ERR_INVALID, jso_get_string(list, "s", 1, false, &text));
}

static void test_json__refuses_malformed_text_with_its_place(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\":1,\"a\":2}",
        "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":1}x",
        "1",
        "\"text\"",
        "[1,]",
        "{a:1}",
        "[99999999999999999999]",
        "[1e999]",
        "[NaN]",
    };
    json_t *json = NULL;
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_err(ERR_INVALID, parse(bad[i], &json));
        assert_null(json);
    }
    err_t *e CLEANUP(err_free) = parse("{\n  \"a\": ?\n}", &json);
    assert_non_null(e);
    assert_non_null(strstr(err_text(e, text, sizeof text), "line 2, column 8"));
    assert_err(ERR_INVALID, jso_parse_object(BYTES_LIT("[]"), &json));
}

static void test_json__limits_depth_and_size(void **state) {
    (void)state;
    static char big[LIMIT_JSON_BYTES + 2];
    char deep[2 * LIMIT_JSON_DEPTH + 3] = "";
    json_t *json CLEANUP(jso_free) = NULL, *none = NULL;
    memset(deep, '[', LIMIT_JSON_DEPTH);
    memset(deep + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
    assert_ok(parse(deep, &json));
    memset(deep, '[', LIMIT_JSON_DEPTH + 1);
    memset(deep + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
    assert_err(ERR_LIMIT, parse(deep, &none));
    jso_free(STEAL(json));
    assert_ok(parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]", &json));
    memset(big, ' ', sizeof big - 1);
    assert_err(ERR_LIMIT, parse(big, &none));
}

static void test_json__only_refuses_unknown_members(void **state) {
    (void)state;
    json_t *o CLEANUP(jso_free) = NULL;
    assert_ok(parse("{\"a\":1,\"b\":2}", &o));
    assert_ok(jso_only(o, "a", "b", "c", NULL));
    assert_err(ERR_INVALID, jso_only(o, "a", NULL));
    assert_err(ERR_INVALID, jso_only(NULL, "a", NULL));
}

static void test_json__builds_and_writes_in_order(void **state) {
    (void)state;
    json_t *o CLEANUP(jso_free) = NULL, *list = NULL, *in = NULL;
    buf_t out CLEANUP(buf_done), small CLEANUP(buf_done);
    buf_init(&out, 4096);
    buf_init(&small, 5);
    assert_ok(jso_object(&o));
    assert_ok(jso_set_str(o, "z", "é\"\n"));
    assert_ok(jso_set_str(o, "a", NULL));
    assert_ok(jso_set_int(o, "i", INT64_MIN));
    assert_ok(jso_set_bool(o, "b", false));
    assert_ok(jso_set_base64(o, "d", BYTES_LIT("foo")));
    assert_ok(jso_set_time(o, "t", 0));
    assert_ok(jso_set_array(o, "l", &list));
    assert_ok(jso_add_string(list, BYTES_LIT("x")));
    assert_ok(jso_add_int(list, 1));
    assert_ok(jso_add_object(list, &in));
    assert_ok(jso_set_real(in, "r", 0.5));
    assert_err(ERR_INVALID, jso_set_str(o, "bad", "\xff"));
    assert_err(ERR_INVALID, jso_set_string(o, "bad", BYTES_LIT("a\0b")));
    assert_err(ERR_INVALID, jso_set_real(o, "bad", __builtin_inf()));
    assert_err(ERR_INTERNAL, jso_set_int(list, "bad", 1));
    assert_err(ERR_INTERNAL, jso_add_int(o, 1));
    assert_ok(jso_write(o, false, &out));
    assert_ok(buf_add_byte(&out, 0));
    assert_string_equal(
        (const char *)out.p,
        "{\"z\":\"é\\\"\\n\",\"a\":null,\"i\":-9223372036854775808,\"b\":false,"
        "\"d\":\"Zm9v\",\"t\":\"1970-01-01T00:00:00Z\",\"l\":[\"x\",1,{\"r\":0.5}]}");
    buf_clear(&out);
    assert_ok(jso_write(in, true, &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "{\n  \"r\": 0.5\n}\n"));
    assert_err(ERR_LIMIT, jso_write(o, false, &small));
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__getters_check_type_and_bounds),
        cmocka_unit_test(test_json__refuses_malformed_text_with_its_place),
        cmocka_unit_test(test_json__limits_depth_and_size),
        cmocka_unit_test(test_json__only_refuses_unknown_members),
        cmocka_unit_test(test_json__builds_and_writes_in_order),
    };
    jso_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
