/*
 * The linter's frame and what cert_issue makes; each rule is broken by
 * tests/functional/test_cert_lint.py.
 */
#include <time.h>

#include "base/limits.h"
#include "crypto/cert_lint.h"
#include "fixture.h"

static const char *const mail_eku[] = {OID_EKU_EMAIL_PROTECTION};
static const char *const strict_policy[] = {"2.23.140.1.5.1.3"};
static const name_entry_t mailbox_name = {"CN", "a@example.org"};
static const san_entry_t mailbox = {SAN_EMAIL, "a@example.org"};
static const uint8_t serial[] = {0x41, 2, 3, 4, 5, 6, 7, 8, 9, 10};

/* A mail certificate that keeps all rules. */
static cert_spec_t mail_spec(const fixture_t *f) {
    return (cert_spec_t){.subject = &mailbox_name,
                         .subject_n = 1,
                         .sans = &mailbox,
                         .sans_n = 1,
                         .serial = BYTES_ARRAY(serial),
                         .not_before = FIXTURE_NOW,
                         .not_after = FIXTURE_NOW + 86400,
                         .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
                         .ekus = mail_eku,
                         .ekus_n = 1,
                         .policies = strict_policy,
                         .policies_n = 1,
                         .crl_url = "http://example.org/a.crl",
                         .ca_issuers_url = "http://example.org/a.cer",
                         .key = f->rsa_key};
}

static void clean(bytes_t der, cert_lint_rules_t rules) {
    cert_lint_t lint;
    cert_lint(der, rules, &lint);
    for (size_t i = 0; i < lint.n; i++)
        print_error("%s %s\n", lint.findings[i].rule->id, lint.findings[i].detail);
    assert_int_equal(lint.n, 0);
    assert_int_equal(lint.errors + lint.warnings + lint.notices, 0);
}

static bool finds(bytes_t der, cert_lint_rules_t rules, const char *id) {
    cert_lint_t lint;
    cert_lint(der, rules, &lint);
    for (size_t i = 0; i < lint.n; i++)
        if (strcmp(lint.findings[i].rule->id, id) == 0) return true;
    return false;
}

static void test_cert_lint__what_we_issue_is_clean(void **state) {
    const fixture_t *f = *state;
    clean(cert_der(f->ca), CERT_LINT_RFC5280);
    clean(cert_der(f->rsa), CERT_LINT_RFC5280);
    clean(cert_der(f->ec), CERT_LINT_RFC5280);
    CLEANUP(cert_free) cert_t *cert = NULL;
    cert_spec_t spec = mail_spec(f);
    spec.lint = CERT_LINT_SMIME_STRICT;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    clean(cert_der(cert), CERT_LINT_SMIME_STRICT);
    cert_lint_t lint;
    cert_lint(cert_der(cert), CERT_LINT_AUTO, &lint);
    assert_int_equal(lint.rules, CERT_LINT_SMIME_STRICT);
}

/* Nothing is signed, the output stays, and the error names the rule and its section. */
static void test_cert_lint__refuses_before_signing(void **state) {
    const fixture_t *f = *state;
    cert_t *cert = NULL;
    cert_spec_t spec = mail_spec(f);
    spec.lint = CERT_LINT_SMIME_STRICT;
    spec.crl_url = "https://example.org/a.crl";
    err_t *e = cert_issue(&spec, f->ca, f->ca_key, &cert);
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_DENIED);
    assert_non_null(strstr(err_message(e), "smbr_crl_scheme (SMBR 7.1.2.3 b)"));
    err_free(e);
    assert_null(cert);
    spec.lint = CERT_LINT_SMIME_LEGACY; /* whose end was in 2025 */
    assert_err(ERR_DENIED, cert_issue(&spec, f->ca, f->ca_key, &cert));
    spec.lint = CERT_LINT_RFC5280;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    cert_free(cert);
    cert = NULL;
    spec.lint = CERT_LINT_NONE;
    spec.key_usage = KEY_USAGE_KEY_AGREEMENT; /* which an RSA key can't do */
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    assert_true(finds(cert_der(cert), CERT_LINT_RFC5280, "rfc5280_key_usage_key"));
    cert_free(cert);
    cert = NULL;
    spec.lint = CERT_LINT_RFC5280;
    assert_err(ERR_DENIED, cert_issue(&spec, f->ca, f->ca_key, &cert));
}

