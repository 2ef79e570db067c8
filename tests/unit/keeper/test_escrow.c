/*
 * Escrow in the keeper, asked by the real client: what is archived opens for whom it should and
 * for nobody else, whatever the store's rows say.
 */
#include "keeper_fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "crypto/p12.h"
#include "keeper/client_escrow.h"
#include "keeper/escrow_seal.h"

enum { OFFICERS = 3, BUF = 64 * 1024 };

typedef struct {
    keeper_fixture_t f;
    pkey_t *hpke[OFFICERS], *sign[OFFICERS];
    escrow_set_t set;
    uint8_t hash[ESCROW_HASH];
} escrow_t;

static void make_set(escrow_t *t, uint64_t epoch) {
    t->set = (escrow_set_t){.epoch = epoch, .threshold = 2, .n = OFFICERS};
    if (epoch > 1) memcpy(t->set.previous, t->hash, ESCROW_HASH);
    for (size_t i = 0; i < OFFICERS; i++) {
        escrow_officer_t *o = &t->set.officers[i];
        (void)snprintf(o->id, sizeof o->id, "officer-%zu", i);
        (void)snprintf(o->person, sizeof o->person, "person-%zu", i);
        o->index = (uint8_t)(i + 1);
        assert_ok(pkey_raw_public(t->hpke[i], o->hpke));
        assert_ok(pkey_raw_public(t->sign[i], o->sign));
    }
    assert_ok(escrow_set_hash(&t->set, t->hash));
}

static int setup(void **state) {
    escrow_t *t = mem_zalloc(sizeof *t);
    assert_non_null(t);
    assert_ok(crypto_init());
    keeper_fixture_make(&t->f);
    for (size_t i = 0; i < OFFICERS; i++) {
        assert_ok(pkey_generate(PKEY_X25519, 0, &t->hpke[i]));
        assert_ok(pkey_generate(PKEY_ED25519, 0, &t->sign[i]));
    }
    make_set(t, 1);
    *state = t;
    return 0;
}

static int teardown(void **state) {
    escrow_t *t = *state;
    for (size_t i = 0; i < OFFICERS; i++) {
        pkey_free(t->hpke[i]);
        pkey_free(t->sign[i]);
    }
    keeper_fixture_done(&t->f);
    mem_free(t);
    return 0;
}

static err_t *activate(escrow_t *t, const bytes_t *signatures, size_t n) {
    CLEANUP(buf_done) buf_t record;
    buf_init(&record, BUF);
    TRY(escrow_set_put(&t->set, &record));
    return keeper_officers_activate(t->f.keeper, buf_bytes(&record), signatures, n);
}

static escrow_object_t object_of(const char *kind, const char *owner, const char *device,
                                 uint8_t id) {
    escrow_object_t object = {.version = 1};
    memset(object.id, id, sizeof object.id);
    (void)snprintf(object.kind, sizeof object.kind, "%s", kind);
    (void)snprintf(object.owner, sizeof object.owner, "%s", owner);
    (void)snprintf(object.device, sizeof object.device, "%s", device);
    return object;
}

static void archive(escrow_t *t, const escrow_object_t *object, const char *secret,
                    keeper_archived_t *a) {
    keeper_archived_init(a);
    assert_ok(
        keeper_escrow_archive(t->f.keeper, object, KEEPER_WRAP_AUTOMATIC, bytes_str(secret), a));
}

static keeper_stored_t stored_of(const keeper_archived_t *a) {
    keeper_stored_t stored = {.object = a->object, .wrap = buf_bytes(&a->wrap)};
    assert_ok(digest_sha256(buf_bytes(&a->blob), stored.blob_hash));
    return stored;
}

