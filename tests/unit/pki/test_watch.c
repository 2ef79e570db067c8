/*
 * Watch targets, the dialogues before TLS, and reading what was found: foreign bytes, all of them.
 */
#include "../unit.h"

#include <string.h>

#include "crypto/cert_facts.h"
#include "crypto/secret.h"
#include "pki/starttls.h"
#include "pki/watch_target.h"

static void test_watch_target__reads_what_people_write(void **state) {
    (void)state;
    watch_target_t t;
    assert_ok(watch_target_parse("file:/etc/ssl/a b.pem", &t));
    assert_int_equal(t.kind, WATCH_FILE);
    assert_string_equal(t.path, "/etc/ssl/a b.pem");
    assert_ok(watch_target_parse("tls:mail.example.org:25,starttls=smtp", &t));
    assert_int_equal(t.kind, WATCH_TLS);
    assert_string_equal(t.host, "mail.example.org");
    assert_int_equal(t.port, 25);
    assert_true(t.is_name);
    assert_int_equal(t.starttls, STARTTLS_SMTP);
    assert_ok(watch_target_parse("tls:[2001:db8::1]:8443", &t));
    assert_string_equal(t.host, "2001:db8::1");
    assert_false(t.is_name);
    assert_ok(watch_target_parse("tls:192.0.2.1:443", &t));
    assert_false(t.is_name);
    assert_ok(watch_target_parse("ldap:info@example.org", &t));
    assert_int_equal(t.kind, WATCH_LDAP);
    assert_string_equal(t.address, "info@example.org");
}

static void test_watch_target__refuses_the_rest(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "file:",
        "file:x",
        "file:/",
        "file:/a\nb",
        "tls:",
        "tls:h",
        "tls:h:",
        "tls:h:0",
        "tls:h:65536",
        "tls:h:1x",
        "tls::1",
        "tls:[::1]",
        "tls:[::1",
        "tls:[h]:1",
        "tls:[]:1",
        "tls:h:1,",
        "tls:h:1,starttls=x",
        "tls:-h:1",
        "tls:h/x:1",
        "tls:::1:443",
        "http://h",
        "tls:h:1,starttls=smtp,starttls=imap",
        "TLS:h:1",
        " tls:h:1",
        "ldap:",
        "ldap:info",
        "ldap:a@b@c",
        "ldap:*@example.org)(uid=x",
        "ldap:a\nb@example.org",
    };
    watch_target_t t = {.port = 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, watch_target_parse(bad[i], &t));
    char longer[LIMIT_WATCH_TARGET + 1] = "file:/";
    memset(longer + 6, 'x', sizeof longer - 7);
    longer[sizeof longer - 1] = '\0';
    assert_err(ERR_INVALID, watch_target_parse(longer, &t));
    char address[LIMIT_EMAIL + 20] = "ldap:a@";
    memset(address + 7, 'x', sizeof address - 8);
    address[sizeof address - 1] = '\0';
    assert_err(ERR_INVALID, watch_target_parse(address, &t));
    assert_int_equal(t.port, 7);
}

/* Whole, and byte by byte: the same must come out. */
static bool talk(starttls_kind_t kind, bytes_t in, const char *expected) {
    bool all = false;
    for (int pieces = 0; pieces < 2; pieces++) {
        CLEANUP(buf_done) buf_t out;
        starttls_t s;
        bool ready = false;
        const char *text = NULL;
        buf_init(&out, 1000);
        starttls_init(&s, kind);
        assert_ok(starttls_step(&s, BYTES_NONE, &out, &ready));
        if (pieces == 0) assert_ok(starttls_step(&s, in, &out, &ready));
        else
            for (size_t i = 0; i < in.n; i++)
                assert_ok(starttls_step(&s, bytes_slice(in, i, 1), &out, &ready));
        assert_ok(buf_cstr(&out, &text));
        if (expected) assert_string_equal(text, expected);
        if (pieces) assert_int_equal(ready, all);
        all = ready;
    }
    return all;
}

static err_t *fails(starttls_kind_t kind, bytes_t in) {
    CLEANUP(buf_done) buf_t out;
    starttls_t s;
    bool ready = false;
    buf_init(&out, 1000);
    starttls_init(&s, kind);
    TRY(starttls_step(&s, BYTES_NONE, &out, &ready));
    return starttls_step(&s, in, &out, &ready);
}

