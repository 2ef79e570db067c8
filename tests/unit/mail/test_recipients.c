/*
 * mail/recipients, mail/lock: every reason why there is no lock, the order of the sources, groups,
 * times, and that nobody is left behind: all or none. Every allocation may fail.
 */
#include "../unit.h"

#include "base/fault.h"
#include "base/limits.h"
#include "crypto/secret.h"
#include "mail/recipients.h"

enum { NOW = 1800000000, YEAR = 365 * 86400, MAX = 16 };

/* A book in memory. */
typedef struct {
    const char *address; /* whom the source has it for */
    mail_source_t source;
    mail_candidate_t candidate;
    int64_t revoked_at; /* 0: no; -1: unknown */
} entry_t;

typedef struct {
    entry_t at[MAX];
    size_t n;
    const char *groups[MAX][5]; /* the address, members, NULL */
    size_t groups_n;
    bool directory_away, groups_away;
    unsigned asked[MAIL_SOURCES];
} table_t;

static cert_t *root, *other_root;
static pkey_t *root_key, *other_key, *ec_key, *rsa_key;

static cert_t *issue(const char *mail, const pkey_t *key, unsigned usage, int64_t from, int64_t to,
                     const cert_t *by, const pkey_t *by_key) {
    static uint8_t serial[] = {1, 0};
    static const char *const ekus[] = {"1.3.6.1.5.5.7.3.4"};
    const name_entry_t subject[] = {{"CN", mail}};
    const san_entry_t sans[] = {{SAN_EMAIL, mail}};
    cert_t *cert = NULL;
    serial[1]++;
    const cert_spec_t spec = {.subject = subject,
                              .subject_n = 1,
                              .sans = sans,
                              .sans_n = by ? 1 : 0,
                              .serial = BYTES_ARRAY(serial),
                              .not_before = from,
                              .not_after = to,
                              .is_ca = !by,
                              .key_usage = by ? usage : KEY_USAGE_CERT_SIGN,
                              .ekus = ekus,
                              .ekus_n = by ? 1 : 0,
                              .key = key};
    assert_ok(cert_issue(&spec, by, by_key, &cert));
    return cert;
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    assert_ok(pkey_generate(PKEY_P256, 0, &root_key));
    assert_ok(pkey_generate(PKEY_P256, 0, &other_key));
    assert_ok(pkey_generate(PKEY_P256, 0, &ec_key));
    assert_ok(pkey_generate(PKEY_RSA, 2048, &rsa_key));
    root = issue("root", root_key, 0, NOW - 5 * YEAR, NOW + 5 * YEAR, NULL, root_key);
    other_root = issue("other", other_key, 0, NOW - YEAR, NOW + YEAR, NULL, other_key);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    cert_free(root);
    cert_free(other_root);
    pkey_free(root_key);
    pkey_free(other_key);
    pkey_free(ec_key);
    pkey_free(rsa_key);
    return 0;
}

static cert_t *good(const char *mail) {
    return issue(mail, ec_key, KEY_USAGE_KEY_AGREEMENT, NOW - YEAR, NOW + YEAR, root, root_key);
}

/* Takes cert. */
static entry_t *put(table_t *t, const char *address, mail_source_t source, cert_t *cert) {
    t->at[t->n] = (entry_t){.address = address, .source = source, .candidate.cert = cert};
    return &t->at[t->n++];
}

static void table_done(table_t *t) {
    for (size_t i = 0; i < t->n; i++) cert_free(t->at[i].candidate.cert);
}
DEFINE_CLEANUP_VALUE(table_t, table_done)

static err_t *find(table_t *t, mail_source_t source, bytes_t address, mail_candidates_t *list) {
    t->asked[source]++;
    for (size_t i = 0; i < t->n; i++)
        if (t->at[i].source == source && bytes_eq_str(address, t->at[i].address))
            TRY(mail_candidates_add(list, &t->at[i].candidate));
    return NULL;
}
static err_t *find_own(void *arg, bytes_t address, mail_candidates_t *list) {
    return find(arg, MAIL_SOURCE_OWN, address, list);
}
static err_t *find_harvested(void *arg, bytes_t address, mail_candidates_t *list) {
    return find(arg, MAIL_SOURCE_HARVESTED, address, list);
}
static err_t *find_directory(void *arg, bytes_t address, mail_candidates_t *list) {
    if (((table_t *)arg)->directory_away) return err_new(ERR_UNAVAILABLE, "the directory is away");
    return find(arg, MAIL_SOURCE_DIRECTORY, address, list);
}

