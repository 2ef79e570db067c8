/*
 * The report: every format with what a stranger may put into a name.
 */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/secret.h"
#include "program/coffer/report.h"

static const report_row_t row = {.subject = "CN=a",
                                 .issuer = "CN=ca",
                                 .serial = "01",
                                 .fingerprint = "ff",
                                 .profile = "device-identity",
                                 .source = "",
                                 .holder = "a@example.org",
                                 .device = "phone",
                                 .cause_code = "not-asked",
                                 .cause = "nobody asked",
                                 .not_after = 1800000000,
                                 .days_left = 9};

static char *render(report_format_t format, const report_row_t *rows, size_t count, int repeat) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    report_t *report = NULL;
    report_options_t o = {
        .format = format, .title = "A & B <Clinic>", .now = 1799222400, .within = 60, .out = out};
    assert_non_null(out);
    assert_ok(report_new(&o, &report));
    for (int r = 0; r < repeat; r++)
        for (size_t i = 0; i < count; i++) assert_ok(report_add(report, &rows[i]));
    assert_ok(report_finish(report));
    report_free(report);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void field(const char *text, const char *expected) {
    CLEANUP(buf_done) buf_t out;
    const char *got = NULL;
    buf_init(&out, 1000);
    assert_ok(report_csv_field(&out, text));
    assert_ok(buf_cstr(&out, &got));
    assert_string_equal(got, expected);
}

static void test_report__csv_is_quoted_and_no_formula(void **state) {
    (void)state;
    field("", "\"\"");
    field("a,b \"c\"\r\nd", "\"a,b \"\"c\"\"\r\nd\"");
    field("=1+1", "\"'=1+1\"");
    field("+1", "\"'+1\"");
    field("-1", "\"'-1\"");
    field("@x", "\"'@x\"");
    field("\t=1", "\"'\t=1\"");
    field("\r=1", "\"'\r=1\"");
    field("a=1", "\"a=1\"");
}

static void test_report__html_escapes_and_has_no_script(void **state) {
    (void)state;
    report_row_t evil[4] = {row, row, row, row};
    evil[0].subject = "CN=<script>alert('1')</script>&\"";
    evil[1].source = "\" onmouseover=\"x";
    evil[2].cause = "</td></tr></table><img src=x>\x01\xff\xfe";
    evil[2].cause_code = "<b>";
    evil[3].holder = "\xe2\x80\xae"
                     "evil";
    evil[3].device = "</style><script>";
    char *page = render(REPORT_HTML, evil, 4, 1);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "<img"));
    assert_null(strstr(page, "<b>"));
    assert_null(strstr(page, "\" onmouseover"));
    assert_null(strstr(page, "\xe2\x80\xae"));
    assert_non_null(strstr(page, "&lt;script&gt;"));
    assert_non_null(strstr(page, "A &amp; B &lt;Clinic&gt;"));
    assert_non_null(strstr(page, "default-src 'none'; style-src 'sha256-"));
    assert_null(strstr(page, "unsafe-inline"));
    assert_null(strstr(page, " style=\""));
    assert_non_null(strstr(page, "January 2027"));
    assert_non_null(strstr(page, "<svg"));
    free(page); /* open_memstream's */
}

static void test_report__html_groups_by_month_and_counts(void **state) {
    (void)state;
    report_row_t rows[3] = {row, row, row};
    rows[0].not_after = 1799222000; /* before now */
    rows[2].not_after = 1803000000;
    rows[2].source = "mail";
    rows[2].cause_code = rows[2].cause = "";
    char *page = render(REPORT_HTML, rows, 3, 1);
    assert_non_null(
        strstr(page, "<section id=\"m2027-01\"><h2>January 2027</h2>\n<p>2 certificates, 1 ended. "
                     "Why not renewed: not-asked 2</p>"));
    assert_non_null(
        strstr(page, "<section id=\"m2027-02\"><h2>February 2027</h2>\n<p>1 certificate</p>"));
    assert_non_null(strstr(page, "<tr class=\"foreign later\">"));
    free(page);
}

static void test_report__the_empty_report_is_whole(void **state) {
    (void)state;
    char *page = render(REPORT_HTML, NULL, 0, 1);
    assert_non_null(strstr(page, "0 end within 60 days"));
    assert_non_null(strstr(page, "</html>"));
    free(page);
    char *json = render(REPORT_JSON, NULL, 0, 1);
    CLEANUP(jso_free) json_t *parsed = NULL;
    assert_ok(jso_parse(bytes_str(json), &parsed));
    free(json);
}

static void test_report__json_parses(void **state) {
    (void)state;
    char *json = render(REPORT_JSON, &row, 1, 3);
    CLEANUP(jso_free) json_t *parsed = NULL;
    json_t *list = NULL;
    assert_ok(jso_parse(bytes_str(json), &parsed));
    assert_ok(jso_get_array(parsed, "certificates", 10, true, &list));
    assert_int_equal(json_array_size(list), 3);
    free(json);
}

static void test_report__a_terminal_gets_no_controls(void **state) {
    (void)state;
    report_row_t evil = row;
    evil.subject = "CN=\x1b]0;title\x07";
    char *text = render(REPORT_TEXT, &evil, 1, 1);
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\x07'));
    assert_non_null(strstr(text, "1 certificate ends within 60 days"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report__csv_is_quoted_and_no_formula),
        cmocka_unit_test(test_report__html_escapes_and_has_no_script),
        cmocka_unit_test(test_report__html_groups_by_month_and_counts),
        cmocka_unit_test(test_report__the_empty_report_is_whole),
        cmocka_unit_test(test_report__json_parses),
        cmocka_unit_test(test_report__a_terminal_gets_no_controls),
    };
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
