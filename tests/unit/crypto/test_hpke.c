/*
 * HPKE: the base and PSK vectors of RFC 9180 appendices A.1 (X25519, AES-128-GCM), A.2 (ChaCha20)
 * and A.7 (export only) from a file outside the tree, then Coffer's own suite by round trips.
 */
#include "hex.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "crypto/hpke.h"
#include "crypto/hpke_internal.h"

#define VECTORS "hpke-rfc9180-x25519.json"

/* The vectors, or NULL with a loud note. COFFER_SHARED overrides where shared files lie. */
static json_t *load_vectors(void) {
    const char *shared = getenv("COFFER_SHARED");
    CLEANUP(mem_free)
    char *path = shared ? mem_printf("%s/data/%s", shared, VECTORS)
                        : mem_printf("%s/%s", COFFER_SHARED_DATA, VECTORS);
    assert_non_null(path);
    json_error_t why;
    json_t *vectors = json_load_file(path, 0, &why);
    if (!vectors) print_error("SKIPPED, NOT TESTED: RFC 9180 vectors: %s: %s\n", path, why.text);
    return vectors;
}

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    if (!text) print_error("vector without %s\n", name);
    assert_non_null(text);
    return text;
}

static unsigned number_of(const json_t *object, const char *name) {
    return (unsigned)strtoul(text_of(object, name), NULL, 10);
}

static hpke_suite_t suite_of(const json_t *setup) {
    switch (number_of(setup, "aead_id")) {
    case 1: return HPKE_AES128_GCM;
    case 2: return HPKE_AES256_GCM;
    case 3: return HPKE_CHACHA20_POLY1305;
    case 65535: return HPKE_EXPORT_ONLY;
    default: fail_msg("unknown AEAD in the vectors"); return HPKE_EXPORT_ONLY;
    }
}

static pkey_t *derived_key(const json_t *setup, const char *ikm_name, const char *sk_name,
                           const char *pk_name) {
    CLEANUP(buf_done) buf_t ikm = hex(text_of(setup, ikm_name));
    CLEANUP(buf_done) buf_t raw = hex(text_of(setup, sk_name));
    pkey_t *key = NULL;
    assert_ok(hpke_derive_key(buf_bytes(&ikm), &key));
    uint8_t public[32];
    assert_ok(pkey_raw_public(key, public));
    assert_hex(BYTES_ARRAY(public), text_of(setup, pk_name));
    CLEANUP(pkey_free) pkey_t *given = NULL;
    assert_ok(pkey_from_raw_private(PKEY_X25519, buf_bytes(&raw), &given));
    assert_true(pkey_same_public(key, given));
    return key;
}

static void check_schedule(const json_t *setup, const hpke_t *hpke) {
    assert_hex(hpke_key(hpke), text_of(setup, "key"));
    assert_hex(hpke_base_nonce(hpke), text_of(setup, "base_nonce"));
    assert_hex(hpke_exporter_secret(hpke), text_of(setup, "exporter_secret"));
}

/* The vectors skip sequence numbers; the contexts go through all of them. */
static void check_encryptions(const json_t *vector, hpke_t *sender, hpke_t *receiver) {
    unsigned sequence = 0;
    size_t i = 0;
    const json_t *entry = NULL;
    json_array_foreach(json_object_get(vector, "encryptions"), i, entry) {
        CLEANUP(buf_done) buf_t plaintext = hex(text_of(entry, "pt"));
        CLEANUP(buf_done) buf_t aad = hex(text_of(entry, "aad"));
        CLEANUP(buf_done) buf_t sealed;
        CLEANUP(buf_done) buf_t opened;
        buf_init(&sealed, 1000);
        buf_init_secret(&opened, 1000);
        for (unsigned wanted = number_of(entry, "sequence number"); sequence <= wanted;
             sequence++) {
            buf_clear(&sealed);
            buf_clear(&opened);
            assert_ok(hpke_context_seal(sender, buf_bytes(&aad), buf_bytes(&plaintext), &sealed));
            assert_ok(hpke_context_open(receiver, buf_bytes(&aad), buf_bytes(&sealed), &opened));
        }
        assert_hex(buf_bytes(&sealed), text_of(entry, "ct"));
        assert_hex(buf_bytes(&opened), text_of(entry, "pt"));
    }
}

