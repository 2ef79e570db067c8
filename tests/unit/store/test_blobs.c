/*
 * Blobs on several stores: quorum, reading on, repair, scrub, collection.
 */
#include "blobs_fixture.h"

/* ---- putting and getting ---- */

static void test_blobs__gives_back_what_was_put(void **state) {
    fix_t *f = *state;
    static const size_t sizes[] = {0, 1, 65536, 65537, 1048576 + 16, 1100000};
    for (unsigned i = 0; i < 6; i++) {
        assert_ok(try_put(f, sizes[i], i));
        assert_ok(try_put(f, sizes[i], i));
        assert_ok(try_get(f, sizes[i], i));
    }
    blob_id_t other = {{9}};
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, 10);
    assert_err(ERR_NOT_FOUND, blobs_get(f->blobs, &other, 0, 1, collect_bytes, &out));
}

static void test_blobs__gives_every_range(void **state) {
    fix_t *f = *state;
    enum { N = 1300000 };
    CLEANUP(mem_free) uint8_t *content = noise(N, 3);
    blob_id_t id = id_of(N, 3);
    assert_ok(try_put(f, N, 3));
    static const size_t places[] = {0, 1, 65535, 65536, 65537, 1048575, 1048577, N - 1, N, N + 9};
    static const size_t lengths[] = {0, 1, 65536, 70000, 1100000, N};
    for (size_t i = 0; i < 10; i++) {
        for (size_t k = 0; k < 6; k++) {
            CLEANUP(buf_done) buf_t out;
            buf_init(&out, LIMIT_BLOB);
            assert_ok(blobs_get(f->blobs, &id, places[i], lengths[k], collect_bytes, &out));
            assert_true(bytes_eq(buf_bytes(&out),
                                 bytes_slice(bytes_make(content, N), places[i], lengths[k])));
        }
    }
}

static void test_blobs__takes_nothing_that_is_not_what_its_id_says(void **state) {
    fix_t *f = *state;
    blob_id_t id = id_of(1000, 1);
    CLEANUP(mem_free) uint8_t *other = noise(1000, 2);
    assert_err(ERR_VERIFY, blobs_put(f->blobs, &id, bytes_make(other, 1000)));
    assert_int_equal(objects(f), 0);
    assert_err(ERR_NOT_FOUND, try_get(f, 1000, 1));
    assert_err(ERR_NOT_FOUND, try_own(f, 1000, 1, "o"));
    bool present = false;
    blob_put_t *put = NULL;
    assert_err(ERR_LIMIT, blobs_put_new(f->blobs, &id, LIMIT_BLOB + 1, &present, &put));
    assert_ok(try_put(f, 1000, 1)); /* and the right one still comes */
    assert_ok(try_get(f, 1000, 1));
}

static void test_blobs__lies_at_rest_under_a_key(void **state) {
    fix_t *f = *state;
    blob_id_t id = id_of(1000, 1);
    char name[BLOB_OBJECT_NAME];
    CLEANUP(buf_done) buf_t file;
    CLEANUP(mem_free) uint8_t *content = noise(1000, 1);
    buf_init(&file, 10000);
    assert_ok(try_put(f, 1000, 1));
    CLEANUP(mem_free) char *path = object_of(f, 0, &id, name);
    assert_ok(file_read(path, &file));
    assert_int_equal(file.n, sealed_size(1000));
    assert_null(memmem(file.p, file.n, content, 16));
}

typedef struct {
    blob_id_t id;
    bool refuse;
} also_t;

/* Somebody needs it, from the transaction on that says that it is stored; or there is no room. */
static err_t *own_too(db_conn_t *conn, void *arg) {
    const also_t *also = arg;
    TRY(db_blob_own(conn, blob_id_bytes(&also->id), "test:owner"));
    return also->refuse ? err_new(ERR_DENIED, "not this one") : NULL;
}

static err_t *put_with(fix_t *f, unsigned seed, bool refuse) {
    CLEANUP(blob_put_free) blob_put_t *put = NULL;
    CLEANUP(mem_free) uint8_t *content = noise(3000, seed);
    bool present = false;
    also_t also = {.id = id_of(3000, seed), .refuse = refuse};
    TRY(blobs_put_new(f->blobs, &also.id, 3000, &present, &put));
    assert_false(present);
    TRY(blob_put_add(put, bytes_make(content, 3000)));
    return blob_put_end_with(put, own_too, &also);
}

