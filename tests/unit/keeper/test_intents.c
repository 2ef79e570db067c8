/*
 * Every intent, asked through the client's functions and answered by the core, without sockets.
 */
#include <stdio.h>

#include "audit/audit.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/csr.h"
#include "ipc/wire.h"
#include "keeper/intent.h"
#include "keeper_fixture.h"

#define OID_MESSAGE_TYPE    "2.16.840.1.113733.1.9.2"
#define OID_PKI_STATUS      "2.16.840.1.113733.1.9.3"
#define OID_FAIL_INFO       "2.16.840.1.113733.1.9.4"
#define OID_SENDER_NONCE    "2.16.840.1.113733.1.9.5"
#define OID_RECIPIENT_NONCE "2.16.840.1.113733.1.9.6"
#define OID_TRANSACTION_ID  "2.16.840.1.113733.1.9.7"
#define OID_FAIL_TEXT       "1.3.6.1.5.5.7.24.1"

static const uint8_t nonce[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static int setup(void **state) {
    static keeper_fixture_t fixture;
    keeper_fixture_make(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    keeper_fixture_done(*state);
    return 0;
}

static keeper_scep_reply_t reply_for(const keeper_fixture_t *f) {
    return (keeper_scep_reply_t){
        .transaction_id = BYTES_LIT("transaction-1"),
        .sender_nonce = BYTES_ARRAY(nonce),
        .signer = cert_der(f->device_self),
        .cipher = CMS_AES128_CBC,
    };
}

static err_t *issue(keeper_fixture_t *f, const char *profile, buf_t *certificate, buf_t *certrep) {
    CLEANUP(buf_done) buf_t csr;
    buf_init(&csr, LIMIT_CSR_BYTES);
    keeper_fixture_csr(f, "phone", NULL, &csr);
    keeper_request_t request = {profile, buf_bytes(&csr), "email:a@example.org", "enrolment-1"};
    keeper_scep_reply_t reply = reply_for(f);
    return keeper_scep_issue(f->keeper, &request, &reply, certificate, certrep);
}

static void assert_attribute(const cms_signed_t *s, const char *oid, cms_value_kind_t kind,
                             bytes_t expected) {
    bytes_t value;
    assert_ok(cms_signed_require(s, oid, kind, &value));
    assert_int_equal(value.n, expected.n);
    assert_memory_equal(value.p, expected.p, expected.n);
}

/* Checks a CertRep SUCCESS as a strict device would, and that it brings `certificate` alone. */
static void assert_certrep(const keeper_fixture_t *f, bytes_t certrep, bytes_t certificate) {
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    assert_ok(cms_verify(certrep, NULL, NULL, &s));
    assert_true(cert_same(cms_signed_cert(s), f->keys->device_ca->cert));
    assert_attribute(s, OID_MESSAGE_TYPE, CMS_PRINTABLE_STRING, BYTES_LIT("3"));
    assert_attribute(s, OID_PKI_STATUS, CMS_PRINTABLE_STRING, BYTES_LIT("0"));
    assert_attribute(s, OID_TRANSACTION_ID, CMS_PRINTABLE_STRING, BYTES_LIT("transaction-1"));
    assert_attribute(s, OID_RECIPIENT_NONCE, CMS_OCTET_STRING, BYTES_ARRAY(nonce));
    bytes_t fresh;
    assert_ok(cms_signed_require(s, OID_SENDER_NONCE, CMS_OCTET_STRING, &fresh));
    assert_int_equal(fresh.n, 16);
    assert_false(bytes_eq(fresh, BYTES_ARRAY(nonce)));
    CLEANUP(buf_done) buf_t plain;
    buf_init(&plain, LIMIT_CMS_BYTES);
    cms_decrypt_options_t options = {0};
    cms_cipher_t cipher = CMS_DES3_CBC;
    assert_ok(cms_decrypt(cms_signed_content(s), f->device_self, f->device_key, &options, &plain,
                          &cipher));
    assert_int_equal(cipher, CMS_AES128_CBC);
    CLEANUP(cert_list_done) cert_list_t list = {0};
    assert_ok(cms_parse_certs(buf_bytes(&plain), &list));
    assert_int_equal(list.n, 1);
    assert_true(bytes_eq(cert_der(list.certs[0]), certificate));
}

static void test_intent_status__counts(void **state) {
    keeper_fixture_t *f = *state;
    keeper_status_t status = {0};
    assert_ok(keeper_status(f->keeper, &status));
    assert_true(status.seccomp);
    assert_false(status.landlock);
}

static void test_intent_public__gives_certificates_and_the_audit_key(void **state) {
    keeper_fixture_t *f = *state;
    f->role = ROLE_COURIER;
    for (int which = KEEPER_PUBLIC_ROOT; which <= KEEPER_PUBLIC_PROFILE_SIGNER; which++) {
        CLEANUP(buf_done) buf_t der;
        buf_init(&der, LIMIT_CERTIFICATE_BYTES);
        CLEANUP(cert_free) cert_t *cert = NULL;
        assert_ok(keeper_public(f->keeper, (keeper_public_t)which, &der));
        assert_ok(cert_parse_der(buf_bytes(&der), &cert));
        cert_list_t roots = {&f->keys->root, 1};
        cert_chain_t chain = {.roots = &roots, .at = clk_unix(&f->clk.clk)};
        assert_ok(cert_verify_chain(cert, &chain));
    }
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    assert_err(ERR_NOT_FOUND, keeper_public(f->keeper, (keeper_public_t)9, &der));
    f->role = ROLE_WEB;
}

static void test_intent_scep_open__opens_a_request_and_nothing_else(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t csr, envelope, opened, des, other;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&envelope, LIMIT_HTTP_BODY_SCEP);
    buf_init(&des, LIMIT_HTTP_BODY_SCEP);
    buf_init(&other, LIMIT_HTTP_BODY_SCEP);
    buf_init_secret(&opened, LIMIT_CSR_BYTES);
    keeper_fixture_csr(f, "phone", NULL, &csr);
    cms_encrypt_options_t options = {.cipher = CMS_AES128_CBC, .indefinite = true};
    assert_ok(cms_encrypt_to(buf_bytes(&csr), f->keys->device_ca->cert, &options, &envelope));
    cms_cipher_t cipher = CMS_DES3_CBC;
    assert_ok(keeper_scep_open(f->keeper, buf_bytes(&envelope), &opened, &cipher));
    assert_int_equal(cipher, CMS_AES128_CBC);
    assert_true(bytes_eq(buf_bytes(&opened), buf_bytes(&csr)));

    options = (cms_encrypt_options_t){.cipher = CMS_DES3_CBC};
    assert_ok(cms_encrypt_to(buf_bytes(&csr), f->keys->device_ca->cert, &options, &des));
    assert_ok(keeper_scep_open(f->keeper, buf_bytes(&des), &opened, &cipher));
    f->core.allow_des3 = false;
    assert_err(ERR_VERIFY, keeper_scep_open(f->keeper, buf_bytes(&des), &opened, &cipher));
    f->core.allow_des3 = true;

    assert_ok(cms_encrypt_to(BYTES_LIT("some mail"), f->keys->device_ca->cert, NULL, &other));
    assert_err(ERR_VERIFY, keeper_scep_open(f->keeper, buf_bytes(&other), &opened, &cipher));
    /* A request whose signature does not hold is none either. */
    csr.p[csr.n - 1] ^= 1;
    buf_clear(&other);
    assert_ok(cms_encrypt_to(buf_bytes(&csr), f->keys->device_ca->cert, NULL, &other));
    assert_err(ERR_VERIFY, keeper_scep_open(f->keeper, buf_bytes(&other), &opened, &cipher));
}

static void test_intent_scep_open_id__opens_a_name_and_nothing_else(void **state) {
    keeper_fixture_t *f = *state;
    static const bytes_t serial = {(const uint8_t *)"\x30\x05\x30\x00\x02\x01\x05", 7};
    static const bytes_t subject = {(const uint8_t *)"\x30\x04\x30\x00\x30\x00", 6};
    CLEANUP(buf_done) buf_t a, b, other, csr, opened;
    buf_init(&a, LIMIT_HTTP_BODY_SCEP);
    buf_init(&b, LIMIT_HTTP_BODY_SCEP);
    buf_init(&other, LIMIT_HTTP_BODY_SCEP);
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&opened, LIMIT_CSR_BYTES);
    cms_cipher_t cipher = CMS_DES3_CBC;
    assert_ok(cms_encrypt_to(serial, f->keys->device_ca->cert, NULL, &a));
    assert_ok(cms_encrypt_to(subject, f->keys->device_ca->cert, NULL, &b));
    assert_ok(
        keeper_scep_open_id(f->keeper, buf_bytes(&a), KEEPER_ID_ISSUER_SERIAL, &opened, &cipher));
    assert_true(bytes_eq(buf_bytes(&opened), serial) && cipher == CMS_AES256_CBC);
    buf_clear(&opened);
    assert_ok(
        keeper_scep_open_id(f->keeper, buf_bytes(&b), KEEPER_ID_ISSUER_SUBJECT, &opened, &cipher));
    assert_true(bytes_eq(buf_bytes(&opened), subject));
    /* neither is the other, nor a request a name, nor a name a request */
    assert_err(ERR_VERIFY, keeper_scep_open_id(f->keeper, buf_bytes(&a), KEEPER_ID_ISSUER_SUBJECT,
                                               &opened, &cipher));
    assert_err(ERR_VERIFY, keeper_scep_open_id(f->keeper, buf_bytes(&b), KEEPER_ID_ISSUER_SERIAL,
                                               &opened, &cipher));
    assert_err(ERR_VERIFY, keeper_scep_open(f->keeper, buf_bytes(&a), &opened, &cipher));
    keeper_fixture_csr(f, "phone", NULL, &csr);
    assert_ok(cms_encrypt_to(buf_bytes(&csr), f->keys->device_ca->cert, NULL, &other));
    assert_err(ERR_VERIFY, keeper_scep_open_id(f->keeper, buf_bytes(&other),
                                               KEEPER_ID_ISSUER_SERIAL, &opened, &cipher));
    assert_err(ERR_INVALID, keeper_scep_open_id(f->keeper, buf_bytes(&a), (keeper_id_kind_t)3,
                                                &opened, &cipher));
    f->role = ROLE_COURIER;
    assert_err(ERR_DENIED, keeper_scep_open_id(f->keeper, buf_bytes(&a), KEEPER_ID_ISSUER_SERIAL,
                                               &opened, &cipher));
    f->role = ROLE_WEB;
}

