/*
 * The keeper's part of a backup: keeper/backups.h by its intents.
 */
#include <stdio.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "keeper/backup_seal.h"
#include "keeper/client_backup.h"
#include "keeper/client_escrow.h"
#include "keeper_fixture.h"

static const uint8_t first_id[ESCROW_ID] = {1}, second_id[ESCROW_ID] = {2};
static const uint8_t generation[ESCROW_ID] = {9}, other_generation[ESCROW_ID] = {8};

typedef struct {
    keeper_fixture_t keeper;
    backups_t *backups;
} world_t;

static world_t world;

static int setup(void **state) {
    keeper_fixture_make(&world.keeper);
    assert_ok(backups_new(world.keeper.vault, &world.backups));
    world.keeper.core.backups = world.backups;
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    backups_free(STEAL(world.backups));
    keeper_fixture_done(&world.keeper);
    return 0;
}

static void activate(keeper_t *keeper) {
    CLEANUP(buf_done) buf_t record;
    escrow_set_t set = {.epoch = 1, .threshold = 2, .n = 3};
    buf_init(&record, LIMIT_ESCROW_RECORD);
    for (uint8_t i = 0; i < 3; i++) {
        CLEANUP(pkey_free) pkey_t *hpke = NULL, *sign = NULL;
        escrow_officer_t *officer = &set.officers[i];
        assert_ok(pkey_generate(PKEY_X25519, 0, &hpke));
        assert_ok(pkey_generate(PKEY_ED25519, 0, &sign));
        assert_ok(pkey_raw_public(hpke, officer->hpke));
        assert_ok(pkey_raw_public(sign, officer->sign));
        (void)snprintf(officer->id, sizeof officer->id, "officer%d", i);
        (void)snprintf(officer->person, sizeof officer->person, "person%d", i);
        officer->index = (uint8_t)(i + 1);
    }
    assert_ok(escrow_set_put(&set, &record));
    assert_ok(keeper_officers_activate(keeper, buf_bytes(&record), NULL, 0));
}

static err_t *begin(keeper_t *keeper, const uint8_t *id, const uint8_t *gen, buf_t *keys) {
    buf_clear(keys);
    return keeper_backup_begin(keeper, id, gen, keys);
}

static void copy_all(keeper_t *keeper, const uint8_t *id) {
    for (uint32_t left = 1; left;) assert_ok(keeper_backup_copy(keeper, id, &left));
}

/* Reads all chunks; the ids are appended. */
static uint32_t read_all(keeper_t *keeper, const uint8_t *id, buf_t *ids) {
    CLEANUP(buf_done) buf_t answer;
    uint32_t count = 0;
    buf_init(&answer, LIMIT_FRAME_BYTES);
    for (uint32_t before = UINT32_MAX; before != count;) {
        before = count;
        buf_clear(&answer);
        assert_ok(keeper_backup_read(keeper, id, count, &answer));
        wire_reader_t r = wire_reader(buf_bytes(&answer));
        while (r.rest.n) {
            bytes_t chunk_id, file;
            assert_ok(wire_get_raw(&r, ESCROW_HASH, &chunk_id));
            assert_ok(wire_get_bytes(&r, BACKUP_CHUNK_FILE, &file));
            assert_ok(buf_add(ids, chunk_id));
            count++;
        }
    }
    return count;
}

static void test_backup__refused_without_officers(void **state) {
    world_t *w = *state;
    CLEANUP(buf_done) buf_t keys;
    buf_init_secret(&keys, 64);
    assert_err(ERR_DENIED, begin(w->keeper.keeper, first_id, generation, &keys));
    assert_int_equal(keys.n, 0);
}

static void test_backup__web_alone(void **state) {
    world_t *w = *state;
    CLEANUP(buf_done) buf_t keys;
    buf_init_secret(&keys, 64);
    activate(w->keeper.keeper);
    w->keeper.role = ROLE_COURIER;
    assert_err(ERR_DENIED, begin(w->keeper.keeper, first_id, generation, &keys));
    w->keeper.role = ROLE_WEB;
    assert_ok(begin(w->keeper.keeper, first_id, generation, &keys));
}

