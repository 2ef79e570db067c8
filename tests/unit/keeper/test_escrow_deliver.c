/*
 * A person's mail keys go to his device alone: what comes back opens with the device's key and
 * holds PKCS#12 files that open with the passwords beside them.
 */
#include "keeper_fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/p12.h"
#include "keeper/client_escrow.h"
#include "keeper/escrow_seal.h"

enum { BUF = 256 * 1024, KEYS = 3 };

typedef struct {
    keeper_fixture_t f;
    keeper_archived_t keys[KEYS];
    keeper_delivered_t list[KEYS];
    pkey_t *officer_hpke[2], *officer_sign[2];
    escrow_set_t set;
    cert_t *device;
} deliver_t;

static cert_t *issue_for(keeper_fixture_t *f, const char *enrolment, const pkey_t *key) {
    CLEANUP(buf_done) buf_t csr, certificate, certrep;
    name_entry_t subject[] = {{"O", "Example"}, {"CN", "device"}};
    csr_spec_t spec = {.subject = subject, .subject_n = 2, .challenge = BYTES_LIT("once")};
    static const uint8_t nonce[16] = {1};
    cert_t *cert = NULL;
    buf_init(&csr, LIMIT_CSR_BYTES);
    buf_init(&certificate, LIMIT_CERTIFICATE_BYTES);
    buf_init(&certrep, BUF);
    assert_ok(csr_build(&spec, key, &csr));
    keeper_scep_reply_t reply = {.transaction_id = BYTES_LIT("t"),
                                 .sender_nonce = BYTES_ARRAY(nonce),
                                 .signer = cert_der(f->device_self),
                                 .cipher = CMS_AES128_CBC};
    keeper_request_t request = {"device-identity", buf_bytes(&csr), "", enrolment};
    assert_ok(keeper_scep_issue(f->keeper, &request, &reply, &certificate, &certrep));
    assert_ok(cert_parse_der(buf_bytes(&certificate), &cert));
    return cert;
}

static cert_t *issue(keeper_fixture_t *f, const char *enrolment) {
    return issue_for(f, enrolment, f->device_key);
}

static void make_key(deliver_t *t, size_t i, const char *person, keeper_wrap_t wrap) {
    escrow_object_t object = {.kind = ESCROW_KIND_SMIME, .version = 1};
    keeper_smime_t smime = {"mail-encrypt-p256", "one@example.org", ""};
    memset(object.id, (int)i + 1, sizeof object.id);
    (void)snprintf(object.owner, sizeof object.owner, "%s", person);
    keeper_archived_init(&t->keys[i]);
    assert_ok(keeper_escrow_make_smime(t->f.keeper, &object, wrap, &smime, &t->keys[i]));
    t->list[i] =
        (keeper_delivered_t){t->keys[i].object, buf_bytes(&t->keys[i].blob),
                             buf_bytes(&t->keys[i].wrap), buf_bytes(&t->keys[i].certificate)};
}

static void make_officers(deliver_t *t) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, BUF);
    t->set = (escrow_set_t){.epoch = 1, .threshold = 2, .n = 2};
    for (size_t i = 0; i < 2; i++) {
        escrow_officer_t *o = &t->set.officers[i];
        assert_ok(pkey_generate(PKEY_X25519, 0, &t->officer_hpke[i]));
        assert_ok(pkey_generate(PKEY_ED25519, 0, &t->officer_sign[i]));
        (void)snprintf(o->id, sizeof o->id, "officer-%zu", i);
        (void)snprintf(o->person, sizeof o->person, "boss-%zu", i);
        o->index = (uint8_t)(i + 1);
        assert_ok(pkey_raw_public(t->officer_hpke[i], o->hpke));
        assert_ok(pkey_raw_public(t->officer_sign[i], o->sign));
    }
    assert_ok(escrow_set_put(&t->set, &record));
    assert_ok(keeper_officers_activate(t->f.keeper, buf_bytes(&record), NULL, 0));
}