/* What was opened is kept for certifying it once; changed bytes are not what was opened. */
static void test_intent_scep_open__hands_over_to_issue(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t csr, envelope, opened, certificate;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&envelope, LIMIT_HTTP_BODY_SCEP);
    buf_init_secret(&opened, LIMIT_CSR_BYTES);
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    cms_cipher_t cipher = CMS_AES256_CBC;
    keeper_fixture_csr(f, "phone", NULL, &csr);
    assert_ok(cms_encrypt_to(buf_bytes(&csr), f->keys->device_ca->cert, NULL, &envelope));
    assert_ok(keeper_scep_open(f->keeper, buf_bytes(&envelope), &opened, &cipher));
    keeper_request_t request = {"device-identity", buf_bytes(&csr), "", "e"};
    csr.p[csr.n - 100] ^=
        1; /* in the signature; the last byte, which finds the slot, is as it was */
    assert_err(ERR_VERIFY, keeper_fixture_issue(f, &request, &certificate));
    csr.p[csr.n - 100] ^= 1;
    assert_ok(keeper_fixture_issue(f, &request, &certificate)); /* kept */
    assert_null(csr_cache_take(f->csrs, buf_bytes(&csr)));      /* once */
    assert_ok(keeper_fixture_issue(f, &request, &certificate)); /* and verified anew */
}

