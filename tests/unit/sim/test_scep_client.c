/*
 * The SCEP client against a CA that lies in one way at a time.
 */
#include <string.h>

#include "base/text.h"
#include "crypto/csr.h"
#include "crypto/digest.h"
#include "pki_fixture.h"
#include "program/sim/scep_client.h"

typedef enum {
    HONEST,
    LIE_SIGNER,
    LIE_NONCE,
    LIE_NO_NONCE,
    LIE_TRANSACTION,
    LIE_TYPE,
    LIE_STATUS,
    LIE_RECIPIENT,
    LIE_KEY,
    LIE_SUBJECT,
    LIE_ISSUER,
    LIE_CA_CERTIFICATE,
    LIE_USAGE,
    LIE_NAMES,
    LIE_EXPIRED,
    LIE_CHAIN_TOO,
    LIE_FLIP,
    LIE_NO_CONTENT,
    LIES,
    SAY_FAILURE,
    SAY_PENDING,
} lie_t;

static const scep_caps_t caps = {.aes = true, .post = true, .sha256 = true};

static scep_terms_t terms_of(void) {
    scep_terms_t terms = {.subject = {{"O", "Example"}, {"CN", "phone"}},
                          .subject_n = 2,
                          .sans = {{SAN_EMAIL, "a@example.org"}},
                          .sans_n = 1,
                          .challenge = BYTES_LIT("secret"),
                          .bits = 2048,
                          .key_usage = KEY_USAGE_DIGITAL_SIGNATURE};
    return terms;
}

static void make_request(const pki_fixture_t *f, const scep_terms_t *terms,
                         scep_request_out_t *request) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    assert_ok(pkey_generate(PKEY_RSA, 2048, &key));
    const scep_peer_t peer = {f->device_ca.cert, f->device_ca.cert, f->device_ca.cert};
    scep_request_spec_t spec = {.terms = terms,
                                .peer = &peer,
                                .key = key,
                                .caps = &caps,
                                .now = FIXTURE_NOW,
                                .rnd = rnd_real()};
    assert_ok(scep_client_request(&spec, request));
}

/* What the CA certifies, honestly or not. */
static void certify(const pki_fixture_t *f, lie_t lie, const scep_request_out_t *request,
                    cert_t **ret_cert) {
    const name_entry_t subject[] = {{"O", "Example"},
                                    {"CN", lie == LIE_SUBJECT ? "tablet" : "phone"}};
    const san_entry_t san = {SAN_EMAIL, lie == LIE_NAMES ? "b@example.org" : "a@example.org"};
    const char *eku = OID_EKU_CLIENT_AUTH;
    const credential_t *ca = lie == LIE_ISSUER ? &f->foreign_ca : &f->device_ca;
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(cert_serial_random(rnd_real(), serial));
    cert_spec_t spec = {.subject = subject,
                        .subject_n = 2,
                        .sans = &san,
                        .sans_n = 1,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = FIXTURE_NOW - 7200,
                        .not_after = lie == LIE_EXPIRED ? FIXTURE_NOW - 3600 : FIXTURE_NOW + 86400,
                        .is_ca = lie == LIE_CA_CERTIFICATE,
                        .key_usage = lie == LIE_USAGE ? KEY_USAGE_KEY_ENCIPHERMENT
                                                      : KEY_USAGE_DIGITAL_SIGNATURE,
                        .ekus = lie == LIE_CA_CERTIFICATE ? NULL : &eku,
                        .ekus_n = lie == LIE_CA_CERTIFICATE ? 0 : 1,
                        .key = lie == LIE_KEY ? f->foreign_ca.key : request->key};
    if (lie == LIE_CA_CERTIFICATE)
        spec.key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_CERT_SIGN;
    assert_ok(cert_issue(&spec, ca->cert, ca->key, ret_cert));
}

static void make_envelope(const pki_fixture_t *f, lie_t lie, const scep_request_out_t *request,
                          buf_t *out) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(cert_list_done) cert_list_t list = {0};
    CLEANUP(buf_done) buf_t certs;
    buf_init(&certs, 1 << 16);
    certify(f, lie, request, &cert);
    assert_ok(cert_list_add(&list, cert));
    if (lie == LIE_CHAIN_TOO) assert_ok(cert_list_add(&list, f->device_ca.cert));
    assert_ok(cms_certs_only(&list, &certs));
    const cert_t *to = lie == LIE_RECIPIENT ? f->foreign_ca.cert : request->self;
    assert_ok(cms_encrypt_to(buf_bytes(&certs), to, NULL, out));
}

