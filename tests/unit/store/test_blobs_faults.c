/*
 * Blobs on several stores: failing I/O, kill -9, many at once.
 */
#include "blobs_fixture.h"

/* ---- faults ---- */

/* A put, an owner, its loss, collection: whichever I/O fails, an owned blob can be read, and in the
 * end nothing is left over. */
static err_t *life(fix_t *f) {
    blobs_work_t work = {.checked = 0};
    TRY(try_put(f, 70000, 1));
    TRY(try_own(f, 70000, 1, "a"));
    wait_ms(f, DAY + 1);
    TRY(blobs_collect(f->blobs, 10, &work));
    TRY(blobs_repair(f->blobs, 10, &work));
    TRY(try_get(f, 70000, 1));
    TRY(try_disown(f, "a"));
    wait_ms(f, DAY + 1);
    TRY(blobs_collect(f->blobs, 10, &work));
    wait_ms(f, HOUR + 1);
    TRY(blobs_collect(f->blobs, 10, &work));
    return NULL;
}

static bool is_owned(fix_t *f) {
    return fixture_number(f->db.db, "SELECT COUNT(*) FROM blob_owner") > 0;
}

static void test_blobs__each_failing_io_loses_nothing(void **state) {
    fix_t *f = *state;
    unsigned long n = 1;
    for (;; n++) {
        fault_arm_io(n);
        err_t *e = life(f);
        bool fired = fault_io_fired();
        fault_arm_io(0);
        wait_ms(f, HOUR);
        if (is_owned(f)) assert_ok(try_get(f, 70000, 1));
        if (!e) assert_int_equal(objects(f), 0);
        else assert_true(fired);
        err_free(e);
        disown(f, "a");
        collect_all(f);
        assert_int_equal(objects(f), 0);
        assert_int_equal(fixture_number(f->db.db, "SELECT COUNT(*) FROM stored_blob"), 0);
        if (!fired) break;
    }
    assert_true(n > 30);
}

/* ---- kill -9 ---- */

/* In another process: life after life, until it is killed. */
static void live(fix_t *f) {
    for (unsigned i = 0; i < 1000; i++) {
        char owner[32];
        blobs_work_t work = {.checked = 0};
        (void)snprintf(owner, sizeof owner, "o%u", i);
        assert_ok(try_put(f, 2000, i));
        assert_ok(try_own(f, 2000, i, owner));
        if (i % 3 == 0) disown(f, owner);
        wait_ms(f, DAY + 1);
        assert_ok(blobs_collect(f->blobs, 10, &work));
        wait_ms(f, HOUR + 1);
        assert_ok(blobs_collect(f->blobs, 10, &work));
        if (i % 5 == 0) assert_ok(blobs_repair(f->blobs, 10, &work));
    }
}

static void check_owned(fix_t *f) {
    for (unsigned i = 0; i < 1000; i++) {
        char sql[96];
        (void)snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM blob_owner WHERE owner = 'o%u'", i);
        if (fixture_number(f->db.db, sql) > 0) assert_ok(try_get(f, 2000, i));
    }
}

static void test_blobs__survives_kill_at_any_moment(void **state) {
    fix_t *f = *state;
    blobs_work_t work = {.checked = 0};
    for (unsigned round = 0; round < 8; round++) {
        blobs_free(STEAL(f->blobs));
        db_close(STEAL(f->db.db));
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (db_open(f->db.path, NULL, &f->db.clk.clk, &f->db.db)) _exit(1);
            open_blobs(f, STORES, 2);
            live(f);
            _exit(0);
        }
        struct timespec wait = {.tv_nsec = 30000000 + (long)round * 7300000};
        (void)nanosleep(&wait, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* it had not failed before */
        assert_ok(db_open(f->db.path, NULL, &f->db.clk.clk, &f->db.db));
        open_blobs(f, STORES, 2);
        wait_ms(f, (int64_t)1000 * (DAY + HOUR));
        check_owned(f);
        collect_all(f);
        check_owned(f);
    }
    /* What a killed one left behind: no spool file, no object that the sweep would not find. */
    size_t removed = 1;
    bool done = false;
    assert_ok(blob_tmp_sweep(blob_disk_tmp(moody(f, 0)->disk), &removed));
    assert_int_equal(removed, 0);
    for (unsigned i = 0; i < 1000; i++) {
        char owner[32];
        (void)snprintf(owner, sizeof owner, "o%u", i);
        disown(f, owner);
    }
    collect_all(f);
    for (unsigned i = 0; i < 40; i++) {
        collect_all(f);
    }
    f->db.clk.now_ms = ((int64_t)time(NULL) + 3 * 86400) * 1000;
    assert_ok(blobs_sweep(f->blobs, &work, &done));
    assert_int_equal(objects(f), 0);
}

/* ---- at once ---- */

static void *put_many(void *arg) {
    fix_t *f = arg;
    for (unsigned i = 0; i < 20; i++) {
        assert_ok(try_put(f, 2000, i));
        assert_ok(try_get(f, 2000, i));
    }
    return NULL;
}

static void test_blobs__threads_put_the_same_at_once(void **state) {
    fix_t *f = *state;
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, f), 0);
    for (size_t i = 0; i < 3; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(scrub(f).lost, 0);
    for (unsigned i = 0; i < 20; i++) assert_int_equal(good(f, 2000, i), STORES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_blobs__##name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(each_failing_io_loses_nothing),
        TEST(survives_kill_at_any_moment),
        TEST(threads_put_the_same_at_once),
    };
    if (crypto_init()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