static int setup(void **state) {
    deliver_t *t = mem_zalloc(sizeof *t);
    assert_non_null(t);
    assert_ok(crypto_init());
    keeper_fixture_make(&t->f);
    make_officers(t);
    for (size_t i = 0; i < KEYS; i++) make_key(t, i, "person-1", KEEPER_WRAP_AUTOMATIC);
    t->device = issue(&t->f, "enrolment-1");
    *state = t;
    return 0;
}

static int teardown(void **state) {
    deliver_t *t = *state;
    for (size_t i = 0; i < KEYS; i++) keeper_archived_done(&t->keys[i]);
    for (size_t i = 0; i < 2; i++) {
        pkey_free(t->officer_hpke[i]);
        pkey_free(t->officer_sign[i]);
    }
    cert_free(t->device);
    keeper_fixture_done(&t->f);
    mem_free(t);
    return 0;
}

#define HEAD                                                                                       \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC "                          \
    "\"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">"          \
    "\n<plist version=\"1.0\">\n<array>\n"
#define TYPE            "<key>PayloadType</key>\n<string>com.apple.security.pkcs12</string>\n"
#define FILE_OF(id)     "<key>PayloadContent</key>\n<data>{{p12:" id "}}</data>\n"
#define PASSWORD_OF(id) "<key>Password</key>\n<string>{{password:" id "}}</string>\n"

/* A profile's payloads with those of n keys. */
static void add_holes(const deliver_t *t, size_t n, buf_t *out) {
    char id[ESCROW_ID_TEXT];
    assert_ok(buf_add_str(out, HEAD "<dict><key>Challenge</key><string>a&amp;b</string></dict>"));
    for (size_t i = 0; i < n; i++) {
        escrow_id_text(t->list[i].object.id, id);
        assert_ok(buf_printf(out,
                             "\t<dict>\n" FILE_OF("%s") PASSWORD_OF("%s") TYPE
                             "<key>PayloadVersion</key>\n<integer>1</integer>\n\t</dict>\n",
                             id, id));
    }
    assert_ok(buf_add_str(out, "</array>\n</plist>\n"));
}

static err_t *deliver(deliver_t *t, const keeper_delivery_t *changed, buf_t *envelope) {
    CLEANUP(buf_done) buf_t payloads;
    buf_init(&payloads, BUF);
    keeper_delivery_t d = *changed;
    if (!d.person) d.person = "person-1";
    if (!d.fingerprint.n) d.fingerprint = bytes_make(cert_sha256(t->device), CERT_SHA256_SIZE);
    if (!d.keys_n) d.keys_n = KEYS;
    d.keys = t->list;
    d.cipher = CMS_AES256_CBC;
    add_holes(t, d.keys_n, &payloads);
    if (!d.payloads.n) d.payloads = buf_bytes(&payloads);
    return keeper_escrow_deliver(t->f.keeper, &d, envelope);
}

static bytes_t between(bytes_t *rest, const char *begin, const char *end) {
    const uint8_t *a = memmem(rest->p, rest->n, begin, strlen(begin));
    assert_non_null(a);
    a += strlen(begin);
    const uint8_t *b = memmem(a, (size_t)(rest->p + rest->n - a), end, strlen(end));
    assert_non_null(b);
    *rest = bytes_make(b, (size_t)(rest->p + rest->n - b));
    return bytes_make(a, (size_t)(b - a));
}

