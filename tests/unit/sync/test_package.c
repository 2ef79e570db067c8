/*
 * Signature packages, metadata, roots and changes: what the service refuses without keys, and what
 * a device notices of a service that rolls back or forks.
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

typedef struct {
    fixture_blob_t blob;
    buf_t meta, record;
    sync_package_t package;
} made_t;

static void make(const fixture_t *f, const sync_device_key_t *device, made_t *m) {
    fixture_blob(f, 1, BYTES_LIT("hello"), &m->blob);
    buf_init(&m->meta, LIMIT_SYNC_META);
    buf_init(&m->record, SYNC_PACKAGE_MAX);
    m->package = fixture_package(f, device, &m->blob, &m->meta);
    assert_ok(sync_package_put(&m->package, &m->record));
}

static void made_done(made_t *m) {
    fixture_blob_done(&m->blob);
    buf_done(&m->meta);
    buf_done(&m->record);
}

static void test_package__holds_and_no_byte_can_be_changed(void **state) {
    fixture_t *f = *state;
    made_t m;
    sync_package_t again;
    uint8_t id[SYNC_HASH], other[SYNC_HASH];
    make(f, &f->phone, &m);
    assert_ok(sync_package_parse(buf_bytes(&m.record), &again));
    assert_ok(sync_package_check(&again, f->chain));
    assert_ok(sync_package_admit(&again, f->chain, &m.blob.header, m.blob.root));
    assert_ok(sync_package_id(&m.package, id));
    assert_ok(sync_package_id(&again, other));
    assert_memory_equal(id, other, SYNC_HASH);
    for (size_t i = 0; i < m.record.n; i++) {
        m.record.p[i] ^= 0x80;
        err_t *e = sync_package_parse(buf_bytes(&m.record), &again);
        if (!e) e = sync_package_check(&again, f->chain);
        if (!e) fail_msg("byte %zu", i);
        err_free(e);
        m.record.p[i] ^= 0x80;
    }
    made_done(&m);
}

static void test_package__only_writers_of_the_region_count(void **state) {
    fixture_t *f = *state;
    made_t m;
    make(f, &f->tablet, &m);
    assert_err(ERR_DENIED, sync_package_check(&m.package, f->chain));
    assert_ok(sync_package_sign(&m.package, f->chain, &f->recovery));
    assert_err(ERR_DENIED, sync_package_check(&m.package, f->chain));
    assert_ok(sync_package_sign(&m.package, f->chain, &f->laptop));
    assert_ok(sync_package_check(&m.package, f->chain));
    /* The right device's signature of another thing. */
    memcpy(m.package.device, f->phone.id, SYNC_HASH);
    assert_err(ERR_VERIFY, sync_package_check(&m.package, f->chain));
    made_done(&m);
}

/* R16: what was written before the revocation stays good, and nothing new is taken. */
static void test_package__is_judged_at_its_place(void **state) {
    fixture_t *f = *state;
    made_t m;
    secret_t *key = NULL;
    make(f, &f->phone, &m);
    sync_chain_t *before = fixture_replay(f, f->entries_n);
    sync_chain_writer_t laptop = fixture_writer(&f->laptop);
    assert_ok(sync_chain_revoke(&laptop, f->chain, f->phone.id, f->key, fixture_entry(f), &key));
    assert_ok(sync_package_check(&m.package, f->chain));
    assert_err(ERR_DENIED, sync_package_admit(&m.package, f->chain, &m.blob.header, m.blob.root));
    assert_ok(sync_package_sign(&m.package, f->chain, &f->phone));
    assert_err(ERR_DENIED, sync_package_check(&m.package, f->chain));
    /* A place that the chain has not reached: fetch more of it. */
    assert_ok(sync_package_sign(&m.package, f->chain, &f->laptop));
    assert_err(ERR_NOT_FOUND, sync_package_check(&m.package, before));
    /* An active device, but the key of an epoch that has ended. */
    assert_err(ERR_VERIFY, sync_package_check(&m.package, f->chain));
    assert_ok(sync_package_sign(&m.package, before, &f->laptop));
    assert_ok(sync_package_check(&m.package, f->chain));
    assert_err(ERR_DENIED, sync_package_admit(&m.package, f->chain, &m.blob.header, m.blob.root));
    sync_chain_free(before);
    secret_free(key);
    made_done(&m);
}

static void test_package__data_must_be_its_own(void **state) {
    fixture_t *f = *state;
    made_t m;
    make(f, &f->laptop, &m);
    uint8_t root[SYNC_HASH];
    memcpy(root, m.blob.root, sizeof root);
    root[31] ^= 1;
    assert_err(ERR_VERIFY, sync_package_admit(&m.package, f->chain, &m.blob.header, root));
    for (unsigned i = 0; i < 4; i++) {
        sync_header_t header = m.blob.header;
        if (i == 0) header.id.node[0]++;
        if (i == 1) header.id.version[0]++;
        if (i == 2) header.id.region[0]++;
        if (i == 3) header.id.epoch++;
        assert_err(ERR_VERIFY, sync_package_admit(&m.package, f->chain, &header, m.blob.root));
    }
    made_done(&m);
}

