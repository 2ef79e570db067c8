/*
 * What a strict device refuses in profiles: each check gets a profile that only it can catch.
 */
#include <string.h>

#include "base/fault.h"
#include "pki_fixture.h"
#include "program/sim/verify.h"

#define HEAD(type, uuid)                                                                           \
    "<key>PayloadType</key><string>" type "</string><key>PayloadVersion</key><integer>1</integer>" \
    "<key>PayloadIdentifier</key><string>org.example.x</string><key>PayloadUUID</"                 \
    "key><string>" uuid "</string>"
#define UUID_1 "11111111-2222-3333-4444-555555555555"
#define UUID_2 "22222222-2222-3333-4444-555555555555"
#define UUID_3 "33333333-2222-3333-4444-555555555555"

#define OFFER(url, attributes)                                                                     \
    "<plist version=\"1.0\"><dict>" HEAD(                                                          \
        "Profile Service", UUID_1) "<key>PayloadContent</key><dict><key>URL</key><string>" url     \
                                   "</string>"                                                     \
                                   "<key>DeviceAttributes</key><array>" attributes                 \
                                   "</array><key>Challenge</key><string>c"                         \
                                   "</string></dict></dict></plist>"
#define GOOD_OFFER OFFER("https://localhost/ota", "<string>UDID</string><string>SERIAL</string>")

/* ---- signatures ---- */

static void judge(const pki_fixture_t *f, bytes_t message, int64_t at, err_code_t *code) {
    CLEANUP(verified_profile_done) verified_profile_t profile = {0};
    err_t *e = verify_profile(message, &f->roots, at, &profile);
    *code = e ? err_code(e) : ERR_INTERNAL;
    assert_true(!e || !profile.doc);
    assert_true(e || profile.dict);
    if (!e) *code = ERR_EXISTS; /* here: it held */
    err_free(e);
}

static void expect(const pki_fixture_t *f, const credential_t *who,
                   const cms_sign_options_t *options, const char *content, err_code_t expected) {
    CLEANUP(buf_done) buf_t message;
    err_code_t code = ERR_INTERNAL;
    fixture_sign(who, bytes_str(content), options, &message);
    judge(f, buf_bytes(&message), FIXTURE_NOW, &code);
    assert_string_equal(err_code_name(code), err_code_name(expected));
}

static void test_verify__accepts_a_profile_of_the_profile_signer(void **state) {
    const pki_fixture_t *f = *state;
    expect(f, &f->signer, NULL, GOOD_OFFER, ERR_EXISTS);
    expect(f, &f->signer, &(cms_sign_options_t){.indefinite = true}, GOOD_OFFER, ERR_EXISTS);
}

static void test_verify__refuses_other_signers(void **state) {
    const pki_fixture_t *f = *state;
    expect(f, &f->foreign_signer, NULL, GOOD_OFFER, ERR_VERIFY);
    expect(f, &f->tls, NULL, GOOD_OFFER, ERR_VERIFY);
    expect(f, &f->device_ca, NULL, GOOD_OFFER, ERR_VERIFY);
}

static void test_verify__refuses_weak_absent_and_senseless_content(void **state) {
    const pki_fixture_t *f = *state;
    expect(f, &f->signer, &(cms_sign_options_t){.digest = CMS_DIGEST_SHA1}, GOOD_OFFER, ERR_VERIFY);
    expect(f, &f->signer, &(cms_sign_options_t){.detached = true}, GOOD_OFFER, ERR_VERIFY);
    expect(f, &f->signer, &(cms_sign_options_t){.no_certificates = true}, GOOD_OFFER, ERR_VERIFY);
    expect(f, &f->signer, NULL, "no plist", ERR_VERIFY);
    expect(f, &f->signer, NULL, "<plist version=\"1.0\"><array/></plist>", ERR_VERIFY);
}

