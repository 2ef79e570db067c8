/* OCSP: requests are read strictly, responses are what OpenSSL reads and verifies. */
#include "fixture.h"

#include <openssl/ocsp.h>

#include "crypto/cert_internal.h"
#include "crypto/ocsp.h"

static cert_t *make_responder(const fixture_t *f) {
    static const char *const ekus[] = {OID_EKU_OCSP_SIGNING};
    static const uint8_t serial[] = {9};
    name_entry_t subject = {"CN", "Responder"};
    cert_spec_t spec = fixture_spec(&subject, serial, f->ec_key);
    spec.key_usage = KEY_USAGE_DIGITAL_SIGNATURE;
    spec.ekus = ekus;
    spec.ekus_n = 1;
    spec.ocsp_nocheck = true;
    cert_t *cert = NULL;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    return cert;
}

static X509 *x509_of(const cert_t *cert) {
    const unsigned char *p = cert_der(cert).p;
    X509 *x = d2i_X509(NULL, &p, (long)cert_der(cert).n);
    assert_non_null(x);
    return x;
}

/* A request as OpenSSL makes it. */
static void make_request(const fixture_t *f, const EVP_MD *md, size_t count, bool nonce,
                         buf_t *out) {
    X509 *ca = x509_of(f->ca), *leaf = x509_of(f->rsa);
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    for (size_t i = 0; i < count; i++)
        assert_non_null(OCSP_request_add0_id(request, OCSP_cert_to_id(md, leaf, ca)));
    if (nonce) assert_int_equal(OCSP_request_add1_nonce(request, NULL, -1), 1);
    unsigned char *der = NULL;
    int n = i2d_OCSP_REQUEST(request, &der);
    assert_true(n > 0);
    assert_ok(buf_add(out, bytes_make(der, (size_t)n)));
    OPENSSL_free(der);
    OCSP_REQUEST_free(request);
    X509_free(ca);
    X509_free(leaf);
}

static void test_ocsp__reads_what_openssl_asks(void **state) {
    fixture_t *f = *state;
    ocsp_issuer_t issuer;
    assert_ok(ocsp_issuer_init(f->ca, &issuer));
    for (int nonce = 0; nonce < 2; nonce++) {
        CLEANUP(buf_done) buf_t der;
        buf_init(&der, 65536);
        make_request(f, nonce ? EVP_sha256() : EVP_sha1(), 3, nonce, &der);
        ocsp_request_t request;
        assert_ok(ocsp_request_parse(buf_bytes(&der), &request));
        assert_int_equal(request.ids_n, 3);
        assert_int_equal(request.ids[0].hash, nonce ? OCSP_SHA256 : OCSP_SHA1);
        assert_true(ocsp_issuer_is(&issuer, &request.ids[2]));
        assert_true(bytes_eq(request.ids[1].serial, cert_serial(f->rsa)));
        assert_int_equal(request.nonce.n != 0, nonce);
        request.ids[0].key_hash = request.ids[0].name_hash;
        assert_false(ocsp_issuer_is(&issuer, &request.ids[0]));
    }
}

static void test_ocsp__refuses_malformed_requests(void **state) {
    fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der, many;
    buf_init(&der, 65536);
    buf_init(&many, 1 << 20);
    ocsp_request_t request;
    make_request(f, EVP_sha1(), 1, true, &der);
    for (size_t n = 0; n < der.n; n++) { /* every truncation */
        err_t *e = ocsp_request_parse(bytes_make(der.p, n), &request);
        assert_non_null(e);
        err_free(e);
    }
    assert_ok(buf_add_byte(&der, 0));
    assert_err(ERR_INVALID, ocsp_request_parse(buf_bytes(&der), &request));
    make_request(f, EVP_sha1(), LIMIT_OCSP_CERTIDS + 1, false, &many);
    assert_err(ERR_LIMIT, ocsp_request_parse(buf_bytes(&many), &request));
    buf_clear(&many);
    make_request(f, EVP_sha1(), 1000, false, &many);
    assert_err(ERR_LIMIT, ocsp_request_parse(buf_bytes(&many), &request));
    assert_err(ERR_INVALID, ocsp_request_parse(BYTES_NONE, &request));
    /* an empty requestList */
    assert_err(ERR_INVALID, ocsp_request_parse(BYTES_LIT("\x30\x04\x30\x02\x30\x00"), &request));
}

