/*
 * format/mime: events are the same however the bytes are cut, and byte-exact.
 */
#include "../unit.h"

#include "base/arena.h"
#include "format/mime.h"

typedef struct {
    buf_t log, raw;
    const char *raw_path; /* the part whose raw bytes are kept */
} tape_t;

static err_t *on_begin(void *arg, mime_part_t *part, bool *ret_raw) {
    tape_t *t = arg;
    *ret_raw = t->raw_path && strcmp(part->path, t->raw_path) == 0;
    return buf_printf(&t->log, "[%s %.*s ", part->path, (int)part->type.value.n,
                      (const char *)part->type.value.p);
}
static err_t *on_body(void *arg, mime_part_t *part, bytes_t data) {
    (void)part;
    return buf_add(&((tape_t *)arg)->log, data);
}
static err_t *on_raw(void *arg, mime_part_t *part, bytes_t data) {
    (void)part;
    return buf_add(&((tape_t *)arg)->raw, data);
}
static err_t *on_end(void *arg, mime_part_t *part) {
    return buf_printf(&((tape_t *)arg)->log, " %u]", part->odd);
}

static err_t *play(bytes_t message, size_t step, const char *raw_path, tape_t *t) {
    const mime_handler_t h = {on_begin, on_body, on_raw, on_end, t};
    mime_reader_t *r CLEANUP(mime_reader_free) = NULL;
    t->raw_path = raw_path;
    buf_init(&t->log, 1 << 24);
    buf_init(&t->raw, 1 << 24);
    TRY(mime_reader_new(&h, &r));
    for (bytes_t rest = message; rest.n; rest = bytes_from(rest, step))
        TRY(mime_feed(r, bytes_slice(rest, 0, step)));
    return mime_finish(r);
}

static void done(tape_t *t) {
    buf_done(&t->log);
    buf_done(&t->raw);
}

/* The same events for every way of cutting; and the raw bytes of one part. */
static void expect(const char *message, const char *events, const char *raw_path, const char *raw) {
    static const size_t steps[] = {1, 2, 3, 5, 7, 64, 1 << 20};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        tape_t t;
        assert_ok(play(bytes_str(message), steps[i], raw_path, &t));
        const char *text;
        assert_ok(buf_cstr(&t.log, &text));
        assert_string_equal(text, events);
        assert_ok(buf_cstr(&t.raw, &text));
        if (raw) assert_string_equal(text, raw);
        done(&t);
    }
}

static void test_mime__a_plain_message_is_one_leaf(void **state) {
    (void)state;
    expect("From: a@example.org\r\n\r\nhello\r\n", "[1 text/plain hello\r\n 0]", "1",
           "From: a@example.org\r\n\r\nhello\r\n");
    expect("\r\nhello", "[1 text/plain hello 0]", NULL, NULL);
    expect("", "[1 text/plain  0]", NULL, NULL);
    expect("Subject: only", "[1 text/plain  0]", NULL, NULL);
    expect("A: b\r\n\r\nx\r", "[1 text/plain x\r 0]", NULL, NULL);
    expect("A: b\n\nx\ny\n", "[1 text/plain x\ny\n 4]", NULL, NULL);
}

static const char two_parts[] =
    "Content-Type: multipart/signed; boundary=\"b-1\"\r\n\r\n"
    "preamble\r\n--b-1\r\n"
    "Content-Type: text/html\r\n\r\n<p>\r\n--b-10\r\n- x\r\n\r\n"
    "--b-1 \t\r\nContent-Type: application/pkcs7-signature\r\n\r\nAAAA\r\n"
    "--b-1--\r\nepilogue\r\n";

static void test_mime__the_line_end_before_a_boundary_is_the_boundarys(void **state) {
    (void)state;
    expect(two_parts,
           "[1 multipart/signed [1.1 text/html <p>\r\n--b-10\r\n- x\r\n 0]"
           "[1.2 application/pkcs7-signature AAAA 0] 0]",
           "1.1", "Content-Type: text/html\r\n\r\n<p>\r\n--b-10\r\n- x\r\n");
    expect(two_parts,
           "[1 multipart/signed [1.1 text/html <p>\r\n--b-10\r\n- x\r\n 0]"
           "[1.2 application/pkcs7-signature AAAA 0] 0]",
           "1", two_parts);
}

