/*
 * Secrets that devices send, asked by the real client: opened in the keeper alone, archived once,
 * refused when they are something else; and the proof to who holds a disk's key.
 */
#include "keeper_fixture.h"

#include <stdio.h>

#include "base/mem.h"
#include "crypto/cms.h"
#include "keeper/client_device_secret.h"

#define DISK_KEY "ABCD-EF01-2345-6789-GHJK-LMNP"

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

static escrow_object_t object_of(const char *kind, const char *device, uint8_t id) {
    escrow_object_t object = {.version = 1};
    memset(object.id, id, sizeof object.id);
    (void)snprintf(object.kind, sizeof object.kind, "%s", kind);
    (void)snprintf(object.device, sizeof object.device, "%s", device);
    return object;
}

static keeper_kept_t kept_of(const keeper_archived_t *a) {
    return (keeper_kept_t){.object = a->object,
                           .blob = buf_bytes(&a->blob),
                           .wrap = buf_bytes(&a->wrap),
                           .certificate = buf_bytes(&a->certificate)};
}

static void make_receiver(keeper_fixture_t *f, const char *device, uint8_t id,
                          keeper_archived_t *a) {
    escrow_object_t object = object_of(ESCROW_KIND_RECEIVER, device, id);
    keeper_archived_init(a);
    assert_ok(keeper_receiver_make(f->keeper, &object, a));
}

/* As a Mac encrypts to what the profile gave it. */
static void encrypt(const keeper_archived_t *receiver, const char *text, buf_t *out) {
    cert_t *cert = NULL;
    const cms_encrypt_options_t old = {.cipher = CMS_DES3_CBC, .indefinite = true};
    assert_ok(cert_parse_der(buf_bytes(&receiver->certificate), &cert));
    assert_ok(cms_encrypt_to(bytes_str(text), cert, &old, out));
    cert_free(cert);
}

static err_t *take(keeper_fixture_t *f, const escrow_object_t *object, const keeper_archived_t *to,
                   const keeper_archived_t *previous, bytes_t secret, bool *same,
                   keeper_archived_t *ret) {
    keeper_kept_t receiver, before;
    keeper_taking_t taking = {.object = *object, .secret = secret};
    if (to) {
        receiver = kept_of(to);
        taking.to = &receiver;
    }
    if (previous) {
        before = kept_of(previous);
        taking.previous = &before;
    }
    keeper_archived_done(ret);
    keeper_archived_init(ret);
    return keeper_secret_take(f->keeper, &taking, same, ret);
}

static void test_device_secret__recovery_key_is_opened_and_archived_once(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(keeper_archived_done) keeper_archived_t receiver, first, again;
    CLEANUP(buf_done) buf_t message, secret;
    escrow_object_t object = object_of(ESCROW_KIND_FILEVAULT, "mac-1", 2);
    bool same = true;
    keeper_archived_init(&first);
    keeper_archived_init(&again);
    buf_init(&message, 1 << 16);
    buf_init_secret(&secret, 256);
    make_receiver(f, "mac-1", 1, &receiver);
    assert_true(receiver.object.has_spki);
    encrypt(&receiver, DISK_KEY, &message);
    assert_ok(take(f, &object, &receiver, NULL, buf_bytes(&message), &same, &first));
    assert_false(same);
    assert_ok(keeper_escrow_fill(f->keeper, &first.object, buf_bytes(&first.blob),
                                 buf_bytes(&first.wrap), "C-1", &secret));
    assert_true(bytes_eq_str(buf_bytes(&secret), DISK_KEY));
    /* Encrypted anew it is another message and the same key. */
    object.version = 2;
    buf_clear(&message);
    encrypt(&receiver, DISK_KEY, &message);
    assert_ok(take(f, &object, &receiver, &first, buf_bytes(&message), &same, &again));
    assert_true(same);
    buf_clear(&message);
    encrypt(&receiver, "1111-2222-3333-4444-5555-6666", &message);
    assert_ok(take(f, &object, &receiver, &first, buf_bytes(&message), &same, &again));
    assert_false(same);
    assert_int_equal(again.object.version, 2);
}