static void assert_opens(const deliver_t *t, bytes_t envelope) {
    CLEANUP(buf_done) buf_t plain;
    cms_decrypt_options_t options = {0};
    cms_cipher_t cipher;
    buf_init_secret(&plain, BUF);
    assert_ok(cms_decrypt(envelope, t->device, t->f.device_key, &options, &plain, &cipher));
    bytes_t rest = buf_bytes(&plain);
    for (size_t i = 0; i < KEYS; i++) {
        CLEANUP(buf_done) buf_t file;
        CLEANUP(pkey_free) pkey_t *key = NULL;
        CLEANUP(cert_free) cert_t *cert = NULL;
        buf_init_secret(&file, BUF);
        bytes_t data = between(&rest, "<data>", "</data>");
        bytes_t password = between(&rest, "<string>", "</string>");
        assert_ok(text_unbase64(data, &file));
        assert_ok(p12_read(buf_bytes(&file), password, &key, &cert, NULL));
        assert_true(bytes_eq(cert_der(cert), t->list[i].certificate));
    }
}

static void test_escrow_deliver__all_keys_to_the_owners_device(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, BUF);
    assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
    assert_opens(t, buf_bytes(&envelope));
    buf_clear(&envelope);
    assert_ok(deliver(t, &(keeper_delivery_t){.old_p12 = true}, &envelope));
    assert_opens(t, buf_bytes(&envelope));
}

static void test_escrow_deliver__never_to_strangers(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, BUF);
    static const uint8_t unknown[CERT_SHA256_SIZE] = {1};
    assert_err(ERR_NOT_FOUND,
               deliver(t, &(keeper_delivery_t){.fingerprint = BYTES_ARRAY(unknown)}, &envelope));
    bytes_t self = bytes_make(cert_sha256(t->f.device_self), CERT_SHA256_SIZE);
    assert_err(ERR_NOT_FOUND, deliver(t, &(keeper_delivery_t){.fingerprint = self}, &envelope));
    assert_err(ERR_DENIED, deliver(t, &(keeper_delivery_t){.person = "person-2"}, &envelope));
    t->list[1].object.owner[7] = '2'; /* the row says it is his */
    assert_err(ERR_DENIED, deliver(t, &(keeper_delivery_t){0}, &envelope));
    t->list[0].object.owner[7] = t->list[2].object.owner[7] = '2';
    assert_err(ERR_VERIFY, deliver(t, &(keeper_delivery_t){.person = "person-2"}, &envelope));
    assert_int_equal(envelope.n, 0);
}

static void test_escrow_deliver__another_persons_device_is_refused(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, BUF);
    assert_ok(deliver(t, &(keeper_delivery_t){.keys_n = 1}, &envelope));
    escrow_object_t object = {.kind = ESCROW_KIND_SMIME, .version = 1, .owner = "person-2"};
    keeper_smime_t smime = {"mail-encrypt-p256", "two@example.org", ""};
    keeper_archived_t other;
    memset(object.id, 0x55, sizeof object.id);
    keeper_archived_init(&other);
    assert_ok(
        keeper_escrow_make_smime(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC, &smime, &other));
    t->list[0] = (keeper_delivered_t){other.object, buf_bytes(&other.blob), buf_bytes(&other.wrap),
                                      buf_bytes(&other.certificate)};
    keeper_delivery_t d = {.person = "person-2", .keys_n = 1};
    assert_err(ERR_DENIED, deliver(t, &d, &envelope));
    /* his own is fine */
    cert_t *own = issue(&t->f, "enrolment-2");
    d.fingerprint = bytes_make(cert_sha256(own), CERT_SHA256_SIZE);
    buf_clear(&envelope);
    assert_ok(deliver(t, &d, &envelope));
    cert_free(own);
    keeper_archived_done(&other);
}

static void test_escrow_deliver__certificates_end(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, BUF);
    clk_fake_advance(&t->f.clk, (int64_t)366 * 86400 * 1000);
    assert_err(ERR_DENIED, deliver(t, &(keeper_delivery_t){0}, &envelope));
}