static void test_blobs__is_stored_with_what_its_caller_writes_or_not_at_all(void **state) {
    fix_t *f = *state;
    assert_err(ERR_DENIED, put_with(f, 1, true));
    assert_int_equal(fixture_number(f->db.db, "SELECT count(*) FROM blob_owner"), 0);
    assert_int_equal(fixture_number(f->db.db, "SELECT count(*) FROM blob_replica"), 0);
    assert_err(ERR_NOT_FOUND, try_get(f, 3000, 1));
    assert_ok(put_with(f, 1, false));
    assert_int_equal(fixture_number(f->db.db, "SELECT count(*) FROM blob_owner"), 1);
    assert_ok(try_get(f, 3000, 1));
}

static void test_blobs__needs_a_quorum_and_no_more(void **state) {
    fix_t *f = *state;
    moody(f, 0)->away = moody(f, 2)->away = true;
    assert_ok(try_put(f, 5000, 1));
    assert_int_equal(good(f, 5000, 1), 2);
    assert_ok(try_get(f, 5000, 1));
    moody(f, 3)->away = true;
    assert_err(ERR_UNAVAILABLE, try_put(f, 5000, 2));
    assert_err(ERR_NOT_FOUND, try_get(f, 5000, 2));
    for (size_t i = 0; i < STORES; i++) moody(f, i)->away = false;
    assert_ok(try_put(f, 5000, 2));
    assert_ok(try_get(f, 5000, 2));
}

static void test_blobs__brings_late_replicas_by_repair(void **state) {
    fix_t *f = *state;
    assert_ok(try_put(f, 5000, 1));
    assert_int_equal(good(f, 5000, 1), 2);
    repair(f, 2);
    assert_int_equal(good(f, 5000, 1), STORES);
    repair(f, 0);
}

static void test_blobs__asks_no_store_that_is_away_first(void **state) {
    fix_t *f = *state;
    moody(f, 0)->away = true;
    assert_ok(try_put(f, 100, 1));
    moody(f, 0)->away = false;
    unsigned before = moody(f, 0)->puts;
    assert_ok(try_put(f, 100, 2)); /* still thought to be away */
    assert_int_equal(moody(f, 0)->puts, before);
    wait_ms(f, HOUR);
    assert_ok(try_put(f, 100, 3));
    assert_int_equal(moody(f, 0)->puts, before + 1);
}

/* ---- replicas that are bad ---- */

static void test_blobs__reads_on_where_a_damaged_replica_ends(void **state) {
    fix_t *f = *state;
    enum { N = 1048576 + 200000 };
    assert_ok(try_put(f, N, 1));
    damage(f, 0, N, 1, (off_t)(sealed_chunk_at(17) + 5)); /* in its second window */
    damage(f, 1, N, 1, (off_t)(sealed_chunk_at(1) + 5));
    assert_ok(try_get(f, N, 1)); /* the other begins behind its own fault */
    assert_int_equal(good(f, N, 1), 1);
    damage(f, 1, N, 1, (off_t)(sealed_chunk_at(18) + 5));
    assert_err(ERR_VERIFY, try_get(f, N, 1));
    damage(f, 1, N, 1, (off_t)(sealed_chunk_at(18) + 5)); /* mended */
    damage(f, 1, N, 1, (off_t)(sealed_chunk_at(1) + 5));
    assert_int_equal(good(f, N, 1), 0); /* as far as anybody knows */
    repair(f, 3);
    assert_int_equal(good(f, N, 1), STORES);
    assert_ok(try_get(f, N, 1));
}

static void test_blobs__tells_lost_from_unreachable(void **state) {
    fix_t *f = *state;
    assert_ok(try_put(f, 5000, 1));
    damage(f, 0, 5000, 1, 100);
    moody(f, 1)->away = true;
    assert_err(ERR_UNAVAILABLE, try_get(f, 5000, 1));
    moody(f, 1)->away = false;
    damage(f, 1, 5000, 1, 100);
    assert_err(ERR_VERIFY, try_get(f, 5000, 1));
    assert_int_equal(scrub(f).lost, 1);
}