/* Two officers open what was dealt. */
static void assert_officers_open(const escrow_t *t, const keeper_archived_t *a, bytes_t shares,
                                 bytes_t wanted) {
    uint8_t object_hash[ESCROW_HASH];
    escrow_request_t r = {.object = a->object,
                          .epoch = t->set.epoch,
                          .threshold = 2,
                          .requester = "person-9",
                          .recipient = "heir",
                          .reason = "gone",
                          .expires = 100};
    escrow_approval_t approvals[2];
    pkey_t *recipient = NULL;
    secret_t *secret = NULL;
    wire_reader_t reader = wire_reader(shares);
    assert_ok(escrow_object_hash(&a->object, object_hash));
    assert_ok(pkey_generate(PKEY_X25519, 0, &recipient));
    assert_ok(pkey_raw_public(recipient, r.recipient_key));
    memcpy(r.set_hash, t->hash, ESCROW_HASH);
    for (size_t i = 0; i < OFFICERS; i++) {
        escrow_share_t share;
        escrow_opener_t *opener = NULL;
        secret_t *y = NULL;
        bytes_t record;
        assert_ok(wire_get_bytes(&reader, BUF, &record));
        assert_ok(escrow_share_parse(record, &share));
        if (i == 2) break;
        assert_ok(escrow_opener_new(t->hash, t->set.officers[i].id, t->hpke[i], &opener));
        assert_ok(escrow_share_open(opener, object_hash, &share, &y));
        assert_ok(escrow_approve(&r, &t->set.officers[i], t->sign[i], secret_bytes(y), 50,
                                 &approvals[i]));
        secret_free(y);
        escrow_opener_free(opener);
    }
    assert_ok(wire_done(&reader));
    assert_ok(escrow_recover(&r, &t->set, approvals, 2, recipient, buf_bytes(&a->blob), &secret));
    assert_true(secret_eq(secret, wanted));
    secret_free(secret);
    pkey_free(recipient);
}

/* Whether the keeper's log holds this text. */
static void assert_logged(escrow_t *t, const char *text) {
    CLEANUP(buf_done) buf_t lines;
    const char *all = NULL;
    uint64_t last = 0;
    bool found = false;
    buf_init(&lines, 1024 * 1024);
    keeper_fixture_restart(&t->f); /* so that everything is committed */
    for (uint64_t after = 0; !found; after = last) {
        buf_clear(&lines);
        assert_ok(keeper_log(t->f.keeper, after, &lines, &last));
        assert_true(last > after);
        assert_ok(buf_cstr(&lines, &all));
        found = strstr(all, text) != NULL;
    }
}

/* ---- officers ---- */

static void test_escrow__the_first_set_is_activated_and_stays(void **state) {
    escrow_t *t = *state;
    buf_t record;
    buf_init(&record, BUF);
    assert_ok(keeper_officers_set(t->f.keeper, &record));
    assert_int_equal(record.n, 0);
    t->set.epoch = 2;
    memset(t->set.previous, 1, ESCROW_HASH);
    assert_err(ERR_VERIFY, activate(t, NULL, 0));
    make_set(t, 1);
    assert_ok(activate(t, NULL, 0));
    assert_ok(activate(t, NULL, 0)); /* once more is done */
    keeper_fixture_restart(&t->f);
    assert_ok(keeper_officers_set(t->f.keeper, &record));
    escrow_set_t kept;
    uint8_t hash[ESCROW_HASH];
    assert_ok(escrow_set_parse(buf_bytes(&record), &kept));
    assert_ok(escrow_set_hash(&kept, hash));
    assert_memory_equal(hash, t->hash, ESCROW_HASH);
    t->set.officers[0].index = 200; /* another first set */
    escrow_officer_t first = t->set.officers[0];
    memmove(t->set.officers, t->set.officers + 1, 2 * sizeof first);
    t->set.officers[2] = first;
    assert_err(ERR_VERIFY, activate(t, NULL, 0));
    assert_logged(t, "officers-activate");
    buf_done(&record);
}

static void test_escrow__the_next_set_is_signed_by_the_current(void **state) {
    escrow_t *t = *state;
    escrow_signature_t s[2];
    buf_t records[2];
    bytes_t signatures[2];
    assert_ok(activate(t, NULL, 0));
    make_set(t, 2);
    for (size_t i = 0; i < 2; i++) {
        buf_init(&records[i], BUF);
        assert_ok(escrow_set_sign(t->sign[i], t->set.officers[i].id, t->hash, &s[i]));
        assert_ok(escrow_signature_put(&s[i], &records[i]));
        signatures[i] = buf_bytes(&records[i]);
    }
    assert_err(ERR_DENIED, activate(t, NULL, 0));
    assert_err(ERR_DENIED, activate(t, signatures, 1));
    bytes_t twice[2] = {signatures[0], signatures[0]};
    assert_err(ERR_DENIED, activate(t, twice, 2));
    assert_logged(t, "denied: 1 officers signed, 2 must");
    assert_ok(activate(t, signatures, 2));
    keeper_archived_t a;
    escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-9", "", 1);
    archive(t, &object, "secret", &a);
    assert_int_equal(a.epoch, 2);
    keeper_archived_done(&a);
    buf_done(&records[0]);
    buf_done(&records[1]);
}