static void test_escrow_deliver__is_capped_a_day(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope, lines;
    const char *text = NULL;
    uint64_t last = 0;
    buf_init(&envelope, BUF);
    buf_init(&lines, BUF);
    for (int i = 0; i < LIMIT_ESCROW_DELIVERIES; i++) {
        buf_clear(&envelope);
        assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
    }
    assert_err(ERR_BUSY, deliver(t, &(keeper_delivery_t){0}, &envelope));
    keeper_fixture_restart(&t->f);
    assert_err(ERR_BUSY, deliver(t, &(keeper_delivery_t){0}, &envelope));
    assert_ok(keeper_log(t->f.keeper, 0, &lines, &last));
    assert_ok(buf_cstr(&lines, &text));
    assert_non_null(strstr(text, "ALARM"));
    clk_fake_advance(&t->f.clk, (int64_t)25 * 3600 * 1000);
    buf_clear(&envelope);
    assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
}

static void test_escrow_deliver__holes_are_filled_exactly(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, BUF);
#define ID    "01010101010101010101010101010101"
#define OTHER "02020202020202020202020202020202"
#define BOTH  FILE_OF(ID) PASSWORD_OF(ID)
    static const char *const bad[] = {
        HEAD "nothing",
        HEAD "<dict>" TYPE BOTH "</dict><dict>" TYPE BOTH "</dict>",
        HEAD "<dict>" TYPE PASSWORD_OF(ID) "<key>PayloadContent</key><data>{{p12:" ID,
        HEAD "<dict>" TYPE PASSWORD_OF(ID) FILE_OF(OTHER) "</dict>",
        HEAD "<dict>" TYPE FILE_OF(ID) "<key>Password</key><string>{{}}</string></dict>",
        HEAD "<dict>" TYPE FILE_OF(ID) "</dict>",
        HEAD "<dict>" TYPE PASSWORD_OF(ID) "</dict>",
        HEAD "<dict>" TYPE BOTH PASSWORD_OF(ID) "</dict>",
        HEAD "<dict>" TYPE BOTH "<key>X</key><string>{{password:" ID "}}</string></dict>",
        HEAD "<dict>" TYPE BOTH "<key>X</key><string>https://x/{{p12:" ID "}}</string></dict>",
        HEAD "<dict>" TYPE FILE_OF(ID) "<key>Password</key><string>x{{password:" ID
                                       "}}</string></dict>",
        HEAD "<dict>" TYPE PASSWORD_OF(ID) "<key>PayloadContent</key><string>{{p12:" ID
                                           "}}</string></dict>",
        /* another payload's password would go to another server */
        HEAD "<dict>" BOTH "</dict>",
        HEAD "<dict><key>PayloadType</key><string>com.apple.wifi.managed</string>" BOTH "</dict>",
        HEAD "<dict><key>PayloadType</key><string>com.apple.wifi.managed</string>" TYPE BOTH
             "</dict>",
        HEAD "<dict><key>Payload&#84;ype</key><string>com.apple.wifi.managed</string>" TYPE BOTH
             "</dict>",
        HEAD "<dict><key >PayloadType</key><string>com.apple.wifi.managed</string>" TYPE BOTH
             "</dict>",
        HEAD "<dict>" TYPE BOTH "<key>Nested</key><dict></dict></dict>",
        /* a dict that is text */
        HEAD "<string><![CDATA[<dict>" TYPE BOTH "</dict>]]></string>",
        HEAD "<!-- <dict>" TYPE BOTH "</dict> -->",
        HEAD "<?x <dict>" TYPE BOTH "</dict> ?>",
        "<dict>" TYPE BOTH "</dict>",
        "<?xml version=\"1.0\" encoding=\"UTF-7\"?>\n<dict>" TYPE BOTH "</dict>",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_err(ERR_INVALID,
                   deliver(t, &(keeper_delivery_t){.keys_n = 1, .payloads = bytes_str(bad[i])},
                           &envelope));
    assert_int_equal(envelope.n, 0);
    bytes_t good = BYTES_LIT(HEAD "<dict>" TYPE BOTH "</dict>");
    assert_ok(deliver(t, &(keeper_delivery_t){.keys_n = 1, .payloads = good}, &envelope));
}