static void test_device_secret__what_is_no_recovery_key_is_refused(void **state) {
    keeper_fixture_t *f = *state;
    static const char *const odd[] = {"", "ABCD-EF01-2345-6789-GHJK",
                                      "abcd-ef01-2345-6789-ghjk-lmnp",
                                      "ABCD-EF01-2345-6789-GHJKALMNP", (DISK_KEY "\n")};
    CLEANUP(keeper_archived_done) keeper_archived_t receiver, other, a;
    CLEANUP(buf_done) buf_t message;
    escrow_object_t object = object_of(ESCROW_KIND_FILEVAULT, "mac-1", 2);
    bool same = false;
    keeper_archived_init(&a);
    buf_init(&message, 1 << 16);
    make_receiver(f, "mac-1", 1, &receiver);
    make_receiver(f, "mac-2", 3, &other);
    for (size_t i = 1; i < sizeof odd / sizeof odd[0]; i++) {
        buf_clear(&message);
        encrypt(&receiver, odd[i], &message);
        assert_err(ERR_INVALID, take(f, &object, &receiver, NULL, buf_bytes(&message), &same, &a));
    }
    buf_clear(&message);
    encrypt(&other, DISK_KEY, &message);
    assert_err(ERR_VERIFY, take(f, &object, &receiver, NULL, buf_bytes(&message), &same, &a));
    assert_err(ERR_DENIED, take(f, &object, &other, NULL, buf_bytes(&message), &same, &a));
    assert_err(ERR_VERIFY, take(f, &object, &receiver, NULL, BYTES_LIT("\x30\x80"), &same, &a));
    /* In clear: nobody could have kept it from the web. */
    assert_err(ERR_DENIED, take(f, &object, NULL, NULL, BYTES_LIT(DISK_KEY), &same, &a));
    /* Kinds that no device sends, and a receiver that is none. */
    object = object_of(ESCROW_KIND_FILE, "mac-1", 4);
    assert_err(ERR_DENIED, take(f, &object, NULL, NULL, BYTES_LIT("x"), &same, &a));
    object = object_of(ESCROW_KIND_BYPASS, "mac-1", 5);
    assert_err(ERR_INVALID, take(f, &object, NULL, NULL, BYTES_LIT("<x>"), &same, &a));
    assert_ok(take(f, &object, NULL, NULL, BYTES_LIT("3UM43-PUYVY"), &same, &a));
    object = object_of(ESCROW_KIND_FILEVAULT, "mac-1", 6);
    buf_clear(&message);
    encrypt(&receiver, DISK_KEY, &message);
    assert_err(ERR_DENIED, take(f, &object, &a, NULL, buf_bytes(&message), &same, &other));
}

static void test_device_secret__a_swapped_receiver_opens_nothing(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(keeper_archived_done) keeper_archived_t one, two, a;
    CLEANUP(buf_done) buf_t message;
    escrow_object_t object = object_of(ESCROW_KIND_FILEVAULT, "mac-1", 9);
    bool same = false;
    keeper_archived_init(&a);
    buf_init(&message, 1 << 16);
    make_receiver(f, "mac-1", 1, &one);
    make_receiver(f, "mac-1", 2, &two);
    encrypt(&one, DISK_KEY, &message);
    keeper_kept_t mixed = kept_of(&one);
    mixed.certificate = buf_bytes(&two.certificate);
    keeper_taking_t taking = {.object = object, .secret = buf_bytes(&message), .to = &mixed};
    assert_err(ERR_VERIFY, keeper_secret_take(f->keeper, &taking, &same, &a));
    mixed = kept_of(&one);
    mixed.blob = buf_bytes(&two.blob);
    assert_err(ERR_VERIFY, keeper_secret_take(f->keeper, &taking, &same, &a));
}

static err_t *take_code(keeper_fixture_t *f, const char *device, unsigned number) {
    CLEANUP(keeper_archived_done) keeper_archived_t got;
    escrow_object_t object = object_of(ESCROW_KIND_BYPASS, device, (uint8_t)(10 + number % 200));
    char code[32];
    bool same = false;
    keeper_archived_init(&got);
    object.id[0] = (uint8_t)device[0];
    (void)snprintf(code, sizeof code, "CODE%u", number);
    return take(f, &object, NULL, NULL, bytes_str(code), &same, &got);
}

static void test_device_secret__takes_are_capped_a_day(void **state) {
    keeper_fixture_t *f = *state;
    char text[200];
    for (unsigned i = 0; i < LIMIT_KEEPER_TAKES; i++) assert_ok(take_code(f, "a-phone", i));
    err_t *e = take_code(f, "a-phone", LIMIT_KEEPER_TAKES);
    assert_non_null(e);
    assert_int_equal(err_code(e), ERR_BUSY);
    assert_non_null(strstr(err_text(e, text, sizeof text), "ALARM"));
    err_free(e);
    /* Another device's are not touched, but by the cap over all. */
    assert_ok(take_code(f, "b-phone", 0));
    f->core.takes_all = LIMIT_KEEPER_TAKES + 2;
    assert_ok(take_code(f, "c-phone", 0));
    assert_err(ERR_BUSY, take_code(f, "d-phone", 0));
    clk_fake_advance(&f->clk, (int64_t)25 * 3600 * 1000);
    assert_ok(take_code(f, "d-phone", 0));
    assert_ok(take_code(f, "a-phone", LIMIT_KEEPER_TAKES + 1));
    f->core.takes_all = 0;
}

