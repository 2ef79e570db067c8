/*
 * Keys of devices and regions: key files, deliveries, and the attacks on them by a service that
 * swaps, replays and invents.
 */
#include "sync_fixture.h"

static int setup(void **state) {
    fixture_t *f = mem_alloc(sizeof *f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture_done(*state);
    mem_free(*state);
    return 0;
}

static void test_epoch__a_delivery_opens_for_its_recipient_alone(void **state) {
    fixture_t *f = *state;
    buf_t record;
    sync_delivery_t d;
    secret_t *key = NULL;
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    assert_ok(sync_delivery_seal(f->chain, &f->laptop, f->phone.id, f->key, &record));
    assert_ok(sync_delivery_parse(buf_bytes(&record), &d));
    assert_ok(sync_delivery_check(f->chain, &d));
    assert_ok(sync_delivery_open(f->chain, &d, &f->phone, &key));
    assert_true(secret_eq(key, secret_bytes(f->key)));
    secret_free(key);
    assert_err(ERR_DENIED, sync_delivery_open(f->chain, &d, &f->laptop, &key));
    for (size_t i = 0; i < record.n; i++) {
        record.p[i] ^= 1;
        err_t *e = sync_delivery_parse(buf_bytes(&record), &d);
        if (!e) e = sync_delivery_open(f->chain, &d, &f->phone, &key);
        if (!e) fail_msg("byte %zu", i);
        err_free(e);
        record.p[i] ^= 1;
    }
    buf_done(&record);
}

/* R5: no key without a place in the chain. */
static void test_epoch__nothing_is_sealed_to_a_device_that_is_not_active(void **state) {
    fixture_t *f = *state;
    buf_t record, out;
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    buf_init(&out, LIMIT_SYNC_ENTRY);
    assert_err(ERR_DENIED, sync_delivery_seal(f->chain, &f->laptop, f->tablet.id, f->key, &record));
    sync_chain_writer_t laptop = fixture_writer(&f->laptop);
    assert_ok(sync_chain_add(&laptop, f->chain, &f->tablet.card, &out));
    assert_err(ERR_DENIED, sync_delivery_seal(f->chain, &f->laptop, f->tablet.id, f->key, &record));
    assert_err(ERR_DENIED, sync_delivery_seal(f->chain, &f->tablet, f->laptop.id, f->key, &record));
    assert_int_equal(record.n, 0);
    buf_done(&record);
    buf_done(&out);
}

/* R6: a key that opens but is not the chain's is not adopted, whoever sealed it. */
static void test_epoch__a_key_the_chain_does_not_commit_to_is_refused(void **state) {
    fixture_t *f = *state;
    secret_t *other = NULL;
    buf_t record;
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    assert_ok(secret_random(fixture_rnd(), SYNC_KEY, &other));
    assert_err(ERR_VERIFY, sync_delivery_seal(f->chain, &f->laptop, f->phone.id, other, &record));
    secret_free(other);
    buf_done(&record);
}

static void test_epoch__a_revoked_sender_delivers_nothing_new(void **state) {
    fixture_t *f = *state;
    buf_t record, out;
    secret_t *key = NULL, *opened = NULL;
    sync_delivery_t d;
    buf_init(&record, LIMIT_SYNC_DELIVERY);
    buf_init(&out, LIMIT_SYNC_ENTRY);
    assert_ok(sync_delivery_seal(f->chain, &f->phone, f->laptop.id, f->key, &record));
    sync_chain_writer_t laptop = fixture_writer(&f->laptop);
    assert_ok(sync_chain_revoke(&laptop, f->chain, f->phone.id, f->key, &out, &key));
    /* What it sent before still holds, for its epoch. */
    assert_ok(sync_delivery_parse(buf_bytes(&record), &d));
    assert_ok(sync_delivery_open(f->chain, &d, &f->laptop, &opened));
    assert_true(secret_eq(opened, secret_bytes(f->key)));
    secret_free(opened);
    record.n = 0;
    assert_err(ERR_DENIED, sync_delivery_seal(f->chain, &f->phone, f->laptop.id, key, &record));
    assert_err(ERR_DENIED, sync_delivery_seal(f->chain, &f->laptop, f->phone.id, key, &record));
    /* The old epoch's delivery cannot pass for the new one's. */
    d.epoch = 2;
    assert_err(ERR_VERIFY, sync_delivery_check(f->chain, &d));
    secret_free(key);
    buf_done(&record);
    buf_done(&out);
}

static void test_epoch__keys_of_folders_and_epochs_differ(void **state) {
    fixture_t *f = *state;
    uint8_t folder[SYNC_NODE] = {1}, other[SYNC_NODE] = {2}, region[SYNC_HASH] = {3};
    secret_t *keys[4];
    assert_ok(sync_folder_key(region, f->key, 1, folder, &keys[0]));
    assert_ok(sync_folder_key(region, f->key, 1, other, &keys[1]));
    assert_ok(sync_folder_key(region, f->key, 2, folder, &keys[2]));
    region[0]++;
    assert_ok(sync_folder_key(region, f->key, 1, folder, &keys[3]));
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++) assert_false(secret_eq(keys[i], secret_bytes(keys[j])));
    for (size_t i = 0; i < 4; i++) secret_free(keys[i]);
}