typedef struct {
    const fixture_t *f;
    ocsp_single_t single;
    ocsp_issuer_t issuer;
    uint8_t responder[DIGEST_SHA1_SIZE];
    cert_t *cert;
} response_t;

static void build(response_t *r, bytes_t nonce, buf_t *out) {
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, 256);
    ocsp_data_t data = {.issuer = &r->issuer,
                        .responder = r->responder,
                        .list = &r->single,
                        .n = 1,
                        .produced_at = FIXTURE_NOW,
                        .nonce = nonce};
    assert_ok(ocsp_sign(&data, r->f->ec_key, &signature));
    assert_ok(ocsp_response(&data, buf_bytes(&signature), r->cert, out));
}

/* Reads and verifies with OpenSSL; the status it finds. */
static int status_by_openssl(const response_t *r, const buf_t *der, int *ret_reason) {
    const unsigned char *p = der->p;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)der->n);
    assert_non_null(response);
    assert_ptr_equal(p, der->p + der->n);
    assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_SUCCESSFUL);
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    assert_non_null(basic);
    X509_STORE *store = X509_STORE_new();
    X509 *ca = x509_of(r->f->ca), *leaf = x509_of(r->f->rsa);
    assert_int_equal(X509_STORE_add_cert(store, ca), 1);
    assert_int_equal(OCSP_basic_verify(basic, NULL, store, 0), 1);
    const EVP_MD *md = r->single.hash == OCSP_SHA256 ? EVP_sha256() : EVP_sha1();
    OCSP_CERTID *id = OCSP_cert_to_id(md, leaf, ca);
    int status = -1;
    ASN1_GENERALIZEDTIME *revoked, *this_update, *next_update;
    assert_int_equal(
        OCSP_resp_find_status(basic, id, &status, ret_reason, &revoked, &this_update, &next_update),
        1);
    OCSP_CERTID_free(id);
    X509_free(ca);
    X509_free(leaf);
    X509_STORE_free(store);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return status;
}

static void test_ocsp__openssl_verifies_responses(void **state) {
    fixture_t *f = *state;
    response_t r = {.f = f,
                    .single = {.serial = cert_serial(f->rsa),
                               .this_update = FIXTURE_NOW,
                               .next_update = FIXTURE_NOW + 86400}};
    assert_ok(ocsp_issuer_init(f->ca, &r.issuer));
    assert_ok(ocsp_key_hash(f->ec_key, r.responder));
    r.cert = make_responder(f);
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, 65536);
    int reason = 0;
    build(&r, BYTES_NONE, &der);
    assert_int_equal(status_by_openssl(&r, &der, &reason), V_OCSP_CERTSTATUS_GOOD);
    buf_clear(&der);
    r.single.hash = OCSP_SHA256;
    r.single.status = OCSP_REVOKED;
    r.single.reason = CRL_KEY_COMPROMISE;
    r.single.revoked_at = FIXTURE_NOW - 60;
    build(&r, BYTES_LIT("0123456789abcdef"), &der);
    assert_int_equal(status_by_openssl(&r, &der, &reason), V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, CRL_KEY_COMPROMISE);
    r.single.hash = OCSP_OTHER;
    CLEANUP(buf_done) buf_t none;
    buf_init(&none, 256);
    ocsp_data_t data = {.issuer = &r.issuer, .responder = r.responder, .list = &r.single, .n = 1};
    assert_err(ERR_USAGE, ocsp_sign(&data, f->ec_key, &none));
    r.single.hash = OCSP_SHA1;
    assert_err(ERR_USAGE, ocsp_sign(&data, f->rsa_key, &none));
    cert_free(r.cert);
}

static void test_ocsp__refusals_are_responses(void **state) {
    (void)state;
    uint8_t der[OCSP_REFUSAL_SIZE];
    ocsp_refusal(OCSP_UNAUTHORIZED, der);
    const unsigned char *p = der;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, sizeof der);
    assert_non_null(response);
    assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_UNAUTHORIZED);
    OCSP_RESPONSE_free(response);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ocsp__reads_what_openssl_asks),
        cmocka_unit_test(test_ocsp__refuses_malformed_requests),
        cmocka_unit_test(test_ocsp__openssl_verifies_responses),
        cmocka_unit_test(test_ocsp__refusals_are_responses),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