/* Whatever is wrong with an envelope, the answer is the same to the last byte. */
static void test_intent_scep_open__fails_uniformly(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t csr, envelope, body, reply;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&envelope, LIMIT_HTTP_BODY_SCEP);
    buf_init(&body, LIMIT_HTTP_BODY_SCEP);
    buf_init(&reply, LIMIT_HTTP_BODY_SCEP);
    keeper_fixture_csr(f, "phone", NULL, &csr);
    assert_ok(cms_encrypt_to(buf_bytes(&csr), f->keys->device_ca->cert, NULL, &envelope));
    char first[256] = "";
    for (size_t at = 0; at < envelope.n; at += 37) {
        envelope.p[at] ^= 0x55;
        buf_clear(&body);
        assert_ok(wire_put_bytes(&body, buf_bytes(&envelope)));
        err_t *e = keeper_fixture_ask(f, KEEPER_SCEP_OPEN, buf_bytes(&body), &reply);
        envelope.p[at] ^= 0x55;
        if (!e) continue; /* a byte that means nothing, e.g. inside the version */
        char text[256];
        (void)err_text(e, text, sizeof text);
        assert_int_equal(err_code(e), ERR_VERIFY);
        if (!first[0]) memcpy(first, text, sizeof first);
        assert_string_equal(text, first);
        err_free(e);
    }
    assert_true(first[0] != '\0');
}

