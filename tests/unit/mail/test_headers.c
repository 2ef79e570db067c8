/*
 * mail/headers and mail/protect: what header protection (RFC 9788) writes and what a reader makes
 * of it, altered headers and old mail programs included.
 */
#include "../unit.h"

#include "base/fault.h"
#include "crypto/secret.h"
#include "mail/protect.h"
#include "mail/reader.h"

static cert_t *cert;
static pkey_t *key;
static cms_signer_t *signer;
static cert_list_t list;

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
    assert_ok(cert_list_add(&list, cert));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    cert_list_done(&list);
    cms_signer_free(signer);
    cert_free(cert);
    pkey_free(key);
    return 0;
}

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

typedef struct {
    bool sign, encrypt, legacy;
    mail_headers_t headers;
} how_t;

static err_t *write_message(const char *message, how_t how, buf_t *out, bool *ret_protected) {
    mail_writer_t *writer CLEANUP(mail_writer_free) = NULL;
    const mail_write_options_t options = {.rnd = rnd_real(),
                                          .now = 1800000000,
                                          .max = 1 << 20,
                                          .headers = how.headers,
                                          .legacy_display = how.legacy,
                                          .signer = how.sign ? signer : NULL,
                                          .recipients = how.encrypt ? &list : NULL};
    TRY(mail_writer_new(&options, &writer));
    TRY(mail_writer_feed(writer, bytes_str(message)));
    TRY(mail_writer_finish(writer, collect, out));
    *ret_protected = mail_writer_protected(writer);
    return NULL;
}

static err_t *find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found) {
    (void)arg, (void)recipient;
    *ret_cert = cert;
    *ret_key = key;
    *ret_found = true;
    return NULL;
}

/* A message read, and its content. */
typedef struct {
    mail_reader_handler_t handler;
    mail_reader_options_t options;
    mail_reader_t *reader;
    const mail_verdict_t *v;
    buf_t content;
} read_t;

static err_t *read_message(bytes_t message, mail_keep_t keep, read_t *r) {
    r->handler = (mail_reader_handler_t){.find_key = find};
    r->options = (mail_reader_options_t){
        .rnd = rnd_real(), .now = 1800000000, .roots = &list, .keep = keep, .max = 1 << 20};
    buf_init(&r->content, 1 << 20);
    TRY(mail_reader_new(&r->handler, &r->options, &r->reader));
    TRY(mail_reader_feed(r->reader, message));
    TRY(mail_reader_finish(r->reader, &r->v));
    return mail_reader_output(r->reader, collect, &r->content);
}

static void read_done(read_t *r) {
    mail_reader_free(r->reader);
    buf_done(&r->content);
}

static const mail_header_t *header(const mail_verdict_t *v, const char *name) {
    for (size_t i = 0; i < v->headers_n; i++)
        if (bytes_eq_str(v->headers[i].name, name)) return &v->headers[i];
    return NULL;
}

static bool has(bytes_t text, const char *part) {
    return text.n && memmem(text.p, text.n, part, strlen(part)) != NULL;
}

static const char MESSAGE[] =
    "Received: from x by y\r\nFrom: alice@example.org\r\nTo: b@example.org\r\n"
    "Subject: a\r\n secret plan\r\nKeywords: spies\r\n\r\nhello\r\n";

static void test_headers__baseline_hides_the_subject_and_gives_it_back(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        CLEANUP(buf_done) buf_t out;
        read_t r = {0};
        bool done;
        buf_init(&out, 1 << 20);
        const how_t how = {i & 1, true, i & 2, MAIL_HEADERS_BASELINE};
        assert_ok(write_message(MESSAGE, how, &out, &done));
        assert_true(done);
        assert_true(has(buf_bytes(&out), "\r\nSubject: [...]\r\n"));
        assert_false(has(buf_bytes(&out), "secret"));
        assert_false(has(buf_bytes(&out), "spies"));
        assert_ok(read_message(buf_bytes(&out), MAIL_KEEP_CONTENT, &r));
        assert_int_equal(r.v->protection, MAIL_PROTECTION_CIPHER);
        assert_true(bytes_eq_str(mail_verdict_subject(r.v), "a secret plan"));
        assert_true(header(r.v, "Subject")->hidden && header(r.v, "Keywords")->hidden);
        assert_false(header(r.v, "Keywords")->has_outer || header(r.v, "To")->hidden);
        assert_null(header(r.v, "Received"));
        assert_false(r.v->problems[MAIL_HEADER_DIFFERS]);
        assert_int_equal(mail_status(r.v), MAIL_GOOD);
        /* One header of everything, each field once; the text begins with the display if asked. */
        const char *expected =
            how.legacy ? "Received: from x by y\r\nFrom: alice@example.org\r\nTo: b@example.org\r\n"
                         "Subject: a\r\n secret plan\r\nKeywords: spies\r\nMIME-Version: 1.0\r\n"
                         "Content-Type: text/plain; charset=us-ascii;\r\n hp-legacy-display=\"1\";"
                         "\r\n hp=\"cipher\"\r\n\r\nSubject: a secret plan\r\n\r\nhello\r\n"
                       : "Received: from x by y\r\nFrom: alice@example.org\r\nTo: b@example.org\r\n"
                         "Subject: a\r\n secret plan\r\nKeywords: spies\r\nMIME-Version: 1.0\r\n"
                         "Content-Type: text/plain; charset=us-ascii;\r\n hp=\"cipher\"\r\n\r\n"
                         "hello\r\n";
        const char *text;
        assert_ok(buf_cstr(&r.content, &text));
        assert_string_equal(text, expected);
        assert_int_equal(r.v->parts[r.v->parts_n - 1].legacy_display ||
                             r.v->parts[r.v->parts_n - 2].legacy_display,
                         how.legacy);
        read_done(&r);
    }
}