/* Whoever has certificates made for keys of his own does not get everybody's keys in a day. */
static void test_escrow_deliver__is_capped_for_all_people_together(void **state) {
    deliver_t *t = *state;
    char sql[512];
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, BUF);
    assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                   " INSERT INTO delivery (person, holder, ms) SELECT 'p' || i, 'h' || i,"
                   " (SELECT max(ms) FROM delivery) FROM n",
                   LIMIT_ESCROW_DELIVERIES_ALL - 2);
    keeper_fixture_stop(&t->f);
    keeper_fixture_sql(&t->f, sql);
    keeper_fixture_start(&t->f);
    buf_clear(&envelope);
    assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
    assert_err(ERR_BUSY, deliver(t, &(keeper_delivery_t){0}, &envelope));
    clk_fake_advance(&t->f.clk, (int64_t)25 * 3600 * 1000);
    buf_clear(&envelope);
    assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
}

/* The third key takes an officer. */
static void approved_key(deliver_t *t) {
    keeper_archived_done(&t->keys[2]);
    escrow_object_t object = {.kind = ESCROW_KIND_SMIME, .version = 1, .owner = "person-1"};
    keeper_smime_t smime = {"mail-encrypt-p256", "one@example.org", ""};
    memset(object.id, 0x66, sizeof object.id);
    keeper_archived_init(&t->keys[2]);
    keeper_archived_t *a = &t->keys[2];
    assert_ok(keeper_escrow_make_smime(t->f.keeper, &object, KEEPER_WRAP_APPROVED, &smime, a));
    t->list[2] = (keeper_delivered_t){a->object, buf_bytes(&a->blob), buf_bytes(&a->wrap),
                                      buf_bytes(&a->certificate)};
}

static escrow_delivery_t consent_to(const deliver_t *t, const cert_t *device) {
    escrow_delivery_t consent = {.person = "person-1",
                                 .mailboxes = "one@example.org",
                                 .epoch = 1,
                                 .expires = clk_unix(&t->f.clk.clk) + 100};
    memcpy(consent.certificate, cert_sha256(device), ESCROW_HASH);
    return consent;
}

static void sign_consent(const deliver_t *t, const escrow_delivery_t *consent, buf_t *record) {
    escrow_signature_t signature;
    assert_ok(escrow_delivery_sign(t->officer_sign[1], "officer-1", consent, &signature));
    assert_ok(escrow_signature_put(&signature, record));
}

/* Keys to the fixture's device, to which an officer agrees. */
static void deliver_with_consent(deliver_t *t) {
    CLEANUP(buf_done) buf_t envelope, record;
    buf_init(&envelope, BUF);
    buf_init(&record, BUF);
    escrow_delivery_t consent = consent_to(t, t->device);
    sign_consent(t, &consent, &record);
    bytes_t signatures[1] = {buf_bytes(&record)};
    keeper_delivery_t d = {.expires = consent.expires,
                           .mailboxes = consent.mailboxes,
                           .signatures = signatures,
                           .signatures_n = 1};
    assert_ok(deliver(t, &d, &envelope));
    assert_opens(t, buf_bytes(&envelope));
}