static void check_exports(const json_t *vector, const hpke_t *sender, const hpke_t *receiver) {
    size_t i = 0;
    const json_t *entry = NULL;
    assert_true(json_array_size(json_object_get(vector, "exported_values")) > 0);
    json_array_foreach(json_object_get(vector, "exported_values"), i, entry) {
        CLEANUP(buf_done) buf_t context = hex(text_of(entry, "exporter_context"));
        CLEANUP(secret_free) secret_t *a = NULL;
        CLEANUP(secret_free) secret_t *b = NULL;
        size_t n = number_of(entry, "L");
        assert_ok(hpke_export(sender, buf_bytes(&context), n, &a));
        assert_ok(hpke_export(receiver, buf_bytes(&context), n, &b));
        assert_hex(secret_bytes(a), text_of(entry, "exported_value"));
        assert_true(secret_eq(a, secret_bytes(b)));
    }
}

static void check_vector(const json_t *vector) {
    const json_t *setup = json_object_get(vector, "setup");
    hpke_suite_t suite = suite_of(setup);
    bool with_psk = number_of(setup, "mode") == 1;
    CLEANUP(pkey_free) pkey_t *ephemeral = derived_key(setup, "ikmE", "skEm", "pkEm");
    CLEANUP(pkey_free) pkey_t *recipient = derived_key(setup, "ikmR", "skRm", "pkRm");
    CLEANUP(buf_done) buf_t info = hex(text_of(setup, "info"));
    CLEANUP(buf_done) buf_t key = hex(with_psk ? text_of(setup, "psk") : "");
    CLEANUP(buf_done) buf_t id = hex(with_psk ? text_of(setup, "psk_id") : "");
    const hpke_psk_t psk = {.key = buf_bytes(&key), .id = buf_bytes(&id)};
    const hpke_psk_t *used = with_psk ? &psk : NULL;
    CLEANUP(hpke_free) hpke_t *sender = NULL;
    CLEANUP(hpke_free) hpke_t *receiver = NULL;
    uint8_t enc[HPKE_ENC_SIZE];
    assert_ok(hpke_sender_new_deterministic(suite, recipient, ephemeral, buf_bytes(&info), used,
                                            enc, &sender));
    assert_hex(BYTES_ARRAY(enc), text_of(setup, "enc"));
    assert_ok(
        hpke_receiver_new(suite, recipient, BYTES_ARRAY(enc), buf_bytes(&info), used, &receiver));
    check_schedule(setup, sender);
    check_schedule(setup, receiver);
    check_encryptions(vector, sender, receiver);
    check_exports(vector, sender, receiver);
}

static void test_hpke__matches_rfc_9180(void **state) {
    (void)state;
    json_t *vectors = load_vectors();
    if (!vectors) skip();
    unsigned ran = 0;
    size_t i = 0;
    const json_t *vector = NULL;
    json_array_foreach(vectors, i, vector) {
        if (number_of(json_object_get(vector, "setup"), "mode") > 1) continue; /* auth */
        check_vector(vector);
        ran++;
    }
    json_decref(vectors);
    assert_int_equal(ran, 6);
}

static pkey_t *some_key(void) {
    pkey_t *key = NULL;
    assert_ok(pkey_generate(PKEY_X25519, 0, &key));
    return key;
}

static void test_hpke__seals_to_a_public_key_in_every_suite(void **state) {
    (void)state;
    static const hpke_suite_t suites[] = {HPKE_AES128_GCM, HPKE_AES256_GCM, HPKE_CHACHA20_POLY1305};
    CLEANUP(pkey_free) pkey_t *key = some_key();
    uint8_t raw[32];
    assert_ok(pkey_raw_public(key, raw));
    CLEANUP(pkey_free) pkey_t *public = NULL;
    assert_ok(pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(raw), &public));
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(buf_done) buf_t sealed;
        CLEANUP(buf_done) buf_t opened;
        buf_init(&sealed, 1000);
        buf_init_secret(&opened, 1000);
        assert_ok(hpke_seal(suites[i], public, BYTES_LIT("info"), BYTES_LIT("aad"),
                            BYTES_LIT("plaintext"), &sealed));
        assert_int_equal(sealed.n, 9 + HPKE_OVERHEAD);
        assert_ok(hpke_open(suites[i], key, BYTES_LIT("info"), BYTES_LIT("aad"), buf_bytes(&sealed),
                            &opened));
        assert_true(bytes_eq_str(buf_bytes(&opened), "plaintext"));
        hpke_suite_t other = suites[(i + 1) % 3];
        assert_err(ERR_VERIFY, hpke_open(other, key, BYTES_LIT("info"), BYTES_LIT("aad"),
                                         buf_bytes(&sealed), &opened));
        assert_err(ERR_USAGE, hpke_open(suites[i], public, BYTES_LIT("info"), BYTES_LIT("aad"),
                                        buf_bytes(&sealed), &opened));
    }
}