static void test_escrow__changed_officers_in_the_vault_are_noticed(void **state) {
    escrow_t *t = *state;
    assert_ok(activate(t, NULL, 0));
    keeper_fixture_stop(&t->f);
    keeper_fixture_sql(&t->f,
                       "UPDATE officers SET record = replace(record, 'officer-1', 'officer-7')");
    keeper_fixture_start(&t->f);
    keeper_archived_t a;
    escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-9", "", 1);
    keeper_archived_init(&a);
    assert_err(ERR_VERIFY, keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                 BYTES_LIT("secret"), &a));
    keeper_archived_done(&a);
}

/* ---- archiving ---- */

static void test_escrow__a_secret_is_archived_and_opened_by_officers(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-9", "", 1);
    assert_ok(activate(t, NULL, 0));
    archive(t, &object, "secret", &a);
    assert_int_equal(a.epoch, 1);
    assert_int_equal(a.wrap.n, ESCROW_WRAP_SIZE);
    assert_officers_open(t, &a, buf_bytes(&a.shares), BYTES_LIT("secret"));
    assert_ok(keeper_escrow_drill(t->f.keeper, &object, buf_bytes(&a.blob), buf_bytes(&a.wrap)));
    keeper_archived_done(&a);
    object.id[0] = 9;
    keeper_archived_init(&a);
    assert_ok(
        keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_NEVER, BYTES_LIT("deep"), &a));
    assert_int_equal(a.wrap.n, 0);
    assert_officers_open(t, &a, buf_bytes(&a.shares), BYTES_LIT("deep"));
    keeper_archived_done(&a);
}

static void test_escrow__officers_only_needs_officers(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-9", "", 1);
    keeper_archived_init(&a);
    assert_err(ERR_DENIED, keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_NEVER,
                                                 BYTES_LIT("secret"), &a));
    keeper_archived_done(&a);
}

static void test_escrow__signing_keys_are_refused(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    secret_t *der = NULL;
    escrow_object_t object = object_of("mail-signing-key", "person-9", "", 1);
    keeper_archived_init(&a);
    assert_err(ERR_DENIED, keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                 BYTES_LIT("secret"), &a));
    object = object_of(ESCROW_KIND_FILE, "person-9", "", 1);
    assert_ok(pkey_private_der(t->sign[0], &der));
    assert_err(ERR_DENIED, keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                 secret_bytes(der), &a));
    object = object_of(ESCROW_KIND_SMIME, "person-9", "", 1);
    assert_err(ERR_DENIED, keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                 BYTES_LIT("secret"), &a));
    assert_logged(t, "signing keys are not archived");
    secret_free(der);
    keeper_archived_done(&a);
}

static void test_escrow__versions_only_go_up(void **state) {
    escrow_t *t = *state;
    keeper_archived_t one, two, bad;
    buf_t secret;
    escrow_object_t object = object_of(ESCROW_KIND_UNLOCK, "", "D1", 1);
    buf_init_secret(&secret, BUF);
    archive(t, &object, "first", &one);
    object.version = 2;
    archive(t, &object, "second", &two);
    keeper_archived_init(&bad);
    assert_err(ERR_EXISTS, keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                 BYTES_LIT("x"), &bad));
    object.version = 3;
    object.device[1] = '2';
    assert_err(ERR_DENIED, keeper_escrow_archive(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                 BYTES_LIT("x"), &bad));
    /* the old row put back */
    assert_err(ERR_VERIFY, keeper_escrow_fill(t->f.keeper, &one.object, buf_bytes(&one.blob),
                                              buf_bytes(&one.wrap), "c1", &secret));
    assert_logged(t, "this one was replayed");
    assert_ok(keeper_escrow_fill(t->f.keeper, &two.object, buf_bytes(&two.blob),
                                 buf_bytes(&two.wrap), "c1", &secret));
    assert_true(bytes_eq_str(buf_bytes(&secret), "second"));
    buf_done(&secret);
    keeper_archived_done(&one);
    keeper_archived_done(&two);
    keeper_archived_done(&bad);
}

