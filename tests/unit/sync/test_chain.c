/*
 * Device chains: who may do what, what must follow what, and that no byte can be changed.
 */
#include "sync_fixture.h"

#include "base/fault.h"
#include "crypto/digest.h"

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

/* The writer refused: nothing was added. */
static void drop_entry(fixture_t *f) { buf_done(&f->entries[--f->entries_n]); }

static void test_chain__is_read_as_it_was_written(void **state) {
    fixture_t *f = *state;
    sync_chain_head_t mine, theirs;
    uint8_t first[SYNC_HASH];
    sync_chain_t *again = fixture_replay(f, f->entries_n);
    assert_ok(sync_chain_head(f->chain, &mine));
    assert_ok(sync_chain_head(again, &theirs));
    assert_memory_equal(mine.head, theirs.head, SYNC_HASH);
    assert_int_equal(theirs.position, 4);
    assert_int_equal(theirs.epoch, 1);
    assert_ok(digest_sha256(buf_bytes(&f->entries[0]), first));
    assert_memory_equal(theirs.region, first, SYNC_HASH);
    const sync_device_t *phone = sync_chain_device(again, f->phone.id);
    assert_non_null(phone);
    assert_string_equal(phone->card.name, "phone");
    assert_int_equal(sync_chain_roles_at(phone, 1), 0);
    assert_int_equal(sync_chain_roles_at(phone, 2), SYNC_READ | SYNC_WRITE);
    assert_null(sync_chain_device(again, f->tablet.id));
    sync_chain_free(again);
}

static void test_chain__refuses_every_changed_byte(void **state) {
    fixture_t *f = *state;
    for (size_t i = 0; i < f->entries_n; i++) {
        sync_chain_t *chain = fixture_replay(f, i);
        buf_t *entry = &f->entries[i];
        for (size_t at = 0; at < entry->n; at++) {
            entry->p[at] ^= 1;
            err_t *e = sync_chain_append(chain, buf_bytes(entry));
            if (!e) fail_msg("entry %zu, byte %zu", i, at);
            err_free(e);
            entry->p[at] ^= 1;
        }
        for (size_t n = 0; n < entry->n; n += 7) {
            err_t *e = sync_chain_append(chain, bytes_make(entry->p, n));
            if (!e) fail_msg("entry %zu cut to %zu", i, n);
            err_free(e);
        }
        assert_int_equal(sync_chain_count(chain), i);
        assert_ok(sync_chain_append(chain, buf_bytes(entry)));
        sync_chain_free(chain);
    }
}

static void test_chain__refuses_entries_out_of_order(void **state) {
    fixture_t *f = *state;
    for (size_t have = 0; have < f->entries_n; have++) {
        sync_chain_t *chain = fixture_replay(f, have);
        for (size_t i = 0; i < f->entries_n; i++)
            if (i != have)
                assert_err(ERR_VERIFY, sync_chain_append(chain, buf_bytes(&f->entries[i])));
        sync_chain_free(chain);
    }
}