static void check_key_file(const sync_device_key_t *key, bytes_t passphrase) {
    buf_t file;
    sync_device_key_t again = {0};
    bool sealed = false;
    buf_init(&file, LIMIT_SYNC_KEY_FILE);
    assert_ok(sync_device_key_write(key, fixture_rnd(), passphrase, &PASSWORD_COST_TEST, &file));
    assert_ok(sync_device_key_sealed(buf_bytes(&file), &sealed));
    assert_int_equal(sealed, passphrase.n != 0);
    assert_ok(sync_device_key_open(buf_bytes(&file), passphrase, &again));
    assert_memory_equal(again.id, key->id, SYNC_HASH);
    assert_true(secret_eq(again.raw, secret_bytes(key->raw)));
    sync_device_key_done(&again);
    for (size_t i = 0; i < file.n; i += passphrase.n ? 5 : 1) {
        file.p[i] ^= 1;
        err_t *e = sync_device_key_open(buf_bytes(&file), passphrase, &again);
        /* X25519 ignores some bits of a private key: then it is the same key. */
        if (!e && !(passphrase.n == 0 && i >= file.n - SYNC_KEY)) fail_msg("byte %zu", i);
        if (!e) sync_device_key_done(&again);
        err_free(e);
        file.p[i] ^= 1;
    }
    if (passphrase.n)
        assert_err(ERR_VERIFY,
                   sync_device_key_open(buf_bytes(&file), BYTES_LIT("not this one"), &again));
    buf_done(&file);
}

static void test_device_key__files_open_again_and_show_damage(void **state) {
    fixture_t *f = *state;
    check_key_file(&f->laptop, BYTES_NONE);
    check_key_file(&f->laptop, BYTES_LIT("correct horse battery"));
}

static void test_device_key__refuses_short_passphrases_and_absurd_work(void **state) {
    fixture_t *f = *state;
    buf_t file;
    sync_device_key_t again;
    buf_init(&file, LIMIT_SYNC_KEY_FILE);
    assert_err(ERR_INVALID, sync_device_key_write(&f->laptop, fixture_rnd(), BYTES_LIT("short"),
                                                  &PASSWORD_COST_TEST, &file));
    assert_ok(sync_device_key_write(&f->laptop, fixture_rnd(), BYTES_LIT("long enough"),
                                    &PASSWORD_COST_TEST, &file));
    memset(file.p + RECORD_HEAD + 2 + 1 + 4, 0xff, 4);
    assert_err(ERR_LIMIT, sync_device_key_open(buf_bytes(&file), BYTES_LIT("long enough"), &again));
    buf_done(&file);
}

static void test_card__holds_only_with_both_signatures(void **state) {
    fixture_t *f = *state;
    sync_card_t card = f->laptop.card;
    assert_ok(sync_card_verify(&card));
    card.login_signature[0] ^= 1;
    assert_err(ERR_VERIFY, sync_card_verify(&card));
    card = f->laptop.card;
    card.content_signature[0] ^= 1;
    assert_err(ERR_VERIFY, sync_card_verify(&card));
    card = f->laptop.card;
    memcpy(card.content_signature, card.login_signature, SYNC_SIGNATURE);
    assert_err(ERR_VERIFY, sync_card_verify(&card));
    card = f->laptop.card;
    memcpy(card.seal, f->phone.card.seal, SYNC_KEY);
    assert_err(ERR_VERIFY, sync_card_verify(&card));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_epoch__a_delivery_opens_for_its_recipient_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_epoch__nothing_is_sealed_to_a_device_that_is_not_active, setup, teardown),
        cmocka_unit_test_setup_teardown(test_epoch__a_key_the_chain_does_not_commit_to_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_epoch__a_revoked_sender_delivers_nothing_new, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_epoch__keys_of_folders_and_epochs_differ, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_device_key__files_open_again_and_show_damage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_device_key__refuses_short_passphrases_and_absurd_work,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_card__holds_only_with_both_signatures, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
