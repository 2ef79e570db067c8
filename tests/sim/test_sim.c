/*
 * The simulator itself: the disk forgets what was not synced and nothing else, the oracle sees what
 * is lost or torn, and one seed gives one run.
 */
#include "../unit/unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "sim_person.h"

typedef struct {
    sim_rnd_t rnd;
    clk_fake_t clk;
    sim_disk_t *disk;
    sim_people_t people;
} stage_t;

static int setup(void **state) {
    stage_t *s = mem_zalloc(sizeof *s);
    assert_non_null(s);
    sim_rnd_init(&s->rnd, 5);
    clk_fake_init(&s->clk, 1700000000000);
    assert_ok(sim_disk_new(&s->rnd, &s->clk, &s->disk));
    sim_people_init(&s->people, &s->rnd);
    *state = s;
    return 0;
}

static int teardown(void **state) {
    stage_t *s = *state;
    sim_disk_free(s->disk);
    mem_free(s);
    return 0;
}

static void make(sim_disk_t *disk, const char *path, bytes_t content, uint64_t *ret_inode) {
    assert_ok(sim_disk_create(disk, path, 0644, ret_inode));
    assert_ok(sim_disk_write_inode(disk, *ret_inode, 0, content));
}

static void test_disk__keeps_what_was_synced(void **state) {
    stage_t *s = *state;
    sim_stat_t stat;
    uint64_t inode = 0;
    make(s->disk, "a", BYTES_LIT("safe"), &inode);
    assert_ok(sim_disk_sync_inode(s->disk, inode));
    assert_ok(sim_disk_sync_folder(s->disk, ""));
    assert_ok(sim_disk_write_inode(s->disk, inode, 0, BYTES_LIT("not safe")));
    sim_disk_power(s->disk);
    assert_ok(sim_disk_stat(s->disk, "a", &stat));
    assert_int_equal(stat.size, 4);
}

static void test_disk__forgets_names_in_their_order(void **state) {
    stage_t *s = *state;
    bool lost = false, kept = false;
    for (unsigned i = 0; i < 40; i++) {
        char a[16], b[16];
        sim_stat_t stat;
        uint64_t inode = 0;
        (void)snprintf(a, sizeof a, "a%u", i);
        (void)snprintf(b, sizeof b, "b%u", i);
        make(s->disk, a, BYTES_LIT("x"), &inode);
        make(s->disk, b, BYTES_LIT("x"), &inode);
        sim_disk_power(s->disk);
        err_t *first = sim_disk_stat(s->disk, a, &stat), *second = sim_disk_stat(s->disk, b, &stat);
        if (first) assert_non_null(second);
        lost = lost || second;
        kept = kept || !second;
        err_free(first);
        err_free(second);
    }
    assert_true(lost && kept);
}

static void test_disk__has_no_power_after_a_crash(void **state) {
    stage_t *s = *state;
    sim_stat_t stat;
    uint64_t inode = 0;
    sim_disk_crash_after(s->disk, 2);
    assert_ok(sim_disk_create(s->disk, "a", 0644, &inode));
    assert_err(ERR_IO, sim_disk_sync_folder(s->disk, ""));
    assert_err(ERR_IO, sim_disk_stat(s->disk, "", &stat));
    sim_disk_power(s->disk);
    assert_ok(sim_disk_stat(s->disk, "", &stat));
}

static void test_disk__moves_as_a_file_system_does(void **state) {
    stage_t *s = *state;
    uint64_t inode = 0;
    assert_ok(sim_disk_mkdir(s->disk, "d", 0755));
    assert_ok(sim_disk_mkdir(s->disk, "d/e", 0755));
    assert_err(ERR_INVALID, sim_disk_rename(s->disk, "d", "d/e/f", false));
    make(s->disk, "a", BYTES_LIT("x"), &inode);
    assert_err(ERR_EXISTS, sim_disk_rename(s->disk, "a", "d", false));
    make(s->disk, "b", BYTES_LIT("y"), &inode);
    assert_err(ERR_EXISTS, sim_disk_rename(s->disk, "a", "b", true));
    assert_ok(sim_disk_rename(s->disk, "a", "b", false));
    assert_err(ERR_EXISTS, sim_disk_rmdir(s->disk, "d"));
    sim_disk_room(s->disk, 10);
    assert_err(ERR_FULL, sim_disk_write_inode(s->disk, inode, 0, BYTES_LIT("longer than this")));
}

