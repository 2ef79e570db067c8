/*
 * Property lists: what is read, what is refused, what is written, and every failing allocation.
 */
#include "../unit.h"

#include <locale.h>
#include <math.h>
#include <string.h>

#include "base/fault.h"
#include "base/limits.h"
#include "format/plist.h"

#define WRAP(body) "<plist version=\"1.0\">" body "</plist>"

static const char message[] = WRAP("<!-- so that expat reads it --><dict>"
                                   "<key>UDID</key><string>X1</string>"
                                   "<key>Token</key><data> AAEC\n /w== </data>"
                                   "<key>Count</key><integer> -42 </integer>"
                                   "<key>Big</key><integer>18446744073709551615</integer>"
                                   "<key>Hex</key><integer>0xFF</integer>"
                                   "<key>Real</key><real>0.1</real>"
                                   "<key>Yes</key><true/><key>No</key><false></false>"
                                   "<key>When</key><date>2026-11-22T04:19:00Z</date>"
                                   "<key>List</key><array><string>a</string><dict/></array>"
                                   "<key>In</key><dict><key>k</key><string/></dict>"
                                   "</dict>");

static err_t *parse(const char *text, plist_doc_t **ret_doc) {
    return plist_parse(bytes_str(text), ret_doc);
}

/* Refused with this code, and the message has these words. */
static void assert_refused(err_code_t code, const char *text, const char *words) {
    plist_doc_t *doc = NULL;
    char seen[512];
    err_t *e CLEANUP(err_free) = parse(text, &doc);
    assert_null(doc);
    assert_non_null(e);
    assert_string_equal(err_code_name(err_code(e)), err_code_name(code));
    if (!strstr(err_text(e, seen, sizeof seen), words)) fail_msg("\"%s\" in: %s", words, seen);
}

static void written(const plist_t *node, buf_t *out) {
    buf_init(out, LIMIT_PLIST_BYTES);
    assert_ok(plist_write(node, out));
}

static void test_plist__reads_every_type(void **state) {
    (void)state;
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    plist_t *dict = NULL, *list = NULL, *in = NULL;
    bytes_t text = BYTES_NONE, data = BYTES_NONE;
    int64_t count = 0, hex = 0, when = 0;
    uint64_t big = 0;
    double real = 0;
    bool yes = false, no = true;
    assert_ok(plist_parse_dict(bytes_str(message), &doc, &dict));
    assert_int_equal(plist_count(dict), 11);
    assert_ok(plist_get_string(dict, "UDID", 10, true, &text));
    assert_true(bytes_eq_str(text, "X1"));
    assert_ok(plist_get_data(dict, "Token", 10, true, &data));
    assert_true(bytes_eq(data, BYTES_LIT("\0\1\2\xff")));
    assert_ok(plist_get_int(dict, "Count", -100, 0, true, &count));
    assert_int_equal(count, -42);
    assert_ok(plist_u64(plist_get(dict, "Big"), &big));
    assert_true(big == UINT64_MAX);
    assert_ok(plist_get_int(dict, "Hex", 0, 255, true, &hex));
    assert_int_equal(hex, 255);
    assert_ok(plist_get_real(dict, "Real", true, &real));
    assert_true(real == 0.1);
    assert_ok(plist_get_bool(dict, "Yes", true, &yes));
    assert_ok(plist_get_bool(dict, "No", true, &no));
    assert_true(yes && !no);
    assert_ok(plist_get_date(dict, "When", true, &when));
    assert_int_equal(when, 1795321140);
    assert_ok(plist_get_array(dict, "List", true, &list));
    assert_int_equal(plist_array_count(list), 2);
    assert_ok(plist_string(plist_array_at(list, 0), 1, &text));
    assert_null(plist_array_at(list, 2));
    assert_ok(plist_get_dict(dict, "In", true, &in));
    assert_true(bytes_eq_str(plist_key(plist_at(in, 0)), "k"));
}

static void test_plist__getters_name_what_is_wrong(void **state) {
    (void)state;
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    plist_t *dict = NULL, *untouched = NULL;
    bytes_t text = BYTES_LIT("preset");
    int64_t number = 7;
    uint64_t u = 0;
    char seen[256];
    assert_ok(plist_parse_dict(bytes_str(message), &doc, &dict));
    assert_ok(plist_get_string(dict, "Absent", 10, false, &text));
    assert_true(bytes_eq_str(text, "preset"));
    assert_err(ERR_INVALID, plist_get_string(dict, "Absent", 10, true, &text));
    assert_err(ERR_INVALID, plist_get_string(dict, "Token", 10, false, &text));
    assert_err(ERR_LIMIT, plist_get_string(dict, "UDID", 1, true, &text));
    assert_err(ERR_INVALID, plist_get_int(dict, "Count", 0, 10, true, &number));
    assert_err(ERR_INVALID, plist_get_int(dict, "Big", INT64_MIN, INT64_MAX, true, &number));
    assert_err(ERR_INVALID, plist_u64(plist_get(dict, "Count"), &u));
    assert_err(ERR_INVALID, plist_get_dict(dict, "List", true, &untouched));
    assert_err(ERR_INVALID, plist_get_string(plist_get(dict, "UDID"), "k", 1, false, &text));
    assert_err(ERR_INVALID, plist_get_string(NULL, "k", 1, false, &text));
    assert_true(bytes_eq_str(text, "preset"));
    assert_int_equal(number, 7);
    assert_null(untouched);
    err_t *e CLEANUP(err_free) = plist_get_data(dict, "UDID", 10, true, &text);
    assert_string_equal(err_text(e, seen, sizeof seen),
                        "key UDID: line 1: expected data, found string");
}

