/*
 * Mails and webhook signatures: what comes out is exactly one mail with exactly our headers.
 */
#include "../unit.h"

#include <string.h>

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "notify/mail.h"
#include "notify/webhook.h"

static const mail_t plain = {.from = "coffer@example.org",
                             .from_name = "Coffer",
                             .to = "admin@example.org",
                             .subject = "3 certificates expire within 7 days",
                             .text = "One\nTwo\n",
                             .key = "k1",
                             .date = 1795333500};

static const char *compose(const mail_t *mail, buf_t *out) {
    const char *text = NULL;
    buf_init(out, 1 << 20);
    assert_ok(mail_compose(mail, out));
    assert_ok(buf_cstr(out, &text));
    return text;
}

static void test_mail__has_the_headers_of_rfc_5322(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    const char *text = compose(&plain, &out);
    assert_non_null(strstr(text, "From: =?UTF-8?B?Q29mZmVy?=\r\n <coffer@example.org>\r\n"));
    assert_non_null(strstr(text, "\r\nTo: <admin@example.org>\r\n"));
    assert_non_null(strstr(text, "\r\nSubject: 3 certificates expire within 7 days\r\n"));
    assert_non_null(strstr(text, "\r\nDate: Sun, 22 Nov 2026 07:45:00 +0000\r\n"));
    assert_non_null(strstr(text, "\r\nAuto-Submitted: auto-generated\r\n"));
    assert_non_null(strstr(text, "\r\n\r\nOne\r\nTwo\r\n"));
}

/* A bare CR or LF anywhere, or a line past 998 bytes, and the mail is broken (RFC 5321). */
static void assert_lines_fit(const char *text) {
    size_t line = 0;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '\n') assert_true(i > 0 && text[i - 1] == '\r');
        if (text[i] == '\r') assert_true(text[i + 1] == '\n');
        line = text[i] == '\n' ? 0 : line + 1;
        assert_true(line <= 79); /* 78 and the CR */
    }
}

static void test_mail__no_text_adds_a_header(void **state) {
    (void)state;
    static const char *const evil[] = {
        "a\r\nBcc: thief@example.org",
        "a\nBcc: thief@example.org",
        "a\rBcc: thief@example.org",
        "a\r\n\r\nbody",
        "=?UTF-8?Q?a=0D=0ABcc:?=",
        " \r\n ",
        ("\xe2\x80\xa8"
         "Bcc: x"),
        "",
        " ",
    };
    for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
        CLEANUP(buf_done) buf_t out;
        mail_t mail = plain;
        mail.subject = evil[i];
        mail.from_name = evil[i];
        mail.key = evil[i];
        const char *text = compose(&mail, &out);
        const char *body = strstr(text, "\r\n\r\n");
        assert_lines_fit(text);
        assert_non_null(body);
        assert_string_equal(body, "\r\n\r\nOne\r\nTwo\r\n");
        assert_null(strstr(text, "\r\nBcc"));
        assert_null(strstr(text, "?Q?a="));
    }
}

static void test_mail__addresses_are_strict(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",      "a",      "@b",    "a@",    "a b@c",   "a@b c",       "a@b\r\nRCPT TO:<x@y>",
        "<a@b>", "a@b>",   "a,b@c", "a@b@c", ".a@b",    "a.@b",        "a..b@c",
        "a@.b",  "a@b..c", "a@-b",  "a\n@b", "\"a\"@b", "a@[1.2.3.4]", "\xc3\xa4@example.org",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, mail_address_check(bad[i]));
    static const char *const good[] = {"a@b", "first.last+tag@mail.example.org",
                                       "o'neil@example.org"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_ok(mail_address_check(good[i]));
    char longer[LIMIT_EMAIL + 10];
    memset(longer, 'a', sizeof longer);
    longer[1] = '@';
    longer[sizeof longer - 1] = '\0';
    assert_err(ERR_INVALID, mail_address_check(longer));
    mail_t mail = plain;
    mail.to = "a@b>\r\nBcc: c@d";
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1000);
    assert_err(ERR_INVALID, mail_compose(&mail, &out));
}

/* Undoes encoded words of a header, as a mail program does. */
static void decode_words(const char *text, buf_t *out) {
    for (const char *at = text; (at = strstr(at, "=?UTF-8?B?"));) {
        at += 10;
        const char *end = strstr(at, "?=");
        assert_non_null(end);
        assert_ok(text_unbase64(bytes_make(at, (size_t)(end - at)), out));
        at = end;
    }
}