static void test_verify__refuses_every_flipped_byte(void **state) {
    const pki_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t message;
    fixture_sign(&f->signer, bytes_str(GOOD_OFFER), NULL, &message);
    uint8_t *content = memmem(message.p, message.n, "https://localhost", 17);
    assert_non_null(content);
    for (size_t i = 0; i < message.n; i += 7) {
        err_code_t code = ERR_INTERNAL;
        message.p[i] ^= 0x01;
        judge(f, buf_bytes(&message), FIXTURE_NOW, &code);
        message.p[i] ^= 0x01;
        /* some bytes say nothing (the tail of a NULL parameter), none inside the content */
        bool inside = message.p + i >= content && message.p + i < content + 17;
        if (inside) assert_int_equal(code, ERR_VERIFY);
        else assert_true(code == ERR_VERIFY || code == ERR_EXISTS);
    }
}

static void test_verify__judges_dates(void **state) {
    const pki_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t message;
    err_code_t code = ERR_INTERNAL;
    fixture_sign(&f->signer, bytes_str(GOOD_OFFER), NULL, &message);
    judge(f, buf_bytes(&message), FIXTURE_NOW + INT64_C(366) * 86400, &code);
    assert_int_equal(code, ERR_VERIFY);
    judge(f, buf_bytes(&message), FIXTURE_NOW - INT64_C(2) * 86400, &code);
    assert_int_equal(code, ERR_VERIFY);
}

static void test_verify__survives_failing_allocations(void **state) {
    const pki_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t message;
    fixture_sign(&f->signer, bytes_str(GOOD_OFFER), NULL, &message);
    for (unsigned long n = 1;; n++) {
        CLEANUP(verified_profile_done) verified_profile_t profile = {0};
        fault_arm_memory(n);
        err_t *e = verify_profile(buf_bytes(&message), &f->roots, FIXTURE_NOW, &profile);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_null(e);
            break;
        }
        if (e) assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
        assert_true(n < 10000);
    }
}

/* ---- phase 1 ---- */

static err_code_t offer(const char *xml) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    profile_offer_t terms;
    assert_ok(plist_parse(bytes_str(xml), &doc));
    CLEANUP(err_free) err_t *e = verify_offer(plist_root(doc), &terms);
    return e ? err_code(e) : ERR_EXISTS;
}

static void test_verify__offer_must_be_complete(void **state) {
    (void)state;
    assert_int_equal(offer(GOOD_OFFER), ERR_EXISTS);
    assert_int_equal(offer(OFFER("http://localhost/ota", "<string>UDID</string>")), ERR_VERIFY);
    assert_int_equal(offer(OFFER("https://localhost/ota", "<string>SERIAL</string>")), ERR_VERIFY);
    assert_int_equal(offer(OFFER("https://localhost/ota", "")), ERR_VERIFY);
    assert_int_equal(
        offer("<plist version=\"1.0\"><dict>" HEAD("Configuration", UUID_1) "</dict></plist>"),
        ERR_VERIFY);
    assert_int_equal(
        offer("<plist version=\"1.0\"><dict>" HEAD("Profile Service", "no-uuid") "</dict></plist>"),
        ERR_VERIFY);
}

/* ---- SCEP payload ---- */

#define SUBJECT "<array><array><array><string>CN</string><string>x</string></array></array></array>"
#define SCEP_DICT(uuid, url, subject, more)                                                        \
    "<dict>" HEAD("com.apple.security.scep",                                                       \
                  uuid) "<key>PayloadContent</key><dict><key>URL</key><string>" url                \
                        "</string><key>Subject</key>" subject                                      \
                        "<key>Challenge</key><string>c</string>" more "</dict></dict>"
#define BITS(n) "<key>Keysize</key><integer>" #n "</integer>"

static err_code_t scep(const char *dict, scep_terms_t *terms) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(mem_free)
    char *xml = mem_printf(
        "<plist version=\"1.0\"><dict>" HEAD(
            "Configuration", UUID_3) "<key>PayloadContent</key><array>%s</array></dict></plist>",
        dict);
    assert_ok(plist_parse(bytes_str(xml), &doc));
    CLEANUP(err_free) err_t *e = verify_scep_profile(plist_root(doc), terms);
    return e ? err_code(e) : ERR_EXISTS;
}

static void test_verify__scep_payload_terms(void **state) {
    (void)state;
    scep_terms_t terms;
    const char *good = SCEP_DICT(UUID_1, "http://localhost/scep", SUBJECT,
                                 BITS(2048) "<key>Key Usage</key><integer>5</integer>");
    assert_int_equal(scep(good, &terms), ERR_EXISTS);
    assert_int_equal(terms.bits, 2048);
    assert_int_equal(terms.key_usage, KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT);
    assert_int_equal(terms.subject_n, 1);
}

