/*
 * mail/writer and mail/reader with keys that lie elsewhere: signing and content keys are asked for;
 * what can't be unwrapped fails as a wrong key does, and a keeper that is away is told apart.
 */
#include "../unit.h"

#include "crypto/cms_seal.h"
#include "crypto/cms_unwrap.h"
#include "mail/reader.h"
#include "mail/writer.h"

enum { NOW = 1800000000 };

typedef struct {
    cert_t *cert;
    pkey_t *key;
    cms_signer_t *signer;
    err_code_t fail; /* ERR_INTERNAL: doesn't */
    unsigned asked;
} far_t;
static far_t ec, rsa;

static void make(far_t *f, pkey_kind_t kind, uint8_t number) {
    const name_entry_t subject[] = {{"CN", "Alice"}};
    const san_entry_t sans[] = {{SAN_EMAIL, "alice@example.org"}};
    const uint8_t serial[] = {number};
    unsigned usage = kind == PKEY_RSA ? KEY_USAGE_KEY_ENCIPHERMENT : KEY_USAGE_KEY_AGREEMENT;
    const cert_spec_t spec = {.subject = subject,
                              .subject_n = 1,
                              .sans = sans,
                              .sans_n = 1,
                              .serial = BYTES_ARRAY(serial),
                              .not_before = 1700000000,
                              .not_after = 1900000000,
                              .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | usage};
    assert_ok(pkey_generate(kind, 2048, &f->key));
    assert_ok(cert_issue(&spec, NULL, f->key, &f->cert));
    assert_ok(cms_signer_new(f->cert, f->key, NULL, &f->signer));
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    make(&ec, PKEY_P256, 1);
    make(&rsa, PKEY_RSA, 2);
    return 0;
}

static void forget(far_t *f) {
    cms_signer_free(f->signer);
    cert_free(f->cert);
    pkey_free(f->key);
}

static int teardown(void **state) {
    (void)state;
    forget(&ec);
    forget(&rsa);
    return 0;
}

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

static err_t *sign(void *arg, bytes_t sha256, buf_t *out) {
    far_t *f = arg;
    const cms_sign_options_t options = {.detached = true, .signing_time = NOW};
    f->asked++;
    if (f->fail != ERR_INTERNAL) return err_new(f->fail, "the keeper is away");
    return cms_sign_hash(f->signer, sha256, &options, out);
}

static err_t *find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found) {
    const far_t *f = arg;
    (void)ret_key; /* not here */
    if (!cms_recipient_is(recipient, f->cert)) return NULL;
    *ret_cert = f->cert;
    *ret_found = true;
    return NULL;
}

static err_t *unwrap(void *arg, const cert_t *cert, const cms_wrapped_t *wrapped, uint8_t *ret_key,
                     size_t n) {
    far_t *f = arg;
    f->asked++;
    assert_true(cert_same(cert, f->cert));
    if (f->fail != ERR_INTERNAL) return err_new(f->fail, "as told");
    return cms_unwrap(wrapped, f->key, rnd_real(), ret_key, n);
}

static err_t *write_to(far_t *f, bool sealed, cms_cipher_t cipher, bool oaep, buf_t *out) {
    cert_list_t list CLEANUP(cert_list_done) = {0};
    mail_writer_t *writer CLEANUP(mail_writer_free) = NULL;
    TRY(cert_list_add(&list, f->cert));
    const mail_write_options_t options = {.rnd = rnd_real(),
                                          .now = NOW,
                                          .max = 1 << 20,
                                          .sign = sign,
                                          .sign_arg = f,
                                          .recipients = sealed ? &list : NULL,
                                          .encryption = {.cipher = cipher, .oaep = oaep}};
    TRY(mail_writer_new(&options, &writer));
    TRY(mail_writer_feed(writer, BYTES_LIT("From: alice@example.org\r\n\r\nsecret\r\n")));
    return mail_writer_finish(writer, collect, out);
}

