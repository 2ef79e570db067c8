/* The class-B inbox: added to while locked, read only unlocked, nothing lost when it breaks off. */
#include "box_fixture.h"

#include <unistd.h>

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
    box_usage_t usage;
    assert_ok(box_inbox_usage(dir, &usage));
    const box_usage_t before = usage;
    const box_item_t item = {.folder = "INBOX",
                             .uidvalidity = 7,
                             .uid = uid,
                             .message = BYTES_LIT("Subject: canary\r\n\r\n")};
    assert_ok(box_inbox_add(w->bag, w->env.rnd, dir, &item, &usage));
    assert_int_equal(usage.count, before.count + 1);
    assert_true(usage.bytes > before.bytes + item.message.n);
    box_usage_t counted;
    assert_ok(box_inbox_usage(dir, &counted));
    assert_int_equal(counted.bytes, usage.bytes);
}

static size_t count(const char *dir) {
    box_usage_t usage;
    assert_ok(box_inbox_usage(dir, &usage));
    return usage.count;
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

static void test_inbox__strange_files_are_put_aside_and_counted(void **state) {
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
    assert_false(file_exists(path));
    char aside[300];
    (void)snprintf(aside, sizeof aside, "%s.bad", path);
    assert_true(file_exists(aside));
    assert_int_equal(count(dir), 0);
    assert_ok(box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_int_equal(bad, 0);
    assert_ok(box_inbox_aside(dir, &bad)); /* until its mail was fetched */
    assert_int_equal(bad, 1);
    assert_ok(box_inbox_settle(dir));
    assert_ok(box_inbox_aside(dir, &bad));
    assert_int_equal(bad, 0);
    assert_false(file_exists(aside));
    (void)snprintf(aside, sizeof aside, "%s.kept", path);
    assert_true(file_exists(aside));
    box_inbox_remove(dir);
    assert_false(file_exists(dir));
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
    box_usage_t usage = {0};
    for (bool fired = true; fired; n++) {
        fault_arm_io(n);
        err_t *e = box_inbox_add(w.bag, w.env.rnd, dir, &item, &usage);
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

/* Who can write into the directory seals what he likes: it opens, and is no item. */
static void test_inbox__what_opens_but_is_no_item_keeps_nobody_out(void **state) {
    (void)state;
    world_t w;
    char dir[128], path[256];
    taken_t taken = {0};
    size_t merged = 0, bad = 0;
    CLEANUP(buf_done) buf_t sealed;
    world_init(&w);
    buf_init(&sealed, 4096);
    assert_ok(file_mkdir(in_dir(&w, "inbox", dir), 0700));
    assert_ok(keybag_seal(w.bag, KEYBAG_B, "mailbox/inbox", BYTES_LIT("no item"), &sealed));
    (void)snprintf(path, sizeof path, "%s/00112233445566778899aabbccddeeff.mail", dir);
    assert_ok(file_write(path, buf_bytes(&sealed), 0600));
    add(&w, dir, 1);
    assert_ok(box_inbox_merge(w.bag, dir, take, &taken, &merged, &bad));
    assert_int_equal(merged, 1);
    assert_int_equal(bad, 1);
    world_done(&w);
}

static void test_inbox__is_bounded_by_mails_bytes_and_free_disk(void **state) {
    (void)state;
    const uint64_t plenty = (uint64_t)1 << 40, least = LIMIT_BOX_DISK_LEFT;
    const box_usage_t none = {0}, many = {.count = LIMIT_BOX_INBOX},
                      nearly = {.count = 1, .bytes = LIMIT_BOX_INBOX_BYTES - 10};
    assert_ok(box_inbox_room(&none, LIMIT_BOX_MESSAGE, plenty));
    assert_err(ERR_FULL, box_inbox_room(&many, 1, plenty));
    assert_ok(box_inbox_room(&nearly, 10, plenty));
    assert_err(ERR_FULL, box_inbox_room(&nearly, 11, plenty));
    assert_ok(box_inbox_room(&none, 5, least + 5));
    assert_err(ERR_FULL, box_inbox_room(&none, 6, least + 5));
    assert_err(ERR_FULL, box_inbox_room(&none, 0, least - 1));
}

/* The bound is that of the files, whoever wrote them. */
static void test_inbox__full_by_bytes_takes_no_more(void **state) {
    (void)state;
    world_t w;
    char dir[128], path[256];
    box_usage_t usage;
    world_init(&w);
    assert_ok(file_mkdir(in_dir(&w, "inbox", dir), 0700));
    (void)snprintf(path, sizeof path, "%s/00112233445566778899aabbccddeeff.mail", dir);
    assert_ok(file_write(path, BYTES_LIT("x"), 0600));
    assert_int_equal(truncate(path, LIMIT_BOX_INBOX_BYTES), 0); /* takes no room on the disk */
    assert_ok(box_inbox_usage(dir, &usage));
    const box_item_t item = {
        .folder = "INBOX", .uidvalidity = 7, .uid = 1, .message = BYTES_LIT("Subject: x\r\n\r\n")};
    assert_err(ERR_FULL, box_inbox_add(w.bag, w.env.rnd, dir, &item, &usage));
    assert_int_equal(count(dir), 1);
    world_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox__is_added_to_locked_and_read_unlocked),
        cmocka_unit_test(test_inbox__merge_broken_off_loses_nothing),
        cmocka_unit_test(test_inbox__strange_files_are_put_aside_and_counted),
        cmocka_unit_test(test_inbox__what_opens_but_is_no_item_keeps_nobody_out),
        cmocka_unit_test(test_inbox__is_bounded_by_mails_bytes_and_free_disk),
        cmocka_unit_test(test_inbox__full_by_bytes_takes_no_more),
        cmocka_unit_test(test_inbox__adding_with_each_failed_write_leaves_whole_items),
    };
    return cmocka_run_group_tests_name("box inbox", tests, NULL, NULL);
}
