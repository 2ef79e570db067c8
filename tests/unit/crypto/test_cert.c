/* Certificates: what is issued reads back, passes the strict checks of others, and chains. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "factory.h"

static const name_entry_t full_subject[] = {
    {"C", "DE"},
    {"O", "Exämple, GmbH"},
    {"CN", "iPhone of Person"},
    {OID_UID, "com.apple.mgmt.External.1"},
    {"serialNumber", "C02EXAMPLE"},
    {"emailAddress", "person@example.org"},
};
static const san_entry_t full_sans[] = {
    {SAN_EMAIL, "person@example.org"},
    {SAN_DNS, "device.example.org"},
    {SAN_URI, "urn:example:device"},
    {SAN_UPN, "persön@example.org"},
    {SAN_IP, "192.0.2.7"},
    {SAN_EMAIL, "second@example.org"},
};
static const char *const full_ekus[] = {OID_EKU_CLIENT_AUTH, OID_EKU_EMAIL_PROTECTION,
                                        OID_EKU_SERVER_AUTH};
static const char *const full_policies[] = {"1.3.6.1.4.1.32473.1"};

static cert_spec_t full_spec(const pkey_t *key, const uint8_t serial[CERT_SERIAL_SIZE]) {
    return (cert_spec_t){
        .subject = full_subject,
        .subject_n = sizeof full_subject / sizeof full_subject[0],
        .sans = full_sans,
        .sans_n = sizeof full_sans / sizeof full_sans[0],
        .serial = bytes_make(serial, CERT_SERIAL_SIZE),
        .not_before = FIXTURE_BEFORE,
        .not_after = FIXTURE_AFTER,
        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT,
        .ekus = full_ekus,
        .ekus_n = 3,
        .policies = full_policies,
        .policies_n = 1,
        .crl_url = "http://ca.example.org/ca.crl",
        .ocsp_url = "http://ca.example.org/ocsp",
        .ca_issuers_url = "http://ca.example.org/ca.cer",
        .key = key,
    };
}

static void test_cert__issued_values_read_back(void **state) {
    fixture_t *f = *state;
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_spec_t spec = full_spec(f->rsa_key, serial);
    CLEANUP(cert_free) cert_t *issued = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &issued));
    assert_ok(cert_parse_der(cert_der(issued), &cert));
    assert_true(cert_same(issued, cert));
    assert_true(bytes_eq(cert_serial(cert), spec.serial));
    assert_int_equal(strlen(cert_serial_hex(cert)), 40);
    size_t n = 0;
    const name_entry_t *entries = cert_subject_entries(cert, &n);
    assert_int_equal(n, spec.subject_n);
    for (size_t i = 0; i < n; i++) assert_string_equal(entries[i].value, full_subject[i].value);
    assert_string_equal(cert_subject_get(cert, OID_UID), "com.apple.mgmt.External.1");
    assert_string_equal(cert_subject_get(cert, "UID"), "com.apple.mgmt.External.1");
    assert_null(cert_subject_get(cert, "OU"));
    assert_string_equal(cert_issuer(cert), "CN=Example Root");
    assert_non_null(strstr(cert_subject(cert), "O=Exämple\\, GmbH"));
    const san_entry_t *sans = cert_sans(cert, &n);
    assert_int_equal(n, spec.sans_n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(sans[i].kind, full_sans[i].kind);
        assert_string_equal(sans[i].value, full_sans[i].value);
    }
    assert_string_equal(cert_san_get(cert, SAN_EMAIL, 1), "second@example.org");
    assert_null(cert_san_get(cert, SAN_EMAIL, 2));
    assert_int_equal(cert_not_before(cert), FIXTURE_BEFORE);
    assert_int_equal(cert_not_after(cert), FIXTURE_AFTER);
    assert_int_equal(cert_key_usage(cert), spec.key_usage);
    assert_true(cert_has_eku(cert, OID_EKU_EMAIL_PROTECTION));
    assert_false(cert_has_eku(cert, OID_EKU_CODE_SIGNING));
    assert_false(cert_is_ca(cert));
    assert_true(cert_is_ca(f->ca));
    assert_true(bytes_eq(cert_akid(cert), cert_skid(f->ca)));
    assert_int_equal(cert_skid(cert).n, 20);
    assert_true(pkey_same_public(cert_key(cert), f->rsa_key));
    assert_true(cert_is_issuer_serial(cert, cert_subject_der(f->ca), spec.serial));
    assert_false(cert_is_issuer_serial(cert, cert_subject_der(cert), spec.serial));
}

static void test_cert__passes_openssl_strict(void **state) {
    fixture_t *f = *state;
    char directory[] = "/tmp/coffer-cert-XXXXXX";
    assert_non_null(mkdtemp(directory));
    static const pkey_kind_t kinds[] = {PKEY_RSA, PKEY_P256, PKEY_P384, PKEY_ED25519};
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(pkey_free) pkey_t *key = NULL;
        CLEANUP(cert_free) cert_t *root = NULL;
        CLEANUP(cert_free) cert_t *leaf = NULL;
        uint8_t serial[CERT_SERIAL_SIZE];
        assert_ok(pkey_generate(kinds[i], 2048, &key));
        assert_ok(cert_serial_random(rnd_real(), serial));
        name_entry_t subject = {"CN", "Strict Root"};
        cert_spec_t spec = {.subject = &subject,
                            .subject_n = 1,
                            .serial = BYTES_ARRAY(serial),
                            .not_before = FIXTURE_BEFORE,
                            .not_after = FIXTURE_AFTER,
                            .is_ca = true,
                            .has_path_length = true,
                            .key_usage = KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN};
        assert_ok(cert_issue(&spec, NULL, key, &root));
        spec = full_spec(f->rsa_key, serial);
        if (i == 1) spec.subject_n = 0; /* then the alternative name must be critical */
        assert_ok(cert_issue(&spec, root, key, &leaf));
        char path[64], command[256];
        CLEANUP(buf_done) buf_t pem;
        buf_init(&pem, 65536);
        assert_ok(cert_pem(root, &pem));
        (void)snprintf(path, sizeof path, "%s/root.pem", directory);
        assert_ok(file_write(path, buf_bytes(&pem), 0600));
        buf_clear(&pem);
        assert_ok(cert_pem(leaf, &pem));
        (void)snprintf(path, sizeof path, "%s/leaf.pem", directory);
        assert_ok(file_write(path, buf_bytes(&pem), 0600));
        (void)snprintf(command, sizeof command,
                       "openssl verify -x509_strict -check_ss_sig -purpose sslclient -CAfile "
                       "%s/root.pem %s/leaf.pem >/dev/null",
                       directory, directory);
        assert_int_equal(system(command), 0);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/root.pem", directory);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