static void test_escrow_deliver__an_officer_agrees_to_a_first_device(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope, record;
    buf_init(&envelope, BUF);
    buf_init(&record, BUF);
    approved_key(t);
    assert_err(ERR_AUTH, deliver(t, &(keeper_delivery_t){0}, &envelope));
    escrow_delivery_t consent = consent_to(t, t->device);
    sign_consent(t, &consent, &record);
    bytes_t signatures[1] = {buf_bytes(&record)};
    keeper_delivery_t d = {.expires = consent.expires + 1,
                           .mailboxes = consent.mailboxes,
                           .signatures = signatures,
                           .signatures_n = 1};
    assert_err(ERR_VERIFY, deliver(t, &d, &envelope)); /* another date than the officer signed */
    d.expires = consent.expires;
    assert_ok(deliver(t, &d, &envelope));
    assert_opens(t, buf_bytes(&envelope));
    /* from now on this device's key is known: the next keys ask nobody, nor does a certificate
     * that is issued anew for it */
    clk_fake_advance(&t->f.clk, 1000 * 1000);
    buf_clear(&envelope);
    assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
    cert_t *elsewhere = issue(&t->f, "enrolment-2"); /* enrolled anew: asked about again */
    bytes_t second = bytes_make(cert_sha256(elsewhere), CERT_SHA256_SIZE);
    assert_err(ERR_AUTH, deliver(t, &(keeper_delivery_t){.fingerprint = second}, &envelope));
    cert_free(elsewhere);
    cert_t *anew = issue(&t->f, "enrolment-1");
    bytes_t renewed = bytes_make(cert_sha256(anew), CERT_SHA256_SIZE);
    buf_clear(&envelope);
    assert_ok(deliver(t, &(keeper_delivery_t){.fingerprint = renewed}, &envelope));
    cert_free(anew);
}

/* A key of the attacker's, certified for whatever name. */
static void assert_needs_consent(deliver_t *t, const char *holder, bool warm_up) {
    CLEANUP(buf_done) buf_t envelope;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    buf_init(&envelope, BUF);
    assert_ok(pkey_generate(PKEY_RSA, 2048, &key));
    cert_t *mine = issue_for(&t->f, holder, key);
    keeper_delivery_t d = {.fingerprint = bytes_make(cert_sha256(mine), CERT_SHA256_SIZE)};
    assert_err(ERR_AUTH, deliver(t, &d, &envelope));
    if (warm_up) {
        d.keys_n = 1; /* the automatic one */
        assert_ok(deliver(t, &d, &envelope));
        d.keys_n = KEYS;
        assert_err(ERR_AUTH, deliver(t, &d, &envelope));
    }
    cert_free(mine);
}

/* Having got an automatic key is no consent to the others. */
static void test_escrow_deliver__automatic_keys_make_no_device_known(void **state) {
    deliver_t *t = *state;
    approved_key(t);
    assert_needs_consent(t, "made-up", true);
}

/* Whom a certificate is issued to is the caller's word. */
static void test_escrow_deliver__consent_is_for_a_key_not_for_a_name(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope, record;
    buf_init(&envelope, BUF);
    buf_init(&record, BUF);
    approved_key(t);
    deliver_with_consent(t);
    assert_needs_consent(t, "enrolment-1", true);
    keeper_fixture_restart(&t->f);
    assert_needs_consent(t, "enrolment-1", false);
    assert_ok(deliver(t, &(keeper_delivery_t){0}, &envelope));
}

/* A row that says so, or another's MAC, is no consent. */
static void test_escrow_deliver__a_changed_record_is_no_consent(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope;
    buf_init(&envelope, BUF);
    approved_key(t);
    deliver_with_consent(t);
    keeper_fixture_stop(&t->f);
    keeper_fixture_sql(&t->f, "UPDATE delivery SET mac = zeroblob(32)");
    keeper_fixture_start(&t->f);
    assert_err(ERR_VERIFY, deliver(t, &(keeper_delivery_t){0}, &envelope));
    keeper_fixture_stop(&t->f);
    keeper_fixture_sql(&t->f, "UPDATE delivery SET mac = x''");
    keeper_fixture_start(&t->f);
    assert_err(ERR_DENIED, deliver(t, &(keeper_delivery_t){.person = "person-2"}, &envelope));
    assert_err(ERR_AUTH, deliver(t, &(keeper_delivery_t){0}, &envelope));
}

