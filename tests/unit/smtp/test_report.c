/*
 * Reports: src/smtp/report.c.
 */
#include "../unit.h"

#include "smtp/report.h"

static void test_report__names_who_and_why(void **state) {
    (void)state;
    CLEANUP(smtp_envelope_free) smtp_envelope_t *m = NULL;
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 100000);
    assert_ok(smtp_envelope_new(&m));
    m->from = BYTES_LIT("anna@example.org");
    m->envid = BYTES_LIT("Q+2B1");
    static const smtp_rcpt_t rcpts[] = {
        {.address = {(const uint8_t *)"good@example.org", 16}},
        {.address = {(const uint8_t *)"b\xc3\xa9n@example.org", 16},
         .orcpt = {(const uint8_t *)"rfc822;b+2Bx@example.com", 24}},
        {.address = {(const uint8_t *)"never@example.org", 17}, .notify = SMTP_NOTIFY_NEVER}};
    for (size_t i = 0; i < 3; i++) assert_ok(smtp_envelope_add(m, &rcpts[i]));
    const smtp_status_t statuses[] = {smtp_status(250, "2.0.0", "ok"),
                                      smtp_status(550, "5.1.1", "no such user"),
                                      smtp_status(550, "5.1.1", "nobody")};
    const smtp_report_t report = {.hostname = "gate.example.org",
                                  .id = "0123abcd",
                                  .unix_s = 1000000000,
                                  .envelope = m,
                                  .statuses = statuses,
                                  .header = BYTES_LIT("Subject: \xe4\r\n")};
    assert_ok(smtp_report_write(&report, &out));
    assert_ok(buf_cstr(&out, &text));
    static const char *const words[] = {"Date: Sun, 09 Sep 2001 01:46:40 +0000\r\n",
                                        "To: <anna@example.org>\r\n",
                                        "Original-Envelope-Id: Q+1\r\n",
                                        "Original-Recipient: rfc822;b+x@example.com\r\n",
                                        "Final-Recipient: utf-8;b\\x{E9}n@example.org\r\n",
                                        "Status: 5.1.1\r\n",
                                        "Subject: ?\r\n",
                                        "\r\n--0123abcd--\r\n"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_non_null(strstr(text, words[i]));
    assert_null(strstr(text, "good@"));
    assert_null(strstr(text, "never@"));
    smtp_report_t handed_on = report;
    const bool relayed[] = {true, false, false};
    handed_on.relayed = relayed;
    buf_clear(&out);
    assert_ok(smtp_report_write(&handed_on, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_non_null(strstr(text, "Final-Recipient: rfc822;good@example.org\r\nAction: relayed\r\n"
                                 "Status: 2.0.0\r\n"));
    assert_null(strstr(text, "failed"));
    assert_null(strstr(text, "never@"));
}

static void test_report__header_block(void **state) {
    (void)state;
    bytes_t message = BYTES_LIT("A: b\r\n c\r\nD: e\r\n\r\nbody\r\n");
    assert_int_equal(smtp_report_header(message, 1000), 16);
    assert_int_equal(smtp_report_header(message, 12), 10);
    assert_int_equal(smtp_report_header(BYTES_LIT("A: no end"), 1000), 0);
    assert_int_equal(smtp_report_header(BYTES_NONE, 1000), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report__names_who_and_why),
        cmocka_unit_test(test_report__header_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