static void test_starttls__smtp(void **state) {
    (void)state;
    assert_true(talk(STARTTLS_SMTP,
                     BYTES_LIT("220-hello\r\n220 there\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n"),
                     "EHLO coffer.invalid\r\nSTARTTLS\r\n"));
    assert_false(talk(STARTTLS_SMTP, BYTES_LIT("220 a\r\n250 b\r\n220-still"), NULL));
    assert_err(ERR_INVALID, fails(STARTTLS_SMTP, BYTES_LIT("554 no\r\n")));
    assert_err(ERR_INVALID, fails(STARTTLS_SMTP, BYTES_LIT("220 a\r\n250 b\r\n502 unknown\r\n")));
    assert_err(ERR_INVALID, fails(STARTTLS_SMTP, BYTES_LIT("220 a\r\n250 b\r\n220 c\r\ninjected")));
    assert_err(ERR_INVALID, fails(STARTTLS_SMTP, BYTES_LIT("\r\n")));
}

static void test_starttls__imap(void **state) {
    (void)state;
    assert_true(talk(STARTTLS_IMAP, BYTES_LIT("* OK hi\r\n* CAPABILITY x\r\na1 OK go\r\n"),
                     "a1 STARTTLS\r\n"));
    assert_err(ERR_INVALID, fails(STARTTLS_IMAP, BYTES_LIT("* BYE\r\n")));
    assert_err(ERR_INVALID, fails(STARTTLS_IMAP, BYTES_LIT("* OK hi\r\na1 BAD no\r\n")));
}

static void test_starttls__ldap(void **state) {
    (void)state;
    assert_true(talk(STARTTLS_LDAP,
                     BYTES_LIT("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"), NULL));
    assert_true(talk(STARTTLS_LDAP, /* lengths in the long form, as Active Directory writes them */
                     BYTES_LIT("\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a"
                               "\x01\x00\x04\x00\x04\x00"),
                     NULL));
    assert_err(ERR_INVALID,
               fails(STARTTLS_LDAP,
                     BYTES_LIT("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x35\x04\x00\x04\x00")));
    assert_err(ERR_INVALID, fails(STARTTLS_LDAP, BYTES_LIT("220 hello\r\n")));
    assert_err(ERR_LIMIT, fails(STARTTLS_LDAP, BYTES_LIT("\x30\x83\x7f\xff\xff")));
    assert_err(ERR_INVALID, fails(STARTTLS_LDAP, BYTES_LIT("\x30\x80\x02\x01\x01\x78\x07")));
    assert_err(ERR_INVALID,
               fails(STARTTLS_LDAP,
                     BYTES_LIT("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00x")));
}

static void test_starttls__has_an_end(void **state) {
    (void)state;
    static char line[LIMIT_STARTTLS_LINE + 10];
    memset(line, 'x', sizeof line);
    assert_err(ERR_LIMIT, fails(STARTTLS_SMTP, BYTES_ARRAY(line)));
    CLEANUP(buf_done) buf_t many;
    buf_init(&many, 10000);
    for (int i = 0; i <= LIMIT_STARTTLS_LINES; i++) assert_ok(buf_add_str(&many, "220-x\r\n"));
    assert_err(ERR_LIMIT, fails(STARTTLS_SMTP, buf_bytes(&many)));
}

static void test_cert_facts__refuses_what_is_no_certificate(void **state) {
    (void)state;
    cert_facts_t facts[2];
    size_t count = 7;
    static const char *const bad[] = {
        "",
        "x",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "0\x82\xff\xff",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, cert_facts_file(bytes_str(bad[i]), 2, facts, &count));
    assert_int_equal(count, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_target__reads_what_people_write),
        cmocka_unit_test(test_watch_target__refuses_the_rest),
        cmocka_unit_test(test_starttls__smtp),
        cmocka_unit_test(test_starttls__imap),
        cmocka_unit_test(test_starttls__ldap),
        cmocka_unit_test(test_starttls__has_an_end),
        cmocka_unit_test(test_cert_facts__refuses_what_is_no_certificate),
    };
    assert_ok(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