static err_t *refuse(void *arg, bytes_t piece) {
    (void)arg;
    (void)piece;
    return err_new(ERR_IO, "the reader went away");
}

static void test_blobs__blames_no_replica_for_its_reader(void **state) {
    fix_t *f = *state;
    blob_id_t id = id_of(5000, 1);
    assert_ok(try_put(f, 5000, 1));
    assert_err(ERR_IO, blobs_get(f->blobs, &id, 0, UINT64_MAX, refuse, NULL));
    assert_int_equal(good(f, 5000, 1), 2);
}

static void test_blobs__scrub_repairs_a_store_that_was_destroyed(void **state) {
    fix_t *f = *state;
    for (unsigned i = 0; i < 20; i++) assert_ok(try_put(f, 3000 + i, i));
    blobs_work_t first = scrub(f);
    assert_int_equal(first.repaired, 40);
    CLEANUP(mem_free) char *objects_gone = mem_printf("rm -rf %s/??", f->dirs[2]);
    assert_int_equal(system(objects_gone), 0);
    damage(f, 3, 3007, 7, 60);
    blobs_work_t second = scrub(f);
    assert_int_equal(second.bad, 21);
    assert_int_equal(second.repaired, 21);
    assert_int_equal(second.lost, 0);
    blobs_work_t third = scrub(f);
    assert_int_equal(third.bad, 0);
    assert_int_equal(third.checked, 20 * STORES);
    blob_id_t id = id_of(3007, 7);
    blob_status_t status;
    bool found = false;
    assert_ok(blobs_status(f->blobs, &id, &status, &found));
    assert_true(found && status.good == STORES && status.wanted == STORES);
    assert_true(status.verified_ms == clk_unix_ms(&f->db.clk.clk));
    for (unsigned i = 0; i < 20; i++) assert_ok(try_get(f, 3000 + i, i));
}

static void test_blobs__scrub_goes_on_where_it_was(void **state) {
    fix_t *f = *state;
    for (unsigned i = 0; i < 10; i++) assert_ok(try_put(f, 3000, i));
    (void)scrub(f);
    blobs_work_t work = {.checked = 0};
    bool done = false;
    unsigned steps = 0;
    assert_ok(blobs_scrub_begin(f->blobs));
    for (;; steps++) {
        assert_ok(blobs_scrub_step(f->blobs, 1, &work, &done));
        if (done) break;
        open_blobs(f, STORES, 2);               /* as after a crash */
        assert_ok(blobs_scrub_begin(f->blobs)); /* no second one */
    }
    assert_int_equal(steps, 10);
    assert_int_equal(work.checked, 10 * STORES);
    assert_int_equal(fixture_number(f->db.db, "SELECT checked FROM blob_scrub"), 10 * STORES);
}

static void test_blobs__scrub_fills_a_store_that_is_new(void **state) {
    fix_t *f = *state;
    open_blobs(f, 1, 1);
    assert_ok(try_put(f, 3000, 1));
    assert_int_equal(good(f, 3000, 1), 1);
    open_blobs(f, STORES, 1);
    assert_int_equal(scrub(f).repaired, 3);
    assert_int_equal(good(f, 3000, 1), STORES);
}

static void test_blobs__scrub_finds_a_store_that_lies(void **state) {
    fix_t *f = *state;
    moody(f, 0)->lies = true; /* says it stored it */
    assert_ok(try_put(f, 3000, 1));
    assert_int_equal(good(f, 3000, 1), 2);
    assert_ok(try_get(f, 3000, 1));
    moody(f, 0)->lies = false;
    assert_int_equal(scrub(f).repaired, 3);
    assert_true(has_object(f, 0, 3000, 1));
}