static void test_intent_scep_issue__certifies_and_repeats(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t certificate, certrep, again;
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    buf_init(&again, LIMIT_FRAME_BYTES);
    assert_ok(issue(f, "device-identity", &certificate, &certrep));
    assert_certrep(f, buf_bytes(&certrep), buf_bytes(&certificate));
    CLEANUP(cert_free) cert_t *cert = NULL;
    assert_ok(cert_parse_der(buf_bytes(&certificate), &cert));
    assert_int_equal(cert_serial(cert).n, CERT_SERIAL_SIZE);
    assert_string_equal(cert_subject_get(cert, "CN"), "phone");
    assert_string_equal(cert_san_get(cert, SAN_EMAIL, 0), "a@example.org");
    assert_true(cert_has_eku(cert, OID_EKU_CLIENT_AUTH));
    assert_false(cert_is_ca(cert));
    assert_int_equal(cert_key_usage(cert),
                     KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT);
    cert_t *ca = f->keys->device_ca->cert;
    cert_list_t roots = {&f->keys->root, 1}, between = {&ca, 1};
    cert_chain_t chain = {.roots = &roots,
                          .intermediates = &between,
                          .at = clk_unix(&f->clk.clk),
                          .purpose = CERT_PURPOSE_TLS_CLIENT};
    assert_ok(cert_verify_chain(cert, &chain));

    keeper_fixture_restart(f); /* it is in the record, and stays there */
    keeper_scep_reply_t reply = reply_for(f);
    bytes_t fingerprint = bytes_make(cert_sha256(cert), CERT_SHA256_SIZE);
    assert_ok(keeper_scep_repeat(f->keeper, fingerprint, &reply, &again));
    assert_certrep(f, buf_bytes(&again), buf_bytes(&certificate));
    uint8_t unknown[32] = {1};
    assert_err(ERR_NOT_FOUND, keeper_scep_repeat(f->keeper, BYTES_ARRAY(unknown), &reply, &again));
}

static void test_intent_scep_issue__profile_rules(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t certificate, certrep;
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    assert_err(ERR_DENIED, issue(f, "no-such-profile", &certificate, &certrep));
    assert_err(ERR_DENIED, issue(f, "tls-server", &certificate, &certrep));
    uint64_t before = 0, after = 0, entries = 0;
    vault_counts(f->vault, &before, &entries);
    CLEANUP(buf_done) buf_t csr;
    buf_init(&csr, LIMIT_CSR_BYTES);
    san_entry_t wish = {SAN_EMAIL, "boss@example.org"};
    keeper_fixture_csr(f, "phone", &wish, &csr);
    keeper_request_t request = {"device-identity", buf_bytes(&csr), "email:a@example.org", "e"};
    assert_err(ERR_DENIED, keeper_fixture_issue(f, &request, &certificate));
    csr.p[csr.n - 1] ^= 1; /* proof of possession */
    request.names = "email:boss@example.org";
    assert_err(ERR_VERIFY, keeper_fixture_issue(f, &request, &certificate));
    vault_counts(f->vault, &after, &entries);
    assert_int_equal(before, after);
    assert_int_equal(certificate.n, 0);
    csr.p[csr.n - 1] ^= 1;
    assert_ok(keeper_fixture_issue(f, &request, &certificate));
    assert_true(certificate.n > 0);
}

static void test_intent_scep_issue__certifies_no_servers(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t csr, certificate;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    keeper_fixture_csr(f, "localhost", NULL, &csr);
    keeper_request_t request = {"tls-server", buf_bytes(&csr), "dns:localhost", "instance"};
    assert_err(ERR_DENIED, keeper_fixture_issue(f, &request, &certificate));
    f->role = ROLE_COMMAND;
    assert_err(ERR_DENIED, keeper_fixture_issue(f, &request, &certificate));
    f->role = ROLE_WEB;
    assert_err(ERR_DENIED, keeper_fixture_ask(f, 7, BYTES_LIT("x"), &certificate)); /* retired */
}