static void test_mime__raw_bytes_of_a_multipart_hold_its_inner_boundaries(void **state) {
    (void)state;
    expect("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
           "Content-Type: multipart/alternative; boundary=i\r\n\r\n"
           "--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--\r\ntail\r\n--o--\r\n",
           "[1 multipart/mixed [1.1 multipart/alternative [1.1.1 text/plain one 0]"
           "[1.1.2 text/plain two 0] 0] 0]",
           "1.1",
           "Content-Type: multipart/alternative; boundary=i\r\n\r\n"
           "--i\r\n\r\none\r\n--i\r\n\r\ntwo\r\n--i--\r\ntail");
}

static void test_mime__an_outer_boundary_ends_what_was_not_closed(void **state) {
    (void)state;
    expect("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
           "Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\none\r\n--o\r\n\r\ntwo",
           "[1 multipart/mixed [1.1 multipart/mixed [1.1.1 text/plain one 0] 2]"
           "[1.2 text/plain two 0] 2]",
           NULL, NULL);
}

static void test_mime__a_boundary_in_headers_ends_them(void **state) {
    (void)state;
    expect("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nA: b\r\n--o--\r\n",
           "[1 multipart/mixed [1.1 text/plain  0] 0]", NULL, NULL);
}

static void test_mime__an_embedded_message_is_read(void **state) {
    (void)state;
    expect("Content-Type: multipart/digest; boundary=o\n\n--o\n\nSubject: in\n\nbody\n--o--\n",
           "[1 multipart/digest [1.1 message/rfc822 [1.1.1 text/plain body 4] 4] 4]", "1.1.1",
           "Subject: in\n\nbody");
    expect("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA",
           "[1 message/rfc822 AAAA 128]", NULL, NULL);
}

static void test_mime__says_what_is_odd(void **state) {
    (void)state;
    expect("Content-Type: multipart/mixed\r\n\r\n--x\r\n", "[1 multipart/mixed --x\r\n 1]", NULL,
           NULL);
    expect("no field\r\nA: b\r\n\r\n\xff", "[1 text/plain \xff 80]", NULL, NULL);
    expect("Content-Type: text/a\r\nContent-Type: text/b\r\n\r\n", "[1 text/a  256]", NULL, NULL);
}

static void test_mime__long_lines_are_seen(void **state) {
    (void)state;
    buf_t m;
    buf_init(&m, 1 << 24);
    assert_ok(buf_add_str(&m, "A: b\r\n\r\n"));
    for (int i = 0; i < 300000; i++) assert_ok(buf_add_byte(&m, '-'));
    tape_t t;
    assert_ok(play(buf_bytes(&m), 1000, NULL, &t));
    assert_int_equal(t.log.n, 300000 + sizeof "[1 text/plain  32]" - 1);
    done(&t);
    buf_done(&m);
}