static void test_blobs__tells_the_state_of_the_stores(void **state) {
    fix_t *f = *state;
    blobs_status_t status;
    assert_ok(try_put(f, 3000, 1));
    assert_ok(try_put(f, 3000, 2));
    damage(f, 0, 3000, 1, 50);
    assert_ok(try_get(f, 3000, 1));
    assert_ok(blobs_status_all(f->blobs, &status));
    assert_int_equal(status.blobs, 2);
    assert_int_equal(status.bytes, 6000);
    assert_false(status.scrubbed);
    assert_true(status.since_ms ==
                clk_unix_ms(&f->db.clk.clk)); /* the first scrub counts from it */
    assert_string_equal(status.stores[0].name, "s0");
    assert_int_equal(status.stores[0].good, 1);
    assert_int_equal(status.stores[0].damaged, 1);
    assert_int_equal(status.stores[3].missing, 2);
    (void)scrub(f);
    assert_ok(blobs_status_all(f->blobs, &status));
    assert_true(status.scrubbed && status.scrub.finished_ms > 0);
    assert_int_equal(status.stores[0].good, 2);
    assert_int_equal(status.stores[3].missing, 0);
}

/* ---- collection ---- */

static void test_blobs__collects_what_nobody_needs(void **state) {
    fix_t *f = *state;
    assert_ok(try_put(f, 3000, 1));
    assert_ok(try_put(f, 3000, 2));
    assert_ok(try_own(f, 3000, 2, "version:2"));
    wait_ms(f, DAY - 1);
    step(f);
    wait_ms(f, 2);
    step(f); /* condemned */
    assert_ok(try_get(f, 3000, 1));
    wait_ms(f, HOUR + 1);
    step(f);
    assert_err(ERR_NOT_FOUND, try_get(f, 3000, 1));
    assert_int_equal(objects(f), 2);
    assert_ok(try_get(f, 3000, 2));
    disown(f, "version:2");
    step(f);
    assert_ok(try_get(f, 3000, 2)); /* its grace begins with the loss of its owner */
    collect_all(f);
    assert_int_equal(objects(f), 0);
    assert_int_equal(fixture_number(f->db.db, "SELECT COUNT(*) FROM stored_blob"), 0);
    assert_int_equal(fixture_number(f->db.db, "SELECT COUNT(*) FROM blob_replica"), 0);
}

static void test_blobs__spares_what_is_put_or_owned_while_condemned(void **state) {
    fix_t *f = *state;
    assert_ok(try_put(f, 3000, 1));
    assert_ok(try_put(f, 3000, 2));
    wait_ms(f, DAY + 1);
    step(f);
    assert_int_equal(fixture_number(f->db.db, "SELECT COUNT(*) FROM stored_blob WHERE state = 3"),
                     2);
    assert_ok(try_put(f, 3000, 1));
    assert_ok(try_own(f, 3000, 2, "o"));
    wait_ms(f, HOUR + 1);
    step(f);
    assert_ok(try_get(f, 3000, 1));
    assert_ok(try_get(f, 3000, 2));
}

static void put_again(void *arg) {
    fix_t *f = arg;
    assert_err(ERR_NOT_FOUND, try_own(f, 3000, 1, "too late"));
    assert_ok(try_put(f, 3000, 1));
    assert_ok(try_own(f, 3000, 1, "new"));
}

static void test_blobs__a_put_while_it_is_deleted_lives(void **state) {
    fix_t *f = *state;
    assert_ok(try_put(f, 3000, 1));
    wait_ms(f, DAY + 1);
    step(f);
    wait_ms(f, HOUR + 1);
    moody(f, 1)->on_remove = put_again; /* the object of the first store is gone by then */
    moody(f, 1)->arg = f;
    step(f);
    assert_null(moody(f, 1)->on_remove);
    assert_ok(try_get(f, 3000, 1));
    assert_int_equal(objects(f), 2);
    assert_int_equal(good(f, 3000, 1), 2);
    collect_all(f);
    assert_ok(try_get(f, 3000, 1));
}

