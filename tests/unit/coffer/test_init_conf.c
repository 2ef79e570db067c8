/*
 * The coffer.conf of a new instance: src/program/coffer/init_conf.c against the programs that
 * read it.
 */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/init_conf.h"
#include "program/common/settings.h"

static void set(init_values_t *values, const char *name, const char *value) {
    assert_ok(init_conf_set(values, name, value));
}

static void load(bytes_t text, settings_t *ret_settings) {
    char dir[] = "/tmp/coffer-test-XXXXXX";
    CLEANUP(mem_free) char *path = NULL;
    assert_non_null(mkdtemp(dir));
    assert_ok(file_path(dir, "coffer.conf", &path));
    assert_ok(file_write(path, text, 0600));
    assert_ok(settings_load(dir, ret_settings));
    (void)unlink(path);
    (void)rmdir(dir);
}

static void test_init_conf__is_what_programs_read(void **state) {
    (void)state;
    init_values_t values = {0};
    CLEANUP(buf_done) buf_t text;
    CLEANUP(settings_done) settings_t settings = {0};
    buf_init(&text, LIMIT_CONFIG_BYTES);
    set(&values, "instance.organisation", "Example Clinic");
    set(&values, "instance.url", "https://coffer.example.org:8443");
    set(&values, "web.listen", "127.0.0.1:1");
    set(&values, "web.listen", "127.0.0.1:8443"); /* the later one wins */
    set(&values, "scep.challenge_lifetime", "2h");
    assert_ok(init_conf_write(&values, &text));
    load(buf_bytes(&text), &settings);
    assert_string_equal(settings.organisation, "Example Clinic");
    assert_string_equal(settings.listen.address, "127.0.0.1");
    assert_int_equal(settings.listen.port, 8443);
    assert_int_equal(settings.challenge_ttl_s, 7200);
    assert_string_equal(settings.http_listen.address, ""); /* examples are commented out */
    assert_string_equal(settings.push_certificate, "");
}

/* What a text of coffer.conf is refused with; the settings if it is not. */
static err_t *load_text(const char *text, settings_t *ret_settings) {
    char dir[] = "/tmp/coffer-test-XXXXXX";
    CLEANUP(mem_free) char *path = NULL;
    assert_non_null(mkdtemp(dir));
    assert_ok(file_path(dir, "coffer.conf", &path));
    assert_ok(file_write(path, bytes_str(text), 0600));
    err_t *e = settings_load(dir, ret_settings);
    (void)unlink(path);
    (void)rmdir(dir);
    return e;
}

#define BASE "[instance]\norganisation = x\nurl = https://x:1\n"
#define KEYS "[enrol]\nmail_key_profile = mail-encrypt\n"

static void test_init_conf__a_mail_account_is_whole_and_comes_with_keys(void **state) {
    (void)state;
    CLEANUP(settings_done) settings_t settings = {0};
    CLEANUP(settings_done) settings_t none = {0};
    static const char *const bad[] = {
        BASE KEYS "[mail_account]\nimap_host = imap.example.org\n",
        BASE KEYS "[mail_account]\nsmtp_host = smtp.example.org\n",
        BASE "[mail_account]\nimap_host = imap.example.org\nsmtp_host = smtp.example.org\n",
        BASE KEYS "[mail_account]\nimap_host = a{{b\nsmtp_host = smtp.example.org\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_USAGE, load_text(bad[i], &none));
    assert_ok(load_text(BASE KEYS "[mail_account]\nimap_host = imap.example.org\n"
                                  "smtp_host = smtp.example.org\nencrypt = always\n",
                        &settings));
    assert_true(mail_account_is_set(&settings.mail_account));
    assert_int_equal(settings.mail_account.imap_port, 993);
    assert_int_equal(settings.mail_account.smtp_port, 587);
    assert_true(settings.mail_account.tls && !settings.mail_account.local_part);
    assert_int_equal(settings.mail_account.encrypt, MAIL_ENCRYPT_ALWAYS);
}

static void test_init_conf__a_mail_program_is_a_bundle_identifier(void **state) {
    (void)state;
    CLEANUP(settings_done) settings_t settings = {0};
    CLEANUP(settings_done) settings_t none = {0};
    static const char *const bad[] = {
        BASE "[mailbox]\napp = a b\n",
        BASE "[mailbox]\napp = org.example.mail;\n",
        BASE "[mailbox]\napp = org/example\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID, load_text(bad[i], &none));
    assert_ok(load_text(BASE "[mailbox]\napp = org.Example-2.mail\n", &settings));
    assert_string_equal(settings.mailbox.app.identifier, "org.Example-2.mail");
    assert_true(settings.mailbox.digest);
}

/* Every default and example is a value the programs accept: uncomment them all. */
static void test_init_conf__comments_are_valid(void **state) {
    (void)state;
    init_values_t values = {0};
    CLEANUP(buf_done) buf_t text;
    CLEANUP(buf_done) buf_t bare;
    CLEANUP(settings_done) settings_t settings = {0};
    bytes_t rest, line;
    buf_init(&text, LIMIT_CONFIG_BYTES);
    buf_init(&bare, LIMIT_CONFIG_BYTES);
    set(&values, "instance.organisation", "x");
    set(&values, "instance.url", "https://x:1");
    assert_ok(init_conf_write(&values, &text));
    rest = buf_bytes(&text);
    while (text_split(&rest, '\n', &line)) {
        bool value = line.n > 1 && line.p[0] == '#' && line.p[1] != ' ';
        assert_ok(buf_add(&bare, value ? bytes_from(line, 1) : line));
        assert_ok(buf_add_byte(&bare, '\n'));
    }
    load(buf_bytes(&bare), &settings);
    assert_string_equal(settings.http_listen.address, "0.0.0.0");
    assert_string_equal(settings.push_url, "https://api.push.apple.com:443");
    assert_true(conf_has_section(settings.conf, "certificate-profile scep-client"));
}

static void test_init_conf__refuses_unknown_keys_and_bad_values(void **state) {
    (void)state;
    init_values_t values = {0};
    char text[256];
    CLEANUP(err_free) err_t *e = init_conf_set(&values, "web.lisen", "x");
    assert_non_null(e);
    assert_non_null(strstr(err_text(e, text, sizeof text), "web.listen"));
    assert_err(ERR_USAGE, init_conf_set(&values, "listen", "x"));
    assert_err(ERR_USAGE, init_conf_set(&values, "web.listen", ""));
    assert_err(ERR_USAGE, init_conf_set(&values, "web.listen", "x\n[push]"));
    assert_err(ERR_USAGE, init_conf_set(&values, "web.listen", " x"));
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_err(ERR_USAGE, init_conf_set(&values, "web.listen", text));
    assert_int_equal(values.n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_conf__is_what_programs_read),
        cmocka_unit_test(test_init_conf__a_mail_account_is_whole_and_comes_with_keys),
        cmocka_unit_test(test_init_conf__a_mail_program_is_a_bundle_identifier),
        cmocka_unit_test(test_init_conf__comments_are_valid),
        cmocka_unit_test(test_init_conf__refuses_unknown_keys_and_bad_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