static err_t *expand(void *arg, arena_t *arena, bytes_t address, bool *ret_found,
                     bytes_t **ret_members, size_t *ret_n) {
    const table_t *t = arg;
    if (t->groups_away) return err_new(ERR_TIMEOUT, "nobody answers");
    for (size_t i = 0; i < t->groups_n; i++) {
        if (!bytes_eq_str(address, t->groups[i][0])) continue;
        TRY(arena_alloc(arena, 5 * sizeof **ret_members, ret_members));
        *ret_found = true;
        for (*ret_n = 0; t->groups[i][*ret_n + 1]; (*ret_n)++)
            (*ret_members)[*ret_n] = bytes_str(t->groups[i][*ret_n + 1]);
    }
    return NULL;
}

static err_t *revoked(void *arg, const cert_t *cert, const cert_list_t *chain, int64_t at,
                      mail_revocation_t *ret) {
    const table_t *t = arg;
    (void)chain;
    for (size_t i = 0; i < t->n; i++) {
        if (!cert_same(t->at[i].candidate.cert, cert) || t->at[i].revoked_at < 0) continue;
        bool is = t->at[i].revoked_at && t->at[i].revoked_at <= at;
        *ret = is ? MAIL_REVOCATION_REVOKED : MAIL_REVOCATION_GOOD;
    }
    return NULL;
}

static err_t *ask(table_t *t, const char *const *addresses, const char *sender, int64_t at,
                  bool demand, mail_recipients_t *ret) {
    cert_list_t roots = {.certs = &root, .n = 1};
    const mail_book_t book = {.find = {find_own, find_harvested, find_directory},
                              .expand = expand,
                              .revoked = revoked,
                              .arg = t,
                              .roots = &roots,
                              .demand_revocation = demand};
    bytes_t list[MAX];
    size_t n = 0;
    for (; addresses[n]; n++) list[n] = bytes_str(addresses[n]);
    return mail_recipients_find(&book, list, n, bytes_str(sender), at, ret);
}

#define ASK(t, sender, ret, ...)                                                                   \
    assert_ok(ask((t), (const char *const[]){__VA_ARGS__, NULL}, (sender), NOW, false, (ret)))

static void is(const mail_recipients_t *list, size_t i, const char *address, mail_lock_t lock) {
    assert_true(i < list->n);
    assert_true(bytes_eq_str(list->at[i].address, address));
    assert_string_equal(mail_lock_name(list->at[i].lock), mail_lock_name(lock));
    assert_true(list->at[i].reason[0] != 0);
}

/* One candidate that is the only one for bob. */
static void one(cert_t *cert, mail_lock_t lock, const char *why) {
    table_t t CLEANUP(table_done) = {0};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    (void)put(&t, "bob@example.org", MAIL_SOURCE_OWN, cert);
    ASK(&t, NULL, &list, "bob@example.org");
    is(&list, 0, "bob@example.org", lock);
    assert_int_equal(list.all, lock == MAIL_LOCK_READY);
    assert_non_null(strstr(list.at[0].reason, why));
}

static void test_lock__says_why_there_is_none(void **state) {
    const char *bob = "bob@example.org";
    const unsigned agree = KEY_USAGE_KEY_AGREEMENT, encipher = KEY_USAGE_KEY_ENCIPHERMENT;
    (void)state;
    one(good(bob), MAIL_LOCK_READY, "own");
    one(good("Bob@Example.ORG"), MAIL_LOCK_READY, "own");
    one(issue(bob, rsa_key, encipher, NOW - 1, NOW + 1, root, root_key), MAIL_LOCK_READY, "");
    one(issue(bob, rsa_key, 0, NOW - 1, NOW + 1, root, root_key), MAIL_LOCK_READY, "");
    one(good("eve@example.org"), MAIL_LOCK_NO_CERTIFICATE, "no certificate");
    one(issue(bob, ec_key, agree, NOW - 9, NOW - 1, root, root_key), MAIL_LOCK_EXPIRED,
        "expired on 2027-01-15");
    one(issue(bob, ec_key, agree, NOW + 1, NOW + 9, root, root_key), MAIL_LOCK_EXPIRED,
        "not valid before");
    one(issue(bob, ec_key, KEY_USAGE_DIGITAL_SIGNATURE, NOW - 1, NOW + 1, root, root_key),
        MAIL_LOCK_USAGE, "not for encrypting");
    one(issue(bob, ec_key, encipher, NOW - 1, NOW + 1, root, root_key), MAIL_LOCK_USAGE, "");
    one(issue(bob, rsa_key, agree, NOW - 1, NOW + 1, root, root_key), MAIL_LOCK_USAGE, "");
    one(issue(bob, ec_key, agree, NOW - 1, NOW + 1, other_root, other_key), MAIL_LOCK_UNTRUSTED,
        "CN=other");
}

