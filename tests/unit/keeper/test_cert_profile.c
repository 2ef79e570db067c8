/*
 * The rules of certificate profiles and their configuration.
 */
#include "../unit.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "keeper/cert_profile_conf.h"

/* CN=evil, P-256, asks for basicConstraints CA:TRUE (made with OpenSSL's req). */
static const char wants_ca[] =
    "MIHsMIGTAgEAMA8xDTALBgNVBAMMBGV2aWwwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQjyuMTmhWN4vdvc9eTI66x"
    "RH99YOtyPPYR08zIqfVF0T/Vyry3HbOq5f8OmsldfevExfRiT30erZUEyvCHK0f4oCIwIAYJKoZIhvcNAQkOMRMwETAP"
    "BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFOmvewm4vutvsD/KT0OEfJrhH/RXKHvoKdm73zrig3YAiEA"
    "7H8Gw8Zjb9PvSqVU7K8+e5h39EYm/9q+e7FN8C5xxUw=";
/* The same, but asks for critical nameConstraints. */
static const char wants_constraints[] =
    "MIH5MIGhAgEAMA8xDTALBgNVBAMMBGV2aWwwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQjyuMTmhWN4vdvc9eTI66x"
    "RH99YOtyPPYR08zIqfVF0T/Vyry3HbOq5f8OmsldfevExfRiT30erZUEyvCHK0f4oDAwLgYJKoZIhvcNAQkOMSEwHzAd"
    "BgNVHR4BAf8EEzARoA8wDYILZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwIDRwAwRAIgJkcuySZtjOtFT2QeZsyHWKMIWmXf"
    "BVpzyNtIibDog30CIFMsr9sgYXspTDgGyrn6+jjFgPfUVsgqeVbhqGpnnqoJ";

static const cert_profile_t *builtin(cert_profiles_t *profiles, const char *name) {
    assert_ok(cert_profiles_builtin(profiles));
    const cert_profile_t *profile = cert_profiles_find(profiles, name);
    assert_non_null(profile);
    return profile;
}

static err_t *check_base64(const char *text) {
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    const cert_profile_t *profile = builtin(&profiles, "scep-client");
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 4096);
    assert_ok(text_unbase64(bytes_str(text), &der));
    CLEANUP(csr_free) csr_t *csr = NULL;
    assert_ok(csr_parse_der(buf_bytes(&der), &csr));
    return cert_profile_check(profile, csr, NULL, 0);
}

static err_t *check_spec(const cert_profile_t *profile, const csr_spec_t *spec,
                         const san_entry_t *names, size_t n) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    assert_ok(pkey_generate(PKEY_P256, 0, &key));
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CSR_BYTES);
    assert_ok(csr_build(spec, key, &der));
    CLEANUP(csr_free) csr_t *csr = NULL;
    assert_ok(csr_parse_der(buf_bytes(&der), &csr));
    return cert_profile_check(profile, csr, names, n);
}

static void test_cert_profile__wishes_that_are_not_for_the_asking(void **state) {
    (void)state;
    assert_err(ERR_DENIED, check_base64(wants_ca));
    assert_err(ERR_DENIED, check_base64(wants_constraints));
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    const cert_profile_t *profile = builtin(&profiles, "scep-client");
    name_entry_t cn = {"CN", "phone"};
    csr_spec_t spec = {.subject = &cn, .subject_n = 1};
    assert_ok(check_spec(profile, &spec, NULL, 0));
    spec.key_usage = KEY_USAGE_CERT_SIGN;
    assert_err(ERR_DENIED, check_spec(profile, &spec, NULL, 0));
}

static void test_cert_profile__subject(void **state) {
    (void)state;
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    const cert_profile_t *profile = builtin(&profiles, "scep-client");
    name_entry_t good[] = {{"O", "Example"}, {"OU", "a"}, {"OU", "b"}, {"CN", "x"}, {"UID", "y"}};
    csr_spec_t spec = {.subject = good, .subject_n = 5};
    assert_ok(check_spec(profile, &spec, NULL, 0));
    name_entry_t twice[] = {{"CN", "one"}, {"CN", "two"}};
    spec = (csr_spec_t){.subject = twice, .subject_n = 2};
    assert_err(ERR_DENIED, check_spec(profile, &spec, NULL, 0));
    name_entry_t title[] = {{"CN", "one"}, {"title", "Dr"}};
    spec = (csr_spec_t){.subject = title, .subject_n = 2};
    assert_err(ERR_DENIED, check_spec(profile, &spec, NULL, 0));
    name_entry_t no_cn = {"O", "Example"};
    spec = (csr_spec_t){.subject = &no_cn, .subject_n = 1};
    assert_err(ERR_DENIED, check_spec(profile, &spec, NULL, 0));
}

