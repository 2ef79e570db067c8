/*
 * The service of sync: what is forgotten and what never, two services over one database, words.
 */
#include <stdio.h>
#include <stdlib.h>

#include "audit/audit.h"
#include "crypto/digest.h"
#include "store/blob/disk.h"
#include "store/migrate.h"
#include "store/sync_log.h"
#include "sync/service/service.h"
#include "sync/tlog.h"
#include "sync_fixture.h"

enum { DAY = 86400 * 1000, KEEP = 30, GRACE = 7 }; /* ms, days, days */

typedef struct {
    fixture_t sync;
    char dir[64];
    clk_fake_t clock;
    db_t *db;
    blob_keys_t keys;
    blob_store_t *store;
    blobs_t *blobs;
    audit_t audit;
    sync_service_t *service, *other;
    sync_policy_t policy;
    bool no_recovery;
    uint8_t region[SYNC_HASH];
    sync_root_seen_t seen;
    arena_t *arena;
} fix_t;

static err_t *policy(void *ctx, db_conn_t *conn, arena_t *arena, const db_person_t *person,
                     const uint8_t *device, sync_policy_t *ret_policy) {
    (void)conn;
    (void)arena;
    (void)person;
    (void)device;
    *ret_policy = ((fix_t *)ctx)->policy;
    return NULL;
}

static err_t *add_people(db_conn_t *conn, void *arg) {
    static const char *const ids[] = {"person-1", "officers"};
    static const char *const emails[] = {"anna@example.org", "officers@example.org"};
    (void)arg;
    for (size_t i = 0; i < 2; i++) {
        db_person_t row = {.id = ids[i],
                           .email = emails[i],
                           .name = ids[i],
                           .role = "member",
                           .password_hash = "",
                           .source = "",
                           .external_id = ""};
        TRY(db_people_add(conn, &row));
    }
    return NULL;
}

static void make_blobs(fix_t *f) {
    char path[96];
    (void)snprintf(path, sizeof path, "%s/blobs", f->dir);
    assert_ok(blob_disk_open("main", path, false, &f->store));
    f->keys.current = 1;
    assert_ok(secret_copy(BYTES_LIT("0123456789abcdef0123456789abcdef"), &f->keys.keys[1]));
    blobs_config_t config = {.db = f->db,
                             .clk = &f->clock.clk,
                             .rnd = rnd_real(),
                             .keys = &f->keys,
                             .stores = &f->store,
                             .stores_n = 1,
                             .quorum = 1,
                             .spool = blob_disk_tmp(f->store),
                             .grace_ms = DAY,
                             .condemned_ms = 3600 * 1000,
                             .orphan_ms = (int64_t)30 * DAY,
                             .retry_ms = 1000};
    assert_ok(blobs_new(&config, &f->blobs));
}

static sync_service_t *make_service(fix_t *f) {
    sync_service_t *service = NULL;
    sync_options_t options = {.db = f->db,
                              .blobs = f->blobs,
                              .audit = &f->audit,
                              .clk = &f->clock.clk,
                              .rnd = rnd_real(),
                              .host = "localhost:443",
                              .recovery = f->no_recovery ? NULL : f->sync.recovery.id,
                              .policy = policy,
                              .policy_ctx = f,
                              .keep_ms = (int64_t)KEEP * DAY,
                              .grace_ms = (int64_t)GRACE * DAY};
    assert_ok(sync_service_new(&options, &service));
    return service;
}

static sync_call_t call_by(fix_t *f, sync_service_t *service, const sync_device_key_t *device) {
    sync_call_t call = {.service = service,
                        .arena = f->arena,
                        .actor = "test",
                        .person = {.id = "person-1", .email = "anna@example.org"}};
    if (!device) return call;
    assert_ok(sync_call_person(&call, f->region));
    memcpy(call.device, device->id, SYNC_HASH);
    call.is_device = true;
    call.roles = SYNC_ALL;
    return call;
}

/* The region with the whole chain of the fixture. */
static void make_region(fix_t *f) {
    bool is_new = false;
    sync_call_t call = call_by(f, f->service, NULL);
    assert_ok(sync_region_create(&call, buf_bytes(&f->sync.entries[0]), f->region, &is_new));
    assert_true(is_new);
    for (size_t i = 1; i < f->sync.entries_n; i++) {
        call = call_by(f, f->service, &f->sync.laptop);
        assert_ok(sync_chain_write(&call, buf_bytes(&f->sync.entries[i]), &is_new));
        assert_true(is_new);
    }
}