static void test_disk__may_fold_names(void **state) {
    stage_t *s = *state;
    sim_stat_t stat;
    uint64_t inode = 0, other = 0;
    make(s->disk, "name", BYTES_LIT("x"), &inode);
    assert_err(ERR_NOT_FOUND, sim_disk_stat(s->disk, "Name", &stat));
    sim_disk_fold(s->disk);
    assert_ok(sim_disk_stat(s->disk, "NAME", &stat));
    assert_true(stat.inode == inode);
    assert_err(ERR_EXISTS, sim_disk_create(s->disk, "Name", 0644, &other));
    assert_err(ERR_EXISTS, sim_disk_rename(s->disk, "name", "Name", true));
    make(s->disk, "b", BYTES_LIT("yy"), &other);
    assert_ok(sim_disk_rename(s->disk, "b", "NAME", false));
    assert_ok(sim_disk_stat(s->disk, "name", &stat));
    assert_int_equal(stat.size, 2);
    assert_true(stat.inode == other);
}

static void test_disk__tells_of_any_write_by_its_stamp(void **state) {
    stage_t *s = *state;
    sim_stat_t before, after;
    uint64_t inode = 0;
    sim_disk_stamps(s->disk);
    make(s->disk, "a", BYTES_LIT("one"), &inode);
    assert_ok(sim_disk_stat(s->disk, "a", &before));
    assert_ok(sim_disk_write_inode(s->disk, inode, 0, BYTES_LIT("two")));
    assert_ok(sim_disk_set(s->disk, "a", 0644, before.mtime_ns));
    assert_ok(sim_disk_stat(s->disk, "a", &after));
    assert_true(after.mtime_ns == before.mtime_ns && after.size == before.size);
    assert_true(after.stamp != before.stamp);
}

static void test_people__see_what_is_lost_or_torn(void **state) {
    stage_t *s = *state;
    uint32_t content = 0;
    sim_stat_t stat;
    char path[32];
    assert_ok(sim_people_write(&s->people, s->disk, &content));
    assert_ok(sim_people_check(&s->people, s->disk, NULL));
    (void)snprintf(path, sizeof path, SIM_CANARY_NAME "new%u", content);
    assert_ok(sim_disk_stat(s->disk, path, &stat));
    assert_ok(sim_disk_write_inode(s->disk, stat.inode, stat.size - 1, BYTES_LIT("?")));
    assert_err(ERR_VERIFY, sim_people_check_exact(&s->people, s->disk, NULL));
    assert_ok(sim_disk_unlink(s->disk, path));
    assert_ok(sim_people_check_exact(&s->people, s->disk, NULL));
    assert_err(ERR_VERIFY, sim_people_check(&s->people, s->disk, NULL));
}

static void test_people__do_the_same_again(void **state) {
    stage_t *s = *state;
    stage_t *other = NULL;
    for (unsigned i = 0; i < 100; i++) sim_people_act(&s->people, 0, s->disk);
    setup((void **)&other);
    for (unsigned i = 0; i < 100; i++) sim_people_act(&other->people, 0, other->disk);
    assert_true(s->people.contents_n > 20);
    assert_ok(sim_people_compare(s->disk, other->disk, NULL));
    assert_ok(sim_people_check(&s->people, s->disk, NULL));
    sim_people_act(&other->people, 0, other->disk);
    uint32_t content = 0;
    assert_ok(sim_people_write(&other->people, other->disk, &content));
    assert_err(ERR_VERIFY, sim_people_compare(s->disk, other->disk, NULL));
    teardown((void **)&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_disk__keeps_what_was_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__forgets_names_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__has_no_power_after_a_crash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__moves_as_a_file_system_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__may_fold_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__tells_of_any_write_by_its_stamp, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_people__see_what_is_lost_or_torn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_people__do_the_same_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