static void test_verify__scep_payload_must_be_strong_and_whole(void **state) {
    (void)state;
    scep_terms_t terms;
    const char *const bad[] = {
        SCEP_DICT(UUID_1, "http://localhost/scep", SUBJECT, ""), /* means 1024 */
        SCEP_DICT(UUID_1, "http://localhost/scep", SUBJECT, BITS(1024)),
        SCEP_DICT(UUID_1, "ftp://localhost/scep", SUBJECT, BITS(2048)),
        SCEP_DICT(UUID_1, "http://localhost/scep", "<array/>", BITS(2048)),
        SCEP_DICT(UUID_1, "http://localhost/scep", "<array><string>CN=x</string></array>",
                  BITS(2048)),
        SCEP_DICT(UUID_1, "http://localhost/scep", SUBJECT,
                  BITS(2048) "<key>Key Usage</key><integer>2</integer>"),
        SCEP_DICT(UUID_1, "http://localhost/scep", SUBJECT,
                  BITS(2048) "<key>Key Type</key><string>DSA</string>"),
        SCEP_DICT(UUID_1, "http://localhost/scep", SUBJECT, BITS(2048))
            SCEP_DICT(UUID_2, "http://localhost/scep", SUBJECT, BITS(2048)),
        "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(scep(bad[i], &terms), ERR_VERIFY);
}

/* ---- phase 3 ---- */

#define SCEP_OK SCEP_DICT(UUID_1, "https://localhost/scep", SUBJECT, BITS(2048))
#define MDM_DICT(identity, topic, url, rights)                                                     \
    "<dict>" HEAD("com.apple.mdm", UUID_2) "<key>IdentityCertificateUUID</key><string>" identity   \
                                           "</string><key>Topic</key><string>" topic               \
                                           "</string><key>ServerURL</key><string>" url             \
                                           "</string><key>AccessRights</key><integer>" #rights     \
                                           "</integer></dict>"
#define MDM_OK MDM_DICT(UUID_1, "com.apple.mgmt.x", "https://localhost/mdm", 8191)

static err_code_t enrolment(const pki_fixture_t *f, const char *payloads, const cert_t *root) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(enrolment_terms_done) enrolment_terms_t terms = {0};
    plist_t *entry = NULL;
    CLEANUP(mem_free)
    char *xml = mem_printf("<plist version=\"1.0\"><array>%s</array></plist>", payloads);
    assert_ok(plist_parse(bytes_str(xml), &doc));
    if (root) {
        assert_ok(plist_array_add_dict(plist_root(doc), &entry));
        assert_ok(plist_set_string(entry, "PayloadType", "com.apple.security.root"));
        assert_ok(plist_set_int(entry, "PayloadVersion", 1));
        assert_ok(plist_set_string(entry, "PayloadIdentifier", "org.example.root"));
        assert_ok(plist_set_string(entry, "PayloadUUID", UUID_3));
        assert_ok(plist_set_data(entry, "PayloadContent", cert_der(root)));
    }
    CLEANUP(err_free) err_t *e = verify_enrolment(plist_root(doc), &f->roots, FIXTURE_NOW, &terms);
    return e ? err_code(e) : ERR_EXISTS;
}

static void test_verify__enrolment_accepts_root_scep_and_mdm(void **state) {
    const pki_fixture_t *f = *state;
    assert_int_equal(enrolment(f, SCEP_OK MDM_OK, f->root.cert), ERR_EXISTS);
    assert_int_equal(enrolment(f, SCEP_OK MDM_OK, NULL), ERR_EXISTS);
}

static void test_verify__enrolment_refuses_foreign_roots(void **state) {
    const pki_fixture_t *f = *state;
    assert_int_equal(enrolment(f, SCEP_OK MDM_OK, f->foreign_root.cert), ERR_VERIFY);
    assert_int_equal(enrolment(f, SCEP_OK MDM_OK, f->tls.cert), ERR_VERIFY);
    assert_int_equal(enrolment(f, SCEP_OK MDM_OK, f->device_ca.cert), ERR_VERIFY);
}

