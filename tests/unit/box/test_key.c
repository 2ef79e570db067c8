/* The database's key: what opens it, what does not, and that a crash leaves one that opens. */
#include "box_fixture.h"

#include "base/fault.h"
#include "box/key.h"

static void test_key__opens_by_class_a_while_unlocked_only(void **state) {
    (void)state;
    world_t w;
    char path[128];
    CLEANUP(box_key_done) box_key_t made = {0}, opened = {0};
    world_init(&w);
    assert_ok(box_key_create(w.bag, w.env.rnd, in_dir(&w, "box.key", path), &made));
    assert_err(ERR_EXISTS, box_key_create(w.bag, w.env.rnd, path, &opened));
    assert_ok(box_key_open(w.bag, path, &opened));
    assert_true(secret_eq(opened.database, secret_bytes(made.database)));
    assert_int_equal(opened.epoch, 1);
    box_key_done(&opened);
    keybag_lock(w.bag, 0);
    assert_err(ERR_DENIED, box_key_open(w.bag, path, &opened));
    world_done(&w);
}

/* Locked: the device alone does not open it, nor does any KEK but the present epoch's. */
static void test_key__opens_by_the_present_lease_alone(void **state) {
    (void)state;
    world_t w;
    char path[128];
    uint64_t epoch = 0;
    CLEANUP(box_key_done) box_key_t key = {0};
    CLEANUP(secret_free) secret_t *former = NULL, *database = NULL;
    world_init(&w);
    assert_ok(box_key_create(w.bag, w.env.rnd, in_dir(&w, "box.key", path), &key));
    assert_ok(secret_copy(secret_bytes(key.kek), &former));
    assert_ok(box_key_renew(w.bag, w.env.rnd, path, 0, &key));
    assert_int_equal(key.epoch, 2);
    assert_false(secret_eq(key.kek, secret_bytes(former)));
    keybag_lock(w.bag, 0);
    assert_ok(box_key_epoch(w.bag, path, &epoch));
    assert_int_equal(epoch, 2);
    assert_err(ERR_VERIFY, box_key_open_leased(w.bag, path, secret_bytes(former), &database));
    assert_err(ERR_VERIFY, box_key_open_leased(w.bag, path, BYTES_LIT("short"), &database));
    assert_ok(box_key_open_leased(w.bag, path, secret_bytes(key.kek), &database));
    assert_true(secret_eq(database, secret_bytes(key.database)));
    world_done(&w);
}

static void test_key__renewal_goes_above_what_a_server_has(void **state) {
    (void)state;
    world_t w;
    char path[128];
    CLEANUP(box_key_done) box_key_t key = {0};
    world_init(&w);
    assert_ok(box_key_create(w.bag, w.env.rnd, in_dir(&w, "box.key", path), &key));
    assert_ok(box_key_renew(w.bag, w.env.rnd, path, 41, &key));
    assert_int_equal(key.epoch, 42);
    assert_ok(box_key_renew(w.bag, w.env.rnd, path, 7, &key));
    assert_int_equal(key.epoch, 43);
    world_done(&w);
}

static void test_key__renewal_with_each_failed_write_leaves_one_that_opens(void **state) {
    (void)state;
    world_t w;
    char path[128];
    CLEANUP(box_key_done) box_key_t key = {0};
    world_init(&w);
    assert_ok(box_key_create(w.bag, w.env.rnd, in_dir(&w, "box.key", path), &key));
    unsigned long n = 1;
    for (bool fired = true; fired; n++) {
        CLEANUP(box_key_done) box_key_t again = {0};
        fault_arm_io(n);
        err_t *e = box_key_renew(w.bag, w.env.rnd, path, 0, &key);
        fired = fault_io_fired();
        fault_arm_io(0);
        assert_true(fired || !e);
        err_free(e);
        assert_ok(box_key_open(w.bag, path, &again));
        assert_true(secret_eq(again.database, secret_bytes(key.database)));
    }
    assert_true(n > 3);
    world_done(&w);
}

static void test_key__damaged_file_opens_nothing(void **state) {
    (void)state;
    world_t w;
    char path[128];
    CLEANUP(box_key_done) box_key_t key = {0}, opened = {0};
    CLEANUP(buf_done) buf_t data;
    world_init(&w);
    buf_init(&data, 4096);
    assert_ok(box_key_create(w.bag, w.env.rnd, in_dir(&w, "box.key", path), &key));
    assert_ok(file_read(path, &data));
    for (size_t i = 0; i < data.n; i += 7) {
        data.p[i] ^= 4;
        assert_ok(file_write(path, buf_bytes(&data), 0600));
        err_t *e = box_key_open(w.bag, path, &opened);
        assert_non_null(e);
        err_free(e);
        data.p[i] ^= 4;
    }
    world_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key__opens_by_class_a_while_unlocked_only),
        cmocka_unit_test(test_key__opens_by_the_present_lease_alone),
        cmocka_unit_test(test_key__renewal_goes_above_what_a_server_has),
        cmocka_unit_test(test_key__renewal_with_each_failed_write_leaves_one_that_opens),
        cmocka_unit_test(test_key__damaged_file_opens_nothing),
    };
    return cmocka_run_group_tests_name("box key", tests, NULL, NULL);
}