static int setup(void **state) {
    fix_t *f = mem_zalloc(sizeof *f);
    assert_non_null(f);
    fixture_init(&f->sync);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/test_service.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    char path[96];
    (void)snprintf(path, sizeof path, "%s/store.db", f->dir);
    clk_fake_init(&f->clock, (int64_t)FIXTURE_NOW * 1000);
    assert_ok(db_open(path, NULL, &f->clock.clk, &f->db));
    assert_ok(migrate_run(f->db, NULL));
    assert_ok(db_write(f->db, add_people, NULL));
    f->audit = (audit_t){.node = "test/web", .clk = &f->clock.clk};
    f->policy = (sync_policy_t){.may_sync = true, .may_share = true};
    assert_ok(arena_new((size_t)256 * 1024 * 1024, &f->arena));
    make_blobs(f);
    f->service = make_service(f);
    f->other = make_service(f);
    make_region(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fix_t *f = *state;
    sync_service_free(f->service);
    sync_service_free(f->other);
    blobs_free(f->blobs);
    blob_store_free(f->store);
    blob_keys_done(&f->keys);
    db_close(f->db);
    fixture_done(&f->sync);
    arena_free(f->arena);
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    mem_free(f);
    return 0;
}

/* ---- helpers ---- */

typedef struct {
    fixture_blob_t blob;
    buf_t meta, record;
    uint8_t id[SYNC_HASH];
} version_t;

static void version_make(fix_t *f, uint8_t node, version_t *v) {
    fixture_blob(&f->sync, node, BYTES_LIT("content"), &v->blob);
    buf_init(&v->meta, LIMIT_SYNC_META);
    sync_package_t package = fixture_package(&f->sync, &f->sync.laptop, &v->blob, &v->meta);
    buf_init(&v->record, SYNC_PACKAGE_MAX);
    assert_ok(sync_package_put(&package, &v->record));
    assert_ok(sync_package_id(&package, v->id));
}

static void version_done(version_t *v) {
    fixture_blob_done(&v->blob);
    buf_done(&v->meta);
    buf_done(&v->record);
}

static void put_data(fix_t *f, const version_t *v) {
    sync_call_t call = call_by(f, f->service, &f->sync.laptop);
    uint8_t sha256[SYNC_HASH];
    bool is_new = false;
    assert_ok(digest_sha256(buf_bytes(&v->blob.blob), sha256));
    assert_ok(sync_part_put(&call, v->blob.root, 0, v->blob.size, buf_bytes(&v->blob.blob), sha256,
                            &is_new));
}

static void put_version(fix_t *f, const version_t *v) {
    CLEANUP(buf_done) buf_t ids;
    bool is_new = false;
    bytes_t record = buf_bytes(&v->record);
    buf_init(&ids, SYNC_HASH);
    put_data(f, v);
    sync_call_t call = call_by(f, f->service, &f->sync.laptop);
    assert_ok(sync_packages_put(&call, &record, 1, &ids, &is_new));
    assert_memory_equal(ids.p, v->id, SYNC_HASH);
}

static err_t *commit_by(fix_t *f, sync_service_t *service, const version_t *folder,
                        const version_t *added, const version_t *dropped, sync_call_t *call) {
    CLEANUP(buf_done) buf_t change, record, body;
    sync_root_t root = {0};
    bool is_new = false;
    sync_change_t ids = {.added = added ? BYTES_ARRAY(added->id) : BYTES_NONE,
                         .dropped = dropped ? BYTES_ARRAY(dropped->id) : BYTES_NONE};
    buf_init(&change, 4096);
    buf_init(&record, SYNC_ROOT_MAX);
    buf_init(&body, 8192);
    assert_ok(sync_change_put(&ids, &change));
    memcpy(root.folder, folder->id, SYNC_HASH);
    assert_ok(digest_sha256(buf_bytes(&change), root.change));
    root.time = FIXTURE_NOW;
    assert_ok(sync_root_sign(&root, &f->seen, f->sync.chain, &f->sync.laptop));
    assert_ok(sync_root_put(&root, &record));
    assert_ok(wire_put_bytes(&body, buf_bytes(&record)));
    assert_ok(wire_put_bytes(&body, buf_bytes(&change)));
    *call = call_by(f, service, &f->sync.laptop);
    TRY(sync_root_write(call, buf_bytes(&body), &is_new));
    f->seen.counter = root.counter;
    f->seen.position = root.position;
    return sync_root_hash(&root, f->seen.hash);
}

static void commit(fix_t *f, const version_t *folder, const version_t *added,
                   const version_t *dropped) {
    sync_call_t call;
    assert_ok(commit_by(f, f->service, folder, added, dropped, &call));
}

static sync_collected_t collect(fix_t *f, unsigned days) {
    sync_collected_t done = {0};
    blobs_work_t work = {0};
    clk_fake_advance(&f->clock, (int64_t)days * DAY);
    assert_ok(sync_collect(f->service, 100, &done));
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(blobs_collect(f->blobs, 100, &work));
        clk_fake_advance(&f->clock, (int64_t)2 * DAY);
    }
    assert_ok(blobs_collect(f->blobs, 100, &work));
    return done;
}