/* X509_set_pubkey encodes with OpenSSL: its SubjectPublicKeyInfo must hold ours byte by byte. */
static void test_cert__public_key_is_encoded_as_openssl_does(void **state) {
    fixture_t *f = *state;
    CLEANUP(pkey_free) pkey_t *odd = NULL;
    assert_ok(pkey_generate(PKEY_RSA, 2056, &odd));
    const pkey_t *keys[] = {f->rsa_key, f->ec_key, f->ca_key, odd};
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(cert_free) cert_t *cert = fixture_leaf(f, "encoded", 7, keys[i]);
        CLEANUP(buf_done) buf_t spki;
        buf_init(&spki, 4096);
        assert_ok(pkey_public_der(keys[i], &spki));
        assert_non_null(memmem(cert_der(cert).p, cert_der(cert).n, spki.p, spki.n));
    }
}

static void test_cert__chain_says_what_is_wrong(void **state) {
    fixture_t *f = *state;
    CLEANUP(cert_list_done) cert_list_t roots = {0};
    CLEANUP(cert_list_done) cert_list_t wrong = {0};
    assert_ok(cert_list_add(&roots, f->ca));
    assert_ok(cert_list_add(&wrong, f->ec));
    cert_chain_t chain = {.roots = &roots, .at = FIXTURE_NOW};
    assert_ok(cert_verify_chain(f->rsa, &chain));
    chain.at = FIXTURE_AFTER + 1;
    assert_err(ERR_VERIFY, cert_verify_chain(f->rsa, &chain));
    chain.ignore_dates = true;
    assert_ok(cert_verify_chain(f->rsa, &chain));
    chain = (cert_chain_t){.roots = &wrong, .at = FIXTURE_NOW};
    assert_err(ERR_VERIFY, cert_verify_chain(f->rsa, &chain));
    assert_ok(cert_verify_chain(f->ec, &chain)); /* pinned itself */
    chain.at = 0;
    assert_err(ERR_USAGE, cert_verify_chain(f->ec, &chain));
}