static void test_headers__a_decrypted_message_is_not_taken_for_altered(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    read_t r = {0}, again = {0};
    bool done;
    buf_init(&out, 1 << 20);
    assert_ok(
        write_message(MESSAGE, (how_t){true, true, true, MAIL_HEADERS_BASELINE}, &out, &done));
    assert_ok(read_message(buf_bytes(&out), MAIL_KEEP_DECRYPTED, &r));
    assert_true(has(buf_bytes(&r.content), "\r\nSubject: a\r\n secret plan\r\n"));
    assert_ok(read_message(buf_bytes(&r.content), MAIL_KEEP_CONTENT, &again));
    assert_int_equal(mail_status(again.v), MAIL_GOOD);
    assert_false(again.v->problems[MAIL_HEADER_DIFFERS]);
    read_done(&again);
    read_done(&r);
}

/* Replaces one text by another in a message. */
static void replace(buf_t *out, const char *from, const char *to) {
    CLEANUP(buf_done) buf_t old;
    buf_init(&old, 1 << 20);
    assert_ok(buf_add(&old, buf_bytes(out)));
    const uint8_t *at = memmem(old.p, old.n, from, strlen(from));
    assert_non_null(at);
    size_t n = (size_t)(at - old.p);
    buf_clear(out);
    assert_ok(buf_add(out, bytes_make(old.p, n)));
    assert_ok(buf_add_str(out, to));
    assert_ok(buf_add(out, bytes_from(buf_bytes(&old), n + strlen(from))));
}

static void test_headers__what_was_altered_outside_is_named(void **state) {
    (void)state;
    for (int encrypt = 0; encrypt < 2; encrypt++) {
        CLEANUP(buf_done) buf_t out;
        read_t r = {0};
        bool done;
        buf_init(&out, 1 << 20);
        const how_t how = {true, encrypt, false, MAIL_HEADERS_OPEN};
        assert_ok(write_message(MESSAGE, how, &out, &done));
        replace(&out, "To: b@example.org\r\n", "Reply-To: eve@example.org\r\n");
        replace(&out, "Subject: a\r\n secret plan",
                "Subject:  a secret\r\n\tplan"); /* only folded */
        assert_ok(read_message(buf_bytes(&out), MAIL_KEEP_CONTENT, &r));
        assert_int_equal(r.v->protection, encrypt ? MAIL_PROTECTION_CIPHER : MAIL_PROTECTION_CLEAR);
        assert_true(r.v->problems[MAIL_HEADER_DIFFERS]);
        assert_true(header(r.v, "To")->differs);
        assert_false(header(r.v, "To")->has_outer);
        assert_false(header(r.v, "Subject")->differs || header(r.v, "From")->differs);
        assert_false(header(r.v, "Reply-To")->protected);
        assert_int_equal(mail_status(r.v), MAIL_GOOD);
        read_done(&r);
    }
}

/* What our own servers wrote outside stays, whatever stands inside (a spam filter's word). */
static void test_headers__only_a_composers_fields_come_from_inside(void **state) {
    (void)state;
    static const char message[] =
        "From: alice@example.org\r\nSubject: a secret plan\r\nX-Spam-Flag: NO\r\n"
        "List-Id: <inside>\r\nX-Coffer-Mailgate: inside out\r\n\r\nhello\r\n";
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        CLEANUP(buf_done) buf_t out;
        read_t r = {0};
        bool done;
        buf_init(&out, 1 << 20);
        const how_t how = {is_signed, true, false, MAIL_HEADERS_BASELINE};
        assert_ok(write_message(message, how, &out, &done));
        replace(&out, "X-Spam-Flag: NO", "X-Spam-Flag: YES");
        replace(&out, "List-Id: <inside>", "X-Virus: one");
        replace(&out, "X-Coffer-Mailgate: inside out", "X-Other: y");
        assert_ok(read_message(buf_bytes(&out), MAIL_KEEP_CONTENT, &r));
        bytes_t content = buf_bytes(&r.content);
        assert_int_equal(r.v->protection, MAIL_PROTECTION_CIPHER);
        assert_true(has(content, "Subject: a secret plan\r\n"));
        assert_false(has(content, "Subject: [...]"));
        assert_true(has(content, "X-Spam-Flag: YES"));
        assert_true(has(content, "X-Virus: one"));
        assert_false(has(content, "X-Spam-Flag: NO"));
        assert_false(has(content, "inside"));
        read_done(&r);
    }
}