static void test_mime__limits_hold(void **state) {
    (void)state;
    buf_t m;
    tape_t t;
    buf_init(&m, 1 << 24);
    for (int i = 0; i < 25; i++)
        assert_ok(
            buf_printf(&m, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i));
    assert_err(ERR_LIMIT, play(buf_bytes(&m), 100, NULL, &t));
    done(&t);
    buf_clear(&m);
    assert_ok(buf_add_str(&m, "A: "));
    for (int i = 0; i < 300000; i++) assert_ok(buf_add_byte(&m, 'x'));
    assert_err(ERR_LIMIT, play(buf_bytes(&m), 100, NULL, &t));
    done(&t);
    buf_clear(&m);
    assert_ok(buf_add_str(&m, "Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
    for (int i = 0; i < 10002; i++) assert_ok(buf_add_str(&m, "--b\r\n\r\n"));
    assert_err(ERR_LIMIT, play(buf_bytes(&m), 4096, NULL, &t));
    done(&t);
    buf_done(&m);
}

static void type_is(const char *value, const char *type, const char *name, const char *expected) {
    arena_t *arena CLEANUP(arena_free) = NULL;
    mime_type_t t;
    assert_ok(arena_new(1 << 20, &arena));
    assert_ok(mime_type_read(arena, bytes_str(value), &t));
    assert_true(bytes_eq_str(t.value, type));
    bytes_t got = mime_parameter(&t, name);
    if (!bytes_eq_str(got, expected)) {
        print_error("%s: got \"%.*s\"\n", value, (int)got.n, (const char *)got.p);
        fail();
    }
}

static void test_mime__parameters_are_read_as_they_are_written_in_the_wild(void **state) {
    (void)state;
    type_is("Text/Plain; Charset=utf-8", "text/plain", "charset", "utf-8");
    type_is("a/b; name=\"a \\\"b\\\".txt\"", "a/b", "name", "a \"b\".txt");
    type_is("a/b; name=un quoted.txt ; x=1", "a/b", "name", "un quoted.txt");
    type_is("a/b (comment; name=no); name=yes", "a/b", "name", "yes");
    type_is("attachment; filename*=UTF-8''%e2%82%ac%20x", "attachment", "filename",
            "\xe2\x82\xac x");
    type_is("attachment; filename*0*=iso-8859-1'de'%fc; filename*1=\"b.\"; filename*2*=%74xt",
            "attachment", "filename",
            "\xc3\xbc"
            "b.txt");
    type_is("attachment; filename=plain; filename*=utf-8''better", "attachment", "filename",
            "better");
    type_is("attachment; filename=\"=?utf-8?B?w7xiZXI=?= =?utf-8?Q?_x?=\"", "attachment",
            "filename",
            "\xc3\xbc"
            "ber x");
    type_is("a/b; name", "a/b", "name", "");
    type_is("a/b; name=\"no end", "a/b", "name", "no end");
    type_is("", "", "name", "");
}

static void words(const char *value, const char *expected) {
    buf_t out;
    const char *text;
    buf_init(&out, 1 << 20);
    assert_ok(mime_words_decode(bytes_str(value), &out));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(text, expected);
    buf_done(&out);
}

static void test_mime__encoded_words(void **state) {
    (void)state;
    words("=?iso-8859-1?q?=fc=5f_x?= y", "\xc3\xbc_ x y");
    words("=?utf-8?b?w7w=?=\r\n =?utf-8?b?w7w=?=", "\xc3\xbc\xc3\xbc");
    words("=?utf-8?b?ww==?= =?utf-8?b?vA==?=", "\xc3\xbc"); /* a character cut in two */
    words("=?nonsense?q?a=ff?=", "a\xef\xbf\xbd");
    words("=?utf-8?b?!!!?= x", "=?utf-8?b?!!!?= x");
    words("a =? b", "a =? b");
    words("\xff", "\xef\xbf\xbd");
    words("=?iso-2022-jp?B?GyRCJCIbKEI=?=", "\xe3\x81\x82");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mime__a_plain_message_is_one_leaf),
        cmocka_unit_test(test_mime__the_line_end_before_a_boundary_is_the_boundarys),
        cmocka_unit_test(test_mime__raw_bytes_of_a_multipart_hold_its_inner_boundaries),
        cmocka_unit_test(test_mime__an_outer_boundary_ends_what_was_not_closed),
        cmocka_unit_test(test_mime__a_boundary_in_headers_ends_them),
        cmocka_unit_test(test_mime__an_embedded_message_is_read),
        cmocka_unit_test(test_mime__says_what_is_odd),
        cmocka_unit_test(test_mime__long_lines_are_seen),
        cmocka_unit_test(test_mime__limits_hold),
        cmocka_unit_test(test_mime__parameters_are_read_as_they_are_written_in_the_wild),
        cmocka_unit_test(test_mime__encoded_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