static void test_hpke__refuses_every_changed_byte_alike(void **state) {
    (void)state;
    CLEANUP(pkey_free) pkey_t *key = some_key();
    CLEANUP(pkey_free) pkey_t *other = some_key();
    CLEANUP(buf_done) buf_t sealed;
    CLEANUP(buf_done) buf_t out;
    buf_init(&sealed, 1000);
    buf_init_secret(&out, 1000);
    bytes_t info = BYTES_LIT("device 1, epoch 2");
    assert_ok(hpke_seal(HPKE_AES256_GCM, key, info, BYTES_LIT("aad"), BYTES_LIT("kek"), &sealed));
    bytes_t all = buf_bytes(&sealed);
    for (size_t i = 0; i < sealed.n; i++) {
        sealed.p[i] ^= 0x01;
        err_t *e = hpke_open(HPKE_AES256_GCM, key, info, BYTES_LIT("aad"), all, &out);
        sealed.p[i] ^= 0x01;
        assert_non_null(e);
        assert_string_equal(err_message(e), "the sealed data does not open");
        assert_err(ERR_VERIFY, e);
        assert_err(ERR_VERIFY, hpke_open(HPKE_AES256_GCM, key, info, BYTES_LIT("aad"),
                                         bytes_slice(all, 0, i), &out));
    }
    assert_err(ERR_VERIFY,
               hpke_open(HPKE_AES256_GCM, key, BYTES_LIT("x"), BYTES_LIT("aad"), all, &out));
    assert_err(ERR_VERIFY, hpke_open(HPKE_AES256_GCM, key, info, BYTES_LIT("x"), all, &out));
    assert_err(ERR_VERIFY, hpke_open(HPKE_AES256_GCM, other, info, BYTES_LIT("aad"), all, &out));
    memset(sealed.p, 0, HPKE_ENC_SIZE); /* the point of small order that has no shared secret */
    assert_err(ERR_VERIFY, hpke_open(HPKE_AES256_GCM, key, info, BYTES_LIT("aad"), all, &out));
    assert_int_equal(out.n, 0);
}

static void test_hpke__opens_into_locked_memory(void **state) {
    (void)state;
    CLEANUP(pkey_free) pkey_t *key = some_key();
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, 1000);
    assert_ok(hpke_seal(HPKE_AES256_GCM, key, BYTES_NONE, BYTES_NONE, BYTES_LIT("kek"), &sealed));
    secret_t *out = NULL;
    assert_ok(
        hpke_open_secret(HPKE_AES256_GCM, key, BYTES_NONE, BYTES_NONE, buf_bytes(&sealed), &out));
    assert_true(secret_eq(out, BYTES_LIT("kek")));
    secret_free(out);
    out = NULL;
    buf_clear(&sealed);
    assert_ok(hpke_seal(HPKE_AES256_GCM, key, BYTES_NONE, BYTES_NONE, BYTES_NONE, &sealed));
    assert_err(ERR_VERIFY, hpke_open_secret(HPKE_AES256_GCM, key, BYTES_NONE, BYTES_NONE,
                                            buf_bytes(&sealed), &out));
    assert_null(out);
}

