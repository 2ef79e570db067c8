/*
 * Mail in the keeper, asked by the real client: the gateway signs and opens for whom coffer-web
 * allowed it, and nobody else does.
 */
#include "keeper_fixture.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "crypto/cms_seal.h"
#include "crypto/digest.h"
#include "keeper/client_mail.h"

enum { BUF = 64 * 1024 };

static int setup(void **state) {
    keeper_fixture_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    assert_ok(crypto_init());
    keeper_fixture_make(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    keeper_fixture_done(*state);
    mem_free(*state);
    return 0;
}

static err_t *allow(keeper_fixture_t *f, const char *email, bool sign, bool decrypt, buf_t *der,
                    bool *ret_made) {
    const keeper_mail_allow_t a = {
        .email = email, .person = "person-1", .name = "Alice", .sign = sign, .decrypt = decrypt};
    f->role = ROLE_WEB;
    buf_clear(der);
    err_t *e = keeper_mail_allow(f->keeper, &a, der, ret_made);
    f->role = ROLE_MAILGATE;
    return e;
}

static void test_mail__signs_for_whom_it_is_allowed(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der, again, cms;
    bool made = false;
    uint8_t hash[32];
    bytes_t content = BYTES_LIT("Content-Type: text/plain\r\n\r\nHello.\r\n");
    buf_init(&der, BUF);
    buf_init(&again, BUF);
    buf_init(&cms, BUF);
    assert_ok(digest_sha256(content, hash));
    f->role = ROLE_MAILGATE;
    assert_err(ERR_DENIED, keeper_mail_sign(f->keeper, "alice@example.org", hash, &cms));
    assert_ok(allow(f, "Alice@example.org", true, false, &der, &made));
    assert_true(made);
    assert_ok(allow(f, "alice@example.org", true, false, &again, &made));
    assert_false(made);
    assert_true(bytes_eq(buf_bytes(&der), buf_bytes(&again)));
    keeper_fixture_restart(f);
    f->role = ROLE_MAILGATE;
    assert_ok(keeper_mail_sign(f->keeper, "alice@example.org", hash, &cms));
    cms_signed_t *s CLEANUP(cms_signed_free) = NULL;
    assert_ok(cms_verify(buf_bytes(&cms), &content, NULL, &s));
    assert_true(bytes_eq(cert_der(cms_signed_cert(s)), buf_bytes(&der)));
    const cert_list_t roots = {&f->keys->root, 1};
    const cert_chain_t chain = {.intermediates = cms_signed_certs(s),
                                .roots = &roots,
                                .at = clk_unix(&f->clk.clk),
                                .purpose = CERT_PURPOSE_MAIL_SIGN};
    assert_ok(cert_verify_chain(cms_signed_cert(s), &chain));
    assert_string_equal(cert_san_get(cms_signed_cert(s), SAN_EMAIL, 0), "alice@example.org");
    assert_int_equal(cert_key_usage(cms_signed_cert(s)), KEY_USAGE_DIGITAL_SIGNATURE);
    /* Taken back: the key is gone, and a new word makes another. */
    assert_ok(allow(f, "alice@example.org", false, true, &again, &made));
    assert_int_equal(again.n, 0);
    assert_err(ERR_DENIED, keeper_mail_sign(f->keeper, "alice@example.org", hash, &cms));
    assert_ok(allow(f, "alice@example.org", true, false, &again, &made));
    assert_true(made);
    assert_false(bytes_eq(buf_bytes(&der), buf_bytes(&again)));
}

static void test_mail__roles_keep_apart(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der, cms;
    bool made = false;
    uint8_t hash[32] = {1};
    const keeper_mail_allow_t a = {
        .email = "eve@example.org", .person = "person-9", .name = "", .sign = true};
    buf_init(&der, BUF);
    buf_init(&cms, BUF);
    f->role = ROLE_MAILGATE; /* can't allow itself */
    assert_err(ERR_DENIED, keeper_mail_allow(f->keeper, &a, &der, &made));
    assert_ok(allow(f, "alice@example.org", true, false, &der, &made));
    f->role = ROLE_WEB; /* can't sign */
    assert_err(ERR_DENIED, keeper_mail_sign(f->keeper, "alice@example.org", hash, &cms));
    f->role = ROLE_COURIER;
    assert_err(ERR_DENIED, keeper_mail_sign(f->keeper, "alice@example.org", hash, &cms));
}

/* ---- opening ---- */

typedef struct {
    keeper_archived_t archived;
    cert_t *cert;
    buf_t envelope;
} sealed_t;

static void make_key(keeper_fixture_t *f, uint8_t id, const char *owner, keeper_wrap_t wrap,
                     sealed_t *s) {
    escrow_object_t object = {.version = 1};
    const keeper_smime_t smime = {"mail-encrypt-p256", "alice@example.org", "Alice"};
    memset(object.id, id, sizeof object.id);
    (void)snprintf(object.kind, sizeof object.kind, "%s", ESCROW_KIND_SMIME);
    (void)snprintf(object.owner, sizeof object.owner, "%s", owner);
    keeper_archived_init(&s->archived);
    f->role = ROLE_WEB;
    assert_ok(keeper_escrow_make_smime(f->keeper, &object, wrap, &smime, &s->archived));
    f->role = ROLE_MAILGATE;
    assert_ok(cert_parse_der(buf_bytes(&s->archived.certificate), &s->cert));
}

static void sealed_done(sealed_t *s) {
    keeper_archived_done(&s->archived);
    cert_free(s->cert);
}
DEFINE_CLEANUP_VALUE(sealed_t, sealed_done)

typedef struct {
    keeper_fixture_t *f;
    const sealed_t *s;
    const char *email;
} opening_t;

static err_t *on_find(void *arg, const cms_recipient_t *r, const cert_t **ret_cert,
                      const pkey_t **ret_key, bool *ret_found) {
    const opening_t *o = arg;
    (void)ret_key;
    *ret_found = cms_recipient_is(r, o->s->cert);
    *ret_cert = o->s->cert;
    return NULL;
}

static err_t *on_unwrap(void *arg, const cert_t *cert, const cms_wrapped_t *wrapped,
                        uint8_t *ret_key, size_t n) {
    const opening_t *o = arg;
    (void)cert;
    const keeper_mail_open_t ask = {.email = o->email,
                                    .object = o->s->archived.object,
                                    .blob = buf_bytes(&o->s->archived.blob),
                                    .wrap = buf_bytes(&o->s->archived.wrap),
                                    .wrapped = wrapped,
                                    .message = "<1@example.org>"};
    return keeper_mail_open(o->f->keeper, &ask, ret_key, n);
}

static err_t *on_content(void *arg, bytes_t data) {
    (void)arg;
    return bytes_eq_str(data, "secret") ? NULL : err_new(ERR_VERIFY, "another text");
}

static err_t *open_message(keeper_fixture_t *f, const sealed_t *s, const char *email) {
    CLEANUP(buf_done) buf_t message;
    CLEANUP(cms_open_free) cms_open_t *open = NULL;
    opening_t o = {f, s, email};
    const cms_open_handler_t handler = {
        .find = on_find, .content = on_content, .arg = &o, .unwrap = on_unwrap};
    const cms_encrypt_options_t options = {.cipher = CMS_AES256_CBC};
    buf_init(&message, BUF);
    TRY(cms_encrypt_to(BYTES_LIT("secret"), s->cert, &options, &message));
    TRY(cms_open_new(&handler, rnd_real(), &open));
    TRY(cms_open_feed(open, buf_bytes(&message)));
    return cms_open_finish(open);
}

static void test_mail__opens_for_whom_it_is_allowed(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    sealed_t own CLEANUP(sealed_done) = {0}, other CLEANUP(sealed_done) = {0},
                 approved CLEANUP(sealed_done) = {0};
    bool made = false;
    buf_init(&der, BUF);
    make_key(f, 1, "person-1", KEEPER_WRAP_AUTOMATIC, &own);
    make_key(f, 2, "person-2", KEEPER_WRAP_AUTOMATIC, &other);
    make_key(f, 3, "person-1", KEEPER_WRAP_APPROVED, &approved);
    assert_err(ERR_DENIED, open_message(f, &own, "alice@example.org"));
    assert_ok(allow(f, "alice@example.org", true, false, &der, &made));
    assert_err(ERR_DENIED, open_message(f, &own, "alice@example.org")); /* signing only */
    assert_ok(allow(f, "alice@example.org", false, true, &der, &made));
    assert_ok(open_message(f, &own, "alice@example.org"));
    assert_err(ERR_DENIED, open_message(f, &other, "alice@example.org"));
    assert_err(ERR_DENIED, open_message(f, &approved, "alice@example.org"));
    f->role = ROLE_WEB;
    assert_err(ERR_DENIED, open_message(f, &own, "alice@example.org"));
}

static void test_mail__opens_no_more_than_the_cap_in_an_hour(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der;
    sealed_t own CLEANUP(sealed_done) = {0};
    bool made = false;
    buf_init(&der, BUF);
    make_key(f, 4, "person-1", KEEPER_WRAP_AUTOMATIC, &own);
    assert_ok(allow(f, "alice@example.org", false, true, &der, &made));
    assert_ok(open_message(f, &own, "alice@example.org"));
    char sql[120];
    (void)snprintf(sql, sizeof sql, "UPDATE mail_person SET opened = %d", LIMIT_KEEPER_MAIL_OPENS);
    keeper_fixture_sql(f, sql);
    assert_err(ERR_BUSY, open_message(f, &own, "alice@example.org"));
    clk_fake_advance(&f->clk, 3600 * 1000);
    assert_ok(open_message(f, &own, "alice@example.org"));
}

static void test_mail__notices_a_changed_row(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(buf_done) buf_t der, cms;
    bool made = false;
    const uint8_t hash[32] = {1};
    buf_init(&der, BUF);
    buf_init(&cms, BUF);
    assert_ok(allow(f, "alice@example.org", true, false, &der, &made));
    keeper_fixture_sql(f, "UPDATE mail_person SET decrypt = 1");
    assert_err(ERR_VERIFY, keeper_mail_sign(f->keeper, "alice@example.org", hash, &cms));
    keeper_fixture_sql(f, "UPDATE mail_person SET decrypt = 0, email = 'boss@example.org'");
    assert_err(ERR_VERIFY, keeper_mail_sign(f->keeper, "boss@example.org", hash, &cms));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mail__signs_for_whom_it_is_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mail__roles_keep_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mail__opens_for_whom_it_is_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mail__opens_no_more_than_the_cap_in_an_hour, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_mail__notices_a_changed_row, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
