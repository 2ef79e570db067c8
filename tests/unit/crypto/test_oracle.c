/* The readers by hand against OpenSSL: the same values, and nothing accepted that it refuses. */
#include "fixture.h"

#include <pthread.h>

#include "base/limits.h"
#include "factory.h"
#include "oracle.h"

static const uint8_t flips[] = {0x01, 0x20, 0x55, 0x80, 0xff};
static const bytes_t hello = {(const uint8_t *)"hello\nCMS\r\n", 11};

static void same(const char *difference) {
    if (difference) fail_msg("%s", difference);
}

/* Every byte of the certificate changed in several ways; accepted ones must agree. */
static void flip_cert(bytes_t der, size_t *ret_accepted) {
    CLEANUP(buf_done) buf_t copy;
    buf_init(&copy, LIMIT_CERTIFICATE_BYTES);
    assert_ok(buf_add(&copy, der));
    for (size_t i = 0; i < der.n; i++)
        for (size_t j = 0; j < sizeof flips; j++) {
            CLEANUP(cert_free) cert_t *cert = NULL;
            copy.p[i] = der.p[i] ^ flips[j];
            err_ignore(cert_parse_der(buf_bytes(&copy), &cert));
            if (cert) same(oracle_cert(cert));
            if (cert) ++*ret_accepted;
            copy.p[i] = der.p[i];
        }
}

static void test_oracle__certificates_agree(void **state) {
    fixture_t *f = *state;
    CLEANUP(cert_free) cert_t *old = NULL;
    assert_ok(cert_parse_pem(BYTES_LIT(factory_device_pem), &old));
    const cert_t *all[] = {f->ca, f->rsa, f->ec, old};
    for (size_t i = 0; i < 4; i++) {
        size_t accepted = 0;
        same(oracle_cert(all[i]));
        flip_cert(cert_der(all[i]), &accepted);
        assert_true(accepted > 100); /* names, signature, key: there was something to compare */
    }
}

static cert_t *named(const fixture_t *f, const name_entry_t *subject, size_t n) {
    static const uint8_t serial[] = {9};
    static const san_entry_t sans[] = {{SAN_EMAIL, "a@example.org"}, {SAN_DNS, "a.example.org"},
                                       {SAN_URI, "urn:x:1"},         {SAN_UPN, "ä@example.org"},
                                       {SAN_IP, "192.0.2.1"},        {SAN_IP, "2001:db8::1"}};
    cert_spec_t spec = fixture_spec(subject, serial, f->ec_key);
    spec.subject_n = n;
    spec.sans = sans;
    spec.sans_n = 6;
    cert_t *cert = NULL;
    assert_ok(cert_issue(&spec, f->ca, f->ca_key, &cert));
    return cert;
}

static void test_oracle__names_are_written_alike(void **state) {
    fixture_t *f = *state;
    static const char *const values[] = {
        "plain", " ",          "  two", "two  ", "#",  "#a", "a#", "a,b+c\"d\\e<f>g;h",
        "=",     "Zoë 名前 😀", "\\",    "\"",    " #", "# ",
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const name_entry_t subject[] = {{"C", "DE"},
                                        {"O", values[i]},
                                        {"1.2.3.4.5", values[i]},
                                        {"UID", "u"},
                                        {"CN", values[i]}};
        CLEANUP(cert_free) cert_t *cert = named(f, subject, 5);
        same(oracle_cert(cert));
        const name_entry_t none = {0};
        CLEANUP(cert_free) cert_t *nameless = named(f, &none, 0);
        same(oracle_cert(nameless));
    }
}