static void test_headers__two_from_are_nobodys_signature(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    read_t r = {0};
    bool done;
    buf_init(&out, 1 << 20);
    const char *message = "From: eve@example.org\r\nSubject: s\r\n\r\nhello\r\n";
    assert_ok(write_message(message, (how_t){true, false, false, MAIL_HEADERS_OPEN}, &out, &done));
    replace(&out, "From: eve@", "From: alice@"); /* the outer one: whom the signature fits */
    assert_ok(read_message(buf_bytes(&out), MAIL_KEEP_CONTENT, &r));
    assert_true(r.v->problems[MAIL_FROM_DIFFERS]);
    assert_int_equal(mail_status(r.v), MAIL_UNTRUSTED);
    assert_true(has(buf_bytes(&r.content), "From: alice@"));
    assert_false(has(buf_bytes(&r.content), "From: eve@"));
    read_done(&r);
}

static void test_headers__hp_outside_of_a_payload_is_nothing(void **state) {
    (void)state;
    read_t r = {0};
    assert_ok(read_message(BYTES_LIT("From: a@example.org\r\nHP-Outer: Subject: x\r\nSubject: y\r\n"
                                     "Content-Type: text/plain; hp=cipher\r\n\r\nhello\r\n"),
                           MAIL_KEEP_CONTENT, &r));
    assert_int_equal(r.v->protection, MAIL_PROTECTION_NONE);
    assert_int_equal(r.v->headers_n, 0);
    assert_true(bytes_eq_str(mail_verdict_subject(r.v), "y"));
    read_done(&r);
}

static void test_headers__what_is_signed_already_is_left_alone(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out, twice;
    read_t r = {0};
    bool done;
    buf_init(&out, 1 << 20);
    buf_init(&twice, 1 << 20);
    assert_ok(write_message(MESSAGE, (how_t){true, false, false, MAIL_HEADERS_BARE}, &out, &done));
    assert_false(done);
    const char *text;
    assert_ok(buf_cstr(&out, &text));
    assert_ok(
        write_message(text, (how_t){false, true, true, MAIL_HEADERS_BASELINE}, &twice, &done));
    assert_false(done);
    assert_true(has(buf_bytes(&twice), "Subject: a\r\n secret plan"));
    assert_ok(read_message(buf_bytes(&twice), MAIL_KEEP_CONTENT, &r));
    assert_int_equal(mail_status(r.v), MAIL_GOOD);
    read_done(&r);
}

static void plain_becomes(const char *part, const char *expected) {
    char message[1000];
    CLEANUP(buf_done) buf_t out;
    read_t r = {0};
    bool done;
    buf_init(&out, 1 << 20);
    (void)snprintf(message, sizeof message,
                   "From: alice@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9F?= <x>\r\n%s",
                   part);
    assert_ok(
        write_message(message, (how_t){true, true, true, MAIL_HEADERS_BASELINE}, &out, &done));
    assert_ok(read_message(buf_bytes(&out), MAIL_KEEP_CONTENT, &r));
    if (!has(buf_bytes(&r.content), expected)) fail_msg("%.*s", (int)r.content.n, r.content.p);
    read_done(&r);
}