static void test_intent_scep_refuse__failure_and_pending(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t failure, pending;
    buf_init(&failure, LIMIT_FRAME_BYTES);
    buf_init(&pending, LIMIT_FRAME_BYTES);
    keeper_scep_reply_t reply = reply_for(f);
    cms_verify_options_t options = {.allow_no_content = true};
    assert_ok(
        keeper_scep_refuse(f->keeper, SCEP_FAIL_BAD_REQUEST, "used already", &reply, &failure));
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    assert_ok(cms_verify(buf_bytes(&failure), NULL, &options, &s));
    assert_int_equal(cms_signed_content(s).n, 0);
    assert_attribute(s, OID_PKI_STATUS, CMS_PRINTABLE_STRING, BYTES_LIT("2"));
    assert_attribute(s, OID_FAIL_INFO, CMS_PRINTABLE_STRING, BYTES_LIT("2"));
    assert_attribute(s, OID_FAIL_TEXT, CMS_UTF8_STRING, BYTES_LIT("used already"));
    assert_attribute(s, OID_RECIPIENT_NONCE, CMS_OCTET_STRING, BYTES_ARRAY(nonce));
    assert_ok(keeper_scep_pending(f->keeper, &reply, &pending));
    CLEANUP(cms_signed_free) cms_signed_t *p = NULL;
    assert_ok(cms_verify(buf_bytes(&pending), NULL, &options, &p));
    assert_attribute(p, OID_PKI_STATUS, CMS_PRINTABLE_STRING, BYTES_LIT("3"));
}

static void test_intent_profile__signs_property_lists_only(void **state) {
    keeper_fixture_t *f = *state;
    static const char plist[] = "<?xml version=\"1.0\"?>\n<plist version=\"1.0\"><dict/></plist>\n";
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, LIMIT_FRAME_BYTES);
    assert_ok(keeper_sign_profile(f->keeper, bytes_str(plist), &out));
    CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
    assert_ok(cms_verify(buf_bytes(&out), NULL, NULL, &s));
    assert_true(bytes_eq_str(cms_signed_content(s), plist));
    assert_true(cert_same(cms_signed_cert(s), f->keys->profile_cert));
    assert_int_equal(cms_signed_certs(s)->n, 2);
    assert_err(ERR_DENIED, keeper_sign_profile(f->keeper, BYTES_LIT("Content-Type: mail"), &out));
    assert_err(ERR_DENIED,
               keeper_sign_profile(f->keeper, BYTES_LIT("<?xml version=\"1.0\"?><a/>"), &out));
    assert_err(ERR_DENIED, keeper_sign_profile(f->keeper, BYTES_NONE, &out));
}

static void test_intent_profile__seals_to_certificates_of_ours_only(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t certificate, certrep, sealed, plain;
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    buf_init(&sealed, LIMIT_FRAME_BYTES);
    buf_init(&plain, LIMIT_FRAME_BYTES);
    assert_ok(issue(f, "device-identity", &certificate, &certrep));
    CLEANUP(cert_free) cert_t *cert = NULL;
    assert_ok(cert_parse_der(buf_bytes(&certificate), &cert));
    bytes_t fingerprint = bytes_make(cert_sha256(cert), CERT_SHA256_SIZE);
    assert_ok(keeper_seal_profile(f->keeper, fingerprint, BYTES_LIT("<plist/>"), CMS_AES256_CBC,
                                  &sealed));
    assert_ok(cms_decrypt(buf_bytes(&sealed), cert, f->device_key, NULL, &plain, NULL));
    assert_true(bytes_eq_str(buf_bytes(&plain), "<plist/>"));
    bytes_t foreign = bytes_make(cert_sha256(f->device_self), CERT_SHA256_SIZE);
    assert_err(ERR_NOT_FOUND,
               keeper_seal_profile(f->keeper, foreign, BYTES_LIT("x"), CMS_AES256_CBC, &sealed));
    /* A stranger's certificate that was slipped into the database does not get it either. */
    CLEANUP(mem_free) char *der = NULL, *print = NULL, *sql = NULL;
    assert_ok(text_hex_new(cert_der(f->device_self), &der));
    assert_ok(text_hex_new(foreign, &print));
    sql = mem_printf("INSERT INTO issued (fingerprint, serial, issuer, profile, owner, der,"
                     " not_after, created_ms) VALUES (x'%s', '1', 'device-ca', 'p', 'o', x'%s', 0,"
                     " 0)",
                     print, der);
    keeper_fixture_sql(f, sql);
    assert_err(ERR_VERIFY,
               keeper_seal_profile(f->keeper, foreign, BYTES_LIT("x"), CMS_AES256_CBC, &sealed));
}