static void test_escrow__swapped_and_changed_rows_open_nothing(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a, b;
    escrow_object_t first = object_of(ESCROW_KIND_PIN, "person-1", "D1", 1);
    escrow_object_t second = object_of(ESCROW_KIND_PIN, "person-2", "D2", 2);
    keeper_t *keeper = t->f.keeper;
    archive(t, &first, "1111", &a);
    archive(t, &second, "2222", &b);
    bytes_t blob_a = buf_bytes(&a.blob), wrap_a = buf_bytes(&a.wrap);
    bytes_t blob_b = buf_bytes(&b.blob), wrap_b = buf_bytes(&b.wrap);
    assert_ok(keeper_escrow_drill(keeper, &first, blob_a, wrap_a));
    assert_err(ERR_VERIFY, keeper_escrow_drill(keeper, &first, blob_b, wrap_b));
    assert_err(ERR_VERIFY, keeper_escrow_drill(keeper, &first, blob_a, wrap_b));
    assert_err(ERR_VERIFY, keeper_escrow_drill(keeper, &first, blob_b, wrap_a));
    for (int i = 0; i < 4; i++) { /* another owner, device, kind, key */
        escrow_object_t changed = first;
        if (i == 0) changed.owner[7] = '2';
        if (i == 1) changed.device[1] = '2';
        if (i == 2) changed.kind[0] = 'q';
        if (i == 3) changed.has_spki = true;
        assert_err(ERR_VERIFY, keeper_escrow_drill(keeper, &changed, blob_a, wrap_a));
    }
    escrow_object_t unknown = first;
    unknown.id[3] ^= 1;
    assert_err(ERR_NOT_FOUND, keeper_escrow_drill(keeper, &unknown, blob_a, wrap_a));
    for (size_t i = 0; i < a.wrap.n; i++) {
        a.wrap.p[i] ^= 1;
        err_t *e = keeper_escrow_drill(keeper, &first, blob_a, wrap_a);
        assert_non_null(e);
        err_free(e);
        a.wrap.p[i] ^= 1;
    }
    a.blob.p[a.blob.n - 1] ^= 1;
    assert_err(ERR_VERIFY, keeper_escrow_drill(keeper, &first, blob_a, wrap_a));
    assert_logged(t, "the object is not what the keeper archived");
    keeper_archived_done(&a);
    keeper_archived_done(&b);
}

static void test_escrow__changed_records_in_the_vault_are_noticed(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    escrow_object_t object = object_of(ESCROW_KIND_PIN, "person-1", "D1", 1);
    archive(t, &object, "1111", &a);
    keeper_fixture_stop(&t->f);
    keeper_fixture_sql(&t->f, "UPDATE escrow SET wrap = 2");
    keeper_fixture_start(&t->f);
    assert_err(ERR_VERIFY,
               keeper_escrow_drill(t->f.keeper, &object, buf_bytes(&a.blob), buf_bytes(&a.wrap)));
    keeper_archived_done(&a);
}

static void test_escrow__only_a_devices_secrets_go_into_commands(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    buf_t secret;
    escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-1", "D1", 1);
    buf_init_secret(&secret, BUF);
    archive(t, &object, "letter", &a);
    assert_err(ERR_DENIED, keeper_escrow_fill(t->f.keeper, &object, buf_bytes(&a.blob),
                                              buf_bytes(&a.wrap), "c1", &secret));
    assert_int_equal(secret.n, 0);
    assert_logged(t, "no command has a file in it");
    keeper_archived_done(&a);
    buf_done(&secret);
}

/* ---- key pairs ---- */

