/*
 * Links for outsiders, and the short authentication string of a join.
 */
#include "sync_fixture.h"

#include "sync/link.h"
#include "sync/sas.h"

static secret_t *secret_of(uint8_t fill) {
    secret_t *secret = NULL;
    uint8_t raw[SYNC_KEY];
    memset(raw, fill, sizeof raw);
    assert_ok(secret_copy(BYTES_ARRAY(raw), &secret));
    return secret;
}

static void test_link__the_service_learns_neither_key_nor_password(void **state) {
    (void)state;
    secret_t *secret = secret_of(1), *other = secret_of(2);
    sync_link_t plain = {0}, locked = {0}, again = {0}, foreign = {0};
    assert_ok(sync_link_derive(secret, BYTES_NONE, &PASSWORD_COST_TEST, &plain));
    assert_ok(sync_link_derive(secret, BYTES_LIT("pw"), &PASSWORD_COST_TEST, &locked));
    assert_ok(sync_link_derive(secret, BYTES_LIT("pw"), &PASSWORD_COST_TEST, &again));
    assert_ok(sync_link_derive(other, BYTES_NONE, &PASSWORD_COST_TEST, &foreign));
    assert_memory_equal(plain.id, locked.id, SYNC_NODE);
    assert_memory_not_equal(plain.id, foreign.id, SYNC_NODE);
    assert_memory_not_equal(plain.token, locked.token, SYNC_KEY);
    assert_memory_equal(again.token, locked.token, SYNC_KEY);
    assert_true(secret_eq(again.key, secret_bytes(locked.key)));
    assert_false(secret_eq(plain.key, secret_bytes(locked.key)));
    assert_false(secret_eq(plain.key, bytes_make(plain.token, SYNC_KEY)));
    sync_link_done(&plain);
    sync_link_done(&locked);
    sync_link_done(&again);
    sync_link_done(&foreign);
    secret_free(secret);
    secret_free(other);
}

static void test_link__lists_open_and_show_damage(void **state) {
    (void)state;
    secret_t *secret = secret_of(1);
    sync_link_t link = {0}, locked = {0};
    buf_t plain, record, out;
    sync_link_reader_t reader;
    sync_link_file_t files[2] = {{.path = BYTES_LIT("a/b.txt"), .size = 5},
                                 {.path = BYTES_LIT("a/c"), .package_size = 9}};
    sync_link_file_t file;
    bool found = false;
    buf_init_secret(&plain, LIMIT_SYNC_LINK_BYTES);
    buf_init(&record, LIMIT_SYNC_LINK_BYTES);
    buf_init_secret(&out, LIMIT_SYNC_LINK_BYTES);
    assert_ok(sync_link_derive(secret, BYTES_NONE, &PASSWORD_COST_TEST, &link));
    assert_ok(sync_link_derive(secret, BYTES_LIT("pw"), &PASSWORD_COST_TEST, &locked));
    assert_ok(sync_link_list_put(files, 2, &plain));
    assert_ok(sync_link_seal(&link, fixture_rnd(), buf_bytes(&plain), &record));
    assert_ok(sync_link_open(&link, buf_bytes(&record), &out));
    assert_ok(sync_link_list_open(buf_bytes(&out), &reader));
    assert_ok(sync_link_list_next(&reader, &found, &file));
    assert_true(bytes_eq_str(file.path, "a/b.txt"));
    assert_ok(sync_link_list_next(&reader, &found, &file));
    assert_int_equal(file.package_size, 9);
    assert_ok(sync_link_list_next(&reader, &found, &file));
    assert_false(found);
    assert_err(ERR_VERIFY, sync_link_open(&locked, buf_bytes(&record), &out));
    for (size_t i = 0; i < record.n; i++) {
        record.p[i] ^= 1;
        buf_clear(&out);
        err_t *e = sync_link_open(&link, buf_bytes(&record), &out);
        if (!e) fail_msg("byte %zu", i);
        err_free(e);
        record.p[i] ^= 1;
    }
    sync_link_done(&link);
    sync_link_done(&locked);
    secret_free(secret);
    buf_done(&plain);
    buf_done(&record);
    buf_done(&out);
}

static void test_link__paths_cannot_escape(void **state) {
    (void)state;
    static const char *const bad[] = {"", "/a", "a/", "a//b", "../a", "a/../b", "."};
    buf_t out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sync_link_file_t file = {.path = bytes_str(bad[i])};
        assert_err(ERR_INVALID, sync_link_list_put(&file, 1, &out));
    }
    sync_link_file_t twice[2] = {{.path = BYTES_LIT("a")}, {.path = BYTES_LIT("a")}};
    assert_err(ERR_INVALID, sync_link_list_put(twice, 2, &out));
    buf_done(&out);
}

static void test_sas__both_sides_see_the_same_digits_and_changes_show(void **state) {
    (void)state;
    uint8_t card[SYNC_HASH] = {1}, nonce[SYNC_SAS_NONCE] = {2}, approver[SYNC_HASH] = {3};
    uint8_t other[SYNC_SAS_NONCE] = {4};
    sync_chain_head_t head = {.suite = 1, .position = 7};
    sync_sas_t sas = {.card_id = card, .nonce = nonce, .approver = approver};
    sas.approver_nonce = other;
    char text[SYNC_SAS_TEXT], again[SYNC_SAS_TEXT];
    uint8_t *const inputs[] = {card, nonce, approver, other, head.region, head.head};
    assert_ok(sync_sas_text(&head, &sas, text));
    assert_int_equal(strlen(text), 11);
    assert_true(text[3] == '-' && text[7] == '-');
    for (size_t i = 0; i < 6; i++) {
        inputs[i][31]++;
        assert_ok(sync_sas_text(&head, &sas, again));
        assert_string_not_equal(text, again);
        inputs[i][31]--;
    }
    head.position++;
    assert_ok(sync_sas_text(&head, &sas, again));
    assert_string_not_equal(text, again);
}

static void test_sas__a_nonce_must_be_the_one_committed_to(void **state) {
    (void)state;
    uint8_t card[SYNC_HASH] = {1}, nonce[SYNC_SAS_NONCE] = {2}, commit[SYNC_HASH];
    assert_ok(sync_sas_commit(card, nonce, commit));
    assert_ok(sync_sas_check(commit, card, nonce));
    nonce[0]++;
    assert_err(ERR_VERIFY, sync_sas_check(commit, card, nonce));
    nonce[0]--;
    card[0]++;
    assert_err(ERR_VERIFY, sync_sas_check(commit, card, nonce));
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link__the_service_learns_neither_key_nor_password),
        cmocka_unit_test(test_link__lists_open_and_show_damage),
        cmocka_unit_test(test_link__paths_cannot_escape),
        cmocka_unit_test(test_sas__both_sides_see_the_same_digits_and_changes_show),
        cmocka_unit_test(test_sas__a_nonce_must_be_the_one_committed_to),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