static void test_backup__steps_in_their_order(void **state) {
    world_t *w = *state;
    keeper_t *keeper = w->keeper.keeper;
    CLEANUP(buf_done) buf_t keys, ids, head_record;
    backup_head_t head = {.label = "x"}, parsed;
    buf_init_secret(&keys, 64);
    buf_init(&ids, 1 << 20);
    buf_init(&head_record, LIMIT_BACKUP_HEAD);
    memcpy(head.id, first_id, ESCROW_ID);
    activate(keeper);
    uint32_t left = 0;
    assert_err(ERR_NOT_FOUND, keeper_backup_copy(keeper, first_id, &left));
    assert_ok(begin(keeper, first_id, generation, &keys));
    assert_err(ERR_USAGE, keeper_backup_read(keeper, first_id, 0, &ids));
    copy_all(keeper, first_id);
    assert_err(ERR_USAGE, keeper_backup_read(keeper, first_id, 7, &ids));
    assert_err(ERR_USAGE, keeper_backup_finish(keeper, &head, &head_record));
    uint32_t count = read_all(keeper, first_id, &ids);
    assert_true(count > 0);
    assert_err(ERR_NOT_FOUND, keeper_backup_read(keeper, second_id, 0, &ids));
    assert_ok(keeper_backup_finish(keeper, &head, &head_record));
    assert_ok(backup_head_parse(buf_bytes(&head_record), &parsed));
    assert_ok(backup_head_verify(&parsed));
    assert_int_equal(parsed.vault_chunks, count);
    assert_memory_equal(parsed.generation, generation, ESCROW_ID);
    assert_err(ERR_NOT_FOUND, keeper_backup_finish(keeper, &head, &head_record)); /* once */
    head_record.p[20] ^= 1;
    assert_ok(backup_head_parse(buf_bytes(&head_record), &parsed));
    assert_err(ERR_VERIFY, backup_head_verify(&parsed));
}

/* Chunks of one generation are told again; another one shares nothing. */
static void test_backup__ids_by_generation(void **state) {
    world_t *w = *state;
    keeper_t *keeper = w->keeper.keeper;
    CLEANUP(buf_done) buf_t keys, again, other, ids_a, ids_b, ids_c;
    buf_init_secret(&keys, 64);
    buf_init_secret(&again, 64);
    buf_init_secret(&other, 64);
    buf_init(&ids_a, 1 << 20);
    buf_init(&ids_b, 1 << 20);
    buf_init(&ids_c, 1 << 20);
    activate(keeper);
    assert_ok(begin(keeper, first_id, generation, &keys));
    copy_all(keeper, first_id);
    (void)read_all(keeper, first_id, &ids_a);
    assert_ok(begin(keeper, second_id, generation, &again));
    copy_all(keeper, second_id);
    (void)read_all(keeper, second_id, &ids_b);
    assert_memory_equal(keys.p, again.p, ESCROW_KEY);                               /* files' */
    assert_memory_not_equal(keys.p + ESCROW_KEY, again.p + ESCROW_KEY, ESCROW_KEY); /* list's */
    assert_int_equal(ids_a.n, ids_b.n);
    assert_ok(begin(keeper, first_id, other_generation, &other));
    copy_all(keeper, first_id);
    (void)read_all(keeper, first_id, &ids_c);
    assert_memory_not_equal(keys.p, other.p, ESCROW_KEY);
    assert_memory_not_equal(ids_a.p, ids_c.p, ESCROW_HASH);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_backup__refused_without_officers),
        TEST(test_backup__web_alone),
        TEST(test_backup__steps_in_their_order),
        TEST(test_backup__ids_by_generation),
    };
    if (crypto_init()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