static void test_intent_secret__opens_only_for_what_it_was_sealed_for(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t sealed, secret, open;
    buf_init(&sealed, 4096);
    buf_init(&open, 4096);
    buf_init_secret(&secret, 4096);
    assert_ok(keeper_seal_secret(f->keeper, "unlock", "D1", 7, BYTES_LIT("token"), &sealed));
    bytes_t s = buf_bytes(&sealed);
    assert_err(ERR_VERIFY, keeper_fill_secret(f->keeper, "pin", "D1", 7, "c", s, &secret));
    assert_err(ERR_VERIFY, keeper_fill_secret(f->keeper, "unlock", "D2", 7, "c", s, &secret));
    assert_err(ERR_VERIFY, keeper_fill_secret(f->keeper, "unlock", "D1", 8, "c", s, &secret));
    assert_err(ERR_USAGE, keeper_fill_secret(f->keeper, "unlock", "D1", 7, "c", s, &open));
    assert_ok(keeper_fill_secret(f->keeper, "unlock", "D1", 7, "c", s, &secret));
    assert_true(bytes_eq_str(buf_bytes(&secret), "token"));
    sealed.p[sealed.n - 1] ^= 1;
    assert_err(ERR_VERIFY, keeper_fill_secret(f->keeper, "unlock", "D1", 7, "c", s, &secret));
    assert_err(ERR_INVALID, keeper_seal_secret(f->keeper, "unlock", "D1", 7, BYTES_NONE, &sealed));
}

static void test_intent_secret__cap_survives_a_restart(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t sealed, secret;
    buf_init(&sealed, 4096);
    buf_init_secret(&secret, 4096);
    assert_ok(keeper_seal_secret(f->keeper, "pin", "D9", 1, BYTES_LIT("1234"), &sealed));
    for (int i = 0; i < LIMIT_KEEPER_RELEASES; i++) {
        char command[16];
        (void)snprintf(command, sizeof command, "c%d", i);
        if (i == 5) keeper_fixture_restart(f);
        assert_ok(
            keeper_fill_secret(f->keeper, "pin", "D9", 1, command, buf_bytes(&sealed), &secret));
    }
    buf_clear(&secret);
    assert_err(ERR_BUSY,
               keeper_fill_secret(f->keeper, "pin", "D9", 1, "d", buf_bytes(&sealed), &secret));
    assert_int_equal(secret.n, 0);
    /* the same command once more is no further release; another kind has a cap of its own */
    assert_ok(keeper_fill_secret(f->keeper, "pin", "D9", 1, "c0", buf_bytes(&sealed), &secret));
    buf_clear(&sealed);
    buf_clear(&secret);
    assert_ok(keeper_seal_secret(f->keeper, "unlock", "D9", 1, BYTES_LIT("token"), &sealed));
    assert_ok(keeper_fill_secret(f->keeper, "unlock", "D9", 1, "e", buf_bytes(&sealed), &secret));
    assert_ok(keeper_seal_secret(f->keeper, "pin", "D10", 1, BYTES_LIT("1234"), &sealed));
    clk_fake_advance(&f->clk, (int64_t)25 * 3600 * 1000);
    buf_clear(&sealed);
    assert_ok(keeper_seal_secret(f->keeper, "pin", "D9", 1, BYTES_LIT("1234"), &sealed));
    assert_ok(keeper_fill_secret(f->keeper, "pin", "D9", 1, "c", buf_bytes(&sealed), &secret));
}

static void test_intent_audit__signs_the_audit_rooms_own_bytes(void **state) {
    keeper_fixture_t *f = *state;
    audit_head_t head = {
        .node = "host1/web", .seq = 42, .hash = {9, 8, 7}, .unix_ms = 1790000000000};
    memcpy(head.key_id, f->keys->audit_key_id, sizeof head.key_id);
    CLEANUP(buf_done) buf_t theirs, ours, signature;
    buf_init(&theirs, 1024);
    buf_init(&ours, 1024);
    buf_init(&signature, 1024);
    assert_ok(audit_head_message(&head, &theirs));
    assert_ok(intent_audit_message(head.node, head.seq, BYTES_ARRAY(head.hash), head.unix_ms,
                                   BYTES_ARRAY(head.key_id), &ours));
    assert_true(bytes_eq(buf_bytes(&theirs), buf_bytes(&ours)));
    assert_ok(keeper_sign_audit_head(f->keeper, head.node, head.seq, head.hash, head.unix_ms,
                                     &signature));
    assert_ok(pkey_verify(f->keys->audit_key, AUDIT_HEAD_DOMAIN, buf_bytes(&theirs),
                          buf_bytes(&signature)));
    assert_err(ERR_INVALID, keeper_sign_audit_head(f->keeper, head.node, 0, head.hash, head.unix_ms,
                                                   &signature));
}

