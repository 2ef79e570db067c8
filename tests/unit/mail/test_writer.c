/*
 * mail/writer: content is 7-bit with CRLF before it is signed, and what is signed inside stays;
 * every allocation may fail.
 */
#include "../unit.h"

#include "base/fault.h"
#include "crypto/secret.h"
#include "mail/reader.h"
#include "mail/writer.h"

static cert_t *cert;
static pkey_t *key;
static cms_signer_t *signer;

static int setup(void **state) {
    (void)state;
    const name_entry_t subject[] = {{"CN", "Alice"}};
    const san_entry_t sans[] = {{SAN_EMAIL, "alice@example.org"}};
    static const uint8_t serial[] = {1};
    const cert_spec_t spec = {.subject = subject,
                              .subject_n = 1,
                              .sans = sans,
                              .sans_n = 1,
                              .serial = BYTES_ARRAY(serial),
                              .not_before = 1700000000,
                              .not_after = 1900000000,
                              .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_AGREEMENT};
    assert_ok(crypto_init());
    assert_ok(pkey_generate(PKEY_P256, 0, &key));
    assert_ok(cert_issue(&spec, NULL, key, &cert));
    assert_ok(cms_signer_new(cert, key, NULL, &signer));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    cms_signer_free(signer);
    cert_free(cert);
    pkey_free(key);
    return 0;
}

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

static err_t *write_message(const char *message, const mail_write_options_t *options, size_t step,
                            buf_t *out) {
    mail_writer_t *writer CLEANUP(mail_writer_free) = NULL;
    TRY(mail_writer_new(options, &writer));
    for (bytes_t rest = bytes_str(message); rest.n; rest = bytes_from(rest, step))
        TRY(mail_writer_feed(writer, bytes_slice(rest, 0, step)));
    return mail_writer_finish(writer, collect, out);
}

static mail_write_options_t plain_options(void) {
    return (mail_write_options_t){.rnd = rnd_real(), .now = 1800000000, .max = 1 << 24};
}

static void becomes(const char *message, const char *expected) {
    const mail_write_options_t options = plain_options();
    for (size_t step = 1; step < 200; step += 37) {
        CLEANUP(buf_done) buf_t out;
        const char *text;
        buf_init(&out, 1 << 20);
        assert_ok(write_message(message, &options, step, &out));
        assert_ok(buf_cstr(&out, &text));
        assert_string_equal(text, expected);
    }
}

static void test_writer__makes_content_7_bit(void **state) {
    (void)state;
    becomes("From: a@example.org\n\nh\xc3\xa4llo \nFrom me\n.\n",
            "From: a@example.org\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
            "h=C3=A4llo=20\r\n=46rom me\r\n=2E\r\n");
    becomes("From: a@example.org\r\nContent-Type: image/x\r\n\r\n\x01\xff",
            "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: image/x\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nAf8=");
    becomes("A: b\r\n\r\nplain\r\n", "A: b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
                                     "charset=us-ascii\r\n\r\nplain\r\n");
    becomes("A: b\r\nContent-Type: multipart/mixed; boundary=x\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\n--x\r\n\r\n\xc3\xa4\r\n--x--\r\n",
            "A: b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4\r\n--x--\r\n");
}

static void test_writer__leaves_what_is_signed_inside(void **state) {
    (void)state;
    const char *inner =
        "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xc3\xa4\r\n--s\r\n"
        "Content-Type: application/pkcs7-signature\r\n\r\nAAAA\r\n--s--\r\n";
    char message[1000], expected[1000];
    (void)snprintf(
        message, sizeof message,
        "A: b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n%s\r\n--x--\r\n", inner);
    (void)snprintf(expected, sizeof expected,
                   "A: b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
                   "--x\r\n%s\r\n--x--\r\n",
                   inner);
    becomes(message, expected);
}