/* RSA of 1,024 bits, made by OpenSSL. */
static const char weak_pem[] = "-----BEGIN CERTIFICATE-----\n"
                               "MIICPDCCAaWgAwIBAgIUaEFL1Fc2zWfaZ60Ezj5KdYIS2ZowDQYJKoZIhvcNAQEL\n"
                               "BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjIxMTI1NDlaGA8yMTI2MTAyOTEx\n"
                               "MjU0OVowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC\n"
                               "gYEAwdIfLMWdIyg7bfrSZMHInff0oZPh7J6e4Y3qjJdMuxFB/p8enly9eBg/TRw7\n"
                               "DZl7cv+bt/O8+AEiBp+fFuP/6F5iqKtVKuXc6tQ7+Z+Kamc+RXRbGxd4N8fYRbOm\n"
                               "/FN/h/zDQZuw99XmXQBEcjUscat+SrT3G4uFZnTor0OAWUcCAwEAAaOBkjCBjzAd\n"
                               "BgNVHQ4EFgQUMApQfAIQTFS0dzia+4CU7RCdNG8wHwYDVR0jBBgwFoAUMApQfAIQ\n"
                               "TFS0dzia+4CU7RCdNG8wDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgQ9ib2JA\n"
                               "ZXhhbXBsZS5vcmcwCwYDVR0PBAQDAgUgMBMGA1UdJQQMMAoGCCsGAQUFBwMEMA0G\n"
                               "CSqGSIb3DQEBCwUAA4GBADqTkX0fSd5GxsHWTCIJgzG4e2unSViMMeieaXi+1wHw\n"
                               "NCskB+Lo13Fd8R8cDvUSiuCvJHdyOcNE7T6r2mqa76l+W2aSYxo8zeqBPSdgSyZd\n"
                               "YvXMT1N6IV1yeS4DQCmEPkmJOAGNG0lN+hplbHDU6ew8g3Ee4+/aRoAfen7gAFGn\n"
                               "-----END CERTIFICATE-----\n";

static void test_lock__refuses_weak_keys(void **state) {
    const char *bob = "bob@example.org";
    (void)state;
    table_t t CLEANUP(table_done) = {0};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    cert_t *cert = NULL;
    assert_ok(cert_parse_pem(BYTES_LIT(weak_pem), &cert));
    put(&t, bob, MAIL_SOURCE_OWN, cert)->candidate.pinned = true; /* not even then */
    ASK(&t, NULL, &list, bob);
    is(&list, 0, bob, MAIL_LOCK_WEAK);
}