static bool readable(fix_t *f, const version_t *v) {
    CLEANUP(buf_done) buf_t out;
    uint64_t size = 0;
    buf_init(&out, LIMIT_SYNC_PART);
    sync_call_t call = call_by(f, f->service, &f->sync.laptop);
    err_t *e = sync_data_read(&call, v->blob.root, 0, UINT64_MAX, &out, &size);
    bool good = !e && bytes_eq(buf_bytes(&out), buf_bytes(&v->blob.blob));
    err_free(e);
    return good;
}

static int64_t used(fix_t *f) {
    sync_call_t call = call_by(f, f->service, &f->sync.laptop);
    return call.region.used;
}

typedef struct {
    db_sync_hold_t row;
} hold_t;

static err_t *hold_fn(db_conn_t *conn, void *arg) {
    hold_t *hold = arg;
    return db_sync_hold_add(conn, &hold->row, &hold->row.seq);
}

static err_t *unhold_fn(db_conn_t *conn, void *arg) {
    hold_t *hold = arg;
    bool found = false;
    TRY(db_sync_hold_remove(conn, hold->row.seq, &found));
    assert_true(found);
    return NULL;
}

/* ---- what is forgotten ---- */

static void test_service__forgets_what_nobody_committed(void **state) {
    fix_t *f = *state;
    version_t data, package;
    version_make(f, 1, &data);
    version_make(f, 2, &package);
    put_data(f, &data);
    put_version(f, &package);
    assert_int_equal(used(f), (int64_t)(data.blob.size + package.blob.size));
    sync_collected_t done = collect(f, 0);
    assert_int_equal(done.data, 0);
    assert_true(readable(f, &data) && readable(f, &package));
    done = collect(f, GRACE);
    assert_int_equal(done.data, 2);
    assert_int_equal(done.packages, 1);
    assert_false(readable(f, &data));
    assert_false(readable(f, &package));
    assert_int_equal(used(f), 0);
    put_version(f, &package); /* and may come again */
    assert_true(readable(f, &package));
    version_done(&data);
    version_done(&package);
}

static void test_service__drops_what_nobody_goes_on_with(void **state) {
    fix_t *f = *state;
    version_t data, package;
    version_make(f, 1, &data);
    version_make(f, 2, &package);
    put_data(f, &data);
    put_version(f, &package);
    sync_call_t mine = call_by(f, f->service, &f->sync.laptop), *call = &mine;
    assert_err(ERR_VERIFY, sync_data_drop(call, package.blob.root));
    assert_int_equal(call->word, SYNC_WORD_DATA);
    assert_true(readable(f, &package));
    assert_ok(sync_data_drop(call, data.blob.root));
    assert_false(readable(f, &data));
    assert_int_equal(used(f), (int64_t)package.blob.size);
    assert_err(ERR_NOT_FOUND, sync_data_drop(call, data.blob.root));
    call->roles = SYNC_READ;
    assert_err(ERR_DENIED, sync_data_drop(call, package.blob.root));
    version_done(&data);
    version_done(&package);
}

static void test_service__never_forgets_what_a_tree_has(void **state) {
    fix_t *f = *state;
    version_t folder, next;
    version_make(f, 1, &folder);
    version_make(f, 2, &next);
    put_version(f, &folder);
    commit(f, &folder, &folder, NULL);
    for (unsigned i = 0; i < 3; i++) assert_int_equal(collect(f, 400).packages, 0);
    assert_true(readable(f, &folder));
    put_version(f, &next);
    commit(f, &next, &next, &folder);
    assert_int_equal(collect(f, KEEP - 8).packages, 0); /* it is kept for a while */
    commit(f, &folder, &folder, &next);                 /* and comes back */
    assert_int_equal(collect(f, KEEP + 1).packages, 1);
    assert_true(readable(f, &folder));
    assert_false(readable(f, &next));
    version_done(&folder);
    version_done(&next);
}