static void test_hpke__refuses_unfit_keys(void **state) {
    (void)state;
    CLEANUP(pkey_free) pkey_t *signing = NULL;
    assert_ok(pkey_generate(PKEY_ED25519, 0, &signing));
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 1000);
    assert_err(ERR_USAGE,
               hpke_seal(HPKE_AES256_GCM, signing, BYTES_NONE, BYTES_NONE, BYTES_LIT("x"), &out));
    static const uint8_t zero[32] = {0};
    CLEANUP(pkey_free) pkey_t *small = NULL;
    assert_ok(pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(zero), &small));
    assert_err(ERR_INVALID,
               hpke_seal(HPKE_AES256_GCM, small, BYTES_NONE, BYTES_NONE, BYTES_LIT("x"), &out));
    CLEANUP(pkey_free) pkey_t *key = some_key();
    assert_err(ERR_USAGE,
               hpke_seal(HPKE_EXPORT_ONLY, key, BYTES_NONE, BYTES_NONE, BYTES_LIT("x"), &out));
    assert_int_equal(out.n, 0);
    const hpke_psk_t weak = {.key = BYTES_LIT("too short"), .id = BYTES_LIT("id")};
    uint8_t enc[HPKE_ENC_SIZE];
    hpke_t *sender = NULL;
    assert_err(ERR_USAGE, hpke_sender_new(HPKE_AES256_GCM, key, BYTES_NONE, &weak, enc, &sender));
    assert_null(sender);
}

static void test_hpke__context_keeps_order_and_side(void **state) {
    (void)state;
    CLEANUP(pkey_free) pkey_t *key = some_key();
    CLEANUP(hpke_free) hpke_t *sender = NULL;
    CLEANUP(hpke_free) hpke_t *receiver = NULL;
    uint8_t enc[HPKE_ENC_SIZE];
    assert_ok(hpke_sender_new(HPKE_AES256_GCM, key, BYTES_NONE, NULL, enc, &sender));
    assert_ok(
        hpke_receiver_new(HPKE_AES256_GCM, key, BYTES_ARRAY(enc), BYTES_NONE, NULL, &receiver));
    CLEANUP(buf_done) buf_t first;
    CLEANUP(buf_done) buf_t second;
    CLEANUP(buf_done) buf_t out;
    buf_init(&first, 100);
    buf_init(&second, 100);
    buf_init_secret(&out, 100);
    assert_ok(hpke_context_seal(sender, BYTES_NONE, BYTES_LIT("1"), &first));
    assert_ok(hpke_context_seal(sender, BYTES_NONE, BYTES_LIT("2"), &second));
    assert_err(ERR_VERIFY, hpke_context_open(receiver, BYTES_NONE, buf_bytes(&second), &out));
    assert_ok(hpke_context_open(receiver, BYTES_NONE, buf_bytes(&first), &out));
    assert_err(ERR_VERIFY, hpke_context_open(receiver, BYTES_NONE, buf_bytes(&first), &out));
    assert_ok(hpke_context_open(receiver, BYTES_NONE, buf_bytes(&second), &out));
    assert_true(bytes_eq_str(buf_bytes(&out), "12"));
    assert_err(ERR_USAGE, hpke_context_open(sender, BYTES_NONE, buf_bytes(&first), &out));
    assert_err(ERR_USAGE, hpke_context_seal(receiver, BYTES_NONE, BYTES_LIT("x"), &out));
}

static err_t *round_trip(const pkey_t *key) {
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, 500);
    CLEANUP(secret_free) secret_t *out = NULL;
    TRY(hpke_seal(HPKE_AES256_GCM, key, BYTES_NONE, BYTES_NONE, BYTES_LIT("kek"), &sealed));
    TRY(hpke_open_secret(HPKE_AES256_GCM, key, BYTES_NONE, BYTES_NONE, buf_bytes(&sealed), &out));
    return NULL;
}

static void test_hpke__survives_every_failed_allocation(void **state) {
    (void)state;
    CLEANUP(pkey_free) pkey_t *key = some_key();
    for (unsigned long nth = 1;; nth++) {
        assert_true(nth < 200);
        fault_arm_memory(nth);
        err_t *e = round_trip(key);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_err(ERR_NOMEM, e);
    }
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hpke__matches_rfc_9180),
        cmocka_unit_test(test_hpke__seals_to_a_public_key_in_every_suite),
        cmocka_unit_test(test_hpke__refuses_every_changed_byte_alike),
        cmocka_unit_test(test_hpke__opens_into_locked_memory),
        cmocka_unit_test(test_hpke__refuses_unfit_keys),
        cmocka_unit_test(test_hpke__context_keeps_order_and_side),
        cmocka_unit_test(test_hpke__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
