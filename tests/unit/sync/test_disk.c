/*
 * The folder of this machine (sync/client/disk.h), and the rules for what is not synced.
 */
#include "../unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "sync/client/disk.h"
#include "sync/engine/aside.h"
#include "sync/engine/scan.h"

static const uint8_t marker[SYNC_NODE] = {1, 2, 3};

typedef struct {
    char path[64];
    sync_folder_disk_t *folder;
    const sync_disk_t *disk;
} world_t;

static int setup(void **state) {
    static world_t w;
    (void)snprintf(w.path, sizeof w.path, "/tmp/coffer-disk-XXXXXX");
    assert_non_null(mkdtemp(w.path));
    assert_ok(sync_folder_disk_new(w.path, marker, clk_real(), &w.folder));
    w.disk = sync_folder_disk(w.folder);
    assert_ok(w.disk->present(w.disk->ctx, true));
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    world_t *w = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", w->path);
    sync_folder_disk_free(w->folder);
    return system(command);
}

static void put(const world_t *w, const char *name, const char *text) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", w->path, name);
    assert_ok(file_write(path, bytes_str(text), 0644));
}

static void get(const world_t *w, const char *name, buf_t *out) {
    char path[256];
    buf_init(out, 1024 * 1024);
    (void)snprintf(path, sizeof path, "%s/%s", w->path, name);
    assert_ok(file_read(path, out));
}

static sync_stat_t stat_of(const world_t *w, const char *name) {
    sync_stat_t stat;
    bool found = false;
    assert_ok(w->disk->stat(w->disk->ctx, name, &found, &stat));
    assert_true(found);
    return stat;
}

static void temp(const world_t *w, const char *name, const char *text) {
    sync_disk_file_t *file = NULL;
    assert_ok(w->disk->temp(w->disk->ctx, name, &file));
    assert_ok(w->disk->write(w->disk->ctx, file, 0, bytes_str(text)));
    assert_ok(w->disk->finish(w->disk->ctx, file, strlen(text), 0640, 1700000000, 5));
    w->disk->close(w->disk->ctx, file);
}

static err_t *place(const world_t *w, const char *from, const char *path,
                    const sync_stat_t *expect) {
    sync_stat_t placed = {0};
    err_t *e = w->disk->place(w->disk->ctx, from, path, expect, &placed);
    if (!e) assert_true(placed.inode == stat_of(w, path).inode);
    return e;
}

static void test_disk__a_new_file_never_replaces_another(void **state) {
    const world_t *w = *state;
    CLEANUP(buf_done) buf_t text;
    put(w, "there", "mine");
    temp(w, "t", "theirs");
    assert_err(ERR_EXISTS, place(w, "t", "there", NULL));
    assert_ok(place(w, "t", "new", NULL));
    get(w, "there", &text);
    assert_true(bytes_eq_str(buf_bytes(&text), "mine"));
    sync_stat_t stat = stat_of(w, "new");
    assert_int_equal(stat.mtime, 1700000000);
    assert_int_equal(stat.mtime_ns, 5);
    assert_int_equal(stat.mode, 0640);
}

static void test_disk__a_file_is_replaced_only_if_it_is_still_the_one_that_was_seen(void **state) {
    const world_t *w = *state;
    CLEANUP(buf_done) buf_t text;
    put(w, "file", "seen");
    sync_stat_t seen = stat_of(w, "file");
    put(w, "file", "changed since");
    temp(w, "t", "theirs");
    assert_err(ERR_BUSY, place(w, "t", "file", &seen));
    assert_err(ERR_BUSY, w->disk->remove(w->disk->ctx, "file", &seen));
    get(w, "file", &text);
    assert_true(bytes_eq_str(buf_bytes(&text), "changed since"));
    seen = stat_of(w, "file");
    assert_ok(place(w, "t", "file", &seen));
    buf_done(&text);
    get(w, "file", &text);
    assert_true(bytes_eq_str(buf_bytes(&text), "theirs"));
}

static void test_disk__no_path_leads_out_of_the_folder(void **state) {
    const world_t *w = *state;
    sync_disk_file_t *file = NULL;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/out", w->path);
    assert_int_equal(symlink("/etc", path), 0);
    temp(w, "t", "x");
    assert_non_null(w->folder);
    err_t *e = w->disk->open(w->disk->ctx, "out/passwd", &file);
    assert_non_null(e);
    err_free(e);
    e = place(w, "t", "out/coffer-test", NULL);
    assert_non_null(e);
    err_free(e);
    e = w->disk->make_folder(w->disk->ctx, "../coffer-test", 0700);
    assert_non_null(e);
    err_free(e);
    assert_false(file_exists("/etc/coffer-test"));
}

