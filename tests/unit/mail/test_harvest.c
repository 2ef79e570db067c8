/* mail/harvest: what a verdict teaches, and each reason for which it teaches nothing. */
#include "../unit.h"

#include "crypto/secret.h"
#include "mail/harvest.h"

enum { NOW = 1800000000 };

static cert_t *root, *bob, *crypt, *foreign, *nameless, *other;
static pkey_t *key;

static cert_t *issue(const char *mail, bool san, unsigned usage, const cert_t *by) {
    static uint8_t serial[] = {1, 0};
    const name_entry_t subject[] = {{"emailAddress", mail}};
    const san_entry_t sans[] = {{SAN_EMAIL, mail}};
    cert_t *cert = NULL;
    serial[1]++;
    const cert_spec_t spec = {.subject = subject,
                              .subject_n = 1,
                              .sans = sans,
                              .sans_n = san,
                              .serial = BYTES_ARRAY(serial),
                              .not_before = NOW - 99,
                              .not_after = NOW + 99,
                              .is_ca = usage == KEY_USAGE_CERT_SIGN,
                              .key_usage = usage,
                              .key = key};
    assert_ok(cert_issue(&spec, by, key, &cert));
    return cert;
}

static int setup(void **state) {
    const unsigned sign = KEY_USAGE_DIGITAL_SIGNATURE, agree = KEY_USAGE_KEY_AGREEMENT;
    (void)state;
    assert_ok(crypto_init());
    assert_ok(pkey_generate(PKEY_P256, 0, &key));
    root = issue("root@example.org", false, KEY_USAGE_CERT_SIGN, NULL);
    bob = issue("Bob@example.org", true, sign, root);
    crypt = issue("bob@example.org", true, agree, root);
    foreign = issue("bob@example.org", true, agree, NULL); /* signed by itself */
    nameless = issue("bob@example.org", false, sign, root);
    other = issue("eve@example.org", true, agree, root);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    cert_t *all[] = {root, bob, crypt, foreign, nameless, other};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cert_free(all[i]);
    pkey_free(key);
    return 0;
}

typedef struct {
    mail_harvest_t at[8];
    size_t n;
} seen_t;

static err_t *note(void *arg, const mail_harvest_t *found) {
    seen_t *seen = arg;
    seen->at[seen->n++] = *found;
    return NULL;
}

static mime_address_t from = {.address = {(const uint8_t *)"bob@example.org", 15}};

/* A verdict that teaches all there is; `v` must not move. */
static void good(mail_verdict_t *v) {
    *v = (mail_verdict_t){.from = {.at = &from, .n = 1}, .signatures_n = 1};
    assert_ok(arena_new(1 << 20, &v->arena));
    assert_ok(arena_alloc(v->arena, MAIL_SIGNATURES * sizeof *v->signatures, &v->signatures));
    mail_signature_t *s = &v->signatures[0];
    s->root = true;
    s->signers.n = 1;
    s->signers.at[0] = (cms_signer_info_t){
        .state = CMS_SIGNATURE_GOOD, .cert = cert_share(bob), .has_time = true, .time = NOW - 50};
    buf_init(&s->signers.at[0].capabilities, 99);
    s->judged[0] = (mail_signer_judgement_t){.match = MAIL_MATCH_FROM, .trust = MAIL_TRUST_GOOD};
    cert_t *along[] = {bob, crypt, foreign, other, root};
    for (size_t i = 0; i < sizeof along / sizeof *along; i++)
        assert_ok(cert_list_add(&s->signers.certs, along[i]));
}

static size_t learn(mail_verdict_t *v, seen_t *seen) {
    *seen = (seen_t){0};
    assert_ok(mail_harvest(v, NOW, note, seen));
    return seen->n;
}