static void test_cert_profile__names(void **state) {
    (void)state;
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    const cert_profile_t *profile = builtin(&profiles, "scep-client");
    name_entry_t cn = {"CN", "phone"};
    san_entry_t mail = {SAN_EMAIL, "a@example.org"}, ip = {SAN_IP, "192.0.2.1"};
    csr_spec_t spec = {.subject = &cn, .subject_n = 1, .sans = &mail, .sans_n = 1};
    assert_ok(check_spec(profile, &spec, &mail, 1));
    assert_err(ERR_DENIED, check_spec(profile, &spec, NULL, 0)); /* asked for, not granted */
    spec.sans_n = 0;
    assert_ok(check_spec(profile, &spec, &mail, 1)); /* granted, not asked for */
    assert_err(ERR_DENIED, check_spec(profile, &spec, &ip, 1));

    CLEANUP(arena_free) arena_t *arena = NULL;
    assert_ok(arena_new(65536, &arena));
    const san_entry_t *names = NULL;
    size_t n = 0;
    assert_ok(cert_profile_names(BYTES_LIT("email:a@example.org  dns:b uri:https://c:1/"), arena,
                                 &names, &n));
    assert_int_equal(n, 3);
    assert_int_equal(names[2].kind, SAN_URI);
    assert_string_equal(names[2].value, "https://c:1/");
    assert_ok(cert_profile_names(BYTES_NONE, arena, &names, &n));
    assert_int_equal(n, 0);
    assert_err(ERR_INVALID, cert_profile_names(BYTES_LIT("email"), arena, &names, &n));
    assert_err(ERR_INVALID, cert_profile_names(BYTES_LIT("email:"), arena, &names, &n));
    assert_err(ERR_INVALID, cert_profile_names(BYTES_LIT("fax:1"), arena, &names, &n));
    assert_err(ERR_INVALID, cert_profile_names(BYTES_LIT("dns:a\x01"), arena, &names, &n));
}

/* Puts another last byte into the exponent 65537 of an RSA public key. */
static err_t *check_exponent(const cert_profile_t *profile, const pkey_t *key, uint8_t first,
                             uint8_t last) {
    CLEANUP(buf_done) buf_t spki;
    buf_init(&spki, 4096);
    assert_ok(pkey_public_der(key, &spki));
    assert_int_equal(spki.p[spki.n - 1], 1);
    spki.p[spki.n - 3] = first;
    spki.p[spki.n - 1] = last;
    CLEANUP(pkey_free) pkey_t *weak = NULL;
    err_t *e = pkey_parse_public_der(buf_bytes(&spki), &weak);
    return e ? err_recode(e, ERR_DENIED) : cert_profile_check_key(profile, weak);
}

static void test_cert_profile__keys(void **state) {
    (void)state;
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    const cert_profile_t *identity = builtin(&profiles, "device-identity");
    const cert_profile_t *client = cert_profiles_find(&profiles, "scep-client");
    CLEANUP(pkey_free) pkey_t *rsa = NULL, *p256 = NULL, *ed = NULL;
    assert_ok(pkey_generate(PKEY_RSA, 2048, &rsa));
    assert_ok(pkey_generate(PKEY_P256, 0, &p256));
    assert_ok(pkey_generate(PKEY_ED25519, 0, &ed));
    assert_ok(cert_profile_check_key(identity, rsa));
    assert_err(ERR_DENIED, cert_profile_check_key(identity, p256));
    assert_ok(cert_profile_check_key(client, p256));
    assert_err(ERR_DENIED, cert_profile_check_key(client, ed));
    assert_ok(check_exponent(identity, rsa, 1, 3));
    assert_err(ERR_DENIED, check_exponent(identity, rsa, 1, 2)); /* even */
    assert_err(ERR_DENIED, check_exponent(identity, rsa, 0, 1)); /* one */
    cert_profile_t strict = *identity;
    strict.rsa_min = 3072;
    assert_err(ERR_DENIED, cert_profile_check_key(&strict, rsa));
}

static err_t *load(const char *text, cert_profiles_t *ret_profiles) {
    CLEANUP(conf_free) conf_t *conf = NULL;
    assert_ok(conf_parse(bytes_str(text), "test.conf", &conf));
    TRY(cert_profiles_load(conf, ret_profiles));
    err_t *e = conf_check_used(conf);
    if (e) cert_profiles_done(ret_profiles);
    return e;
}