static err_t *sign_head(keeper_fixture_t *f, const char *node, int64_t seq, uint8_t mark) {
    CLEANUP(buf_done) buf_t signature;
    const uint8_t hash[32] = {mark};
    buf_init(&signature, 1024);
    return keeper_sign_audit_head(f->keeper, node, seq, hash, 1790000000000, &signature);
}

static void test_intent_audit__a_chain_only_grows_and_each_program_has_its_own(void **state) {
    keeper_fixture_t *f = *state;
    assert_ok(sign_head(f, "host2/web", 10, 1));
    assert_ok(sign_head(f, "host2/web", 10, 1)); /* an answer was lost */
    assert_err(ERR_DENIED, sign_head(f, "host2/web", 10, 2));
    assert_err(ERR_DENIED, sign_head(f, "host2/web", 9, 1));
    keeper_fixture_restart(f);
    assert_err(ERR_DENIED, sign_head(f, "host2/web", 9, 1));
    assert_ok(sign_head(f, "host2/web", 11, 3));
    assert_err(ERR_DENIED, sign_head(f, "host2/courier", 1, 1));
    assert_err(ERR_DENIED, sign_head(f, "web", 1, 1));
    f->role = ROLE_COURIER;
    assert_err(ERR_DENIED, sign_head(f, "host2/web", 12, 1));
    assert_ok(sign_head(f, "host2/courier", 1, 1));
    f->role = ROLE_WEB;
}

static void test_core__refuses_wrong_roles_and_unknown_intents_and_logs_it(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out, lines;
    buf_init(&out, 65536);
    buf_init(&lines, 1 << 20);
    uint64_t last = 0, after = 0, certificates = 0;
    keeper_fixture_restart(f);
    vault_counts(f->vault, &certificates, &after);
    f->role = ROLE_COURIER;
    assert_err(ERR_DENIED, keeper_sign_profile(f->keeper, BYTES_LIT("<plist/>"), &out));
    f->role = ROLE_MAILGATE;
    assert_err(ERR_DENIED,
               keeper_sign_audit_head(f->keeper, "n", 1, f->keys->audit_key_id, 1, &out));
    f->role = ROLE_WEB;
    assert_err(ERR_DENIED, keeper_fixture_ask(f, 0, BYTES_NONE, &out));
    assert_err(ERR_DENIED, keeper_fixture_ask(f, 999, BYTES_LIT("x"), &out));
    keeper_fixture_restart(f);
    assert_ok(keeper_log(f->keeper, after, &lines, &last));
    assert_int_equal(last, after + 4);
    const char *text = NULL;
    assert_ok(buf_cstr(&lines, &text));
    assert_non_null(strstr(text, "\"role\":\"courier\",\"intent\":\"sign-profile\""));
    assert_non_null(strstr(text, "\"intent\":\"unknown\",\"object\":\"intent 999\""));
}

static void open_garbage(keeper_fixture_t *f, int times) {
    CLEANUP(buf_done) buf_t out;
    cms_cipher_t cipher;
    buf_init(&out, 65536);
    for (int i = 0; i < times; i++)
        assert_err(ERR_VERIFY, keeper_scep_open(f->keeper, BYTES_LIT("garbage"), &out, &cipher));
}