static void test_service__keeps_dropped_versions_as_long_as_they_are_held(void **state) {
    fix_t *f = *state;
    version_t folder, next;
    hold_t hold = {
        .row = {
            .region = BYTES_ARRAY(f->region), .person_id = "", .reason = "case", .actor = "test"}};
    version_make(f, 1, &folder);
    version_make(f, 2, &next);
    put_version(f, &folder);
    commit(f, &folder, &folder, NULL);
    put_version(f, &next);
    commit(f, &next, &next, &folder);
    assert_ok(db_write(f->db, hold_fn, &hold));
    assert_int_equal(collect(f, 10 * KEEP).packages, 0);
    assert_true(readable(f, &folder));
    assert_ok(db_write(f->db, unhold_fn, &hold));
    hold.row.region = BYTES_NONE;
    hold.row.person_id = "person-1";
    assert_ok(db_write(f->db, hold_fn, &hold));
    assert_int_equal(collect(f, 10 * KEEP).packages, 0);
    assert_ok(db_write(f->db, unhold_fn, &hold));
    assert_int_equal(collect(f, 0).packages, 1);
    assert_false(readable(f, &folder));
    version_done(&folder);
    version_done(&next);
}

/* ---- two services over one database ---- */

static void test_service__follows_what_another_service_wrote(void **state) {
    fix_t *f = *state;
    version_t folder, next;
    bool is_new = false;
    secret_t *key = NULL;
    sync_call_t call;
    version_make(f, 1, &folder);
    version_make(f, 5, &next);
    put_version(f, &folder);
    assert_ok(commit_by(f, f->other, &folder, &folder, NULL, &call));
    sync_root_seen_t mine = f->seen;
    f->seen = (sync_root_seen_t){0};
    put_version(f, &next);
    assert_err(ERR_EXISTS, commit_by(f, f->service, &next, &next, NULL, &call));
    assert_int_equal(call.word, SYNC_WORD_NEWER);
    assert_true(call.current.n > 0);
    f->seen = mine;
    /* A chain that went on elsewhere ends an epoch here as well. */
    sync_chain_writer_t writer = fixture_writer(&f->sync.laptop);
    version_t old;
    version_make(f, 3, &old);
    put_data(f, &old);
    assert_ok(sync_chain_rotate(&writer, f->sync.chain, NULL, f->sync.key, fixture_entry(&f->sync),
                                &key));
    fixture_set_key(&f->sync, key);
    call = call_by(f, f->other, &f->sync.laptop);
    assert_ok(sync_chain_write(&call, buf_bytes(&f->sync.entries[f->sync.entries_n - 1]), &is_new));
    CLEANUP(buf_done) buf_t ids;
    buf_init(&ids, SYNC_HASH);
    bytes_t record = buf_bytes(&old.record);
    call = call_by(f, f->service, &f->sync.laptop);
    assert_err(ERR_DENIED, sync_packages_put(&call, &record, 1, &ids, &is_new));
    assert_int_equal(call.word, SYNC_WORD_EPOCH);
    version_done(&folder);
    version_done(&next);
    version_done(&old);
}

static void test_service__an_entry_that_was_not_kept_is_not_remembered(void **state) {
    fix_t *f = *state;
    bool is_new = false;
    sync_chain_writer_t writer = fixture_writer(&f->sync.laptop);
    buf_t *entry = fixture_entry(&f->sync);
    assert_ok(sync_chain_add(&writer, f->sync.chain, &f->sync.tablet.card, entry));
    f->policy.may_sync = false; /* refused after the chain took it */
    sync_call_t call = call_by(f, f->service, &f->sync.laptop);
    assert_err(ERR_DENIED, sync_chain_write(&call, buf_bytes(entry), &is_new));
    assert_int_equal(call.word, SYNC_WORD_POLICY);
    f->policy.may_sync = true;
    call = call_by(f, f->service, &f->sync.laptop);
    assert_ok(sync_chain_write(&call, buf_bytes(entry), &is_new));
    assert_true(is_new);
}