static void test_disk__an_empty_mount_point_is_not_the_folder(void **state) {
    const world_t *w = *state;
    char own[256];
    static const uint8_t other[SYNC_NODE] = {9};
    CLEANUP(sync_folder_disk_free) sync_folder_disk_t *stranger = NULL;
    assert_ok(w->disk->present(w->disk->ctx, false));
    assert_ok(sync_folder_disk_new(w->path, other, clk_real(), &stranger));
    assert_err(ERR_NOT_FOUND, sync_folder_disk(stranger)->present(stranger, true));
    (void)snprintf(own, sizeof own, "%s/" SYNC_DISK_OWN "/folder", w->path);
    assert_int_equal(unlink(own), 0);
    assert_err(ERR_NOT_FOUND, w->disk->present(w->disk->ctx, false));
}

/* A kill between making it and filling it, as older programs did; another folder's is refused. */
static void test_disk__an_empty_marker_is_written_anew_at_the_first_time_alone(void **state) {
    world_t *w = *state;
    CLEANUP(buf_done) buf_t text;
    put(w, SYNC_DISK_OWN "/folder", "");
    assert_err(ERR_NOT_FOUND, w->disk->present(w->disk->ctx, false));
    assert_ok(w->disk->present(w->disk->ctx, true));
    assert_ok(w->disk->present(w->disk->ctx, false));
    get(w, SYNC_DISK_OWN "/folder", &text);
    assert_true(text.n > 0);
    put(w, SYNC_DISK_OWN "/folder", "somebody else's");
    assert_err(ERR_NOT_FOUND, w->disk->present(w->disk->ctx, true));
}

static void test_disk__zeros_become_holes_and_read_as_zeros(void **state) {
    const world_t *w = *state;
    static uint8_t zeros[1024 * 1024];
    sync_disk_file_t *file = NULL;
    struct stat found;
    char path[256];
    assert_ok(w->disk->temp(w->disk->ctx, "t", &file));
    for (uint64_t at = 0; at < 8; at++)
        assert_ok(w->disk->write(w->disk->ctx, file, at * sizeof zeros, BYTES_ARRAY(zeros)));
    assert_ok(w->disk->write(w->disk->ctx, file, 8 * sizeof zeros, BYTES_LIT("end")));
    assert_ok(w->disk->finish(w->disk->ctx, file, 8 * sizeof zeros + 3, 0600, 1, 0));
    w->disk->close(w->disk->ctx, file);
    assert_ok(place(w, "t", "sparse", NULL));
    (void)snprintf(path, sizeof path, "%s/sparse", w->path);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size, (off_t)(8 * sizeof zeros + 3));
    assert_true(found.st_blocks * 512 < (off_t)sizeof zeros);
}

static bool keep_one(void *arg, const char *name) { return strcmp(arg, name) == 0; }

/* As a crash leaves it: what was to be removed or replaced, untouched and changed, and what was to
 * take its place. */
static void test_disk__what_was_aside_is_cleared_away_or_comes_back(void **state) {
    const world_t *w = *state;
    CLEANUP(buf_done) buf_t text;
    char aside[4][SYNC_ASIDE_NAME], path[SYNC_ASIDE_NAME + 256], back[SYNC_ASIDE_NAME];
    sync_stat_t seen[4];
    for (unsigned i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), 0};
        put(w, name, "as it was seen");
        seen[i] = stat_of(w, name);
        /* The last one is what was to come, not what was there. */
        sync_stat_t other = seen[i];
        if (i == 3) other.inode++;
        sync_aside_name(&other, i == 3 ? seen[i].inode : 0, aside[i]);
        (void)snprintf(path, sizeof path, SYNC_DISK_OWN "/%s", aside[i]);
        if (i == 1) put(w, name, "a change of the last moment");
        assert_ok(w->disk->rename(w->disk->ctx, name, path));
    }
    temp(w, "00112233445566778899aabbccddeeff", "half");
    temp(w, "ffeeddccbbaa99887766554433221100", "half");
    uint64_t returned = 0;
    assert_ok(w->disk->sweep(w->disk->ctx, keep_one, aside[2], &returned));
    assert_int_equal(returned, 1);
    for (unsigned i = 0; i < 4; i++) {
        bool found = false;
        sync_stat_t stat;
        (void)snprintf(path, sizeof path, SYNC_DISK_OWN "/%s", aside[i]);
        assert_ok(w->disk->stat(w->disk->ctx, path, &found, &stat));
        assert_int_equal(found, i == 2);
    }
    sync_stat_t changed = seen[1];
    changed.size++;
    assert_true(sync_aside_lost(aside[1], &changed, back));
    assert_false(sync_aside_lost(aside[1], &seen[1], back));
    assert_false(sync_aside_lost("aside-0", &changed, back));
    assert_false(sync_aside_lost("00112233445566778899aabbccddeeff", &changed, back));
    get(w, back, &text);
    assert_true(bytes_eq_str(buf_bytes(&text), "a change of the last moment"));
    assert_ok(w->disk->sweep(w->disk->ctx, NULL, NULL, &returned));
    assert_int_equal(returned, 0);
    (void)snprintf(path, sizeof path, "%s/" SYNC_DISK_OWN "/%s", w->path, aside[2]);
    assert_false(file_exists(path));
}