static void test_blobs__a_put_under_way_meets_collection(void **state) {
    fix_t *f = *state;
    CLEANUP(mem_free) uint8_t *content = noise(3000, 1);
    blob_id_t id = id_of(3000, 1);
    for (int late = 0; late < 2; late++) {
        CLEANUP(blob_put_free) blob_put_t *put = NULL;
        bool present = true;
        assert_ok(blobs_put_new(f->blobs, &id, 3000, &present, &put));
        assert_false(present);
        assert_ok(blob_put_add(put, bytes_make(content, 3000)));
        wait_ms(f, DAY + 1);
        step(f); /* condemned: an end still takes that back */
        if (late) {
            wait_ms(f, HOUR + 1);
            step(f);
            assert_err(ERR_BUSY, blob_put_end(put)); /* its row is gone */
        } else {
            assert_ok(blob_put_end(put));
            assert_ok(try_get(f, 3000, 1));
            collect_all(f);
        }
        assert_err(ERR_NOT_FOUND, try_get(f, 3000, 1));
    }
}

static void test_blobs__deletes_when_a_store_that_was_away_is_back(void **state) {
    fix_t *f = *state;
    blobs_work_t work = {.checked = 0};
    assert_ok(try_put(f, 3000, 1));
    wait_ms(f, DAY + 1);
    step(f);
    wait_ms(f, HOUR + 1);
    moody(f, 1)->away = true;
    assert_err(ERR_UNAVAILABLE, blobs_collect(f->blobs, 10, &work));
    assert_int_equal(objects(f), 1);
    moody(f, 1)->away = false;
    wait_ms(f, HOUR);
    step(f);
    assert_int_equal(objects(f), 0);
    assert_int_equal(fixture_number(f->db.db, "SELECT COUNT(*) FROM stored_blob"), 0);
}

static void test_blobs__sweeps_objects_of_no_blob_when_they_are_old(void **state) {
    fix_t *f = *state;
    blobs_work_t work = {.checked = 0};
    bool done = false;
    blob_id_t id = {{1}};
    char name[BLOB_OBJECT_NAME], path[64];
    blob_source_t source = source_make(f->root, BYTES_LIT("stray"), path);
    CLEANUP(fd_close) int fd = source.fd;
    assert_true(fd >= 0);
    assert_ok(blob_store_put(moody(f, 2)->disk, blob_object_name(&id, 7, name), &source));
    assert_ok(try_put(f, 3000, 1));
    f->db.clk.now_ms = (int64_t)time(NULL) * 1000;
    assert_ok(blobs_sweep(f->blobs, &work, &done));
    assert_true(done);
    assert_int_equal(work.removed, 0);
    wait_ms(f, 2 * DAY);
    assert_ok(blobs_sweep(f->blobs, &work, &done));
    assert_int_equal(work.removed, 1);
    assert_ok(try_get(f, 3000, 1));
}

static void test_blobs__opens_what_older_keys_sealed(void **state) {
    fix_t *f = *state;
    assert_ok(try_put(f, 3000, 1));
    blob_keys_done(&f->keys);
    keys_make(&f->keys, 2);
    assert_ok(try_put(f, 3000, 2));
    assert_ok(try_get(f, 3000, 1));
    assert_ok(try_get(f, 3000, 2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_blobs__##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_was_put),
        TEST(gives_every_range),
        TEST(takes_nothing_that_is_not_what_its_id_says),
        TEST(lies_at_rest_under_a_key),
        TEST(is_stored_with_what_its_caller_writes_or_not_at_all),
        TEST(needs_a_quorum_and_no_more),
        TEST(brings_late_replicas_by_repair),
        TEST(asks_no_store_that_is_away_first),
        TEST(reads_on_where_a_damaged_replica_ends),
        TEST(tells_lost_from_unreachable),
        TEST(blames_no_replica_for_its_reader),
        TEST(scrub_repairs_a_store_that_was_destroyed),
        TEST(scrub_goes_on_where_it_was),
        TEST(scrub_fills_a_store_that_is_new),
        TEST(scrub_finds_a_store_that_lies),
        TEST(tells_the_state_of_the_stores),
        TEST(collects_what_nobody_needs),
        TEST(spares_what_is_put_or_owned_while_condemned),
        TEST(a_put_while_it_is_deleted_lives),
        TEST(a_put_under_way_meets_collection),
        TEST(deletes_when_a_store_that_was_away_is_back),
        TEST(sweeps_objects_of_no_blob_when_they_are_old),
        TEST(opens_what_older_keys_sealed),
    };
    if (crypto_init()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