static void test_cert__chain_checks_host_and_purpose(void **state) {
    fixture_t *f = *state;
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_spec_t spec = full_spec(f->rsa_key, serial);
    CLEANUP(cert_free) cert_t *cert = NULL;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    CLEANUP(cert_list_done) cert_list_t roots = {0};
    assert_ok(cert_list_add(&roots, f->ca));
    cert_chain_t chain = {.roots = &roots,
                          .at = FIXTURE_NOW,
                          .purpose = CERT_PURPOSE_TLS_SERVER,
                          .hostname = "device.example.org"};
    assert_ok(cert_verify_chain(cert, &chain));
    chain.hostname = "192.0.2.7";
    assert_ok(cert_verify_chain(cert, &chain));
    chain.hostname = "192.0.2.8";
    assert_err(ERR_VERIFY, cert_verify_chain(cert, &chain));
    chain.hostname = "example.org";
    assert_err(ERR_VERIFY, cert_verify_chain(cert, &chain));
    chain.hostname = NULL;
    spec.ekus_n = 1; /* clientAuth only */
    cert_free(STEAL(cert));
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    assert_err(ERR_VERIFY, cert_verify_chain(cert, &chain));
    chain.purpose = CERT_PURPOSE_TLS_CLIENT;
    assert_ok(cert_verify_chain(cert, &chain));
}

static void test_cert__factory_signature_alone(void **state) {
    fixture_t *f = *state;
    CLEANUP(cert_free) cert_t *ca = NULL;
    CLEANUP(cert_free) cert_t *device = NULL;
    assert_ok(cert_parse_pem(BYTES_LIT(factory_ca_pem), &ca));
    assert_ok(cert_parse_pem(BYTES_LIT(factory_device_pem), &device));
    assert_string_equal(cert_serial_hex(device), "4d");
    assert_ok(cert_verify_signed_by_key(device, cert_key(ca)));
    assert_err(ERR_VERIFY, cert_verify_signed_by_key(device, f->rsa_key));
    CLEANUP(cert_list_done) cert_list_t roots = {0};
    assert_ok(cert_list_add(&roots, ca));
    cert_chain_t chain = {.roots = &roots, .at = FIXTURE_NOW, .ignore_dates = true};
    assert_err(ERR_VERIFY, cert_verify_chain(device, &chain)); /* too weak everywhere else */
}

static void test_cert__refuses_bad_specs(void **state) {
    fixture_t *f = *state;
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_t *cert = NULL;
    cert_spec_t spec = full_spec(f->rsa_key, serial);
    assert_err(ERR_USAGE, cert_issue(&spec, f->ca, f->rsa_key, &cert));
    spec.key_usage |= KEY_USAGE_CERT_SIGN;
    assert_err(ERR_USAGE, cert_issue(&spec, f->ca, f->ca_key, &cert));
    spec = full_spec(f->rsa_key, serial);
    spec.not_after = spec.not_before;
    assert_err(ERR_USAGE, cert_issue(&spec, f->ca, f->ca_key, &cert));
    spec = full_spec(f->rsa_key, serial);
    uint8_t negative[] = {0x80};
    spec.serial = BYTES_ARRAY(negative);
    assert_err(ERR_USAGE, cert_issue(&spec, f->ca, f->ca_key, &cert));
    spec = full_spec(f->rsa_key, serial);
    name_entry_t bad[] = {{"CN", "two\nlines"}, {"C", "Germany"}, {"nonsense", "x"}};
    for (size_t i = 0; i < 3; i++) {
        spec.subject = &bad[i];
        spec.subject_n = 1;
        assert_err(ERR_USAGE, cert_issue(&spec, f->ca, f->ca_key, &cert));
    }
    spec = full_spec(f->rsa_key, serial);
    san_entry_t bad_sans[] = {{SAN_DNS, "bücher.example"}, {SAN_IP, "1.2.3"}, {SAN_OTHER, "x"}};
    for (size_t i = 0; i < 3; i++) {
        spec.sans = &bad_sans[i];
        spec.sans_n = 1;
        assert_err(ERR_USAGE, cert_issue(&spec, f->ca, f->ca_key, &cert));
    }
    assert_null(cert);
}