static void test_mail__foreign_letters_come_back(void **state) {
    (void)state;
    static const char subject[] =
        "Zertifikat l\xc3\xa4uft ab: Pr\xc3\xa4"
        "sidentin J\xc3\xb6"
        "ns \xe2\x80\x93 \xf0\x9f\x94\x91\xf0\x9f\x94\x91\xf0\x9f\x94\x91"
        "\xf0\x9f\x94\x91\xf0\x9f\x94\x91 \xf0\x9f\x94\x91\xf0\x9f\x94\x91\xf0\x9f\x94\x91 "
        "1234567890 \xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
    CLEANUP(buf_done) buf_t out, back;
    buf_init(&out, 4000);
    buf_init(&back, 4000);
    assert_ok(mail_header(&out, "Subject", bytes_str(subject)));
    const char *text = NULL;
    assert_ok(buf_cstr(&out, &text));
    assert_lines_fit(text);
    decode_words(text, &back);
    assert_true(bytes_eq_str(buf_bytes(&back), subject));
    /* RFC 2047 section 5: each word has whole characters */
    for (const char *at = text; (at = strstr(at, "=?UTF-8?B?"));) {
        CLEANUP(buf_done) buf_t word;
        buf_init(&word, 200);
        at += 10;
        assert_ok(text_unbase64(bytes_make(at, (size_t)(strstr(at, "?=") - at)), &word));
        assert_true(text_utf8_valid(buf_bytes(&word)));
    }
}

static void test_mail__quoted_printable_keeps_every_byte(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 4000);
    assert_ok(mail_quoted_printable(&out, BYTES_LIT("a=b \n.\nFrom me\n\xc3\xa4\tx\t\n")));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(text, "a=3Db=20\r\n=2E\r\n=46rom me\r\n=C3=A4\tx=09\r\n");
    char line[300];
    memset(line, 'y', sizeof line);
    buf_clear(&out);
    assert_ok(mail_quoted_printable(&out, BYTES_ARRAY(line)));
    assert_ok(buf_cstr(&out, &text));
    assert_lines_fit(text);
    size_t count = 0;
    for (size_t i = 0; text[i]; i++) count += text[i] == 'y';
    assert_int_equal(count, sizeof line);
}

static void test_mail__the_same_notice_has_the_same_id(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t one, two, three;
    mail_t later = plain, other = plain;
    later.date += 500;
    other.key = "k2";
    const char *a = strstr(compose(&plain, &one), "Message-ID: "),
               *b = strstr(compose(&later, &two), "Message-ID: "),
               *c = strstr(compose(&other, &three), "Message-ID: ");
    size_t n = strcspn(a, "\r");
    assert_memory_equal(a, b, n);
    assert_int_not_equal(memcmp(a, c, n), 0);
    assert_non_null(strstr(a, "@example.org>\r\n"));
}

static void test_mail__dates_are_those_of_rfc_5322(void **state) {
    (void)state;
    char out[MAIL_DATE_SIZE];
    assert_string_equal(mail_date(0, out), "Thu, 01 Jan 1970 00:00:00 +0000");
    assert_string_equal(mail_date(951782400, out), "Tue, 29 Feb 2000 00:00:00 +0000");
    assert_string_equal(mail_date(INT64_MAX, out), "Thu, 01 Jan 1970 00:00:00 +0000");
}

static void test_mail__runs_out_of_memory_well(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        buf_t out;
        buf_init(&out, 1 << 16);
        fault_arm_memory(n);
        err_t *e = mail_compose(&plain, &out);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        buf_done(&out);
        if (!fired) {
            assert_null(e);
            assert_true(n > 2);
            return;
        }
        assert_non_null(e);
        assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
    }
}

static void test_webhook__signs_time_and_body(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    const char *text = NULL;
    buf_init(&out, 200);
    /* printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret */
    assert_ok(webhook_signature(BYTES_LIT("secret"), 1700000000, BYTES_LIT("{\"a\":1}"), &out));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(
        text, "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail__has_the_headers_of_rfc_5322),
        cmocka_unit_test(test_mail__no_text_adds_a_header),
        cmocka_unit_test(test_mail__addresses_are_strict),
        cmocka_unit_test(test_mail__foreign_letters_come_back),
        cmocka_unit_test(test_mail__quoted_printable_keeps_every_byte),
        cmocka_unit_test(test_mail__the_same_notice_has_the_same_id),
        cmocka_unit_test(test_mail__dates_are_those_of_rfc_5322),
        cmocka_unit_test(test_mail__runs_out_of_memory_well),
        cmocka_unit_test(test_webhook__signs_time_and_body),
    };
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