static err_t *read_by(far_t *f, bool far, bytes_t message, mail_status_t *ret_status) {
    cert_list_t roots CLEANUP(cert_list_done) = {0};
    mail_reader_t *reader CLEANUP(mail_reader_free) = NULL;
    const mail_verdict_t *verdict;
    TRY(cert_list_add(&roots, f->cert));
    const mail_reader_handler_t handler = {
        .find_key = find, .unwrap = far ? unwrap : NULL, .arg = f};
    const mail_reader_options_t options = {.rnd = rnd_real(), .now = NOW, .roots = &roots};
    TRY(mail_reader_new(&handler, &options, &reader));
    TRY(mail_reader_feed(reader, message));
    TRY(mail_reader_finish(reader, &verdict));
    *ret_status = mail_status(verdict);
    return NULL;
}

static void there_and_back(far_t *f, cms_cipher_t cipher, bool oaep) {
    CLEANUP(buf_done) buf_t out;
    mail_status_t status = MAIL_PLAIN;
    buf_init(&out, 1 << 20);
    *f = (far_t){f->cert, f->key, f->signer, ERR_INTERNAL, 0};
    assert_ok(write_to(f, true, cipher, oaep, &out));
    assert_int_equal(f->asked, 1);
    assert_ok(read_by(f, true, buf_bytes(&out), &status));
    assert_int_equal(f->asked, 2);
    assert_int_equal(status, MAIL_GOOD);
    /* Without a way to ask, a key that isn't here is no key. */
    assert_err(ERR_NOT_FOUND, read_by(f, false, buf_bytes(&out), &status));
}

static void test_far_keys__are_asked_for_signatures_and_content_keys(void **state) {
    (void)state;
    there_and_back(&ec, CMS_AES256_GCM, false);
    there_and_back(&ec, CMS_AES256_CBC, false);
    there_and_back(&rsa, CMS_AES256_CBC, false);
    there_and_back(&rsa, CMS_AES256_GCM, true);
}

static void test_far_keys__tell_a_keeper_away_from_a_wrong_key(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out, none;
    mail_status_t status = MAIL_PLAIN;
    buf_init(&out, 1 << 20);
    buf_init(&none, 1 << 20);
    ec.fail = ERR_INTERNAL;
    assert_ok(write_to(&ec, true, CMS_AES256_GCM, false, &out));
    ec.fail = ERR_UNAVAILABLE;
    assert_err(ERR_UNAVAILABLE, read_by(&ec, true, buf_bytes(&out), &status));
    assert_err(ERR_UNAVAILABLE, write_to(&ec, false, CMS_AES256_GCM, false, &none));
    ec.fail = ERR_DENIED;
    assert_err(ERR_DENIED, read_by(&ec, true, buf_bytes(&out), &status));
    ec.fail = ERR_VERIFY;
    assert_err(ERR_VERIFY, read_by(&ec, true, buf_bytes(&out), &status));
}

static void test_far_keys__unwrap_only_what_fits_the_key(void **state) {
    (void)state;
    uint8_t key[CMS_CONTENT_KEY_MAX];
    const cms_wrapped_t wrapped = {.transport = CMS_TRANSPORT_RSA,
                                   .encrypted = BYTES_LIT("too short")};
    assert_err(ERR_VERIFY, cms_unwrap(&wrapped, ec.key, rnd_real(), key, 32));
    assert_err(ERR_VERIFY, cms_unwrap(&wrapped, rsa.key, rnd_real(), key, 33));
    /* Wrong padding gives some key, no error (RFC 3218). */
    assert_ok(cms_unwrap(&wrapped, rsa.key, rnd_real(), key, 32));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_far_keys__are_asked_for_signatures_and_content_keys),
        cmocka_unit_test(test_far_keys__tell_a_keeper_away_from_a_wrong_key),
        cmocka_unit_test(test_far_keys__unwrap_only_what_fits_the_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