static void test_chain__only_who_may_manage_adds_and_approves(void **state) {
    fixture_t *f = *state;
    buf_t out;
    buf_init(&out, LIMIT_SYNC_ENTRY);
    sync_chain_writer_t phone = fixture_writer(&f->phone), tablet = fixture_writer(&f->tablet);
    sync_chain_writer_t recovery = fixture_writer(&f->recovery),
                        laptop = fixture_writer(&f->laptop);
    assert_err(ERR_DENIED, sync_chain_add(&phone, f->chain, &f->tablet.card, &out));
    assert_err(ERR_DENIED, sync_chain_add(&tablet, f->chain, &f->tablet.card, &out));
    assert_err(ERR_DENIED, sync_chain_add(&recovery, f->chain, &f->tablet.card, &out));
    assert_err(ERR_VERIFY, sync_chain_approve(&laptop, f->chain, f->tablet.id, SYNC_READ, &out));
    assert_ok(sync_chain_add(&laptop, f->chain, &f->tablet.card, &out));
    assert_err(ERR_DENIED, sync_chain_approve(&tablet, f->chain, f->tablet.id, SYNC_ALL, &out));
    assert_err(ERR_DENIED, sync_chain_approve(&phone, f->chain, f->tablet.id, SYNC_ALL, &out));
    assert_err(ERR_VERIFY, sync_chain_approve(&laptop, f->chain, f->tablet.id, 0, &out));
    assert_err(ERR_VERIFY,
               sync_chain_approve(&laptop, f->chain, f->tablet.id, SYNC_RECOVER | SYNC_READ, &out));
    assert_err(ERR_VERIFY, sync_chain_approve(&laptop, f->chain, f->tablet.id, 16, &out));
    assert_ok(sync_chain_approve(&laptop, f->chain, f->tablet.id, SYNC_READ, &out));
    assert_err(ERR_VERIFY, sync_chain_approve(&laptop, f->chain, f->tablet.id, SYNC_ALL, &out));
    assert_err(ERR_VERIFY, sync_chain_add(&laptop, f->chain, &f->tablet.card, &out));
    buf_done(&out);
}

static void test_chain__a_revoked_device_is_out_and_the_epoch_moves(void **state) {
    fixture_t *f = *state;
    buf_t out;
    secret_t *key = NULL;
    sync_chain_head_t before, head;
    buf_init(&out, LIMIT_SYNC_ENTRY);
    assert_ok(sync_chain_head(f->chain, &before));
    sync_chain_writer_t laptop = fixture_writer(&f->laptop), phone = fixture_writer(&f->phone);
    sync_chain_writer_t recovery = fixture_writer(&f->recovery);
    assert_err(ERR_DENIED,
               sync_chain_revoke(&phone, f->chain, f->laptop.id, f->key, fixture_entry(f), &key));
    drop_entry(f);
    assert_err(ERR_DENIED, sync_chain_revoke(&recovery, f->chain, f->phone.id, f->key, &out, &key));
    assert_ok(sync_chain_revoke(&laptop, f->chain, f->phone.id, f->key, fixture_entry(f), &key));
    assert_ok(sync_chain_head(f->chain, &head));
    assert_int_equal(head.epoch, 2);
    assert_memory_not_equal(head.commit, before.commit, SYNC_HASH);
    const sync_device_t *gone = sync_chain_device(f->chain, f->phone.id), *found = NULL;
    assert_int_equal(gone->state, SYNC_DEVICE_ENDED);
    assert_ok(sync_chain_check_author(f->chain, f->phone.id, before.position, before.head,
                                      SYNC_WRITE, &found));
    assert_err(ERR_DENIED, sync_chain_check_author(f->chain, f->phone.id, head.position, head.head,
                                                   SYNC_WRITE, &found));
    assert_err(ERR_VERIFY, sync_chain_revoke(&laptop, f->chain, f->phone.id, key, &out, NULL));
    assert_err(ERR_VERIFY, sync_chain_add(&laptop, f->chain, &f->phone.card, &out));
    secret_free(key);
    buf_done(&out);
}

/* Who leaves would know the key that is to shut him out. */
static void test_chain__nobody_revokes_himself(void **state) {
    fixture_t *f = *state;
    buf_t out;
    secret_t *key = NULL;
    buf_init(&out, LIMIT_SYNC_ENTRY);
    sync_chain_writer_t laptop = fixture_writer(&f->laptop), phone = fixture_writer(&f->phone);
    assert_err(ERR_DENIED, sync_chain_revoke(&laptop, f->chain, f->laptop.id, f->key, &out, &key));
    assert_err(ERR_DENIED, sync_chain_revoke(&phone, f->chain, f->phone.id, f->key, &out, &key));
    /* One that was added and never approved can be taken off; so can a recovery key. */
    assert_ok(sync_chain_revoke(&laptop, f->chain, f->recovery.id, f->key, &out, &key));
    secret_free(key);
    buf_done(&out);
}