static void test_package__replaced_versions_ascend(void **state) {
    fixture_t *f = *state;
    made_t m;
    make(f, &f->laptop, &m);
    buf_t out;
    buf_init(&out, SYNC_PACKAGE_MAX);
    memcpy(m.package.parents[1], m.package.parents[0], SYNC_NODE);
    assert_err(ERR_INVALID, sync_package_put(&m.package, &out));
    m.package.parents_n = LIMIT_SYNC_PARENTS + 1;
    assert_err(ERR_LIMIT, sync_package_put(&m.package, &out));
    buf_done(&out);
    made_done(&m);
}

static void test_meta__opens_for_its_version_alone(void **state) {
    fixture_t *f = *state;
    made_t m;
    buf_t storage;
    sync_meta_t meta;
    make(f, &f->laptop, &m);
    buf_init_secret(&storage, LIMIT_SYNC_META);
    assert_int_equal(m.meta.n % 256, AEAD_OVERHEAD);
    assert_ok(sync_meta_open(buf_bytes(&m.meta), &m.blob.header, m.blob.file_key, &storage, &meta));
    assert_int_equal(meta.kind, SYNC_META_FILE);
    assert_int_equal(meta.size, 5);
    assert_int_equal(meta.mode, 0640);
    assert_true(bytes_eq_str(meta.name, "report.txt"));
    for (size_t i = 0; i < m.meta.n; i++) {
        m.meta.p[i] ^= 1;
        assert_err(ERR_VERIFY, sync_meta_open(buf_bytes(&m.meta), &m.blob.header, m.blob.file_key,
                                              &storage, &meta));
        m.meta.p[i] ^= 1;
    }
    sync_header_t header = m.blob.header;
    header.id.version[0]++;
    assert_err(ERR_VERIFY,
               sync_meta_open(buf_bytes(&m.meta), &header, m.blob.file_key, &storage, &meta));
    buf_done(&storage);
    made_done(&m);
}

static void test_meta__has_one_form(void **state) {
    (void)state;
    buf_t out;
    sync_meta_t meta = {.kind = SYNC_META_PACK, .mode = 07777, .mtime_ns = 999999999}, again;
    buf_init(&out, LIMIT_SYNC_META);
    assert_ok(sync_meta_put(&meta, &out));
    assert_int_equal(out.n, 256);
    assert_ok(sync_meta_parse(buf_bytes(&out), &again));
    out.p[255] = 1;
    assert_err(ERR_INVALID, sync_meta_parse(buf_bytes(&out), &again));
    out.p[255] = 0;
    assert_err(ERR_INVALID, sync_meta_parse(bytes_make(out.p, 255), &again));
    out.p[RECORD_HEAD] = 9;
    assert_err(ERR_VERIFY, sync_meta_parse(buf_bytes(&out), &again));
    meta.mtime_ns++;
    assert_err(ERR_INVALID, sync_meta_put(&meta, &out));
    buf_done(&out);
}

/* ---- roots ---- */

static sync_root_t root_of(const fixture_t *f, const sync_device_key_t *device,
                           const sync_root_seen_t *seen) {
    sync_root_t root = {.time = FIXTURE_NOW};
    memset(root.folder, 7, SYNC_HASH);
    memset(root.change, 8, SYNC_HASH);
    assert_ok(sync_root_sign(&root, seen, f->chain, device));
    return root;
}

static void test_root__no_byte_can_be_changed(void **state) {
    fixture_t *f = *state;
    sync_root_seen_t seen = {0};
    sync_root_t root = root_of(f, &f->phone, &seen), again;
    buf_t record;
    buf_init(&record, SYNC_ROOT_MAX);
    assert_ok(sync_root_put(&root, &record));
    for (size_t i = 0; i < record.n; i++) {
        record.p[i] ^= 1;
        err_t *e = sync_root_parse(buf_bytes(&record), &again);
        if (!e) e = sync_root_check(&again, f->chain);
        if (!e) fail_msg("byte %zu", i);
        err_free(e);
        record.p[i] ^= 1;
    }
    assert_ok(sync_root_parse(buf_bytes(&record), &again));
    assert_ok(sync_root_follow(&again, f->chain, &seen));
    assert_int_equal(seen.counter, 1);
    buf_done(&record);
}