static void test_headers__legacy_display_fits_every_encoding(void **state) {
    (void)state;
    plain_becomes("\r\nhello\r\n",
                  "charset=\"utf-8\";\r\n hp-legacy-display=\"1\";\r\n hp=\"cipher\"\r\n"
                  "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                  "Subject: Gr=C3=BC=C3=9F <x>\r\n\r\nhello\r\n");
    plain_becomes("Content-Type: text/plain; charset=iso-8859-1\r\n"
                  "Content-Transfer-Encoding: quoted-printable\r\n\r\nh=E4\r\n",
                  "Subject: Gr?? <x>\r\n\r\nh=E4\r\n");
    /* "Subject: Grüß <x>\r\n\r\n" is 23 bytes, one line feed makes it three times eight. */
    plain_becomes("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
                  "\r\naGVsbG8=\r\n",
                  "\r\n\r\nU3ViamVjdDogR3LDvMOfIDx4Pg0KDQoK\r\naGVsbG8=\r\n");
    plain_becomes(
        "Content-Type: text/html; charset=utf-8\r\n\r\n<HTML><Body bgcolor=1>\r\n<p>\r\n",
        "<HTML><Body bgcolor=3D1>\r\n<div class=3D\"header-protection-legacy-display\">\r\n"
        "<pre>Subject: Gr=C3=BC=C3=9F &lt;x&gt;</pre>\r\n</div>\r\n\r\n<p>\r\n");
    plain_becomes("Content-Type: text/html; charset=utf-8\r\n\r\nno body\r\n",
                  "\r\n\r\n\r\n<div class=3D\"header");
    plain_becomes("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                  "Content-Disposition: attachment\r\n\r\nfile\r\n--b--\r\n",
                  "--b\r\nContent-Disposition: attachment\r\n\r\nfile\r\n--b--");
    plain_becomes(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n"
        "--b--\r\n",
        "<x>\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--");
}

static void test_protect__a_parameter_is_set_anew(void **state) {
    (void)state;
    static const struct {
        const char *value, *expected;
    } cases[] = {
        {"text/plain", "text/plain;\r\n hp=\"clear\""},
        {"text/plain; HP=cipher; x=\"a;hp=1\"", "text/plain; x=\"a;hp=1\";\r\n hp=\"clear\""},
        {"text/plain; x=\"\\\";hp=2\";\r\n hp=3 ;",
         "text/plain; x=\"\\\";hp=2\";\r\n hp=\"clear\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEANUP(buf_done) buf_t out;
        const char *text;
        buf_init(&out, 1000);
        assert_ok(protect_parameter(bytes_str(cases[i].value), "hp", "clear", &out));
        assert_ok(buf_cstr(&out, &text));
        assert_string_equal(text, cases[i].expected);
    }
}

static void test_headers__every_allocation_may_fail(void **state) {
    (void)state;
    for (long n = 1; n < 5000; n++) {
        CLEANUP(buf_done) buf_t out;
        read_t r = {0};
        bool done;
        buf_init(&out, 1 << 20);
        fault_arm_memory((unsigned long)n);
        err_t *e =
            write_message(MESSAGE, (how_t){true, true, true, MAIL_HEADERS_BASELINE}, &out, &done);
        if (!e) e = read_message(buf_bytes(&out), MAIL_KEEP_CONTENT, &r);
        fault_arm_memory(0);
        read_done(&r);
        if (!e) return;
        err_free(e);
    }
    fail_msg("it never succeeded");
}

/* A Subject of a stranger's that was replied to: its encoded words hold line ends and a boundary.
 */
static void test_headers__an_encoded_subject_makes_no_lines(void **state) {
    (void)state;
    static const char message[] =
        "From: alice@example.org\r\nSubject: Re: =?utf-8?Q?Plans=0D=0A=0D=0AI_agree=0D=0A--b=0D=0A"
        "Content-Type:_text/html=0D=0A=0D=0A=00evil=1B?=\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n";
    CLEANUP(buf_done) buf_t out;
    read_t r = {0};
    bool protected;
    buf_init(&out, 1 << 20);
    const how_t how = {true, true, true, MAIL_HEADERS_BASELINE};
    assert_ok(write_message(message, how, &out, &protected));
    assert_true(protected);
    assert_ok(read_message(buf_bytes(&out), MAIL_KEEP_CONTENT, &r));
    size_t leaves = 0;
    for (size_t i = 0; i < r.v->parts_n; i++) leaves += r.v->parts[i].leaf;
    assert_int_equal(leaves, 2); /* the text and the signature, nothing injected */
    assert_true(has(buf_bytes(&r.content),
                    "Subject: Re: Plans    I agree  --b  Content-Type: text/html"
                    "     evil \r\n\r\nhello"));
    bytes_t subject = mail_verdict_subject(r.v);
    for (size_t i = 0; i < subject.n; i++) assert_true(subject.p[i] >= ' ');
    read_done(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers__baseline_hides_the_subject_and_gives_it_back),
        cmocka_unit_test(test_headers__a_decrypted_message_is_not_taken_for_altered),
        cmocka_unit_test(test_headers__what_was_altered_outside_is_named),
        cmocka_unit_test(test_headers__only_a_composers_fields_come_from_inside),
        cmocka_unit_test(test_headers__two_from_are_nobodys_signature),
        cmocka_unit_test(test_headers__hp_outside_of_a_payload_is_nothing),
        cmocka_unit_test(test_headers__what_is_signed_already_is_left_alone),
        cmocka_unit_test(test_headers__legacy_display_fits_every_encoding),
        cmocka_unit_test(test_headers__an_encoded_subject_makes_no_lines),
        cmocka_unit_test(test_protect__a_parameter_is_set_anew),
        cmocka_unit_test(test_headers__every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
