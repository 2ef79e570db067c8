/* The class-B inbox: added to while locked, read only unlocked, nothing lost when it breaks off. */
#include "box_fixture.h"

#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "box/inbox.h"

typedef struct {
    size_t n, fail_at;
    uint32_t uids[16];
} taken_t;

static err_t *take(void *arg, const box_item_t *item) {
    taken_t *t = arg;
    if (t->n + 1 == t->fail_at) return err_new(ERR_IO, "power cut");
    assert_string_equal(item->folder, "INBOX");
    assert_int_equal(item->uidvalidity, 7);
    assert_true(bytes_eq_str(item->message, "Subject: canary\r\n\r\n"));
    t->uids[t->n++] = item->uid;
    return NULL;
}

static void add(const world_t *w, const char *dir, uint32_t uid) {
    const box_item_t item = {.folder = "INBOX",
                             .uidvalidity = 7,
                             .uid = uid,
                             .message = BYTES_LIT("Subject: canary\r\n\r\n")};
    assert_ok(box_inbox_add(w->bag, w->env.rnd, dir, &item));
}

static size_t count(const char *dir) {
    size_t n = 0;
    assert_ok(box_inbox_count(dir, &n));
    return n;
}

static void test_inbox__is_added_to_locked_and_read_unlocked(void **state) {
    (void)state;
    world_t w;
    char dir[128];
    taken_t taken = {0};
    size_t merged = 0, bad = 0;
    world_init(&w);
    assert_ok(file_mkdir(in_dir(&w, "inbox", dir), 0700));
    keybag_lock(w.bag, 0);
    add(&w, dir, 1);
    add(&w, dir, 2);
    assert_int_equal(count(dir), 2);
    assert_err(ERR_DENIED, box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_int_equal(count(dir), 2);
    assert_ok(keybag_unlock(w.bag, BYTES_LIT("correct horse")));
    assert_ok(box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_int_equal(merged, 2);
    assert_int_equal(bad, 0);
    assert_int_equal(taken.n, 2);
    assert_int_equal(count(dir), 0);
    world_done(&w);
}

static void test_inbox__merge_broken_off_loses_nothing(void **state) {
    (void)state;
    world_t w;
    char dir[128];
    size_t merged = 0, bad = 0;
    world_init(&w);
    assert_ok(file_mkdir(in_dir(&w, "inbox", dir), 0700));
    for (uint32_t uid = 1; uid <= 3; uid++) add(&w, dir, uid);
    taken_t taken = {.fail_at = 2};
    assert_err(ERR_IO, box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_int_equal(count(dir), 2);
    taken.fail_at = 0;
    assert_ok(box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_int_equal(taken.n, 3);
    world_done(&w);
}

static void test_inbox__strange_files_are_left_and_counted(void **state) {
    (void)state;
    world_t w;
    char dir[128], path[256];
    taken_t taken = {0};
    size_t merged = 0, bad = 0;
    world_init(&w);
    assert_ok(file_mkdir(in_dir(&w, "inbox", dir), 0700));
    add(&w, dir, 1);
    (void)snprintf(path, sizeof path, "%s/00112233445566778899aabbccddeeff.mail", dir);
    assert_ok(
        file_write(path, BYTES_LIT("no HPKE at all, whoever put it there, and some more"), 0600));
    assert_ok(box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_int_equal(merged, 1);
    assert_int_equal(bad, 1);
    assert_true(file_exists(path));
    world_done(&w);
}

/* Half an item is none. */
static void test_inbox__adding_with_each_failed_write_leaves_whole_items(void **state) {
    (void)state;
    world_t w;
    char dir[128];
    taken_t taken = {0};
    size_t merged = 0, bad = 0;
    world_init(&w);
    assert_ok(file_mkdir(in_dir(&w, "inbox", dir), 0700));
    const box_item_t item = {.folder = "INBOX",
                             .uidvalidity = 7,
                             .uid = 9,
                             .message = BYTES_LIT("Subject: canary\r\n\r\n")};
    unsigned long n = 1;
    for (bool fired = true; fired; n++) {
        fault_arm_io(n);
        err_t *e = box_inbox_add(w.bag, w.env.rnd, dir, &item);
        fired = fault_io_fired();
        fault_arm_io(0);
        assert_true(fired || !e);
        err_free(e);
    }
    assert_ok(box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_true(merged >= 1);
    assert_int_equal(bad, 0);
    world_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox__is_added_to_locked_and_read_unlocked),
        cmocka_unit_test(test_inbox__merge_broken_off_loses_nothing),
        cmocka_unit_test(test_inbox__strange_files_are_left_and_counted),
        cmocka_unit_test(test_inbox__adding_with_each_failed_write_leaves_whole_items),
    };
    return cmocka_run_group_tests_name("box inbox", tests, NULL, NULL);
}