static err_t *find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found) {
    (void)arg;
    if (!cms_recipient_is(recipient, cert)) return NULL;
    *ret_cert = cert;
    *ret_key = key;
    *ret_found = true;
    return NULL;
}

static err_t *there_and_back(cms_cipher_t cipher, bool opaque, mail_status_t *ret_status) {
    cert_list_t list CLEANUP(cert_list_done) = {0};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1 << 20);
    TRY(cert_list_add(&list, cert));
    mail_write_options_t w = plain_options();
    w.signer = signer;
    w.opaque = opaque;
    w.recipients = &list;
    w.encryption.cipher = cipher;
    TRY(write_message("From: alice@example.org\r\n\r\nsecret\r\n", &w, 7, &out));
    const mail_reader_handler_t handler = {.find_key = find};
    const mail_reader_options_t options = {.rnd = rnd_real(), .now = 1800000000, .roots = &list};
    const mail_verdict_t *verdict;
    mail_reader_t *reader CLEANUP(mail_reader_free) = NULL;
    TRY(mail_reader_new(&handler, &options, &reader));
    TRY(mail_reader_feed(reader, buf_bytes(&out)));
    TRY(mail_reader_finish(reader, &verdict));
    *ret_status = mail_status(verdict);
    return NULL;
}

static void test_writer__what_it_writes_is_read_and_trusted(void **state) {
    (void)state;
    for (int opaque = 0; opaque < 2; opaque++) {
        mail_status_t status = MAIL_PLAIN;
        assert_ok(there_and_back(CMS_AES256_GCM, opaque, &status));
        assert_int_equal(status, MAIL_GOOD);
        assert_ok(there_and_back(CMS_AES256_CBC, opaque, &status));
        assert_int_equal(status, MAIL_GOOD);
    }
}

/* A file that can be read again, and may be another by then. */
typedef struct {
    const char *second;
} file_t;

static err_t *read_again(void *arg, err_t *(*each)(void *arg, bytes_t data), void *each_arg) {
    const file_t *f = arg;
    for (bytes_t rest = bytes_str(f->second); rest.n; rest = bytes_from(rest, 7))
        TRY(each(each_arg, bytes_slice(rest, 0, 7)));
    return NULL;
}

static err_t *no_file(void *arg, int *ret_fd) {
    (void)arg;
    (void)ret_fd;
    return err_new(ERR_FULL, "no file is needed");
}

static void test_writer__reads_twice_what_can_be_read_twice(void **state) {
    (void)state;
    static const char text[] =
        "From: a@example.org\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        "Gr\xc3\xbc\xc3\x9f"
        "e\n.\r\nend";
    const spool_files_t none = {.new_file = no_file};
    const struct {
        const char *second;
        err_code_t code;
    } again[] = {{"x", ERR_IO},
                 {"From: a@example.org\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  "\r\nGr\xc3\xbc\xc3\x9f"
                  "e\n.\r\nend, or not",
                  ERR_IO}};
    CLEANUP(buf_done) buf_t once, twice;
    buf_init(&once, 4096);
    buf_init(&twice, 4096);
    mail_write_options_t options = plain_options();
    assert_ok(write_message(text, &options, 5, &once));
    file_t file = {.second = text};
    options.files = &none;
    options.again = read_again;
    options.again_arg = &file;
    assert_ok(write_message(text, &options, 5, &twice));
    assert_true(bytes_eq(buf_bytes(&once), buf_bytes(&twice)));
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&twice);
        file.second = again[i].second;
        assert_err(again[i].code, write_message(text, &options, 5, &twice));
    }
    options.max = 20;
    assert_err(ERR_LIMIT, write_message(text, &options, 5, &twice));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer__makes_content_7_bit),
        cmocka_unit_test(test_writer__leaves_what_is_signed_inside),
        cmocka_unit_test(test_writer__reads_twice_what_can_be_read_twice),
        cmocka_unit_test(test_writer__what_it_writes_is_read_and_trusted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