static void test_device_secret__receivers_are_of_devices_and_new(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(keeper_archived_done) keeper_archived_t a;
    escrow_object_t object = object_of(ESCROW_KIND_RECEIVER, "", 1);
    keeper_archived_init(&a);
    assert_err(ERR_DENIED, keeper_receiver_make(f->keeper, &object, &a));
    object = object_of(ESCROW_KIND_LUKS, "mac-1", 1);
    assert_err(ERR_DENIED, keeper_receiver_make(f->keeper, &object, &a));
    object = object_of(ESCROW_KIND_RECEIVER, "mac-1", 1);
    object.version = 2;
    assert_err(ERR_INVALID, keeper_receiver_make(f->keeper, &object, &a));
    f->role = ROLE_COURIER;
    object.version = 1;
    assert_err(ERR_DENIED, keeper_receiver_make(f->keeper, &object, &a));
}

static void test_device_secret__proof_is_of_the_archived_disk_key(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(keeper_archived_done) keeper_archived_t a, pin;
    const uint8_t nonce[KEEPER_PROOF] = {1, 2, 3};
    const uint8_t nonce2[KEEPER_PROOF] = {1, 2, 4};
    uint8_t proof[KEEPER_PROOF], want[KEEPER_PROOF];
    escrow_object_t object = object_of(ESCROW_KIND_LUKS, "", 1);
    keeper_archived_init(&a);
    keeper_archived_init(&pin);
    assert_ok(keeper_escrow_archive(f->keeper, &object, KEEPER_WRAP_AUTOMATIC,
                                    BYTES_LIT("a recovery key"), &a));
    keeper_kept_t kept = kept_of(&a);
    assert_ok(keeper_secret_prove(f->keeper, &kept, nonce, proof));
    assert_ok(keeper_proof_make(BYTES_LIT("a recovery key"), nonce, want));
    assert_memory_equal(proof, want, sizeof want);
    assert_ok(keeper_proof_make(BYTES_LIT("a recovery key"), nonce2, want));
    assert_memory_not_equal(proof, want, sizeof want);
    assert_ok(keeper_proof_make(BYTES_LIT("another key"), nonce, want));
    assert_memory_not_equal(proof, want, sizeof want);
    object = object_of(ESCROW_KIND_PIN, "mac-1", 2);
    assert_ok(
        keeper_escrow_archive(f->keeper, &object, KEEPER_WRAP_AUTOMATIC, BYTES_LIT("4711"), &pin));
    kept = kept_of(&pin);
    assert_err(ERR_DENIED, keeper_secret_prove(f->keeper, &kept, nonce, proof));
    kept = kept_of(&a);
    kept.blob = buf_bytes(&pin.blob);
    assert_err(ERR_VERIFY, keeper_secret_prove(f->keeper, &kept, nonce, proof));
}

/* Every guess would be answered: same, or not. */
static void test_device_secret__a_pin_is_not_guessed_by_comparing(void **state) {
    keeper_fixture_t *f = *state;
    CLEANUP(keeper_archived_done) keeper_archived_t pin, code, a;
    bool same = false;
    keeper_archived_init(&pin);
    keeper_archived_init(&code);
    keeper_archived_init(&a);
    escrow_object_t object = object_of(ESCROW_KIND_PIN, "mac-1", 1);
    assert_ok(keeper_escrow_archive(f->keeper, &object, KEEPER_WRAP_AUTOMATIC, BYTES_LIT("040506"),
                                    &pin));
    object = object_of(ESCROW_KIND_BYPASS, "mac-1", 1);
    object.version = 2;
    assert_err(ERR_DENIED, take(f, &object, NULL, &pin, BYTES_LIT("040505"), &same, &a));
    assert_err(ERR_DENIED, take(f, &object, NULL, &pin, BYTES_LIT("040506"), &same, &a));
    assert_false(same);
    /* Of a code an earlier version alone is compared. */
    object = object_of(ESCROW_KIND_BYPASS, "mac-1", 2);
    assert_ok(take(f, &object, NULL, NULL, BYTES_LIT("3UM43-PUYVY"), &same, &code));
    assert_err(ERR_DENIED, take(f, &object, NULL, &code, BYTES_LIT("3UM43-PUYVY"), &same, &a));
    object.version = 2;
    assert_ok(take(f, &object, NULL, &code, BYTES_LIT("3UM43-PUYVY"), &same, &a));
    assert_true(same);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_device_secret__recovery_key_is_opened_and_archived_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_secret__what_is_no_recovery_key_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_secret__a_swapped_receiver_opens_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_device_secret__receivers_are_of_devices_and_new, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_device_secret__a_pin_is_not_guessed_by_comparing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_secret__takes_are_capped_a_day, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_device_secret__proof_is_of_the_archived_disk_key,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