/* A consent is for one certificate. */
static void test_escrow_deliver__consent_is_for_one_certificate(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope, record;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    buf_init(&envelope, BUF);
    buf_init(&record, BUF);
    approved_key(t);
    escrow_delivery_t consent = consent_to(t, t->device);
    sign_consent(t, &consent, &record);
    bytes_t signatures[1] = {buf_bytes(&record)};
    assert_ok(pkey_generate(PKEY_RSA, 2048, &key));
    cert_t *other = issue_for(&t->f, "enrolment-1", key);
    keeper_delivery_t d = {.expires = consent.expires,
                           .mailboxes = consent.mailboxes,
                           .fingerprint = bytes_make(cert_sha256(other), CERT_SHA256_SIZE),
                           .signatures = signatures,
                           .signatures_n = 1};
    assert_err(ERR_VERIFY, deliver(t, &d, &envelope));
    clk_fake_advance(&t->f.clk, 101 * 1000);
    d.fingerprint = BYTES_NONE;
    assert_err(ERR_DENIED, deliver(t, &d, &envelope)); /* it has ended */
    cert_free(other);
}

/* An officer agreed for one person's mailbox: over another person's id that is worth nothing. */
static void test_escrow_deliver__an_officer_knows_all_mailboxes(void **state) {
    deliver_t *t = *state;
    CLEANUP(buf_done) buf_t envelope, record;
    buf_init(&envelope, BUF);
    buf_init(&record, BUF);
    approved_key(t);
    escrow_delivery_t consent = consent_to(t, t->device);
    (void)snprintf(consent.mailboxes, sizeof consent.mailboxes, "nurse@example.org");
    sign_consent(t, &consent, &record);
    bytes_t signatures[1] = {buf_bytes(&record)};
    keeper_delivery_t d = {.expires = consent.expires,
                           .mailboxes = consent.mailboxes,
                           .signatures = signatures,
                           .signatures_n = 1};
    assert_err(ERR_DENIED, deliver(t, &d, &envelope));
    /* nor does a key that is made in that name meanwhile help */
    escrow_object_t object = {.kind = ESCROW_KIND_SMIME, .version = 1, .owner = "person-1"};
    keeper_smime_t smime = {"mail-encrypt-p256", "nurse@example.org", ""};
    keeper_archived_t made;
    memset(object.id, 0x77, sizeof object.id);
    keeper_archived_init(&made);
    assert_ok(keeper_escrow_make_smime(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC, &smime, &made));
    keeper_archived_done(&made);
    assert_err(ERR_DENIED, deliver(t, &d, &envelope));
    d.mailboxes = "one@example.org"; /* the signature is over the other */
    assert_err(ERR_VERIFY, deliver(t, &d, &envelope));
    (void)snprintf(consent.mailboxes, sizeof consent.mailboxes,
                   "nurse@example.org one@example.org");
    buf_clear(&record);
    sign_consent(t, &consent, &record);
    signatures[0] = buf_bytes(&record);
    d.mailboxes = consent.mailboxes;
    assert_ok(deliver(t, &d, &envelope));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_escrow_deliver__all_keys_to_the_owners_device),
        TEST(test_escrow_deliver__never_to_strangers),
        TEST(test_escrow_deliver__another_persons_device_is_refused),
        TEST(test_escrow_deliver__certificates_end),
        TEST(test_escrow_deliver__is_capped_a_day),
        TEST(test_escrow_deliver__is_capped_for_all_people_together),
        TEST(test_escrow_deliver__holes_are_filled_exactly),
        TEST(test_escrow_deliver__an_officer_agrees_to_a_first_device),
        TEST(test_escrow_deliver__automatic_keys_make_no_device_known),
        TEST(test_escrow_deliver__consent_is_for_a_key_not_for_a_name),
        TEST(test_escrow_deliver__a_changed_record_is_no_consent),
        TEST(test_escrow_deliver__consent_is_for_one_certificate),
        TEST(test_escrow_deliver__an_officer_knows_all_mailboxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