static void test_plist__refuses_and_names_the_line(void **state) {
    (void)state;
    assert_refused(ERR_INVALID, WRAP("\n\n<dict>\n<key>a</key>\n</dict>"), "line 5");
    assert_refused(ERR_INVALID, WRAP("<dict><key>a</key></dict>"), "key without a value");
    assert_refused(ERR_INVALID, WRAP("<dict><true/></dict>"), "without a key");
    assert_refused(ERR_INVALID, WRAP("<dict>x</dict>"), "text outside");
    assert_refused(ERR_INVALID,
                   WRAP("<dict><key>a</key><true/><key>b</key><true/><key>a</key>"
                        "<true/></dict>"),
                   "the key a stands twice");
    assert_refused(ERR_INVALID, "<!DOCTYPE plist [<!ENTITY a \"b\">]>" WRAP("<true/>"), "refused");
    assert_refused(ERR_INVALID, "<!DOCTYPE plist SYSTEM \"x\">" WRAP("<string>&u;</string>"),
                   "entity");
    assert_refused(ERR_INVALID, "bplist00", "binary");
    assert_refused(ERR_INVALID, "", "empty");
    assert_refused(ERR_INVALID, WRAP("<dict>"), "line 1");
    assert_refused(ERR_INVALID, WRAP("<string>x</string>") "junk", "line 1");
}

/* A document of `count` values between two texts. */
static void repeated(buf_t *out, size_t count, const char *before, const char *middle,
                     const char *after) {
    assert_ok(buf_add_str(out, "<plist version=\"1.0\">"));
    for (size_t i = 0; i < count; i++) assert_ok(buf_add_str(out, before));
    assert_ok(buf_add_str(out, middle));
    for (size_t i = 0; i < count; i++) assert_ok(buf_add_str(out, after));
    assert_ok(buf_add_str(out, "</plist>"));
}