static void test_cert_profile__configuration(void **state) {
    (void)state;
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    assert_ok(load("[certificate-profile vpn]\nkeys = rsa:3072-4096, p384\nvalidity = 30d\n"
                   "key_usage = digitalSignature\neku = clientAuth, 1.3.6.1.5.5.7.3.17\n"
                   "subject = CN, UID\nsubject_required = CN, UID\nnames = none\n"
                   "[certificate-profile device-identity]\nvalidity = 2y\n",
                   &profiles));
    assert_int_equal(profiles.n, 7);
    const cert_profile_t *vpn = cert_profiles_find(&profiles, "vpn");
    assert_non_null(vpn);
    assert_int_equal(vpn->rsa_min, 3072);
    assert_true(vpn->p384);
    assert_false(vpn->p256);
    assert_int_equal(vpn->validity_s, 30 * 86400);
    assert_int_equal(vpn->key_usage, KEY_USAGE_DIGITAL_SIGNATURE);
    assert_int_equal(vpn->ekus_n, 2);
    assert_string_equal(vpn->ekus[1], "1.3.6.1.5.5.7.3.17");
    assert_int_equal(vpn->subject_n, 2);
    assert_true(vpn->subject[1].required);
    assert_int_equal(vpn->names, 0);
    const cert_profile_t *identity = cert_profiles_find(&profiles, "device-identity");
    assert_int_equal(identity->validity_s, 2 * 365 * 86400);
    assert_int_equal(identity->rsa_min, 2048);
}

static void test_cert_profile__configuration_errors(void **state) {
    (void)state;
    static const char *const bad[] = {
        "keys = rsa:1024-2048",    "keys = dsa",        "keys = rsa:4096-2048",     "eku = email",
        "key_usage = keyCertSign", "names = fax",       "subject_required = title", "ca = any",
        "validity = 1s",           "ekus = clientAuth",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CLEANUP(buf_done) buf_t text;
        buf_init(&text, 1024);
        assert_ok(buf_printf(&text, "[certificate-profile x]\n%s\n", bad[i]));
        const char *cstr = NULL;
        assert_ok(buf_cstr(&text, &cstr));
        cert_profiles_t profiles = {0};
        assert_err(ERR_INVALID, load(cstr, &profiles));
    }
}

static void test_cert_profile__purposes(void **state) {
    (void)state;
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    assert_ok(load("[certificate-profile a]\npurpose = sign\nkey_usage = digitalSignature, "
                   "nonRepudiation\nmail_domains = example.org\n"
                   "[certificate-profile b]\npurpose = encrypt\nrules = smime-multipurpose\n"
                   "key_usage = keyEncipherment, dataEncipherment\n"
                   "[certificate-profile c]\npurpose = server\n"
                   "[certificate-profile d]\npurpose = sign\npolicies = 2.23.140.1.5.3.3, 1.2.3\n",
                   &profiles));
    const cert_profile_t *a = cert_profiles_find(&profiles, "a"),
                         *b = cert_profiles_find(&profiles, "b"),
                         *c = cert_profiles_find(&profiles, "c"),
                         *d = cert_profiles_find(&profiles, "d");
    assert_int_equal(a->rules, CERT_LINT_SMIME_STRICT);
    assert_int_equal(a->key_usage, KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_NON_REPUDIATION);
    assert_string_equal(a->ekus[0], OID_EKU_EMAIL_PROTECTION);
    assert_string_equal(a->policies[0], "2.23.140.1.5.1.3");
    assert_string_equal(a->mail_domains[0], "example.org");
    assert_int_equal(a->names, 1 << SAN_EMAIL);
    assert_string_equal(b->policies[0], "2.23.140.1.5.1.2");
    assert_int_equal(c->ca, CERT_PROFILE_ROOT_CA);
    assert_string_equal(c->ekus[0], OID_EKU_SERVER_AUTH);
    assert_int_equal(d->policies_n, 2);
    assert_string_equal(d->policies[0], "2.23.140.1.5.3.3");
    assert_int_equal(cert_profiles_find(&profiles, "mail-encrypt")->purpose, CERT_PROFILE_ENCRYPT);
}