static void reply(const pki_fixture_t *f, lie_t lie, const scep_request_out_t *request,
                  buf_t *out) {
    CLEANUP(buf_done) buf_t envelope;
    uint8_t other[SCEP_NONCE] = {1};
    buf_init(&envelope, 1 << 16);
    const char *status = lie == SAY_FAILURE ? "2" : lie == SAY_PENDING ? "3" : "0";
    cms_attribute_t attributes[] = {
        {"2.16.840.1.113733.1.9.2", CMS_PRINTABLE_STRING, bytes_str(lie == LIE_TYPE ? "19" : "3")},
        {"2.16.840.1.113733.1.9.3", CMS_PRINTABLE_STRING,
         bytes_str(lie == LIE_STATUS ? "7" : status)},
        {"2.16.840.1.113733.1.9.7", CMS_PRINTABLE_STRING,
         bytes_str(lie == LIE_TRANSACTION ? "other" : request->transaction_id)},
        {"2.16.840.1.113733.1.9.5", CMS_OCTET_STRING, BYTES_ARRAY(other)},
        {"2.16.840.1.113733.1.9.6", CMS_OCTET_STRING,
         lie == LIE_NONCE ? BYTES_ARRAY(other) : BYTES_ARRAY(request->nonce)},
        {"2.16.840.1.113733.1.9.4", CMS_PRINTABLE_STRING, BYTES_LIT("2")},
    };
    bool empty = lie == SAY_FAILURE || lie == SAY_PENDING || lie == LIE_NO_CONTENT;
    if (!empty) make_envelope(f, lie, request, &envelope);
    cms_sign_options_t options = {.attributes = attributes,
                                  .attributes_n = lie == SAY_FAILURE    ? 6
                                                  : lie == LIE_NO_NONCE ? 4
                                                                        : 5,
                                  .detached = empty};
    fixture_sign(lie == LIE_SIGNER ? &f->foreign_ca : &f->device_ca, buf_bytes(&envelope), &options,
                 out);
    if (lie == LIE_FLIP) out->p[out->n / 2] ^= 1;
}

static err_code_t judge(const pki_fixture_t *f, lie_t lie, const scep_terms_t *terms,
                        const scep_request_out_t *request) {
    CLEANUP(buf_done) buf_t message;
    CLEANUP(cert_free) cert_t *cert = NULL;
    reply(f, lie, request, &message);
    CLEANUP(err_free)
    err_t *e =
        scep_client_reply(request, terms, buf_bytes(&message), &f->roots, FIXTURE_NOW, &cert);
    if (e) {
        char text[500];
        print_message("%s\n", err_text(e, text, sizeof text));
    }
    assert_true((e != NULL) == (cert == NULL));
    return e ? err_code(e) : ERR_EXISTS;
}

static void test_scep_client__takes_honest_replies_and_finds_every_lie(void **state) {
    const pki_fixture_t *f = *state;
    CLEANUP(scep_request_out_done) scep_request_out_t request = {0};
    scep_terms_t terms = terms_of();
    make_request(f, &terms, &request);
    assert_int_equal(judge(f, HONEST, &terms, &request), ERR_EXISTS);
    for (lie_t lie = HONEST + 1; lie < LIES; lie++)
        assert_int_equal(judge(f, lie, &terms, &request), ERR_VERIFY);
    assert_int_equal(judge(f, SAY_FAILURE, &terms, &request), ERR_DENIED);
    assert_int_equal(judge(f, SAY_PENDING, &terms, &request), ERR_BUSY);
}

static void test_scep_client__request_is_what_the_payload_asks(void **state) {
    const pki_fixture_t *f = *state;
    CLEANUP(scep_request_out_done) scep_request_out_t request = {0};
    CLEANUP(cms_signed_free) cms_signed_t *message = NULL;
    CLEANUP(csr_free) csr_t *csr = NULL;
    CLEANUP(buf_done) buf_t der;
    bytes_t value = BYTES_NONE;
    size_t sans = 0;
    scep_terms_t terms = terms_of();
    buf_init(&der, 1 << 16);
    make_request(f, &terms, &request);
    assert_ok(cms_verify(buf_bytes(&request.message), NULL, NULL, &message));
    assert_true(cert_same(cms_signed_cert(message), request.self));
    assert_ok(cms_signed_require(message, "2.16.840.1.113733.1.9.2", CMS_PRINTABLE_STRING, &value));
    assert_true(bytes_eq_str(value, "19"));
    assert_ok(cms_decrypt(cms_signed_content(message), f->device_ca.cert, f->device_ca.key, NULL,
                          &der, NULL));
    assert_ok(csr_parse_der(buf_bytes(&der), &csr));
    assert_ok(csr_verify(csr));
    assert_string_equal(csr_subject(csr), "CN=phone,O=Example");
    assert_true(bytes_eq_str(csr_challenge(csr), "secret"));
    assert_int_equal(csr_key_usage(csr), KEY_USAGE_DIGITAL_SIGNATURE);
    assert_string_equal(csr_sans(csr, &sans)[0].value, "a@example.org");
    assert_int_equal(sans, 1);
    assert_true(pkey_same_public(csr_key(csr), request.key));
}