static void test_core__counts_refused_openings_and_no_other_use(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t out, lines;
    const char *text = NULL;
    uint64_t certificates = 0, after = 0, last = 0;
    buf_init(&out, 1 << 20);
    buf_init(&lines, 1 << 20);
    keeper_fixture_restart(f);
    vault_counts(f->vault, &certificates, &after);
    open_garbage(f, 50);
    for (int i = 0; i < 3; i++) /* each use of a key for somebody is an entry */
        assert_ok(keeper_seal_secret(f->keeper, "pin", "D7", 1, BYTES_LIT("1234"), &out));
    keeper_fixture_restart(f); /* writes what was counted */
    assert_ok(keeper_log(f->keeper, after, &lines, &last));
    assert_int_equal(last, after + 5);
    assert_ok(buf_cstr(&lines, &text));
    assert_non_null(strstr(text, "\"intent\":\"scep-open\",\"object\":\"envelope of 7 bytes\""));
    assert_non_null(strstr(text, "\"object\":\"49 more like entry "));
    assert_ok(vault_log_verify(f->vault, &last));
    open_garbage(f, 3);
    clk_fake_advance(&f->clk, 61 * 1000);
    assert_ok(keeper_seal_secret(f->keeper, "pin", "D7", 2, BYTES_LIT("1234"), &out));
    open_garbage(f, 1); /* a minute later: an entry of its own again */
    keeper_fixture_restart(f);
    vault_counts(f->vault, &certificates, &last);
    assert_in_range(last, after + 5 + 3, after + 5 + 4);
}

static void test_core__garbage_is_an_error(void **state) {
    keeper_fixture_t *f = *state;
    static const uint8_t garbage[] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o', 0xff, 0xff, 0xff, 0xff};
    for (int intent = KEEPER_STATUS; intent <= KEEPER_LOG; intent++) {
        for (size_t n = 0; n <= sizeof garbage; n++) {
            CLEANUP(buf_done) buf_t out;
            buf_init(&out, 65536);
            err_t *e = keeper_fixture_ask(f, (uint16_t)intent, bytes_make(garbage, n), &out);
            if ((intent == KEEPER_STATUS || intent == KEEPER_DEVICE_CAS) && n == 0) assert_null(e);
            else if (!e) assert_true(intent == KEEPER_LOG || intent == KEEPER_PUBLIC);
            err_free(e);
        }
    }
}

static void test_core__survives_failing_allocations(void **state) {
    keeper_fixture_t *f = *state;
    bool done = false;
    for (unsigned long n = 1; !done && n < 400; n++) {
        CLEANUP(buf_done) buf_t certificate, certrep;
        buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
        buf_init(&certrep, LIMIT_FRAME_BYTES);
        CLEANUP(buf_done) buf_t csr;
        buf_init(&csr, LIMIT_CSR_BYTES);
        keeper_fixture_csr(f, "phone", NULL, &csr);
        keeper_request_t request = {"device-identity", buf_bytes(&csr), "", "enrolment-1"};
        keeper_scep_reply_t reply = reply_for(f);
        fault_arm_memory(n);
        err_t *e = keeper_scep_issue(f->keeper, &request, &reply, &certificate, &certrep);
        done = !fault_memory_fired();
        fault_arm_memory(0);
        if (done) assert_null(e);
        else if (e) assert_int_equal(certificate.n, 0);
        err_free(e);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intent_status__counts),
        cmocka_unit_test(test_intent_public__gives_certificates_and_the_audit_key),
        cmocka_unit_test(test_intent_scep_open_id__opens_a_name_and_nothing_else),
        cmocka_unit_test(test_intent_scep_open__opens_a_request_and_nothing_else),
        cmocka_unit_test(test_intent_scep_open__hands_over_to_issue),
        cmocka_unit_test(test_intent_scep_open__fails_uniformly),
        cmocka_unit_test(test_intent_scep_issue__certifies_and_repeats),
        cmocka_unit_test(test_intent_scep_issue__profile_rules),
        cmocka_unit_test(test_intent_scep_issue__certifies_no_servers),
        cmocka_unit_test(test_intent_scep_refuse__failure_and_pending),
        cmocka_unit_test(test_intent_profile__signs_property_lists_only),
        cmocka_unit_test(test_intent_profile__seals_to_certificates_of_ours_only),
        cmocka_unit_test(test_intent_secret__opens_only_for_what_it_was_sealed_for),
        cmocka_unit_test(test_intent_secret__cap_survives_a_restart),
        cmocka_unit_test(test_intent_audit__signs_the_audit_rooms_own_bytes),
        cmocka_unit_test(test_intent_audit__a_chain_only_grows_and_each_program_has_its_own),
        cmocka_unit_test(test_core__refuses_wrong_roles_and_unknown_intents_and_logs_it),
        cmocka_unit_test(test_core__counts_refused_openings_and_no_other_use),
        cmocka_unit_test(test_core__garbage_is_an_error),
        cmocka_unit_test(test_core__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
