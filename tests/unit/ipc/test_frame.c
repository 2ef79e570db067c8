/*
 * ipc/frame.h: frames and error replies.
 */
#include "../unit.h"

#include "base/mem.h"
#include "ipc/frame.h"
#include "ipc/role.h"

static void test_frame__decodes_what_was_encoded(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, LIMIT_FRAME_BYTES);
    frame_t in = {.kind = FRAME_REQUEST, .intent = 0x0102, .id = 77, .body = BYTES_LIT("body")};
    frame_t out;
    assert_ok(frame_encode(&in, &b));
    assert_int_equal(b.n, FRAME_HEADER + 4);
    assert_memory_equal(b.p, "COFF\1\1\1\2\0\0\0\0\0\0\0Mbody", b.n);
    assert_ok(frame_decode(buf_bytes(&b), &out));
    assert_int_equal(out.kind, FRAME_REQUEST);
    assert_int_equal(out.intent, 0x0102);
    assert_true(out.id == 77);
    assert_true(bytes_eq_str(out.body, "body"));
}

static void test_frame__refuses_what_is_no_frame(void **state) {
    (void)state;
    const char good[] = "COFF\1\1\1\2\0\0\0\0\0\0\0\1";
    uint8_t bad[FRAME_HEADER];
    frame_t out;
    assert_ok(frame_decode(bytes_make(good, FRAME_HEADER), &out));
    for (size_t n = 0; n < FRAME_HEADER; n++)
        assert_err(ERR_INVALID, frame_decode(bytes_make(good, n), &out));
    for (size_t i = 0; i < 6; i++) { /* magic, version, kind */
        memcpy(bad, good, FRAME_HEADER);
        bad[i] = 9;
        assert_err(ERR_INVALID, frame_decode(BYTES_ARRAY(bad), &out));
    }
    memcpy(bad, good, FRAME_HEADER);
    bad[5] = FRAME_EVENT; /* with an id */
    assert_err(ERR_INVALID, frame_decode(BYTES_ARRAY(bad), &out));
}

static void test_frame__limits_the_body(void **state) {
    (void)state;
    CLEANUP(mem_free) uint8_t *body = mem_zalloc(LIMIT_FRAME_BYTES + 1);
    CLEANUP(buf_done) buf_t b;
    buf_init(&b, 2 * (size_t)LIMIT_FRAME_BYTES);
    frame_t f = {.kind = FRAME_REPLY, .body = bytes_make(body, FRAME_BODY_MAX)};
    assert_ok(frame_encode(&f, &b));
    assert_int_equal(b.n, LIMIT_FRAME_BYTES);
    f.body.n++;
    assert_err(ERR_LIMIT, frame_encode(&f, &b));
    memcpy(body, b.p, FRAME_HEADER);
    assert_err(ERR_LIMIT, frame_decode(bytes_make(body, LIMIT_FRAME_BYTES + 1), &f));
}

static void test_frame__error_keeps_every_code_and_the_text(void **state) {
    (void)state;
    for (int code = ERR_INTERNAL; code <= ERR_FULL; code++) {
        CLEANUP(buf_done) buf_t b;
        buf_init(&b, FRAME_ERROR_MAX);
        err_t *e = err_wrap(err_new((err_code_t)code, "inner"), "outer");
        CLEANUP(err_free) err_t *back = NULL;
        assert_ok(frame_error_encode(e, &b));
        assert_ok(frame_error_decode(buf_bytes(&b), &back));
        assert_int_equal(err_code(back), code);
        if (code != ERR_NOMEM) assert_string_equal(err_message(back), "outer: inner");
        for (size_t n = 0; n < b.n; n++) {
            err_t *none = NULL;
            assert_err(ERR_INVALID, frame_error_decode(bytes_make(b.p, n), &none));
        }
        err_free(e);
    }
    err_t *none = NULL;
    assert_err(ERR_INVALID, frame_error_decode(BYTES_LIT("\0\0\0\0\0"), &none));
    assert_err(ERR_INVALID, frame_error_decode(BYTES_LIT("\x63\0\0\0\0"), &none));
}

static void test_role__names_are_parsed_back(void **state) {
    (void)state;
    for (int i = ROLE_KEEPER; i <= ROLE_COMMAND; i++) {
        role_t role;
        assert_true(role_parse(bytes_str(role_name((role_t)i)), &role));
        assert_int_equal(role, i);
        assert_true(strlen(role_name(role)) <= ROLE_NAME_MAX);
    }
    role_t role;
    assert_false(role_parse(BYTES_LIT("keepe"), &role));
    assert_false(role_parse(BYTES_NONE, &role));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame__decodes_what_was_encoded),
        cmocka_unit_test(test_frame__refuses_what_is_no_frame),
        cmocka_unit_test(test_frame__limits_the_body),
        cmocka_unit_test(test_frame__error_keeps_every_code_and_the_text),
        cmocka_unit_test(test_role__names_are_parsed_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