static void test_plist__limits_depth_size_and_nodes(void **state) {
    (void)state;
    static const struct {
        size_t count;
        const char *before, *middle, *after;
        bool fits;
    } cases[] = {
        {LIMIT_PLIST_DEPTH, "<array>", "", "</array>", true},
        {LIMIT_PLIST_DEPTH + 1, "<array>", "", "</array>", false},
        {100000, "<array>", "", "</array>", false},
        {LIMIT_PLIST_NODES / 4, "", "<array>", "<true/>", true},
        {LIMIT_PLIST_NODES, "", "<array>", "<true/>", false},
        {LIMIT_PLIST_BYTES, " ", "<true/>", "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plist_doc_t *doc CLEANUP(plist_free) = NULL;
        buf_t text CLEANUP(buf_done);
        buf_init(&text, 4u * LIMIT_PLIST_BYTES);
        repeated(&text, cases[i].count, cases[i].before, cases[i].middle, cases[i].after);
        if (strcmp(cases[i].middle, "<array>") == 0) {
            text.n -= strlen("</plist>");
            assert_ok(buf_add_str(&text, "</array></plist>"));
        }
        if (cases[i].fits) assert_ok(plist_parse(buf_bytes(&text), &doc));
        else assert_err(ERR_LIMIT, plist_parse(buf_bytes(&text), &doc));
    }
}

static void test_plist__finds_a_duplicate_among_many_keys(void **state) {
    (void)state;
    buf_t text CLEANUP(buf_done);
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    buf_init(&text, LIMIT_PLIST_BYTES);
    assert_ok(buf_add_str(&text, "<plist version=\"1.0\"><dict>"));
    for (int i = 0; i < 40000; i++) assert_ok(buf_printf(&text, "<key>%d</key><true/>", i));
    size_t mark = text.n;
    assert_ok(buf_add_str(&text, "</dict></plist>"));
    assert_ok(plist_parse(buf_bytes(&text), &doc));
    assert_true(bytes_eq_str(plist_key(plist_at(plist_root(doc), 777)), "777"));
    text.n = mark;
    assert_ok(buf_add_str(&text, "<key>20000</key><true/></dict></plist>"));
    plist_doc_t *none = NULL;
    assert_err(ERR_INVALID, plist_parse(buf_bytes(&text), &none));
}

static void test_plist__reads_utf16(void **state) {
    (void)state;
    static const char ascii[] = WRAP("<string>grün</string>");
    uint8_t wide[2 * sizeof ascii + 2] = {0xFF, 0xFE};
    size_t n = 2;
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    bytes_t text = BYTES_NONE;
    for (size_t i = 0; i + 1 < sizeof ascii; i++) {
        uint8_t c = (uint8_t)ascii[i];
        if (c == 0xC3) c = (uint8_t)(0xC0 | (ascii[++i] & 0x3F)); /* U+00C0 and up */
        wide[n++] = c;
        wide[n++] = 0;
    }
    assert_ok(plist_parse(bytes_make(wide, n), &doc));
    assert_ok(plist_string(plist_root(doc), 10, &text));
    assert_true(bytes_eq_str(text, "grün"));
}

static const char canonical[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
    "<plist version=\"1.0\">\n"
    "<dict>\n"
    "\t<key>z</key>\n\t<string>a &amp; &lt;b&gt; \"c\"&#13;\n</string>\n"
    "\t<key>&lt;k&gt;</key>\n\t<data>\n"
    "\tAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
    "\tAAAA\n\t</data>\n"
    "\t<key>i</key>\n\t<integer>-9223372036854775808</integer>\n"
    "\t<key>u</key>\n\t<integer>18446744073709551615</integer>\n"
    "\t<key>r</key>\n\t<real>0.1</real>\n"
    "\t<key>t</key>\n\t<true/>\n"
    "\t<key>d</key>\n\t<date>0001-01-01T00:00:00Z</date>\n"
    "\t<key>a</key>\n\t<array>\n\t\t<integer>1</integer>\n\t\t<dict/>\n\t\t<array/>\n\t</array>\n"
    "</dict>\n"
    "</plist>\n";

static err_t *build(plist_doc_t *doc, plist_t **ret_dict) {
    static const uint8_t zeros[54];
    plist_t *dict = NULL, *array = NULL, *kid = NULL;
    TRY(plist_new_dict(doc, &dict));
    TRY(plist_set_string(dict, "z", "old"));
    TRY(plist_set_data(dict, "<k>", BYTES_ARRAY(zeros)));
    TRY(plist_set_int(dict, "gone", 1));
    TRY(plist_set_int(dict, "i", INT64_MIN));
    TRY(plist_set_u64(dict, "u", UINT64_MAX));
    TRY(plist_set_real(dict, "r", 0.1));
    TRY(plist_set_bool(dict, "t", true));
    TRY(plist_set_date(dict, "d", -62135596800));
    TRY(plist_set_array(dict, "a", &array));
    TRY(plist_array_add_int(array, 1));
    TRY(plist_array_add_dict(array, &kid));
    TRY(plist_array_add_array(array, &kid));
    TRY(plist_set_string(dict, "z", "a & <b> \"c\"\r\n"));
    plist_remove(dict, "gone");
    plist_remove(dict, "never there");
    *ret_dict = dict;
    return NULL;
}

static void test_plist__writes_apples_layout_and_reads_it_back(void **state) {
    (void)state;
    plist_doc_t *doc CLEANUP(plist_free) = NULL, *again CLEANUP(plist_free) = NULL;
    plist_doc_t *other CLEANUP(plist_free) = NULL;
    plist_t *dict = NULL, *copy = NULL;
    buf_t first CLEANUP(buf_done), second CLEANUP(buf_done), third CLEANUP(buf_done);
    assert_ok(plist_doc_new(&doc));
    assert_ok(build(doc, &dict));
    written(dict, &first);
    assert_ok(buf_add_byte(&first, 0));
    assert_string_equal((const char *)first.p, canonical);
    first.n--;
    assert_ok(plist_parse(buf_bytes(&first), &again));
    written(plist_root(again), &second);
    assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
    assert_ok(plist_doc_new(&other));
    assert_ok(plist_copy(other, plist_root(again), &copy));
    plist_free(STEAL(again));
    written(copy, &third);
    assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&third)));
}