static void test_scep_client__transaction_follows_the_key_unless_told(void **state) {
    const pki_fixture_t *f = *state;
    CLEANUP(scep_request_out_done) scep_request_out_t a = {0}, b = {0}, c = {0};
    scep_terms_t terms = terms_of();
    make_request(f, &terms, &a);
    const scep_peer_t peer = {f->device_ca.cert, f->device_ca.cert, f->device_ca.cert};
    scep_request_spec_t spec = {.terms = &terms,
                                .peer = &peer,
                                .key = a.key,
                                .caps = &caps,
                                .now = FIXTURE_NOW,
                                .rnd = rnd_real()};
    assert_ok(scep_client_request(&spec, &b));
    assert_string_equal(a.transaction_id, b.transaction_id);
    assert_memory_not_equal(a.nonce, b.nonce, SCEP_NONCE);
    spec.random_transaction = true;
    assert_ok(scep_client_request(&spec, &c));
    assert_string_not_equal(a.transaction_id, c.transaction_id);
}

static err_code_t learn(const pki_fixture_t *f, const cert_t *ca, bytes_t fingerprint) {
    CLEANUP(scep_peer_done) scep_peer_t learned = {0};
    CLEANUP(err_free)
    err_t *e = scep_client_ca(cert_der(ca), false, fingerprint, &f->roots, FIXTURE_NOW, &learned);
    return e ? err_code(e) : ERR_EXISTS;
}

static void test_scep_client__learns_the_right_ca_only(void **state) {
    const pki_fixture_t *f = *state;
    uint8_t sha1[DIGEST_SHA1_SIZE];
    const cert_t *ca = f->device_ca.cert;
    assert_ok(digest_sha1_legacy(cert_der(ca), sha1));
    assert_int_equal(learn(f, ca, BYTES_NONE), ERR_EXISTS);
    assert_int_equal(learn(f, ca, BYTES_ARRAY(sha1)), ERR_EXISTS);
    assert_int_equal(learn(f, ca, bytes_make(cert_sha256(ca), CERT_SHA256_SIZE)), ERR_EXISTS);
    sha1[3] ^= 1;
    assert_int_equal(learn(f, ca, BYTES_ARRAY(sha1)), ERR_VERIFY);
    assert_int_equal(learn(f, ca, bytes_make(sha1, 16)), ERR_VERIFY);
    assert_int_equal(learn(f, f->foreign_ca.cert, BYTES_NONE), ERR_VERIFY);
    assert_int_equal(learn(f, f->signer.cert, BYTES_NONE), ERR_VERIFY); /* no CA */
    assert_int_equal(learn(f, f->root.cert, BYTES_NONE), ERR_VERIFY);   /* no RSA */
}

static err_code_t learn_ra(const pki_fixture_t *f, cert_t *const *certs, size_t n) {
    CLEANUP(scep_peer_done) scep_peer_t learned = {0};
    CLEANUP(buf_done) buf_t message;
    cert_t *copy[8];
    cert_list_t list = {copy, n};
    memcpy(copy, certs, n * sizeof *copy);
    buf_init(&message, 1 << 16);
    assert_ok(cms_certs_only(&list, &message));
    CLEANUP(err_free)
    err_t *e =
        scep_client_ca(buf_bytes(&message), true, BYTES_NONE, &f->roots, FIXTURE_NOW, &learned);
    if (!e) assert_true(cert_same(learned.ca, f->device_ca.cert));
    return e ? err_code(e) : ERR_EXISTS;
}