static void test_oracle__requests_agree(void **state) {
    fixture_t *f = *state;
    static const name_entry_t subject[] = {{"O", "Example"}, {"CN", "device"}};
    static const san_entry_t sans[] = {{SAN_EMAIL, "a@example.org"}, {SAN_URI, "urn:x:1"}};
    static const char *const ekus[] = {OID_EKU_CLIENT_AUTH};
    csr_spec_t spec = {.subject = subject,
                       .subject_n = 2,
                       .sans = sans,
                       .sans_n = 2,
                       .key_usage = KEY_USAGE_DIGITAL_SIGNATURE,
                       .ekus = ekus,
                       .ekus_n = 1,
                       .challenge = BYTES_LIT("geheim ä")};
    const pkey_t *keys[] = {f->rsa_key, f->ec_key, f->ca_key};
    for (size_t k = 0; k < 3; k++) {
        CLEANUP(buf_done) buf_t der;
        buf_init(&der, LIMIT_CSR_BYTES);
        assert_ok(csr_build(&spec, keys[k], &der));
        size_t accepted = 0;
        for (size_t i = 0; i < der.n; i++)
            for (size_t j = 0; j < sizeof flips; j++) {
                CLEANUP(csr_free) csr_t *csr = NULL;
                der.p[i] ^= flips[j];
                err_ignore(csr_parse_der(buf_bytes(&der), &csr));
                if (csr) same(oracle_csr(csr));
                if (csr) accepted++;
                der.p[i] ^= flips[j];
            }
        assert_true(accepted > 100);
        CLEANUP(csr_free) csr_t *csr = NULL;
        assert_ok(csr_parse_der(buf_bytes(&der), &csr));
        same(oracle_csr(csr));
    }
}

/* Every byte of a message changed: OpenSSL's path agrees with each yes and each quick no. */
static void flip_message(buf_t *message, const bytes_t *detached) {
    cms_verify_options_t options = {.allow_sha1 = true};
    for (size_t i = 0; i < message->n; i++) {
        message->p[i] ^= flips[i % sizeof flips];
        same(oracle_signed(buf_bytes(message), detached, &options));
        message->p[i] ^= flips[i % sizeof flips];
    }
}

static void test_oracle__envelopes_agree(void **state) {
    fixture_t *f = *state;
    static const cms_cipher_t ciphers[] = {CMS_AES256_CBC, CMS_AES128_CBC, CMS_DES3_CBC};
    for (size_t c = 0; c < sizeof ciphers / sizeof *ciphers; c++) {
        CLEANUP(buf_done) buf_t message;
        buf_init(&message, 65536);
        cms_encrypt_options_t options = {.cipher = ciphers[c]};
        assert_ok(cms_encrypt_to(hello, f->rsa, &options, &message));
        bool opened = false;
        size_t count = 0;
        same(oracle_enveloped(buf_bytes(&message), f->rsa, f->rsa_key, ciphers[c], hello, &opened));
        assert_true(opened);
        for (size_t i = c; i < message.n; i += sizeof ciphers / sizeof *ciphers) {
            message.p[i] ^= flips[i % sizeof flips];
            same(oracle_enveloped(buf_bytes(&message), f->rsa, f->rsa_key, ciphers[c], hello,
                                  &opened));
            message.p[i] ^= flips[i % sizeof flips];
            if (opened) count++;
        }
        assert_int_equal(count, 0); /* the plain case has no byte that means nothing */
    }
}

static void test_oracle__messages_agree(void **state) {
    fixture_t *f = *state;
    static const cms_attribute_t attribute = {
        "2.16.840.1.113733.1.9.2", CMS_PRINTABLE_STRING, {(const uint8_t *)"19", 2}};
    for (unsigned round = 0; round < 8; round++) {
        bool ec = round & 1, detached = round & 2;
        cms_sign_options_t options = {.detached = detached,
                                      .attributes = &attribute,
                                      .attributes_n = 1,
                                      .digest = round & 4 ? CMS_DIGEST_SHA384 : CMS_DIGEST_SHA256};
        CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
        CLEANUP(buf_done) buf_t message;
        buf_init(&message, LIMIT_CMS_BYTES);
        CLEANUP(cert_list_done) cert_list_t extra = {0};
        if (round >= 4) assert_ok(cert_list_add(&extra, f->ca));
        assert_ok(
            cms_signer_new(ec ? f->ec : f->rsa, ec ? f->ec_key : f->rsa_key, &extra, &signer));
        assert_ok(cms_sign(signer, hello, &options, &message));
        CLEANUP(cms_signed_free) cms_signed_t *s = NULL;
        cms_verify_options_t verify = {0};
        assert_ok(cms_verify_lean(buf_bytes(&message), detached ? &hello : NULL, &verify, &s));
        assert_non_null(s); /* ours is the plain case */
        same(oracle_signed(buf_bytes(&message), detached ? &hello : NULL, &verify));
        flip_message(&message, detached ? &hello : NULL);
    }
}