static void test_verify__enrolment_refuses_what_does_not_fit_together(void **state) {
    const pki_fixture_t *f = *state;
    const char *const bad[] = {
        SCEP_OK,
        MDM_OK,
        SCEP_OK MDM_OK MDM_OK,
        SCEP_OK MDM_DICT(UUID_2, "com.apple.mgmt.x", "https://localhost/mdm", 8191),
        SCEP_OK MDM_DICT(UUID_1, "org.example.x", "https://localhost/mdm", 8191),
        SCEP_OK MDM_DICT(UUID_1, "com.apple.mgmt.x", "http://localhost/mdm", 8191),
        SCEP_OK MDM_DICT(UUID_1, "com.apple.mgmt.x", "https://localhost/mdm", 0),
        SCEP_OK MDM_DICT(UUID_1, "com.apple.mgmt.x", "https://localhost/mdm", 2),
        SCEP_OK MDM_DICT(UUID_1, "com.apple.mgmt.x", "https://localhost/mdm", 128),
        SCEP_OK MDM_DICT(UUID_1, "com.apple.mgmt.x", "https://localhost/mdm", 8192),
        SCEP_DICT(UUID_2, "https://localhost/scep", SUBJECT, BITS(2048)) MDM_OK,
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(enrolment(f, bad[i], NULL), ERR_VERIFY);
}

static err_code_t decrypt(const credential_t *to, const credential_t *with, const char *extra) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    CLEANUP(plist_free) plist_doc_t *inner = NULL;
    CLEANUP(buf_done) buf_t sealed;
    CLEANUP(mem_free)
    char *xml = mem_printf(
        "<plist version=\"1.0\"><dict>" HEAD("Configuration", UUID_1) "%s</dict></plist>", extra);
    buf_init(&sealed, 1 << 16);
    assert_ok(plist_parse(bytes_str(xml), &doc));
    assert_ok(cms_encrypt_to(
        bytes_str("<plist version=\"1.0\"><array><string>x</string></array></plist>"), to->cert,
        NULL, &sealed));
    assert_ok(plist_set_data(plist_root(doc), "EncryptedPayloadContent", buf_bytes(&sealed)));
    cms_cipher_t cipher = CMS_DES3_CBC;
    CLEANUP(err_free)
    err_t *e = verify_decrypt_payloads(plist_root(doc), with->cert, with->key, &inner, &cipher);
    if (!e) assert_int_equal(cipher, CMS_AES256_CBC);
    return e ? err_code(e) : ERR_EXISTS;
}

static void test_verify__payloads_open_for_their_identity_only(void **state) {
    const pki_fixture_t *f = *state;
    assert_int_equal(decrypt(&f->device_ca, &f->device_ca, ""), ERR_EXISTS);
    assert_int_equal(decrypt(&f->device_ca, &f->foreign_ca, ""), ERR_VERIFY);
    assert_int_equal(decrypt(&f->device_ca, &f->device_ca, "<key>PayloadContent</key><array/>"),
                     ERR_VERIFY);
    assert_int_equal(decrypt(&f->device_ca, &f->device_ca, "<key>IsEncrypted</key><false/>"),
                     ERR_VERIFY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify__accepts_a_profile_of_the_profile_signer),
        cmocka_unit_test(test_verify__refuses_other_signers),
        cmocka_unit_test(test_verify__refuses_weak_absent_and_senseless_content),
        cmocka_unit_test(test_verify__refuses_every_flipped_byte),
        cmocka_unit_test(test_verify__judges_dates),
        cmocka_unit_test(test_verify__survives_failing_allocations),
        cmocka_unit_test(test_verify__offer_must_be_complete),
        cmocka_unit_test(test_verify__scep_payload_terms),
        cmocka_unit_test(test_verify__scep_payload_must_be_strong_and_whole),
        cmocka_unit_test(test_verify__enrolment_accepts_root_scep_and_mdm),
        cmocka_unit_test(test_verify__enrolment_refuses_foreign_roots),
        cmocka_unit_test(test_verify__enrolment_refuses_what_does_not_fit_together),
        cmocka_unit_test(test_verify__payloads_open_for_their_identity_only),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