static void test_harvest__takes_the_signer_and_the_key_beside(void **state) {
    static const uint8_t gcm[] = {0x30, 13, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 46};
    mail_verdict_t v CLEANUP(mail_verdict_done);
    seen_t seen;
    (void)state;
    good(&v);
    assert_ok(buf_add(&v.signatures[0].signers.at[0].capabilities, BYTES_ARRAY(gcm)));
    assert_int_equal(learn(&v, &seen), 2);
    assert_true(cert_same(seen.at[0].cert, bob) && seen.at[0].signer);
    assert_true(cert_same(seen.at[1].cert, crypt) && !seen.at[1].signer);
    assert_int_equal(seen.at[0].time, NOW - 50);
    assert_true(seen.at[0].has_capable && seen.at[0].capable.aes256_gcm);
    v.signatures[0].signers.at[0].time = NOW + 999999; /* nobody is ahead of now for ever */
    v.signatures[0].judged[0].trust = MAIL_TRUST_UNKNOWN;
    assert_int_equal(learn(&v, &seen), 2);
    assert_int_equal(seen.at[0].time, NOW);
    assert_int_equal(seen.at[0].trust, MAIL_TRUST_UNKNOWN);
    buf_clear(&v.signatures[0].signers.at[0].capabilities);
    assert_ok(buf_add(&v.signatures[0].signers.at[0].capabilities, BYTES_LIT("nonsense")));
    assert_int_equal(learn(&v, &seen), 2); /* but not that */
    assert_false(seen.at[0].has_capable);
}

typedef void spoil_t(mail_verdict_t *v);
static mime_address_t two[2], eve = {.address = {(const uint8_t *)"eve@example.org", 15}};
static void not_whole(mail_verdict_t *v) { v->signatures[0].root = false; }
static void differs(mail_verdict_t *v) { v->signatures[0].econtent_differs = true; }
static void bad(mail_verdict_t *v) { v->signatures[0].signers.at[0].state = CMS_SIGNATURE_BAD; }
static void weak(mail_verdict_t *v) { v->signatures[0].signers.at[0].state = CMS_SIGNATURE_WEAK; }
static void sender(mail_verdict_t *v) { v->signatures[0].judged[0].match = MAIL_MATCH_SENDER; }
static void nobody(mail_verdict_t *v) { v->signatures[0].judged[0].match = MAIL_MATCH_NONE; }
static void revoked(mail_verdict_t *v) { v->signatures[0].judged[0].trust = MAIL_TRUST_REVOKED; }
static void expired(mail_verdict_t *v) { v->signatures[0].judged[0].trust = MAIL_TRUST_EXPIRED; }
static void usage(mail_verdict_t *v) { v->signatures[0].judged[0].trust = MAIL_TRUST_USAGE; }
static void several(mail_verdict_t *v) { v->problems[MAIL_SEVERAL_FROM] = true; }
static void odd_from(mail_verdict_t *v) { v->from.bad = true; }
static void two_from(mail_verdict_t *v) {
    two[0] = two[1] = from;
    v->from = (mime_addresses_t){.at = two, .n = 2};
}
static void no_from(mail_verdict_t *v) { v->from.n = 0; }
static void another(mail_verdict_t *v) { v->from.at = &eve; }
static void broken(mail_verdict_t *v) { v->problems[MAIL_CMS_BROKEN] = true; }
static void not_signed(mail_verdict_t *v) {
    cms_signers_done(&v->signatures[0].signers);
    v->signatures_n = 0;
}
static void by_cn(mail_verdict_t *v) {
    cert_free(v->signatures[0].signers.at[0].cert);
    v->signatures[0].signers.at[0].cert = cert_share(nameless);
}

static void test_harvest__learns_nothing_otherwise(void **state) {
    spoil_t *const spoils[] = {not_whole, differs, bad,    weak,    sender,    nobody,
                               revoked,   expired, usage,  several, odd_from,  two_from,
                               no_from,   another, broken, by_cn,   not_signed};
    (void)state;
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        mail_verdict_t v CLEANUP(mail_verdict_done);
        seen_t seen;
        good(&v);
        assert_int_equal(learn(&v, &seen), 2);
        spoils[i](&v);
        if (learn(&v, &seen)) print_error("case %zu\n", i);
        assert_int_equal(seen.n, 0);
    }
}

static err_t *refuse(void *arg, const mail_harvest_t *found) {
    (void)arg;
    (void)found;
    return err_new(ERR_FULL, "full");
}

static void test_harvest__hands_on_an_error(void **state) {
    mail_verdict_t v CLEANUP(mail_verdict_done);
    (void)state;
    good(&v);
    assert_err(ERR_FULL, mail_harvest(&v, NOW, refuse, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_harvest__takes_the_signer_and_the_key_beside),
        cmocka_unit_test(test_harvest__learns_nothing_otherwise),
        cmocka_unit_test(test_harvest__hands_on_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