static void test_oracle__cached_certificates_are_shared(void **state) {
    fixture_t *f = *state;
    CLEANUP(cert_cache_free) cert_cache_t *cache = NULL;
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, LIMIT_CMS_BYTES);
    assert_err(ERR_USAGE, cert_cache_new(0, &cache));
    assert_ok(cert_cache_new(3, &cache));
    assert_ok(cms_signer_new(f->rsa, f->rsa_key, NULL, &signer));
    assert_ok(cms_sign(signer, hello, NULL, &message));
    cms_verify_options_t options = {.certs = cache};
    CLEANUP(cms_signed_free) cms_signed_t *broken = NULL;
    message.p[message.n - 1] ^= 1; /* a signature that fails earns no place */
    assert_err(ERR_VERIFY, cms_verify(buf_bytes(&message), NULL, &options, &broken));
    message.p[message.n - 1] ^= 1;
    CLEANUP(cms_signed_free) cms_signed_t *first = NULL;
    CLEANUP(cms_signed_free) cms_signed_t *second = NULL;
    CLEANUP(cert_free) cert_t *before = NULL;
    CLEANUP(cert_free) cert_t *again = NULL;
    assert_ok(cert_cache_parse(cache, cert_der(f->rsa), &before));
    assert_ok(cms_verify(buf_bytes(&message), NULL, &options, &first));
    assert_true(before != cms_signed_cert(first));
    assert_ok(cms_verify(buf_bytes(&message), NULL, &options, &second));
    assert_ptr_equal(cms_signed_cert(first), cms_signed_cert(second));
    assert_ok(cert_cache_parse(cache, cert_der(f->rsa), &again));
    assert_ptr_equal(again, cms_signed_cert(first));
}

static void *verify_shared(void *arg) {
    cert_t *const *pair = arg; /* the certificate, its root */
    cert_list_t roots = {(cert_t **)(uintptr_t)&pair[1], 1};
    cert_chain_t chain = {.roots = &roots, .at = FIXTURE_NOW};
    return cert_verify_chain(pair[0], &chain); /* NULL: it holds */
}

static void test_oracle__openssl_view_is_made_once_for_all_threads(void **state) {
    fixture_t *f = *state;
    enum { THREADS = 4, ROUNDS = 20 };
    for (int round = 0; round < ROUNDS; round++) {
        cert_t *pair[2] = {NULL, NULL};
        pthread_t threads[THREADS];
        assert_ok(cert_parse_der(cert_der(f->rsa), &pair[0]));
        assert_ok(cert_parse_der(cert_der(f->ca), &pair[1]));
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, verify_shared, pair), 0);
        for (int i = 0; i < THREADS; i++) {
            void *e = NULL;
            assert_int_equal(pthread_join(threads[i], &e), 0);
            assert_ok(e);
        }
        cert_free(pair[0]);
        cert_free(pair[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle__certificates_agree),
        cmocka_unit_test(test_oracle__names_are_written_alike),
        cmocka_unit_test(test_oracle__requests_agree),
        cmocka_unit_test(test_oracle__envelopes_agree),
        cmocka_unit_test(test_oracle__messages_agree),
        cmocka_unit_test(test_oracle__cached_certificates_are_shared),
        cmocka_unit_test(test_oracle__openssl_view_is_made_once_for_all_threads),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