static void test_service__who_may_not_share_lets_nobody_else_in(void **state) {
    fix_t *f = *state;
    bool is_new = false;
    sync_device_key_t other = {0};
    sync_chain_writer_t writer = fixture_writer(&f->sync.laptop);
    buf_t *entry = fixture_entry(&f->sync);
    assert_ok(sync_device_key_make(rnd_real(), "o", "officers@example.org", 1, &other));
    assert_ok(sync_chain_add(&writer, f->sync.chain, &other.card, entry));
    f->policy.may_share = false;
    sync_call_t call = call_by(f, f->service, &f->sync.laptop);
    assert_err(ERR_DENIED, sync_chain_write(&call, buf_bytes(entry), &is_new));
    assert_int_equal(call.word, SYNC_WORD_POLICY);
    f->policy.may_share = true;
    call = call_by(f, f->service, &f->sync.laptop);
    assert_ok(sync_chain_write(&call, buf_bytes(entry), &is_new));
    sync_device_key_done(&other);
}

/* ---- the log ---- */

static void test_service__the_log_has_all_entries_and_full_tiles(void **state) {
    fix_t *f = *state;
    enum { REGIONS = 300 };
    merkle_t merkle;
    uint8_t root[MERKLE_HASH], want[MERKLE_HASH];
    uint64_t size = 0, done = 0;
    CLEANUP(buf_done) buf_t tile;
    buf_init(&tile, 65536);
    f->policy.may_sync = true;
    for (unsigned i = 0; i < REGIONS - 5; i++) { /* the fixture's chain has five */
        CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
        CLEANUP(buf_done) buf_t entry;
        sync_device_key_t device = {0};
        secret_t *key = NULL;
        uint8_t region[SYNC_HASH];
        bool is_new = false;
        buf_init(&entry, LIMIT_SYNC_ENTRY);
        assert_ok(sync_device_key_make(rnd_real(), "d", "person-1", 1, &device));
        assert_ok(sync_chain_new(&chain));
        sync_chain_writer_t writer = {rnd_real(), &device, 1};
        assert_ok(sync_chain_begin(&writer, chain, &entry, &key));
        sync_call_t call = call_by(f, f->service, NULL);
        if (i >= 200) { /* a person may be in so many regions */
            call.person.id = "officers";
            call.person.email = "person-1";
        }
        assert_ok(sync_region_create(&call, buf_bytes(&entry), region, &is_new));
        secret_free(key);
        sync_device_key_done(&device);
    }
    assert_ok(sync_log_head(f->service, &size, root, &done));
    assert_int_equal(size, REGIONS);
    assert_int_equal(done, 0);
    sync_call_t call = call_by(f, f->service, NULL);
    assert_err(ERR_NOT_FOUND, sync_log_tile(&call, BYTES_LIT("0/000"), &tile));
    assert_ok(sync_log_keep(f->service, size, BYTES_LIT("note\n")));
    assert_ok(sync_log_tile(&call, BYTES_LIT("0/000"), &tile));
    assert_int_equal(tile.n, 256 * MERKLE_HASH);
    assert_ok(sync_log_tile(&call, BYTES_LIT("0/001.p/44"), &tile));
    assert_int_equal(tile.n, 300 * MERKLE_HASH);
    merkle_init(&merkle);
    for (size_t at = 0; at < tile.n; at += MERKLE_HASH) assert_ok(merkle_add(&merkle, tile.p + at));
    assert_ok(merkle_root(&merkle, want));
    assert_memory_equal(root, want, MERKLE_HASH);
    buf_clear(&tile);
    assert_ok(sync_log_tile(&call, BYTES_LIT("1/000.p/1"), &tile));
    assert_int_equal(tile.n, MERKLE_HASH);
    static const char *const wrong[] = {"0/001",     "0/001.p/45", "0/1",      "0/x000/000",
                                        "0/000.p/0", "9/000",      "x/000",    "entries/000.p/256",
                                        "",          "0/",         "0/000/000"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_err(ERR_NOT_FOUND, sync_log_tile(&call, bytes_str(wrong[i]), &tile));
    buf_clear(&tile);
    assert_ok(sync_log_tile(&call, BYTES_LIT("entries/001.p/44"), &tile));
    bytes_t rest = buf_bytes(&tile), entry;
    unsigned n = 0;
    for (; rest.n; n++) assert_ok(tlog_bundle_next(&rest, &entry));
    assert_int_equal(n, 44);
}

/* ---- log-in ---- */

static void test_service__only_the_organisations_key_recovers(void **state) {
    fix_t *f = *state;
    sync_service_t *off = NULL;
    bool is_new = false;
    const uint8_t *recovery = f->sync.recovery.id;
    sync_chain_writer_t writer = fixture_writer(&f->sync.laptop);
    f->no_recovery = true;
    off = make_service(f);
    f->no_recovery = false;
    /* Another key than the one that was said, and any key where recovery is off. */
    buf_t *entry = fixture_entry(&f->sync);
    sync_call_t call = call_by(f, f->service, &f->sync.laptop);
    assert_ok(sync_chain_add(&writer, f->sync.chain, &f->sync.tablet.card, entry));
    assert_ok(sync_chain_write(&call, buf_bytes(entry), &is_new));
    entry = fixture_entry(&f->sync);
    assert_ok(sync_chain_approve(&writer, f->sync.chain, f->sync.tablet.id, SYNC_RECOVER, entry));
    call = call_by(f, f->service, &f->sync.laptop);
    assert_err(ERR_DENIED, sync_chain_write(&call, buf_bytes(entry), &is_new));
    assert_int_equal(call.word, SYNC_WORD_POLICY);
    assert_memory_not_equal(recovery, f->sync.tablet.id, SYNC_HASH);
    call = call_by(f, off, &f->sync.laptop);
    assert_err(ERR_DENIED, sync_chain_write(&call, buf_bytes(entry), &is_new));
    assert_int_equal(call.word, SYNC_WORD_POLICY);
    sync_service_free(off);
}

static void test_service__nonces_and_tokens_end(void **state) {
    fix_t *f = *state;
    uint8_t nonce[SYNC_NONCE];
    CLEANUP(buf_done) buf_t token, message, signature;
    int64_t end = 0;
    buf_init(&token, SYNC_TOKEN_TEXT);
    buf_init(&message, 512);
    buf_init(&signature, SYNC_SIGNATURE);
    const sync_device_key_t *d = &f->sync.laptop;
    assert_ok(sync_login_begin(f->service, f->region, d->id, nonce));
    assert_ok(wire_put_str(&message, "localhost:443"));
    assert_ok(record_put_raw(&message, f->region, SYNC_HASH));
    assert_ok(record_put_raw(&message, d->id, SYNC_HASH));
    assert_ok(record_put_raw(&message, nonce, SYNC_NONCE));
    assert_ok(pkey_sign(d->login, "coffer/v1/sync/login", buf_bytes(&message), &signature));
    sync_call_t call = call_by(f, f->other, NULL);
    assert_err(ERR_AUTH, sync_login_end(&call, f->region, d->id, nonce, buf_bytes(&signature),
                                        &token, &end)); /* of another process */
    call = call_by(f, f->service, NULL);
    assert_ok(sync_login_end(&call, f->region, d->id, nonce, buf_bytes(&signature), &token, &end));
    assert_ok(sync_token_check(f->service, f->region, buf_bytes(&token)));
    call = call_by(f, f->service, NULL);
    assert_ok(sync_call_device(&call, f->region, buf_bytes(&token)));
    assert_memory_equal(call.device, d->id, SYNC_HASH);
    clk_fake_advance(&f->clock, 121 * 1000);
    call = call_by(f, f->service, NULL);
    buf_clear(&token);
    assert_err(ERR_AUTH,
               sync_login_end(&call, f->region, d->id, nonce, buf_bytes(&signature), &token, &end));
    clk_fake_advance(&f->clock, 3600 * 1000);
    assert_err(ERR_AUTH, sync_token_check(f->service, f->region, buf_bytes(&token)));
    assert_err(ERR_AUTH, sync_token_check(f->service, f->region, BYTES_LIT("cfs_")));
    assert_err(ERR_AUTH, sync_token_check(f->service, f->region, BYTES_LIT("cfs_!!!!")));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_service__forgets_what_nobody_committed),
        T(test_service__drops_what_nobody_goes_on_with),
        T(test_service__never_forgets_what_a_tree_has),
        T(test_service__keeps_dropped_versions_as_long_as_they_are_held),
        T(test_service__follows_what_another_service_wrote),
        T(test_service__an_entry_that_was_not_kept_is_not_remembered),
        T(test_service__who_may_not_share_lets_nobody_else_in),
        T(test_service__the_log_has_all_entries_and_full_tiles),
        T(test_service__only_the_organisations_key_recovers),
        T(test_service__nonces_and_tokens_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