static void test_escrow__an_smime_key_is_made_certified_archived(void **state) {
    escrow_t *t = *state;
    static const char *const profiles[] = {"mail-encrypt-p256", "mail-encrypt"};
    assert_ok(activate(t, NULL, 0));
    for (uint8_t i = 0; i < 2; i++) {
        keeper_archived_t a;
        cert_t *cert = NULL;
        escrow_object_t object = object_of(ESCROW_KIND_SMIME, "person-1", "", (uint8_t)(i + 1));
        keeper_smime_t smime = {profiles[i], "one@example.org", "One"};
        keeper_archived_init(&a);
        assert_ok(
            keeper_escrow_make_smime(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC, &smime, &a));
        assert_ok(cert_parse_der(buf_bytes(&a.certificate), &cert));
        assert_ok(cert_verify_signed_by_key(cert, cert_key(t->f.keys->mail_ca)));
        assert_string_equal(cert_san_get(cert, SAN_EMAIL, 0), "one@example.org");
        assert_int_equal(cert_key_usage(cert),
                         i ? KEY_USAGE_KEY_ENCIPHERMENT : KEY_USAGE_KEY_AGREEMENT);
        if (i) assert_int_equal(pkey_bits(cert_key(cert)), 3072);
        uint8_t spki[ESCROW_HASH];
        assert_ok(pkey_spki_sha256(cert_key(cert), spki));
        assert_true(a.object.has_spki);
        assert_memory_equal(a.object.spki, spki, ESCROW_HASH);
        assert_ok(
            keeper_escrow_drill(t->f.keeper, &a.object, buf_bytes(&a.blob), buf_bytes(&a.wrap)));
        /* not into a command, by nobody's word */
        CLEANUP(buf_done) buf_t secret;
        buf_init_secret(&secret, BUF);
        assert_err(ERR_DENIED, keeper_escrow_fill(t->f.keeper, &a.object, buf_bytes(&a.blob),
                                                  buf_bytes(&a.wrap), "c1", &secret));
        cert_free(cert);
        keeper_archived_done(&a);
    }
    keeper_archived_t a;
    escrow_object_t object = object_of(ESCROW_KIND_SMIME, "person-1", "", 7);
    keeper_smime_t smime = {"device-identity", "one@example.org", ""};
    keeper_archived_init(&a);
    assert_err(ERR_DENIED,
               keeper_escrow_make_smime(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC, &smime, &a));
    keeper_archived_done(&a);
}

static void make_p12(const escrow_t *t, unsigned usage, buf_t *out) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    static const uint8_t serial[] = {7};
    name_entry_t subject = {"CN", "elsewhere"};
    int64_t now = clk_unix(&t->f.clk.clk);
    assert_ok(pkey_generate(PKEY_RSA, 2048, &key));
    cert_spec_t spec = {.subject = &subject,
                        .subject_n = 1,
                        .serial = BYTES_ARRAY(serial),
                        .not_before = now - 10,
                        .not_after = now + 1000,
                        .key_usage = usage,
                        .key = key};
    assert_ok(cert_issue(&spec, NULL, key, &cert));
    p12_spec_t p12 = {.key = key, .cert = cert, .iterations = 10};
    buf_init(out, P12_BYTES_MAX);
    assert_ok(p12_write(&p12, BYTES_LIT("hunter2"), out));
}

static void test_escrow__users_bring_encryption_keys_alone(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    buf_t file;
    bytes_t password = BYTES_LIT("hunter2");
    escrow_object_t object = object_of(ESCROW_KIND_SMIME, "person-1", "", 1);
    static const unsigned signs[] = {0, KEY_USAGE_DIGITAL_SIGNATURE,
                                     KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT,
                                     KEY_USAGE_NON_REPUDIATION};
    keeper_archived_init(&a);
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        make_p12(t, signs[i], &file);
        assert_err(ERR_DENIED, keeper_escrow_import(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                    buf_bytes(&file), password, &a));
        buf_done(&file);
    }
    make_p12(t, KEY_USAGE_KEY_ENCIPHERMENT, &file);
    assert_ok(keeper_escrow_import(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC, buf_bytes(&file),
                                   password, &a));
    assert_true(a.object.has_spki);
    assert_ok(keeper_escrow_drill(t->f.keeper, &a.object, buf_bytes(&a.blob), buf_bytes(&a.wrap)));
    keeper_archived_done(&a);
    buf_done(&file);
}

static void test_escrow__wrong_passwords_are_counted_over_a_restart(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    buf_t file;
    escrow_object_t object = object_of(ESCROW_KIND_SMIME, "person-1", "", 1);
    keeper_archived_init(&a);
    make_p12(t, KEY_USAGE_KEY_ENCIPHERMENT, &file);
    for (int i = 0; i < LIMIT_ESCROW_IMPORT_TRIES; i++) {
        assert_err(ERR_VERIFY, keeper_escrow_import(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                                    buf_bytes(&file), BYTES_LIT("wrong"), &a));
        if (i == 5 || i == LIMIT_ESCROW_IMPORT_TRIES - 1) keeper_fixture_restart(&t->f);
    }
    assert_err(ERR_BUSY, keeper_escrow_import(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                              buf_bytes(&file), BYTES_LIT("hunter2"), &a));
    memcpy(object.owner, "person-2", 9); /* his own count */
    assert_ok(keeper_escrow_import(t->f.keeper, &object, KEEPER_WRAP_AUTOMATIC, buf_bytes(&file),
                                   BYTES_LIT("hunter2"), &a));
    keeper_archived_done(&a);
    buf_done(&file);
}

