/*
 * The records of escrow and the cryptography over them, from dealing to recovery.
 */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "keeper/escrow_recipient.h"
#include "keeper/escrow_seal.h"

enum { OFFICERS = 5, THRESHOLD = 3, BUF = 256 * 1024 };

typedef struct {
    pkey_t *hpke[OFFICERS], *sign[OFFICERS];
    escrow_set_t set;
    uint8_t hash[ESCROW_HASH];
    escrow_sealer_t *sealers[OFFICERS];
} people_t;

static void people_make(people_t *p, uint64_t epoch, const uint8_t *previous, uint8_t threshold,
                        size_t n) {
    *p = (people_t){.set = {.epoch = epoch, .threshold = threshold, .n = n}};
    if (previous) memcpy(p->set.previous, previous, ESCROW_HASH);
    for (size_t i = 0; i < n; i++) {
        escrow_officer_t *o = &p->set.officers[i];
        assert_ok(pkey_generate(PKEY_X25519, 0, &p->hpke[i]));
        assert_ok(pkey_generate(PKEY_ED25519, 0, &p->sign[i]));
        (void)snprintf(o->id, sizeof o->id, "officer-%llu-%zu", (unsigned long long)epoch, i);
        (void)snprintf(o->person, sizeof o->person, "person-%zu", i);
        o->index = (uint8_t)(2 * i + 3);
        assert_ok(pkey_raw_public(p->hpke[i], o->hpke));
        assert_ok(pkey_raw_public(p->sign[i], o->sign));
    }
    assert_ok(escrow_set_hash(&p->set, p->hash));
    for (size_t i = 0; i < n; i++)
        assert_ok(escrow_sealer_new(p->hash, &p->set.officers[i], &p->sealers[i]));
}

static void people_done(people_t *p) {
    for (size_t i = 0; i < OFFICERS; i++) {
        pkey_free(p->hpke[i]);
        pkey_free(p->sign[i]);
        escrow_sealer_free(p->sealers[i]);
    }
}

static escrow_object_t an_object(void) {
    escrow_object_t object = {.kind = ESCROW_KIND_FILE, .owner = "person-9", .version = 1};
    memset(object.id, 0xa5, sizeof object.id);
    return object;
}

/* A blob and the officers' shares of an object. */
typedef struct {
    escrow_object_t object;
    uint8_t hash[ESCROW_HASH];
    buf_t blob;
    escrow_share_t shares[OFFICERS];
} archived_t;

static void split_shares(bytes_t run, escrow_share_t *shares, size_t n) {
    wire_reader_t r = wire_reader(run);
    bytes_t record;
    for (size_t i = 0; i < n; i++) {
        assert_ok(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &record));
        assert_ok(escrow_share_parse(record, &shares[i]));
    }
    assert_ok(wire_done(&r));
}

static void archive(const people_t *p, const char *secret, archived_t *a) {
    secret_t *dek = NULL;
    buf_t run;
    *a = (archived_t){.object = an_object()};
    buf_init(&a->blob, BUF);
    buf_init(&run, BUF);
    assert_ok(escrow_object_hash(&a->object, a->hash));
    assert_ok(escrow_dek_new(rnd_real(), &dek));
    assert_ok(escrow_blob_seal(&a->object, dek, rnd_real(), bytes_str(secret), &a->blob));
    assert_ok(escrow_deal(&a->object, &p->set, p->sealers, rnd_real(), dek, &run));
    split_shares(buf_bytes(&run), a->shares, p->set.n);
    secret_free(dek);
    buf_done(&run);
}

static void open_one(const people_t *p, const archived_t *a, size_t i, const escrow_share_t *parts,
                     size_t n, secret_t **ret_y) {
    escrow_opener_t *opener = NULL;
    assert_ok(escrow_opener_new(p->hash, p->set.officers[i].id, p->hpke[i], &opener));
    assert_ok(escrow_shares_open(opener, a->hash, parts, n, ret_y));
    escrow_opener_free(opener);
}