static void test_plist__building_refuses_misuse(void **state) {
    (void)state;
    plist_doc_t *doc CLEANUP(plist_free) = NULL, *other CLEANUP(plist_free) = NULL;
    plist_t *dict = NULL, *kid = NULL, *foreign = NULL, *deep = NULL;
    buf_t out CLEANUP(buf_done);
    assert_ok(plist_doc_new(&doc));
    assert_ok(plist_doc_new(&other));
    assert_ok(plist_new_dict(doc, &dict));
    assert_ok(plist_new_array(doc, &kid));
    assert_ok(plist_new_dict(other, &foreign));
    assert_ok(plist_set_node(dict, "a", kid));
    assert_err(ERR_INTERNAL, plist_set_node(dict, "b", kid));
    assert_err(ERR_INTERNAL, plist_set_node(dict, "b", dict));
    assert_err(ERR_INTERNAL, plist_set_node(dict, "b", foreign));
    assert_err(ERR_INTERNAL, plist_array_add_string(dict, "x"));
    assert_err(ERR_INTERNAL, plist_set_string(kid, "x", "x"));
    assert_ok(plist_set_copy(dict, "b", foreign));
    assert_err(ERR_INVALID, plist_set_string(dict, "c", "\xff"));
    assert_err(ERR_INVALID, plist_set_string(dict, "c", "\x01"));
    assert_err(ERR_INVALID, plist_set_string(dict, "c", "\xEF\xBF\xBF"));
    assert_err(ERR_INVALID, plist_set_bytes_string(dict, "c", BYTES_LIT("a\0b")));
    assert_err(ERR_INVALID, plist_set_string(dict, "\x02", "x"));
    assert_err(ERR_INVALID, plist_set_date(dict, "c", INT64_MAX));
    assert_int_equal(plist_count(dict), 2);
    deep = kid;
    for (int i = 0; i < LIMIT_PLIST_DEPTH; i++) assert_ok(plist_array_add_array(deep, &deep));
    buf_init(&out, LIMIT_PLIST_BYTES);
    assert_err(ERR_LIMIT, plist_write(dict, &out));
    assert_err(ERR_LIMIT, plist_copy(other, dict, &foreign));
}

static void test_plist__reals_and_dates_round_trip_in_any_locale(void **state) {
    (void)state;
    static const double reals[] = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e21};
    (void)setlocale(LC_ALL, "de_DE.UTF-8"); /* a decimal comma, where the system has it */
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        plist_doc_t *doc CLEANUP(plist_free) = NULL, *again CLEANUP(plist_free) = NULL;
        plist_t *dict = NULL;
        buf_t out CLEANUP(buf_done);
        double back = 0;
        assert_ok(plist_doc_new(&doc));
        assert_ok(plist_new_dict(doc, &dict));
        assert_ok(plist_set_real(dict, "r", reals[i]));
        written(dict, &out);
        assert_ok(plist_parse(buf_bytes(&out), &again));
        assert_ok(plist_get_real(plist_root(again), "r", true, &back));
        assert_memory_equal(&back, &reals[i], sizeof back);
    }
    (void)setlocale(LC_ALL, "C");
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    double value = 0;
    assert_ok(parse(WRAP("<real>-Infinity</real>"), &doc));
    assert_ok(plist_real(plist_root(doc), &value));
    assert_true(isinf(value) && value < 0);
    assert_refused(ERR_INVALID, WRAP("<real>0x1p3</real>"), "real");
    assert_refused(ERR_INVALID, WRAP("<date>2026-13-01T00:00:00Z</date>"), "no such date");
    assert_refused(ERR_INVALID, WRAP("<date>2026-11-22 04:19:00</date>"), "is written");
}

/* Reads, builds, copies and writes. */
static err_t *everything(void) {
    plist_doc_t *doc CLEANUP(plist_free) = NULL, *built CLEANUP(plist_free) = NULL;
    plist_t *dict = NULL;
    buf_t out CLEANUP(buf_done);
    buf_init(&out, LIMIT_PLIST_BYTES);
    TRY(plist_parse(bytes_str(message), &doc));
    TRY(plist_doc_new(&built));
    TRY(build(built, &dict));
    TRY(plist_set_copy(dict, "copy", plist_root(doc)));
    return plist_write(dict, &out);
}

static void test_plist__survives_every_failing_allocation(void **state) {
    (void)state;
    unsigned long failures = 0;
    for (unsigned long n = 1;; n++) {
        fault_arm_memory(n);
        err_t *e = everything();
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            break;
        }
        if (e) {
            failures++;
            assert_int_equal(err_code(e), ERR_NOMEM);
            err_free(e);
        }
    }
    assert_true(failures > 20);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plist__reads_every_type),
        cmocka_unit_test(test_plist__getters_name_what_is_wrong),
        cmocka_unit_test(test_plist__refuses_and_names_the_line),
        cmocka_unit_test(test_plist__limits_depth_size_and_nodes),
        cmocka_unit_test(test_plist__finds_a_duplicate_among_many_keys),
        cmocka_unit_test(test_plist__reads_utf16),
        cmocka_unit_test(test_plist__writes_apples_layout_and_reads_it_back),
        cmocka_unit_test(test_plist__building_refuses_misuse),
        cmocka_unit_test(test_plist__reals_and_dates_round_trip_in_any_locale),
        cmocka_unit_test(test_plist__survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