/* ---- batches ---- */

typedef struct {
    size_t count, refused;
    uint64_t epoch;
    buf_t made; /* the first's */
} taken_t;

static err_t *take_shares(void *arg, size_t index, uint64_t epoch, bytes_t shares, const err_t *e) {
    taken_t *taken = arg;
    taken->count++;
    taken->refused += e != NULL;
    taken->epoch = epoch;
    return index == 0 && !e ? buf_add(&taken->made, shares) : NULL;
}

static err_t *take_wrap(void *arg, size_t index, bytes_t wrap, const err_t *e) {
    return take_shares(arg, index, 0, wrap, e);
}

static void test_escrow__undealt_objects_are_dealt_later(void **state) {
    escrow_t *t = *state;
    enum { N = 60 }; /* more than one request holds */
    static keeper_archived_t a[N];
    static keeper_stored_t list[N];
    taken_t taken = {0};
    buf_init(&taken.made, BUF);
    for (unsigned i = 0; i < N; i++) {
        escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-1", "", (uint8_t)(i + 1));
        archive(t, &object, "secret", &a[i]);
        assert_int_equal(a[i].epoch, 0);
        assert_int_equal(a[i].shares.n, 0);
        list[i] = stored_of(&a[i]);
    }
    assert_err(ERR_NOT_FOUND, keeper_escrow_deal(t->f.keeper, list, N, take_shares, &taken));
    assert_ok(activate(t, NULL, 0));
    list[7].blob_hash[0] ^= 1;
    list[9].wrap = list[8].wrap;
    assert_ok(keeper_escrow_deal(t->f.keeper, list, N, take_shares, &taken));
    assert_int_equal(taken.count, N);
    assert_int_equal(taken.refused, 2);
    assert_int_equal(taken.epoch, 1);
    assert_officers_open(t, &a[0], buf_bytes(&taken.made), BYTES_LIT("secret"));
    assert_logged(t, "dealt=46 refused=2");
    for (size_t i = 0; i < N; i++) keeper_archived_done(&a[i]);
    buf_done(&taken.made);
}

static void test_escrow__the_storage_key_is_rotated(void **state) {
    escrow_t *t = *state;
    keeper_archived_t a;
    buf_t old_sealed, new_sealed, secret;
    uint32_t number = 0;
    taken_t taken = {0};
    escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-1", "", 1);
    buf_init(&old_sealed, BUF);
    buf_init(&new_sealed, BUF);
    buf_init_secret(&secret, BUF);
    buf_init(&taken.made, BUF);
    archive(t, &object, "secret", &a);
    assert_ok(keeper_seal_secret(t->f.keeper, "pin", "D1", 1, BYTES_LIT("1234"), &old_sealed));
    assert_ok(keeper_storage_key(t->f.keeper, &number));
    assert_int_equal(number, 1);
    assert_ok(keeper_storage_key_new(t->f.keeper, &number));
    assert_int_equal(number, 2);
    keeper_stored_t stored = stored_of(&a);
    assert_ok(keeper_escrow_rewrap(t->f.keeper, &stored, 1, take_wrap, &taken));
    assert_int_equal(taken.refused, 0);
    escrow_wrap_t wrap;
    assert_ok(escrow_wrap_parse(buf_bytes(&taken.made), &wrap));
    assert_int_equal(wrap.storage_key, 2);
    for (int i = 0; i < 2; i++) { /* both, now and after a restart */
        assert_ok(
            keeper_escrow_drill(t->f.keeper, &object, buf_bytes(&a.blob), buf_bytes(&taken.made)));
        assert_ok(
            keeper_escrow_drill(t->f.keeper, &object, buf_bytes(&a.blob), buf_bytes(&a.wrap)));
        keeper_fixture_restart(&t->f);
    }
    assert_ok(keeper_seal_secret(t->f.keeper, "pin", "D1", 2, BYTES_LIT("5678"), &new_sealed));
    assert_ok(
        keeper_fill_secret(t->f.keeper, "pin", "D1", 1, "c", buf_bytes(&old_sealed), &secret));
    assert_ok(
        keeper_fill_secret(t->f.keeper, "pin", "D1", 2, "c", buf_bytes(&new_sealed), &secret));
    assert_true(bytes_eq_str(buf_bytes(&secret), "12345678"));
    new_sealed.p[4] = 1; /* under the first, it says */
    assert_err(ERR_VERIFY, keeper_fill_secret(t->f.keeper, "pin", "D1", 2, "c",
                                              buf_bytes(&new_sealed), &secret));
    keeper_archived_done(&a);
    buf_done(&old_sealed);
    buf_done(&new_sealed);
    buf_done(&secret);
    buf_done(&taken.made);
}