static void test_scep_client__learns_a_registration_authority(void **state) {
    const pki_fixture_t *f = *state;
    const unsigned sign = KEY_USAGE_DIGITAL_SIGNATURE, seal = KEY_USAGE_KEY_ENCIPHERMENT;
    credential_t signer = {0}, recipient = {0}, foreign = {0}, curve = {0}, one = {0};
    fixture_make("RA Sign", false, sign, NULL, PKEY_RSA, &f->device_ca, &signer);
    fixture_make("RA Encrypt", false, seal, NULL, PKEY_RSA, &f->device_ca, &recipient);
    fixture_make("RA Encrypt", false, seal, NULL, PKEY_RSA, &f->foreign_ca, &foreign);
    fixture_make("RA Encrypt", false, seal, NULL, PKEY_P256, &f->device_ca, &curve);
    fixture_make("RA", false, sign | seal, NULL, PKEY_RSA, &f->device_ca, &one);
    cert_t *ca = f->device_ca.cert;
    assert_int_equal(learn_ra(f, (cert_t *[]){signer.cert, recipient.cert, ca}, 3), ERR_EXISTS);
    assert_int_equal(learn_ra(f, (cert_t *[]){signer.cert, recipient.cert, ca, f->root.cert}, 4),
                     ERR_EXISTS);
    assert_int_equal(learn_ra(f, (cert_t *[]){one.cert, ca}, 2), ERR_EXISTS);
    assert_int_equal(learn_ra(f, (cert_t *[]){signer.cert, ca}, 2), ERR_VERIFY);
    assert_int_equal(learn_ra(f, (cert_t *[]){recipient.cert, ca}, 2), ERR_VERIFY);
    assert_int_equal(learn_ra(f, (cert_t *[]){signer.cert, recipient.cert}, 2), ERR_VERIFY);
    assert_int_equal(learn_ra(f, (cert_t *[]){signer.cert, foreign.cert, ca}, 3), ERR_VERIFY);
    assert_int_equal(learn_ra(f, (cert_t *[]){signer.cert, curve.cert, ca}, 3), ERR_VERIFY);
    assert_int_equal(learn_ra(f, (cert_t *[]){signer.cert, one.cert, ca}, 3), ERR_VERIFY);
    credential_done(&signer);
    credential_done(&recipient);
    credential_done(&foreign);
    credential_done(&curve);
    credential_done(&one);
}

/* A reply that the RA's encryption certificate signed is nobody's reply. */
static void test_scep_client__the_ra_encryption_certificate_signs_nothing(void **state) {
    const pki_fixture_t *f = *state;
    CLEANUP(scep_request_out_done) scep_request_out_t request = {0};
    scep_terms_t terms = terms_of();
    credential_t signer = {0};
    fixture_make("RA Sign", false, KEY_USAGE_DIGITAL_SIGNATURE, NULL, PKEY_RSA, &f->device_ca,
                 &signer);
    make_request(f, &terms, &request);
    assert_int_equal(judge(f, HONEST, &terms, &request), ERR_EXISTS);
    cert_free(request.peer.signer); /* then the CA's own key is the recipient's alone */
    request.peer.signer = cert_share(signer.cert);
    assert_int_equal(judge(f, HONEST, &terms, &request), ERR_VERIFY);
    credential_done(&signer);
}

static void test_scep_client__reads_capabilities(void **state) {
    (void)state;
    scep_caps_t found;
    assert_ok(
        scep_client_caps(BYTES_LIT("AES\r\nPOSTPKIOperation\r\nSHA-256\r\nFrob\r\n"), &found));
    assert_true(found.aes && found.post && found.sha256 && !found.des3 && !found.renewal);
    assert_ok(scep_client_caps(BYTES_LIT("scepstandard"), &found));
    assert_true(found.aes && found.post && found.sha256 && found.standard);
    assert_err(ERR_VERIFY, scep_client_caps(BYTES_LIT("DES3\nSHA-1\n"), &found));
    assert_err(ERR_VERIFY, scep_client_caps(BYTES_LIT("SHA-256\nUpdate\n"), &found));
    assert_err(ERR_VERIFY, scep_client_caps(BYTES_NONE, &found));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scep_client__takes_honest_replies_and_finds_every_lie),
        cmocka_unit_test(test_scep_client__request_is_what_the_payload_asks),
        cmocka_unit_test(test_scep_client__transaction_follows_the_key_unless_told),
        cmocka_unit_test(test_scep_client__learns_the_right_ca_only),
        cmocka_unit_test(test_scep_client__learns_a_registration_authority),
        cmocka_unit_test(test_scep_client__the_ra_encryption_certificate_signs_nothing),
        cmocka_unit_test(test_scep_client__reads_capabilities),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