/* With a key that nobody was given others could be shut out. */
static void test_chain__only_who_manages_makes_epochs(void **state) {
    fixture_t *f = *state;
    buf_t out;
    secret_t *key = NULL;
    buf_init(&out, LIMIT_SYNC_ENTRY);
    const sync_device_key_t *const others[] = {&f->phone, &f->recovery, &f->tablet};
    for (size_t i = 0; i < 3; i++) {
        sync_chain_writer_t writer = fixture_writer(others[i]);
        assert_err(ERR_DENIED, sync_chain_rotate(&writer, f->chain, NULL, f->key, &out, &key));
        assert_err(ERR_DENIED,
                   sync_chain_rotate(&writer, f->chain, &f->tablet.card, f->key, &out, &key));
        assert_err(ERR_DENIED,
                   sync_chain_revoke(&writer, f->chain, f->laptop.id, f->key, &out, &key));
    }
    buf_done(&out);
}

static void test_chain__rotates_keys_of_devices_and_regions(void **state) {
    fixture_t *f = *state;
    secret_t *key = NULL, *next = NULL, *old = NULL;
    sync_chain_writer_t laptop = fixture_writer(&f->laptop);
    assert_ok(sync_chain_rotate(&laptop, f->chain, NULL, f->key, fixture_entry(f), &key));
    assert_ok(sync_chain_rotate(&laptop, f->chain, &f->tablet.card, key, fixture_entry(f), &next));
    const sync_device_t *tablet = sync_chain_device(f->chain, f->tablet.id);
    assert_int_equal(tablet->roles, SYNC_ALL);
    assert_int_equal(sync_chain_device(f->chain, f->laptop.id)->state, SYNC_DEVICE_ENDED);
    /* The newest key leads to all older ones. */
    assert_ok(sync_epoch_walk(f->chain, next, 3, 1, &old));
    assert_true(secret_eq(old, secret_bytes(f->key)));
    secret_free(old);
    assert_err(ERR_VERIFY, sync_epoch_walk(f->chain, key, 3, 1, &old));
    assert_err(ERR_NOT_FOUND, sync_epoch_walk(f->chain, key, 2, 3, &old));
    sync_chain_t *again = fixture_replay(f, f->entries_n);
    sync_chain_free(again);
    secret_free(key);
    secret_free(next);
}

static void test_chain__recovers_with_the_recovery_key_alone(void **state) {
    fixture_t *f = *state;
    secret_t *key = NULL;
    buf_t out;
    buf_init(&out, LIMIT_SYNC_ENTRY);
    sync_chain_writer_t recovery = fixture_writer(&f->recovery),
                        laptop = fixture_writer(&f->laptop);
    assert_err(ERR_DENIED,
               sync_chain_recover(&laptop, f->chain, &f->tablet.card, f->key, &out, &key));
    assert_ok(sync_chain_recover(&recovery, f->chain, &f->tablet.card, f->key, &out, &key));
    assert_int_equal(sync_chain_device(f->chain, f->laptop.id)->state, SYNC_DEVICE_ENDED);
    assert_int_equal(sync_chain_device(f->chain, f->phone.id)->state, SYNC_DEVICE_ENDED);
    assert_int_equal(sync_chain_device(f->chain, f->recovery.id)->state, SYNC_DEVICE_ACTIVE);
    assert_int_equal(sync_chain_device(f->chain, f->tablet.id)->roles, SYNC_ALL);
    assert_err(ERR_DENIED, sync_chain_rotate(&laptop, f->chain, NULL, key, &out, NULL));
    secret_free(key);
    buf_done(&out);
}