/* R15. */
static void test_root__rollback_fork_and_replay_are_noticed(void **state) {
    fixture_t *f = *state;
    sync_root_seen_t seen = {0}, empty = {0};
    sync_root_t first = root_of(f, &f->laptop, &seen);
    assert_ok(sync_root_follow(&first, f->chain, &seen));
    assert_err(ERR_EXISTS, sync_root_follow(&first, f->chain, &seen));
    sync_root_t second = root_of(f, &f->phone, &seen);
    sync_root_seen_t after_first = seen;
    assert_ok(sync_root_follow(&second, f->chain, &seen));
    sync_root_t third = root_of(f, &f->laptop, &seen);
    /* An older root. */
    sync_root_seen_t kept = seen;
    assert_err(ERR_VERIFY, sync_root_follow(&first, f->chain, &seen));
    /* Another of the same number, as a fork's second branch. */
    sync_root_t fork = {.time = 1};
    assert_ok(sync_root_sign(&fork, &after_first, f->chain, &f->laptop));
    assert_err(ERR_VERIFY, sync_root_follow(&fork, f->chain, &seen));
    /* The next one of that branch. */
    sync_root_seen_t branch = after_first;
    assert_ok(sync_root_follow(&fork, f->chain, &branch));
    sync_root_t next = root_of(f, &f->laptop, &branch);
    assert_err(ERR_VERIFY, sync_root_follow(&next, f->chain, &seen));
    /* A gap. */
    assert_err(ERR_NOT_FOUND, sync_root_follow(&third, f->chain, &after_first));
    assert_err(ERR_NOT_FOUND, sync_root_follow(&second, f->chain, &empty));
    assert_memory_equal(&seen, &kept, sizeof seen);
    assert_ok(sync_root_follow(&third, f->chain, &seen));
}

static void test_root__of_who_was_revoked_is_refused(void **state) {
    fixture_t *f = *state;
    secret_t *key = NULL;
    sync_root_seen_t seen = {0};
    sync_root_t early = root_of(f, &f->phone, &seen), now;
    sync_chain_writer_t laptop = fixture_writer(&f->laptop);
    assert_ok(sync_chain_revoke(&laptop, f->chain, f->phone.id, f->key, fixture_entry(f), &key));
    sync_root_t first = root_of(f, &f->laptop, &seen);
    /* The service takes none of a device that may not write any more, however old its place. */
    assert_err(ERR_DENIED, sync_root_admit(&early, f->chain, &seen));
    now = root_of(f, &f->phone, &seen);
    assert_err(ERR_DENIED, sync_root_follow(&now, f->chain, &seen));
    assert_ok(sync_root_admit(&first, f->chain, &seen));
    /* A hostile service lets it back-date: the place goes back behind the revocation. */
    sync_chain_t *before = fixture_replay(f, f->entries_n - 1);
    sync_root_t backdated = {0};
    assert_ok(sync_root_sign(&backdated, &seen, before, &f->phone));
    assert_ok(sync_root_check(&backdated, f->chain));
    assert_err(ERR_VERIFY, sync_root_follow(&backdated, f->chain, &seen));
    sync_chain_free(before);
    secret_free(key);
}

static void test_change__names_each_package_once(void **state) {
    (void)state;
    uint8_t ids[3 * SYNC_HASH] = {0};
    buf_t out;
    sync_change_t again;
    buf_init(&out, 4096);
    ids[SYNC_HASH] = 1;
    ids[2 * SYNC_HASH] = 2;
    sync_change_t change = {.added = bytes_make(ids, 2 * SYNC_HASH),
                            .dropped = bytes_make(ids + 2 * SYNC_HASH, SYNC_HASH)};
    assert_ok(sync_change_put(&change, &out));
    assert_ok(sync_change_parse(buf_bytes(&out), &again));
    assert_true(bytes_eq(again.added, change.added));
    assert_true(bytes_eq(again.dropped, change.dropped));
    change.dropped = bytes_make(ids + SYNC_HASH, SYNC_HASH);
    assert_err(ERR_INVALID, sync_change_put(&change, &out));
    change.dropped = bytes_make(ids, 5);
    assert_err(ERR_LIMIT, sync_change_put(&change, &out));
    change.dropped = BYTES_NONE;
    ids[0] = 1;
    assert_err(ERR_INVALID, sync_change_put(&change, &out));
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_package__holds_and_no_byte_can_be_changed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_package__only_writers_of_the_region_count, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_package__is_judged_at_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_package__data_must_be_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_package__replaced_versions_ascend, setup, teardown),
        cmocka_unit_test_setup_teardown(test_meta__opens_for_its_version_alone, setup, teardown),
        cmocka_unit_test(test_meta__has_one_form),
        cmocka_unit_test_setup_teardown(test_root__no_byte_can_be_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_root__rollback_fork_and_replay_are_noticed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_root__of_who_was_revoked_is_refused, setup, teardown),
        cmocka_unit_test(test_change__names_each_package_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