static void test_cert_lint__every_cut_and_bit_is_survived(void **state) {
    const fixture_t *f = *state;
    bytes_t der = cert_der(f->rsa);
    uint8_t copy[4096];
    cert_lint_t lint;
    assert_true(der.n < sizeof copy);
    for (size_t n = 0; n < der.n; n++) {
        cert_lint(bytes_make(der.p, n), CERT_LINT_SMIME_STRICT, &lint);
        assert_true(lint.errors > 0);
        cert_lint_tbs(bytes_make(der.p, n), CERT_LINT_AUTO, &lint);
        assert_true(lint.errors > 0);
    }
    for (size_t bit = 0; bit < 8 * der.n; bit++) {
        bytes_put(copy, der);
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cert_lint(bytes_make(copy, der.n), CERT_LINT_SMIME_MULTIPURPOSE, &lint);
        assert_true(lint.n <= CERT_LINT_FINDINGS);
    }
}

static void test_cert_lint__counts_what_it_does_not_keep(void **state) {
    const fixture_t *f = *state;
    san_entry_t names[LIMIT_SAN_ENTRIES];
    for (size_t i = 0; i < LIMIT_SAN_ENTRIES; i++) names[i] = (san_entry_t){SAN_DNS, "a_b"};
    cert_spec_t spec = mail_spec(f);
    spec.sans = names;
    spec.sans_n = LIMIT_SAN_ENTRIES;
    CLEANUP(cert_free) cert_t *cert = NULL;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    cert_lint_t lint;
    cert_lint(cert_der(cert), CERT_LINT_RFC5280, &lint);
    assert_int_equal(lint.n, CERT_LINT_FINDINGS);
    assert_int_equal(lint.errors, LIMIT_SAN_ENTRIES);
    assert_int_equal(lint.notices, 1);
}

static void test_cert_lint__rules_are_well_formed(void **state) {
    (void)state;
    size_t n = 0;
    const cert_lint_rule_t *rules = cert_lint_rules(&n);
    assert_true(n > 90);
    for (size_t i = 0; i < n; i++) {
        assert_true(strncmp(rules[i].id, "rfc5280_", 8) == 0 ||
                    strncmp(rules[i].id, "smbr_", 5) == 0);
        assert_true(rules[i].section[0] && rules[i].text[0]);
        assert_true(rules[i].text[strlen(rules[i].text) - 1] != '.');
    }
    assert_string_equal(cert_lint_rules_name(CERT_LINT_SMIME_STRICT), "smime-strict");
    assert_string_equal(cert_lint_severity_name(CERT_LINT_WARNING), "warning");
}

/* It is on the way of every certificate: 20 us would be seen there; this leaves room for
 * sanitizers. */
static void test_cert_lint__costs_little(void **state) {
    const fixture_t *f = *state;
    enum { ROUNDS = 2000, MOST_US = 400 };
    cert_spec_t spec = mail_spec(f);
    CLEANUP(cert_free) cert_t *cert = NULL;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    struct timespec from, to;
    cert_lint_t lint;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (size_t i = 0; i < ROUNDS; i++) cert_lint(cert_der(cert), CERT_LINT_SMIME_STRICT, &lint);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double us =
        ((double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3) /
        ROUNDS;
    print_message("%.2f us a certificate\n", us);
    assert_true(us < MOST_US);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_lint__what_we_issue_is_clean),
        cmocka_unit_test(test_cert_lint__refuses_before_signing),
        cmocka_unit_test(test_cert_lint__every_cut_and_bit_is_survived),
        cmocka_unit_test(test_cert_lint__counts_what_it_does_not_keep),
        cmocka_unit_test(test_cert_lint__rules_are_well_formed),
        cmocka_unit_test(test_cert_lint__costs_little),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