/* ---- thieves ---- */

/* Without the master key neither the store's rows nor the vault give anything away. */
static void test_escrow__a_stolen_vault_gives_nothing_without_its_master_key(void **state) {
    escrow_t *t = *state;
    static const char marker[] = "NOBODY-MAY-READ-THIS";
    keeper_archived_t a;
    char path[160];
    FILE *file = NULL;
    escrow_object_t object = object_of(ESCROW_KIND_FILE, "person-1", "", 1);
    assert_ok(activate(t, NULL, 0));
    archive(t, &object, marker, &a);
    static const char *const names[] = {"vault.db", "vault.db-wal"};
    for (size_t i = 0; i < 2; i++) {
        static char content[4 * 1024 * 1024];
        (void)snprintf(path, sizeof path, "%s/%s", t->f.vault_dir, names[i]);
        file = fopen(path, "rb");
        if (!file) continue;
        size_t n = fread(content, 1, sizeof content, file);
        (void)fclose(file);
        assert_null(memmem(content, n, marker, sizeof marker - 1));
    }
    buf_t *parts[] = {&a.blob, &a.wrap, &a.shares};
    for (size_t i = 0; i < 3; i++)
        assert_null(memmem(parts[i]->p, parts[i]->n, marker, sizeof marker - 1));
    /* both, with another master key: nothing opens */
    keeper_fixture_stop(&t->f);
    secret_t *master = NULL;
    vault_t *vault = NULL;
    keyring_t *keys = NULL;
    assert_ok(secret_random(rnd_real(), MASTER_KEY_SIZE, &master));
    vault_options_t options = {t->f.vault_dir, master, &t->f.clk.clk, rnd_real()};
    assert_ok(vault_open(&options, false, &vault));
    assert_err(ERR_VERIFY, keyring_load(vault, &keys));
    vault_free(vault);
    secret_free(master);
    keeper_fixture_start(&t->f);
    keeper_archived_done(&a);
}

static void test_escrow__the_courier_may_not_ask(void **state) {
    escrow_t *t = *state;
    buf_t body, reply;
    buf_init(&body, BUF);
    buf_init(&reply, BUF);
    t->f.role = ROLE_COURIER;
    for (int i = KEEPER_OFFICERS_ACTIVATE; i <= KEEPER_STORAGE_KEY_NEW; i++)
        assert_err(ERR_DENIED, keeper_fixture_ask(&t->f, (uint16_t)i, buf_bytes(&body), &reply));
    t->f.role = ROLE_WEB;
    assert_logged(t, "courier may not ask the keeper to escrow-fill");
    buf_done(&body);
    buf_done(&reply);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_escrow__the_first_set_is_activated_and_stays),
        TEST(test_escrow__the_next_set_is_signed_by_the_current),
        TEST(test_escrow__changed_officers_in_the_vault_are_noticed),
        TEST(test_escrow__a_secret_is_archived_and_opened_by_officers),
        TEST(test_escrow__officers_only_needs_officers),
        TEST(test_escrow__signing_keys_are_refused),
        TEST(test_escrow__versions_only_go_up),
        TEST(test_escrow__swapped_and_changed_rows_open_nothing),
        TEST(test_escrow__changed_records_in_the_vault_are_noticed),
        TEST(test_escrow__only_a_devices_secrets_go_into_commands),
        TEST(test_escrow__an_smime_key_is_made_certified_archived),
        TEST(test_escrow__users_bring_encryption_keys_alone),
        TEST(test_escrow__wrong_passwords_are_counted_over_a_restart),
        TEST(test_escrow__undealt_objects_are_dealt_later),
        TEST(test_escrow__the_storage_key_is_rotated),
        TEST(test_escrow__a_stolen_vault_gives_nothing_without_its_master_key),
        TEST(test_escrow__the_courier_may_not_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