/* What does not go together is said, and the keeper doesn't start. */
static void test_cert_profile__refused_combinations(void **state) {
    (void)state;
    static const struct {
        const char *keys, *word;
    } bad[] = {
        {"purpose = sign\nkey_usage = digitalSignature, keyEncipherment", "archived"},
        {"purpose = sign\nkey_usage = nonRepudiation", "digitalSignature"},
        {"purpose = encrypt\nkey_usage = keyEncipherment, digitalSignature", "archived"},
        {"purpose = encrypt\nkey_usage = dataEncipherment", "keyEncipherment"},
        {"purpose = encrypt\nkey_usage = keyEncipherment, dataEncipherment", "multipurpose"},
        {"purpose = sign\neku = clientAuth", "emailProtection"},
        {"purpose = sign\neku = emailProtection, clientAuth", "smime-multipurpose"},
        {"purpose = sign\nrules = smime-multipurpose\neku = emailProtection, serverAuth",
         "7.1.2.3"},
        {"purpose = sign\nrules = rfc5280", "smime-strict"},
        {"purpose = sign\nca = root", "root"},
        {"purpose = sign\nca = mail", "device CA"},
        {"purpose = sign\nnames = dns, email", "email"},
        {"purpose = sign\nnames = none", "7.1.4.2.1"},
        {"purpose = sign\nnames = email, upn", "smime-strict"},
        {"purpose = encrypt\nvalidity = 825d", "824d"},
        {"purpose = auth\neku = emailProtection", "sign or encrypt"},
        {"rules = smime-strict", "sign or encrypt"},
        {"key_usage = nonRepudiation, keyEncipherment", "nonRepudiation"},
        {"purpose = server\neku = clientAuth", "serverAuth"},
        {"purpose = mail", "encrypt"},
        {"rules = smime-legacy", "smime-multipurpose"},
        {"policies = x", "OID"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[512], said[1024];
        (void)snprintf(text, sizeof text, "[certificate-profile x]\n%s\n", bad[i].keys);
        cert_profiles_t profiles = {0};
        err_t *e = load(text, &profiles);
        if (!e) fail_msg("taken: %s", bad[i].keys);
        assert_int_equal(err_code(e), ERR_INVALID);
        if (!strstr(err_text(e, said, sizeof said), bad[i].word))
            fail_msg("%s: %s", bad[i].keys, said);
        err_free(e);
    }
}

static void test_cert_profile__mailboxes(void **state) {
    (void)state;
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    cert_profile_t signing = *builtin(&profiles, "mail-signing");
    name_entry_t cn = {"CN", "a@example.org"};
    san_entry_t mail = {SAN_EMAIL, "a@Example.ORG"}, dns = {SAN_DNS, "example.org"};
    csr_spec_t spec = {.subject = &cn, .subject_n = 1};
    assert_ok(check_spec(&signing, &spec, &mail, 1));
    assert_err(ERR_DENIED, check_spec(&signing, &spec, NULL, 0)); /* no mailbox */
    assert_err(ERR_DENIED, check_spec(&signing, &spec, &dns, 1));
    memcpy(signing.mail_domains[0], "example.org", 12);
    signing.mail_domains_n = 1;
    assert_ok(check_spec(&signing, &spec, &mail, 1));
    mail.value = "a@sub.example.org";
    assert_err(ERR_DENIED, check_spec(&signing, &spec, &mail, 1));
    mail.value = "a@evil.test";
    assert_err(ERR_DENIED, check_spec(&signing, &spec, &mail, 1));
}

static void test_cert_profile__usage_fits_the_key(void **state) {
    (void)state;
    CLEANUP(cert_profiles_done) cert_profiles_t profiles = {0};
    const cert_profile_t *client = builtin(&profiles, "scep-client");
    CLEANUP(pkey_free) pkey_t *rsa = NULL, *p256 = NULL;
    unsigned usage = 7;
    assert_ok(pkey_generate(PKEY_RSA, 2048, &rsa));
    assert_ok(pkey_generate(PKEY_P256, 0, &p256));
    assert_ok(cert_profile_usage(client, rsa, &usage));
    assert_int_equal(usage, KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT);
    assert_ok(cert_profile_usage(client, p256, &usage));
    assert_int_equal(usage, KEY_USAGE_DIGITAL_SIGNATURE);
    cert_profile_t encrypt = *cert_profiles_find(&profiles, "mail-encrypt");
    encrypt.key_usage = KEY_USAGE_KEY_ENCIPHERMENT | KEY_USAGE_KEY_AGREEMENT;
    assert_ok(cert_profile_usage(&encrypt, rsa, &usage));
    assert_int_equal(usage, KEY_USAGE_KEY_ENCIPHERMENT);
    assert_ok(cert_profile_usage(&encrypt, p256, &usage));
    assert_int_equal(usage, KEY_USAGE_KEY_AGREEMENT);
    encrypt.key_usage = KEY_USAGE_KEY_ENCIPHERMENT;
    assert_err(ERR_DENIED, cert_profile_usage(&encrypt, p256, &usage));
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_profile__wishes_that_are_not_for_the_asking),
        cmocka_unit_test(test_cert_profile__subject),
        cmocka_unit_test(test_cert_profile__names),
        cmocka_unit_test(test_cert_profile__keys),
        cmocka_unit_test(test_cert_profile__configuration),
        cmocka_unit_test(test_cert_profile__configuration_errors),
        cmocka_unit_test(test_cert_profile__purposes),
        cmocka_unit_test(test_cert_profile__refused_combinations),
        cmocka_unit_test(test_cert_profile__mailboxes),
        cmocka_unit_test(test_cert_profile__usage_fits_the_key),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
