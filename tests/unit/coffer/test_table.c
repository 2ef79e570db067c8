/*
 * Tables, values and lists for people: src/program/coffer/table.c and output.c.
 */
#include "../unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "program/coffer/output.h"
#include "program/coffer/table.h"

static void check(bool aligned, const char *expected) {
    static const char *const cells[] = {"A", "LONGER", "ZÜRICH", "1", "é", "x\ny"};
    CLEANUP(table_done) table_t table = {0};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1024);
    assert_ok(table_init(&table, 3));
    for (size_t i = 0; i < 6; i++) assert_ok(table_add(&table, bytes_str(cells[i])));
    assert_ok(table_write(&table, aligned, &out));
    const char *text = NULL;
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(text, expected);
}

static void test_table__aligns_by_characters(void **state) {
    (void)state;
    check(true, "A  LONGER  ZÜRICH\n1  é       x y\n");
}

static void test_table__tabs_without_terminal(void **state) {
    (void)state;
    check(false, "A\tLONGER\tZÜRICH\n1\té\tx y\n");
}

static void test_table__strangers_cannot_steer_the_terminal(void **state) {
    (void)state;
    static const struct {
        bytes_t in;
        const char *out;
    } cases[] = {
        {BYTES_LIT("\x1b[2J"), "\\x1b[2J"},
        {BYTES_LIT("a\x07"
                   "b\r"),
         "a\\x07b\\x0d"},
        {BYTES_LIT("\xc2\x9b"
                   "1m"),
         "\\xc2\\x9b1m"},                      /* a C1 control */
        {BYTES_LIT("\xff\xc3"), "\\xff\\xc3"}, /* no UTF-8 */
        {BYTES_LIT("x\xe2\x80\xae"
                   "y"),
         "x\\xe2\\x80\\xaey"}, /* right-to-left override */
        {BYTES_LIT("a\tb"), "a b"},
        {BYTES_LIT("\xf0\x9f\x93\xb1"), "\xf0\x9f\x93\xb1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        const char *text = NULL;
        buf_init(&out, 256);
        assert_ok(table_escape(cases[i].in, &out));
        assert_ok(buf_cstr(&out, &text));
        assert_string_equal(text, cases[i].out);
    }
}

static void print_list(bool json, bool terminal, const char *input, char *out, size_t size) {
    static const column_t columns[] = {{"name", "NAME"}, {"a.b", "AB"}, {"on", "ON"}, {NULL, NULL}};
    CLEANUP(jso_free) json_t *object = NULL;
    cli_t cli = {.json = json, .terminal = terminal};
    FILE *file = tmpfile();
    assert_non_null(file);
    cli.out = file;
    assert_ok(jso_parse_object(bytes_str(input), &object));
    assert_ok(output_list(&cli, object, "items", columns, "Nothing."));
    rewind(file);
    size_t n = fread(out, 1, size - 1, file);
    out[n] = '\0';
    assert_int_equal(fclose(file), 0);
}

static void test_output__list(void **state) {
    (void)state;
    char out[1024];
    const char *input =
        "{\"items\":[{\"name\":\"x\",\"a\":{\"b\":7},\"on\":true},{\"name\":null}]}";
    print_list(false, false, input, out, sizeof out);
    assert_string_equal(out, "NAME\tAB\tON\nx\t7\tyes\n-\t-\t-\n");
    print_list(false, true, input, out, sizeof out);
    assert_string_equal(out, "NAME  AB  ON\nx     7   yes\n-     -   -\n");
    print_list(true, false, input, out, sizeof out);
    assert_string_equal(
        out, "{\"items\":[{\"name\":\"x\",\"a\":{\"b\":7},\"on\":true},{\"name\":null}]}\n");
    print_list(false, true, "{\"items\":[]}", out, sizeof out);
    assert_string_equal(out, "Nothing.\n");
    print_list(false, false, "{\"items\":[]}", out, sizeof out);
    assert_string_equal(out, "NAME\tAB\tON\n");
}

static void value_is(const char *json, bool local, const char *expected) {
    CLEANUP(jso_free) json_t *array = NULL;
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 256);
    assert_ok(jso_parse(bytes_str(json), &array));
    assert_ok(output_value(json_array_get(array, 0), local, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(text, expected);
}

static void test_output__values(void **state) {
    (void)state;
    value_is("[\"2026-11-22T04:19:59Z\"]", true, "2026-11-22 05:19");
    value_is("[\"2026-11-22T04:19:59Z\"]", false, "2026-11-22T04:19:59Z");
    value_is("[\"2026-11-22Tnonsense!!\"]", true, "2026-11-22Tnonsense!!");
    value_is("[\"\"]", false, "-");
    value_is("[null]", false, "-");
    value_is("[false]", false, "no");
    value_is("[0.5]", false, "0.5");
    value_is("[[1,2]]", false, "[1,2]");
}

static err_t *make_table(void) {
    CLEANUP(table_done) table_t table = {0};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1024);
    TRY(table_init(&table, 1));
    TRY(table_add(&table, BYTES_LIT("cell")));
    return table_write(&table, true, &out);
}

static void test_table__survives_failing_allocations(void **state) {
    (void)state;
    bool done = false;
    for (unsigned long i = 1; i < 100 && !done; i++) {
        fault_arm_memory(i);
        err_t *e = make_table();
        fault_arm_memory(0);
        done = !e;
        if (e) assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
    }
    assert_true(done);
}

int main(void) {
    (void)setenv("TZ", "UTC-1", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__aligns_by_characters),
        cmocka_unit_test(test_table__tabs_without_terminal),
        cmocka_unit_test(test_table__strangers_cannot_steer_the_terminal),
        cmocka_unit_test(test_output__list),
        cmocka_unit_test(test_output__values),
        cmocka_unit_test(test_table__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