static void request_make(const people_t *p, const archived_t *a, const pkey_t *recipient,
                         escrow_request_t *r) {
    *r = (escrow_request_t){
        .object = a->object,
        .epoch = p->set.epoch,
        .threshold = p->set.threshold,
        .requester = "person-8",
        .recipient = "heir@example.org",
        .reason = "left the company",
        .created = 1000,
        .expires = 2000,
    };
    memcpy(r->set_hash, p->hash, ESCROW_HASH);
    assert_ok(digest_sha256(buf_bytes(&a->blob), r->blob_hash));
    assert_ok(pkey_raw_public(recipient, r->recipient_key));
}

static void approve(const people_t *p, const archived_t *a, const escrow_request_t *r, size_t i,
                    escrow_approval_t *approval) {
    secret_t *y = NULL;
    open_one(p, a, i, &a->shares[i], 1, &y);
    assert_ok(escrow_approve(r, &p->set.officers[i], p->sign[i], secret_bytes(y), 1500, approval));
    secret_free(y);
}

/* ---- records ---- */

#define ROUND(type, value, parse, put)                                                             \
    do {                                                                                           \
        static type again;                                                                         \
        buf_t one, two;                                                                            \
        buf_init(&one, BUF);                                                                       \
        buf_init(&two, BUF);                                                                       \
        assert_ok(put(value, &one));                                                               \
        assert_ok(parse(buf_bytes(&one), &again));                                                 \
        assert_ok(put(&again, &two));                                                              \
        assert_true(bytes_eq(buf_bytes(&one), buf_bytes(&two)));                                   \
        dump(#type, buf_bytes(&one));                                                              \
        bool open_end = strcmp(#type, "escrow_blob_t") == 0;                                       \
        for (size_t n = 0; n < (open_end ? ESCROW_BLOB_OVERHEAD : one.n); n += 1 + n / 16)         \
            assert_bad(parse(bytes_make(one.p, n), &again));                                       \
        assert_ok(buf_add_byte(&one, 0));                                                          \
        if (!open_end) assert_bad(parse(buf_bytes(&one), &again));                                 \
        one.p[8] = 9;                                                                              \
        assert_err(ERR_VERIFY, parse(buf_bytes(&one), &again));                                    \
        one.p[6] = 'x';                                                                            \
        assert_err(ERR_INVALID, parse(buf_bytes(&one), &again));                                   \
        buf_done(&one);                                                                            \
        buf_done(&two);                                                                            \
    } while (0)

static void assert_bad(err_t *e) {
    assert_non_null(e);
    err_free(e);
}

/* With ESCROW_CORPUS=DIR the records become a fuzzer's corpus. */
static void dump(const char *name, bytes_t record) {
    const char *dir = getenv("ESCROW_CORPUS");
    if (!dir) return;
    char *path = mem_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(record.p, 1, record.n, f), record.n);
    (void)fclose(f);
    mem_free(path);
}

static void redeal_round(bytes_t record) {
    escrow_redeal_t redeal;
    assert_ok(escrow_redeal_parse(record, &redeal));
    dump("escrow_redeal_t", record);
    for (size_t n = 0; n < record.n; n += 1 + n / 16)
        assert_bad(escrow_redeal_parse(bytes_make(record.p, n), &redeal));
}

static void test_escrow_format__every_record_has_one_form(void **state) {
    (void)state;
    people_t p;
    archived_t a;
    escrow_request_t request;
    escrow_approval_t approval;
    escrow_signature_t signature;
    pkey_t *recipient = NULL;
    people_make(&p, 1, NULL, THRESHOLD, OFFICERS);
    archive(&p, "secret", &a);
    assert_ok(pkey_generate(PKEY_X25519, 0, &recipient));
    request_make(&p, &a, recipient, &request);
    approve(&p, &a, &request, 1, &approval);
    assert_ok(escrow_set_sign(p.sign[0], "o", p.hash, &signature));
    escrow_delivery_t delivery = {
        .person = "p", .mailboxes = "one@example.org", .epoch = 1, .expires = 9};
    escrow_officer_file_t file = {.label = "one@example.org", .created = 7};
    assert_ok(escrow_officer_file_sign(p.sign[0], &file));
    uint8_t sealed[ESCROW_KEY + ESCROW_NONCE_TAG] = {7};
    escrow_wrap_t wrap = {3, BYTES_ARRAY(sealed)};
    escrow_blob_t blob;
    assert_ok(escrow_blob_parse(buf_bytes(&a.blob), &blob));
    ROUND(escrow_blob_t, &blob, escrow_blob_parse, escrow_blob_put);
    ROUND(escrow_wrap_t, &wrap, escrow_wrap_parse, escrow_wrap_put);
    ROUND(escrow_set_t, &p.set, escrow_set_parse, escrow_set_put);
    ROUND(escrow_share_t, &a.shares[2], escrow_share_parse, escrow_share_put);
    ROUND(escrow_request_t, &request, escrow_request_parse, escrow_request_put);
    ROUND(escrow_approval_t, &approval, escrow_approval_parse, escrow_approval_put);
    ROUND(escrow_signature_t, &signature, escrow_signature_parse, escrow_signature_put);
    ROUND(escrow_delivery_t, &delivery, escrow_delivery_parse, escrow_delivery_put);
    ROUND(escrow_officer_file_t, &file, escrow_officer_file_parse, escrow_officer_file_put);
    pkey_free(recipient);
    buf_done(&a.blob);
    people_done(&p);
}

static void test_escrow_format__ids_are_hex(void **state) {
    (void)state;
    uint8_t id[ESCROW_ID];
    char text[ESCROW_ID_TEXT];
    assert_ok(escrow_id_parse(BYTES_LIT("00112233445566778899aabbccddeeff"), id));
    escrow_id_text(id, text);
    assert_string_equal(text, "00112233445566778899aabbccddeeff");
    assert_err(ERR_INVALID, escrow_id_parse(BYTES_LIT("0011"), id));
    assert_err(ERR_INVALID, escrow_id_parse(BYTES_LIT("00112233445566778899aabbccddeefg"), id));
}

static void test_escrow_format__a_set_breaks_no_rule(void **state) {
    (void)state;
    people_t p;
    buf_t out;
    buf_init(&out, BUF);
    people_make(&p, 1, NULL, THRESHOLD, OFFICERS);
    escrow_set_t set = p.set;
    set.threshold = 1;
    assert_err(ERR_INVALID, escrow_set_put(&set, &out));
    set = p.set;
    set.threshold = OFFICERS + 1;
    assert_err(ERR_INVALID, escrow_set_put(&set, &out));
    set = p.set;
    set.officers[1].index = set.officers[0].index;
    assert_err(ERR_INVALID, escrow_set_put(&set, &out));
    set = p.set;
    memcpy(set.officers[1].person, set.officers[0].person, sizeof set.officers[0].person);
    assert_err(ERR_INVALID, escrow_set_put(&set, &out));
    set = p.set;
    memcpy(set.officers[3].sign, set.officers[0].sign, ESCROW_KEY);
    assert_err(ERR_INVALID, escrow_set_put(&set, &out));
    set = p.set;
    set.previous[0] = 1;
    assert_err(ERR_INVALID, escrow_set_put(&set, &out));
    set = p.set;
    set.epoch = 2;
    assert_err(ERR_INVALID, escrow_set_put(&set, &out));
    buf_done(&out);
    people_done(&p);
}

static void test_escrow_format__an_officers_file_proves_its_key(void **state) {
    (void)state;
    pkey_t *key = NULL;
    assert_ok(pkey_generate(PKEY_ED25519, 0, &key));
    escrow_officer_file_t file = {.label = "one@example.org", .created = 7};
    assert_ok(escrow_officer_file_sign(key, &file));
    assert_ok(escrow_officer_file_verify(&file));
    file.hpke[3] ^= 1;
    assert_err(ERR_VERIFY, escrow_officer_file_verify(&file));
    pkey_free(key);
}

/* ---- blob and wrap ---- */

static void test_escrow_seal__a_blob_opens_for_its_object_and_key_alone(void **state) {
    (void)state;
    escrow_object_t object = an_object();
    secret_t *dek = NULL, *other = NULL, *secret = NULL;
    buf_t blob;
    buf_init(&blob, BUF);
    assert_ok(escrow_dek_new(rnd_real(), &dek));
    assert_ok(escrow_dek_new(rnd_real(), &other));
    assert_err(ERR_INVALID, escrow_blob_seal(&object, dek, rnd_real(), BYTES_NONE, &blob));
    assert_ok(escrow_blob_seal(&object, dek, rnd_real(), BYTES_LIT("token"), &blob));
    assert_int_equal(blob.n, 5 + ESCROW_BLOB_OVERHEAD);
    assert_ok(escrow_blob_open(&object, dek, buf_bytes(&blob), &secret));
    assert_true(secret_eq(secret, BYTES_LIT("token")));
    secret_free(STEAL(secret));
    assert_err(ERR_DENIED, escrow_blob_open(&object, other, buf_bytes(&blob), &secret));
    for (int i = 0; i < 5; i++) {
        escrow_object_t changed = object;
        if (i == 0) changed.owner[0] = 'q';
        if (i == 1) changed.version = 2;
        if (i == 2) changed.has_spki = true;
        if (i == 3) changed.id[0] ^= 1;
        if (i == 4) changed.device[0] = 'D';
        assert_err(ERR_VERIFY, escrow_blob_open(&changed, dek, buf_bytes(&blob), &secret));
    }
    blob.p[blob.n - 1] ^= 1;
    assert_err(ERR_VERIFY, escrow_blob_open(&object, dek, buf_bytes(&blob), &secret));
    secret_free(dek);
    secret_free(other);
    buf_done(&blob);
}

static void test_escrow_seal__a_wrap_opens_for_its_object_and_number_alone(void **state) {
    (void)state;
    escrow_object_t object = an_object();
    secret_t *dek = NULL, *storage = NULL, *again = NULL;
    buf_t wrap;
    buf_init(&wrap, BUF);
    assert_ok(escrow_dek_new(rnd_real(), &dek));
    assert_ok(escrow_dek_new(rnd_real(), &storage));
    assert_ok(escrow_wrap_seal(&object, storage, 2, rnd_real(), dek, &wrap));
    assert_int_equal(wrap.n, ESCROW_WRAP_SIZE);
    assert_ok(escrow_wrap_open(&object, storage, buf_bytes(&wrap), &again));
    assert_true(secret_eq(again, secret_bytes(dek)));
    secret_free(STEAL(again));
    wrap.p[ESCROW_HEAD + 3] = 3;
    assert_err(ERR_VERIFY, escrow_wrap_open(&object, storage, buf_bytes(&wrap), &again));
    wrap.p[ESCROW_HEAD + 3] = 2;
    object.version = 2;
    assert_err(ERR_VERIFY, escrow_wrap_open(&object, storage, buf_bytes(&wrap), &again));
    secret_free(dek);
    secret_free(storage);
    buf_done(&wrap);
}

/* ---- recovery ---- */

static void test_escrow_seal__threshold_officers_recover(void **state) {
    (void)state;
    people_t p;
    archived_t a;
    escrow_request_t r;
    escrow_approval_t approvals[OFFICERS];
    pkey_t *recipient = NULL;
    secret_t *secret = NULL;
    people_make(&p, 1, NULL, THRESHOLD, OFFICERS);
    archive(&p, "the key", &a);
    assert_ok(pkey_generate(PKEY_X25519, 0, &recipient));
    request_make(&p, &a, recipient, &r);
    for (size_t i = 0; i < OFFICERS; i++) approve(&p, &a, &r, i, &approvals[i]);
    assert_ok(escrow_recover(&r, &p.set, approvals + 1, THRESHOLD, recipient, buf_bytes(&a.blob),
                             &secret));
    assert_true(secret_eq(secret, BYTES_LIT("the key")));
    secret_free(STEAL(secret));
    assert_ok(
        escrow_recover(&r, &p.set, approvals, OFFICERS, recipient, buf_bytes(&a.blob), &secret));
    secret_free(STEAL(secret));
    assert_err(ERR_DENIED, escrow_recover(&r, &p.set, approvals, THRESHOLD - 1, recipient,
                                          buf_bytes(&a.blob), &secret));
    escrow_approval_t twice[THRESHOLD] = {approvals[0], approvals[1], approvals[0]};
    assert_err(ERR_DENIED, escrow_recover(&r, &p.set, twice, THRESHOLD, recipient,
                                          buf_bytes(&a.blob), &secret));
    a.blob.p[a.blob.n - 1] ^= 1;
    assert_err(ERR_VERIFY, escrow_recover(&r, &p.set, approvals, THRESHOLD, recipient,
                                          buf_bytes(&a.blob), &secret));
    pkey_free(recipient);
    buf_done(&a.blob);
    people_done(&p);
}

static void assert_names(err_t *e, const char *name) {
    char text[512];
    assert_non_null(e);
    assert_non_null(strstr(err_text(e, text, sizeof text), name));
    err_free(e);
}

static void test_escrow_seal__a_wrong_share_is_named(void **state) {
    (void)state;
    people_t p;
    archived_t a;
    escrow_request_t r;
    escrow_approval_t approvals[OFFICERS];
    pkey_t *recipient = NULL;
    secret_t *secret = NULL, *y = NULL;
    escrow_opener_t *opener = NULL;
    people_make(&p, 1, NULL, THRESHOLD, OFFICERS);
    archive(&p, "the key", &a);
    assert_ok(pkey_generate(PKEY_X25519, 0, &recipient));
    request_make(&p, &a, recipient, &r);
    for (size_t i = 0; i < OFFICERS; i++) approve(&p, &a, &r, i, &approvals[i]);
    /* a stored share that was changed, at the officer */
    assert_ok(escrow_opener_new(p.hash, p.set.officers[1].id, p.hpke[1], &opener));
    a.shares[1].sealed[20] ^= 1;
    assert_names(escrow_share_open(opener, a.hash, &a.shares[1], &y), "officer-1-1");
    a.shares[1].sealed[20] ^= 1;
    a.shares[1].check[0] ^= 1;
    assert_names(escrow_share_open(opener, a.hash, &a.shares[1], &y), "officer-1-1");
    assert_names(escrow_share_open(opener, a.hash, &a.shares[0], &y), "officer-1-0");
    escrow_opener_free(opener);
    /* an approval that was changed, at the recipient */
    escrow_approval_t bad[OFFICERS];
    memcpy(bad, approvals, sizeof bad);
    bad[2].sealed[50] ^= 1;
    assert_names(escrow_recover(&r, &p.set, bad, THRESHOLD, recipient, buf_bytes(&a.blob), &secret),
                 "officer-1-2");
    /* an officer who signs a share of his own invention: found with one approval more */
    uint8_t lie[ESCROW_KEY] = {1, 2, 3};
    assert_ok(escrow_approve(&r, &p.set.officers[2], p.sign[2], BYTES_ARRAY(lie), 1500, &bad[2]));
    assert_err(ERR_VERIFY,
               escrow_recover(&r, &p.set, bad, THRESHOLD, recipient, buf_bytes(&a.blob), &secret));
    assert_names(
        escrow_recover(&r, &p.set, bad, THRESHOLD + 1, recipient, buf_bytes(&a.blob), &secret),
        "officer-1-2");
    pkey_free(recipient);
    buf_done(&a.blob);
    people_done(&p);
}

static void test_escrow_seal__an_approval_is_for_one_request(void **state) {
    (void)state;
    people_t p;
    archived_t a;
    escrow_request_t r, other;
    escrow_approval_t approval;
    pkey_t *recipient = NULL;
    secret_t *y = NULL;
    people_make(&p, 1, NULL, THRESHOLD, OFFICERS);
    archive(&p, "the key", &a);
    assert_ok(pkey_generate(PKEY_X25519, 0, &recipient));
    request_make(&p, &a, recipient, &r);
    approve(&p, &a, &r, 0, &approval);
    assert_ok(escrow_approval_verify(&r, &p.set, &approval));
    other = r;
    memcpy(other.reason, "another", 8);
    assert_err(ERR_VERIFY, escrow_approval_verify(&other, &p.set, &approval));
    other = r;
    other.id[0] ^= 1;
    assert_err(ERR_VERIFY, escrow_approval_verify(&other, &p.set, &approval));
    escrow_approval_t changed = approval;
    changed.officer[strlen(changed.officer) - 1] = '1'; /* officer-1-1 */
    assert_err(ERR_VERIFY, escrow_approval_verify(&r, &p.set, &changed));
    changed = approval;
    changed.signature[0] ^= 1;
    assert_err(ERR_VERIFY, escrow_approval_verify(&r, &p.set, &changed));
    /* the requester is an officer: not for his own */
    other = r;
    memcpy(other.requester, "person-0", 9);
    approve(&p, &a, &other, 0, &approval);
    assert_err(ERR_DENIED, escrow_approval_verify(&other, &p.set, &approval));
    open_one(&p, &a, 0, &a.shares[0], 1, &y);
    assert_err(ERR_DENIED,
               escrow_approve(&r, &p.set.officers[0], p.sign[0], secret_bytes(y), 2000, &approval));
    secret_free(y);
    pkey_free(recipient);
    buf_done(&a.blob);
    people_done(&p);
}

/* ---- officers change ---- */

static void test_escrow_seal__the_next_set_needs_the_threshold(void **state) {
    (void)state;
    people_t p, q;
    escrow_signature_t s[THRESHOLD];
    people_make(&p, 1, NULL, THRESHOLD, OFFICERS);
    people_make(&q, 2, p.hash, 2, 4);
    for (size_t i = 0; i < THRESHOLD; i++)
        assert_ok(escrow_set_sign(p.sign[i], p.set.officers[i].id, q.hash, &s[i]));
    assert_ok(escrow_set_verify_next(&p.set, &q.set, s, THRESHOLD));
    assert_err(ERR_DENIED, escrow_set_verify_next(&p.set, &q.set, s, THRESHOLD - 1));
    s[2] = s[0];
    assert_err(ERR_DENIED, escrow_set_verify_next(&p.set, &q.set, s, THRESHOLD));
    assert_ok(escrow_set_sign(q.sign[2], p.set.officers[2].id, q.hash, &s[2]));
    assert_err(ERR_VERIFY, escrow_set_verify_next(&p.set, &q.set, s, THRESHOLD));
    q.set.previous[0] ^= 1;
    assert_err(ERR_VERIFY, escrow_set_verify_next(&p.set, &q.set, s, THRESHOLD));
    people_done(&p);
    people_done(&q);
}

/* What dealer i of p deals to q for one object. */
static void redeal(const people_t *p, const people_t *q, const archived_t *a, size_t i,
                   buf_t *record) {
    escrow_redeal_t d = {
        .from_epoch = p->set.epoch,
        .to_epoch = q->set.epoch,
        .dealer = p->set.officers[i].index,
        .dealers_n = p->set.threshold,
        .threshold = q->set.threshold,
        .officers_n = (uint8_t)q->set.n,
        .count = 1,
    };
    secret_t *y = NULL;
    buf_t items;
    buf_init(&items, BUF);
    memcpy(d.from_set, p->hash, ESCROW_HASH);
    memcpy(d.to_set, q->hash, ESCROW_HASH);
    memcpy(d.officer, p->set.officers[i].id, sizeof d.officer);
    for (size_t k = 0; k < p->set.threshold; k++) d.dealers[k] = p->set.officers[k].index;
    for (size_t k = 0; k < q->set.n; k++) {
        d.indices[k] = q->set.officers[k].index;
        memcpy(d.encs[k], escrow_sealer_enc(q->sealers[k]), ESCROW_ENC);
    }
    open_one(p, a, i, &a->shares[i], 1, &y);
    assert_ok(escrow_redeal_add(&d, &a->object, &q->set, q->sealers, rnd_real(), secret_bytes(y),
                                &items));
    d.items = buf_bytes(&items);
    assert_ok(escrow_redeal_sign(&d, p->sign[i], record));
    secret_free(y);
    buf_done(&items);
}

static void test_escrow_seal__officers_change_without_the_key_being_seen(void **state) {
    (void)state;
    people_t p, q;
    archived_t a;
    escrow_share_t parts[OFFICERS][THRESHOLD];
    people_make(&p, 1, NULL, THRESHOLD, OFFICERS);
    people_make(&q, 2, p.hash, 2, 4);
    archive(&p, "the key", &a);
    for (size_t i = 0; i < THRESHOLD; i++) {
        buf_t record;
        escrow_redeal_t d;
        escrow_redeal_item_t item;
        buf_init(&record, BUF);
        redeal(&p, &q, &a, i, &record);
        redeal_round(buf_bytes(&record));
        assert_ok(escrow_redeal_parse(buf_bytes(&record), &d));
        assert_ok(escrow_redeal_verify(&d, &p.set, &q.set));
        assert_ok(escrow_redeal_item(&d, 0, &item));
        assert_memory_equal(item.object_hash, a.hash, ESCROW_HASH);
        for (size_t k = 0; k < q.set.n; k++)
            assert_ok(escrow_redeal_share(&d, &item, &q.set, k, &parts[k][i]));
        assert_err(ERR_VERIFY, escrow_redeal_share(&d, &item, &p.set, 0, &parts[0][i]));
        record.p[record.n - ESCROW_SIGNATURE - 1] ^= 1;
        assert_ok(escrow_redeal_parse(buf_bytes(&record), &d));
        assert_err(ERR_VERIFY, escrow_redeal_verify(&d, &p.set, &q.set));
        buf_done(&record);
    }
    escrow_request_t r;
    escrow_approval_t approvals[2];
    pkey_t *recipient = NULL;
    secret_t *secret = NULL, *y = NULL;
    assert_ok(pkey_generate(PKEY_X25519, 0, &recipient));
    request_make(&q, &a, recipient, &r);
    for (size_t k = 0; k < 2; k++) {
        open_one(&q, &a, k + 2, parts[k + 2], THRESHOLD, &y);
        assert_ok(escrow_approve(&r, &q.set.officers[k + 2], q.sign[k + 2], secret_bytes(y), 1500,
                                 &approvals[k]));
        secret_free(STEAL(y));
    }
    assert_ok(escrow_recover(&r, &q.set, approvals, 2, recipient, buf_bytes(&a.blob), &secret));
    assert_true(secret_eq(secret, BYTES_LIT("the key")));
    secret_free(secret);
    /* a part missing, a part twice */
    escrow_opener_t *opener = NULL;
    assert_ok(escrow_opener_new(q.hash, q.set.officers[0].id, q.hpke[0], &opener));
    assert_err(ERR_VERIFY, escrow_shares_open(opener, a.hash, parts[0], THRESHOLD - 1, &y));
    parts[0][1] = parts[0][0];
    assert_err(ERR_VERIFY, escrow_shares_open(opener, a.hash, parts[0], THRESHOLD, &y));
    escrow_opener_free(opener);
    pkey_free(recipient);
    buf_done(&a.blob);
    people_done(&p);
    people_done(&q);
}

static void test_escrow_seal__a_delivery_needs_signatures(void **state) {
    (void)state;
    people_t p;
    escrow_signature_t s[2];
    escrow_delivery_t d = {
        .person = "person-9", .mailboxes = "nine@example.org", .epoch = 1, .expires = 100};
    people_make(&p, 1, NULL, 2, 3);
    for (size_t i = 0; i < 2; i++)
        assert_ok(escrow_delivery_sign(p.sign[i], p.set.officers[i].id, &d, &s[i]));
    assert_ok(escrow_delivery_verify(&p.set, &d, s, 2, 2));
    assert_err(ERR_DENIED, escrow_delivery_verify(&p.set, &d, s, 1, 2));
    d.certificate[0] = 1;
    assert_err(ERR_VERIFY, escrow_delivery_verify(&p.set, &d, s, 2, 2));
    d.certificate[0] = 0;
    d.mailboxes[0] = 'm';
    assert_err(ERR_VERIFY, escrow_delivery_verify(&p.set, &d, s, 2, 2));
    d.mailboxes[0] = '\0'; /* whose keys they are has to be said */
    assert_err(ERR_INVALID, escrow_delivery_verify(&p.set, &d, s, 2, 2));
    people_done(&p);
}

static void test_escrow_recipient__an_address_among_other_words(void **state) {
    (void)state;
    static const char *const named[] = {
        "ben@example.org",        "BEN@Example.org",     "Ben (ben@example.org)",
        "Ben <ben@example.org>",  "to ben@example.org.", "zoe@example.org,ben@example.org",
        "mailto:ben@example.org", "-ben@example.org",
    };
    static const char *const not_named[] = {
        "",
        "Ben",
        "reuben@example.org",
        "big.ben@example.org",
        "ben@example.org.uk",
        "ben@example.organisation",
        "ben@example.or",
    };
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        assert_true(escrow_recipient_names(named[i], "ben@example.org"));
    for (size_t i = 0; i < sizeof not_named / sizeof not_named[0]; i++)
        assert_false(escrow_recipient_names(not_named[i], "ben@example.org"));
    assert_false(escrow_recipient_names("anybody", ""));
}

static void test_escrow_format__a_delivery_names_mailboxes(void **state) {
    (void)state;
    escrow_delivery_t d = {.mailboxes = "One@example.org  two@example.org"};
    assert_true(escrow_delivery_names(&d, BYTES_LIT("one@EXAMPLE.org")));
    assert_true(escrow_delivery_names(&d, BYTES_LIT("two@example.org")));
    assert_false(escrow_delivery_names(&d, BYTES_LIT("two@example.or")));
    assert_false(escrow_delivery_names(&d, BYTES_LIT("wo@example.org")));
    assert_false(escrow_delivery_names(&d, BYTES_LIT("One@example.org  two@example.org")));
    assert_false(escrow_delivery_names(&d, BYTES_NONE));
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escrow_format__every_record_has_one_form),
        cmocka_unit_test(test_escrow_format__ids_are_hex),
        cmocka_unit_test(test_escrow_format__a_set_breaks_no_rule),
        cmocka_unit_test(test_escrow_format__an_officers_file_proves_its_key),
        cmocka_unit_test(test_escrow_seal__a_blob_opens_for_its_object_and_key_alone),
        cmocka_unit_test(test_escrow_seal__a_wrap_opens_for_its_object_and_number_alone),
        cmocka_unit_test(test_escrow_seal__threshold_officers_recover),
        cmocka_unit_test(test_escrow_seal__a_wrong_share_is_named),
        cmocka_unit_test(test_escrow_seal__an_approval_is_for_one_request),
        cmocka_unit_test(test_escrow_seal__the_next_set_needs_the_threshold),
        cmocka_unit_test(test_escrow_seal__officers_change_without_the_key_being_seen),
        cmocka_unit_test(test_escrow_seal__a_delivery_needs_signatures),
        cmocka_unit_test(test_escrow_format__a_delivery_names_mailboxes),
        cmocka_unit_test(test_escrow_recipient__an_address_among_other_words),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