static void test_cert__refuses_ten_thousand_names(void **state) {
    fixture_t *f = *state;
    enum { MANY = 10000 };
    san_entry_t *sans = mem_array(MANY, sizeof *sans);
    assert_non_null(sans);
    for (size_t i = 0; i < MANY; i++) sans[i] = (san_entry_t){SAN_DNS, "a.example"};
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_spec_t spec = full_spec(f->rsa_key, serial);
    spec.sans = sans;
    spec.sans_n = MANY;
    cert_t *cert = NULL;
    assert_err(ERR_LIMIT, cert_issue(&spec, f->ca, f->ca_key, &cert));
    spec.sans_n = LIMIT_SAN_ENTRIES;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    cert_free(cert);
    mem_free(sans);
}

static void test_cert__refuses_malformed_input(void **state) {
    fixture_t *f = *state;
    cert_t *cert = NULL;
    bytes_t der = cert_der(f->rsa);
    assert_err(ERR_INVALID, cert_parse_der(BYTES_NONE, &cert));
    assert_err(ERR_INVALID, cert_parse_pem(BYTES_LIT("no certificate"), &cert));
    for (size_t n = 0; n < der.n; n++)
        assert_err(ERR_INVALID, cert_parse_der(bytes_slice(der, 0, n), &cert));
    CLEANUP(buf_done) buf_t more;
    buf_init(&more, 2 * LIMIT_CERTIFICATE_BYTES);
    assert_ok(buf_add(&more, der));
    assert_ok(buf_add_byte(&more, 0));
    assert_err(ERR_INVALID, cert_parse_der(buf_bytes(&more), &cert));
    while (more.n <= LIMIT_CERTIFICATE_BYTES) assert_ok(buf_add(&more, der));
    assert_err(ERR_LIMIT, cert_parse_der(buf_bytes(&more), &cert));
    /* Any flipped byte: no crash, and either an error or another certificate. */
    buf_clear(&more);
    assert_ok(buf_add(&more, der));
    for (size_t i = 0; i < der.n; i++) {
        more.p[i] ^= 0x55;
        cert_t *flipped = NULL;
        err_t *e = cert_parse_der(buf_bytes(&more), &flipped);
        if (!e) assert_err(ERR_VERIFY, cert_verify_signed_by_key(flipped, f->ca_key));
        err_free(e);
        cert_free(flipped);
        more.p[i] ^= 0x55;
    }
}

static void test_cert__pem_list_keeps_order(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, 65536);
    assert_ok(buf_add_str(&pem, "some text before\n"));
    assert_ok(cert_pem(f->rsa, &pem));
    assert_ok(cert_pem(f->ca, &pem));
    assert_ok(cert_pem(f->ec, &pem));
    CLEANUP(cert_list_done) cert_list_t list = {0};
    assert_ok(cert_parse_pem_list(buf_bytes(&pem), &list));
    assert_int_equal(list.n, 3);
    assert_true(cert_same(list.certs[0], f->rsa));
    assert_true(cert_same(list.certs[2], f->ec));
}

static void test_cert__survives_every_failed_allocation(void **state) {
    fixture_t *f = *state;
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_spec_t spec = full_spec(f->rsa_key, serial);
    for (unsigned long n = 1;; n++) {
        assert_true(n < 10000);
        cert_t *cert = NULL;
        fault_arm_memory(n);
        err_t *e = cert_issue(&spec, f->ca, f->ca_key, &cert);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        assert_true((e == NULL) == (cert != NULL));
        if (fired) assert_true(!e || err_code(e) == ERR_NOMEM);
        err_free(e);
        cert_free(cert);
        if (!fired) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert__issued_values_read_back),
        cmocka_unit_test(test_cert__passes_openssl_strict),
        cmocka_unit_test(test_cert__public_key_is_encoded_as_openssl_does),
        cmocka_unit_test(test_cert__chain_says_what_is_wrong),
        cmocka_unit_test(test_cert__chain_checks_host_and_purpose),
        cmocka_unit_test(test_cert__factory_signature_alone),
        cmocka_unit_test(test_cert__refuses_bad_specs),
        cmocka_unit_test(test_cert__refuses_ten_thousand_names),
        cmocka_unit_test(test_cert__refuses_malformed_input),
        cmocka_unit_test(test_cert__pem_list_keeps_order),
        cmocka_unit_test(test_cert__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