static void test_disk__each_failing_call_leaves_what_was_there(void **state) {
    const world_t *w = *state;
    put(w, "file", "before");
    for (unsigned long n = 1; n < 20; n++) {
        CLEANUP(buf_done) buf_t text;
        sync_stat_t seen = stat_of(w, "file"), placed;
        temp(w, "t", "before");
        fault_arm_io(n);
        err_t *e = w->disk->place(w->disk->ctx, "t", "file", &seen, &placed);
        fault_arm_io(0);
        err_free(e);
        assert_ok(w->disk->discard(w->disk->ctx, "t"));
        get(w, "file", &text);
        assert_true(bytes_eq_str(buf_bytes(&text), "before"));
    }
}

static void test_disk__asks_once_whether_names_are_one(void **state) {
    const world_t *w = *state;
    sync_stat_t stat;
    bool found = false;
    put(w, "name", "x");
    bool folds = w->disk->folds(w->disk->ctx);
    assert_ok(w->disk->stat(w->disk->ctx, "NAME", &found, &stat));
    assert_int_equal(folds, found);
    assert_int_equal(folds, w->disk->folds(w->disk->ctx));
    /* Nothing is left of it, and another spelling is a rename wherever it lies. */
    assert_ok(w->disk->stat(w->disk->ctx, SYNC_DISK_OWN "/probe-\xc3\xa9", &found, &stat));
    assert_false(found);
    assert_ok(w->disk->rename(w->disk->ctx, "name", "Name"));
    assert_ok(w->disk->stat(w->disk->ctx, "Name", &found, &stat));
    assert_true(found);
    put(w, "other", "y");
    assert_err(ERR_EXISTS, w->disk->rename(w->disk->ctx, "other", "Name"));
}

static void test_ignore__rules_are_names_paths_and_folders(void **state) {
    bytes_t rules = BYTES_LIT("# a comment\n*.tmp\nbuild/\n/top\na/*.o\n");
    (void)state;
    assert_true(sync_ignored(rules, "x.tmp", false));
    assert_true(sync_ignored(rules, "deep/er/x.tmp", false));
    assert_true(sync_ignored(rules, "deep/build", true));
    assert_false(sync_ignored(rules, "deep/build", false));
    assert_true(sync_ignored(rules, "top", false));
    assert_false(sync_ignored(rules, "deep/top", false));
    assert_true(sync_ignored(rules, "a/x.o", false));
    assert_false(sync_ignored(rules, "a/b/x.o", false));
    assert_false(sync_ignored(rules, "# a comment", false));
    assert_false(sync_ignored(BYTES_NONE, "x.tmp", false));
}

static void test_ignore__chosen_folders_have_their_parents_and_children(void **state) {
    static const char *const chosen[] = {"work", "photos/2026", NULL};
    (void)state;
    assert_true(sync_chosen(NULL, "anything"));
    assert_true(sync_chosen(chosen, "work/a"));
    assert_true(sync_chosen(chosen, "photos"));
    assert_true(sync_chosen(chosen, "photos/2026/x"));
    assert_false(sync_chosen(chosen, "photos/2025"));
    assert_false(sync_chosen(chosen, "workshop"));
}

static void test_ignore__rules_name_what_is_at_the_top(void **state) {
    static const char *const names[] = {"Work", "Photos", NULL};
    (void)state;
    assert_true(sync_allowed(NULL, "anything/at all"));
    assert_true(sync_allowed(names, "Work"));
    assert_true(sync_allowed(names, "Work/deep/a"));
    assert_true(sync_allowed(names, "/Photos/"));
    assert_true(sync_allowed(names, ""));
    assert_false(sync_allowed(names, "Works"));
    assert_false(sync_allowed(names, "Wor"));
    assert_false(sync_allowed(names, "Private/Work"));
    assert_false(sync_allowed(&names[2], "Work"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_disk__a_new_file_never_replaces_another, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_disk__a_file_is_replaced_only_if_it_is_still_the_one_that_was_seen, setup,
            teardown),
        cmocka_unit_test_setup_teardown(test_disk__no_path_leads_out_of_the_folder, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_disk__an_empty_mount_point_is_not_the_folder, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_disk__an_empty_marker_is_written_anew_at_the_first_time_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__zeros_become_holes_and_read_as_zeros, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_disk__what_was_aside_is_cleared_away_or_comes_back,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk__each_failing_call_leaves_what_was_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_disk__asks_once_whether_names_are_one, setup,
                                        teardown),
        cmocka_unit_test(test_ignore__rules_are_names_paths_and_folders),
        cmocka_unit_test(test_ignore__chosen_folders_have_their_parents_and_children),
        cmocka_unit_test(test_ignore__rules_name_what_is_at_the_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