static void test_lock__revocation_counts_at_its_time(void **state) {
    const char *const bob[] = {"bob@example.org", NULL};
    (void)state;
    table_t t CLEANUP(table_done) = {0};
    entry_t *entry = put(&t, *bob, MAIL_SOURCE_OWN, good(*bob));
    static const struct {
        int64_t revoked_at, at;
        bool demand;
        mail_lock_t lock;
        mail_revocation_t revocation;
    } cases[] = {
        {0, NOW, true, MAIL_LOCK_READY, MAIL_REVOCATION_GOOD},
        {NOW, NOW, false, MAIL_LOCK_REVOKED, MAIL_REVOCATION_REVOKED},
        {NOW, NOW - 1, false, MAIL_LOCK_READY, MAIL_REVOCATION_GOOD},
        {-1, NOW, false, MAIL_LOCK_READY, MAIL_REVOCATION_UNKNOWN},
        {-1, NOW, true, MAIL_LOCK_UNAVAILABLE, MAIL_REVOCATION_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
        entry->revoked_at = cases[i].revoked_at;
        assert_ok(ask(&t, bob, NULL, cases[i].at, cases[i].demand, &list));
        is(&list, 0, *bob, cases[i].lock);
        assert_int_equal(list.at[0].revocation, cases[i].revocation);
        if (cases[i].revoked_at < 0) assert_non_null(strstr(list.at[0].reason, "revo"));
    }
}

static void test_lock__sources_come_in_order(void **state) {
    const char *bob = "bob@example.org";
    (void)state;
    table_t t CLEANUP(table_done) = {0};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    (void)put(&t, bob, MAIL_SOURCE_DIRECTORY, good(bob));
    (void)put(&t, bob, MAIL_SOURCE_HARVESTED, good(bob));
    ASK(&t, NULL, &list, bob);
    assert_int_equal(list.at[0].source, MAIL_SOURCE_HARVESTED);
    assert_int_equal(t.asked[MAIL_SOURCE_OWN], 1);
    assert_int_equal(t.asked[MAIL_SOURCE_DIRECTORY], 0);
    mail_recipients_done(&list);
    /* Our own has ended: then the next, and if none will do the first one's reason is told. */
    (void)put(&t, bob, MAIL_SOURCE_OWN,
              issue(bob, ec_key, KEY_USAGE_KEY_AGREEMENT, NOW - 9, NOW - 1, root, root_key));
    ASK(&t, NULL, &list, bob);
    assert_int_equal(list.at[0].source, MAIL_SOURCE_HARVESTED);
    mail_recipients_done(&list);
    t.at[0].revoked_at = t.at[1].revoked_at = 1;
    ASK(&t, NULL, &list, bob);
    is(&list, 0, bob, MAIL_LOCK_EXPIRED);
    assert_int_equal(list.at[0].source, MAIL_SOURCE_OWN);
}

static void test_lock__the_newest_and_the_approved_win(void **state) {
    const char *bob = "bob@example.org";
    const unsigned agree = KEY_USAGE_KEY_AGREEMENT;
    (void)state;
    table_t t CLEANUP(table_done) = {0};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    (void)put(&t, bob, MAIL_SOURCE_OWN,
              issue(bob, ec_key, agree, NOW - 9, NOW + 99, root, root_key));
    const entry_t *newest =
        put(&t, bob, MAIL_SOURCE_OWN, issue(bob, ec_key, agree, NOW - 1, NOW + 9, root, root_key));
    (void)put(&t, bob, MAIL_SOURCE_OWN,
              issue(bob, ec_key, agree, NOW - 5, NOW + 99, root, root_key));
    /* A signing certificate beside them is no reason for anything. */
    (void)put(&t, bob, MAIL_SOURCE_OWN,
              issue(bob, ec_key, KEY_USAGE_DIGITAL_SIGNATURE, NOW - 1, NOW + 999, root, root_key));
    ASK(&t, NULL, &list, bob);
    assert_true(cert_same(list.at[0].cert, newest->candidate.cert));
    mail_recipients_done(&list);
    entry_t *pinned = put(&t, bob, MAIL_SOURCE_OWN,
                          issue(bob, ec_key, agree, NOW - 99, NOW + 9, other_root, other_key));
    pinned->candidate.pinned = true;
    ASK(&t, NULL, &list, bob);
    assert_true(list.at[0].pinned);
    assert_true(cert_same(list.at[0].cert, pinned->candidate.cert));
}

static void test_lock__a_source_that_is_away_is_said(void **state) {
    const char *bob = "bob@example.org";
    (void)state;
    table_t t CLEANUP(table_done) = {.directory_away = true};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    ASK(&t, NULL, &list, bob);
    is(&list, 0, bob, MAIL_LOCK_UNAVAILABLE);
    assert_non_null(strstr(list.at[0].reason, "the directory is away"));
    assert_true(list.later);
    assert_false(list.all);
    mail_recipients_done(&list);
    (void)put(&t, bob, MAIL_SOURCE_OWN, good(bob)); /* nobody needs the directory then */
    ASK(&t, NULL, &list, bob);
    is(&list, 0, bob, MAIL_LOCK_READY);
    assert_false(list.later);
    mail_recipients_done(&list);
    t.groups_away = true;
    ASK(&t, NULL, &list, bob);
    is(&list, 0, bob, MAIL_LOCK_UNAVAILABLE);
    assert_true(list.later);
}

static void test_recipients__all_or_none(void **state) {
    const char *alice = "alice@example.org", *bob = "bob@example.org";
    (void)state;
    table_t t CLEANUP(table_done) = {0};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    cert_list_t certs CLEANUP(cert_list_done) = {0};
    (void)put(&t, alice, MAIL_SOURCE_OWN, good(alice));
    (void)put(&t, bob, MAIL_SOURCE_HARVESTED, good(bob));
    ASK(&t, alice, &list, bob, "BOB@EXAMPLE.org", "carol@example.net");
    assert_int_equal(list.n, 3);
    is(&list, 0, bob, MAIL_LOCK_READY);
    is(&list, 1, "carol@example.net", MAIL_LOCK_NO_CERTIFICATE);
    is(&list, 2, alice, MAIL_LOCK_READY);
    assert_true(list.at[2].sender);
    assert_false(list.all);
    assert_err(ERR_USAGE, mail_recipients_certs(&list, &certs));
    mail_recipients_done(&list);
    ASK(&t, alice, &list, bob, alice); /* a copy to oneself is one lock */
    assert_true(list.all);
    assert_ok(mail_recipients_certs(&list, &certs));
    assert_int_equal(certs.n, 2);
    mail_recipients_done(&list);
    ASK(&t, "dora@example.org", &list, bob); /* a sender who couldn't read it again */
    assert_false(list.all);
    mail_recipients_done(&list);
    assert_ok(ask(&t, (const char *const[]){NULL}, alice, NOW, false, &list));
    assert_false(list.all); /* to nobody */
}

static void test_recipients__refuses_what_is_no_address(void **state) {
    static const char *const bad[] = {
        "",      "bob",       "@example.org", "bob@",  "a b@example.org",
        "a@b,c", "<a@b.org>", "a@b\x7f",      "\xff@b"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        table_t t CLEANUP(table_done) = {0};
        mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
        ASK(&t, NULL, &list, bad[i]);
        is(&list, 0, bad[i], MAIL_LOCK_ADDRESS);
        assert_false(list.all);
    }
}

static void test_recipients__expands_groups_first(void **state) {
    const char *alice = "alice@example.org", *bob = "bob@example.org";
    (void)state;
    table_t t CLEANUP(table_done) = {
        .groups = {{"team@example.org", "alice@example.org", "all@example.org"},
                   {"all@example.org", "Bob@example.org", "team@example.org", "alice@example.org"},
                   {"box@example.org", "box@example.org", "bob@example.org"},
                   {"empty@example.org"}},
        .groups_n = 4};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    (void)put(&t, alice, MAIL_SOURCE_OWN, good(alice));
    (void)put(&t, bob, MAIL_SOURCE_OWN, good(bob));
    ASK(&t, NULL, &list, "Team@example.org", bob, "all@example.org"); /* each names the other */
    assert_int_equal(list.n, 2);
    is(&list, 0, alice, MAIL_LOCK_READY);
    assert_true(bytes_eq_str(list.at[0].asked, "Team@example.org"));
    is(&list, 1, "Bob@example.org", MAIL_LOCK_READY);
    assert_true(list.all);
    mail_recipients_done(&list);
    ASK(&t, NULL, &list, "box@example.org"); /* an alias that keeps a copy */
    assert_int_equal(list.n, 2);
    is(&list, 0, "box@example.org", MAIL_LOCK_NO_CERTIFICATE);
    is(&list, 1, bob, MAIL_LOCK_READY);
    mail_recipients_done(&list);
    ASK(&t, NULL, &list, "empty@example.org", bob);
    is(&list, 0, "empty@example.org", MAIL_LOCK_NO_CERTIFICATE);
    assert_false(list.all);
}

static void test_recipients__groups_have_a_depth(void **state) {
    (void)state;
    table_t t CLEANUP(table_done) = {.groups_n = 10};
    static char names[11][20];
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    for (size_t i = 0; i < 11; i++) (void)snprintf(names[i], sizeof *names, "g%zu@example.org", i);
    for (size_t i = 0; i < 10; i++) {
        t.groups[i][0] = names[i];
        t.groups[i][1] = names[i + 1];
    }
    assert_err(ERR_LIMIT, ask(&t, (const char *const[]){names[0], NULL}, NULL, NOW, false, &list));
    ASK(&t, NULL, &list, names[10 - LIMIT_MAIL_GROUP_DEPTH]);
    is(&list, 0, names[10], MAIL_LOCK_NO_CERTIFICATE);
}

static void test_recipients__algorithms_fit_the_least(void **state) {
    const char *alice = "alice@example.org", *bob = "bob@example.org";
    const mail_algorithms_t modern = {.gcm = true, .oaep = true};
    const cms_capable_t all = {true, true, true, true, true, true};
    (void)state;
    table_t t CLEANUP(table_done) = {0};
    entry_t *a =
        put(&t, alice, MAIL_SOURCE_OWN, issue(alice, rsa_key, 0, NOW - 1, NOW + 1, root, root_key));
    entry_t *b = put(&t, bob, MAIL_SOURCE_OWN, good(bob));
    const struct {
        cms_capable_t a, b;
        cms_cipher_t cipher;
        bool oaep;
    } cases[] = {
        {{0}, {0}, CMS_AES256_CBC, false},
        {all, {0}, CMS_AES256_CBC, true}, /* bob's key is EC: OAEP isn't for him */
        {{0}, all, CMS_AES256_CBC, false},
        {all, all, CMS_AES256_GCM, true},
        {{.known = true, .aes128_cbc = true}, all, CMS_AES128_CBC, false},
        {{.known = true}, all, CMS_AES256_CBC, false}, /* 3DES alone: never less than AES */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
        a->candidate.capable = cases[i].a;
        b->candidate.capable = cases[i].b;
        ASK(&t, NULL, &list, alice, bob);
        cms_encrypt_options_t options = mail_recipients_algorithms(&list, modern);
        assert_int_equal(options.cipher, cases[i].cipher);
        assert_int_equal(options.oaep, cases[i].oaep);
        options = mail_recipients_algorithms(&list, (mail_algorithms_t){0});
        assert_true(options.cipher != CMS_AES256_GCM);
        assert_false(options.oaep);
    }
}

static void test_recipients__tells_it_as_json(void **state) {
    const char *bob = "bob@example.org";
    (void)state;
    table_t t CLEANUP(table_done) = {0};
    mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
    json_t *json CLEANUP(jso_free) = NULL, *array = NULL;
    bool yes = true;
    bytes_t text;
    (void)put(&t, bob, MAIL_SOURCE_OWN, good(bob));
    ASK(&t, NULL, &list, bob, "carol@example.net");
    assert_ok(mail_recipients_json(&list, (mail_algorithms_t){0}, &json));
    assert_ok(jso_get_bool(json, "encrypted", true, &yes));
    assert_false(yes);
    assert_ok(jso_get_array(json, "recipients", 9, true, &array));
    assert_int_equal(json_array_size(array), 2);
    assert_ok(jso_get_string(json_array_get(array, 1), "lock", 99, true, &text));
    assert_true(bytes_eq_str(text, "no-certificate"));
    assert_ok(jso_get_string(json_array_get(array, 0), "source", 99, true, &text));
    assert_true(bytes_eq_str(text, "own"));
}

static void test_recipients__survives_without_memory(void **state) {
    const char *const names[] = {"team@example.org", "bob@example.org", NULL};
    (void)state;
    table_t t CLEANUP(table_done) = {
        .groups = {{"team@example.org", "alice@example.org", "bob@example.org"}}, .groups_n = 1};
    (void)put(&t, "alice@example.org", MAIL_SOURCE_OWN, good("alice@example.org"));
    (void)put(&t, "bob@example.org", MAIL_SOURCE_DIRECTORY, good("bob@example.org"));
    bool done = false;
    for (unsigned long i = 1; !done; i++) {
        mail_recipients_t list CLEANUP(mail_recipients_done) = {0};
        json_t *json CLEANUP(jso_free) = NULL;
        fault_arm_memory(i);
        err_t *e = ask(&t, names, "alice@example.org", NOW, false, &list);
        if (!e) e = mail_recipients_json(&list, (mail_algorithms_t){0}, &json);
        done = !fault_memory_fired();
        fault_arm_memory(0);
        if (done) assert_true(!e && list.all);
        else if (e) assert_int_equal(err_code(e), ERR_NOMEM);
        err_free(e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock__says_why_there_is_none),
        cmocka_unit_test(test_lock__refuses_weak_keys),
        cmocka_unit_test(test_lock__revocation_counts_at_its_time),
        cmocka_unit_test(test_lock__sources_come_in_order),
        cmocka_unit_test(test_lock__the_newest_and_the_approved_win),
        cmocka_unit_test(test_lock__a_source_that_is_away_is_said),
        cmocka_unit_test(test_recipients__all_or_none),
        cmocka_unit_test(test_recipients__refuses_what_is_no_address),
        cmocka_unit_test(test_recipients__expands_groups_first),
        cmocka_unit_test(test_recipients__groups_have_a_depth),
        cmocka_unit_test(test_recipients__algorithms_fit_the_least),
        cmocka_unit_test(test_recipients__tells_it_as_json),
        cmocka_unit_test(test_recipients__survives_without_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
