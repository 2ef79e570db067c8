/*
 * Checkpoints of the log of device chains: whom they are signed for, and by which key.
 */
#include "base/mem.h"
#include "crypto/note.h"
#include "keeper/client_escrow.h"
#include "keeper/client_sync.h"
#include "keeper_fixture.h"

#define ORIGIN "sync.example.org/sync"

static int setup(void **state) {
    keeper_fixture_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    keeper_fixture_make(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    keeper_fixture_done(*state);
    mem_free(*state);
    return 0;
}

static pkey_t *log_key(keeper_fixture_t *f) {
    CLEANUP(buf_done) buf_t der;
    pkey_t *key = NULL;
    buf_init(&der, 256);
    assert_ok(keeper_public(f->keeper, KEEPER_PUBLIC_SYNC_LOG, &der));
    assert_ok(pkey_parse_public_der(buf_bytes(&der), &key));
    return key;
}

static void test_sync__a_checkpoint_is_a_note_of_the_logs_key(void **state) {
    keeper_fixture_t *f = *state;
    static const uint8_t root[32] = {1, 2, 3};
    CLEANUP(buf_done) buf_t note;
    CLEANUP(pkey_free) pkey_t *key = log_key(f);
    bytes_t text;
    buf_init(&note, LIMIT_NOTE_BYTES);
    assert_ok(keeper_sync_checkpoint(f->keeper, ORIGIN, 7, root, &note));
    assert_ok(note_open(buf_bytes(&note), key, ORIGIN, &text));
    assert_true(bytes_eq_str(text, ORIGIN "\n7\nAQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"));
    assert_err(ERR_VERIFY, note_open(buf_bytes(&note), key, "other.example.org/sync", &text));
    assert_err(ERR_VERIFY, note_open(buf_bytes(&note), f->keys->audit_key, ORIGIN, &text));
}

static void test_sync__the_key_stays_when_storage_keys_change(void **state) {
    keeper_fixture_t *f = *state;
    uint32_t number = 0;
    CLEANUP(pkey_free) pkey_t *before = log_key(f);
    assert_ok(keeper_storage_key_new(f->keeper, &number));
    keeper_fixture_restart(f);
    CLEANUP(pkey_free) pkey_t *after = log_key(f);
    assert_true(pkey_same_public(before, after));
    assert_false(pkey_same_public(before, f->keys->audit_key));
}

static void test_sync__only_coffer_web_has_checkpoints_signed(void **state) {
    keeper_fixture_t *f = *state;
    static const uint8_t root[32] = {0};
    static const role_t others[] = {ROLE_COURIER, ROLE_MAILGATE};
    CLEANUP(buf_done) buf_t note;
    buf_init(&note, LIMIT_NOTE_BYTES);
    for (size_t i = 0; i < 2; i++) {
        f->role = others[i];
        assert_err(ERR_DENIED, keeper_sync_checkpoint(f->keeper, ORIGIN, 1, root, &note));
    }
    f->role = ROLE_WEB;
    assert_err(ERR_USAGE, keeper_sync_checkpoint(f->keeper, "two words", 1, root, &note));
    assert_int_equal(note.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_sync__##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_checkpoint_is_a_note_of_the_logs_key),
        TEST(the_key_stays_when_storage_keys_change),
        TEST(only_coffer_web_has_checkpoints_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