/* A hostile service makes a chain of its own, or lets a device see only part of one. */
static void test_chain__a_fork_is_noticed(void **state) {
    fixture_t *f = *state;
    buf_t out;
    sync_chain_head_t mine, theirs;
    buf_init(&out, LIMIT_SYNC_ENTRY);
    sync_chain_t *other = fixture_replay(f, 3);
    sync_chain_writer_t laptop = fixture_writer(&f->laptop);
    laptop.now++;
    assert_ok(sync_chain_add(&laptop, other, &f->recovery.card, &out));
    assert_ok(sync_chain_head(f->chain, &mine));
    assert_ok(sync_chain_head(other, &theirs));
    assert_err(ERR_VERIFY, sync_chain_check_place(f->chain, theirs.position, theirs.head));
    assert_err(ERR_NOT_FOUND, sync_chain_check_place(other, mine.position, mine.head));
    assert_err(ERR_VERIFY, sync_chain_append(other, buf_bytes(&f->entries[4])));
    sync_chain_free(other);
    buf_done(&out);
}

static void test_chain__begins_with_a_device_that_adds_itself(void **state) {
    fixture_t *f = *state;
    sync_chain_t *chain = NULL;
    buf_t out, forged;
    sync_chain_entry_t entry;
    buf_init(&out, LIMIT_SYNC_ENTRY);
    buf_init(&forged, LIMIT_SYNC_ENTRY);
    assert_ok(sync_chain_new(&chain));
    assert_err(ERR_NOT_FOUND, sync_chain_head(chain, &(sync_chain_head_t){0}));
    /* The laptop's entry, signed by the tablet instead. */
    assert_ok(sync_chain_entry_parse(buf_bytes(&f->entries[0]), &entry));
    assert_ok(sync_chain_entry_put(&entry, &forged));
    assert_ok(buf_reserve(&forged, SYNC_SIGNATURE));
    assert_ok(pkey_sign(f->tablet.content, "coffer/v1/sync/chain", buf_bytes(&forged), &forged));
    assert_err(ERR_VERIFY, sync_chain_append(chain, buf_bytes(&forged)));
    /* By another author, and in another domain. */
    forged.n = 0;
    memcpy(entry.author, f->tablet.id, SYNC_HASH);
    assert_ok(sync_chain_entry_put(&entry, &forged));
    assert_ok(buf_reserve(&forged, SYNC_SIGNATURE));
    assert_ok(pkey_sign(f->tablet.content, "coffer/v1/sync/chain", buf_bytes(&forged), &forged));
    assert_err(ERR_VERIFY, sync_chain_append(chain, buf_bytes(&forged)));
    forged.n = 0;
    memcpy(entry.author, f->laptop.id, SYNC_HASH);
    assert_ok(sync_chain_entry_put(&entry, &forged));
    assert_ok(buf_reserve(&forged, SYNC_SIGNATURE));
    assert_ok(pkey_sign(f->laptop.content, "coffer/v1/sync/root", buf_bytes(&forged), &forged));
    assert_err(ERR_VERIFY, sync_chain_append(chain, buf_bytes(&forged)));
    assert_int_equal(sync_chain_count(chain), 0);
    sync_chain_free(chain);
    buf_done(&out);
    buf_done(&forged);
}

static void test_chain__survives_every_failed_allocation(void **state) {
    fixture_t *f = *state;
    bool done = false;
    for (unsigned long n = 1; !done && n < 400; n++) {
        sync_chain_t *chain = fixture_replay(f, 3);
        fault_arm_memory(n);
        err_t *e = sync_chain_append(chain, buf_bytes(&f->entries[3]));
        done = !fault_memory_fired();
        fault_arm_memory(0);
        assert_int_equal(sync_chain_count(chain), e ? 3 : 4);
        assert_true(done == !e);
        err_free(e);
        if (!done) assert_ok(sync_chain_append(chain, buf_bytes(&f->entries[3])));
        sync_chain_free(chain);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_chain__is_read_as_it_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain__refuses_every_changed_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain__refuses_entries_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain__only_who_may_manage_adds_and_approves, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_chain__a_revoked_device_is_out_and_the_epoch_moves,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain__nobody_revokes_himself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain__only_who_manages_makes_epochs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain__rotates_keys_of_devices_and_regions, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_chain__recovers_with_the_recovery_key_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_chain__a_fork_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain__begins_with_a_device_that_adds_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_chain__survives_every_failed_allocation, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
